"""Mosaics: many small images side by side in one image."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from flowlab.figures.canvas import Box, panel
from flowlab.figures.style import Theme

GAP = 8  # ratio of an image's side to a gap


def ink(theme: Theme) -> Colormap:
    """Return the colour map of grey images, from the panel's background to the text colour."""
    shades = LinearSegmentedColormap.from_list(f"ink-{theme.name}", [theme.surface, theme.text])
    return shades.with_extremes(bad=theme.background)


def mosaic(images: ArrayLike, columns: int, rows: int) -> np.ndarray:
    """Lay images out in rows, with gaps between them.

    Parameters
    ----------
    images : array_like
        Shape (n, height, width), in the order of rows.
    columns, rows : int
        Number of columns and rows. Places without an image stay empty, and images beyond the last
        place are left out.

    Returns
    -------
    numpy.ndarray
        Masked where there is no image or a value is NaN.

    Raises
    ------
    ValueError
        If the images are not an array of three dimensions.

    Examples
    --------
    >>> mosaic(np.zeros((3, 8, 8)), columns=2, rows=2).shape
    (17, 17)
    """
    images = np.asarray(images, dtype=float)
    if images.ndim != 3:
        raise ValueError("Images to draw must have the shape (n, height, width); "
                         f"got {images.shape}.")
    height, width = images.shape[1:]
    down, across = height + gap(height), width + gap(width)
    whole = np.full((rows * down - gap(height), columns * across - gap(width)), np.nan)
    for i, image in enumerate(images[:columns * rows]):
        top, left = down * (i // columns), across * (i % columns)
        whole[top:top + height, left:left + width] = image
    return np.ma.masked_invalid(whole)


def grey_levels(pixels: ArrayLike) -> np.ndarray:
    """Return the grey levels of real pixels: the integer below each."""
    return np.floor(np.asarray(pixels, dtype=float))


def gap(side: int) -> int:
    """Return the width in pixels of the gap between images of this side."""
    return max(1, side // GAP)


def mosaic_axes(figure: Figure, box: Box, theme: Theme, title: str, shades: Colormap,
          limits: tuple[float, float]) -> AxesImage:
    """Add frameless axes for a mosaic at `box` (left, top, width, height in pixels).

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    box : tuple of float
        The mosaic is drawn as large as it fits into this box.
    theme : Theme
        Colours of the title.
    title : str
        The title above the mosaic.
    shades : matplotlib.colors.Colormap
        Colour map of the values.
    limits : tuple of float
        The values of the first and the last colour, at which others are clipped.

    Returns
    -------
    matplotlib.image.AxesImage
        The argument of `show_mosaic`.
    """
    axes = panel(figure, box, theme, title)
    axes.set(xticks=[], yticks=[], facecolor=theme.background)
    axes.spines[:].set_visible(False)
    return axes.imshow(np.zeros((1, 1)), cmap=shades, vmin=limits[0], vmax=limits[1],
                       interpolation="nearest", aspect="equal")


def show_mosaic(place: AxesImage, images: ArrayLike, columns: int, rows: int) -> None:
    """Show `images` (n, height, width) on axes from `mosaic_axes`."""
    whole = mosaic(images, columns, rows)
    axes: Axes = place.axes
    height, width = whole.shape
    place.set_data(whole)
    place.set_extent((0, width, height, 0))
    axes.set(xlim=(0, width), ylim=(height, 0))
