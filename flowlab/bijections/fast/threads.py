"""How many threads the compiled loops take: those of PyTorch, or in a training what is free."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numba
import torch

try:
    from numba.np.ufunc import omppool  # noqa: F401

    #: The cores that this process may use, or what ``NUMBA_NUM_THREADS`` sets.
    MOST: int = numba.config.NUMBA_NUM_THREADS
except ImportError:  # what numba has instead ends the process where two calls share work at once
    MOST = 1


def start(threads: int) -> None:
    """Have the next loops take so many threads, and PyTorch as many as before."""
    wanted = torch.get_num_threads()
    numba.set_num_threads(threads)
    if torch.get_num_threads() != wanted:  # the first time, if both have the same OpenMP
        torch.set_num_threads(wanted)


_shared = ContextVar("threads", default=1)


def allowed() -> int:
    """The number of threads that loops may take now: PyTorch's, or a turn's of `FreeCores`."""
    return max(torch.get_num_threads(), _shared.get())


class FreeCores:
    """Takes further threads for short, repeated work while that is faster than one thread.

    On free cores two threads are nearly twice as fast. Where another program needs one of the
    cores, each thread waits for the others, and they are ten times slower. So they are tried now
    and then, the more seldom the more often that failed, and given up once they lose time; the time
    that they gained before covers short disturbances.

    Attributes
    ----------
    threads : int
        For the next turn.
    """

    FIRST, LONGEST = 0.2, 20.0  # seconds between two trials
    TRIAL, CREDIT = 5, 50  # turns' time that may be lost at first, and after as much was gained

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._usual = 0.0  # seconds of a turn with one thread
        self._pause = self.FIRST
        self._change(1)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn: within it, loops may take so many threads."""
        before, begun = _shared.set(self.threads), time.perf_counter()
        try:
            yield
        finally:
            _shared.reset(before)
        self.note(time.perf_counter() - begun)

    def note(self, seconds: float) -> None:
        """Note how long a turn took."""
        passed = time.perf_counter() - self._since
        if self.threads == 1:
            self._usual += (seconds - self._usual) * (0.1 if self._usual else 1)
            if self.most > 1 and passed > self._pause:
                self._change(self.most)
            return
        self._gained = min(self._gained + self._usual - seconds, self.CREDIT * self._usual)
        if self._gained < 0:
            self._pause = self.FIRST if passed > 1 else min(2 * self._pause, self.LONGEST)
            self._change(1)

    def _change(self, threads: int) -> None:
        self.threads, self._since = threads, time.perf_counter()
        self._gained = self.TRIAL * self._usual  # seconds, by further threads
