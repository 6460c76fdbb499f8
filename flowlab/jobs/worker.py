"""The worker process: runs one generator at a time and reports through one pipe.

This file is started by its path (see `template.py`), as a worker or as the template that forks
them, and needs only the standard library, so a worker is up before the heavy imports, and imports
the program's main script only where it is needed.
"""

import gc
import os
import pickle
import pkgutil
import runpy
import signal
import socket
import sys
import threading
import time
import traceback
import types
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

#: PyTorch's messages when memory runs out, on a processor and on a GPU.
NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")
GONE = None  # in the inbox: the parent has closed the pipe or died
UNSAFE = 99  # exit code of a template with more than one thread: a fork could wait for ever


def sentence(error: BaseException) -> str:
    """Describe an exception in one line: its type and the first line of its text."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or any(words in text.lower() for words in NO_MEMORY):
        return ("Memory ran out: choose a smaller batch, a smaller network or fewer points, or "
                "let fewer run at once.")
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}."


def failure(message: str, error: BaseException) -> tuple:
    """The report of a failed run."""
    return "end", "failed", message, "".join(traceback.format_exception(error)), None


def use_main(path: str) -> None:
    """Make the definitions of the program's main script importable, as `multiprocessing` does."""
    if getattr(sys.modules.get("__mp_main__"), "__file__", None) == path:
        return
    module = types.ModuleType("__mp_main__")
    module.__dict__.update(runpy.run_path(path, run_name="__mp_main__"))
    module.__file__ = path
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


class Playback:
    """Whether the generator may take a batch: the state behind pause, resume, step and send."""

    def __init__(self) -> None:
        self.paused = False
        self.steps = 0
        self.values: deque = deque()
        self.handed = 0

    @property
    def holding(self) -> bool:
        """Whether the next batch must wait for a command."""
        return self.paused and not self.steps

    def apply(self, action: str, value: Any) -> None:
        """Apply one command."""
        if value is not None:
            self.values.append(value)
        if action == "step":
            self.paused = True
            self.steps += 1
        elif action != "send":
            self.paused = action == "pause"
            self.steps = 0

    def value(self) -> Any:
        """The value for the next batch, or None."""
        if not self.values:
            return None
        self.handed += 1
        return self.values.popleft()


def preloaded(names: tuple[str, ...]) -> str:
    """Import modules, and call what stands behind a colon; return what failed, or nothing."""
    problems = []
    for name in names:
        try:
            found = pkgutil.resolve_name(name)
            if ":" in name:
                found()
        except Exception as error:
            # A run that needs the module fails with its own message; others are not affected.
            problems.append(f"{name} ({sentence(error)})")
    return ", ".join(problems)


def limit_threads(threads: int) -> None:
    """Limit PyTorch, once it is imported, to a worker's share of the cores."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


class Runner:
    """Runs generators under commands, independent of how commands and reports are transported.

    Parameters
    ----------
    inbox : object with ``empty``, ``get`` and ``put``
        The incoming commands; `GONE` when the parent has ended.
    threads : int
        Number of cores that PyTorch may use.
    """

    def __init__(self, inbox: Any, threads: int) -> None:
        self.inbox, self.threads = inbox, threads

    def run(
        self,
        run_id: str,
        commands: list[bytes],
        main: str,
        function: bytes,
        settings: bytes,
    ) -> Iterator[tuple]:
        """Run one generator to its end; yield its reports, of which the last is its ``"end"``."""
        try:
            if main:
                use_main(main)
            generator = pickle.loads(function)(pickle.loads(settings))
            limit_threads(self.threads)
            playback = Playback()
            for command in commands:
                action, _, value = pickle.loads(command)
                playback.apply(action, value)
        except BaseException as error:
            yield failure(sentence(error), error)
            return
        if not isinstance(generator, Generator):
            kind = type(generator).__name__
            other = TypeError(f"a job must be a generator function, this one returned a {kind}")
            yield failure(sentence(other), other)
            return
        try:
            yield (yield from self._drive(run_id, generator, playback))
        except BaseException as error:
            yield failure(sentence(error), error)

    def _drive(
        self, run_id: str, generator: Generator, playback: Playback
    ) -> Generator[tuple, None, tuple]:
        """Take batch after batch, apply commands from the inbox, and return the last report."""
        state, fresh = "", True
        while True:
            while playback.holding or not self.inbox.empty():
                if playback.holding and state != "paused":
                    state = "paused"
                    yield (state,)
                message = self.inbox.get()
                if message is GONE:
                    self.inbox.put(GONE)
                    return self.stop(generator)
                action, addressee, value = pickle.loads(message)
                if addressee == run_id:
                    if action == "stop":
                        return self.stop(generator)
                    playback.apply(action, value)
            if state != "running" and not playback.paused:
                state = "running"
                yield (state,)
            # A generator accepts no value before its first yield.
            value = None if fresh else playback.value()
            try:
                event = generator.send(value)
            except StopIteration as end:
                return self.result("finished", end.value)
            fresh = False
            playback.steps -= playback.paused
            if event is not None:
                try:
                    event = pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
                except Exception as error:
                    generator.close()
                    return failure(f"An event cannot be pickled ({sentence(error)}).", error)
                yield "event", playback.handed, event

    def stop(self, generator: Generator) -> tuple:
        """Close the generator, which may still return a value."""
        # As generator.close() does, which returns the value only from Python 3.13 on.
        try:
            generator.throw(GeneratorExit)
        except GeneratorExit:
            return "end", "stopped", "", "", None
        except StopIteration as end:
            return self.result("stopped", end.value)
        except BaseException as error:
            _, _, message, trace, _ = failure(sentence(error), error)
            return "end", "stopped", f"It raised while it was stopped: {message}", trace, None
        return "end", "stopped", "It continued after it was asked to stop.", "", None

    def result(self, state: str, value: Any) -> tuple:
        """The report of a run that returned `value`."""
        try:
            return "end", state, "", "", pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            return failure(f"The result cannot be pickled ({sentence(error)}).", error)


class Worker:
    """Serves one parent until the pipe ends.

    Parameters
    ----------
    connection : multiprocessing.connection.Connection
        To the parent. A thread reads it, so between batches it is enough to check a queue.
    environment : dict of str to str
        Of the parent.
    path : list of str
        Where modules are found.
    preload : tuple of str
        Modules to import before the first run; what stands behind a colon is called.
    threads : int
        Number of cores that PyTorch may use.
    grace : float
        Seconds that a generator gets to end after the parent has ended.
    nice : int
        Niceness of the process.
    """

    def __init__(self, connection: Any, environment: dict[str, str], path: list[str],
                 preload: tuple[str, ...], threads: int, grace: float, nice: int) -> None:
        self.connection, self.grace = connection, grace
        self.inbox: SimpleQueue = SimpleQueue()
        os.environ.clear()
        os.environ.update(environment)
        if hasattr(os, "nice"):
            os.nice(nice)
        self.runner = Runner(self.inbox, threads)
        threading.Thread(target=self.listen, daemon=True).start()
        sys.path[:] = path
        problems = preloaded(preload)
        gc.freeze()  # a collection would take long, and write to memory that forks share
        limit_threads(threads)
        self.send("ready", problems)

    def listen(self) -> None:
        """Fill the inbox. After the parent has ended, exit once the generator had time to end."""
        with suppress(OSError, EOFError):
            while True:
                self.inbox.put(self.connection.recv_bytes())
        self.inbox.put(GONE)
        time.sleep(self.grace)
        os._exit(1)

    def send(self, *message: Any) -> None:
        """Report to the parent; `listen` notices when it has ended."""
        # Not connection.send, which PyTorch changes to share memory instead of copying.
        with suppress(OSError):
            self.connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def serve(self) -> None:
        """Execute requests, one run after the other."""
        for message in iter(self.inbox.get, GONE):
            kind, *request = pickle.loads(message)
            if kind == "exit":
                break
            if kind == "run":
                run_id, commands, sys.path[:], *job = request
                for report in self.runner.run(run_id, commands, *job):
                    self.send(*report)
            # Any other message is a command to a run that has just ended.


def fork_workers(parent: socket.socket) -> None:
    """Fork a worker for each pipe that the parent sends, and serve it there.

    With a pipe comes another, which brings the parent the worker's process id and its exit code.
    What workers import is imported here. No thread may run: a fork has none but the one that forks,
    and locks of the others would never be released.
    """
    server = os.getppid()
    workers: dict[int, tuple[int, Connection]] = {}  # process id and status pipe by descriptor
    while True:
        for ready in wait([parent, *workers]):
            if isinstance(ready, int):
                pid, status = workers.pop(ready)
                os.close(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with suppress(OSError):
                    status.send(code)
                continue
            _, handles, *_ = socket.recv_fds(parent, 1, 2)
            if not handles:  # the parent has ended
                os._exit(0)
            connection, status = Connection(handles[0]), Connection(handles[1])
            try:
                setup = pickle.loads(connection.recv_bytes())
            except (EOFError, OSError):  # the worker is not needed any more
                continue
            _, sys.path[:], preload, *_ = setup
            preloaded(preload)
            if len(os.listdir("/proc/self/task")) > 1:
                os._exit(UNSAFE)
            with suppress(OSError):
                os.chdir(f"/proc/{server}/cwd")
            sys.stdout.flush()
            if pid := os.fork():
                workers[os.pidfd_open(pid)] = pid, status
                connection.close()
                continue
            for descriptor, (_, other) in workers.items():
                os.close(descriptor)
                other.close()
            parent.close()
            with suppress(OSError):
                status.send(os.getpid())
            if "numpy" in sys.modules:  # all forks would draw the same numbers
                sys.modules["numpy"].random.seed()
            return Worker(connection, *setup).serve()


def connect(handle: int) -> Any:
    """The inherited end of the pipe."""
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(handle)
    os.set_inheritable(handle, False)
    return Connection(handle)


if __name__ == "__main__":
    # Ctrl-C in the terminal reaches workers too, but only the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    role, handle = sys.argv[1:]
    if role == "template":
        fork_workers(socket.socket(fileno=int(handle)))
    else:
        connection = connect(int(handle))
        Worker(connection, *pickle.loads(connection.recv_bytes())).serve()
