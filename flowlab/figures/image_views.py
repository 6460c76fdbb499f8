"""Pictures of what a flow on images can do: each of the live picture's size."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.canvas import blank, panel, write
from flowlab.figures.mosaic import ink, lay, tiles, whole
from flowlab.figures.style import Theme

PAIRS = (7, 7)  # samples and their nearest images: columns, rows
STRIP = 11  # images between two
DRAWS = 5  # rows of images with one scale anew
EXAMPLES = 10  # of each kind
KINDS = ("data", "test", "training", "muted")  # the colours of the kinds, of a theme
BINS = 60
SPAN = 5.0  # bits per dimension that the histogram shows at least
HUGE = 1e6  # at most, times the span
ENDLESS = 1e30  # what is not a number counts as so many


def samples_and_nearest(samples: ArrayLike, found: ArrayLike, distance: ArrayLike, highest: float,
                        *, title: str = "Samples", theme: str = "light") -> Figure:
    """Return samples, and at the same places the training images nearest to them.

    Parameters
    ----------
    samples, found : array_like
        Shape (n, height, width), pixels in grey levels; n ≤ 49.
    distance : array_like
        Shape (n,), from each to the other, in grey levels.
    highest : float
        The greatest value of a pixel.
    title : str
        Above the samples.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.LIVE_SIZE`` pixels.
    """
    figure, colours = _blank(theme)
    for left, name, images in ((40, title, samples),
                               (830, "The training image nearest to each", found)):
        place = tiles(figure, (left, 60, 730, 800), colours, name, ink(colours), (0, highest))
        lay(place, whole(images), *PAIRS)
    distance = np.asarray(distance, dtype=float)
    _note(figure, f"Distance to the nearest: {distance.min():.1f} to {distance.max():.1f} grey "
          f"levels a pixel (root mean square). A copy would have 0.", colours)
    return figure


def in_between(strip: ArrayLike, blend: ArrayLike, now: ArrayLike, ends: ArrayLike, place: float,
               highest: float, *, theme: str = "light") -> Figure:
    """Return images on the way between two, through latent space and by mixing pixels.

    Parameters
    ----------
    strip, blend : array_like
        Shape (11, height, width): through latent space, and pixels mixed; evenly spaced.
    now : array_like
        Shape (2, height, width), the two kinds at `place`.
    ends : array_like
        Shape (2, height, width), the two images.
    place : float
        Where on the way, from 0 to 1.
    highest : float
        The greatest value of a pixel.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.LIVE_SIZE`` pixels.
    """
    figure, colours = _blank(theme)
    ends, now = np.asarray(ends, dtype=float), np.asarray(now, dtype=float)
    large = (("First image", ends[:1]), ("Through latent space", now[:1]),
             ("Pixels mixed", now[1:]), ("Second image", ends[1:]))
    for i, (name, image) in enumerate(large):
        box = (30 + 392 * i, 60, 364, 400)
        lay(tiles(figure, box, colours, name, ink(colours), (0, highest)), whole(image), 1, 1)
    left, width = 30, 1540
    for top, name, images in ((540, "Through latent space", strip),
                              (750, "Pixels mixed: no flow, only two pictures laid over each other",
                               blend)):
        axes = tiles(figure, (left, top, width, 132), colours, name, ink(colours), (0, highest))
        lay(axes, whole(images), STRIP, 1)
        across = axes.axes.get_xlim()[1]
        side = np.shape(images)[2]
        at = side / 2 + place * (across - side)
        axes.axes.plot([at], [-0.09], "^", color=colours.model, markersize=11, clip_on=False,
                       transform=axes.axes.get_xaxis_transform())
    return figure


def scale_anew(images: ArrayLike, drawn: ArrayLike, entries: Sequence[int], scale: int,
               highest: float, *, theme: str = "light") -> Figure:
    """Return images, and the same with the latents of one scale drawn anew.

    Parameters
    ----------
    images : array_like
        Shape (10, height, width).
    drawn : array_like
        Shape (5, 10, height, width).
    entries : sequence of int
        How many latents each scale has, the finest first.
    scale : int
        The one drawn anew.
    highest : float
        The greatest value of a pixel.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.LIVE_SIZE`` pixels.
    """
    figure, colours = _blank(theme)
    box = (180, 60, 1240, 112)
    lay(tiles(figure, box, colours, "Test images", ink(colours), (0, highest)), whole(images),
        EXAMPLES, 1)
    share = entries[scale] / sum(entries)
    title = (f"The same with {entries[scale]} of {sum(entries)} latents drawn anew "
             f"({share:.0%}), five times")
    drawn = np.asarray(drawn, dtype=float)
    lay(tiles(figure, (180, 240, 1240, 620), colours, title, ink(colours), (0, highest)),
        whole(drawn.reshape(-1, *drawn.shape[2:])), EXAMPLES, DRAWS)
    return figure


def likelihood_histogram(bits: Mapping[str, np.ndarray], examples: Mapping[str, np.ndarray],
                         highest: float, *, theme: str = "light") -> Figure:
    """Return how likely several kinds of images are, with examples of each.

    Parameters
    ----------
    bits : dict of str to array_like
        Of each kind the bits per dimension, shape (n,); up to four kinds.
    examples : dict of str to array_like
        Of each kind some images, shape (n, height, width).
    highest : float
        The greatest value of a pixel.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.LIVE_SIZE`` pixels.
    """
    figure, colours = _blank(theme)
    shades = [getattr(colours, name) for name in KINDS]
    for i, (name, images) in enumerate(examples.items()):
        top = 34 + 104 * i
        write(figure, 268 / style.LIVE_SIZE[0], 1 - (top + 45) / style.LIVE_SIZE[1], name,
              shades[i], ha="right", va="center", size=style.TITLE_SIZE)
        place = tiles(figure, (290, top, 1050, 92), colours, "", ink(colours), (0, highest))
        lay(place, whole(images), EXAMPLES, 1)
    axes = panel(figure, (70, 500, 1490, 390), colours, "Bits per dimension: farther left is "
                 "likelier; the last bar, cut off at the top, holds all beyond")
    axes.set_yticks([])
    known = {name: np.nan_to_num(np.asarray(values, dtype=float), nan=ENDLESS, posinf=ENDLESS)
             for name, values in bits.items()}
    low = min(values.min() for values in known.values())
    usual = np.percentile(next(iter(known.values())), 95)
    # What is far less likely than the images learned gathers in the last bar.
    edges = np.linspace(low, low + max(SPAN, SPAN * min(usual - low, HUGE)), BINS + 1)
    highest_bar = 0.0
    for i, (name, values) in enumerate(known.items()):
        heights, _ = np.histogram(np.minimum(values, edges[-1]), edges)
        share = heights / len(values)
        highest_bar = max(highest_bar, share[:-1].max())
        axes.stairs(share, edges, fill=True, color=shades[i], alpha=0.35)
        axes.stairs(share, edges, color=shades[i], linewidth=2)
        write(axes, 0.96, 0.95 - 0.1 * i, f"{name}: from {_short(values.min())}, median "
              f"{_short(np.median(values))}", shades[i], ha="right", va="top",
              transform=axes.transAxes)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.5 * highest_bar or 1.0))
    return figure


def image_thumbnail(images: ArrayLike, highest: float, *, theme: str = "light") -> Figure:
    """Return a small square picture of nine images, for choosing among data.

    Parameters
    ----------
    images : array_like
        Shape (n, height, width); the first nine are shown.
    highest : float
        The greatest value of a pixel.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.THUMBNAIL_SIZE`` pixels, to be shown at half that size.
    """
    colours = style.theme(theme)
    figure = blank(style.THUMBNAIL_SIZE, colours)
    width, height = style.THUMBNAIL_SIZE
    box = (8, 8, width - 16, height - 16)
    lay(tiles(figure, box, colours, "", ink(colours), (0, highest)), images, 3, 3)
    return figure


def name_tile(name: str, *, theme: str = "light") -> Figure:
    """Return a small square picture of a name, in place of what is not at hand.

    Parameters
    ----------
    name : str
        A line or two of some letters.
    theme : {"light", "dark"}
        Appearance.

    Returns
    -------
    matplotlib.figure.Figure
        Of ``style.THUMBNAIL_SIZE`` pixels, to be shown at half that size.
    """
    colours = style.theme(theme)
    figure = blank(style.THUMBNAIL_SIZE, colours)
    figure.set_facecolor(colours.surface)
    write(figure, 0.5, 0.5, name, colours.muted, size=30, ha="center", va="center")
    return figure


def _short(value: float) -> str:
    if value >= ENDLESS / 2:
        return "∞"
    return f"{value:.2f}" if abs(value) < 1000 else f"{value:.0e}"


def _blank(theme: str) -> tuple[Figure, Theme]:
    colours = style.theme(theme)
    return blank(style.LIVE_SIZE, colours), colours


def _note(figure: Figure, text: str, colours: Theme) -> None:
    write(figure, 0.5, 1 - 915 / style.LIVE_SIZE[1], text, colours.muted, ha="center", va="center")
