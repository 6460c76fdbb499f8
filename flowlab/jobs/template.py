"""The template: a process that has done the workers' imports, and from which they are forked.

A fork is ready at once, and shares the memory of all that is imported. The fork server of
`multiprocessing` is not used: its children import the main script again, which under ``streamlit
run`` is the app itself, its list of imports is fixed for the whole program, and a start waits for
them.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from flowlab.jobs.worker import UNSAFE

WORKER = Path(__file__).with_name("worker.py")
MARK = "FLOWLAB_WORKER"  # set in the environment of every worker
METHOD = "FLOWLAB_START_METHOD"
UNKNOWN = 256  # the exit code of a worker that outlived its template
#: Without threads: neither OpenBLAS nor the allocator of pyarrow, which pandas imports, starts any.
ALONE = {MARK: "1", "OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


def inherit(handle: int) -> dict[str, Any]:
    """Arguments for `subprocess.Popen` that let the child inherit only this handle."""
    if sys.platform == "win32":
        os.set_handle_inheritable(handle, True)
        return {"startupinfo": subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})}
    return {"pass_fds": (handle,)}


def spawn(pipe: Any, environment: Mapping[str, str], role: str = "worker") -> subprocess.Popen:
    """Start a new Python that serves the other end of a pipe."""
    return subprocess.Popen([sys.executable, "-P", str(WORKER), role, str(pipe.fileno())],
                            stdin=subprocess.DEVNULL, env=environment, **inherit(pipe.fileno()))


class Forked:
    """A worker forked from a template; it has the parts of `subprocess.Popen` used here.

    Parameters
    ----------
    template : subprocess.Popen
    status : multiprocessing.connection.Connection
        Brings the worker's process id, and then its exit code from the template. It ends when both
        have ended.
    """

    def __init__(self, template: subprocess.Popen, status: Connection) -> None:
        self._template, self._status = template, status
        self._pid = 0
        self._code: int | None = None
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The process id; 0 for a worker that is not forked yet."""
        self.poll()
        return self._pid

    def poll(self) -> int | None:
        """The exit code, or None for a worker that has not ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return the exit code, or the template's if that died first."""
        with self._lock:
            while self._code is None:
                if not self._status.poll(timeout):
                    raise subprocess.TimeoutExpired("worker", timeout or 0)
                try:
                    number = self._status.recv()
                except EOFError:
                    self._code = UNKNOWN if self._pid else self._template.wait()
                else:
                    if self._pid:
                        self._code = number
                    else:
                        self._pid = number
            return self._code

    def kill(self) -> None:
        """Kill it; one that is not forked yet will find its pipe closed, and end."""
        if self.poll() is not None:
            return
        if self._pid:
            with suppress(ProcessLookupError):  # it has ended, and the template just says so
                os.kill(self._pid, signal.SIGKILL)
        else:
            self._code = -signal.SIGKILL


class Template:
    """Starts the process with the first worker, and again where it has died.

    It may be used from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None

    def fork(self, connection: Connection) -> Forked | None:
        """Have a worker forked for a connection; None where only spawning is safe."""
        with self._lock:
            while (process := self._running()) is not None:
                status, theirs = Pipe(duplex=False)
                with theirs:
                    try:
                        socket.send_fds(self._socket, [b"."],
                                        [connection.fileno(), theirs.fileno()])
                    except OSError:  # it has just died
                        process.wait()
                    else:
                        return Forked(process, status)
        return None

    def _running(self) -> subprocess.Popen | None:
        """The process, started where it is not running; None where it was unsafe to fork."""
        code = self._process.poll() if self._process else UNKNOWN
        if code == UNSAFE:
            return None
        if code is not None:
            self.close()
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = spawn(theirs, os.environ | ALONE, "template")
        return self._process

    def close(self) -> None:
        """End the process; its workers go on."""
        if self._process is not None:
            self._socket.close()
            self._process.kill()
            self._process.wait()


@cache
def can_fork() -> bool:
    """Whether the system is a Linux with what a template needs."""
    try:
        os.close(os.pidfd_open(os.getpid()))
        return bool(os.listdir("/proc/self/task"))
    except (AttributeError, OSError):
        return False


def forking() -> bool:
    """Whether workers are forked; the environment's ``FLOWLAB_START_METHOD`` can forbid it.

    Raises
    ------
    ValueError
        If it is neither ``fork`` nor ``spawn``.
    """
    method = os.environ.get(METHOD, "fork")
    if method not in ("fork", "spawn"):
        raise ValueError(f"{METHOD} is {method!r}: set it to 'fork' or 'spawn'.")
    return method == "fork" and can_fork()


TEMPLATE = Template()  # one for all engines
atexit.register(TEMPLATE.close)
