"""Cameras take the pictures of a run; there is one kind for each shape of a point.

`camera` chooses the kind; all pictures of runs are made through it.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis import plane
from flowlab.analysis.grid import grid_points, highest_density
from flowlab.analysis.images import TEMPERATURE, recognised, samples
from flowlab.bijections.base import LOG_PROB
from flowlab.data import Points, Source, Target, dequantise, image_set, source_of, target
from flowlab.figures import DEFAULT_OVERLAYS, ImagePicture, LivePicture, PairPicture
from flowlab.figures.images import COLUMNS, REACH, ROWS
from flowlab.flow import Flow
from flowlab.settings import RunSettings
from flowlab.training.metrics import bits_per_dimension
from flowlab.training.progress import Epoch, Moment
from flowlab.training.split import split

GRID = 96  # cells along a side of a density's picture
SHOWN = 1500  # points in a cloud
FOLLOWED = 60  # points whose paths are shown
IMAGES = 1000  # training images from which a fresh flow is initialised
TESTS = 200  # test images whose latents are shown
SIGMA = {"normal": 1.0, "logistic": math.pi / math.sqrt(3)}


class Camera:
    """Takes the pictures of one run, always of the same points and latents.

    Each kind of camera has its own `choose_points`, `draw` and `update`.

    Parameters
    ----------
    settings : RunSettings
    theme : "light" or "dark"
    overlays : tuple of str
        The overlays shown, of `flowlab.figures.OVERLAYS`; only pictures of the plane have any.

    Attributes
    ----------
    source : Source
        The source of the run's data.
    data : Tensor, shape ``(n, *event_shape)``
        Points of the source, from which data-dependent layers of a fresh flow are initialised.
    context : Tensor, shape (n,), or None
        Their classes, where the flow has classes.
    latents : Tensor or None
        The latents shown; None before the first picture.
    picture : AnimatedPicture
        The figure that is drawn.
    seeded : bool
        Whether the static part of the pictures depends on the run's training points.
    trained : int
        How many of `data` belong to the training set and are shown as dots; the rest are of the
        test set.
    """

    seeded = True
    picture: LivePicture | PairPicture | ImagePicture

    def __init__(self, settings: RunSettings, theme: str,
                 overlays: tuple[str, ...] = DEFAULT_OVERLAYS) -> None:
        self.settings, self.overlays = settings, overlays
        self.source = source_of(settings.source)
        self.context: Tensor | None = None
        self.data = self.choose_points()
        self.latents: Tensor | None = None
        self.set_theme(theme)

    def set_theme(self, theme: str) -> None:
        """Use this theme from now on."""
        self.theme = theme
        self.picture = self.draw(theme)
        self.show_overlays(self.overlays)

    def show_overlays(self, overlays: tuple[str, ...]) -> None:
        """Show these overlays from now on; cameras without overlays only note them."""
        self.overlays = overlays

    def switch_run(self, settings: RunSettings) -> None:
        """Take pictures of another run of the same scene from now on; see `flowlab.live.scene`."""
        self.settings, self.latents = settings, None

    def initialise(self, flow: Flow) -> None:
        """Initialise the data-dependent layers of a fresh flow."""
        context = None if self.context is None else self.context.to(flow.device)
        flow.initialise(self.data.to(flow.device, flow.dtype), context)

    @torch.no_grad()
    def take(self, flow: Flow, history: Sequence[Epoch], moment: Moment | None = None) -> bytes:
        """Draw the picture of a flow, as PNG.

        Parameters
        ----------
        flow : Flow
        history : sequence of Epoch
            Its completed epochs.
        moment : Moment, optional
            Its numbers, with the NLL before the first step and the best possible NLL.
        """
        flow.eval()
        if self.latents is None:  # the same latents in every frame, so that samples move
            self.latents = flow.base_sample(self.count(),
                                            torch.Generator(flow.device).manual_seed(0))
        rows: Sequence = [(e.epoch, e.train_nll, e.test_nll) for e in history]
        if moment is None:
            self.picture.curves.plan(self.settings.training.epochs, 0)
            self.show_loss(None, False)
        else:
            rows, best = moment.curve(history), moment.best_possible
            if moment.reverse_kl:
                rows, best = [(epoch, kl, math.nan) for epoch, kl in moment.reverse_kl], 0.0
            self.picture.curves.plan(moment.epochs, moment.start_epoch)
            self.show_loss(best, bool(moment.reverse_kl))
        self.update(flow, *np.array(rows, float).reshape(-1, 3).T.tolist())
        return self.picture.png()

    def show_loss(self, best: float | None, reverse: bool) -> None:
        """Show the best possible loss in the next picture; the loss may be the reverse KL."""

    def count(self) -> int:
        """The number of latents shown."""
        return SHOWN

    def choose_points(self) -> Tensor:
        """Choose the points of the source to show, and set what else stays the same.

        Where the run has few points, these are its training set followed by its test set;
        otherwise they are other points of the distribution.
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

    def dots_and_rings(self) -> tuple[np.ndarray, np.ndarray]:
        """The points shown as dots, and those shown as rings."""
        points = self.data.numpy()
        return points[:self.trained], points[self.trained:]

    def draw(self, theme: str) -> LivePicture | PairPicture | ImagePicture:
        """Make the figure in this theme."""
        raise NotImplementedError

    def update(self, flow: Flow, epochs: list, train: list, test: list) -> None:
        """Update the picture with the flow, in evaluation mode, and its losses in nats."""
        raise NotImplementedError


class PlaneCamera(Camera):
    """Points of the plane: samples, both densities, the latent cloud and the losses."""

    seeded = False
    picture: LivePicture

    def choose_points(self) -> Tensor:
        self.limits = self.points().limits
        self.grid = torch.as_tensor(grid_points(self.limits, GRID))
        self.density = None  # unknown for a user's own points
        if self.source.log_prob is not None:
            self.density = self.source.log_prob(self.grid).exp().reshape(GRID, GRID).numpy()
        return super().choose_points()

    def draw(self, theme: str) -> LivePicture:
        highest = None
        if self.density is None:  # the colour scale is the same for every seed
            points = self.points().sample(SHOWN, 0).numpy()
            highest = highest_density(None, points, self.limits)
        data, test = self.dots_and_rings()
        picture = LivePicture(self.limits, data, self.density, test=test,
                              sigma=SIGMA[self.settings.flow.base], highest=highest, theme=theme)
        picture.name_axes(self.source.names)
        return picture

    def show_loss(self, best: float | None, reverse: bool) -> None:
        self.picture.show_best(best)
        self.picture.show_reverse(reverse)

    def switch_run(self, settings: RunSettings) -> None:
        super().switch_run(settings)
        self.data = super().choose_points()
        self.picture.show_data(*self.dots_and_rings())

    def show_overlays(self, overlays: tuple[str, ...]) -> None:
        super().show_overlays(overlays)
        self.picture.show_overlays(overlays)

    def update(self, flow: Flow, epochs: list, train: list, test: list) -> None:
        assert self.latents is not None
        samples, _ = flow.forward(self.latents)
        density = flow.log_prob(self.grid.to(flow.device, flow.dtype)).exp().reshape(GRID, GRID)
        z, _ = flow.inverse(self.data.to(flow.device, flow.dtype))
        grid = paths = None
        if "grid" in self.overlays:
            grid = plane.latent_grid(flow)[-1]
        if "paths" in self.overlays:
            paths = plane.paths(flow, self.latents[:FOLLOWED])
        self.picture.update(samples.cpu().numpy(), density.cpu().numpy(), z.cpu().numpy(),
                            epochs, train, test, sample_latents=self.latents.cpu().numpy(),
                            grid=grid, paths=paths)


class TableCamera(Camera):
    """Points of more than two columns: data and samples in every pair, latents and losses."""

    picture: PairPicture

    def draw(self, theme: str) -> PairPicture:
        data, test = self.dots_and_rings()
        return PairPicture(data, test=test, sigma=SIGMA[self.settings.flow.base], theme=theme,
                           names=self.source.names)

    def update(self, flow: Flow, epochs: list, train: list, test: list) -> None:
        assert self.latents is not None
        samples, _ = flow.forward(self.latents)
        z, _ = flow.inverse(self.data.to(flow.device, flow.dtype))
        self.picture.update(samples.cpu().numpy(), z.cpu().numpy(), epochs, train, test)


class ImageCamera(Camera):
    """Images: samples, reconstructions, bits per dimension, and latents."""

    picture: ImagePicture

    def choose_points(self) -> Tensor:
        classes = self.settings.flow.classes
        self.images = image_set(self.settings.source.data)
        pixels, labels = self.images.part(test=False)
        if classes and labels is not None:
            self.context = labels[:IMAGES]
        noise = torch.Generator().manual_seed(self.settings.training.seed)
        data = dequantise(pixels[:IMAGES], noise)
        pixels, labels = self.images.part(test=True)
        self.test = dequantise(pixels[:TESTS], noise)
        self.test_context = labels[:TESTS] if classes and labels is not None else None
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

    def update(self, flow: Flow, epochs: list, train: list, test: list) -> None:
        assert self.latents is not None
        context, sample_context = (None if c is None else c.to(flow.device)
                                   for c in (self.test_context, self.sample_context))
        drawn = samples(flow, self.latents, TEMPERATURE, sample_context)
        right = None if self.sample_context is None else recognised(
            drawn, self.sample_context, self.images)
        z, _ = flow.inverse(self.test.to(flow.device, flow.dtype), context)
        some = None if context is None else context[:COLUMNS]
        back, _ = flow.forward(z[:COLUMNS], some)
        bits = ([bits_per_dimension(nats, flow.event_shape) for nats in curve]
                for curve in (train, test))
        self.picture.update(drawn, back[:, 0].cpu().numpy(), z.cpu().numpy(), epochs, *bits,
                            recognised=right)


def camera(settings: RunSettings, theme: str,
           overlays: tuple[str, ...] = DEFAULT_OVERLAYS) -> Camera:
    """Make the camera for a run, of the kind for the shape of its source.

    Parameters
    ----------
    settings : RunSettings
    theme : "light" or "dark"
    overlays : tuple of str
        The overlays shown, of `flowlab.figures.OVERLAYS`.

    Raises
    ------
    ValueError
        If there is no such source, or it cannot have that noise.
    """
    return kind(source_of(settings.source))(settings, theme, overlays)


def kind(source: Source) -> type[Camera]:
    """The kind of camera for points of this shape."""
    if source.kind == "images":
        return ImageCamera
    return PlaneCamera if source.event_shape == (2,) else TableCamera
