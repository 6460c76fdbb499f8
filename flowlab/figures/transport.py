"""The picture of points that pass the layers of a flow, from latent space to data."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import Colormap
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import panel, write

SIDE, TOP = 480, 56  # pixels
LEFTS = (25, 560, 1095)
TRACK = 584  # pixels from above


class TransportPicture(AnimatedPicture):
    r"""The latent cloud, the same points between the layers, and their images in data space.

    All three panels show the same window. A point keeps the colour of its latent angle, so that it
    can be followed.

    Parameters
    ----------
    stages : sequence of array_like
        Each (n, 2): the points after every layer, latent first, data last (``flow.trace``).
    grids : sequence of array_like, optional
        Each (rows, columns, 2): a grid of the latent plane after every layer.
    names : sequence of str, optional
        Name of each layer, one less than `stages`.
    inverse : bool
        Whether the points go from data to latent space, through the inverse layers; then arrows
        and positions are reversed.
    theme : {"light", "dark"}
        Theme of the picture.

    Raises
    ------
    ValueError
        If there are fewer than two stages, or shapes or counts do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> picture = TransportPicture([z, 2 * z, 2 * z + 1], names=["scale", "shift"])
    >>> picture.move(1.5)
    >>> picture.png()[:4]
    b'\x89PNG'
    """

    def __init__(self, stages: Sequence[ArrayLike], grids: Sequence[ArrayLike] | None = None,
                 names: Sequence[str] | None = None, *, inverse: bool = False, theme: str = "light"
                ) -> None:
        super().__init__(style.TRANSPORT_SIZE, theme, style.theme(theme).angles())
        self.stages = _stack(stages, "stages", 2)
        self.grids = None if grids is None else _stack(grids, "grids", 3)
        layers = len(self.stages) - 1
        self.names = [""] * layers if names is None else list(names)
        count = layers + 1 if self.grids is None else len(self.grids)
        if len(self.names) != layers or count != layers + 1:
            raise ValueError(
                f"{layers + 1} stages need {layers} names and {layers + 1} grids; got "
                f"{len(self.names)} names and {count}."
            )
        self.limits = common_window(self.stages)
        self.inverse = inverse
        self._colours = path_colours(self.theme.angles(), self.stages[0])
        titles = ("Latent space: simple", "", "Data space: complex")
        first, middle, last = (self._plane(*place) for place in zip(LEFTS, titles, strict=True))
        self._cloud(first, self.stages[0])
        self._cloud(last, self.stages[-1])
        self.lines = LineCollection([], colors=self.theme.muted, linewidths=0.9, alpha=0.55)
        middle.add_collection(self.lines)
        self.points = self._cloud(middle, self.stages[0])
        self.title = write(middle, 0.5, 1.0, "", self.theme.text, size=style.TITLE_SIZE,
                           transform=middle.transAxes, ha="center", va="baseline")
        self.title.set_y(1 + 12.5 / SIDE)  # where the titles beside it are
        self._arrows()
        self.track, self.knob = self._track(layers)
        edges = middle.spines.values()
        self.animated = [self.lines, self.points, *edges, self.title, self.knob]
        self.move(0)

    def move(self, position: float) -> None:
        """Show the points at `position`: 0 is the start, 1 after one layer, and so on.

        Between two layers the points move on straight lines; the position is clipped to the ends.
        """
        layers = len(self.names)
        passed = float(np.clip(position, 0, layers))
        stage = layers - passed if self.inverse else passed
        self.points.set_offsets(between(self.stages, stage))
        if self.grids is not None:
            grid = between(self.grids, stage)
            self.lines.set_segments([*grid, *grid.swapaxes(0, 1)])
        self.title.set_text(self._title(int(np.ceil(passed))))
        start, end = self.track
        self.knob.set_data([start + (end - start) * stage / layers], [0.5])

    def _title(self, passed: int) -> str:
        """The title for the layer that the points pass, or have passed last."""
        layers = len(self.names)
        if not passed:
            return "Before a layer is undone" if self.inverse else "Before the layers"
        layer = layers - passed + 1 if self.inverse else passed
        undone = " undone" if self.inverse else ""
        return f"Layer {layer} of {layers}{undone}" + f": {self.names[layer - 1]}".rstrip(": ")

    def _plane(self, left: float, title: str) -> Axes:
        axes = panel(self.figure, (left, TOP, SIDE, SIDE), self.theme, title)
        axes.set(xlim=self.limits[:2], ylim=self.limits[2:], xticks=[], yticks=[])
        return axes

    def _cloud(self, axes: Axes, points: np.ndarray) -> PathCollection:
        x, y = points.T
        return axes.scatter(x, y, s=13, c=self._colours, linewidths=0, alpha=0.8)

    def _arrows(self) -> None:
        width, height = style.TRANSPORT_SIZE
        for left in LEFTS[:2]:
            middle = (left + SIDE + (LEFTS[1] - LEFTS[0] - SIDE) / 2) / width
            write(self.figure, middle, 1 - (TOP + SIDE / 2) / height, "←" if self.inverse else "→",
                  self.theme.model, size=30, ha="center", va="center")
        for x, text, side, inverse in (
            (LEFTS[0], "forward →  latent to data: draw samples", "left", False),
            (LEFTS[2] + SIDE, "data to latent: measure density  ← inverse", "right", True),
        ):
            colour = self.theme.model if inverse == self.inverse else self.theme.muted
            write(self.figure, x / width, 1 - (TRACK + 48) / height, text, colour,
                  ha=side, va="center")

    def _track(self, layers: int) -> tuple[tuple[float, float], Line2D]:
        width, height = style.TRANSPORT_SIZE
        axes = self.figure.add_axes((0, 1 - (TRACK + 15) / height, 1, 30 / height))
        axes.set(xlim=(0, width), ylim=(0, 1))
        axes.set_axis_off()
        ends = (LEFTS[0] + SIDE / 2, LEFTS[2] + SIDE / 2)
        stops = np.linspace(*ends, layers + 1)
        axes.plot(stops, np.full(layers + 1, 0.5), "-o", color=self.theme.line, markersize=8,
                  linewidth=2.5)
        (knob,) = axes.plot([], [], "o", color=self.theme.model, markersize=15)
        return ends, knob


def between(stages: np.ndarray, position: float) -> np.ndarray:
    """Return `stages` (k, …) at a `position` from 0 to k − 1, linear between two stages."""
    before = min(int(position), len(stages) - 2)
    share = position - before
    return (1 - share) * stages[before] + share * stages[before + 1]


def common_window(stages: np.ndarray) -> tuple[float, float, float, float]:
    """Return a square window (xmin, xmax, ymin, ymax) that shows all but the outermost points."""
    points = stages.reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return -1.0, 1.0, -1.0, 1.0
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    (x, y), half = (low + high) / 2, max((high - low).max() / 2 * 1.08, 1e-3)
    return x - half, x + half, y - half, y + half


def path_colours(colours: Colormap, latents: np.ndarray) -> np.ndarray:
    """Return the colour of each of `latents` (n, 2) by its angle on the cyclic map `colours`."""
    x, y = np.nan_to_num(latents).T
    return colours(np.arctan2(y, x) / (2 * np.pi) % 1.0)


def _stack(stages: Sequence[ArrayLike], what: str, dimensions: int) -> np.ndarray:
    arrays = [np.asarray(stage, dtype=float) for stage in stages]
    shapes = {array.shape for array in arrays}
    shape = arrays[0].shape if len(shapes) == 1 else ()
    if len(arrays) < 2 or len(shape) != dimensions or shape[-1] != 2:
        expected = "(n, 2)" if dimensions == 2 else "(rows, columns, 2)"
        raise ValueError(
            f"The {what} must be at least two arrays of one shape {expected}; "
            f"got {len(arrays)} with shapes {sorted(shapes)}."
        )
    stack = np.stack(arrays)
    # Numbers near the end of floating point overflow in matplotlib's transforms.
    return np.where(np.isfinite(stack), np.clip(stack, -1e6, 1e6), np.nan)
