"""A training as it is watched: numbers and pictures, made in the worker beside the training."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol

from safetensors.torch import load
from torch import Tensor

from flowlab.data import source_of
from flowlab.figures import SHOWN as LAYERS_SHOWN
from flowlab.jobs.engine import GoOn
from flowlab.live.cameras import Camera, camera, kind
from flowlab.settings import RunSettings
from flowlab.training import Progress, Snapshot

SHARE = 0.08  # of the time goes into pictures, once the first second is over
EVERY = 0.25  # seconds between two pictures at least
LONGEST = 1.0  # seconds between two pictures that a slow machine may cost
WEIGHTS_EVERY = 5.0  # seconds between two frames that carry the weights of a large flow
SMALL_FLOW = 1_000_000  # bytes of weights up to which every frame carries them
SPARE = 6  # cameras kept for runs to come, of 15 MB each


@dataclass(frozen=True)
class Request:
    """One training to be watched.

    Attributes
    ----------
    train : callable
        A recipe's ``train``.
    settings : RunSettings
    theme : "light" or "dark"
    layers : tuple of str
        The layers shown, of `flowlab.figures.LAYERS`.
    resume : Snapshot, optional
        What the training goes on from; a fresh flow otherwise.
    pictures : "live" or "end"
        Whether every frame has a picture, or only the last one, where nobody watches.
    history : tuple of (int, float, float, float)
        Of a training that goes on, after a turn or from a moment of another: epoch, training NLL,
        test NLL and seconds of all epochs before.
    since : int
        Epochs of another training that it goes on from; its own are counted from there.
    """

    train: Callable[..., Iterator[Progress]]
    settings: RunSettings
    theme: str = "light"
    layers: tuple[str, ...] = LAYERS_SHOWN
    resume: Snapshot | None = None
    pictures: Literal["live", "end"] = "live"
    history: tuple[tuple[int, float, float, float], ...] = ()
    since: int = 0

    @property
    def whole(self) -> RunSettings:
        """The settings with the epochs before it, for the training counts them as well."""
        training = self.settings.training
        epochs = {"epochs": training.epochs + self.since}
        return self.settings.model_copy(update={"training": training.model_copy(update=epochs)})

    @property
    def label(self) -> str:
        """The model's name, for the log."""
        return self.settings.model


class Content(Protocol):
    """A moment's picture and weights, wherever they are.

    Attributes
    ----------
    png : bytes
        The picture; empty where there is none.
    packed : bytes
        The flow's state as `Flow.save` writes it, from which the moment can be drawn again; empty
        where there is none: of a large flow there is one every few seconds only.
    bytes : int
        Roughly what it takes in memory.
    """

    @property
    def png(self) -> bytes: ...

    @property
    def packed(self) -> bytes: ...

    @property
    def bytes(self) -> int: ...


@dataclass(frozen=True)
class Held:
    """A `Content` in memory."""

    png: bytes = b""
    packed: bytes = b""

    @property
    def bytes(self) -> int:
        return len(self.png) + len(self.packed)


@dataclass(frozen=True)
class Frame:
    """What a viewer sees of one moment.

    Attributes
    ----------
    numbers : dict
        `Progress` without the flow and its snapshots.
    epochs : tuple of (int, float, float)
        Epoch, training NLL and test NLL of the epochs since the frame before.
    content : Content
        Picture and weights.
    theme : str
        Appearance of the picture.
    layers : tuple of str
        The layers that the picture shows.
    seconds : tuple of float
        Time spent training until the end of each of the epochs.
    snapshot : Snapshot or None
        Now and then, and in the last frame: what the training can go on from, as it was after the
        last epoch.
    """

    numbers: dict[str, Any]
    epochs: tuple[tuple[int, float, float], ...]
    content: Content = Held()
    theme: str = "light"
    layers: tuple[str, ...] = LAYERS_SHOWN
    seconds: tuple[float, ...] = ()
    snapshot: Snapshot | None = field(default=None, repr=False)

    @property
    def png(self) -> bytes:
        """The picture; empty where there is none."""
        return self.content.png

    @property
    def weights(self) -> dict[str, Tensor] | None:
        """The flow's state; None where there is none."""
        packed = self.content.packed
        return load(packed) if packed else None


#: Cameras that no run uses at present. What stands still in their pictures is drawn already, which
#: saves a run that needs the same a third of the time to its first frame.
_spare: dict[tuple, Camera] = {}


def scene(settings: RunSettings, theme: str) -> tuple:
    """What stands still in the pictures of a run depends on, its layers apart."""
    flow, source = settings.flow, settings.source
    points = seen_points(settings) if kind(source_of(source)).seeded else None
    return source, points, flow.base, flow.classes, theme


def seen_points(settings: RunSettings) -> tuple:
    """What the points that a run has depend on, its source apart."""
    training = settings.training
    return training.seed, training.points, training.test_fraction


def borrow(settings: RunSettings, theme: str, layers: tuple[str, ...] = LAYERS_SHOWN) -> Camera:
    """A camera for this run alone."""
    spare = _spare.pop(scene(settings, theme), None)
    if spare is None:
        return camera(settings, theme, layers)
    spare.aim(settings)
    if spare.layers != layers:
        spare.show(layers)
    return spare


def give_back(settings: RunSettings, used: Camera) -> None:
    """Keep a run's camera for the next one, and no more than `SPARE` in all."""
    _spare[scene(settings, used.theme)] = used
    while len(_spare) > SPARE:
        del _spare[next(iter(_spare))]


def watch(request: Request) -> Generator[Frame | None, dict[str, Any] | None,
                                         Frame | GoOn | None]:
    """Train and yield once a batch: a `Frame` when one is due, else None.

    Pictures take at most a small share of the time, so a watched training is nearly as fast as an
    unwatched one; over a long run they come ever more seldom. ``{"learning_rate": 1e-3}``,
    ``{"theme": "dark"}`` or ``{"layers": ("samples", "grid")}`` can be sent in at any batch; the
    next batch then gives a frame in any case, and ``{"look": True}`` asks for no more than that.
    Returns the last frame, also when closed; after ``{"leave": True}``, at the end of the epoch,
    what to go on with.
    """
    film = Film(request.settings, request.theme, request.layers, request.pictures,
                request.history, request.since)
    leaves = False
    generator = request.train(request.whole, every="batch", resume=request.resume)
    progress = next(generator)
    try:
        while progress.outcome == "running" and not (leaves and progress.snapshot is not None):
            message = (yield film.frame(progress, film.due())) or {}
            film.follow(message)
            leaves = leaves or "leave" in message
            progress = generator.send(message.get("learning_rate"))
    except GeneratorExit:
        generator.close()
        leaves, progress = False, film.handed_back(progress)
    last = film.frame(progress, True, last=True, picture=not leaves)
    film.end()
    if leaves or progress.outcome != "running":
        yield last
    if leaves and progress.outcome == "running":
        shown = {"theme": last.theme, "layers": last.layers} if last.png else {}
        return GoOn(replace(request, resume=last.snapshot, history=tuple(film.epochs()), **shown))
    return last


def _go_on(request: Request, frame: Frame) -> Request:
    """What to watch after a worker died: the training from the frame's checkpoint, or afresh."""
    return replace(request, resume=frame.snapshot or request.resume)


watch.resume, watch.leave = _go_on, {"leave": True}


class Film:
    """Decides which moments become frames, and remembers the curve between them.

    Its arguments are those of `Request`.
    """

    def __init__(self, settings: RunSettings, theme: str = "light",
                 layers: tuple[str, ...] = LAYERS_SHOWN,
                 pictures: Literal["live", "end"] = "live",
                 history: tuple[tuple[int, float, float, float], ...] = (),
                 since: int = 0) -> None:
        self.scene = settings, theme, layers
        self.live = pictures == "live"
        self.camera: Camera | None = None
        self.history: list[tuple[int, float, float]] = [epoch[:3] for epoch in history]
        self.seconds = [epoch[3] for epoch in history]  # spent training, at each of these epochs
        self.snapshot: Snapshot | None = None  # of the last epoch
        own = bool(history) and history[-1][0] > since
        self.sent = len(history) if own else 0  # epochs that a frame of this run has carried
        self.start = time.perf_counter()
        self.next_frame = self.next_weights = self.next_snapshot = 0.0  # seconds since the start
        self.hurry = False  # a viewer changed something and waits to see it

    def due(self) -> bool:
        """Whether the next moment should be a frame."""
        return self.hurry or self._elapsed() >= self.next_frame

    def follow(self, message: dict[str, Any]) -> None:
        """Do what a viewer asks."""
        if "theme" in message:
            self._borrowed().dress(message["theme"])
        if "layers" in message:
            self._borrowed().show(message["layers"])
        self.hurry = self.hurry or bool(message)

    def handed_back(self, progress: Progress) -> Progress:
        """Where a training stands that was closed; early stop hands back the best weights."""
        best = None
        if self.scene[0].training.patience and self.snapshot is not None:
            best = next((row for row in self.history if row[0] == self.snapshot.best_epoch), None)
        if best is None:
            return progress
        epoch, train_nll, test_nll = best
        return replace(progress, train_nll=train_nll, test_nll=test_nll, kl=None if (
            progress.best_nll is None) else test_nll - progress.best_nll, reason=(
                f"Stopped, with the weights of epoch {epoch}, which have the lowest test NLL."))

    def epochs(self) -> Iterator[tuple[int, float, float, float]]:
        """Its history with the seconds, as in `Request`."""
        return ((*epoch, seconds)
                for epoch, seconds in zip(self.history, self.seconds, strict=True))

    def end(self) -> None:
        """Lend its camera to others."""
        if self.camera is not None:
            give_back(self.scene[0], self.camera)

    def frame(self, progress: Progress, due: bool, last: bool = False,
              picture: bool = True) -> Frame | None:
        """The frame of this batch where one is due, or where it is the last.

        Where pictures are for the end, the last has one if ``picture``.
        """
        if progress.snapshot is not None:
            self.snapshot = progress.snapshot
            if not self.history or progress.epoch > self.history[-1][0]:
                self.history.append((progress.epoch, progress.train_nll, progress.test_nll))
                self.seconds.append(progress.seconds)
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
        png, numbers = b"", numbers_of(progress)
        if self.live or (last and picture):
            png = self._borrowed().take(progress.flow, self.history, numbers)
        packed = progress.flow.packed() if keep or (self.live and small) else b""
        frame = Frame(numbers, tuple(self.history[self.sent:]), Held(png, packed),
                      *((self.camera.theme, self.camera.layers) if self.camera else ()),
                      seconds=tuple(self.seconds[self.sent:]),
                      snapshot=self.snapshot if save else None)
        self.sent, self.hurry = len(self.history), False
        now = self._elapsed()
        pause = min((now - begun) / SHARE, LONGEST) if now > LONGEST else 0.0
        self.next_frame = now + max(EVERY, pause, now / 200)
        return frame

    def _borrowed(self) -> Camera:
        if self.camera is None:
            self.camera = borrow(*self.scene)
        return self.camera

    def _elapsed(self) -> float:
        return time.perf_counter() - self.start


def numbers_of(progress: Progress) -> dict[str, Any]:
    """What a frame has of it."""
    return {f.name: getattr(progress, f.name) for f in fields(progress)
            if f.name not in ("flow", "recent")}

