"""The code in Ray's processes: the mailbox of commands, and the task of one run."""

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from flowlab.jobs.template import MARK
from flowlab.jobs.worker import GONE, Runner, limit_threads, preloaded

LOOK = 0.01  # seconds between checks of the mailbox: one costs as much as a tenth of a small batch
PATIENCE = 30.0  # seconds after which a request to the mailbox is repeated


class Mailbox:
    """Commands to running tasks: an actor beside the engine, shared by all tasks.

    An address stands for one attempt at one run. The sender numbers the messages, so their order
    does not depend on the order in which Ray delivers calls.
    """

    def __init__(self) -> None:
        self.boxes: dict[str, dict[int, bytes]] = {}
        self.bells: dict[str, asyncio.Event] = {}

    async def put(self, address: str, number: int, message: bytes) -> None:
        """Leave message `number` for an address."""
        self.boxes.setdefault(address, {})[number] = message
        if address in self.bells:
            self.bells[address].set()

    async def take(self, address: str, since: int) -> list[bytes]:
        """Messages from number `since` on; waits for one, up to `PATIENCE` seconds."""
        deadline = time.monotonic() + PATIENCE
        while since not in self.boxes.get(address, {}):
            bell = self.bells.setdefault(address, asyncio.Event())
            bell.clear()
            try:
                await asyncio.wait_for(bell.wait(), deadline - time.monotonic())
            except TimeoutError:
                return []
            if address not in self.bells:
                return []
        box = self.boxes[address]
        found: list[bytes] = []
        while since + len(found) in box:
            found.append(box[since + len(found)])
        return found

    async def drop(self, address: str) -> None:
        """Forget an address whose task has ended."""
        self.boxes.pop(address, None)
        bell = self.bells.pop(address, None)
        if bell is not None:
            bell.set()


class Inbox:
    """A task's end of the mailbox, with one request always pending.

    Parameters
    ----------
    mailbox : ray.actor.ActorHandle
        A `Mailbox`.
    address : str
    """

    def __init__(self, mailbox: Any, address: str) -> None:
        import ray

        self.ray, self.mailbox, self.address = ray, mailbox, address
        self.waiting: deque = deque()
        self.seen = 0
        self.next_look = 0.0
        self._ask()

    def empty(self) -> bool:
        """Whether no command has arrived, checked every `LOOK` seconds."""
        now = time.monotonic()
        if not self.waiting and now >= self.next_look:
            self.next_look = now + LOOK
            if self.ray.wait([self.answer], timeout=0)[0]:
                self._receive()
        return not self.waiting

    def get(self) -> bytes | None:
        """The next command; while this waits, Ray gives the core to others."""
        while not self.waiting:
            self._receive()
        return self.waiting.popleft()

    def put(self, message: bytes | None) -> None:
        """Put a message back."""
        self.waiting.append(message)

    def _ask(self) -> None:
        self.answer = self.mailbox.take.remote(self.address, self.seen)

    def _receive(self) -> None:
        try:
            messages = self.ray.get(self.answer)
        except self.ray.exceptions.RayError:
            self.waiting.append(GONE)  # the engine's process has ended
            return
        self.seen += len(messages)
        self.waiting.extend(messages)
        self._ask()


def prepare(path: list[str], threads: int, preload: tuple[str, ...]) -> str:
    """Make this process a worker, which reads no input; return what it could not import."""
    if MARK not in os.environ:
        os.environ[MARK] = "1"
        sys.stdin = open(os.devnull)
    # Another machine need not have the same folders, and has its own packages.
    sys.path += [folder for folder in path if folder not in sys.path and os.path.isdir(folder)]
    problems = preloaded(preload)
    limit_threads(threads)
    return problems


def play(
    mailbox: Any,
    address: str,
    path: list[str],
    threads: int,
    preload: tuple[str, ...],
    run_id: str,
    commands: list[bytes],
    *job: Any,
) -> Iterator[tuple]:
    """Run one generator to its end, as a generator task of Ray, and yield its reports."""
    prepare(path, threads, preload)  # does nothing in a process that is prepared
    yield from Runner(Inbox(mailbox, address), threads).run(run_id, commands, *job)
