"""The memory of a process that runs for months."""

import ctypes
import gc
from contextlib import suppress

MMAP_THRESHOLD, ARENA_MAX = -3, -8  # names of malloc.h
LARGE = 64 * 1024  # bytes


def settle() -> None:
    """Prepare for a long life; to be called when all that stays is imported and made.

    Python's full collections then leave out what is there already: some hundred thousand objects,
    which stop all threads for a quarter of a second each time.
    """
    _return_large()
    gc.collect()
    gc.freeze()


def _return_large() -> None:
    """Have the C library return blocks of 64 kB and more to the system once they are free.

    glibc by itself comes to keep larger and larger ones for later, in an arena for every few
    threads: a server that takes in pictures and drops them grows for hours. With another library
    nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGE)
        mallopt(ARENA_MAX, 2)
