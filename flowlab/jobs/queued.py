"""The base of engines with a queue: accepts runs, keeps them, and reports their status."""

import os
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any, Protocol

from flowlab.jobs.engine import ACTIONS, ACTIVE, Engine, Job, Status, UnknownRun
from flowlab.jobs.process import encode
from flowlab.jobs.queue import Queue, QueuedRun
from flowlab.jobs.request import make_request, pickled
from flowlab.jobs.template import MARK


def refuse_in_worker() -> None:
    """Raise a RuntimeError inside a worker."""
    if MARK in os.environ:
        raise RuntimeError(
            "A worker starts no engine of its own: put what the script does under "
            "`if __name__ == '__main__':`."
        )


class Workers(Protocol):
    """The workers that execute the runs: `flowlab.jobs.pool.Pool`, or its counterpart on a cluster.

    Attributes
    ----------
    lock : threading.RLock
        Held while runs are read or changed.
    queue : Queue
    closed : bool
    """

    lock: Any
    queue: Queue
    closed: bool

    @property
    def ready(self) -> int:
        """How many workers have done their imports."""

    def add(self, run: QueuedRun) -> None:
        """Queue a run."""

    def command(self, run: QueuedRun, action: str, value: object = None) -> None:
        """Pass a command to an active run."""

    def close(self) -> None:
        """Stop every run and end every worker."""


class QueuedEngine(Engine):
    """An engine that keeps its runs in this process until `forget`; `_pool` executes them."""

    _pool: Workers

    def submit(self, function: Callable[[Any], Generator[Any, Any, Any]] | Job,
               settings: Any = None, owner: str = "", first: str = "") -> str:
        if first not in ("", "pause", "step"):
            raise ValueError(f"A run can start with 'pause' or 'step'; got {first!r}.")
        job = function if isinstance(function, Job) else Job(function, settings)
        run = QueuedRun(owner, make_request(job.function, job.settings), label=job.label,
                        quiet=job.quiet, preempt=job.preempt, resume=job.resume)
        if first:
            run.commands.append(encode((first, run.id, None)))
        with self._pool.lock:
            if self._pool.closed:
                raise RuntimeError("The engine is closed.")
            self._pool.add(run)
        return run.id

    def events(self, run_id: str, since: int = 0) -> list:
        if since < 0:
            raise ValueError(f"since counts from 0; got {since}.")
        with self._pool.lock:
            return self._find(run_id).events[since:]

    def release(self, run_id: str, before: int) -> None:
        with self._pool.lock:
            run = self._find(run_id)
            events = run.events
            if run.state not in ACTIVE and before >= len(events):
                run.result = None
            for index in range(min(before, len(events)) - 1, -1, -1):
                if events[index] is None:
                    break
                events[index] = None

    def control(self, run_id: str, action: str, value: Any = None) -> None:
        if action not in ACTIONS:
            raise ValueError(f"Unknown action {action!r}: use one of {', '.join(ACTIONS)}.")
        if ((action == "send" and value is None)
                or (action not in ("send", "step") and value is not None)):
            raise ValueError("A value goes with 'send', or with 'step', and only with them.")
        pickled("The value", value, "keep to plain data")
        with self._pool.lock:
            run = self._find(run_id)
            if run.state in ACTIVE:
                self._pool.command(run, action, value)

    @property
    def ready(self) -> int:
        return self._pool.ready

    def result(self, run_id: str) -> Any:
        with self._pool.lock:
            return self._find(run_id).result

    def status(self, run_id: str) -> Status:
        with self._pool.lock:
            return self._find(run_id).status()

    def runs(self, owner: str | None = None) -> list[str]:
        return list(self.statuses(owner))

    def statuses(self, owner: str | None = None) -> dict[str, Status]:
        with self._pool.lock:
            return {run.id: run.status() for run in self._pool.queue.runs.values()
                    if owner in (None, run.owner)}

    def states(self) -> dict[str, int]:
        """The number of runs in each state."""
        with self._pool.lock:
            return dict(Counter(run.state for run in self._pool.queue.runs.values()))

    def forget(self, run_id: str) -> None:
        with self._pool.lock:
            if self._find(run_id).state in ACTIVE:
                raise ValueError(f"Run {run_id} is still going on: stop it first.")
            del self._pool.queue.runs[run_id]

    def _find(self, run_id: str) -> QueuedRun:
        try:
            return self._pool.queue.runs[run_id]
        except KeyError:
            raise UnknownRun(
                f"There is no run {run_id!r}: it was never submitted here, or it was forgotten."
            ) from None
