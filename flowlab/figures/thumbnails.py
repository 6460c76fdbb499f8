"""Small pictures of one thing: thumbnails for a choice, one density, one error."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from flowlab.figures import style
from flowlab.figures.canvas import blank, panel, window
from flowlab.figures.panels import (
    clean_grid,
    cloud,
    colour_bar,
    density_image,
    error_image,
    frame_limits,
    highest_density,
)


def thumbnail(points, limits, *, theme="light") -> Figure:
    """Return a small square picture of `points`, for choosing among data.

    Parameters
    ----------
    points : array_like
        Shape (n, 2); some hundreds are enough.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax).
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.THUMBNAIL_SIZE`` pixels, to be shown at half that size.
    """
    figure, axes = _tile(window(limits), theme)
    cloud(axes, points, style.theme(theme).data, marker=5, alpha=0.6)
    return figure


def density_thumbnail(grid, limits, *, theme="light") -> Figure:
    """Return a small square picture of a density.

    Parameters
    ----------
    grid : array_like
        Shape (rows, columns) as in `grid_points`, in 1 / area.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) that the grid spans.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.THUMBNAIL_SIZE`` pixels, to be shown at half that size.
    """
    limits = window(limits)
    figure, axes = _tile(limits, theme)
    density_image(axes, grid, limits, style.theme(theme), highest_density(grid, [], limits))
    return figure


def density_error(learned, true, limits, *, scale=None, theme="light") -> Figure:
    """Return where a learned density is too high and where it is too low.

    Parameters
    ----------
    learned, true : array_like
        Shape (rows, columns) as in `grid_points`, in 1 / area.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) that both grids span.
    scale : float, optional
        The error at the ends of the colour scale; by default the highest true density, so that
        pictures of one target can be compared.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.DENSITY_SIZE`` pixels.

    Raises
    ------
    ValueError
        If the two grids have different shapes.
    """
    limits = window(limits)
    learned, truth = clean_grid(learned), clean_grid(true)
    if learned.shape != truth.shape:
        raise ValueError(
            "The learned and the true density must be on the same grid; "
            f"got {learned.shape} and {truth.shape}."
        )
    colours = style.theme(theme)
    scale = highest_density(true, [], limits) if scale is None else scale
    figure = blank(style.DENSITY_SIZE, colours)
    axes = panel(figure, (56, 48, 530, 530), colours, "Learned density minus true density")
    image = error_image(axes, learned - truth, limits, colours, scale)
    frame_limits(axes, limits)
    colour_bar(figure, (606, 48, 20, 530), image, colours, title="error, √ scale")
    return figure


def _tile(limits, name: str) -> tuple[Figure, Axes]:
    theme = style.theme(name)
    figure = blank(style.THUMBNAIL_SIZE, theme)
    width, height = style.THUMBNAIL_SIZE
    axes = panel(figure, (3, 3, width - 6, height - 6), theme)
    frame_limits(axes, limits)
    axes.set(xticks=[], yticks=[])
    return figure, axes
