"""Parts of pictures: points, densities, latent clouds, colour bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, FuncNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from flowlab.analysis.grid import clean_grid, visible, window
from flowlab.figures import style
from flowlab.figures.canvas import Box, write
from flowlab.figures.style import Theme

GAMMA = 0.5  # exponent of densities in the colour scale, so that faint bridges and tails are seen
MARKER = 4.2  # pixels of diameter, for a few thousand points on 400 pixels


def frame_limits(axes: Axes, limits: Sequence[float]) -> None:
    """Show exactly the window `limits` (xmin, xmax, ymin, ymax) with few ticks."""
    xmin, xmax, ymin, ymax = limits
    axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def cloud(axes: Axes, points: ArrayLike, colour: str, *, marker: float = MARKER, alpha: float = 0.5,
          hollow: bool = False) -> Line2D:
    """Add `points` (n, 2) as dots; markers of a line draw ten times faster than a scatter."""
    x, y = visible(points, (*axes.get_xlim(), *axes.get_ylim())).T
    size = marker * 72 / style.DPI
    (line,) = axes.plot(x, y, "o", color=colour, markersize=size, markeredgewidth=0, alpha=alpha)
    if hollow:
        line.set(markerfacecolor="none", markeredgewidth=0.9)
    return line


def data_clouds(axes: Axes, theme: Theme, marker: float = MARKER) -> tuple[Line2D, Line2D]:
    """Add empty clouds: dots for training data and rings for the test set; see `move_cloud`.

    The two are distinguished because a flow that memorises few points fits only the training set.
    """
    return (cloud(axes, [], theme.data, marker=marker),
            cloud(axes, [], theme.data, marker=marker, alpha=0.9, hollow=True))


def data_title(rings: bool, short: bool = False) -> str:
    """Return the title that explains the dots and rings of `data_clouds`."""
    if not rings:
        return "Data"
    return "Data: ● train, ○ test" if short else "Data: ● training set, ○ test set"


def move_cloud(line: Line2D, points: ArrayLike) -> None:
    """Put the dots of `cloud` at new `points` (n, 2)."""
    axes = line.axes
    assert axes is not None
    line.set_data(*visible(points, (*axes.get_xlim(), *axes.get_ylim())).T)


def density_image(axes: Axes, grid: ArrayLike, limits: Sequence[float], theme: Theme, highest: float
                 ) -> AxesImage:
    """Show a density by colour, from 0 to `highest`, on a square-root scale.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where.
    grid : array_like
        Shape (rows, columns), row 0 at ymin, as `grid_points` orders them; in 1 / area.
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) that the grid spans.
    theme : Theme
        Colours; NaN has the colour of lines.
    highest : float
        The density with the last colour; higher ones have the theme's colour `over`.

    Returns
    -------
    matplotlib.image.AxesImage
        Its `set_data` takes another grid from `clean_grid`.
    """
    return _image(axes, grid, limits, theme.densities(), PowerNorm(GAMMA, 0, highest))


def error_image(axes: Axes, grid: ArrayLike, limits: Sequence[float], theme: Theme, highest: float
               ) -> AxesImage:
    """Show a signed error of a density by colour, on a square-root scale on both sides.

    So errors of one per cent of `highest` are visible. The arguments are those of `density_image`.
    """
    return _image(axes, grid, limits, theme.errors(),
                  FuncNorm((_signed_root, _signed_square), -highest, highest))


def _image(axes: Axes, grid: ArrayLike, limits: Sequence[float], colours: Colormap, norm: Normalize
          ) -> AxesImage:
    """Show a grid that spans a window."""
    return axes.imshow(clean_grid(grid), extent=window(limits), origin="lower", aspect="auto",
                       interpolation="bilinear", cmap=colours, norm=norm)


def _signed_root(values: ArrayLike) -> np.ndarray:
    return np.sign(values) * np.abs(values) ** GAMMA


def _signed_square(values: ArrayLike) -> np.ndarray:
    return np.sign(values) * np.abs(values) ** (1 / GAMMA)


def colour_bar(figure: Figure, box: Box, image: ScalarMappable, theme: Theme,
               title: str = "density, √ scale", *, extend: str = "max") -> tuple:
    """Add the scale of `image` at `box` (left, top, width, height in pixels) under a `title`.

    If `extend` is ``"max"``, an arrow at its end has the colour of higher values.

    Returns
    -------
    tuple of matplotlib.artist.Artist
        Its axes and its title.
    """
    left, top, width, height = box
    across, down = figure.get_size_inches() * figure.dpi
    place = figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down)
    )
    norm = image.norm
    assert isinstance(norm, Normalize)
    # Ticks are evenly spaced on the picture, which a density's square-root scale is not.
    ticks = [float(f"{float(norm.inverse(share)):.2g}") for share in (0, 0.25, 0.5, 0.75, 1)]
    bar = figure.colorbar(image, cax=place, ticks=np.clip(ticks, norm.vmin, norm.vmax),
                          extend=extend)
    bar.outline.set_color(theme.line)
    place.minorticks_off()
    place.yaxis.set_major_formatter(FuncFormatter(_signed))
    place.tick_params(colors=theme.line, labelcolor=theme.muted, labelsize=style.TICK_SIZE,
                      labelfontfamily=style.FONT)
    label = write(figure, left / across, 1 - (top - 12) / down, title, theme.muted,
                  size=style.TICK_SIZE)
    return place, label


def over_label(figure: Figure, x: float, y: float, theme: Theme, known: bool, sign: str = "▲",
               ha: str = "right") -> Text:
    """Write at (x, y), in shares of the figure, what the colour beyond the scale's end means."""
    beyond = "the truth anywhere" if known else "the data's fullest places"
    return write(figure, x, y, f"{sign} denser than {beyond}", theme.over, size=style.TICK_SIZE,
                 ha=ha, va="center")


def _signed(value: float, _: object) -> str:
    return f"{value:.2g}".replace("-", "\N{MINUS SIGN}")


def latent_circles(axes: Axes, sigma: float, theme: Theme) -> list:
    """Show the plane around 0 with circles at 1, 2 and 3 standard deviations of the base.

    Return the circles and their labels, which are drawn above the points.
    """
    box = axes.get_window_extent()
    high = 4.1 * sigma
    wide = high * box.width / box.height
    frame_limits(axes, (-wide, wide, -high, high))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    artists: list[Artist] = []
    halo = [withStroke(linewidth=3.5, foreground=theme.surface)]
    for count in (1, 2, 3):
        circle = Circle((0, 0), count * sigma, fill=False, color=theme.text, linewidth=1.3)
        artists.append(axes.add_patch(circle))
        label = write(axes, 0, (count + 0.07) * sigma, f"{count}σ", theme.text,
                      size=style.TICK_SIZE, ha="center", va="bottom", path_effects=halo)
        artists.append(label)
    return artists
