"""Cameras: what takes the pictures of a run, one kind for each shape of a point.

`camera` chooses the kind; whoever draws a run goes through it.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis import plane
from flowlab.analysis.grid import grid_points, highest_density
from flowlab.analysis.images import TEMPERATURE, recognised, samples
from flowlab.bijections.base import LOG_PROB
from flowlab.data import Points, Source, Target, dequantise, image_set, source_of, target
from flowlab.figures import SHOWN as LAYERS_SHOWN
from flowlab.figures import ImagePicture, LivePicture, PairPicture
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.images import COLUMNS, REACH, ROWS
from flowlab.flow import Flow
from flowlab.settings import RunSettings
from flowlab.training.metrics import bits_per_dimension
from flowlab.training.progress import best_possible, whole_curve
from flowlab.training.split import split

GRID = 120  # cells along a side of a density's picture
SHOWN = 1500  # points in a cloud
FOLLOWED = 60  # points whose paths are shown
IMAGES = 1000  # training images from which a fresh flow is set
TESTS = 200  # test images whose latents are shown
SIGMA = {"normal": 1.0, "logistic": math.pi / math.sqrt(3)}

History = list[tuple[int, float, float]]


class Camera:
    """Takes the pictures of one run; the points and latents it shows stay the same throughout.

    A kind of camera has its own `sight`, `draw` and `update`.

    Parameters
    ----------
    settings : RunSettings
    theme : "light" or "dark"
    layers : tuple of str
        The layers shown, of `flowlab.figures.LAYERS`; a kind without layers leaves them.

    Attributes
    ----------
    source : Source
        What the run learns.
    data : Tensor, shape ``(n, *event_shape)``
        Points of it, from which a fresh flow's data-dependent layers can be set.
    context : Tensor, shape (n,), or None
        Their classes, where the flow has classes.
    latents : Tensor or None
        Those shown; None before the first picture.
    picture : AnimatedPicture
        What is drawn on.
    seeded : bool
        Whether what stands still in its pictures depends on the points that the run has.
    trained : int
        How many of `data` are shown as dots; those after them are of the test set.
    """

    seeded = True

    def __init__(self, settings: RunSettings, theme: str,
                 layers: tuple[str, ...] = LAYERS_SHOWN) -> None:
        self.settings, self.layers = settings, layers
        self.source = source_of(settings.source)
        self.context: Tensor | None = None
        self.data = self.sight()
        self.latents: Tensor | None = None
        self.dress(theme)

    def dress(self, theme: str) -> None:
        """Use this appearance from now on."""
        self.theme = theme
        self.picture = self.draw(theme)
        self.show(self.layers)

    def show(self, layers: tuple[str, ...]) -> None:
        """Show these layers from now on, where the kind has layers."""
        self.layers = layers

    def aim(self, settings: RunSettings) -> None:
        """Take pictures of another run from now on, of the same scene: see `flowlab.live.scene`."""
        self.settings, self.latents = settings, None

    def initialise(self, flow: Flow) -> None:
        """Set a fresh flow's data-dependent layers."""
        context = None if self.context is None else self.context.to(flow.device)
        flow.initialise(self.data.to(flow.device, flow.dtype), context)

    @torch.no_grad()
    def take(self, flow: Flow, history: History,
             numbers: Mapping[str, Any] | None = None) -> bytes:
        """The picture of a flow, as PNG.

        Parameters
        ----------
        flow : Flow
        history : list of (int, float, float)
            Epoch, training NLL and test NLL of its completed epochs.
        numbers : mapping, optional
            Those of its `flowlab.training.progress.Progress`, which know the NLL before the first
            step and the best possible one.
        """
        flow.eval()
        if self.latents is None:  # the same latents in every frame, so that samples move
            self.latents = flow.base_sample(self.count(),
                                            torch.Generator(flow.device).manual_seed(0))
        best, planned = None, self.settings.training.epochs
        if numbers is not None:
            history, best = whole_curve(numbers, history), best_possible(numbers)
            planned = numbers["epochs"]
            if numbers.get("reverse_kl"):  # runs of earlier versions do not know it
                history = [(epoch, kl, math.nan) for epoch, kl in numbers["reverse_kl"]]
                best = 0.0
        self.picture.curves.plan(planned, (numbers or {}).get("start_epoch") or 0)
        self.show_loss(best, numbers is not None and bool(numbers.get("reverse_kl")))
        epochs, train, test = zip(*history, strict=True) if history else ((), (), ())
        self.update(flow, epochs, train, test)
        return self.picture.png()

    def show_loss(self, best: float | None, reverse: bool) -> None:
        """Show the best possible loss in the next picture, and whether it is the reverse KL."""

    def count(self) -> int:
        """How many latents are shown."""
        return SHOWN

    def sight(self) -> Tensor:
        """Points of the source to show, with what else stays the same throughout.

        Where so few are learned that they fit, these are the training set and then the test set;
        otherwise some of the distribution.
        """
        training = self.settings.training
        points = self.points().sample(min(training.points, SHOWN + 1), training.seed)
        if len(points) > SHOWN:
            self.trained = SHOWN
            return self.points().sample(SHOWN, training.seed + 1)
        test, train = split(len(points), training)
        self.trained = len(train)
        return torch.cat([points[train], points[test]])

    def points(self) -> Target | Points:
        """What the run learns, where it is no images."""
        source = self.settings.source
        return target(source.data, source.noise)

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The points shown as dots, and those shown as rings."""
        points = self.data.numpy()
        return points[:self.trained], points[self.trained:]

    def draw(self, theme: str) -> AnimatedPicture:
        """What is drawn on, in this appearance."""
        raise NotImplementedError

    def update(self, flow: Flow, epochs: tuple, train: tuple, test: tuple) -> None:
        """Bring the picture up to the flow, in evaluation mode, and its losses in nats."""
        raise NotImplementedError


class PlaneCamera(Camera):
    """Points of the plane: samples, both densities, the latent cloud and the losses."""

    seeded = False

    def sight(self) -> Tensor:
        self.limits = self.points().limits
        self.grid = torch.as_tensor(grid_points(self.limits, GRID))
        self.density = None  # unknown for a user's own points
        if self.source.log_prob is not None:
            self.density = self.source.log_prob(self.grid).exp().reshape(GRID, GRID).numpy()
        return super().sight()

    def draw(self, theme: str) -> LivePicture:
        highest = None
        if self.density is None:  # the colours' scale is the same for every seed
            points = self.points().sample(SHOWN, 0).numpy()
            highest = highest_density(None, points, self.limits)
        data, test = self.parts()
        picture = LivePicture(self.limits, data, self.density, test=test,
                              sigma=SIGMA[self.settings.flow.base], highest=highest, theme=theme)
        picture.name_axes(self.source.names)
        return picture

    def show_loss(self, best: float | None, reverse: bool) -> None:
        self.picture.show_best(best)
        self.picture.show_reverse(reverse)

    def aim(self, settings: RunSettings) -> None:
        super().aim(settings)
        self.data = super().sight()
        self.picture.show_data(*self.parts())

    def show(self, layers: tuple[str, ...]) -> None:
        super().show(layers)
        self.picture.show(layers)

    def update(self, flow: Flow, epochs: tuple, train: tuple, test: tuple) -> None:
        like = {"dtype": flow.dtype, "device": flow.device}
        samples, _ = flow.forward(self.latents)
        density = flow.log_prob(self.grid.to(**like)).exp().reshape(GRID, GRID)
        z, _ = flow.inverse(self.data.to(**like))
        grid = paths = None
        if "grid" in self.layers:
            grid = plane.latent_grid(flow)[-1]
        if "paths" in self.layers:
            paths = plane.paths(flow, self.latents[:FOLLOWED])
        self.picture.update(samples.cpu().numpy(), density.cpu().numpy(), z.cpu().numpy(),
                            epochs, train, test, grid=grid, paths=paths)


class TableCamera(Camera):
    """Points of more than two columns: data and samples in every pair, latents and losses."""

    def draw(self, theme: str) -> PairPicture:
        data, test = self.parts()
        return PairPicture(data, test=test, sigma=SIGMA[self.settings.flow.base], theme=theme,
                           names=self.source.names)

    def update(self, flow: Flow, epochs: tuple, train: tuple, test: tuple) -> None:
        samples, _ = flow.forward(self.latents)
        z, _ = flow.inverse(self.data.to(flow.device, flow.dtype))
        self.picture.update(samples.cpu().numpy(), z.cpu().numpy(), epochs, train, test)


class ImageCamera(Camera):
    """Images: samples, what comes back from the latent space, bits per dimension, the latents."""

    def sight(self) -> Tensor:
        classes = self.settings.flow.classes
        self.images = image_set(self.settings.source.data)
        pixels, labels = self.images.part(test=False)
        if classes:
            self.context = labels[:IMAGES]
        noise = torch.Generator().manual_seed(self.settings.training.seed)
        data = dequantise(pixels[:IMAGES], noise)
        pixels, labels = self.images.part(test=True)
        self.test = dequantise(pixels[:TESTS], noise)
        self.test_context = labels[:TESTS] if classes else None
        self.sample_context = torch.arange(self.count()) % COLUMNS % classes if classes else None
        return data

    def count(self) -> int:
        return COLUMNS * ROWS

    def draw(self, theme: str) -> ImagePicture:
        base = self.settings.flow.base
        places = torch.linspace(-REACH, REACH, 201) * SIGMA[base]
        density = LOG_PROB[base](places[:, None]).exp()
        return ImagePicture(self.test[:COLUMNS, 0].numpy(), self.images.grey_levels - 1,
                            torch.stack([places, density]).numpy(), temperature=TEMPERATURE,
                            classes=self.columns(), theme=theme)

    def columns(self) -> tuple[str, ...]:
        """The class of each column of samples; empty where there are no classes."""
        if self.sample_context is None:
            return ()
        return tuple(map(str, self.sample_context[:COLUMNS].tolist()))

    def update(self, flow: Flow, epochs: tuple, train: tuple, test: tuple) -> None:
        context, sample_context = (None if c is None else c.to(flow.device)
                                   for c in (self.test_context, self.sample_context))
        drawn = samples(flow, self.latents, TEMPERATURE, sample_context)
        right = None if context is None else recognised(drawn, self.sample_context, self.images)
        z, _ = flow.inverse(self.test.to(flow.device, flow.dtype), context)
        some = None if context is None else context[:COLUMNS]
        back, _ = flow.forward(z[:COLUMNS], some)
        bits = ([bits_per_dimension(nats, flow.event_shape) for nats in curve]
                for curve in (train, test))
        self.picture.update(drawn, back[:, 0].cpu().numpy(), z.cpu().numpy(), epochs, *bits,
                            recognised=right)


def camera(settings: RunSettings, theme: str,
           layers: tuple[str, ...] = LAYERS_SHOWN) -> Camera:
    """The camera for a run, of the kind that the shape of its source asks for.

    Parameters
    ----------
    settings : RunSettings
    theme : "light" or "dark"
    layers : tuple of str
        The layers shown, of `flowlab.figures.LAYERS`.

    Raises
    ------
    ValueError
        If there is no such source, or it cannot have that noise.
    """
    return kind(source_of(settings.source))(settings, theme, layers)


def kind(source: Source) -> type[Camera]:
    """The kind of camera that shows points of this shape."""
    if source.kind == "images":
        return ImageCamera
    return PlaneCamera if source.event_shape == (2,) else TableCamera
