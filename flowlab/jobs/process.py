"""A worker process as its parent sees it."""

import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from flowlab.jobs.queue import Run

WORKER = Path(__file__).with_name("worker.py")
MARK = "FLOWLAB_WORKER"  # set in the environment of every worker


def encode(message: tuple) -> bytes:
    """A message as it goes through the pipe."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def reported(kind: str, rest: list) -> tuple[Any, str]:
    """What came with a worker's event or end, and a sentence where it cannot be read."""
    if kind not in ("event", "end") or rest[-1] is None:
        return None, ""
    try:
        return pickle.loads(rest[-1]), ""
    except Exception as error:
        return None, f"What it reported cannot be unpickled ({type(error).__name__}: {error})."


def inherit(handle: int) -> dict[str, Any]:
    """Arguments for `subprocess.Popen` that hand exactly this one handle on."""
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})}
    return {"pass_fds": (handle,)}


class Process:
    """One worker process, starting, idle or busy.

    It is started by `subprocess`, not by `multiprocessing`, whose spawned children import the main
    script again: under ``streamlit run`` that is the app itself.

    Parameters
    ----------
    threads : int
        Cores it may use.
    grace : float
        Seconds its generator gets to end after the parent is gone.
    preload : tuple of str
        Modules to import before the first run.
    nice : int
        Steps that it stands back behind other processes.
    """

    def __init__(self, threads: int, grace: float, preload: tuple[str, ...], nice: int) -> None:
        self.connection, theirs = Pipe()
        self.run: Run | None = None
        self.ready = False
        self.leaving = False
        handle = theirs.fileno()
        self.popen = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), str(handle)],
            stdin=subprocess.DEVNULL,
            env=os.environ | {MARK: "1", "OMP_NUM_THREADS": str(threads)},
            **inherit(handle),
        )
        theirs.close()
        self.send("setup", threads, grace, sys.path, preload, nice)

    @property
    def idle(self) -> bool:
        """Whether it waits for a run."""
        return self.ready and self.run is None and not self.leaving

    def send(self, *message: Any) -> None:
        """Say something to the worker; a dead one is noticed where its answers are read."""
        self.send_encoded(encode(message))

    def send_encoded(self, message: bytes) -> None:
        """The same for a message that is encoded already."""
        with suppress(OSError):
            self.connection.send_bytes(message)

    def reap(self, patience: float) -> str:
        """Wait for the process to end, kill it after `patience` seconds, and say how it ended."""
        try:
            code = self.popen.wait(max(patience, 0))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"was ended by {name}" + (
            ", by hand or because memory ran out" if name == "SIGKILL" else ""
        )
