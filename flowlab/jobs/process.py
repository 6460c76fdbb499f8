"""A worker process, seen from its parent."""

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any

from flowlab.jobs.queue import QueuedRun
from flowlab.jobs.template import MARK, TEMPLATE, UNKNOWN, forking, spawn
from flowlab.jobs.worker import UNSAFE


def encode(message: tuple) -> bytes:
    """The bytes of a message to a worker."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def reported(kind: str, rest: list) -> tuple[Any, str]:
    """The value of a worker's event or end, and a sentence where it cannot be unpickled."""
    if kind not in ("event", "end") or rest[-1] is None:
        return None, ""
    try:
        return pickle.loads(rest[-1]), ""
    except Exception as error:
        return None, f"What it reported cannot be unpickled ({type(error).__name__}: {error})."


class Process:
    """One worker process, starting, idle or busy.

    It is forked from a template where that can be done, otherwise spawned.

    Parameters
    ----------
    threads : int
        Number of cores that it may use.
    grace : float
        Seconds that its generator gets to end after the parent has ended.
    preload : tuple of str
        Modules to import before the first run; what stands behind a colon is called.
    nice : int
        Niceness of the process.
    """

    def __init__(self, threads: int, grace: float, preload: tuple[str, ...], nice: int) -> None:
        self.connection, theirs = Pipe()
        self.run: QueuedRun | None = None
        self.ready = False
        self.exiting = False
        environment = os.environ | {MARK: "1", "OMP_NUM_THREADS": str(threads)}
        with theirs:
            self.popen = forking() and TEMPLATE.fork(theirs) or spawn(theirs, environment)
        self.send(environment, sys.path, preload, threads, grace, nice)

    @property
    def idle(self) -> bool:
        """Whether it waits for a run."""
        return self.ready and self.run is None and not self.exiting

    def send(self, *message: Any) -> None:
        """Send a message to the worker; a dead one is noticed where its reports are read."""
        self.send_encoded(encode(message))

    def send_encoded(self, message: bytes) -> None:
        """Send an encoded message; see `send`."""
        with suppress(OSError):
            self.connection.send_bytes(message)

    def reap(self, patience: float) -> str:
        """Wait for the process to end, kill it after `patience` seconds; return how it ended."""
        try:
            code = self.popen.wait(max(patience, 0))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        if code == UNKNOWN:
            return "ended"
        if code == UNSAFE and not self.ready:
            return "could not be forked, as a module that it imports starts threads"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was ended by {name}" + (
            ", by hand or because memory ran out" if name == "SIGKILL" else ""
        )
