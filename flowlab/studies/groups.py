"""Groups of runs: comparisons and sweeps, to be listed, named, exported and deleted."""

import io
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from flowlab.runs import Run, Store, pack
from flowlab.runs.store import checked_name
from flowlab.studies.comparison.archive import FOLDER, Archive
from flowlab.studies.sweep.plan import SweepSettings

KINDS = ("comparison", "sweep")
LOST = "An earlier version did not store this sweep's settings: enter them on the page Sweeps."


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
        Its trainings, the newest first. Comparisons of earlier versions have none.
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


def groups(store: Store, runs: Sequence[Run], visitor: str | None = None) -> list[Group]:
    """The comparisons and sweeps of these runs, and stored comparisons of a visitor, newest first.
    """  # noqa: D200
    members: dict[str, list[Run]] = {}
    for run in runs:
        if run.group and run.origin in KINDS:
            members.setdefault(run.group, []).append(run)
    found = [Group(name, own[0].origin, own[0].name.partition(": ")[0], own[-1].created,
                   tuple(own), own[0].visitor)
             for name, own in members.items() if own[0].origin == "sweep"]
    archive = Archive(store.folder)
    for folder in archive.folder.glob("*/comparison.json"):
        try:
            header = archive.read(folder.parent.name)
        except ValueError:  # damaged, or of a newer version
            continue
        if header is not None and visitor in (None, header.visitor):
            found.append(Group(
                folder.parent.name, "comparison", f"{' and '.join(header.labels)} on "
                f"{', '.join(header.comparison.data)}", folder.stat().st_mtime,
                tuple(members.get(folder.parent.name, ())), header.visitor))
    named = [Group(**{**vars(group), "name": store.choice(f"name:{group.id}") or group.name})
             for group in found]
    return sorted(named, key=lambda group: -group.created)


def rename(store: Store, group: Group, name: str) -> None:
    """Rename a group.

    Raises
    ------
    ValueError
        As `flowlab.runs.Store.rename`.
    """
    store.choose(f"name:{group.id}", checked_name(name))


def export(store: Store, group: Group) -> bytes:
    """A zip with the file of each run, as `flowlab.runs.pack` makes it, and the settings."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as bundle:
        if group.kind == "comparison":
            for path in sorted((store.folder / FOLDER / group.id).iterdir()):
                bundle.write(path, f"comparison/{path.name}")
        elif settings := sweep_settings(store, group.id):
            bundle.writestr("sweep.toml", settings.toml())
        for run in group.runs:
            bundle.writestr(f"runs/{run.model}-{run.data}-{run.id}.flowlab.zip",
                            pack(store, run.id))
    return file.getvalue()


def delete(store: Store, group: Group) -> None:
    """Delete a group with all its runs and what was measured of them.

    Raises
    ------
    ValueError
        When one of them is under way.
    """
    if any(run.active for run in store.runs(group=group.id)):
        raise ValueError("One of its runs is under way: stop it before you delete them.")
    for run in store.runs(group=group.id):
        store.delete(run.id)
    if group.kind == "comparison":
        shutil.rmtree(store.folder / FOLDER / group.id, ignore_errors=True)
    for name in (group.id, f"name:{group.id}"):
        store.choose(name, "")


def sweep_settings(store: Store, group: str) -> SweepSettings | None:
    """The settings of a sweep; None where they are not stored."""
    text = store.choice(group)
    return SweepSettings.model_validate_json(text) if text else None
