"""The lab of this server process: one engine, and the runs that viewers can come back to.

Streamlit's scripts end after every click; what must outlive them is here.
"""

import atexit
import gc
import math
import os
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import streamlit as st

from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.jobs import Local, Status
from flowlab.jobs.waiting import expected_wait
from flowlab.live import Frame, Request
from flowlab.live.drawing import PictureCache
from flowlab.runs import Recorder, Run
from flowlab.server import admission, log
from flowlab.server.admission import QUOTA, Admission, must_own, owns
from flowlab.server.limits import limits
from flowlab.server.status import EVERY, remove
from flowlab.settings import RunSettings
from flowlab.studies.comparison.archive import adopt
from flowlab.training import Epoch, Moment, Snapshot
from flowlab.ui.app import operating
from flowlab.ui.app.state import session
from flowlab.ui.app.visitor import visitor

WARM_UP = "flowlab.live.warm_up:warm_up"
PRELOAD = ("models", "flowlab.live", WARM_UP)
DRAWING, HASTE = ("models", "flowlab.live.layers", WARM_UP), 3
SLOWEST = 20.0  # seconds that a single picture may take: all wait for one that is slow
KEPT = 16  # runs that are over and stay in memory; those seen least lately go first
#: The page's words for the stored state of a run that this process does not train.
STATES = {"running": "elsewhere", "queued": "elsewhere"}
GONE = ("The program that trained it has ended. Its last state is stored: **Continue** resumes "
        "from there.")
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
        #: When a viewer last looked at a run, on the monotonic clock.
        self._seen: dict[str, float] = {}
        #: Runs opened from disk, how often the store had been pruned then, and their frames.
        self._opened: dict[str, tuple[Run, int, list[Frame]]] = {}
        #: When a viewer last looked at a comparison, which is stopped when nobody does.
        self.watched: dict[str, float] = {}
        self._lock = threading.RLock()
        adopt(self.store)
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
        with self.admission.admitted([settings], owner):
            run_id = self.engine.submit(request.job, owner=owner, first=first)
        with self._lock:
            self.recorder.follow(run_id, settings, origin="page", continued=resume is not None,
                                 visitor=visitor)
            self._seen[run_id] = time.monotonic()
            self._forget_oldest()
        return run_id

    def runs(self, visitor: str) -> list[Run]:
        """The runs on disk that a visitor lists, newest first."""
        if not limits().shared:
            return self.store.runs()
        return self.store.runs(visitor=visitor) if visitor else []

    def find(self, run_id: str | None) -> Run | None:
        """The run with this id, which a viewer looks at; None where there is none (any more).

        Raises
        ------
        ValueError
            For a run on disk that this version cannot read.
        """
        run = self.recorder.run(run_id or "") or self._stored(run_id or "")[0]
        if run is not None:
            self._seen[run.id] = time.monotonic()
        return run

    def _stored(self, run_id: str) -> tuple[Run | None, list[Frame]]:
        """A run on disk and its frames, which are read again where there is news."""
        run, pruned = self.store.get(run_id), self.store.pruned
        if run is None:
            return None, []
        with self._lock:
            before, then, frames = self._opened.get(run_id, (None, 0, []))
            if before is not None and (before, then) == (run, pruned):
                return before, frames
            _ = run.settings  # raises where it cannot be read
            self._opened[run_id] = run, pruned, self.store.frames(run_id)
            self._seen[run_id] = time.monotonic()
            self._forget_oldest()
            return run, self._opened[run_id][2]

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

    def _kept(self, run_id: str) -> Run:
        kept = self.store.get(run_id)
        if kept is None:
            raise ValueError("This run is no longer stored: reload the list.")
        return kept

    def delete(self, run_id: str, visitor: str = "") -> None:
        """Delete a run of the visitor's that is over, from memory and from disk.

        Raises
        ------
        ValueError
            If it is under way, or another's.
        """
        kept, followed = self.store.get(run_id), self.recorder.run(run_id)
        for run in filter(None, (kept, followed)):
            must_own(run, visitor)
        if kept is not None and kept.active or followed is not None and self.status(
                followed).active:
            raise ValueError("This run is under way: stop it before you delete it.")
        with self._lock:
            self._forget(run_id)
        self.store.delete(run_id)

    def status(self, run: Run) -> Status:
        """The run's status."""
        if self.recorder.run(run.id) is not None and (
                status := self.recorder.status(run.id)) is not None:
            sentences = (status.message, self.recorder.trouble(run.id))
            return replace(status, message=" ".join(filter(None, sentences)))
        stored, frames = self._stored(run.id)
        now = stored or run
        reason = GONE if now.outcome == "interrupted" else now.reason
        sentences = (reason, self.store.damaged.get(run.id, ""))
        return Status(STATES.get(now.outcome, now.outcome), events=len(frames),
                      message=" ".join(filter(None, sentences)))

    def expected_wait(self, position: int, owner: str) -> float | None:
        """Seconds until an owner's run at a place in the queue starts; None where unknown."""
        states = self.engine.statuses()
        newest = self.recorder.newest()
        took = [newest[job].seconds for job, status in states.items()
                if job in newest and status.state == "finished"][-RECENT:]
        left = {job: _left(newest.get(job)) for job, status in states.items()
                if status.state == "running"}
        took += [newest[job].seconds + rest for job, rest in left.items() if rest is not None]
        turn = self.engine.turn or math.inf
        keep = self.engine.statuses(owner)  # one's own make no room, nor do a comparison's
        left = {job: rest and min(rest, turn) if self.recorder.run(job) and job not in keep
                else rest for job, rest in left.items()}
        return expected_wait(position, list(left.values()),
                             min(median(took), turn) if took else None)

    def wait(self, run: Run, seconds: float) -> None:
        """Wait for the first frame of a run, or its end, for no more than so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status = self.status(run)
            if status.events or not status.active:
                return
            time.sleep(0.01)

    def last(self, run: Run) -> Frame | None:
        """The newest frame; for a run that was stopped, the one taken when it stopped."""
        frames = self.frames(run)
        return frames[-1] if frames else None

    def control(self, run: Run, action: str, value: Any = None, visitor: str = "") -> None:
        """Steer a run, as `flowlab.jobs.Engine.control`; one that is only on disk is over.

        Raises
        ------
        NotYours
            If it is another visitor's.
        """
        must_own(run, visitor)
        self._control(run, action, value)

    def _control(self, run: Run, action: str, value: Any = None) -> None:
        if self.recorder.run(run.id) is not None:
            self.recorder.control(run.id, action, value)

    def frames(self, run: Run) -> list[Frame]:
        """The frames there are, oldest first."""
        if self.recorder.run(run.id) is not None:
            return self.recorder.frames(run.id)
        return self._stored(run.id)[1]

    def dress(self, run: Run, theme: str, overlays: tuple[str, ...], visitor: str = "") -> None:
        """Have the run's pictures in its owner's appearance and overlays from now on."""
        last = self.last(run)
        if owns(run, visitor) and last is not None and (
                last.theme, last.overlays) != (theme, overlays):
            changes = {} if last.theme == theme else {"theme": theme}
            self._control(run, "send", {**changes, "overlays": overlays})

    def _forget_oldest(self) -> None:
        """Let the runs go from memory that are over and were seen least lately."""
        over = sorted((run_id for run_id in self._seen if self._over(run_id)),
                      key=self._seen.__getitem__)
        for run_id in over[:max(0, len(over) - KEPT)]:
            self._forget(run_id)

    def _over(self, run_id: str) -> bool:
        """Whether a run is no longer followed, or has ended and is on disk."""
        return self.recorder.run(run_id) is None or self.recorder.done(run_id)

    def _forget(self, run_id: str) -> None:
        self._seen.pop(run_id, None)
        self._opened.pop(run_id, None)
        if self.recorder.run(run_id) is not None:
            self.recorder.forget(run_id)

    def _stop_unwatched(self) -> None:
        """Every few seconds, also refresh the operator's counters."""
        while True:
            self._refresher.write()
            time.sleep(EVERY)
            for run_id, seen in list(self._seen.items()):
                run = self.recorder.run(run_id)
                if run is not None and time.monotonic() - seen > limits().grace:
                    self.recorder.control(run_id, "stop")
            for group, seen in list(self.watched.items()):
                if time.monotonic() - seen > limits().grace:
                    del self.watched[group]
                    self.recorder.stop_group(group)


def _left(moment: Moment | None) -> float | None:
    """Seconds that a run still needs, at the speed it has had."""
    if moment is None or not moment.step:
        return None
    return (moment.steps - moment.step) * moment.seconds / moment.step


@st.cache_resource(show_spinner=False)
def lab() -> Lab:
    """The one lab of this process; made, with its workers, when the server starts."""
    return Lab()


def owner() -> str:
    """Name the visitor, or the session, so that the queue is fair between people."""
    return visitor() or session().owner


def drawing_owner() -> str:
    """Name the session to who draws pictures, not the visitor, who may have many pages."""
    session().drawing = session().drawing or secrets.token_hex(8)
    return session().drawing


def theme() -> str:
    """The viewer's appearance, ``"light"`` or ``"dark"``."""
    return "dark" if st.context.theme.type == "dark" else "light"


def appearance() -> str:
    """The viewer's theme with the layout of the page's pictures, as pictures are drawn with it."""
    return f"{theme()} {session().layout}".strip()
