"""The engine for one machine: warm worker processes and a fair queue."""

import atexit
import os
from collections.abc import Callable, Generator
from typing import Any

from flowlab.jobs.engine import ACTIONS, ACTIVE, Engine, Status, UnknownRun
from flowlab.jobs.fair import Run
from flowlab.jobs.pool import Pool
from flowlab.jobs.process import MARK, encode
from flowlab.jobs.request import make_request, pickled


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Local(Engine):
    """Worker processes on this machine.

    The workers start in the background and import `preload`; the constructor does not wait.
    A run that is paused keeps its worker.  Where paused runs hold workers that others wait for, or
    hold all of them, further workers start, at most `spare`; they end when they are too many.
    A resumed run goes on at once, so for a while more than `workers` runs may share the cores.

    Events and results stay in memory until `forget`.

    Parameters
    ----------
    workers : int or None
        How many runs go on at once; as many as cores by default.
    preload : tuple of str
        Modules that workers import before their first run.
    threads : int
        PyTorch threads of each worker.
    spare : int
        How many workers more may start while paused runs hold theirs.
    grace : float
        Seconds a generator gets to end after a stop, before its process is killed.

    Raises
    ------
    ValueError
        If a number is out of range.
    RuntimeError
        If called inside a worker, as an unguarded main script does when it is imported there.
    """

    def __init__(
        self,
        workers: int | None = None,
        preload: tuple[str, ...] = (),
        *,
        threads: int = 1,
        spare: int = 8,
        grace: float = 5.0,
    ) -> None:
        if MARK in os.environ:
            raise RuntimeError(
                "A worker starts no engine of its own: put what the script does under "
                "`if __name__ == '__main__':`."
            )
        workers = cores() if workers is None else workers
        if workers < 1 or threads < 1 or spare < 0 or grace < 0:
            raise ValueError(
                "Local needs at least one worker and one thread, and neither spare workers nor "
                f"grace below zero; got {workers=}, {threads=}, {spare=}, {grace=}."
            )
        preload = (preload,) if isinstance(preload, str) else tuple(preload)
        self._pool = Pool(workers, spare, grace, (threads, grace, preload))
        self._lock = self._pool.lock
        atexit.register(self.close)

    @property
    def ready(self) -> int:
        """How many workers have done their imports."""
        with self._lock:
            return sum(process.ready for process in self._pool.processes)

    def submit(self, function: Callable[[Any], Generator], settings: Any, owner: str = "",
               first: str = "") -> str:
        if first not in ("", "pause", "step"):
            raise ValueError(f"A run can start with 'pause' or 'step'; got {first!r}.")
        run = Run(owner, make_request(function, settings))
        if first:
            run.commands.append(encode((first, run.id, None)))
        with self._lock:
            if self._pool.closed:
                raise RuntimeError("The engine is closed.")
            self._pool.add(run)
        return run.id

    def events(self, run_id: str, since: int = 0) -> list:
        if since < 0:
            raise ValueError(f"since counts from 0; got {since}.")
        with self._lock:
            return self._find(run_id).events[since:]

    def release(self, run_id: str, before: int) -> None:
        with self._lock:
            events = self._find(run_id).events
            for index in range(min(before, len(events)) - 1, -1, -1):
                if events[index] is None:
                    break
                events[index] = None

    def control(self, run_id: str, action: str, value: Any = None) -> None:
        if action not in ACTIONS:
            raise ValueError(f"Unknown action {action!r}: use one of {', '.join(ACTIONS)}.")
        if (action == "send") == (value is None):
            raise ValueError("A value goes with 'send', and only with it.")
        pickled("The value", value, "keep to plain data")
        with self._lock:
            run = self._find(run_id)
            if run.state in ACTIVE:
                self._pool.command(run, action, value)

    def result(self, run_id: str) -> Any:
        with self._lock:
            return self._find(run_id).result

    def status(self, run_id: str) -> Status:
        with self._lock:
            return self._find(run_id).status()

    def runs(self, owner: str | None = None) -> list[str]:
        with self._lock:
            return [run.id for run in self._pool.runs.values() if owner in (None, run.owner)]

    def forget(self, run_id: str) -> None:
        with self._lock:
            if self._find(run_id).state in ACTIVE:
                raise ValueError(f"Run {run_id} is still going on: stop it first.")
            del self._pool.runs[run_id]

    def close(self) -> None:
        self._pool.close()
        atexit.unregister(self.close)

    def _find(self, run_id: str) -> Run:
        try:
            return self._pool.runs[run_id]
        except KeyError:
            raise UnknownRun(
                f"There is no run {run_id!r}: it was never submitted here, or it was forgotten."
            ) from None
