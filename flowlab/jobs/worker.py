"""The worker process: runs one generator at a time and reports through one pipe.

This file is started by its path (see `process.py`) and needs nothing but the standard library, so a
worker is up before the heavy imports, and never imports the program's own main script unasked.
"""

import importlib
import os
import pickle
import runpy
import signal
import sys
import threading
import time
import traceback
import types
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

#: How PyTorch says that there is no memory left, on a processor and on a GPU.
NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory")
GONE = None  # in the inbox: the parent has closed the pipe, or has died


def sentence(error: BaseException) -> str:
    """One line: the exception's type and the first line of its text."""
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, MemoryError) or any(words in text.lower() for words in NO_MEMORY):
        return ("Memory ran out: choose a smaller batch, a smaller network or fewer points, or "
                "let fewer run at once.")
    return f"{type(error).__name__}: {text}" if text else f"{type(error).__name__}."


def failure(message: str, error: BaseException) -> tuple:
    """The report of a run that failed."""
    return "end", "failed", message, "".join(traceback.format_exception(error)), None


def use_main(path: str) -> None:
    """Make what the program's main script defines importable here, as `multiprocessing` does."""
    if getattr(sys.modules.get("__mp_main__"), "__file__", None) == path:
        return
    module = types.ModuleType("__mp_main__")
    module.__dict__.update(runpy.run_path(path, run_name="__mp_main__"))
    module.__file__ = path
    sys.modules["__main__"] = sys.modules["__mp_main__"] = module


class Player:
    """How far the generator may go: the state behind pause, resume, step and send."""

    def __init__(self) -> None:
        self.paused = False
        self.steps = 0
        self.values: deque = deque()
        self.handed = 0

    @property
    def holding(self) -> bool:
        """Whether to wait for a command instead of taking the next batch."""
        return self.paused and not self.steps

    def apply(self, action: str, value: Any) -> None:
        """Follow one command."""
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
    """Import modules, and say which could not be; nothing where all could."""
    problems = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            # A run that needs the module will say so itself; the others need not suffer.
            problems.append(f"{name} ({sentence(error)})")
    return ", ".join(problems)


def limit_threads(threads: int) -> None:
    """Keep PyTorch, once it is imported, to one worker's share of the cores."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


class Stage:
    """Where generators are played, whatever way the commands and the reports go.

    Parameters
    ----------
    inbox : object with ``empty``, ``get`` and ``put``
        The commands that come; `GONE` when nobody is left to give any.
    threads : int
        Cores that PyTorch may use.
    """

    def __init__(self, inbox: Any, threads: int) -> None:
        self.inbox, self.threads = inbox, threads

    def perform(
        self,
        run_id: str,
        commands: list[bytes],
        main: str,
        function: bytes,
        settings: bytes,
    ) -> Iterator[tuple]:
        """Run one generator to its end; yields report after report, the last is its ``"end"``."""
        try:
            if main:
                use_main(main)
            generator = pickle.loads(function)(pickle.loads(settings))
            limit_threads(self.threads)
            player = Player()
            for command in commands:
                action, _, value = pickle.loads(command)
                player.apply(action, value)
        except BaseException as error:
            yield failure(sentence(error), error)
            return
        if not isinstance(generator, Generator):
            kind = type(generator).__name__
            other = TypeError(f"a job must be a generator function, this one returned a {kind}")
            yield failure(sentence(other), other)
            return
        try:
            yield (yield from self.drive(run_id, generator, player))
        except BaseException as error:
            yield failure(sentence(error), error)

    def drive(
        self, run_id: str, generator: Generator, player: Player
    ) -> Generator[tuple, None, tuple]:
        """Pull batch after batch, with an eye on the inbox, and return the last report."""
        state, fresh = "", True
        while True:
            while player.holding or not self.inbox.empty():
                if player.holding and state != "paused":
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
                    player.apply(action, value)
            if state != "running" and not player.paused:
                state = "running"
                yield (state,)
            # A generator takes no value before its first yield.
            value = None if fresh else player.value()
            try:
                event = generator.send(value)
            except StopIteration as end:
                return self.result("finished", end.value)
            fresh = False
            player.steps -= player.paused
            if event is not None:
                try:
                    event = pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
                except Exception as error:
                    generator.close()
                    return failure(f"An event cannot be pickled ({sentence(error)}).", error)
                yield "event", player.handed, event

    def stop(self, generator: Generator) -> tuple:
        """Close the generator; it may still return something."""
        # As generator.close() does, which hands the value on only from Python 3.13.
        try:
            generator.throw(GeneratorExit)
        except GeneratorExit:
            return "end", "stopped", "", "", None
        except StopIteration as end:
            return self.result("stopped", end.value)
        except BaseException as error:
            _, _, message, trace, _ = failure(sentence(error), error)
            return "end", "stopped", f"It raised while it was stopped: {message}", trace, None
        return "end", "stopped", "It went on after it was asked to stop.", "", None

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
        To the parent.  A thread reads it, so between batches a look into a queue is enough.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.inbox: SimpleQueue = SimpleQueue()
        _, threads, self.grace, path, preload, nice = pickle.loads(connection.recv_bytes())
        if hasattr(os, "nice"):
            os.nice(nice)
        self.stage = Stage(self.inbox, threads)
        threading.Thread(target=self.listen, daemon=True).start()
        sys.path[:] = path
        problems = preloaded(preload)
        limit_threads(threads)
        self.send("ready", problems)

    def listen(self) -> None:
        """Fill the inbox.  When the parent is gone, leave the generator a moment, then go too."""
        with suppress(OSError, EOFError):
            while True:
                self.inbox.put(self.connection.recv_bytes())
        self.inbox.put(GONE)
        time.sleep(self.grace)
        os._exit(1)

    def send(self, *message: Any) -> None:
        """Report to the parent; when it is gone, `listen` notices."""
        # Not connection.send: PyTorch teaches that one to share memory instead of copying.
        with suppress(OSError):
            self.connection.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def serve(self) -> None:
        """Run what is asked, one run after the other."""
        for message in iter(self.inbox.get, GONE):
            kind, *request = pickle.loads(message)
            if kind == "exit":
                break
            if kind == "run":
                run_id, commands, sys.path[:], *job = request
                for report in self.stage.perform(run_id, commands, *job):
                    self.send(*report)
            # Anything else speaks to a run that has just ended.


def connect(handle: int) -> Any:
    """The inherited end of the pipe."""
    if sys.platform == "win32":
        from multiprocessing.connection import PipeConnection

        return PipeConnection(handle)
    from multiprocessing.connection import Connection

    os.set_inheritable(handle, False)
    return Connection(handle)


if __name__ == "__main__":
    # Ctrl-C in the terminal reaches workers too; it is the parent that decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Worker(connect(int(sys.argv[1]))).serve()
