"""Watches a training: makes frames of numbers and pictures in the worker."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from flowlab.data import source_of
from flowlab.figures import DEFAULT_OVERLAYS
from flowlab.flow import Flow
from flowlab.jobs.engine import Job, Preempted
from flowlab.live.cameras import Camera, camera, kind
from flowlab.settings import RunSettings
from flowlab.training import Epoch, Moment, Progress, Snapshot

SHARE = 0.05  # share of the time that pictures take, after the first second
EVERY = 0.25  # minimum seconds between two pictures
MAX_PAUSE = 1.0  # maximum seconds between two pictures that keeping `SHARE` may cost, or
MAX_PART = 0.1  # that part of the time so far: a long run may be seen less often
WEIGHTS_EVERY = 5.0  # seconds between two frames with the weights of a large flow
SMALL_FLOW = 1_000_000  # bytes of weights up to which every frame has them
PREEMPT = {"preempt": True}  # the message after which `watch` returns `Preempted`
SPARE = 6  # cameras kept for later runs, of 15 MB each


@dataclass(frozen=True)
class Request:
    """One training to watch.

    Attributes
    ----------
    train : callable
        A recipe's ``train``.
    settings : RunSettings
    theme : "light" or "dark"
    overlays : tuple of str
        The overlays shown, of `flowlab.figures.OVERLAYS`.
    resume : Snapshot, optional
        Where the training continues; otherwise it starts with a fresh flow.
    pictures : "live", "weights" or "end"
        Whether every frame has a picture, or only the last one. With ``"weights"`` every frame of
        a small flow has its weights, as with ``"live"``.
    history : tuple of Epoch
        All epochs before, where the training was preempted or continues another one.
    since : int
        Number of epochs of the training that it continues; its own are counted from there.
    before : tuple of (int, float)
        Steps and seconds of that training.
    """

    train: Callable[..., Generator[Progress, float | None, None]]
    settings: RunSettings
    theme: str = "light"
    overlays: tuple[str, ...] = DEFAULT_OVERLAYS
    resume: Snapshot | None = None
    pictures: Literal["live", "weights", "end"] = "live"
    history: tuple[Epoch, ...] = ()
    since: int = 0
    before: tuple[int, float] = (0, 0.0)

    @property
    def whole(self) -> RunSettings:
        """The settings with the earlier training added, which this one counts as well."""
        training = self.settings.training.after(self.since, *self.before)
        return self.settings.model_copy(update={"training": training})

    @property
    def job(self) -> Job:
        """The job that trains: the model's name is in the log, and others may have their turns."""
        return Job(watch, self, label=self.settings.model, preempt=PREEMPT, resume=_resumed)


class Content(Protocol):
    """The picture and weights of a frame, in memory or on disk.

    Attributes
    ----------
    png : bytes
        The picture; empty where there is none.
    file : Path or None
        The picture as a file that the server gives out unchanged, where there is one.
    weights : bytes
        The flow as `Flow.save` writes it, from which the picture can be drawn again; empty where
        there is none: frames of a large flow have it only every few seconds.
    has_weights : bool
        Whether there are weights, which are not read for this.
    bytes : int
        Approximate size in memory.
    """

    @property
    def png(self) -> bytes: ...

    @property
    def file(self) -> Path | None: ...

    @property
    def weights(self) -> bytes: ...

    @property
    def has_weights(self) -> bool: ...

    @property
    def empty(self) -> bool: ...

    @property
    def bytes(self) -> int: ...


@dataclass(frozen=True)
class InMemory:
    """A `Content` in memory."""

    file = None
    png: bytes = b""
    weights: bytes = b""

    @property
    def has_weights(self) -> bool:
        return bool(self.weights)

    @property
    def empty(self) -> bool:
        """Whether there is neither picture nor weights."""
        return not (self.png or self.weights)

    @property
    def bytes(self) -> int:
        return len(self.png) + len(self.weights)


@dataclass(frozen=True)
class Frame:
    """One moment of a training as viewers see it.

    Attributes
    ----------
    moment : Moment
        Its numbers.
    epochs : tuple of Epoch
        The epochs since the previous frame.
    content : Content
        Picture and weights.
    theme : str
        Theme of the picture.
    overlays : tuple of str
        The overlays that the picture shows.
    snapshot : Snapshot or None
        The state after the last epoch, from which the training can resume; in some frames and in
        the last one.
    """

    moment: Moment
    epochs: tuple[Epoch, ...]
    content: Content = InMemory()
    theme: str = "light"
    overlays: tuple[str, ...] = DEFAULT_OVERLAYS
    snapshot: Snapshot | None = field(default=None, repr=False)

    @property
    def png(self) -> bytes:
        """The picture; empty where there is none."""
        return self.content.png

    @property
    def weights(self) -> bytes:
        """The flow as `Flow.save` writes it; empty where there is none."""
        return self.content.weights

    @property
    def has_weights(self) -> bool:
        """Whether there are weights, which are not read for this."""
        return self.content.has_weights

    def flow(self) -> Flow:
        """The flow, in evaluation mode.

        Raises
        ------
        ValueError
            When the frame has no weights.
        """
        if not self.weights:
            raise ValueError("This moment was kept without its weights: choose another.")
        return Flow.from_bytes(self.weights)


#: Cameras that no run uses at present. The static part of their pictures is drawn already, which
#: saves a run of the same scene a third of the time to its first frame.
_spare: dict[tuple, Camera] = {}


def scene(settings: RunSettings, theme: str) -> tuple:
    """The settings on which the static part of a run's pictures depends, overlays excepted."""
    flow, source = settings.flow, settings.source
    points = seen_points(settings) if kind(source_of(source)).seeded else None
    return source, points, flow.base, flow.classes, theme


def seen_points(settings: RunSettings) -> tuple:
    """The settings on which a run's points depend, its source excepted."""
    training = settings.training
    return training.seed, training.points, training.test_fraction


def borrow(settings: RunSettings, theme: str,
           overlays: tuple[str, ...] = DEFAULT_OVERLAYS) -> Camera:
    """Take a spare camera for this run, or make one."""
    spare = _spare.pop(scene(settings, theme), None)
    if spare is None:
        return camera(settings, theme, overlays)
    spare.switch_run(settings)
    if spare.overlays != overlays:
        spare.show_overlays(overlays)
    return spare


def give_back(settings: RunSettings, used: Camera) -> None:
    """Return a run's camera to the spare ones, of which at most `SPARE` are kept."""
    _spare[scene(settings, used.theme)] = used
    while len(_spare) > SPARE:
        del _spare[next(iter(_spare))]


def watch(request: Request) -> Generator[Frame | None, dict[str, Any] | None,
                                         Frame | Preempted | None]:
    """Train, and yield once per batch: a `Frame` when one is due, otherwise None.

    Pictures take only a small share of the time, so a watched training is nearly as fast as an
    unwatched one; in a long run they become less frequent. ``{"learning_rate": 1e-3}``,
    ``{"theme": "dark"}`` or ``{"overlays": ("samples", "grid")}`` can be sent in at any batch; the
    next batch then yields a frame. ``{"look": True}`` only asks for a frame. The generator returns
    the last frame, also when it is closed; after ``{"preempt": True}`` it returns `Preempted` at
    the end of the epoch.
    """
    film = Film(request.settings, request.theme, request.overlays, request.pictures,
                request.history, request.since)
    preempted = False
    generator = request.train(request.whole, every="batch", resume=request.resume)
    progress = next(generator)
    try:
        while progress.outcome == "running" and not (preempted and progress.snapshot is not None):
            message = (yield film.frame(progress, film.due())) or {}
            film.follow(message)
            preempted = preempted or "preempt" in message
            progress = generator.send(message.get("learning_rate"))
    except GeneratorExit:
        generator.close()
        preempted, progress = False, film.handed_back(progress)
    last = film.frame(progress, True, last=True, picture=not preempted)
    film.end()
    if preempted or progress.outcome != "running":
        yield last
    if preempted and progress.outcome == "running":
        assert last is not None
        theme, overlays = (last.theme, last.overlays) if last.png else (
            request.theme, request.overlays)
        return Preempted(replace(request, resume=last.snapshot, history=tuple(film.history),
                                 theme=theme, overlays=overlays))
    return last


def _resumed(request: Request, frame: Frame) -> Request:
    """The request after a worker died: it resumes at the frame's checkpoint, or starts again."""
    return replace(request, resume=frame.snapshot or request.resume)


class Film:
    """Decides when frames are taken, and takes them; the arguments are those of `Request`."""

    def __init__(self, settings: RunSettings, theme: str = "light",
                 overlays: tuple[str, ...] = DEFAULT_OVERLAYS,
                 pictures: Literal["live", "weights", "end"] = "live",
                 history: tuple[Epoch, ...] = (), since: int = 0) -> None:
        self.scene = settings, theme, overlays
        self.live, self.weights = pictures == "live", pictures != "end"
        self.camera: Camera | None = None
        self.history = list(history)
        self.snapshot: Snapshot | None = None  # of the last epoch
        own = bool(history) and history[-1].epoch > since
        self.sent = len(history) if own else 0  # number of epochs in frames of this run
        self.start = time.perf_counter()
        self.next_frame = self.next_weights = self.next_snapshot = 0.0  # seconds since the start
        self.hurry = False  # whether a viewer waits for a frame

    def due(self) -> bool:
        """Whether a frame should be taken at the next batch."""
        return self.hurry or self._elapsed() >= self.next_frame

    def follow(self, message: dict[str, Any]) -> None:
        """Apply a viewer's message."""
        if "theme" in message:
            self._borrowed().set_theme(message["theme"])
        if "overlays" in message:
            self._borrowed().show_overlays(message["overlays"])
        self.hurry = self.hurry or bool(message)

    def handed_back(self, progress: Progress) -> Progress:
        """The progress of a closed training, which with early stop has the best weights."""
        best = None
        if self.scene[0].training.patience and self.snapshot is not None:
            best = next((e for e in self.history if e.epoch == self.snapshot.best_epoch), None)
        if best is None or best.train_nll is None or best.test_nll is None:
            return progress
        return replace(progress, train_nll=best.train_nll, test_nll=best.test_nll, kl=best.kl,
                       reason=f"Stopped, with the weights of epoch {best.epoch}, which have the "
                       "lowest test NLL.")

    def end(self) -> None:
        """Return the camera."""
        if self.camera is not None:
            give_back(self.scene[0], self.camera)

    def frame(self, progress: Progress, due: bool, last: bool = False,
              picture: bool = True) -> Frame | None:
        """The frame of this batch, where one is due or the batch is the last.

        Without ``pictures="live"`` the last frame has a picture if ``picture`` is true.
        """
        if progress.snapshot is not None:
            self.snapshot = progress.snapshot
            if not self.history or progress.epoch > self.history[-1].epoch:
                self.history.append(progress.completed)
        if not due:
            return None
        begun = self._elapsed()
        keep = last or begun >= self.next_weights
        if keep:
            self.next_weights = begun + WEIGHTS_EVERY
        save = self.snapshot is not None and (last or begun >= self.next_snapshot)
        if save:
            self.next_snapshot = begun + WEIGHTS_EVERY
        small = sum(p.nbytes for p in progress.flow.parameters()) <= SMALL_FLOW
        png, moment = b"", progress.moment
        if self.live or (last and picture):
            png = self._borrowed().take(progress.flow, self.history, moment)
        weights = progress.flow.to_bytes() if keep or (self.weights and small) else b""
        frame = Frame(moment, tuple(self.history[self.sent:]), InMemory(png, weights),
                      snapshot=self.snapshot if save else None)
        if self.camera:
            frame = replace(frame, theme=self.camera.theme, overlays=self.camera.overlays)
        self.sent, self.hurry = len(self.history), False
        now = self._elapsed()
        most = max(MAX_PAUSE, MAX_PART * now)
        pause = min((now - begun) / SHARE, most) if now > MAX_PAUSE else 0.0
        self.next_frame = now + max(EVERY, pause, now / 200)
        return frame

    def _borrowed(self) -> Camera:
        if self.camera is None:
            self.camera = borrow(*self.scene)
        return self.camera

    def _elapsed(self) -> float:
        return time.perf_counter() - self.start

