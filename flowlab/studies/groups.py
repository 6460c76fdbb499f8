"""Groups of runs: comparisons and sweeps, to be listed, named, given away and deleted."""

import io
import re
import secrets
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from flowlab.files import open_zip, read_entry
from flowlab.runs import Run, Store, pack, unpack
from flowlab.runs.bundle import MAX_BYTES
from flowlab.runs.run import NAME
from flowlab.runs.store import checked_name
from flowlab.settings import Settings, describe
from flowlab.studies.comparison import archive
from flowlab.studies.sweep.plan import MAX_RUNS, SweepSettings
from flowlab.studies.sweep.work import group_of, recovered

KINDS = ("comparison", "sweep")
LOST = ("An earlier version did not store this sweep's settings, and its runs do not show them: "
        "enter them on the page Sweeps.")
MAX_JSON = 1_000_000  # bytes of group.json
BROKEN = ("This is not a group of runs that Flow Lab exported: the file is damaged, or of another "
          "kind.")
_PLACE = re.compile(r"runs/.*?(e\d+d\d+s\d+)?\.flowlab\.zip")


@dataclass(frozen=True)
class Group:
    """A comparison or a sweep.

    Attributes
    ----------
    id : str
    kind : "comparison" or "sweep"
    name : str
    created : float
        Seconds since 1970.
    runs : tuple of Run
        Its runs, the newest first.
    visitor : str
        Its owner, as in `flowlab.runs.Run`.
    """

    id: str
    kind: str
    name: str
    created: float
    runs: tuple[Run, ...]
    visitor: str = ""

    @property
    def active(self) -> bool:
        """Whether a program trains one of its runs."""
        return any(run.active for run in self.runs)


class _File(Settings):
    """The content of ``group.json``: the name, and what is compared or swept."""

    format: Literal["flowlab-group-1"] = "flowlab-group-1"
    name: Annotated[str, Field(min_length=1, max_length=NAME)]
    comparison: archive.Header | None = None
    sweep: SweepSettings | None = None


def groups(store: Store, runs: Sequence[Run]) -> list[Group]:
    """The comparisons and sweeps of these runs, newest first."""
    members: dict[str, list[Run]] = {}
    for run in runs:
        if run.group and run.origin in KINDS:
            members.setdefault(run.group, []).append(run)
    return [Group(name, own[0].origin, store.choice(f"name:{name}") or _title(store, own[0]),
                  own[-1].created, tuple(own), own[0].visitor)
            for name, own in members.items()]


def _title(store: Store, run: Run) -> str:
    if run.origin == "comparison":
        with suppress(ValueError):  # damaged, or of a newer version
            if (header := archive.read(store, run.group)) is not None:
                return f"{' and '.join(header.labels)} on {', '.join(header.comparison.data)}"
    return run.name.partition(": ")[0]


def rename(store: Store, group: Group, name: str) -> None:
    """Rename a group.

    Raises
    ------
    ValueError
        As `flowlab.runs.Store.rename`.
    """
    store.choose(f"name:{group.id}", checked_name(name))


def delete(store: Store, group: Group) -> None:
    """Delete a group with all its runs and what was measured of them.

    Raises
    ------
    ValueError
        When one of them is under way.
    """
    runs = store.runs(group=group.id)
    if any(run.active for run in runs):
        raise ValueError("One of its runs is under way: stop it before you delete them.")
    for run in runs:
        store.delete(run.id)
    for name in (group.id, f"name:{group.id}"):
        store.choose(name, "")


def export(store: Store, group: Group) -> bytes:
    """A zip with the settings, and the file of each run as `flowlab.runs.pack` makes it."""
    comparison = archive.read(store, group.id) if group.kind == "comparison" else None
    about = _File(name=group.name[:NAME], comparison=comparison,
                  sweep=sweep_settings(store, group.id))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as bundle:
        bundle.writestr("group.json", about.model_dump_json())
        for run in reversed(group.runs):
            place = run.id.removeprefix(group.id)
            bundle.writestr(f"runs/{run.model}-{run.data}-{place}.flowlab.zip",
                            pack(store, run.id))
    return file.getvalue()


def take(store: Store, content: bytes, visitor: str = "") -> str:
    """Store the run, or the group of runs, in an exported file as a visitor's; return its name.

    Raises
    ------
    ValueError
        With one sentence, when the file has an invalid part; then nothing is stored.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"The file is larger than {MAX_BYTES // 10**6} MB: export fewer runs.")
    with open_zip(content, MAX_RUNS + 1, BROKEN, BROKEN) as bundle:
        parts = {info.filename: info for info in bundle.infolist()}
        if "group.json" not in parts:
            run = store.get(unpack(store, content, visitor))
            return run.name if run is not None else ""
        if sum(info.file_size for info in parts.values()) > MAX_BYTES:
            raise ValueError(BROKEN)
        try:
            about = _File.model_validate_json(read_entry(bundle, parts.pop("group.json"),
                                                         MAX_JSON, BROKEN))
        except ValidationError as error:
            raise ValueError(f"group.json in this file is not as it should be: {describe(error)}"
                             ) from error
        group, setting = secrets.token_hex(8), about.comparison or about.sweep
        if about.sweep is not None:
            group = group_of(about.sweep.name, about.sweep.model, visitor)
        elif about.comparison is not None:
            setting = about.comparison.model_copy(update={"visitor": visitor})
        taken: list[str] = []
        try:
            for name, info in parts.items():
                place = _PLACE.fullmatch(name)
                if place is None:
                    raise ValueError(BROKEN)
                own = group + place[1] if about.comparison is not None and place[1] else None
                taken.append(unpack(
                    store, read_entry(bundle, info, MAX_BYTES, BROKEN), visitor, run_id=own,
                    origin="sweep" if about.comparison is None else "comparison", group=group))
        except BaseException:
            for run_id in taken:
                store.delete(run_id)
            raise
    if setting is not None:
        store.choose(group, setting.model_dump_json())
    store.choose(f"name:{group}", about.name)
    return about.name


def sweep_settings(store: Store, group: str) -> SweepSettings | None:
    """The settings of a sweep, also as its runs show them; None where they are unknown."""
    if not group.startswith("sweep:"):
        return None
    text = store.choice(group)
    return SweepSettings.model_validate_json(text) if text else recovered(store, group)
