"""Runs as an engine keeps them, and the order in which the waiting ones start."""

import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flowlab.jobs.engine import ACTIVE, Status

log = logging.getLogger(__name__)
_PLACE = re.compile(r'File ".*?([^/\\"]+)", line (\d+)')


@dataclass(eq=False)
class Run:
    """One run: what was asked, where it stands, what it has reported.

    Attributes
    ----------
    owner : str
        Who asked for it.
    request : tuple
        What the worker needs to start.
    commands : list
        Messages that the worker gets when the run starts, or goes on.
    turn : int
        When it started, among all that have; -1 before.
    stop_by : float or None
        After a stop: when patience ends (``time.monotonic``).
    fault : str
        What the parent found wrong with it while it runs.
    label : str
        What it is, in a fixed word, for the log.
    leave : object
        What, sent in, has it leave its worker to others; None where it cannot.
    leaving : bool
        Whether it has been asked to.
    begun : float
        When it was queued, or got its worker, the last time (``time.monotonic``).
    used : float
        Seconds that it had a worker before.
    late : str
        Why it is stopped before its time, where it took too long.
    quiet : bool
        Whether the log says nothing of it.
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
    leave: Any = None
    leaving: bool = False
    begun: float = field(default_factory=time.monotonic)
    used: float = 0.0
    late: str = ""
    quiet: bool = False

    @property
    def seconds(self) -> float:
        """How long it has had a worker, pauses included."""
        at_work = self.state in ("running", "paused")
        return self.used + (time.monotonic() - self.begun if at_work else 0.0)

    def status(self) -> Status:
        """The run as others see it."""
        return Status(self.state, self.position, self.message, len(self.events), self.traceback,
                      bool(self.late) and self.state == "stopped")

    def end(self, state: str, message: str = "", traceback: str = "", result: Any = None) -> None:
        """Enter a final state."""
        self.used, self.state, self.position = self.seconds, state, 0
        self.request, self.commands = (), []
        self.message = self.late if self.late and state == "stopped" else message
        self.traceback, self.result, self.stop_by = traceback, result, None
        # An error's text may hold a user's words; its kind and its place do not.
        place = _PLACE.findall(traceback)
        self.tell(state, logging.WARNING if state in ("failed", "lost") else logging.INFO,
                  seconds=round(self.used, 1) if self.turn >= 0 else None,
                  error=message.partition(":")[0] if place else None,
                  at=":".join(place[-1]) if place else None)

    def tell(self, what: str, level: int = logging.INFO, **facts: str | float | None) -> None:
        """Log what has become of it."""
        if self.quiet:
            return
        log.log(level, f"run {what}",
                extra={"facts": {"run": self.id, "model": self.label or None, **facts}})


def fair_order(queued: Iterable[Run], going: Counter[str], served: dict[str, int]) -> list[Run]:
    """The order in which queued runs start: owners take turns, each owner's runs in their order.

    Parameters
    ----------
    queued : iterable of Run
        The runs that wait.
    going : Counter
        How many runs of each owner have a worker now: the fewer, the sooner the next one.
    served : dict
        When each owner's last run started (any rising number); breaks ties.

    Returns
    -------
    list of Run
        First to start first.
    """
    ahead = Counter(going)
    keys = {}
    for run in sorted(queued, key=lambda run: run.number):
        keys[run] = (ahead[run.owner], served.get(run.owner, -1), run.number)
        ahead[run.owner] += 1
    return sorted(keys, key=keys.__getitem__)


class Queue:
    """All runs of an engine, and which of them waits; whoever uses it holds the engine's lock.

    Parameters
    ----------
    seconds : float or None
        How long a run may have a worker, pauses included.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.runs: dict[str, Run] = {}
        self.waiting: list[Run] = []
        self._turns = count()

    def add(self, run: Run) -> None:
        """Let a run wait."""
        self.runs[run.id] = run
        self.waiting.append(run)
        run.tell("queued", waiting=len(self.waiting))

    def order(self, going: Counter[str]) -> None:
        """Put those that wait in order, where so many runs of each owner have a worker."""
        started = sorted(self.runs.values(), key=lambda run: run.turn)
        self.waiting = fair_order(self.waiting, going, {run.owner: run.turn for run in started})

    def back(self, run: Run, request: tuple) -> None:
        """Let a run that has left its worker wait for its next turn."""
        run.used, run.state, run.begun = run.seconds, "queued", time.monotonic()
        run.request, run.leaving = request, False
        self.waiting.append(run)
        run.tell("made room", seconds=round(run.used, 1), waiting=len(self.waiting))

    def over(self, turn: float) -> list[Run]:
        """Runs whose turn is over, and that a run of somebody with fewer at work waits for."""
        at_work = [run for run in self.runs.values() if run.state in ("running", "paused")]
        going = Counter(run.owner for run in at_work if not run.leaving)
        owners = [run.owner for run in self.waiting]
        for _ in range(min(sum(run.leaving for run in at_work), len(owners))):
            going[owners.pop(0)] += 1  # they get the workers of those that leave already
        found = []
        for run in sorted(at_work, key=lambda run: run.begun):
            ready = (run.state == "running" and run.leave is not None and not run.leaving
                     and time.monotonic() - run.begun > turn)
            behind = [owner for owner in owners if going[owner] < going[run.owner]]
            if ready and behind:
                other = behind[0]
                going[run.owner] -= 1
                going[other] += 1
                owners.remove(other)
                found.append(run)
        return found

    def start(self) -> Run:
        """Take out the first run."""
        run = self.waiting.pop(0)
        run.state, run.position, run.message = "running", 0, ""
        run.turn = next(self._turns)
        now = time.monotonic()
        run.tell("started", waited=round(now - run.begun, 1))
        run.begun = now
        return run

    def overdue(self) -> list[Run]:
        """Runs that have just taken too long and are to be stopped, each once."""
        if self.seconds is None:
            return []
        found = [run for run in self.runs.values() if run.state in ACTIVE and not run.late
                 and run.seconds > self.seconds]
        for run in found:
            run.late = (f"Stopped after {self.seconds:g} s, the longest that a run may take here "
                        "(max_seconds).")
        return found

    def drop(self, run: Run) -> None:
        """End a run that still waits."""
        self.waiting.remove(run)
        run.end("stopped", "Stopped before it started." if run.turn < 0 else "")

    def number(self, blocked: bool) -> None:
        """Tell those that wait their places, and whether paused runs hold every worker."""
        for place, run in enumerate(self.waiting, 1):
            run.position = place
            run.message = f"Number {place} in the queue" + (
                ", and paused runs hold every worker." if blocked else "."
            )

    def close(self) -> None:
        """End every run that is not over."""
        self.waiting.clear()
        for run in self.runs.values():
            if run.state in ACTIVE:
                run.end("stopped", "Stopped because the engine was closed.")
