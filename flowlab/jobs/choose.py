"""The engine that the program's surroundings ask for."""

import os

from flowlab.jobs.engine import Engine
from flowlab.jobs.local import Local
from flowlab.jobs.ray.engine import Ray
from flowlab.server.limits import limits

ENGINES = {"local": Local, "ray": Ray}


def is_local() -> bool:
    """Whether trainings run on this machine."""
    return os.environ.get("FLOWLAB_ENGINE", "local") == "local"


def engine(preload: tuple[str, ...] = (), workers: int | None = None) -> Engine:
    """A new engine: `Local`, or `Ray` where the environment has ``FLOWLAB_ENGINE=ray``.

    Parameters
    ----------
    preload : tuple of str
        Modules that workers import before their first run.
    workers : int or None
        How many runs go on at once; as many as `flowlab.server.limits` says, or as cores, by
        default.

    Raises
    ------
    ValueError
        If ``FLOWLAB_ENGINE`` is something else.
    """
    name = os.environ.get("FLOWLAB_ENGINE", "local")
    if name not in ENGINES:
        raise ValueError(f"FLOWLAB_ENGINE is {name!r}: set it to 'local' or 'ray'.")
    workers = limits().max_workers if workers is None else workers
    turns = {"turn": limits().turn} if name == "local" else {}  # a cluster grows instead
    return ENGINES[name](workers, preload, seconds=limits().max_seconds, **turns)
