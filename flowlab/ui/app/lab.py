"""The lab of this server process: one engine, and the runs that viewers can come back to.

Streamlit's scripts end after every click; what must outlive them is here.
"""

import atexit
import gc
import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import Any

import streamlit as st

from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.jobs import Local, Status, UnknownRun
from flowlab.jobs.waiting import expected_wait
from flowlab.live import Frame, Request
from flowlab.live.drawing import PictureCache
from flowlab.runs import Recorder, StoredRun
from flowlab.server import admission, log
from flowlab.server.admission import QUOTA, Admission, must_own, owns
from flowlab.server.limits import limits
from flowlab.server.status import EVERY, remove
from flowlab.settings import RunSettings
from flowlab.training import Epoch, Moment, Snapshot
from flowlab.ui.app import operating
from flowlab.ui.app.run import LabRun
from flowlab.ui.app.state import session
from flowlab.ui.app.visitor import visitor

PRELOAD = ("models", "flowlab.live", "flowlab.live.warm_up")
DRAWING, HASTE = ("models", "flowlab.live.drawing", "flowlab.live.warm_up"), 3
SLOWEST = 20.0  # seconds that a single picture may take: all wait for one that is slow
KEPT = 16  # runs that are over and stay in memory; those seen least lately go first
RECENT = 20  # finished runs from which, with those under way, a run's duration is estimated


class Lab:
    """Submits, finds and steers runs, and keeps them; safe to use from several sessions at once.

    Attributes
    ----------
    engine : Engine
    store : Store
        All runs on disk.
    recorder : Recorder
        Writes this lab's runs to the store.
    admission : Admission
        Lets trainings in, as the operator's limits allow.
    picture_cache : PictureCache
        Draws single pictures, in a process that stands back less than trainings.
    """

    def __init__(self) -> None:
        # glibc has read it for this process. In workers it would make trainings a third slower.
        os.environ.pop("MALLOC_MMAP_THRESHOLD_", None)
        log.start()  # early, for a wrong variable must not leave workers behind
        self.store = admission.store()  # nor a folder that cannot be used
        self.store.tidy()
        self.engine = admission.engine(PRELOAD)
        self.picture_cache = PictureCache(Local(1, DRAWING, grace=2, seconds=SLOWEST, nice=HASTE))
        self.recorder = Recorder(self.engine, self.store)
        self.admission = Admission(self.engine, self.store)
        self._runs: dict[str, LabRun] = {}
        self._lock = threading.Lock()
        operating.started(self.engine)
        self._refresher = operating.Refresher(self.engine, self.store)
        atexit.register(remove, self.store.folder)
        threading.Thread(target=self._stop_unwatched, daemon=True).start()
        gc.collect()
        gc.freeze()  # looking through some hundred thousand objects that stay stops all threads

    def close(self) -> None:
        """End all worker processes."""
        self.engine.close()
        self.picture_cache.engine.close()

    def submit(self, train: Callable, settings: RunSettings, theme: str, owner: str,
               first: str = "", resume: Snapshot | None = None,
               overlays: tuple[str, ...] = DEFAULT_OVERLAYS, visitor: str = "",
               history: tuple[Epoch, ...] = ()) -> str:
        """Queue a training, paused after its first batch with ``first="step"``; the run's id.

        With ``resume`` it goes on from there, for as long again as the settings say, and
        from the ``history`` before it; otherwise it starts with a fresh flow.

        Raises
        ------
        flowlab.server.limits.Exceeded
            As `flowlab.server.admission.Admission.admitted`.
        """
        request = Request(train, settings, theme, overlays, resume, history=history,
                          since=resume.epoch if resume else 0,
                          before=(resume.step, resume.seconds) if resume else (0, 0.0))
        continued = resume is not None
        with self.admission.admitted([settings], owner):
            run_id = self.engine.submit(request.job, owner=owner, first=first)
        with self._lock:
            self._runs[run_id] = LabRun(run_id, settings, theme, overlays, continued=continued,
                                     visitor=visitor)
            self.recorder.follow(run_id, settings, origin="page", continued=continued,
                                 visitor=visitor)
            self._forget_oldest()
        return run_id

    def runs(self, visitor: str) -> list[StoredRun]:
        """The runs on disk that a visitor lists, newest first."""
        if not limits().shared:
            return self.store.runs()
        return self.store.runs(visitor=visitor) if visitor else []

    def find(self, run_id: str | None) -> LabRun | None:
        """The run with this id; None where there is none (any more).

        Raises
        ------
        ValueError
            For a run on disk that this version cannot read.
        """
        run = self._runs.get(run_id or "")
        if run is None or run.kept is not None and (
                run.kept.active or run.pruned != self.store.pruned):
            run = self._open(run_id or "")
        if run is not None:
            run.seen = time.monotonic()
        return run

    def _open(self, run_id: str) -> LabRun | None:
        """A run from disk; one that is under way elsewhere is read again where there is news."""
        pruned = self.store.pruned
        kept, before = self.store.get(run_id), self._runs.get(run_id)
        if kept is None or (before is not None and before.kept == kept):
            return before if kept is not None else None
        run = LabRun(run_id, kept.settings, "", frames=self.store.frames(run_id),
                  continued=kept.continued, steered=kept.steered, kept=kept, pruned=pruned,
                  visitor=kept.visitor)
        with self._lock:
            self._runs[run_id] = run
            if before is not None:
                before.frames = []
            self._forget_oldest()
        return run

    def rename(self, run_id: str, name: str, visitor: str = "") -> None:
        """As `flowlab.runs.Store.rename`, for a run of the visitor's."""
        must_own(self._kept(run_id), visitor)
        self.store.rename(run_id, name)

    def pin(self, run_id: str, pinned: bool, visitor: str = "") -> None:
        """As `flowlab.runs.Store.pin`, for a run of the visitor's."""
        must_own(self._kept(run_id), visitor)
        self.store.pin(run_id, pinned)

    def set_room(self, value: int) -> None:
        """Bytes that all runs together may take.

        Raises
        ------
        ValueError
            Where visitors may not set it, or it is too little.
        """
        if limits().shared:
            raise ValueError(QUOTA)
        self.store.quota = value

    def _kept(self, run_id: str) -> StoredRun:
        kept = self.store.get(run_id)
        if kept is None:
            raise ValueError("This run is not kept (any more): look at the list again.")
        return kept

    def delete(self, run_id: str, visitor: str = "") -> None:
        """Delete a run of the visitor's that is over, from memory and from disk.

        Raises
        ------
        ValueError
            If it is under way, or another's.
        """
        run, kept = self._runs.get(run_id), self.store.get(run_id)
        for thing in (run, kept):
            if thing is not None:
                must_own(thing, visitor)
        if kept is not None and kept.active or run is not None and self.status(run).active:
            raise ValueError("This run is under way: stop it before you delete it.")
        with self._lock:
            if run_id in self._runs:
                self._forget(run_id)
        self.store.delete(run_id)

    def status(self, run: LabRun) -> Status:
        """The run's status."""
        if run.followed and (status := self.recorder.status(run.id)) is not None:
            sentences = (status.message, self.recorder.trouble(run.id))
            return replace(status, message=" ".join(filter(None, sentences)))
        if run.over is not None:
            return run.over
        return run.stored_status(self.store.damaged.get(run.id, ""))

    def expected_wait(self, position: int, owner: str) -> float | None:
        """Seconds until an owner's run at a place in the queue starts; None where unknown."""
        states = {}
        for job in self.engine.runs():
            with suppress(UnknownRun):  # it has just left memory
                states[job] = self.engine.status(job)
        newest = self.recorder.newest()
        took = [newest[job].seconds for job, status in states.items()
                if job in newest and status.state == "finished"][-RECENT:]
        left = {job: _left(newest.get(job)) for job, status in states.items()
                if status.state == "running"}
        took += [newest[job].seconds + rest for job, rest in left.items() if rest is not None]
        turn = self.engine.turn or math.inf
        keep = {*self.engine.runs(owner)}  # one's own make no room, nor do a comparison's
        left = {job: rest and min(rest, turn) if job in self._runs and job not in keep else rest
                for job, rest in left.items()}
        return expected_wait(position, list(left.values()),
                             min(median(took), turn) if took else None)

    def wait(self, run: LabRun, seconds: float) -> None:
        """Wait for the first frame of a run, or its end, for no more than so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status(run)
            if status.events or not status.active:
                return
            time.sleep(0.01)

    def last(self, run: LabRun) -> Frame | None:
        """The newest frame; for a run that was stopped, the one taken when it stopped."""
        frames = self.frames(run)
        return frames[-1] if frames else None

    def control(self, run: LabRun, action: str, value: Any = None, visitor: str = "") -> None:
        """Steer a run, as `flowlab.jobs.Engine.control`; one that is only on disk is over.

        Raises
        ------
        NotYours
            If it is another visitor's.
        """
        must_own(run, visitor)
        self._control(run, action, value)

    def _control(self, run: LabRun, action: str, value: Any = None) -> None:
        if not run.followed:
            return
        if action == "send" and "learning_rate" in value:
            run.steered = True
            self.recorder.steer(run.id)
        with suppress(UnknownRun):  # it was over, and leaves memory just now
            self.engine.control(run.id, action, value)

    def frames(self, run: LabRun) -> list[Frame]:
        """The frames there are, oldest first."""
        if run.followed:
            return self.recorder.frames(run.id)
        now = self.find(run.id)  # from disk again, where it has left memory
        return [] if now is None else now.frames

    def dress(self, run: LabRun, theme: str, overlays: tuple[str, ...], visitor: str = "") -> None:
        """Have the run's pictures in its owner's appearance and overlays from now on."""
        if owns(run, visitor) and (run.theme, run.overlays) != (theme, overlays):
            changes = {} if run.theme == theme else {"theme": theme}
            run.theme, run.overlays = theme, overlays
            self._control(run, "send", {**changes, "overlays": overlays})

    def _forget_oldest(self) -> None:
        over = sorted((run for run in self._runs.values() if not self.status(run).active),
                      key=lambda run: run.seen)
        for run in over[:max(0, len(over) - KEPT)]:
            self._forget(run.id)

    def _forget(self, run_id: str) -> None:
        """Let a run that is over go from memory."""
        run = self._runs.pop(run_id)
        run.over, run.frames = self.status(run), []
        if run.kept is None:
            self.recorder.forget(run_id)

    def _stop_unwatched(self) -> None:
        """Every few seconds, also refresh the operator's counters."""
        while True:
            self._refresher.write()
            time.sleep(EVERY)
            with self._lock:
                runs = list(self._runs.values())
            for run in runs:
                if time.monotonic() - run.seen > limits().grace and self.status(run).active:
                    self._control(run, "stop")


def _left(moment: Moment | None) -> float | None:
    """Seconds that a run still needs, at the speed it has had."""
    if moment is None or not moment.step:
        return None
    return (moment.steps - moment.step) * moment.seconds / moment.step


@st.cache_resource(show_spinner=False)
def lab() -> Lab:
    """The one lab of this process; made, with its workers, when the first page opens."""
    return Lab()


def owner() -> str:
    """Name the visitor, or the session, so that the queue is fair between people."""
    return visitor() or session().owner


def theme() -> str:
    """The viewer's appearance, ``"light"`` or ``"dark"``."""
    return "dark" if st.context.theme.type == "dark" else "light"


def appearance() -> str:
    """The viewer's theme with the layout of the page's pictures, as pictures are drawn with it."""
    return f"{theme()} {session().layout}".strip()
