"""Arithmetic without denormal numbers, those below 1e-38, which slow processors down."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALLEST = 5e-324  # a denormal number, which is 0 where these are flushed


@contextmanager
def without_denormals() -> Iterator[None]:
    """Flush denormal numbers to 0 in this thread, where the processor supports it.

    Adam's first moments become denormal while they decay after a unit's gradient has vanished. The
    weights are not affected.
    """
    before = SMALLEST * 1.0 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
