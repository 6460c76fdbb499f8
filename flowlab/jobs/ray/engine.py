"""The engine for several machines: tasks of Ray."""

import atexit

from flowlab.jobs.local import cores
from flowlab.jobs.queued import Desk, refuse_in_worker
from flowlab.jobs.ray.cluster import connect, leave
from flowlab.jobs.ray.pool import RayPool


class Ray(Desk):
    """Ray's worker processes, on this machine or on a cluster.

    Where the environment variable ``RAY_ADDRESS`` names a cluster, runs go to its machines;
    otherwise Ray starts here, which takes some seconds, open to this machine only, and ends with
    the last engine.  This process keeps the queue, the events and the results.

    A run whose worker or machine dies is taken up again on another:

    - Where nothing has come from it, it begins again.
    - Where its function has an attribute ``resume``, a function of the settings and the last event
      that returns the settings to go on with, it goes on from there: the next event follows the
      last one.  A value that was sent after that event is sent again.
    - Otherwise, or after so many `retries`, it is lost, as on one machine.

    The status says so in its message.  A run that was paused is paused again.

    A run that is paused takes no core.  A resumed run goes on at once.

    Parameters
    ----------
    workers : int or None
        How many runs go on at once; by default as many as this machine, or the cluster, has cores,
        machines that come and go included.
    preload : tuple of str
        Modules that workers import before their first run.
    threads : int
        PyTorch threads of each worker.
    spare : int
        How many runs more may go on while others are paused.
    retries : int
        How often a run is taken up again.
    grace : float
        Seconds a generator gets to end after a stop, before Ray cancels its task.
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
    A function that can be resumed::

        def count(start):
            for i in range(start, 100):
                yield i

        count.resume = lambda settings, event: event + 1
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
            leave(self._cluster)
        atexit.unregister(self.close)
