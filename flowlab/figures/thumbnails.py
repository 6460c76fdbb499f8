"""Thumbnails of points and of densities, for the chooser of data."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from flowlab.analysis.grid import highest_density, window
from flowlab.figures import style
from flowlab.figures.canvas import blank, panel
from flowlab.figures.panels import cloud, density_image, frame_limits


def thumbnail(points: ArrayLike, limits: Sequence[float], *, theme: str = "light") -> Figure:
    """Return a thumbnail of `points`, for the chooser of data.

    Parameters
    ----------
    points : array_like
        Shape (n, 2); a few hundred are enough.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax).
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.THUMBNAIL_SIZE`` pixels, shown at half that size.
    """
    figure, axes = _thumbnail(window(limits), theme)
    cloud(axes, points, style.theme(theme).data, marker=5, alpha=0.6)
    return figure


def density_thumbnail(grid: ArrayLike, limits: Sequence[float], *, theme: str = "light") -> Figure:
    """Return a thumbnail of a density.

    Parameters
    ----------
    grid : array_like
        Shape (rows, columns) as in `grid_points`, in 1 / area.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) that the grid spans.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.THUMBNAIL_SIZE`` pixels, shown at half that size.
    """
    limits = window(limits)
    figure, axes = _thumbnail(limits, theme)
    density_image(axes, grid, limits, style.theme(theme), highest_density(grid, [], limits))
    return figure


def _thumbnail(limits: Sequence[float], name: str) -> tuple[Figure, Axes]:
    theme = style.theme(name)
    figure = blank(style.THUMBNAIL_SIZE, theme)
    width, height = style.THUMBNAIL_SIZE
    axes = panel(figure, (3, 3, width - 6, height - 6), theme)
    frame_limits(axes, limits)
    axes.set(xticks=[], yticks=[])
    return figure, axes
