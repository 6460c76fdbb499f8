"""Access on a shared server: who may change what, and which trainings the limits admit."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from flowlab.data import source_of
from flowlab.jobs import Engine, choose
from flowlab.runs import Store
from flowlab.server.limits import MEGA, limits
from flowlab.settings import RunSettings
from flowlab.training.epochs import batches
from flowlab.training.metrics import parameter_count
from flowlab.training.recipe import fitted

#: Suffixes of a visitor's name as owner of jobs: of pages, comparisons and sweeps.
OWNER_SUFFIXES = ("", ".compare", ".compare.measure", ".sweep")
FOREIGN = "This is another visitor's: you can look at it, but not steer or change it."
QUOTA = "The operator of this server sets the disk quota of the runs."


class NotYours(ValueError):
    """A visitor tries to control or change what belongs to another."""


class Owned(Protocol):
    """Something with an owner: a run in memory or on disk, or a comparison."""

    @property
    def visitor(self) -> str:
        """Whose it is."""


def owns(thing: Owned, visitor: str) -> bool:
    """Whether a visitor may control and change something; always, unless the server is shared."""
    return not limits().shared or bool(visitor) and thing.visitor == visitor


def must_own(thing: Owned, visitor: str) -> None:
    """Raise `NotYours` where a visitor may not control and change something."""
    if not owns(thing, visitor):
        raise NotYours(FOREIGN)


def engine(preload: tuple[str, ...] = (), workers: int | None = None) -> Engine:
    """Make the engine that the environment asks for (`flowlab.jobs.choose.engine`).

    Parameters
    ----------
    preload : tuple of str
    workers : int or None
        How many runs go on at once; by default the limit, or the number of cores.
    """
    return choose.engine(preload, limits().max_workers if workers is None else workers,
                         limits().max_seconds, limits().turn)


def store(folder: Path | None = None) -> Store:
    """Open the store of runs, with the operator's disk quota."""
    quota = limits().max_disk
    return Store(folder, None if quota is None else quota * MEGA)


class Admission:
    """Admits trainings within the operator's limits.

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
        """Admit trainings, which are submitted within the block; other callers wait.

        Parameters
        ----------
        asked : sequence of RunSettings
        owner : str
            As for the engine, without suffix.
        more : int
            Number of jobs besides these trainings.
        epochs : bool
            As in `check`.

        Raises
        ------
        flowlab.server.limits.Exceeded
            With one sentence that names the limit that is exceeded.
        """
        for settings in asked:
            check(settings, epochs)
        if limits().max_disk is not None:
            check_quota(self.store.used())
        with self._lock:
            if limits().max_runs is not None:
                check_count(len(asked) + more, self.active(owner))
            yield

    def active(self, owner: str) -> int:
        """The number of this owner's jobs that are queued or running."""
        return sum(status.active for suffix in OWNER_SUFFIXES
                   for status in self.engine.statuses(owner + suffix).values())


def check(settings: RunSettings, epochs: bool = True) -> None:
    """Raise `flowlab.server.limits.Exceeded` for a training that is too long or too large.

    Parameters
    ----------
    settings : RunSettings
    epochs : bool
        Whether to check its epochs; not where another budget ends it.
    """
    if epochs:
        _check_budget(settings)
    if limits().max_parameters is not None:
        size = parameter_count(fitted(settings.flow, source_of(settings.source)))
        limits().refuse("max_parameters", size, f"This flow has {size:,} parameters",
                        "use fewer or narrower layers")


def _check_budget(settings: RunSettings) -> None:
    training = settings.training
    unit, amount = training.budget
    what = f"This training has {training.length}"
    if unit == "seconds":  # their epochs are not known before
        limits().refuse("max_seconds", amount, what, "ask for fewer")
        if limits().max_seconds is None:
            limits().refuse("max_epochs", None, what, "ask for epochs")
    elif unit == "steps":
        count = math.ceil(amount / batches(source_of(settings.source), training))
        limits().refuse("max_epochs", count, f"{what}, which are {count:,} epochs",
                        "ask for fewer")
    else:
        limits().refuse("max_epochs", amount, what, "ask for fewer")


def check_count(asked: int, active: int) -> None:
    """Raise `Exceeded` where one visitor would have too many active trainings."""
    what = (f"You have {active:,} in the queue or under way" if asked == 1
            else f"This would be {asked:,} trainings at once" if not active
            else f"This would be {asked:,} trainings besides your {active:,} under way")
    limits().refuse("max_runs", asked + active, what, "wait, or stop one" if asked == 1
                    else "take fewer")


def check_quota(used: int) -> None:
    """Raise `Exceeded` where the runs exceed their disk quota; ``used`` is in bytes."""
    limits().refuse("max_disk", used / MEGA, f"All runs take {used / MEGA:,.0f} MB on disk",
                    "delete some that are no longer needed")
