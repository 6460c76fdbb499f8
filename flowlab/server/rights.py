"""Who may do what on a shared server, and how much; `flowlab.ui.app.lab.Lab` asks here."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from flowlab.jobs import Engine, UnknownRun
from flowlab.runs import Store
from flowlab.server.admission import check, check_count, check_room
from flowlab.server.limits import limits
from flowlab.settings import RunSettings

#: What a person's jobs are called in the queue, besides the person's name: those of pages, and
#: those of comparisons and sweeps.
PARTS = ("", ".compare", ".sweep")
FOREIGN = "This is another visitor's: you can look at it, but not steer or change it."
ROOM = "The operator of this server sets how much room the runs may take."


class NotYours(ValueError):
    """Somebody wants to steer or change what is another visitor's."""


class Owned(Protocol):
    """Something that is somebody's: a run in memory or on disk, or a comparison.

    Attributes
    ----------
    visitor : str
    """

    visitor: str


def owns(thing: Owned, visitor: str) -> bool:
    """Whether a visitor may steer and change something: where the server is not shared, always."""
    return not limits().shared or bool(visitor) and thing.visitor == visitor


def must_own(thing: Owned, visitor: str) -> None:
    """Raise `NotYours` where a visitor may not steer and change something."""
    if not owns(thing, visitor):
        raise NotYours(FOREIGN)


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
            As in `flowlab.server.admission.check`.

        Raises
        ------
        flowlab.server.limits.Exceeded
            With one sentence, for what is more than the operator allows.
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
