"""The fast path of flows on vectors: their layers as compiled loops, by numba.

Where it cannot be had, the layers themselves compute, more slowly.
"""

import logging

try:
    from flowlab.bijections.fast.chain import likelihood, through
except (ImportError, RuntimeError) as error:  # no numba, or no folder for what it compiles
    logging.getLogger(__name__).warning(
        "Flows train and evaluate at a third of the speed or less, without numba: %s", error)

    def likelihood(*_: object) -> None:
        """None: there are no compiled loops."""

    def through(*_: object) -> None:
        """None: there are no compiled loops."""

__all__ = ["likelihood", "through"]
