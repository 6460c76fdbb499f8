"""Handles Ctrl-C and SIGTERM, so that a command can save its results before it ends."""

import signal
import threading
from types import FrameType
from typing import Self

INTERRUPTED = 128 + signal.SIGINT  # the exit status that shells expect after Ctrl-C


class Stopping:
    """Notes the first such signal within a ``with`` block; the second one interrupts.

    Attributes
    ----------
    signal : int
        The number of the signal; 0 before the first.
    """

    def __init__(self) -> None:
        self.signal = 0

    @property
    def status(self) -> int:
        """The exit status that shells expect from a program ended by the signal."""
        return 128 + self.signal if self.signal else INTERRUPTED

    @property
    def name(self) -> str:
        """The common name of the signal."""
        return "SIGTERM" if self.signal == signal.SIGTERM else "Ctrl-C"

    def __enter__(self) -> Self:
        self._before = {}
        if threading.current_thread() is threading.main_thread():  # only it may set handlers
            self._before = {number: signal.signal(number, self._note)
                            for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
