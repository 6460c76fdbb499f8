"""The picture of a comparison: several models on the same distributions, and their curves."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from flowlab.analysis.grid import clean_grid, highest_density, window
from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import Box, panel, write
from flowlab.figures.curves import HUGE, last_epoch
from flowlab.figures.panels import cloud, density_image, frame_limits, move_cloud, over_label

WIDTH, LEFT, RIGHT, TOP, GAP = 1600, 46, 18, 44, 10  # pixels
SCALE = 66  # pixels for the labels of a vertical axis
BELOW = 62  # and of a horizontal one
LONG = 1.25  # width of the curves' panels beside the squares, in sides of a square
WIDE, FLAT = 480, 320  # largest side of a square above the curves; the curves' height there
FLOOR = 1e-3  # nats: lower estimates of a KL are drawn here
DASHES = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (1, 1)), (0, (9, 2)))
VIEWS = ("density", "samples")


class ComparisonPicture(AnimatedPicture):
    """A row for each distribution: the truth, every model beside it, and their curves.

    The curves of a single distribution are below, in full width. All panels of a row share window
    and colour scale, which ends at the highest true density; all curves share their axes.

    Parameters
    ----------
    titles : sequence of str
        Names of the distributions.
    limits : sequence of sequence of float
        The window (xmin, xmax, ymin, ymax) of each.
    truths : sequence of array_like or None
        The true density of each, shape (rows, columns) as in `grid_points`; None where unknown.
    data : sequence of array_like
        Points of each, shape (n, 2).
    labels : sequence of str
        Names of the models, up to six.
    ends : tuple of (float or None, float or None)
        The ends of the axes of steps and of seconds; with None an axis grows.
    theme : {"light", "dark"}
        Theme of the picture.

    Raises
    ------
    ValueError
        If there is no distribution or no model, or more models than colours.
    """

    def __init__(self, titles: Sequence[str], limits: Sequence[Sequence[float]],
                 truths: Sequence[ArrayLike | None], data: Sequence[ArrayLike],
                 labels: Sequence[str], *, ends: tuple[float | None, float | None] = (None, None),
                 theme: str = "light") -> None:
        colours = style.theme(theme)
        if not titles or not 0 < len(labels) <= len(colours.entries):
            raise ValueError("A comparison needs a distribution, and from one to "
                             f"{len(colours.entries)} models; got {len(titles)} and {len(labels)}.")
        squares, curves, height = _boxes(len(titles), len(labels), colours.dpi / style.DPI)
        super().__init__((WIDTH, height), theme, colours.densities())
        self.use(colours.densities(), colours.lines())
        self.ends, self.labels = ends, tuple(labels)
        self.known = [truth is not None for truth in truths]
        self.halo = [withStroke(linewidth=3, foreground=colours.surface)]
        self.cells = [
            [self._cell(squares[row][column], row, column, window(limits[row]), truths[row],
                        data[row], titles[row]) for column in range(1 + len(labels))]
            for row in range(len(titles))]
        self.curves = [[self._curves(curves[row][kind], kind, row, row == len(titles) - 1,
                                     beneath=len(titles) == 1 < len(labels)) for kind in (0, 1)]
                       for row in range(len(titles))]
        self.lines: dict[tuple[int, int, int, int], Line2D] = {}
        if any(self.known):
            place = (0.5, "center") if len(titles) == 1 else (LEFT / WIDTH, "left")
            over_label(self.figure, place[0], 14 / height, colours, True, "■", place[1])
        self.set_view("density")

    def _cell(self, box: Box, row: int, column: int, limits: Sequence[float],
              truth: ArrayLike | None, data: ArrayLike, title: str
             ) -> tuple[AxesImage | None, Line2D, Text | None]:
        """Add a square with density, points and caption; the first column has the truth."""
        theme, name = self.theme, "Truth" if column == 0 else self.labels[column - 1]
        axes = panel(self.figure, box, theme)
        frame_limits(axes, limits)
        axes.set(xticks=[], yticks=[])
        if row == 0:
            colour = theme.data if column == 0 else theme.entries[column - 1]
            size = min(theme.title_size, box[2] / (0.83 * len(name)))
            axes.set_title(name, y=1.0, pad=9, color=colour, fontsize=size, fontfamily=style.FONT,
                           fontweight="bold", parse_math=False)
        if column == 0:
            # Long names beside small squares get smaller letters.
            size = min(style.LABEL_SIZE, box[3] / (0.83 * len(title)))
            axes.set_ylabel(title, color=theme.text, fontsize=size, fontfamily=style.FONT,
                            labelpad=8)
            image = None if truth is None else density_image(axes, truth, limits, theme,
                                                             highest_density(truth, [], limits))
            return image, cloud(axes, data, theme.data, marker=2.6, alpha=0.6), None
        image = density_image(axes, [[0.0]], limits, theme, highest_density(truth, data, limits))
        dots = cloud(axes, [], theme.entries[column - 1], marker=2.6, alpha=0.6)
        caption = write(axes, 0.03, 0.97, "", theme.text, size=style.TICK_SIZE, va="top",
                        transform=axes.transAxes, path_effects=self.halo)
        self.animated += [image, dots, caption, *axes.spines.values()]
        return image, dots, caption

    def _curves(self, box: Box, kind: int, row: int, last: bool, beneath: bool) -> Axes:
        """Add the panel of the KL against steps (kind 0) or seconds (1)."""
        theme, known = self.theme, self.known[row]
        title = f"{'KL' if known else 'NLL'} by {('steps', 'seconds')[kind]} (nats)"
        axes = panel(self.figure, box, theme)
        if row == 0 or not known:
            size = min(theme.title_size, box[2] / (0.83 * len(title)))
            axes.set_title(title, y=1.0, pad=9, color=theme.text, fontsize=size,
                           fontfamily=style.FONT)
        if known:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(color=theme.line, linewidth=0.8, alpha=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(6 if beneath else 3, prune="upper"))
        axes.tick_params(labelbottom=last, labelleft=kind == 0)
        if last:
            axes.set_xlabel(("steps", "seconds of training")[kind], color=theme.muted,
                            fontsize=style.LABEL_SIZE, fontfamily=style.FONT, labelpad=3)
        axes.set(xlim=(0, self.ends[kind] or 1.0), ylim=(0.1, 1.0))
        return axes

    def set_view(self, view: str) -> None:
        """Show every model's ``"density"``, or ``"samples"`` from it.

        Raises
        ------
        ValueError
            For another view.
        """
        if view not in VIEWS:
            raise ValueError(f"The view must be one of {', '.join(VIEWS)}; got {view!r}.")
        self.view = view
        for row in self.cells:
            for image, dots, _ in row:
                if image is not None:
                    image.set_visible(view == "density")
                dots.set_visible(view == "samples" or image is None)
        self.redraw()

    def update(self, row: int, column: int, *, density: ArrayLike | None = None,
               samples: ArrayLike | None = None, caption: str = "", curves: Sequence[ArrayLike] = ()
              ) -> None:
        """Show the current state of a model.

        Parameters
        ----------
        row, column : int
            Indices of the distribution and of the model.
        density, samples : array_like, optional
            Shape (rows, columns) as in `grid_points`, and (n, 2); None leaves them unchanged.
        caption : str
            The text in the corner of its square.
        curves : sequence of array_like
            For each seed an array (k, 3): steps, seconds, and KL (or NLL) in nats.
        """
        image, dots, text = self.cells[row][1 + column]
        assert image is not None and text is not None  # only the truth's may be missing
        text.set_text(caption)
        if density is not None:
            image.set_data(clean_grid(density))
        if samples is not None:
            move_cloud(dots, samples)
        for seed, curve in enumerate(curves):
            curve = np.asarray(curve, dtype=float).reshape(-1, 3)
            height = np.clip(curve[:, 2], FLOOR if self.known[row] else -HUGE, HUGE)
            for kind in (0, 1):
                self._line(row, column, seed, kind).set_data(curve[:, kind], height)

    def _line(self, row: int, column: int, seed: int, kind: int) -> Line2D:
        key = row, column, seed, kind
        if key not in self.lines:
            (self.lines[key],) = self.curves[row][kind].plot(
                [], [], color=self.theme.entries[column], linestyle=DASHES[column],
                linewidth=2.2 if seed == 0 else 1.3, alpha=1.0 if seed == 0 else 0.6)
            self.animated.append(self.lines[key])
            self.redraw()
        return self.lines[key]

    def fit_axes(self) -> None:
        """Fit the axes to all curves, after the updates of one frame."""
        for known in {*self.known}:
            rows = [row for row in range(len(self.known)) if self.known[row] == known]
            drawn = {kind: [line.get_data() for (row, _, _, k), line in self.lines.items()
                            if row in rows and k == kind] for kind in (0, 1)}
            heights = np.concatenate([y for _, y in drawn[0]] or [[]])
            low, high = _log_limits(heights) if known else _linear_limits(heights)
            for kind in (0, 1):
                across = np.concatenate([x for x, _ in drawn[kind]] or [[]])
                latest = max(across, default=1.0)
                end = self.ends[kind] or 1.0
                end = end if self.ends[kind] and latest <= end else last_epoch(across)
                for row in rows:
                    axes = self.curves[row][kind]
                    if (*axes.get_xlim(), *axes.get_ylim()) != (0.0, end, low, high):
                        axes.set(xlim=(0.0, end), ylim=(low, high))
                        self.redraw()

def _log_limits(heights: np.ndarray) -> tuple[float, float]:
    """Limits of a logarithmic axis, at 1 or 3 of a decade, so that they change rarely."""
    heights = heights[np.isfinite(heights) & (heights > 0)]
    if not heights.size:
        return 0.1, 1.0
    ends = [float(f"{base}e{power}") for power in range(-4, 10) for base in (1, 3)]
    low = max(end for end in ends if end <= max(heights.min(), FLOOR))
    high = min((end for end in ends if end >= heights.max()), default=ends[-1])
    return low, high if high > low else min(end for end in ends if end > low)


def _linear_limits(heights: np.ndarray) -> tuple[float, float]:
    """Limits of a linear axis, at multiples of a half."""
    heights = heights[np.isfinite(heights) & (np.abs(heights) < HUGE)]
    if not heights.size:
        return 0.0, 1.0
    low, high = math.floor(2 * heights.min()) / 2, math.ceil(2 * heights.max()) / 2
    return low, high if high > low else low + 0.5


def _boxes(rows: int, models: int, letters: float
           ) -> tuple[list[list[Box]], list[list[Box]], int]:
    """The boxes of the squares and curves of every row, and the picture's height, in pixels.

    Labels have room for letters so many times as large.
    """
    start, scale, below = LEFT * letters, SCALE * letters, BELOW * letters
    squares: list[list[Box]] = []
    curves: list[list[Box]] = []
    columns = 1 + models
    if rows == 1 and models > 1:
        side = min((WIDTH - start - RIGHT - models * GAP) / columns, WIDE)
        start += (WIDTH - start - RIGHT - columns * side - models * GAP) / 2
        squares = [[(start + c * (side + GAP), TOP, side, side) for c in range(columns)]]
        width = (WIDTH - scale - RIGHT - 24) / 2
        top = TOP + side + TOP
        curves = [[(scale + kind * (width + 24), top, width, FLAT) for kind in (0, 1)]]
        return squares, curves, round(top + FLAT + below)
    fixed = start + columns * GAP + scale - GAP + 2 * GAP + RIGHT
    side = (WIDTH - fixed) / (columns + 2 * LONG)
    for row in range(rows):
        top = TOP + row * (side + 16)
        squares.append([(start + c * (side + GAP), top, side, side) for c in range(columns)])
        left = start + columns * (side + GAP) - GAP + scale
        curves.append([(left + kind * (LONG * side + 2 * GAP), top, LONG * side, side)
                       for kind in (0, 1)])
    return squares, curves, round(TOP + rows * (side + 16) - 16 + below)
