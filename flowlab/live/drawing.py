"""Single pictures, drawn in a process of their own, so that no page waits while another is drawn.

Pages are answered by one process; a picture would hold it for a tenth of a second and more.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from flowlab.data import source_of
from flowlab.flow import Flow
from flowlab.jobs.engine import Engine, UnknownRun
from flowlab.live.cameras import Camera, History
from flowlab.live.watch import borrow, give_back, numbers_of
from flowlab.settings import RunSettings
from flowlab.training.recipe import build
from flowlab.training.trainer import untrained

KEPT = 64  # pictures; each may take 200 kB
RETRY = 30.0  # seconds until what could not be drawn is tried again


class Undrawn(RuntimeError):
    """A picture cannot be drawn; the text says why."""


@dataclass(frozen=True)
class Still:
    """One moment of a flow, as it is to be seen.

    Attributes
    ----------
    model : type of Flow
    settings : RunSettings
    theme : "light" or "dark"
    layers : tuple of str
        The layers shown, of `flowlab.figures.LAYERS`.
    weights : dict of str to Tensor, or None
        The flow's state; None for a fresh flow.
    history : list of (int, float, float)
        Epoch, training NLL and test NLL of every epoch until then.
    numbers : dict, optional
        Those of its `flowlab.training.progress.Progress`.
    """

    model: type[Flow]
    settings: RunSettings
    theme: str
    layers: tuple[str, ...]
    weights: dict[str, Tensor] | None
    history: History
    numbers: dict[str, Any] | None = None


def flow_of(model: type[Flow], settings: RunSettings, weights: dict[str, Tensor] | None,
            camera: Camera) -> Flow:
    """The flow with these weights, or a fresh one set by the camera's data; to look at only."""
    flow = build(model, _on_cpu(settings))
    if weights is None:
        camera.initialise(flow)
    else:
        flow.load_state_dict(weights)
    return flow.requires_grad_(False).eval()


def _on_cpu(settings: RunSettings) -> RunSettings:
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"device": "cpu"})})


def draw(still: Still) -> Generator[None, None, bytes]:
    """Draw the picture as PNG: a job for an `Engine`."""
    yield
    camera = borrow(still.settings, still.theme, still.layers)
    flow = flow_of(still.model, still.settings, still.weights, camera)
    png = camera.take(flow, still.history, still.numbers)
    give_back(still.settings, camera)
    return png


def measure(still: Still) -> Generator[None, None, dict[str, Any]]:
    """The numbers of the fresh flow, as its training knows them before its first step: a job."""
    yield
    settings = _on_cpu(still.settings)
    return numbers_of(untrained(build(still.model, settings), source_of(settings.source),
                                settings.training))


draw.quiet = measure.quiet = True  # no run of anybody's


class Studio:
    """Has pictures drawn and keeps the newest; safe to use from several threads.

    Parameters
    ----------
    engine : Engine
        Draws them.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._drawn: OrderedDict[Hashable, Any] = OrderedDict()
        self._failed: OrderedDict[Hashable, tuple[float, str]] = OrderedDict()
        self._jobs: dict[Hashable, str] = {}
        self._wanted: dict[tuple, Hashable] = {}  # by whom: nobody looks at two pictures at once
        self._lock = threading.Lock()

    def picture(self, key: Hashable, still: Callable[[], Still], owner: str,
                patience: float) -> bytes | None:
        """The picture, once it is drawn; None until then.

        Parameters
        ----------
        key : hashable
            The same for the same picture.
        still : callable
            Makes the `Still`; called where the picture must be drawn.
        owner : str
            Who asks: pictures that somebody has asked for and no longer wants are left out.
        patience : float
            Seconds to wait for it.

        Raises
        ------
        Undrawn
            If it could not be drawn lately.
        """
        png, job = self._ask(key, still, owner)
        if png is None and patience:
            with suppress(UnknownRun):  # another session has fetched it already
                self.engine.wait(job, patience)
            png, _ = self._ask(key, still, owner)
        return png

    def numbers(self, key: Hashable, still: Callable[[], Still],
                owner: str) -> dict[str, Any] | None:
        """Those of the fresh flow, see `measure`, as `picture` has the picture; None until then."""
        return self._ask(("numbers", key), still, owner, measure)[0]

    def _ask(self, key: Hashable, still: Callable[[], Still], owner: str,
             job: Callable = draw) -> tuple[Any, str]:
        with self._lock:
            self._collect()
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key], ""
            if key in self._failed:
                raise Undrawn(self._failed[key][1])
            self._wanted[owner, job] = key
            if key not in self._jobs:
                self._jobs[key] = self.engine.submit(job, still(), owner)
            for other, run_id in self._jobs.items():
                if other not in self._wanted.values() and self.engine.status(run_id).position:
                    self.engine.control(run_id, "stop")
            return None, self._jobs[key]

    def _collect(self) -> None:
        """Take in what is drawn."""
        for key, job in list(self._jobs.items()):
            status = self.engine.status(job)
            if status.active:
                continue
            if status.state == "finished":
                self._drawn[key] = self.engine.result(job)
            elif status.late or status.state != "stopped":
                why = "it takes too long." if status.late else status.message
                self._failed[key] = (time.monotonic() + RETRY,
                                     f"This picture cannot be drawn: {why}")
            self.engine.forget(job)
            del self._jobs[key]
            self._wanted = {who: what for who, what in self._wanted.items() if what != key}
        while self._failed and next(iter(self._failed.values()))[0] < time.monotonic():
            self._failed.popitem(last=False)
        while len(self._drawn) > KEPT:
            self._drawn.popitem(last=False)
