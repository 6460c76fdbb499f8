"""A training as it is watched: numbers and pictures, made in the worker beside the training."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import torch
from torch import Tensor

from flowlab.data import target
from flowlab.explore import latent_grid, ways
from flowlab.figures import SHOWN as LAYERS_SHOWN
from flowlab.figures import LivePicture, grid_points
from flowlab.flow import Flow
from flowlab.settings import RunSettings
from flowlab.training import Progress, Snapshot

GRID = 120  # cells along a side of a density's picture
SHOWN = 1500  # points in a cloud
SHARE = 0.08  # of the time goes into pictures, once the first second is over
EVERY = 0.25  # seconds between two pictures at least
LONGEST = 1.0  # seconds between two pictures that a slow machine may cost
WEIGHTS_EVERY = 5.0  # seconds between two frames that carry the weights of a large flow
SMALL_FLOW = 1_000_000  # bytes of weights up to which every frame carries them
SPARE = 3  # cameras kept for runs to come
FOLLOWED = 60  # points whose paths are shown
SIGMA = {"normal": 1.0, "logistic": math.pi / math.sqrt(3)}


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
    """

    train: Callable[..., Iterator[Progress]]
    settings: RunSettings
    theme: str = "light"
    layers: tuple[str, ...] = LAYERS_SHOWN
    resume: Snapshot | None = None
    pictures: Literal["live", "end"] = "live"


@dataclass(frozen=True)
class Frame:
    """What a viewer sees of one moment.

    Attributes
    ----------
    numbers : dict
        `Progress` without the flow and the snapshot.
    epochs : tuple of (int, float, float)
        Epoch, training NLL and test NLL of the epochs since the frame before.
    png : bytes
        The picture; empty where there is none.
    weights : dict of str to Tensor, or None
        The flow's state, from which the moment can be drawn again; of a large flow every few
        seconds only.
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
    png: bytes
    weights: dict[str, Tensor] | None = None
    theme: str = "light"
    layers: tuple[str, ...] = LAYERS_SHOWN
    seconds: tuple[float, ...] = ()
    snapshot: Snapshot | None = field(default=None, repr=False)

    @property
    def bytes(self) -> int:
        """Roughly what it takes in memory."""
        return len(self.png) + sum(w.nbytes for w in (self.weights or {}).values())


class Camera:
    """Takes the pictures of one run; the points and latents it shows stay the same throughout."""

    def __init__(self, settings: RunSettings, theme: str,
                 layers: tuple[str, ...] = LAYERS_SHOWN) -> None:
        self.truth = target(settings.source.data, noise=settings.source.noise)
        self.limits = self.truth.limits
        self.grid = torch.as_tensor(grid_points(self.limits, GRID))
        self.data = self.truth.sample(SHOWN, seed=settings.training.seed + 1)
        self.density = None  # nobody knows that of a user's own points
        if hasattr(self.truth, "log_prob"):
            self.density = self.truth.log_prob(self.grid).exp().reshape(GRID, GRID).numpy()
        self.sigma = SIGMA[settings.flow.base]
        self.latents: Tensor | None = None
        self.layers = layers
        self.dress(theme)

    def dress(self, theme: str) -> None:
        """Use this appearance from now on."""
        self.theme = theme
        self.picture = LivePicture(self.limits, self.data.numpy(), self.density,
                                   best=self.truth.entropy, sigma=self.sigma, theme=theme)
        self.picture.show(self.layers)

    def show(self, layers: tuple[str, ...]) -> None:
        """Show these layers, of `flowlab.figures.LAYERS`, from now on."""
        self.layers = layers
        self.picture.show(layers)

    @torch.no_grad()
    def take(self, flow: Flow, history: list[tuple[int, float, float]]) -> bytes:
        """The picture of a flow, as PNG."""
        flow.eval()
        if self.latents is None:  # the same latents in every frame, so that samples move
            self.latents = flow.base_sample(SHOWN, torch.Generator(flow.device).manual_seed(0))
        like = {"dtype": flow.dtype, "device": flow.device}
        samples, _ = flow.forward(self.latents)
        density = flow.log_prob(self.grid.to(**like)).exp().reshape(GRID, GRID)
        z, _ = flow.inverse(self.data.to(**like))
        epochs, train, test = zip(*history, strict=True) if history else ((), (), ())
        grid = paths = None
        if "grid" in self.layers:
            grid = latent_grid(flow)[-1]
        if "paths" in self.layers:
            paths = ways(flow, self.latents[:FOLLOWED])
        self.picture.update(samples.cpu().numpy(), density.cpu().numpy(), z.cpu().numpy(),
                            epochs, train, test, grid=grid, paths=paths)
        return self.picture.png()


#: Cameras that no run uses at present. What stands still in their pictures is drawn already, which
#: saves a run that needs the same a third of the time to its first frame.
_spare: dict[tuple, Camera] = {}


def _scene(settings: RunSettings, theme: str) -> tuple:
    """What a run's pictures depend on, the flow and the layers apart."""
    source = settings.source
    return source.data, source.noise, settings.training.seed, settings.flow.base, theme


def borrow(settings: RunSettings, theme: str, layers: tuple[str, ...] = LAYERS_SHOWN) -> Camera:
    """A camera for this run alone."""
    camera = _spare.pop(_scene(settings, theme), None)
    if camera is None:
        return Camera(settings, theme, layers)
    camera.latents = None
    if camera.layers != layers:
        camera.show(layers)
    return camera


def give_back(settings: RunSettings, camera: Camera) -> None:
    """Keep a run's camera for the next one, and no more than `SPARE` in all."""
    _spare[_scene(settings, camera.theme)] = camera
    while len(_spare) > SPARE:
        del _spare[next(iter(_spare))]


def preview(flow: Flow, settings: RunSettings, theme: str,
            layers: tuple[str, ...] = LAYERS_SHOWN) -> bytes:
    """The picture of a fresh flow, as PNG: what a viewer sees before any training."""
    camera = Camera(settings, theme, layers)
    flow.initialise(camera.data.to(flow.device, flow.dtype))
    return camera.take(flow, [])


def watch(request: Request) -> Generator[Frame | None, dict[str, Any] | None, Frame | None]:
    """Train and yield once a batch: a `Frame` when one is due, else None.

    Pictures take at most a small share of the time, so a watched training is nearly as fast as an
    unwatched one; over a long run they come ever more seldom. ``{"learning_rate": 1e-3}``,
    ``{"theme": "dark"}`` or ``{"layers": ("samples", "grid")}`` can be sent in at any batch; the
    next batch then gives a frame in any case, and ``{"look": True}`` asks for no more than that.
    Returns the last frame, also when closed.
    """
    film = Film(request.settings, request.theme, request.layers, request.pictures)
    generator = request.train(request.settings, every="batch", resume=request.resume)
    progress = next(generator)
    try:
        while progress.outcome == "running":
            message = (yield film.frame(progress, film.due())) or {}
            film.follow(message)
            progress = generator.send(message.get("learning_rate"))
    except GeneratorExit:
        generator.close()
    last = film.frame(progress, True, last=True)
    film.end()
    if progress.outcome != "running":
        yield last
    return last


class Film:
    """Decides which moments become frames, and remembers the curve between them.

    Its arguments are those of `Request`.
    """

    def __init__(self, settings: RunSettings, theme: str = "light",
                 layers: tuple[str, ...] = LAYERS_SHOWN,
                 pictures: Literal["live", "end"] = "live") -> None:
        self.scene = settings, theme, layers
        self.live = pictures == "live"
        self.camera: Camera | None = None
        self.history: list[tuple[int, float, float]] = []
        self.seconds: list[float] = []  # spent training at each epoch of the history
        self.snapshot: Snapshot | None = None  # of the last epoch
        self.sent = 0  # epochs of the history that a frame has carried
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

    def end(self) -> None:
        """Lend its camera to others."""
        if self.camera is not None:
            give_back(self.scene[0], self.camera)

    def frame(self, progress: Progress, due: bool, last: bool = False) -> Frame | None:
        """The frame of this batch where one is due, or where it is the last."""
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
        png = b""
        if (self.live or last) and progress.flow.event_shape == (2,):
            png = self._borrowed().take(progress.flow, self.history)
        frame = Frame(_numbers(progress), tuple(self.history[self.sent:]), png,
                      _weights(progress.flow) if keep or (self.live and small) else None,
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


def _numbers(progress: Progress) -> dict[str, Any]:
    return {f.name: getattr(progress, f.name) for f in fields(progress)
            if f.name not in ("flow", "snapshot")}


def _weights(flow: Flow) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in flow.state_dict().items()}
