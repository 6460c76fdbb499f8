"""Which engine the lab uses: one setting for the app, comparisons and sweeps."""

import os

from flowlab.jobs.engine import Engine
from flowlab.jobs.local import Local

#: Names the engine: ``local``, worker processes on this machine, or ``ray``.
VARIABLE = "FLOWLAB_ENGINE"


def engine(preload: tuple[str, ...] = (), workers: int | None = None) -> Engine:
    """The engine that the environment variable ``FLOWLAB_ENGINE`` names; `Local` by default.

    Parameters
    ----------
    preload : tuple of str
        Modules that workers import before their first run.
    workers : int or None
        How many runs go on at once; as many as cores by default.

    Raises
    ------
    ValueError
        If there is no such engine, or what it needs is not installed.
    """
    name = os.environ.get(VARIABLE, "local")
    if name == "local":
        return Local(workers, preload)
    if name != "ray":
        raise ValueError(f"{VARIABLE} is {name!r}, but it should be local or ray.")
    try:
        from flowlab.jobs.ray import Ray
    except ImportError as error:
        raise ValueError("The Ray engine needs Ray: pip install -r requirements-ray.txt, or leave "
                         f"{VARIABLE} out.") from error
    return Ray(workers, preload)
