"""The engine for several machines: tasks of Ray."""

import atexit

from flowlab.jobs.local import cores
from flowlab.jobs.queued import QueuedEngine, refuse_in_worker
from flowlab.jobs.ray.cluster import connect, disconnect
from flowlab.jobs.ray.pool import RayPool


class Ray(QueuedEngine):
    """Ray's worker processes, on this machine or on a cluster.

    Where the environment variable ``RAY_ADDRESS`` names a cluster, runs go to its machines;
    otherwise Ray starts here within some seconds, is closed to other machines, and ends with the
    last engine. This process keeps the queue, the events and the results.

    A run whose worker or machine dies is restarted on another:

    - Without any event so far, it begins again.
    - Where its `flowlab.jobs.engine.Job` says how to ``resume`` it, it continues there: the next
      event follows the last one. A value that was sent after that event is sent again.
    - Otherwise, or after `retries` restarts, it is lost, as on one machine.

    The message of the status says so. A run that was paused is paused again.

    A paused run takes no core. A resumed run continues at once.

    Parameters
    ----------
    workers : int or None
        How many runs go on at once; by default the number of cores of this machine or of the
        cluster, which may change.
    preload : tuple of str
        Modules that workers import before their first run; what stands behind a colon is called.
    threads : int
        PyTorch threads of each worker.
    spare : int
        How many further runs may go on while others are paused.
    retries : int
        How often a run is restarted.
    grace : float
        Seconds that a generator gets to end after a stop, before Ray cancels its task.
    seconds : float or None
        How long a run may take from its start, pauses included, before it is stopped.

    Raises
    ------
    ImportError
        If Ray is not installed.
    ValueError
        If a number is out of range, or ``RAY_ADDRESS`` is one of Ray Client.
    RuntimeError
        If no cluster answers at ``RAY_ADDRESS``, or if called inside a worker.

    Examples
    --------
    A job that can be resumed::

        def count(start):
            for i in range(start, 100):
                yield i

        engine.submit(Job(count, 0, resume=lambda start, event: event + 1))
    """

    def __init__(
        self,
        workers: int | None = None,
        preload: tuple[str, ...] = (),
        *,
        threads: int = 1,
        spare: int = 8,
        retries: int = 3,
        grace: float = 15.0,
        seconds: float | None = None,
    ) -> None:
        refuse_in_worker()
        if workers is not None and workers < 1 or threads < 1 or min(spare, retries, grace) < 0:
            raise ValueError(
                "Ray needs at least one worker and one thread, and neither spare workers nor "
                f"retries nor grace below zero; got {workers=}, {threads=}, {spare=}, {retries=}, "
                f"{grace=}."
            )
        preload = (preload,) if isinstance(preload, str) else tuple(preload)
        self._cluster = connect(cores() if workers is None else workers)
        self._pool = RayPool(self._cluster, workers, spare, retries, grace, threads, preload,
                             seconds)
        atexit.register(self.close)

    def close(self) -> None:
        if not self._pool.closed:
            self._pool.close()
            disconnect(self._cluster)
        atexit.unregister(self.close)
