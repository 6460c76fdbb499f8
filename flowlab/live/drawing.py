"""Draws single pictures in a separate process, so that no page waits while another is drawn.

One process serves all pages, and a picture would block it for a tenth of a second or more.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flowlab.data import source_of
from flowlab.flow import Flow
from flowlab.jobs.engine import Engine, Job, UnknownRun
from flowlab.live.cameras import Camera
from flowlab.live.watch import borrow, give_back
from flowlab.settings import RunSettings
from flowlab.training import Epoch, Moment
from flowlab.training.recipe import build
from flowlab.training.trainer import untrained

KEPT = 80e6  # bytes of pictures: a play through a flow of 17 layers takes 11 MB
RETRY = 30.0  # seconds until a failed drawing is tried again


class DrawingFailed(RuntimeError):
    """A picture cannot be drawn; the message says why."""


@dataclass(frozen=True)
class Drawing:
    """A picture to draw: a flow at one moment, in a theme and with overlays.

    Attributes
    ----------
    model : type of Flow
    settings : RunSettings
    theme : "light" or "dark"
    overlays : tuple of str
        The overlays shown, of `flowlab.figures.OVERLAYS`.
    weights : bytes
        As in `flowlab.live.watch.Frame`; empty for a fresh flow.
    history : sequence of Epoch
        All epochs until that moment.
    moment : Moment, optional
        Its numbers.
    """

    model: type[Flow]
    settings: RunSettings
    theme: str
    overlays: tuple[str, ...]
    weights: bytes
    history: Sequence[Epoch]
    moment: Moment | None = None


def flow_of(model: type[Flow], settings: RunSettings, weights: bytes, camera: Camera) -> Flow:
    """The flow with these weights, or a fresh one initialised by the camera's data, not to train.
    """  # noqa: D200
    if weights:
        flow = model.from_bytes(weights)
    else:
        flow = build(model, _on_cpu(settings))
        camera.initialise(flow)
    return flow.requires_grad_(False).eval()


def _on_cpu(settings: RunSettings) -> RunSettings:
    return settings.model_copy(
        update={"training": settings.training.model_copy(update={"device": "cpu"})})


def draw(drawing: Drawing) -> Generator[None, None, bytes]:
    """Draw the picture as PNG; a job for an `Engine`."""
    yield
    camera = borrow(drawing.settings, drawing.theme, drawing.overlays)
    flow = flow_of(drawing.model, drawing.settings, drawing.weights, camera)
    png = camera.take(flow, drawing.history, drawing.moment)
    give_back(drawing.settings, camera)
    return png


def measure(drawing: Drawing) -> Generator[None, None, Moment]:
    """Measure the fresh flow as its training would before the first step; a job."""
    yield
    settings = _on_cpu(drawing.settings)
    return untrained(build(drawing.model, settings), source_of(settings.source),
                     settings.training).moment


class PictureCache:
    """Has an engine draw pictures and keeps the newest; safe to use from several threads.

    Parameters
    ----------
    engine : Engine
        Draws the pictures.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._drawn: OrderedDict[Hashable, Any] = OrderedDict()
        self._failed: OrderedDict[Hashable, tuple[float, str]] = OrderedDict()
        self._jobs: dict[Hashable, str] = {}
        self._wanted: dict[tuple, Hashable] = {}  # by owner, who looks at one picture at a time
        self._lock = threading.Lock()

    def picture(self, key: Hashable, drawing: Callable[[], Drawing], owner: str,
                patience: float) -> bytes | None:
        """The picture, once it is drawn; None until then.

        Parameters
        ----------
        key : hashable
            The same for the same picture.
        drawing : callable
            Makes the `Drawing`; called where the picture must be drawn.
        owner : str
            Who asks. Queued pictures that no owner asks for any more are cancelled.
        patience : float
            Seconds to wait for the picture.

        Raises
        ------
        DrawingFailed
            If it recently could not be drawn.
        """
        png, job = self._ask(key, drawing, owner)
        if png is None and patience:
            with suppress(UnknownRun):  # another session has fetched it already
                self.engine.wait(job, patience)
            png, _ = self._ask(key, drawing, owner)
        return png

    def numbers(self, key: Hashable, drawing: Callable[[], Drawing],
                owner: str) -> Moment | None:
        """The numbers of the fresh flow (see `measure`), once measured; arguments as `picture`."""
        return self._ask(("numbers", key), drawing, owner, measure)[0]

    def layer(self, key: Hashable, drawing: Callable[[], Any], owner: str, job: Callable,
              ahead: bool = False) -> tuple[bytes, ...] | None:
        """What `job` draws of a layer, once it is drawn; arguments as `picture`.

        An owner may want the next one `ahead`, besides the one that is shown.
        """
        return self._ask(key, drawing, owner, job, ahead)[0]

    def _ask(self, key: Hashable, drawing: Callable[[], Any], owner: str,
             job: Callable = draw, ahead: bool = False) -> tuple[Any, str]:
        with self._lock:
            self._collect()
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key], ""
            if key in self._failed:
                raise DrawingFailed(self._failed[key][1])
            self._wanted[owner, job, ahead] = key
            if key not in self._jobs:
                # It is no run of a visitor, and not logged.
                self._jobs[key] = self.engine.submit(Job(job, drawing(), quiet=True), owner=owner)
            for other, run_id in self._jobs.items():
                if other not in self._wanted.values() and self.engine.status(run_id).position:
                    self.engine.control(run_id, "stop")
            return None, self._jobs[key]

    def _collect(self) -> None:
        """Fetch the pictures that are drawn."""
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
        sizes = [_size(drawn) for drawn in self._drawn.values()]
        while sum(sizes) > KEPT:
            self._drawn.popitem(last=False)
            del sizes[0]


def _size(drawn: Any) -> int:
    """Bytes of a picture or of several; numbers take next to nothing."""
    if isinstance(drawn, tuple):
        return sum(map(len, drawn))
    return len(drawn) if isinstance(drawn, bytes) else 0
