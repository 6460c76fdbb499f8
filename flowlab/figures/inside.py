"""The inside of a flow: the plane between two layers, and each layer's change of volume."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from flowlab.analysis.grid import clean_grid, window
from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import Box, panel, write
from flowlab.figures.overlays import DEFAULT_OVERLAYS, Plane, drawable
from flowlab.figures.panels import colour_bar, frame_limits, over_label
from flowlab.figures.style import Theme
from flowlab.figures.transport import between, path_colours

#: The plane, its colour bar, and the panels of volume and density, on a page and in a lecture.
PAGE = ((52, 84, 836, 836), (902, 84, 14, 836), (1030, 84, 550, 366), (1030, 540, 550, 366))
LECTURE = ((76, 78, 630, 630), (720, 78, 16, 630), (970, 44, 612, 272), (970, 430, 612, 272))
MIN_SPAN = 0.5  # minimum span of an axis in nats


class InsidePicture(AnimatedPicture):
    r"""The plane at any stage between latent space and data, with volume and density.

    Parameters
    ----------
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax), the same for all stages.
    names : sequence of str
        Name of each layer, latent first.
    highest : float
        The density at the end of the colour scale, in 1 / area.
    known : bool
        Whether that is the highest true density, not an estimate from data.
    theme : {"light", "dark"}
        Theme of the picture.

    Examples
    --------
    >>> picture = InsidePicture((-3, 3, -3, 3), ["scale", "shift"], 0.2)
    >>> picture.show_overlays(("samples",))
    >>> picture.move(0.5, samples=[[[0, 1]], [[0, 2]], [[1, 2]]], log_dets=[0.7, 0.0],
    ...              log_density=[-1.8, -2.5, -2.5])
    >>> picture.png()[:4]
    b'\x89PNG'
    """

    def __init__(self, limits: Sequence[float], names: Sequence[str], highest: float, *,
                 known: bool = True, theme: str = "light") -> None:
        size, (square, bar, volume, curve) = _layout(theme)
        super().__init__(size, theme, style.theme(theme).densities())
        self.names = list(names)
        axes = panel(self.figure, square, self.theme)
        frame_limits(axes, window(limits))
        self.plane = Plane(axes, ("density", "error", "grid", "contours", "data", "samples",
                                  "paths"), self.theme, highest)
        self.bars = {name: colour_bar(self.figure, bar, self.plane.image(name), self.theme, title)
                     for name, title in (("density", "density, √ scale"),
                                         ("error", "error, √ scale"))}
        across, down = size
        if self.theme.layout:  # under the plane
            over_label(self.figure, (bar[0] + bar[2]) / across, 22 / down, self.theme, known)
        else:
            over_label(self.figure, bar[0] / across, 14 / down, self.theme, known, ha="left")
        self.title = write(self.figure, square[0] / across, 1 - (square[1] - 50) / down, "",
                           self.theme.text, size=self.theme.title_size)
        halo = [withStroke(linewidth=5, foreground=self.theme.surface)]
        line: dict[str, Any] = {"color": self.theme.text, "solid_joinstyle": "round",
                                "path_effects": halo}
        self.plane.artists["samples"].remove()
        self.samples = axes.scatter([], [], s=13, linewidths=0, alpha=0.8)
        self.plane.artists["samples"] = self.samples
        (self.path,) = axes.plot([], [], "-", marker=".", markersize=9, linewidth=1.4, **line)
        (self.outline,) = axes.plot([], [], "-", linewidth=2.4, **line)
        (self.point,) = axes.plot([], [], "o", markersize=9, color=self.theme.text,
                                  markeredgecolor=self.theme.surface, markeredgewidth=2)
        self.labels = [write(axes, 0, 0, "", self.theme.text, size=style.LABEL_SIZE, ha="left",
                             transform=axes.transData, path_effects=halo, clip_on=True)
                       for _ in range(2)]
        self.volume = _Volume(panel(
            self.figure, volume, self.theme, "Volume: log|det ∂x/∂z| of each layer (nats)"), self)
        self.density = _Density(panel(
            self.figure, curve, self.theme, "Log-density on the way (nats)"), self)
        self.animated = [*self.plane.animated(), self.path, self.outline, self.point, *self.labels,
                       self.title, *self.volume.animated, *self.density.animated]
        self.show_overlays(DEFAULT_OVERLAYS)

    def show_overlays(self, overlays: Collection[str]) -> None:
        """Show these of `flowlab.figures.OVERLAYS`; the error replaces the density."""
        self.overlays = tuple(overlays)
        self.plane.show_overlays([name for name in overlays
                         if name != "density" or "error" not in overlays])
        maps = (self.theme.angles(), self.theme.densities(), self.theme.errors())
        self.use(*maps if "error" in overlays else maps[:2])
        for name, parts in self.bars.items():
            for part in parts:
                part.set_visible((name == "error") == ("error" in overlays))
        self.redraw()

    def move(self, position: float, *, samples: ArrayLike, log_dets: ArrayLike,
             log_density: ArrayLike, data: ArrayLike | None = None, grid: ArrayLike | None = None,
             density: ArrayLike | None = None, error: ArrayLike | None = None, followed: int = 24,
             probe: ArrayLike | None = None, outline: ArrayLike | None = None,
             probe_log_dets: ArrayLike | None = None, probe_log_density: ArrayLike | None = None
            ) -> None:
        """Show the plane at `position`: 0 is latent, 1 after the first layer, and so on.

        Parameters
        ----------
        position : float
            Between two layers points move on straight lines; it is clipped to the two ends.
        samples, data : array_like
            Shape (layers + 1, n, 2), points at every stage.
        log_dets : array_like
            Shape (layers,), the mean log abs det of every layer, in nats.
        log_density : array_like
            Shape (layers + 1,), the mean log-density at every stage, in nats.
        grid : array_like, optional
            Shape (layers + 1, rows, columns, 2).
        density, error : array_like, optional
            Shape (rows, columns), the values at this position; by default none are shown.
        followed : int
            Number of samples whose paths are drawn.
        probe : array_like, optional
            Shape (layers + 1, 2), one point at every stage.
        outline : array_like, optional
            Shape (k, 2), a curve around that point.
        probe_log_dets, probe_log_density : array_like, optional
            As `log_dets` and `log_density`, at that point.
        """
        layers = len(self.names)
        position = float(np.clip(position, 0, layers))
        samples = np.asarray(samples, dtype=float)
        points = between(samples, position)
        xmin, xmax, ymin, ymax = self.plane.limits
        seen = (np.array([xmin, ymin]) <= points).all(1) & (points <= [xmax, ymax]).all(1)
        self.samples.set_offsets(points[seen])
        self.samples.set(facecolor=path_colours(self.theme.angles(), samples[0, seen]))
        nothing = np.ma.masked_all((1, 1))
        self.plane.update(
            data=None if data is None else between(np.asarray(data, dtype=float), position),
            grid=None if grid is None else between(np.asarray(grid, dtype=float), position),
            paths=_until(samples[:, :followed], position),
            density=[[0.0]] if density is None else density)
        self.plane.image("error").set_data(nothing if error is None else clean_grid(error))
        self.title.set_text(self.where(position))
        path = np.empty((0, 2)) if probe is None else _until(np.asarray(probe), position)
        self.path.set_data(*drawable(path).T)
        self.point.set_data(*drawable(path[-1:]).T)
        outline = np.empty((0, 2)) if outline is None else outline
        self.outline.set_data(*drawable(outline).T)
        self._label(self.labels[0], "way of the point", path if len(path) > 2 else path[:0])
        outline = np.asarray(outline)
        self._label(self.labels[1], "Jacobian: a small circle becomes this", outline[
            [np.argmax(outline[:, 1])]] if len(outline) else outline)
        moved = self.volume.update(position, log_dets, probe_log_dets)
        moved |= self.density.update(position, log_density, probe_log_density)
        if moved:
            self.redraw()

    @staticmethod
    def _label(label: Text, words: str, points: np.ndarray) -> None:
        """Write words beside the first of these points, or nothing where there is none."""
        label.set_text(words if len(points) else "")
        if len(points):
            label.set_position(tuple(points[0]))

    @staticmethod
    def coordinates(across: float, down: float, limits: Sequence[float], theme: str = "light"
                   ) -> tuple[float, float] | None:
        """The point of the plane at a position in the picture; None outside the plane.

        Parameters
        ----------
        across, down : float
            Position from the upper left corner, as shares of the picture's width and height.
        limits : sequence of float
            The plane's window (xmin, xmax, ymin, ymax).
        theme : str
            The picture's.
        """
        size, ((left, top, width, height), *_) = _layout(theme)
        u = (across * size[0] - left) / width
        v = 1 - (down * size[1] - top) / height
        if not (0 <= u <= 1 and 0 <= v <= 1):
            return None
        xmin, xmax, ymin, ymax = limits
        return xmin + u * (xmax - xmin), ymin + v * (ymax - ymin)

    def where(self, position: float) -> str:
        """The title of the plane at a position."""
        layers = len(self.names)
        if position <= 0:
            return "Latent space: before the layers"
        layer = min(int(np.ceil(position)), layers)
        if position < layer:
            return f"In layer {layer} of {layers}: {self.names[layer - 1]}"
        end = "Data space: after" if layer == layers else "After"
        return f"{end} layer {layer} of {layers}: {self.names[layer - 1]}"


def _layout(theme: str) -> tuple[tuple[int, int], tuple[Box, ...]]:
    """The picture's size, and the boxes of its panels."""
    look = style.theme(theme)
    return look.size, LECTURE if look.layout else PAGE


class _Volume:
    """Bars of log-determinants, with the current layer marked."""

    def __init__(self, axes: Axes, picture: InsidePicture) -> None:
        self.axes, theme, layers = axes, picture.theme, len(picture.names)
        _frame(axes, theme, (0.4, layers + 0.6))
        axes.set_xlabel("layer", color=theme.muted, fontsize=style.LABEL_SIZE,
                        fontfamily=style.FONT, labelpad=2)
        width = axes.bbox.width * 72 / theme.dpi / (layers + 0.2)
        self.mark = axes.axvspan(0, 1, color=theme.line, alpha=0.55, linewidth=0, visible=False)
        axes.axhline(0, color=theme.muted, linewidth=1)
        self.mean = LineCollection([], colors=theme.model, linewidths=0.42 * width)
        self.probe = LineCollection([], colors=theme.text, linewidths=0.2 * width)
        for bars in (self.mean, self.probe):
            bars.set_capstyle("butt")
            axes.add_collection(bars, autolim=False)
        self.captions = _captions(axes, theme)
        self.animated = [self.mark, self.mean, self.probe, *self.captions]

    def update(self, position: float, mean: ArrayLike, probe: ArrayLike | None) -> bool:
        mean = drawable(mean)
        self.mean.set_segments([[(k - 0.12, 0), (k - 0.12, v)] for k, v in enumerate(mean, 1)])
        points = np.array([]) if probe is None else drawable(probe)
        self.probe.set_segments([[(k + 0.24, 0), (k + 0.24, v)] for k, v in enumerate(points, 1)])
        layer = int(np.ceil(position))
        self.mark.set_visible(layer > 0)
        self.mark.set_x(layer - 0.5)
        _tell(self.captions, "sum, mean of the samples", mean.sum(), "sum, at the point",
              None if probe is None else points.sum())
        return _span(self.axes, np.concatenate([mean, points, [0.0]]))


class _Density:
    """The log-density at every stage."""

    def __init__(self, axes: Axes, picture: InsidePicture) -> None:
        self.axes, theme, layers = axes, picture.theme, len(picture.names)
        _frame(axes, theme, (-0.3, layers + 0.3))
        options: dict[str, Any] = {"marker": "o", "markersize": 5, "linewidth": 2.2}
        axes.set_xlabel("layers passed", color=theme.muted, fontsize=style.LABEL_SIZE,
                        fontfamily=style.FONT, labelpad=2)
        self.line = axes.axvline(0, color=theme.muted, linewidth=1.5, dashes=(4, 3))
        (self.mean,) = axes.plot([], [], color=theme.model, **options)
        (self.probe,) = axes.plot([], [], color=theme.text, **options)
        self.captions = _captions(axes, theme)
        self.animated = [self.line, self.mean, self.probe, *self.captions]

    def update(self, position: float, mean: ArrayLike, probe: ArrayLike | None) -> bool:
        mean = drawable(mean)
        points = np.array([]) if probe is None else drawable(probe)
        self.mean.set_data(np.arange(len(mean)), mean)
        self.probe.set_data(np.arange(len(points)), points)
        self.line.set_xdata([position, position])
        _tell(self.captions, "data, mean of the samples", mean[-1], "data, at the point",
              None if probe is None else points[-1])
        return _span(self.axes, np.concatenate([mean, points]))


def _frame(axes: Axes, theme: Theme, across: tuple[float, float]) -> None:
    axes.set_xlim(*across)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=theme.line, linewidth=0.8, alpha=0.6)
    axes.set_axisbelow(True)


def _captions(axes: Axes, theme: Theme) -> list[Text]:
    line = 0.31 * theme.dpi / axes.bbox.height
    return [write(axes, 0.985, y, "", colour, transform=axes.transAxes, ha="right", va="top")
            for y, colour in ((0.97, theme.model), (0.97 - line, theme.text))]


def _tell(captions: list[Text], first: str, value: float, second: str, other: float | None) -> None:
    captions[0].set_text(f"{first} {signed(value)}")
    captions[1].set_text("" if other is None else f"{second} {signed(other)}")


def signed(value: float) -> str:
    """Format with sign and two decimals, and a typographic minus."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _span(axes: Axes, values: np.ndarray) -> bool:
    """Set round limits that contain all values and leave space for captions."""
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    span = max(high - low, MIN_SPAN)
    step = 2.0 ** np.ceil(np.log2(span / 6))
    limits = (step * (np.floor(low / step) - 0.5),
              step * (np.ceil((high + 0.28 * span) / step) + 0.5))
    moved = limits != axes.get_ylim()
    if moved:
        axes.set_ylim(*limits)
    return moved


def _until(stages: np.ndarray, position: float) -> np.ndarray:
    """The stages passed, and the interpolated one at `position`: (k, …)."""
    return np.concatenate([stages[:int(position) + 1], between(stages, position)[None]])
