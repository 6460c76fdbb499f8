"""The overlays of a picture of the plane: each can be shown or hidden; all share one window.

Colours and scales do not depend on the overlays shown or on the frame, so pictures are comparable.
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from contourpy import contour_generator
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from flowlab.analysis.grid import clean_grid
from flowlab.figures.canvas import set_title, write
from flowlab.figures.panels import (
    GAMMA,
    AngleDots,
    cloud,
    density_image,
    error_image,
    move_cloud,
)
from flowlab.figures.style import Theme

#: The overlays from bottom to top, and their display names.
OVERLAYS = {
    "density": "density",
    "error": "learned − true",
    "grid": "grid",
    "contours": "contours",
    "data": "data",
    "samples": "samples",
    "paths": "paths",
}
DEFAULT_OVERLAYS = ("density", "samples")  # in the order of OVERLAYS
LEVELS = 5  # contours; they divide the colour scale into equal parts
LEGEND_GAP = 14  # pixels between two entries of the legend


class Plane:
    """Overlays on one pair of axes.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Axes whose limits are the window.
    names : collection of str
        The overlays it has, of `OVERLAYS`.
    theme : Theme
        Colours.
    highest : float
        The density at the end of the colour scale, in 1 / area.
    titles : dict of str to str, optional
        Title of the panel where an overlay is shown alone; otherwise the legend is the title.

    Raises
    ------
    ValueError
        For an overlay that is not in `OVERLAYS`.

    Attributes
    ----------
    artists : dict of str to matplotlib.artist.Artist
        One for each overlay, in drawing order.
    legend : list of matplotlib.text.Text
        The names of the overlays shown, in their colours, above the panel.
    """

    def __init__(self, axes: Axes, names: Collection[str], theme: Theme, highest: float,
                 titles: dict[str, str] | None = None) -> None:
        check_overlays(names)
        self.axes, self.theme, self.highest = axes, theme, highest
        self.limits = (*axes.get_xlim(), *axes.get_ylim())
        self.colours = {"density": theme.muted, "error": theme.muted, "grid": theme.muted,
                        "contours": theme.text, "data": theme.data, "samples": theme.model,
                        "paths": theme.test}
        self.artists = {name: self._artist(name) for name in OVERLAYS if name in names}
        self.legend = [write(axes, 0, 1 + 12 / axes.bbox.height, "", self.colours[name],
                             transform=axes.transAxes, va="baseline")
                       for name in self.artists]
        self.titles = {} if titles is None else titles
        self.shown: tuple[str, ...] = ()

    def animated(self) -> list[Artist]:
        """Return the artists that change from frame to frame, in drawing order."""
        return [*self.artists.values(), *self.axes.spines.values(), *self.legend]

    def show_overlays(self, names: Collection[str]) -> None:
        """Show the overlays `names` and hide the others; names of overlays it lacks are ignored."""
        check_overlays(names)
        self.shown = tuple(name for name in self.artists if name in names)
        for name, artist in self.artists.items():
            artist.set_visible(name in self.shown)
        alone = self.titles.get(self.shown[0], "") if len(self.shown) == 1 else ""
        set_title(self.axes, alone, self.theme)
        left = 0.0
        for name, word in zip(self.artists, self.legend, strict=True):
            listed = name in self.shown and not alone
            word.set_text(f"{_SIGNS[name]} {OVERLAYS[name]}" if listed else "")
            word.set_x(left / self.axes.bbox.width)
            if name == "samples":  # which alone have the colours of their angles
                word.set_color(self.theme.model if "data" in self.shown else self.theme.text)
            if listed:
                left += word.get_window_extent().width + LEGEND_GAP

    def move_window(self, limits: Sequence[float], extent: tuple[float, float, float, float]
                    ) -> None:
        """Show another window; density, error and contours span `extent` from now on."""
        self.limits = extent
        for name in ("density", "error"):
            self.image(name).set_extent(extent)
        self.axes.set(xlim=limits[:2], ylim=limits[2:])

    def update(self, *, data: ArrayLike | None = None, samples: ArrayLike | None = None,
               latents: ArrayLike | None = None, density: ArrayLike | None = None,
               error: ArrayLike | None = None, grid: ArrayLike | None = None,
               paths: ArrayLike | None = None) -> None:
        """Give overlays new contents; an argument that is None leaves its overlay as it is.

        Parameters
        ----------
        data, samples : array_like
            Shape (n, 2).
        latents : array_like
            Those of the samples, whose angles give them their colours; by default, and where data
            points are shown as well, they have the model's.
        density : array_like
            Shape (rows, columns) as in `grid_points`, in 1 / area; contours follow it.
        error : array_like
            The same shape, learned minus true density.
        grid : array_like
            Shape (rows, columns, 2), the nodes of the grid.
        paths : array_like
            Shape (stages, n, 2), n points at every stage.
        """
        dots = self.artists.get("data")
        if data is not None and isinstance(dots, Line2D):
            move_cloud(dots, data)
        dots = self.artists.get("samples")
        if samples is not None and isinstance(dots, AngleDots):
            dots.move(samples, None if "data" in self.shown else latents)
        for name, image in (("density", density), ("error", error)):
            if image is not None and name in self.artists:
                self.image(name).set_data(clean_grid(image))
        if density is not None and "contours" in self.shown:
            self._lines("contours").set_segments(
                contour_lines(density, self.limits, self.highest))
        if grid is not None and "grid" in self.artists:
            crossings = drawable(grid)
            self._lines("grid").set_segments([*crossings, *crossings.swapaxes(0, 1)])
        if paths is not None and "paths" in self.artists:
            self._lines("paths").set_segments(list(drawable(paths).swapaxes(0, 1)))

    def image(self, name: str) -> AxesImage:
        """Return the artist of ``"density"`` or ``"error"``."""
        artist = self.artists[name]
        assert isinstance(artist, AxesImage)
        return artist

    def _lines(self, name: str) -> LineCollection:
        artist = self.artists[name]
        assert isinstance(artist, LineCollection)
        return artist

    def _artist(self, name: str) -> Artist:
        if name == "data":
            return cloud(self.axes, [], self.colours[name])
        if name == "samples":
            return self.axes.add_line(AngleDots(self.theme, self.colours[name]))
        if name == "density":
            return density_image(self.axes, [[0.0]], self.limits, self.theme, self.highest)
        if name == "error":
            return error_image(self.axes, [[0.0]], self.limits, self.theme, self.highest)
        width, alpha = {"grid": (0.9, 0.7), "contours": (1.3, 0.9), "paths": (1.3, 0.75)}[name]
        return self.axes.add_collection(
            LineCollection([], colors=self.colours[name], linewidths=width, alpha=alpha),
            autolim=False)


_SIGNS = {"density": "▦", "error": "◩", "grid": "#", "contours": "○", "data": "●", "samples": "●",
          "paths": "━"}


def check_overlays(names: Iterable[str]) -> None:
    """Raise ValueError where one of `names` is no overlay."""
    for name in names:
        if name not in OVERLAYS:
            raise ValueError(f"There is no overlay {name!r}; choose from {', '.join(OVERLAYS)}.")


def contour_lines(density: ArrayLike, limits: Sequence[float], highest: float) -> list[np.ndarray]:
    """Return the contours of a density as lines, each of shape (n, 2).

    The levels are the same in every frame: they divide the colour scale, which ends at `highest`,
    into `LEVELS` + 1 equal parts.

    Parameters
    ----------
    density : array_like
        Shape (rows, columns) as in `grid_points`, in 1 / area.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) that the grid spans.
    highest : float
        The density at the end of the scale.
    """
    heights = np.clip(np.nan_to_num(np.asarray(density, dtype=float)), 0, 1e30)
    rows, columns = heights.shape
    if min(rows, columns) < 2:
        return []
    xmin, xmax, ymin, ymax = limits
    x = xmin + (xmax - xmin) * (np.arange(columns) + 0.5) / columns
    y = ymin + (ymax - ymin) * (np.arange(rows) + 0.5) / rows
    contours = contour_generator(x, y, heights, line_type="Separate")
    shares = np.arange(1, LEVELS + 1) / (LEVELS + 1)
    return [np.asarray(line) for share in shares
            for line in contours.lines(highest * share ** (1 / GAMMA))]


def drawable(points: ArrayLike) -> np.ndarray:
    """Return `points` as float64, clipped far outside, where matplotlib would overflow."""
    points = np.asarray(points, dtype=float)
    return np.where(np.isfinite(points), np.clip(points, -1e6, 1e6), np.nan)
