"""Many small images side by side, as one."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike

from flowlab.figures.canvas import Box, panel
from flowlab.figures.style import Theme

GAP = 8  # a gap is this part of an image's side


def ink(theme: Theme) -> Colormap:
    """Return the colours of grey images: 0 is the panel's ground, the highest value is ink."""
    shades = LinearSegmentedColormap.from_list(f"ink-{theme.name}", [theme.surface, theme.text])
    return shades.with_extremes(bad=theme.background)


def mosaic(images: ArrayLike, columns: int, rows: int) -> np.ndarray:
    """Lay images out in rows, with gaps between them.

    Parameters
    ----------
    images : array_like
        Shape (n, height, width); the first fill the first row.
    columns, rows : int
        How many fit side by side, and one below the other. Places without an image stay empty,
        images beyond the last place are left out.

    Returns
    -------
    numpy.ndarray
        Masked where there is no image, or what it holds is not a number.

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


def whole(pixels: ArrayLike) -> np.ndarray:
    """Return the grey levels that real pixels stand for: the whole number below each."""
    return np.floor(np.asarray(pixels, dtype=float))


def gap(side: int) -> int:
    """Return the pixels between two images whose side has so many."""
    return max(1, side // GAP)


def tiles(figure: Figure, box: Box, theme: Theme, title: str, shades: Colormap,
          limits: tuple[float, float]) -> AxesImage:
    """Add a place for a mosaic at `box` (left, top, width, height in pixels), in a frame of none.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Where.
    box : tuple of float
        The mosaic is drawn as large as fits.
    theme : Theme
        Colours of the title.
    title : str
        Written above it.
    shades : matplotlib.colors.Colormap
        Colours of the values.
    limits : tuple of float
        The values of the first and the last colour; beyond them it stays.

    Returns
    -------
    matplotlib.image.AxesImage
        To be given to `lay`.
    """
    axes = panel(figure, box, theme, title)
    axes.set(xticks=[], yticks=[], facecolor=theme.background)
    axes.spines[:].set_visible(False)
    return axes.imshow(np.zeros((1, 1)), cmap=shades, vmin=limits[0], vmax=limits[1],
                       interpolation="nearest", aspect="equal")


def lay(place: AxesImage, images: ArrayLike, columns: int, rows: int) -> None:
    """Show `images` (n, height, width) at a place from `tiles`."""
    whole = mosaic(images, columns, rows)
    axes: Axes = place.axes
    height, width = whole.shape
    place.set_data(whole)
    place.set_extent((0, width, height, 0))
    axes.set(xlim=(0, width), ylim=(height, 0))
