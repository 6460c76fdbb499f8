"""The engine for one machine: worker processes that are ready, and a fair queue."""

import atexit
import os

from flowlab.jobs.pool import Pool
from flowlab.jobs.queued import QueuedEngine, refuse_in_worker


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Local(QueuedEngine):
    """Worker processes on this machine.

    The workers start in the background and import `preload`; the constructor does not wait.
    On Linux they are forked from one process, which all engines of the program share, and which
    stays until its end; where an import has started threads, on other systems, and with
    ``FLOWLAB_START_METHOD=spawn`` in the environment, each is a new Python.

    A paused run keeps its worker. Where paused runs hold workers that others wait for, or hold all
    of them, up to `spare` further workers start, and end again when they are not needed.
    A resumed run continues at once, so for a while more than `workers` runs may share the cores.

    A run that can be preempted (see `flowlab.jobs.engine.Job`) is, once its turn is over and a run
    of another owner waits; it continues at its next turn.

    Events and results stay in memory until `forget`.

    Parameters
    ----------
    workers : int or None
        How many runs go on at once; by default the number of cores.
    preload : tuple of str
        Modules that workers import before their first run; what stands behind a colon is called.
    threads : int
        PyTorch threads of each worker.
    spare : int
        How many further workers may start while paused runs hold theirs.
    grace : float
        Seconds that a generator gets to end after a stop, before its process is killed.
    seconds : float or None
        How long a run may have a worker, pauses included, before it is stopped.
    turn : float or None
        Seconds after which a run's turn is over; None for never.
    nice : int
        Niceness of the workers, so that the server responds while all cores are busy.

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
        grace: float = 15.0,
        seconds: float | None = None,
        turn: float | None = None,
        nice: int = 10,
    ) -> None:
        refuse_in_worker()
        workers = cores() if workers is None else workers
        if workers < 1 or threads < 1 or spare < 0 or grace < 0 or (turn is not None and turn <= 0):
            raise ValueError(
                "Local needs at least one worker and one thread, and neither spare workers nor "
                f"grace below zero, and a turn above it; got {workers=}, {threads=}, {spare=}, "
                f"{grace=}, {turn=}."
            )
        self.turn = turn
        preload = (preload,) if isinstance(preload, str) else tuple(preload)
        self._pool = Pool(workers, spare, grace, (threads, grace, preload, nice), seconds,
                          turn)
        atexit.register(self.close)

    def close(self) -> None:
        self._pool.close()
        atexit.unregister(self.close)
