"""Chooses the engine by the environment."""

import os

from flowlab.jobs.engine import Engine
from flowlab.jobs.local import Local
from flowlab.jobs.ray.engine import Ray


def is_local() -> bool:
    """Whether trainings run on this machine."""
    return os.environ.get("FLOWLAB_ENGINE", "local") == "local"


def engine(preload: tuple[str, ...] = (), workers: int | None = None,
           seconds: float | None = None, turn: float | None = None) -> Engine:
    """Make an engine: `Local`, or `Ray` where the environment has ``FLOWLAB_ENGINE=ray``.

    Parameters
    ----------
    preload : tuple of str
        Modules that workers import before their first run; what stands behind a colon is called.
    workers : int or None
        How many runs go on at once; by default the number of cores.
    seconds : float or None
        How long a run may have a worker, pauses included, before it is stopped.
    turn : float or None
        As in `Local`; a cluster grows instead.

    Raises
    ------
    ValueError
        If ``FLOWLAB_ENGINE`` is something else.
    """
    name = os.environ.get("FLOWLAB_ENGINE", "local")
    if name not in ("local", "ray"):
        raise ValueError(f"FLOWLAB_ENGINE is {name!r}: set it to 'local' or 'ray'.")
    if name == "local":
        return Local(workers, preload, seconds=seconds, turn=turn)
    return Ray(workers, preload, seconds=seconds)
