"""The live picture of points with more than two coordinates, in pairs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import panel, shortened, write
from flowlab.figures.curves import TITLE, Curves
from flowlab.figures.panels import cloud, data_clouds, frame_limits, latent_circles, move_cloud
from flowlab.figures.plane import BELOW, RIGHT, SIDE, TOP

MAX_COORDINATES = 4  # maximum number of coordinates shown, the first ones
GAP = 12  # pixels between two panels
#: All pairs together, the latent cloud and the loss, on a page and in a lecture.
PAGE = ((66, TOP, 798, 862), (RIGHT[0], TOP, RIGHT[1], SIDE), (RIGHT[0], BELOW, RIGHT[1], SIDE))
LECTURE = ((100, 44, 826, 690), (1010, 44, 572, 272), (1010, 420, 572, 272))
MAX_NAME = 16  # letters of a coordinate's name
CELLS = 32  # bins of a coordinate's histogram
SHOWN = (0.2, 99.8)  # percentiles of the points between which the window lies
MARGIN = 1.2  # the window's width, relative to the distance of these percentiles


class PairPicture(AnimatedPicture):
    r"""Data and samples in every pair of coordinates, latent cloud, and loss.

    Data are below the diagonal, the model's samples above it, and histograms of both on it. At most
    the first `MAX_COORDINATES` coordinates are shown.

    Parameters
    ----------
    data : array_like
        Shape (n, d), data points to show.
    sigma : float
        Standard deviation of the base distribution: 1 for a normal one, π/√3 for a logistic one.
    test : array_like
        Shape (m, d), points of the test set to show as rings; then `data` are the training set.
    theme : {"light", "dark"}
        Theme of the picture.
    names : sequence of str
        Names of the coordinates; by default numbers.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.random.default_rng(0).normal(size=(100, 3))
    >>> picture = PairPicture(points)
    >>> picture.update(points, points, [0], [2.8], [2.9])
    >>> picture.png()[:4]
    b'\x89PNG'
    """

    def __init__(self, data: ArrayLike, *, test: ArrayLike = (), sigma: float = 1.0,
                 theme: str = "light", names: Sequence[str] = ()) -> None:
        colours = style.theme(theme)
        super().__init__(colours.size, theme, colours.densities())
        self.all_pairs, latents, loss = LECTURE if colours.layout else PAGE
        data = np.asarray(data, dtype=float)
        test = np.asarray(test, dtype=float).reshape(-1, data.shape[1])
        self.count = min(MAX_COORDINATES, data.shape[1])
        low, high = np.percentile(data[:, :self.count], SHOWN, axis=0)
        half, middle = np.maximum(high - low, 1e-3) * MARGIN / 2, (low + high) / 2
        self.low, self.high = middle - half, middle + half
        self.edges = np.linspace(self.low, self.high, CELLS + 1)
        self.names = [shortened(name, MAX_NAME) for name in names] or [
            f"x{chr(0x2081 + i)}" for i in range(self.count)]
        self.clouds: dict[tuple[int, int], Line2D] = {}
        self.outlines: list[Line2D] = []
        for row in range(self.count):
            for column in range(self.count):
                self._cell(row, column, data, test)
        (across, down), (left, top, width, _) = colours.size, self.all_pairs
        known = data.shape[1]
        part = "" if known == self.count else f"first {self.count} of {known} coordinates"
        below = "● training, ○ test set, below" if len(test) else "● data, below"
        for share, text, colour in ((0, below, self.theme.data),
                                    (0.45, "● samples, above", self.theme.model),
                                    (0.72, part, self.theme.muted)):
            write(self.figure, (left + share * width) / across, 1 - (top - 14) / down, text,
                  colour, size=self.theme.title_size)
        axes = panel(self.figure, latents, self.theme,
                     "Data in latent space: first two coordinates")
        circles = latent_circles(axes, sigma, self.theme)
        self.latents = cloud(axes, [], self.theme.data, alpha=0.4)
        axes = panel(self.figure, loss, self.theme, TITLE)
        self.curves = Curves(axes, self.theme)
        self.animated = [*self.clouds.values(), *self.outlines, self.latents, *circles,
                       *self.curves.artists()]

    def _cell(self, row: int, column: int, data: np.ndarray, test: np.ndarray) -> None:
        """Add the panel of two coordinates, or on the diagonal the histogram of one."""
        left, top, *sides = self.all_pairs
        width, height = ((side - (self.count - 1) * GAP) / self.count for side in sides)
        axes = panel(self.figure, (left + column * (width + GAP), top + row * (height + GAP),
                                   width, height), self.theme)
        limits = (self.low[column], self.high[column], self.low[row], self.high[row])
        frame_limits(axes, limits)
        # Large letters of neighbours would meet.
        axes.xaxis.set_major_locator(MaxNLocator(2 if self.theme.layout else 3))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        last = row == self.count - 1
        axes.tick_params(labelbottom=last, labelleft=column == 0 and row > 0)
        if row != column:
            if row < column:
                self.clouds[row, column] = cloud(axes, [], self.theme.model, marker=3.4)
                return
            for points, dots in zip((data, test), data_clouds(axes, self.theme, 3.4), strict=True):
                move_cloud(dots, points[:, [column, row]])
            return
        heights = self._histogram(data, row)
        axes.set_ylim(0, 1.35 * heights.max())
        axes.yaxis.set_major_locator(MaxNLocator(1))
        axes.tick_params(left=False, labelleft=False)
        middles = (self.edges[1:, row] + self.edges[:-1, row]) / 2
        axes.fill_between(middles, heights, step="mid", color=self.theme.data, alpha=0.35)
        self.outlines += axes.plot(middles, np.zeros(CELLS), drawstyle="steps-mid",
                                   color=self.theme.model, linewidth=2)
        write(axes, 0.05, 0.94, self.names[row], self.theme.text, transform=axes.transAxes,
              va="top", parse_math=False)

    def _histogram(self, points: np.ndarray, coordinate: int) -> np.ndarray:
        """The share of all points per unit of length, in each bin."""
        counts, edges = np.histogram(points[:, coordinate], self.edges[:, coordinate])
        return counts / max(len(points), 1) / np.diff(edges)

    def update(self, samples: ArrayLike, latents: ArrayLike, epochs: ArrayLike, train: ArrayLike,
               test: ArrayLike) -> None:
        """Show the current state of the model.

        Parameters
        ----------
        samples : array_like
            Shape (n, d), drawn from the model.
        latents : array_like
            Shape (m, d), data points mapped to the latent space.
        epochs, train, test : array_like
            Shape (k,); the losses so far in nats, NaN where unknown.
        """
        drawn = np.asarray(samples, dtype=float)
        drawn = drawn[np.isfinite(drawn).all(axis=1)]
        for (row, column), points in self.clouds.items():
            move_cloud(points, drawn[:, [column, row]])
        for coordinate, outline in enumerate(self.outlines):
            outline.set_ydata(self._histogram(drawn, coordinate))
        move_cloud(self.latents, np.asarray(latents)[:, :2])
        if self.curves.update(epochs, train, test):
            self.redraw()
