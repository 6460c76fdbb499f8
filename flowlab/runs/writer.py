"""Writes runs to the store in its own thread, so that no training and no page waits."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from flowlab.files import is_full
from flowlab.live import Frame, InMemory
from flowlab.runs.run import BEAT, Run
from flowlab.runs.store import Store
from flowlab.settings import RunSettings

DISK_FULL = ("The disk is full, or was for a while: not all pictures and weights of this run are "
           "stored.")
LOST = "Not all of this run could be stored: see the log."
PAUSE = 0.25  # seconds between two rounds of writing

log = logging.getLogger(__name__)


class Writer:
    """Queues what is to be written, and returns at once.

    Parameters
    ----------
    store : Store
    source : callable, optional
        Called before every round of writing, in the writer's thread.
    written : callable, optional
        Called there with the id of a run whose frames have been written.

    Examples
    --------
    ::

        with Writer(store) as writer:
            writer.begin(run_id, settings, origin="command")
            writer.put(run_id, [frame])
            writer.end(run_id, "finished")
    """

    def __init__(self, store: Store, source: Callable[[], None] | None = None,
                 written: Callable[[str], None] | None = None) -> None:
        self.store, self._source, self._written = store, source, written
        self._queue: deque[tuple] = deque()  # of run, action and arguments
        #: For each run, the actions that could not be done so far, without pictures and weights.
        self._late: dict[str, deque[tuple]] = {}
        #: For each run with parts that could not be written, a sentence about it.
        self.troubles: dict[str, str] = {}
        self._left: Counter[str] = Counter()  # number of queued actions of each run
        self._open: set[str] = set()
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowlab-writer", daemon=True)
        self._thread.start()

    def begin(self, run_id: str, settings: RunSettings, **about: Any) -> Run:
        """As `Store.begin`; return the run."""
        run = Run.new(settings, run_id=run_id, **about)
        self._add(run_id, self._begin, run)
        return run

    def put(self, run_id: str, frames: Sequence[Frame]) -> None:
        """As `Store.record`."""
        self._add(run_id, self._record, run_id, frames)

    def measure(self, run_id: str, content: bytes) -> None:
        """As `Store.measure`."""
        self._add(run_id, self.store.measure, run_id, content)

    def end(self, run_id: str, outcome: str, reason: str = "", steered: bool = False) -> None:
        """As `Store.end`; a run that was stopped before its first frame is deleted."""
        self._add(run_id, self._end, run_id, outcome, reason, steered)

    def flush(self, run_id: str | None = None, timeout: float = 60) -> bool:
        """Wait until the queue (of a run) is written; return False if that takes too long."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not (self._left[run_id] if run_id else self._queue), timeout)

    def close(self) -> None:
        """Write what is queued, and end the thread."""
        self._closed.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _add(self, run_id: str, action: Callable, *values: Any, **named: Any) -> None:
        with self._changed:
            self._queue.append((run_id, action, values, named))
            self._left[run_id] += 1

    def _begin(self, run: Run) -> None:
        self.store.add(run)
        self._open.add(run.id)

    def _record(self, run_id: str, frames: Sequence[Frame]) -> None:
        self.store.record(run_id, frames)
        if self._written is not None:
            self._try(self._written, run_id)

    def _end(self, run_id: str, outcome: str, reason: str, steered: bool) -> None:
        self._open.discard(run_id)
        run = self.store.get(run_id)
        if run is not None and run.moment is None and outcome == "stopped":
            self.store.delete(run_id)
            return
        self.store.end(run_id, outcome, reason, steered)
        self.store.enforce_quota()

    def _run(self) -> None:
        beaten = time.monotonic()
        last = False
        while not last:
            last = self._closed.wait(PAUSE)
            if self._source is not None:
                self._try(self._source)
            while self._queue:
                self._do(*self._queue[0])
                run_id = self._queue[0][0]
                with self._changed:
                    self._queue.popleft()
                    self._left[run_id] -= 1
                    self._changed.notify_all()
            if time.monotonic() - beaten > BEAT:
                beaten = time.monotonic()
                self._try(self.store.beat, tuple(self._open))
                for run_id in tuple(self._late):
                    self._catch_up(run_id)

    def _do(self, run_id: str, action: Callable, values: tuple, named: dict[str, Any]) -> None:
        """Do an action of a run, after its late actions."""
        self._late.setdefault(run_id, deque()).append((action, values, named))
        self._catch_up(run_id)

    def _catch_up(self, run_id: str) -> None:
        """Do the late actions of a run in order; numbers wait until the disk has space again.

        A full disk must neither end a training nor fill the memory.
        """
        late = self._late[run_id]
        while late:
            action, values, named = late[0]
            try:
                action(*values, **named)
            except Exception as error:
                if run_id not in self.troubles:
                    self._log(error, f"A run could not be kept in {self.store.folder}")
                self.troubles[run_id] = DISK_FULL if is_full(error) else LOST
                action, values, named = late.pop()
                if action == self._record:
                    values = (run_id, [bare(frame) for frame in values[1]])
                late.append((action, values, named))
                return
            late.popleft()
        del self._late[run_id]

    def _try(self, action: Callable, *values: Any) -> None:
        """Call ``action``, and log its errors."""
        try:
            action(*values)
        except Exception as error:
            self._log(error, f"Runs could not be kept in {self.store.folder}")

    def _log(self, error: Exception, sentence: str) -> None:
        if is_full(error):
            log.error("disk full", extra={"facts": {}})
        log.error(sentence, exc_info=error)


def bare(frame: Frame) -> Frame:
    """The frame with its numbers only."""
    return replace(frame, content=InMemory(), snapshot=None)
