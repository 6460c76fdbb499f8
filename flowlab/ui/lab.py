"""The lab of this server process: one engine, and the runs that viewers can come back to.

Streamlit's scripts come and go with every click; what must outlive them is here.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from flowlab.figures import SHOWN
from flowlab.jobs import Local, Status
from flowlab.live import Frame, Request, watch
from flowlab.reel import thinned
from flowlab.settings import RunSettings
from flowlab.training import Snapshot

PRELOAD = ("models", "flowlab.live", "flowlab.warm")
#: Seconds without a viewer after which a run is stopped.
GRACE = float(os.environ.get("FLOWLAB_GRACE", "120"))
#: Finished runs that are kept; the oldest go first.
KEPT = 40


@dataclass
class Run:
    """A run as pages know it.

    Attributes
    ----------
    id : str
        From the engine; it cannot be guessed.
    settings : RunSettings
    theme : str
        Appearance of its pictures now.
    layers : tuple of str
        What its pictures show now.
    seen : float
        When a page last looked, on the monotonic clock.
    frames : list of Frame
        What has come so far, thinned to a bound.
    taken : int
        How many frames have come.
    continued : bool
        Whether it went on from a trained flow, so that its settings alone do not repeat it.
    steered : bool
        Whether its learning rate was changed by hand, with the same effect.
    """

    id: str
    settings: RunSettings
    theme: str
    layers: tuple[str, ...] = SHOWN
    seen: float = field(default_factory=time.monotonic)
    frames: list[Frame] = field(default_factory=list)
    taken: int = 0
    continued: bool = False
    steered: bool = False


class Lab:
    """Submits, finds and steers runs; safe to use from several sessions at once."""

    def __init__(self) -> None:
        self.engine = Local(preload=PRELOAD)
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._stop_unwatched, daemon=True).start()

    def submit(self, train: Callable, settings: RunSettings, theme: str, owner: str,
               first: str = "", resume: Snapshot | None = None,
               layers: tuple[str, ...] = SHOWN) -> str:
        """Queue a training, paused after its first batch with ``first="step"``; the run's id.

        With ``resume`` it goes on from there; otherwise it starts with a fresh flow.
        """
        request = Request(train, settings, theme, layers, resume)
        run_id = self.engine.submit(watch, request, owner, first)
        with self._lock:
            self._runs[run_id] = Run(run_id, settings, theme, layers, continued=resume is not None)
            self._forget_oldest()
        return run_id

    def find(self, run_id: str | None) -> Run | None:
        """The run with this id, with its newest frames; None where there is none any more."""
        run = self._runs.get(run_id or "")
        if run is not None:
            run.seen = time.monotonic()
            with self._lock:
                new = self.engine.events(run.id, run.taken)
                if new:
                    run.taken += len(new)
                    run.frames = thinned([*run.frames, *new])
                    self.engine.release(run.id, run.taken)
        return run

    def status(self, run: Run) -> Status:
        """Where the run stands."""
        return self.engine.status(run.id)

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
        result = self.engine.result(run.id)
        return result or (run.frames[-1] if run.frames else None)

    def control(self, run: Run, action: str, value: Any = None) -> None:
        """Steer a run, as `flowlab.jobs.Engine.control`."""
        run.steered = run.steered or action == "send" and "learning_rate" in value
        self.engine.control(run.id, action, value)

    def frames(self, run: Run) -> list[Frame]:
        """The frames that are kept, the newest one of `last` at the end."""
        last = self.last(run)
        if not run.frames or last.numbers["step"] == run.frames[-1].numbers["step"]:
            return run.frames
        return [*run.frames, last]

    def dress(self, run: Run, theme: str, layers: tuple[str, ...]) -> None:
        """Have the run's pictures in the viewer's appearance and layers from now on."""
        if (run.theme, run.layers) != (theme, layers):
            changes = {} if run.theme == theme else {"theme": theme}
            run.theme, run.layers = theme, layers
            self.control(run, "send", {**changes, "layers": layers})

    def _forget_oldest(self) -> None:
        over = [run for run in self._runs.values() if not self.engine.status(run.id).active]
        for run in over[:max(0, len(over) - KEPT)]:
            del self._runs[run.id]
            self.engine.forget(run.id)

    def _stop_unwatched(self) -> None:
        while True:
            time.sleep(5)
            with self._lock:
                runs = list(self._runs.values())
            for run in runs:
                if time.monotonic() - run.seen > GRACE and self.engine.status(run.id).active:
                    self.engine.control(run.id, "stop")


@st.cache_resource(show_spinner=False)
def lab() -> Lab:
    """The one lab of this process; made, with its workers, when the first page opens."""
    return Lab()


def owner() -> str:
    """Name the session, so that the queue is fair between people."""
    return st.session_state.setdefault("owner", str(id(st.session_state)))


def theme() -> str:
    """The viewer's appearance, ``"light"`` or ``"dark"``."""
    return "dark" if st.context.theme.type == "dark" else "light"
