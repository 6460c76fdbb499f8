"""The runs of an engine, and the order in which queued runs start."""

import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flowlab.jobs.engine import ACTIVE, Status

log = logging.getLogger(__name__)
_PLACE = re.compile(r'File ".*?([^/\\"]+)", line (\d+)')


@dataclass(eq=False)
class QueuedRun:
    """One run of an engine: its request, its state and its events.

    Attributes
    ----------
    owner : str
        Whose run it is.
    request : tuple
        What the worker needs to start.
    commands : list
        Messages that the worker gets when the run starts or continues.
    turn : int
        Its rank among all starts of runs; -1 before it starts.
    stop_by : float or None
        After a stop: when its worker is killed (``time.monotonic``).
    fault : str
        An error that the parent found while the run goes on.
    label, quiet, preempt, resume
        As in `flowlab.jobs.engine.Job`.
    preempting : bool
        Whether ``preempt`` has been sent.
    begun : float
        When the run was last queued or given a worker (``time.monotonic``).
    used : float
        Seconds that it had a worker in earlier turns.
    late : str
        The sentence of a run that is stopped because it took too long.
    """

    owner: str
    request: tuple
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    number: int = field(default_factory=count().__next__)
    state: str = "queued"
    position: int = 0
    message: str = ""
    traceback: str = ""
    events: list = field(default_factory=list)
    result: Any = None
    commands: list = field(default_factory=list)
    turn: int = -1
    stop_by: float | None = None
    fault: str = ""
    label: str = ""
    quiet: bool = False
    preempt: Any = None
    resume: Callable[[Any, Any], Any] | None = None
    preempting: bool = False
    begun: float = field(default_factory=time.monotonic)
    used: float = 0.0
    late: str = ""

    @property
    def seconds(self) -> float:
        """How long the run has had a worker, pauses included."""
        has_worker = self.state in ("running", "paused")
        return self.used + (time.monotonic() - self.begun if has_worker else 0.0)

    def status(self) -> Status:
        """The public status of the run."""
        return Status(self.state, self.position, self.message, len(self.events), self.traceback,
                      bool(self.late) and self.state == "stopped")

    def end(self, state: str, message: str = "", traceback: str = "", result: Any = None) -> None:
        """Enter a final state."""
        self.used, self.state, self.position = self.seconds, state, 0
        self.request, self.commands = (), []
        self.message = self.late if self.late and state == "stopped" else message
        self.traceback, self.result, self.stop_by = traceback, result, None
        # The text of an error may contain a user's data; its type and its place do not.
        place = _PLACE.findall(traceback)
        self.log_event(state, logging.WARNING if state in ("failed", "lost") else logging.INFO,
                  seconds=round(self.used, 1) if self.turn >= 0 else None,
                  error=message.partition(":")[0] if place else None,
                  at=":".join(place[-1]) if place else None)

    def log_event(self, what: str, level: int = logging.INFO, **facts: str | float | None) -> None:
        """Log what happened to the run."""
        if self.quiet:
            return
        log.log(level, f"run {what}",
                extra={"facts": {"run": self.id, "model": self.label or None, **facts}})


def fair_order(queued: Iterable[QueuedRun], going: Counter[str], served: dict[str, int]
               ) -> list[QueuedRun]:
    """The order in which queued runs start: owners take turns, each owner's runs in their order.

    Parameters
    ----------
    queued : iterable of QueuedRun
        The waiting runs.
    going : Counter
        The number of runs of each owner that have a worker; owners with fewer are served first.
    served : dict
        When each owner's last run started (any rising number); breaks ties.

    Returns
    -------
    list of QueuedRun
        The run that starts next comes first.
    """
    ahead = Counter(going)
    keys = {}
    for run in sorted(queued, key=lambda run: run.number):
        keys[run] = (ahead[run.owner], served.get(run.owner, -1), run.number)
        ahead[run.owner] += 1
    return sorted(keys, key=keys.__getitem__)


class Queue:
    """All runs of an engine, and those that wait; callers must hold the engine's lock.

    Parameters
    ----------
    seconds : float or None
        How long a run may have a worker, pauses included.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.runs: dict[str, QueuedRun] = {}
        self.waiting: list[QueuedRun] = []
        self._turns = count()

    def add(self, run: QueuedRun) -> None:
        """Queue a new run."""
        self.runs[run.id] = run
        self.waiting.append(run)
        run.log_event("queued", waiting=len(self.waiting))

    def order(self, going: Counter[str]) -> None:
        """Sort the waiting runs, given the number of runs of each owner that have a worker."""
        started = sorted(self.runs.values(), key=lambda run: run.turn)
        self.waiting = fair_order(self.waiting, going, {run.owner: run.turn for run in started})

    def requeue(self, run: QueuedRun, request: tuple) -> None:
        """Queue a preempted run for its next turn."""
        run.used, run.state, run.begun = run.seconds, "queued", time.monotonic()
        run.request, run.preempting = request, False
        self.waiting.append(run)
        run.log_event("made room", seconds=round(run.used, 1), waiting=len(self.waiting))

    def to_preempt(self, turn: float) -> list[QueuedRun]:
        """Runs whose turn is over while a run of an owner with fewer workers waits."""
        started = [run for run in self.runs.values() if run.state in ("running", "paused")]
        going = Counter(run.owner for run in started if not run.preempting)
        owners = [run.owner for run in self.waiting]
        for _ in range(min(sum(run.preempting for run in started), len(owners))):
            going[owners.pop(0)] += 1  # they get the workers of the runs being preempted
        found = []
        for run in sorted(started, key=lambda run: run.begun):
            ready = (run.state == "running" and run.preempt is not None and not run.preempting
                     and time.monotonic() - run.begun > turn)
            behind = [owner for owner in owners if going[owner] < going[run.owner]]
            if ready and behind:
                other = behind[0]
                going[run.owner] -= 1
                going[other] += 1
                owners.remove(other)
                found.append(run)
        return found

    def start(self) -> QueuedRun:
        """Take the first run out of the queue."""
        run = self.waiting.pop(0)
        run.state, run.position, run.message = "running", 0, ""
        run.turn = next(self._turns)
        now = time.monotonic()
        run.log_event("started", waited=round(now - run.begun, 1))
        run.begun = now
        return run

    def overdue(self) -> list[QueuedRun]:
        """Runs that exceed the time limit and must be stopped; each is returned once."""
        if self.seconds is None:
            return []
        found = [run for run in self.runs.values() if run.state in ACTIVE and not run.late
                 and run.seconds > self.seconds]
        for run in found:
            run.late = (f"Stopped after {self.seconds:g} s, the longest that a run may take here "
                        "(max_seconds).")
        return found

    def drop(self, run: QueuedRun) -> None:
        """End a waiting run."""
        self.waiting.remove(run)
        run.end("stopped", "Stopped before it started." if run.turn < 0 else "")

    def number(self, blocked: bool) -> None:
        """Set the places of waiting runs, and note whether paused runs hold every worker."""
        for place, run in enumerate(self.waiting, 1):
            run.position = place
            run.message = f"Number {place} in the queue" + (
                ", and paused runs hold every worker." if blocked else "."
            )

    def close(self) -> None:
        """End every active run."""
        self.waiting.clear()
        for run in self.runs.values():
            if run.state in ACTIVE:
                run.end("stopped", "Stopped because the engine was closed.")
