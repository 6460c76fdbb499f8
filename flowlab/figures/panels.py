"""Parts of pictures: points, densities, latent clouds, colour bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, FuncNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator
from matplotlib.transforms import Affine2D, IdentityTransform
from numpy.typing import ArrayLike

from flowlab.analysis.grid import clean_grid, visible, window, within
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


class AngleDots(Line2D):
    """Dots in the colours of their latents' angles, as a line of dots for each colour.

    That draws several times faster than a scatter. Without latents all dots have one colour.
    """

    def __init__(self, theme: Theme, colour: str, marker: float = MARKER) -> None:
        super().__init__([], [], linestyle="", marker="o", markeredgewidth=0, color=colour,
                         alpha=0.5, markersize=marker * 72 / style.DPI)
        self.colours, self.bands = theme.angle_colours(), np.empty(0)

    def move(self, points: ArrayLike, latents: ArrayLike | None = None) -> None:
        """Put the dots at `points` (n, 2), in the colours of the angles of `latents` (n, 2)."""
        assert self.axes is not None
        limits = (*self.axes.get_xlim(), *self.axes.get_ylim())
        self.set_data(*visible(points, limits).T)
        self.bands = np.empty(0)
        if latents is not None and np.size(points):
            x, y = np.nan_to_num(latents).T
            bands = np.arctan2(y, x) / (2 * np.pi) % 1.0 * len(self.colours)
            self.bands = bands.astype(int)[within(np.asarray(points, dtype=float), limits)]

    def draw(self, renderer: RendererBase) -> None:
        """Draw the dots of each colour."""
        if not len(self.bands):
            return super().draw(renderer)
        if not self.get_visible():
            return
        radius = float(np.asarray(renderer.points_to_pixels(self.get_markersize() / 2)))
        size = Affine2D().scale(radius)
        context = renderer.new_gc()
        context.set_clip_rectangle(self.get_clip_box())
        context.set_linewidth(0)
        context.set_alpha(0.8)
        points = self.get_transform().transform(self.get_xydata())
        for band, colour in enumerate(self.colours):
            renderer.draw_markers(context, Path.unit_circle(), size,
                                  Path(points[self.bands == band]), IdentityTransform(),
                                  tuple(colour))
        context.restore()


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
    beyond = "the truth anywhere" if known else "the data at their densest"
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
