"""Follows the runs of an engine, and sends their frames to the store."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from flowlab.jobs import Engine, Status
from flowlab.live import Frame
from flowlab.live.thinning import history, order, thinned
from flowlab.runs.run import Run
from flowlab.runs.store import Store
from flowlab.runs.writer import Writer
from flowlab.settings import RunSettings
from flowlab.training import Moment

UNWRITTEN = 4_000_000  # bytes of a run that are kept in memory while the disk is full or slow


@dataclass
class _FollowedRun:
    """A followed run, its id in the engine, its status and its frames.

    Its frames are those on disk, followed by those that are still in memory. Once it is complete,
    ``measure`` submits the job that measures it, whose id ``job`` is from then on.
    """

    run: Run
    job: str
    film: bool
    stored: list[Frame] = field(default_factory=list)
    unwritten: list[Frame] = field(default_factory=list)
    pruned: int = 0  # as the store had it when `stored` was read
    taken: int = 0
    status: Status = Status("queued")
    measure: Callable[[], str] | None = None
    measuring: bool = False

    @property
    def ended(self) -> bool:
        return not self.status.active

    @property
    def frames(self) -> list[Frame]:
        return [*self.stored, *self.unwritten]


class Recorder:
    """Follows runs until they end; safe to use from several threads.

    Parameters
    ----------
    engine : Engine
        Events and results of its runs are frames of `flowlab.live.watch`.
    store : Store

    Examples
    --------
    ::

        job = engine.submit(Request(train, settings, pictures="end").job)
        recorder.follow(job, settings, origin="sweep", group="widths")
        recorder.frames(job)
    """

    def __init__(self, engine: Engine, store: Store) -> None:
        self.engine, self.store = engine, store
        self._lock = threading.RLock()
        self._followed: dict[str, _FollowedRun] = {}
        self._writer = Writer(store, self._pull_all, self._written)

    def follow(self, job: str, settings: RunSettings, *, run_id: str | None = None,
               film: bool = True, measure: Callable[[], str] | None = None, **about: Any) -> str:
        """Store a run of the engine from now on.

        Parameters
        ----------
        job : str
            The run's id in the engine.
        settings : RunSettings
        run_id : str, optional
            Its id in the store; by default that of the engine.
        film : bool
            Whether `frames` has all frames, or only the newest.
        measure : callable, optional
            As in `measure`; called once the run is complete and on disk.
        **about
            As for `Run.new`.

        Returns
        -------
        str
            The run's id in the store.
        """
        run = self._writer.begin(run_id or job, settings, **about)
        with self._lock:
            self._followed[run.id] = _FollowedRun(run, job, film, measure=measure)
        return run.id

    def measure(self, run: Run, measure: Callable[[], str]) -> None:
        """Have a complete run measured: ``measure`` submits the job, and returns the job's id.

        The job's result, some bytes, is stored with the run.
        """
        with self._lock:
            self._followed[run.id] = _FollowedRun(run, measure(), False,
                                                  status=Status("finished"), measuring=True)

    def group(self, name: str) -> dict[str, Status]:
        """The runs of a group that are trained or measured here, by their ids.

        Those that are over and on disk are forgotten.
        """
        found = {}
        with self._lock:
            members = [(i, run) for i, run in self._followed.items() if run.run.group == name]
            for run_id, run in members:
                self._pull(run_id, run)
                status = self.engine.status(run.job) if run.measuring else run.status
                if status.active:
                    found[run_id] = status
                elif run.measuring or run.measure or not self._writer.flush(run_id, 0):
                    found[run_id] = Status("running")  # it is being written
                else:
                    self.forget(run_id)
        return found

    def run(self, run_id: str) -> Run | None:
        """The run of this id, as it was begun; None where it is not followed with a film."""
        followed = self._followed.get(run_id)
        return followed.run if followed is not None and followed.film else None

    def frames(self, run_id: str) -> list[Frame]:
        """The frames so far, thinned, the newest included; empty for an unknown run."""
        with self._lock:
            run = self._followed.get(run_id)
            if run is None:
                return []
            self._pull(run_id, run)
            return run.frames

    def newest(self) -> dict[str, Moment]:
        """The newest moments of all runs that have any, by their ids in the engine."""
        with self._lock:
            return {run.job: run.frames[-1].moment for run in self._followed.values()
                    if run.frames and not run.measuring}

    def status(self, run_id: str) -> Status | None:
        """The run's status; None for a run that is not followed.

        A run that has ended has the store's outcome as its state, such as ``"diverged"``, and all
        its frames are available before that.
        """
        with self._lock:
            run = self._followed.get(run_id)
            if run is None:
                return None
            self._pull(run_id, run)
            return run.status

    def trouble(self, run_id: str) -> str:
        """A sentence where a part of the run could not be written; otherwise empty."""
        return self._writer.troubles.get(run_id, "")

    def steer(self, run_id: str) -> None:
        """Note that the run's settings alone no longer repeat it."""
        run = self._followed[run_id]
        run.run = replace(run.run, steered=True)

    def control(self, run_id: str, action: str, value: Any = None) -> None:
        """Control a run, as `flowlab.jobs.Engine.control`, where it is followed."""
        with self._lock:
            if run_id not in self._followed:
                return
            if action == "send" and "learning_rate" in value:
                self.steer(run_id)
            self.engine.control(self._followed[run_id].job, action, value)

    def stop(self, run_ids: Sequence[str], timeout: float = 30) -> None:
        """Stop runs, and wait until their results are on disk."""
        for run_id in run_ids:
            self.control(run_id, "stop")
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and not all(self.done(i, 1.0) for i in run_ids):
            time.sleep(0.05)

    def stop_group(self, name: str) -> None:
        """Stop the runs of a group, queued ones first, and do not wait."""
        for run_id in reversed(self.group(name)):
            self.control(run_id, "stop")

    def done(self, run_id: str, timeout: float = 0.0) -> bool:
        """Whether the run has ended and is on disk; waits up to ``timeout`` seconds for it."""
        deadline = time.monotonic() + timeout
        while True:
            self.frames(run_id)
            run = self._followed.get(run_id)
            left = max(deadline - time.monotonic(), 0.0)
            if run is None or run.ended:
                return self._writer.flush(run_id, left)
            if not left:
                return False
            time.sleep(0.02)

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended from memory and from the engine."""
        with self._lock:
            run = self._followed[run_id]
            self._pull(run_id, run)
            if run.job:
                self.engine.forget(run.job)
            del self._followed[run_id]

    def close(self) -> None:
        """Write all frames so far, and stop following."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _pull_all(self) -> None:
        with self._lock:
            followed = list(self._followed.items())
        for run_id, run in followed:
            with self._lock:
                self._pull(run_id, run)
            if run.stored and run.pruned != self.store.pruned:
                self._written(run_id)
            with self._lock:
                if run.ended and self._writer.flush(run_id, 0):
                    self._measure(run_id, run)

    def _measure(self, run_id: str, run: _FollowedRun) -> None:
        """Have a run measured that is on disk, or store what was measured."""
        if run.measuring and not (status := self.engine.status(run.job)).active:
            if (content := self.engine.result(run.job)) is not None:
                self._writer.measure(run_id, content)
            elif status.state != "stopped":
                self._writer.troubles[run_id] = status.message
            self.engine.forget(run.job)
            run.job, run.measuring = "", False
        elif run.measure is not None:
            measure, run.measure = run.measure, None
            stored = self.store.get(run_id)
            if stored is not None and stored.complete:
                training, run.job, run.measuring = run.job, measure(), True
                self.engine.forget(training)

    def _written(self, run_id: str) -> None:
        """Drop what is on disk from memory; called in the writer's thread only."""
        run = self._followed.get(run_id)
        if run is None or not run.film:
            return
        pruned, stored = self.store.pruned, self.store.frames(run_id, check=False)
        with self._lock:
            run.pruned = pruned
            while stored and run.unwritten and stored[-1].content.empty:  # the disk is full
                del stored[-1]
            if stored:
                epoch = max((e.epoch for e in history(stored)), default=0)
                run.stored = stored
                run.unwritten = [_later(frame, epoch) for frame in run.unwritten
                                 if _place(frame) > _place(stored[-1])]

    def _pull(self, run_id: str, run: _FollowedRun) -> None:
        """Fetch a run's new frames; the caller holds the lock."""
        if run.ended:
            return
        status = self.engine.status(run.job)  # before the events, so that the last are not missed
        new = self.engine.events(run.job, run.taken)
        run.taken += len(new)
        if not status.active:
            last = self.engine.result(run.job)
            seen = [*run.frames, *new]
            if last is not None and not (seen and _place(last) == _place(seen[-1])
                                         and seen[-1].has_weights):
                new = [*new, last]
        if new:
            self._writer.put(run_id, new)
            light = [replace(frame, snapshot=None) for frame in new]
            run.unwritten = (thinned([*run.unwritten, *light], max_bytes=UNWRITTEN) if run.film
                             else light[-1:])
        if new or not status.active:
            self.engine.release(run.job, run.taken)
        if not status.active:
            outcome, reason = _outcome(status, run.frames)
            self._writer.end(run_id, outcome, reason, run.run.steered)
            # The engine's message, such as that a machine was lost, precedes the training's.
            words = dict.fromkeys(filter(None, (status.message, reason)))
            status = replace(status, state=outcome, message=" ".join(words))
        run.status = status


def _later(frame: Frame, epoch: int) -> Frame:
    """The frame with only the epochs after this one."""
    return replace(frame, epochs=tuple(e for e in frame.epochs if e.epoch > epoch))


def _place(frame: Frame) -> tuple[bool, int]:
    return order(frame.moment)


def _outcome(status: Status, frames: list[Frame]) -> tuple[str, str]:
    """How a run ended, and why: the training's outcome where it finished."""
    if status.state == "finished" and frames and frames[-1].moment.outcome != "running":
        return frames[-1].moment.outcome, frames[-1].moment.reason
    return status.state, status.message
