"""Views of a flow on images, each of the live picture's size, on a page and in a lecture."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.canvas import Box, blank, panel, write
from flowlab.figures.mosaic import grey_levels, ink, mosaic_axes, show_mosaic
from flowlab.figures.style import Theme

PAIRS = (7, 7)  # columns and rows of samples and nearest images
STRIP = 11  # images of an interpolation
DRAWS = 5  # rows of images with one scale resampled
EXAMPLES = 10  # of each kind
KINDS = ("data", "test", "training", "muted")  # the colours of the kinds, of a theme
BINS = 60
SPAN = 5.0  # minimum span of the histogram, in bits per dimension
HUGE = 1e6  # maximum factor of the span
ENDLESS = 1e30  # bits that stand for NaN and infinity


def samples_and_nearest(samples: ArrayLike, found: ArrayLike, distance: ArrayLike, highest: float,
                        *, title: str = "Samples", theme: str = "light") -> Figure:
    """Return samples, and at the same places the training images nearest to them.

    Parameters
    ----------
    samples, found : array_like
        Shape (n, height, width), pixels in grey levels; n ≤ 49.
    distance : array_like
        Shape (n,), from each sample to its nearest image, in grey levels.
    highest : float
        The maximum value of a pixel.
    title : str
        Title above the samples.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has the pixels of the theme's ``size``.
    """
    figure, colours = _blank(theme)
    top, height = (40, 684) if colours.layout else (60, 800)
    for left, name, images in ((40, title, samples),
                               (830, "The training image nearest to each", found)):
        _mosaic(figure, (left, top, 730, height), colours, name, images, highest, *PAIRS)
    distance = np.asarray(distance, dtype=float)
    write(figure, 0.5, 0.035, f"Distance to the nearest: {distance.min():.1f} to "
          f"{distance.max():.1f} grey levels per pixel (root mean square). A copy would have 0.",
          colours.muted, size=min(style.LABEL_SIZE, colours.title_size), ha="center", va="center")
    return figure


def in_between(strip: ArrayLike, blend: ArrayLike, now: ArrayLike, ends: ArrayLike, place: float,
               highest: float, *, theme: str = "light") -> Figure:
    """Return an interpolation between two images, in latent space and in pixels.

    Parameters
    ----------
    strip, blend : array_like
        Shape (11, height, width), evenly spaced: interpolated in latent space, and in pixels.
    now : array_like
        Shape (2, height, width), both interpolations at `place`.
    ends : array_like
        Shape (2, height, width), the two images.
    place : float
        Position between the two images, from 0 to 1.
    highest : float
        The maximum value of a pixel.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has the pixels of the theme's ``size``.
    """
    figure, colours = _blank(theme)
    ends, now = np.asarray(ends, dtype=float), np.asarray(now, dtype=float)
    large = (("First image", ends[:1]), ("Through latent space", now[:1]),
             ("Mixed pixels", now[1:]), ("Second image", ends[1:]))
    top, height, *below = (40, 340, 436, 626) if colours.layout else (60, 400, 540, 750)
    for i, (name, image) in enumerate(large):
        _mosaic(figure, (30 + 392 * i, top, 364, height), colours, name, image, highest, 1, 1)
    left, width = 30, 1540
    for top, name, images in ((below[0], "Through latent space", strip),
                              (below[1], "Mixed pixels: no flow, just one picture over the other",
                               blend)):
        axes = _mosaic(figure, (left, top, width, 132), colours, name, images, highest, STRIP, 1)
        across = axes.get_xlim()[1]
        side = np.shape(images)[2]
        at = side / 2 + place * (across - side)
        axes.plot([at], [-0.09], "^", color=colours.model, markersize=11, clip_on=False,
                  transform=axes.get_xaxis_transform())
    return figure


def scale_anew(images: ArrayLike, drawn: ArrayLike, entries: Sequence[int], scale: int,
               highest: float, *, theme: str = "light") -> Figure:
    """Return images, and the same images with the latents of one scale resampled.

    Parameters
    ----------
    images : array_like
        Shape (10, height, width).
    drawn : array_like
        Shape (5, 10, height, width).
    entries : sequence of int
        Number of latents of each scale, the finest first.
    scale : int
        The scale that is resampled.
    highest : float
        The maximum value of a pixel.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has the pixels of the theme's ``size``.
    """
    figure, colours = _blank(theme)
    first, rest = ((40, 98), (190, 582)) if colours.layout else ((60, 112), (240, 620))
    _mosaic(figure, (180, first[0], 1240, first[1]), colours, "Test images", images, highest,
            EXAMPLES, 1)
    share = entries[scale] / sum(entries)
    title = (f"The same with {entries[scale]} of {sum(entries)} latents resampled "
             f"({share:.0%}), five times")
    drawn = np.asarray(drawn, dtype=float)
    _mosaic(figure, (180, rest[0], 1240, rest[1]), colours, title,
            drawn.reshape(-1, *drawn.shape[2:]), highest, EXAMPLES, DRAWS)
    return figure


def likelihood_histogram(bits: Mapping[str, np.ndarray], examples: Mapping[str, np.ndarray],
                         highest: float, *, theme: str = "light") -> Figure:
    """Return a histogram of the likelihoods of several kinds of images, with examples.

    Parameters
    ----------
    bits : dict of str to array_like
        Bits per dimension of each kind, shape (n,); up to four kinds.
    examples : dict of str to array_like
        Some images of each kind, shape (n, height, width).
    highest : float
        The maximum value of a pixel.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has the pixels of the theme's ``size``.
    """
    figure, colours = _blank(theme)
    shades = [getattr(colours, name) for name in KINDS]
    first, step, across, below = (12, 84, 810, (70, 392, 1490, 340)) if colours.layout else (
        34, 104, 1050, (70, 500, 1490, 390))
    for i, (name, images) in enumerate(examples.items()):
        top, height = first + step * i, step - 12
        write(figure, 268 / colours.size[0], 1 - (top + height / 2) / colours.size[1], name,
              shades[i], ha="right", va="center", size=colours.title_size)
        _mosaic(figure, (290, top, across, height), colours, "", images, highest, EXAMPLES, 1)
    known = {name: np.nan_to_num(np.asarray(values, dtype=float), nan=ENDLESS, posinf=ENDLESS)
             for name, values in bits.items()}
    low = min(values.min() for values in known.values())
    usual = np.percentile(next(iter(known.values())), 95)
    end = low + max(SPAN, SPAN * min(usual - low, HUGE))
    most = max(values.max() for values in known.values())
    beyond = most > end
    edges = np.linspace(low, min(end, max(most, low + SPAN)), BINS + 1)
    # The last bar holds all images that are far less likely than the training images.
    axes = panel(figure, below, colours, "Bits per dimension: farther left is more likely" + (
        "; the last bar, cut off at the top, holds all values beyond" if beyond else ""))
    axes.set_yticks([])
    highest_bar = 0.0
    for i, (name, values) in enumerate(known.items()):
        heights, _ = np.histogram(np.minimum(values, edges[-1]), edges)
        share = heights / len(values)
        highest_bar = max(highest_bar, (share[:-1] if beyond else share).max())
        axes.stairs(share, edges, fill=True, color=shades[i], alpha=0.35)
        axes.stairs(share, edges, color=shades[i], linewidth=2)
        write(axes, 0.96, 0.95 - 0.1 * i, f"{name}: from {_short(values.min())}, median "
              f"{_short(np.median(values))}", shades[i], ha="right", va="top",
              transform=axes.transAxes)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.75 * highest_bar or 1.0))  # below the words
    return figure


def image_thumbnail(images: ArrayLike, highest: float, *, theme: str = "light") -> Figure:
    """Return a thumbnail of nine images, for the chooser of data.

    Parameters
    ----------
    images : array_like
        Shape (n, height, width); the first nine are shown.
    highest : float
        The maximum value of a pixel.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.THUMBNAIL_SIZE`` pixels, shown at half that size.
    """
    colours = style.theme(theme)
    figure = blank(style.THUMBNAIL_SIZE, colours)
    width, height = style.THUMBNAIL_SIZE
    box = (8, 8, width - 16, height - 16)
    show_mosaic(mosaic_axes(figure, box, colours, "", ink(colours), (0, highest)), images, 3, 3)
    return figure


def name_thumbnail(name: str, *, theme: str = "light") -> Figure:
    """Return a thumbnail with a name, in place of missing data.

    Parameters
    ----------
    name : str
        One or two short lines.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.THUMBNAIL_SIZE`` pixels, shown at half that size.
    """
    colours = style.theme(theme)
    figure = blank(style.THUMBNAIL_SIZE, colours)
    figure.set_facecolor(colours.surface)
    write(figure, 0.5, 0.5, name, colours.muted, size=30, ha="center", va="center")
    return figure


def _mosaic(figure: Figure, box: Box, colours: Theme, title: str, images: ArrayLike,
            highest: float, columns: int, rows: int) -> Axes:
    """Add a mosaic of images with real pixels up to `highest`, and return its axes."""
    place = mosaic_axes(figure, box, colours, title, ink(colours), (0, highest))
    show_mosaic(place, grey_levels(images), columns, rows)
    return place.axes


def _short(value: float) -> str:
    if value >= ENDLESS / 2:
        return "∞"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.0e}"


def _blank(theme: str) -> tuple[Figure, Theme]:
    colours = style.theme(theme)
    return blank(colours.size, colours), colours
