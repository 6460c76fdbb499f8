"""Exports a run as one file, and imports it again.

The file is a zip with fixed members: ``run.json``, ``metrics.csv``, ``weights.safetensors``,
``frames/<step>.png`` and, of a comparison, ``measured.npz``, which is checked when it is read. An
imported file is not trusted: names, sizes, numbers, weights and pictures
are checked before anything is stored, and no code in it is ever executed.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import torch
from PIL import Image
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from flowlab.figures import DEFAULT_OVERLAYS, OVERLAYS, style
from flowlab.files import FULL, csv_text, is_full, is_newer, open_zip, read_entry
from flowlab.flow import Flow
from flowlab.live import Frame, InMemory
from flowlab.live.thinning import assign_epochs, order
from flowlab.runs.database import FORMAT
from flowlab.runs.store import NAME, Store
from flowlab.settings import RunSettings, describe
from flowlab.training import Epoch, Moment

MAX_BYTES = 200_000_000  # bytes of a file, and of what it holds
MEMBERS = {"run.json": 2_000_000, "metrics.csv": 4_000_000, "weights.safetensors": MAX_BYTES,
           "measured.npz": 2_000_000}
MAX_FRAMES = 200
MAX_PICTURE_BYTES = 5_000_000  # bytes of a picture
MAX_SIDE = 4000  # pixels of a picture's side
MAX_PIXELS = 320_000_000  # of all pictures
_FRAME = re.compile(r"frames/(\d{9})\.png")
_COLUMNS = ("epoch", "step", "seconds", "train_nll_nats", "test_nll_nats", "kl_nats")
_MARKUP = re.compile(r"[\[\]<>`!$\\{}|*_#:]")

Text = Annotated[str, Field(max_length=1000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class _Moment(_Strict):
    """A frame of the run: its numbers, and the theme and overlays of its picture."""

    numbers: Moment
    theme: Literal[("", *style.NAMES)] = ""  # type: ignore[valid-type]
    overlays: Annotated[tuple[Literal[tuple(OVERLAYS)], ...],  # type: ignore[valid-type]
                        Field(alias="layers", max_length=len(OVERLAYS), fail_fast=True)
                        ] = DEFAULT_OVERLAYS

    @field_validator("numbers", mode="before")
    @classmethod
    def _current(cls, numbers: Any) -> Any:
        """Leave out a number that earlier versions wrote."""
        return {k: v for k, v in numbers.items() if k != "compiled"} if isinstance(
            numbers, dict) else numbers

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.numbers.kl is not None and self.numbers.test_nll is None:
            raise ValueError("a KL takes a test NLL")
        return self


class _Header(_Strict):
    """The content of ``run.json``."""

    format: Literal["flowlab-run-1"]
    name: Annotated[str, Field(min_length=1, max_length=NAME)]
    settings: dict[str, Any]
    outcome: Literal["finished", "early stop", "diverged", "stopped", "failed", "lost",
                     "interrupted", "running", "queued"]
    reason: Text
    created: Annotated[float, Field(ge=0, le=1e11)]
    ended: Annotated[float, Field(ge=0, le=1e11)] | None
    versions: Annotated[dict[Annotated[str, Field(max_length=40)],
                             Annotated[str, Field(max_length=80)]], Field(max_length=20)]
    continued: bool
    steered: bool
    moments: Annotated[list[_Moment], Field(max_length=MAX_FRAMES, fail_fast=True)]


def pack(store: Store, run_id: str) -> bytes:
    """Make the file of a run, with its numbers, newest weights and stored pictures.

    Raises
    ------
    ValueError
        When there is no such run.
    """
    run = store.get(run_id)
    if run is None:
        raise ValueError("This run is no longer stored: reload the list.")
    frames = store.frames(run_id)
    header = {"format": FORMAT, "name": run.name, "settings": json.loads(run.text),
              "outcome": run.outcome, "reason": run.reason, "created": run.created,
              "ended": run.ended, "versions": run.versions, "continued": run.continued,
              "steered": run.steered, "moments": [{
                  "numbers": f.moment.dump(), "theme": f.theme, "layers": f.overlays}
                  for f in frames]}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as bundle:
        bundle.writestr("run.json", json.dumps(header, indent=1, allow_nan=False))
        bundle.writestr("metrics.csv", csv_text([_COLUMNS, *store.epochs(run_id)]))
        if weights := store.weights(run_id):
            bundle.writestr("weights.safetensors", weights)
        if measured := store.measured(run_id):
            bundle.writestr("measured.npz", measured)
        for frame in frames:
            if frame.png:
                bundle.writestr(f"frames/{frame.moment.step:09d}.png", frame.png)
    return file.getvalue()


def unpack(store: Store, content: bytes, visitor: str = "", origin: str = "import",
           **about: Any) -> str:
    """Store the run in a file that `pack` made as a visitor's, and return its new id.

    ``about`` are further arguments of `Run.new`.

    Raises
    ------
    ValueError
        With one sentence, when the file is of another kind or has an invalid part; then nothing is
        stored.
    """
    members = _members(content)
    try:
        header = _Header.model_validate_json(members["run.json"])
    except ValidationError as error:
        form = next((e["input"] for e in error.errors() if e["loc"] == ("format",)), "")
        if is_newer(form, FORMAT):
            raise ValueError("This run was exported by a newer Flow Lab: update this one, then "
                             "import it again.") from error
        raise ValueError(f"run.json in this file is not as it should be: {describe(error)}"
                         ) from error
    settings = RunSettings.read(json.dumps(header.settings))
    weights = _weights(members.get("weights.safetensors"), settings)
    moments = sorted(header.moments, key=lambda moment: order(moment.numbers))
    epochs = assign_epochs(list(_epochs(members["metrics.csv"])), [m.numbers for m in moments])
    frames, pixels_left = [], [MAX_PIXELS]
    for moment, own in zip(moments, epochs, strict=True):
        png = members.pop(f"frames/{moment.numbers.step:09d}.png", b"")
        frames.append(Frame(
            replace(moment.numbers, reason=_unmarked(moment.numbers.reason)), tuple(own),
            InMemory(png and _picture(png, pixels_left), weights if moment is moments[-1] else b""),
            moment.theme, moment.overlays))
    if any(_FRAME.fullmatch(name) for name in members):
        raise ValueError("This file has a picture that run.json does not mention: export the run "
                         "again.")
    name = " ".join(_unmarked(header.name).split())
    run_id = store.begin(settings, name=name or "imported", origin=origin,
                         continued=header.continued, created=header.created, of=header.versions,
                         visitor=visitor, **about)
    try:
        store.record(run_id, frames)
        outcome = "interrupted" if header.outcome in ("running", "queued") else header.outcome
        store.end(run_id, outcome, _unmarked(header.reason), header.steered, header.ended)
        if measured := members.get("measured.npz"):
            store.measure(run_id, measured)
    except BaseException as error:
        store.delete(run_id)
        if is_full(error):
            raise ValueError(FULL) from error
        raise
    store.enforce_quota()
    return run_id


def _members(content: bytes) -> dict[str, bytes]:
    """Read the members of a zip, after checking their names, number and sizes."""
    what = "This is not a run that Flow Lab exported"
    if len(content) > MAX_BYTES:
        raise ValueError(f"The file is larger than {MAX_BYTES // 10**6} MB: export the run with "
                         "fewer pictures.")
    damaged = f"{what}: the file is damaged, or of another kind."
    with open_zip(content, 2 * MAX_FRAMES, damaged, f"{what}: it holds too much.") as bundle:
        infos = bundle.infolist()
        names = [info.filename for info in infos]
        if len(set(names)) != len(names) or not {"run.json", "metrics.csv"} <= set(names):
            raise ValueError(f"{what}: it should hold one run.json and one metrics.csv.")
        if len(names) > MAX_FRAMES + len(MEMBERS) or sum(i.file_size for i in infos) > MAX_BYTES:
            raise ValueError(f"{what}: it holds too much.")
        for info in infos:
            limit = (MAX_PICTURE_BYTES if _FRAME.fullmatch(info.filename)
                     else MEMBERS.get(info.filename))
            if limit is None:
                raise ValueError(f"{what}: it should hold run.json, metrics.csv, "
                                 "weights.safetensors, measured.npz and frames/….png, and "
                                 "nothing else.")
            if info.file_size > limit:
                raise ValueError(f"{what}: one of its parts is too large.")
        return {info.filename: read_entry(bundle, info, info.file_size + 1, damaged)
                for info in infos}


def _epochs(content: bytes) -> Iterator[Epoch]:
    """The rows of metrics.csv."""
    try:
        rows = csv.reader(io.StringIO(content.decode()))
        if tuple(next(rows)) != _COLUMNS:
            raise ValueError("other columns")
        last = 0
        for row in rows:
            if len(row) != len(_COLUMNS) or max(map(len, row)) > 40:
                raise ValueError("rows of six numbers")
            epoch, step, *numbers = row
            if not last < int(epoch) <= 10**9 or not 0 <= int(step) <= 10**9:
                raise ValueError("epochs should rise")
            last = int(epoch)
            yield Epoch(last, int(step), *(float(n) if n else None for n in numbers))
    except (ValueError, StopIteration, csv.Error) as error:
        raise ValueError("metrics.csv in this file is not as it should be, which is a heading and "
                         "six numbers for each epoch: export the run again.") from error


def _weights(content: bytes | None, settings: RunSettings) -> bytes:
    """Rewrite the flow's state after checking that it fits the settings; empty without weights."""
    if content is None:
        return b""
    try:
        flow = Flow.from_bytes(content)
        if flow.settings == settings.flow:
            # A training makes no other types, and not all pictures can be drawn of others.
            if flow.dtype in (torch.float32, torch.float64) and all(
                    weights.isfinite().all() for weights in flow.state_dict().values()):
                return flow.to_bytes()
            raise ValueError("not finite")
    except ValueError as error:
        raise ValueError("The weights in this file cannot be read: export the run again."
                         ) from error
    raise ValueError("The weights in this file belong to another flow than its run.json describes: "
                     "export the run again.")


def _picture(content: bytes, pixels_left: list[int]) -> bytes:
    """Check that the content is a PNG, and subtract its pixels from those that are left."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if max(image.size) <= MAX_SIDE:
                pixels_left[0] -= image.width * image.height
                if pixels_left[0] < 0:
                    raise ValueError("too many pixels")
                image.load()  # as the list of runs does to make thumbnails
                return content
    except Exception as error:  # Pillow raises many kinds of errors for invalid bytes
        raise ValueError("A picture in this file cannot be read: export the run again.") from error
    raise ValueError(f"A picture in this file is larger than {MAX_SIDE} pixels: export the run "
                     "again.")


def _unmarked(text: str) -> str:
    """Remove the characters that have a meaning in Markdown."""
    return _MARKUP.sub("", "".join(c for c in text if c.isprintable()))
