"""A run as one file, to keep elsewhere or to give away; and back.

A zip with fixed members: ``run.json``, ``metrics.csv``, ``weights.safetensors`` and
``frames/<step>.png``. A file that comes in is not trusted: names, sizes, numbers, weights and
pictures are checked before anything is kept, and nothing in it could run.
"""

import csv
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flowlab.figures import LAYERS, SHOWN
from flowlab.files import FULL, is_full, is_newer, open_zip, read_entry
from flowlab.flow import Flow
from flowlab.live import Frame, Held
from flowlab.live.thinning import order, shared
from flowlab.runs.database import FORMAT
from flowlab.runs.store import NAME, Store
from flowlab.settings import RunSettings, describe

LARGEST = 200_000_000  # bytes of a file, and of what it holds
MEMBERS = {"run.json": 2_000_000, "metrics.csv": 4_000_000, "weights.safetensors": LARGEST}
MOST_FRAMES = 200
PICTURE = 5_000_000  # bytes of a picture
SIDE = 4000  # pixels of a picture's side
PIXELS = 320_000_000  # of all pictures
_FRAME = re.compile(r"frames/(\d{9})\.png")
_COLUMNS = ("epoch", "step", "seconds", "train_nll_nats", "test_nll_nats", "kl_nats")
_MARKUP = re.compile(r"[\[\]<>`!$\\{}|*_#:]")

Whole = Annotated[int, Field(ge=0, le=10**9)]
Text = Annotated[str, Field(max_length=1000)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class _Numbers(_Told):
    """The numbers of a moment, as `flowlab.training.Progress` has them."""

    epoch: Whole
    epochs: Annotated[int, Field(ge=1, le=10**9)]
    step: Whole
    steps: Annotated[int, Field(ge=1, le=10**9)]
    seconds: Annotated[float, Field(ge=0)]
    learning_rate: float | None
    train_nll: float | None
    test_nll: float | None
    loss: float | None
    kl: float | None
    best_nll: float | None
    inverse_error: float | None
    outcome: Literal["running", "finished", "early stop", "diverged"]
    reason: Text
    # Runs of earlier versions do not say these.
    compiled: bool = False
    start_epoch: Whole = 0
    start_train_nll: float | None = None
    start_test_nll: float | None = None
    reverse_kl: Annotated[list[Annotated[list[float], Field(min_length=2, max_length=2)]],
                          Field(max_length=1_000_000)] = []

    def said(self) -> dict[str, Any]:
        """Those that the run's version knew."""
        return self.model_dump(exclude_unset=True)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.kl is not None and self.test_nll is None:
            raise ValueError("a KL takes a test NLL")
        return self


class _Moment(_Told):
    """A picture of the run: its numbers, appearance and layers."""

    numbers: _Numbers
    theme: Literal["light", "dark", ""] = ""
    layers: Annotated[tuple[Literal[tuple(LAYERS)], ...], Field(max_length=len(LAYERS),
                                                                fail_fast=True)] = SHOWN


class _Header(_Told):
    """What ``run.json`` says."""

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
    moments: Annotated[list[_Moment], Field(max_length=MOST_FRAMES, fail_fast=True)]


def pack(store: Store, run_id: str) -> bytes:
    """The file of a run, with its numbers, its newest weights and the pictures that are kept.

    Raises
    ------
    ValueError
        When there is no such run.
    """
    run = store.get(run_id)
    if run is None:
        raise ValueError("This run is not kept (any more): look at the list again.")
    frames = store.frames(run_id)
    header = {"format": FORMAT, "name": run.name, "settings": json.loads(run.text),
              "outcome": run.outcome, "reason": run.reason, "created": run.created,
              "ended": run.ended, "versions": run.versions, "continued": run.continued,
              "steered": run.steered, "moments": [
                  {"numbers": f.numbers, "theme": f.theme, "layers": f.layers} for f in frames]}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerows([_COLUMNS, *store.epochs(run_id)])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as bundle:
        bundle.writestr("run.json", json.dumps(header, indent=1, allow_nan=False))
        bundle.writestr("metrics.csv", table.getvalue())
        if weights := store.weights(run_id):
            bundle.writestr("weights.safetensors", weights)
        for frame in frames:
            if frame.png:
                bundle.writestr(f"frames/{frame.numbers['step']:09d}.png", frame.png)
    return file.getvalue()


def unpack(store: Store, content: bytes, visitor: str = "") -> str:
    """Keep the run of a file that `pack` made as a visitor's, and return the id it has here.

    Raises
    ------
    ValueError
        With one sentence, when the file is not such a one, or something in it is not as it
        should be; then nothing is kept.
    """
    members = _members(content)
    try:
        header = _Header.model_validate_json(members["run.json"])
    except ValidationError as error:
        told = next((e["input"] for e in error.errors() if e["loc"] == ("format",)), "")
        if is_newer(told, FORMAT):
            raise ValueError("This run was exported by a newer Flow Lab: update this one, then "
                             "import it again.") from error
        raise ValueError(f"run.json in this file is not as it should be: {describe(error)}"
                         ) from error
    settings = RunSettings.read(json.dumps(header.settings))
    weights = _weights(members.get("weights.safetensors"), settings)
    moments = sorted(header.moments, key=lambda moment: order(moment.numbers.said()))
    numbers = [moment.numbers.said() for moment in moments]
    frames, room = [], [PIXELS]
    for moment, told in zip(moments, shared(list(_epochs(members["metrics.csv"])), numbers),
                            strict=True):
        png = members.pop(f"frames/{moment.numbers.step:09d}.png", b"")
        frames.append(Frame(
            {**moment.numbers.said(), "reason": _unmarked(moment.numbers.reason)},
            tuple((row[0], row[3], row[4]) for row in told),
            Held(png and _picture(png, room), weights if moment is moments[-1] else b""),
            moment.theme, moment.layers, tuple(row[2] for row in told)))
    if any(_FRAME.fullmatch(name) for name in members):
        raise ValueError("This file has a picture that run.json does not tell of: export the run "
                         "again.")
    run_id = store.begin(settings, name=" ".join(_unmarked(header.name).split()) or "imported",
                         origin="import", continued=header.continued, created=header.created,
                         of=header.versions, visitor=visitor)
    try:
        store.record(run_id, frames)
        outcome = "interrupted" if header.outcome in ("running", "queued") else header.outcome
        store.end(run_id, outcome, _unmarked(header.reason), header.steered, header.ended)
    except BaseException as error:
        store.delete(run_id)
        if is_full(error):
            raise ValueError(FULL) from error
        raise
    store.fit()
    return run_id


def _members(content: bytes) -> dict[str, bytes]:
    """The members of a zip, none of which could be written outside, or grow beyond measure."""
    what = "This is no run that Flow Lab exported"
    if len(content) > LARGEST:
        raise ValueError(f"The file is larger than {LARGEST // 10**6} MB: export the run with "
                         "fewer pictures.")
    damaged = f"{what}: the file is damaged, or of another kind."
    with open_zip(content, 2 * MOST_FRAMES, damaged, f"{what}: it holds too much.") as bundle:
        infos = bundle.infolist()
        names = [info.filename for info in infos]
        if len(set(names)) != len(names) or not {"run.json", "metrics.csv"} <= set(names):
            raise ValueError(f"{what}: it should hold one run.json and one metrics.csv.")
        if len(names) > MOST_FRAMES + len(MEMBERS) or sum(i.file_size for i in infos) > LARGEST:
            raise ValueError(f"{what}: it holds too much.")
        for info in infos:
            limit = PICTURE if _FRAME.fullmatch(info.filename) else MEMBERS.get(info.filename)
            if limit is None:
                raise ValueError(f"{what}: it should hold run.json, metrics.csv, "
                                 "weights.safetensors and frames/….png, and nothing else.")
            if info.file_size > limit:
                raise ValueError(f"{what}: one of its parts is too large.")
        return {info.filename: read_entry(bundle, info, info.file_size + 1, damaged)
                for info in infos}


def _epochs(content: bytes) -> Iterator[tuple]:
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
            yield last, int(step), *(float(n or "nan") for n in numbers)
    except (ValueError, StopIteration, csv.Error) as error:
        raise ValueError("metrics.csv in this file is not as it should be, which is a heading and "
                         "six numbers for each epoch: export the run again.") from error


def _weights(content: bytes | None, settings: RunSettings) -> bytes:
    """The flow's state, written anew, if it is one of these settings; nothing of none."""
    if content is None:
        return b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        path.write_bytes(content)
        try:
            flow = Flow.load(path)
            if flow.settings == settings.flow:
                # A training makes no other types, and not all pictures can be drawn of others.
                if flow.dtype in (torch.float32, torch.float64) and all(
                        weights.isfinite().all() for weights in flow.state_dict().values()):
                    return flow.packed()
                raise ValueError("not finite")
        except ValueError as error:
            raise ValueError("The weights in this file cannot be read: export the run again."
                             ) from error
    raise ValueError("The weights in this file are of another flow than its run.json tells of: "
                     "export the run again.")


def _picture(content: bytes, room: list[int]) -> bytes:
    """The picture, if it is one; its pixels are taken from those that are left."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if max(image.size) <= SIDE:
                room[0] -= image.width * image.height
                if room[0] < 0:
                    raise ValueError("too many pixels")
                image.load()  # the list of runs makes it small
                return content
    except Exception as error:  # Pillow has no one complaint for bytes that make no sense
        raise ValueError("A picture in this file cannot be read: export the run again.") from error
    raise ValueError(f"A picture in this file is larger than {SIDE} pixels: export the run again.")


def _unmarked(text: str) -> str:
    """The text without what Markdown would make something of."""
    return _MARKUP.sub("", "".join(c for c in text if c.isprintable()))
