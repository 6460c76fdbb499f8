"""Arithmetic without denormal numbers, those below 1e-38, with which a processor is far slower."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALLEST = 5e-324  # itself denormal, so it is 0 where these are left out


@contextmanager
def without_denormals() -> Iterator[None]:
    """Take denormal numbers for 0 in this thread, where the processor can.

    Adam's first moments pass through their range when a unit gives no gradient any more. No weight
    feels the difference.
    """
    before = SMALLEST * 1.0 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
