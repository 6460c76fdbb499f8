"""Who may do what on a shared server, and how much: the operator's limits beside what is asked."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from flowlab.data import source_of
from flowlab.jobs import Engine, UnknownRun, choose
from flowlab.runs import Store
from flowlab.server.limits import MEGA, limits
from flowlab.settings import RunSettings
from flowlab.training.metrics import parameter_count
from flowlab.training.recipe import fitted

#: What a person's jobs are called in the queue, besides the person's name: those of pages, and
#: those of comparisons and sweeps.
PARTS = ("", ".compare", ".sweep")
FOREIGN = "This is another visitor's: you can look at it, but not steer or change it."
ROOM = "The operator of this server sets how much room the runs may take."


class NotYours(ValueError):
    """Somebody wants to steer or change what is another visitor's."""


class Owned(Protocol):
    """Something that is somebody's: a run in memory or on disk, or a comparison."""

    @property
    def visitor(self) -> str:
        """Whose it is."""


def owns(thing: Owned, visitor: str) -> bool:
    """Whether a visitor may steer and change something: where the server is not shared, always."""
    return not limits().shared or bool(visitor) and thing.visitor == visitor


def must_own(thing: Owned, visitor: str) -> None:
    """Raise `NotYours` where a visitor may not steer and change something."""
    if not owns(thing, visitor):
        raise NotYours(FOREIGN)


def engine(preload: tuple[str, ...] = (), workers: int | None = None) -> Engine:
    """Make the engine that the environment asks for (`flowlab.jobs.choose.engine`).

    Parameters
    ----------
    preload : tuple of str
    workers : int or None
        How many runs go on at once; as many as the limits say, or as cores, by default.
    """
    return choose.engine(preload, limits().max_workers if workers is None else workers,
                         limits().max_seconds, limits().turn)


def store(folder: Path | None = None) -> Store:
    """Open the store of runs, no larger than the limits allow."""
    most = limits().max_disk
    return Store(folder, None if most is None else most * MEGA)


class Door:
    """Lets trainings in, as many and as large as the operator allows.

    Parameters
    ----------
    engine : Engine
    store : Store
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine, self.store = engine, store
        self._lock = threading.Lock()

    @contextmanager
    def admitted(self, asked: Sequence[RunSettings], owner: str, more: int = 0,
                 epochs: bool = True) -> Iterator[None]:
        """Within the block these trainings may be submitted, and no others meanwhile.

        Parameters
        ----------
        asked : sequence of RunSettings
        owner : str
            As for the engine, without the part after the point.
        more : int
            Jobs besides these trainings.
        epochs : bool
            As in `check`.

        Raises
        ------
        flowlab.server.limits.Exceeded
            With one sentence that names the limit, for what is more than the operator allows.
        """
        for settings in asked:
            check(settings, epochs)
        if limits().max_disk is not None:
            check_room(self.store.used())
        with self._lock:
            if limits().max_runs is not None:
                check_count(len(asked) + more, self.active(owner))
            yield

    def active(self, owner: str) -> int:
        """How many jobs of this owner are in the queue or under way."""
        count = 0
        for run_id in (i for part in PARTS for i in self.engine.runs(owner + part)):
            with suppress(UnknownRun):  # forgotten just now
                count += self.engine.status(run_id).active
        return count


def check(settings: RunSettings, epochs: bool = True) -> None:
    """Refuse a training that is too long or too large, by `flowlab.server.limits.Exceeded`.

    Parameters
    ----------
    settings : RunSettings
    epochs : bool
        Whether its epochs count: not where another budget ends it.
    """
    asked = settings.training.epochs
    if epochs:
        limits().refuse("max_epochs", asked, f"This training has {asked:,} epochs",
                        "ask for fewer")
    if limits().max_parameters is not None:
        size = parameter_count(fitted(settings.flow, source_of(settings.source)))
        limits().refuse("max_parameters", size, f"This flow has {size:,} parameters",
                        "take fewer or narrower layers")


def check_count(asked: int, active: int) -> None:
    """Refuse to start more trainings than one visitor may have, besides those already active."""
    what = (f"You have {active:,} in the queue or under way" if asked == 1
            else f"This would be {asked:,} trainings at once" if not active
            else f"This would be {asked:,} trainings besides your {active:,} under way")
    limits().refuse("max_runs", asked + active, what, "wait, or stop one" if asked == 1
                    else "take fewer")


def check_room(used: int) -> None:
    """Refuse a training where all runs take as many bytes on disk as they may."""
    limits().refuse("max_disk", used / MEGA, f"All runs take {used / MEGA:,.0f} MB on disk",
                    "delete some that are no longer needed")
