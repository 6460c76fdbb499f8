"""The fast paths: layers as compiled loops, by numba, for vectors and for Glow's steps on images.

Where they cannot be had, the layers themselves compute, more slowly.
"""

import logging
from contextlib import AbstractContextManager, nullcontext

try:
    from flowlab.bijections.fast.chain import likelihood, through
    from flowlab.bijections.fast.images import through as through_images
    from flowlab.bijections.fast.threads import FreeCores
except (ImportError, RuntimeError) as error:  # no numba, or no folder for what it compiles
    logging.getLogger(__name__).warning(
        "Flows train and evaluate at a third of the speed or less, without numba: %s", error)

    def likelihood(*_: object) -> None:
        """None: there are no compiled loops."""

    def through(*_: object) -> None:
        """None: there are no compiled loops."""

    through_images = through

    class FreeCores:
        """Takes one core."""

        def turn(self) -> AbstractContextManager[None]:
            """Nothing."""
            return nullcontext()

__all__ = ["FreeCores", "likelihood", "through", "through_images"]
