"""Pictures of sweeps, which show how a result depends on settings."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.canvas import blank, panel, write
from flowlab.figures.panels import colour_bar

FEW = 8  # number of different values of a setting up to which they are evenly spaced
#: Less is better, so the lowest values stand out from the background.
MAPS = {"light": "viridis", "dark": "viridis_r"}
LEFT, TOP, WIDTH, HEIGHT = 150, 56, 640, 400  # pixels of the panel
RATIO = 30.0  # of the highest to the lowest number, beyond which an axis is logarithmic


def heat_map(values: ArrayLike, rows: Sequence[str], columns: Sequence[str], names: Sequence[str],
             title: str, *, theme: str = "light") -> Figure:
    """Return a heat map of a result for all values of two settings.

    Parameters
    ----------
    values : array_like
        Shape (rows, columns); less is better; NaN where unknown.
    rows, columns : sequence of str
        The values of the two settings.
    names : sequence of str
        Names of the two settings, that of the rows first.
    title : str
        Name and unit of the result.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.SWEEP_SIZE`` pixels; the lowest value has a frame.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(rows), len(columns)) or values.size == 0:
        raise ValueError(f"Expected values of shape {(len(rows), len(columns))}; got "
                         f"{values.shape}.")
    colours = style.theme(theme)
    figure = blank(style.SWEEP_SIZE, colours)
    axes = panel(figure, (LEFT, TOP, WIDTH, HEIGHT), colours, title)
    scale, shades = _scale(values, colours)
    axes.imshow(np.ma.masked_invalid(values), cmap=shades, norm=scale, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    write(figure, (LEFT + WIDTH / 2) / style.SWEEP_SIZE[0], 0.045, names[1], colours.text,
          ha="center")
    write(figure, 0.02, 1 - (TOP + HEIGHT / 2) / style.SWEEP_SIZE[1], names[0], colours.text,
          va="center", rotation=90)
    size = min(style.LABEL_SIZE, 0.2 * WIDTH / len(columns), 0.4 * HEIGHT / len(rows))
    for (row, column), value in np.ndenumerate(values):
        ink = colours.muted
        if np.isfinite(value):
            ink = "#000000" if sum(shades(scale(value))[:3]) > 1.4 else "#ffffff"
        write(axes, column, row, f"{value:.3g}" if np.isfinite(value) else "–", ink, size=size,
              ha="center", va="center")
    if np.isfinite(values).any():
        row, column = np.unravel_index(np.nanargmin(values), values.shape)
        axes.plot(column + np.array([-1, 1, 1, -1, -1]) * 0.48,
                  row + np.array([-1, -1, 1, 1, -1]) * 0.48, color=colours.model, linewidth=3)
    _bar(figure, scale, shades, colours)
    return figure


def cell(across: float, down: float, rows: int, columns: int) -> tuple[int, int] | None:
    """The row and column of a heat map at a place, by shares from the upper left corner."""
    row = (down * style.SWEEP_SIZE[1] - TOP) / HEIGHT * rows
    column = (across * style.SWEEP_SIZE[0] - LEFT) / WIDTH * columns
    return (int(row), int(column)) if 0 <= row < rows and 0 <= column < columns else None


def parallel(names: Sequence[str], columns: Sequence[Sequence], scores: Sequence[float],
             title: str, *, theme: str = "light") -> Figure:
    """Return parallel coordinates: a line for every run, through its settings to its result.

    Parameters
    ----------
    names : sequence of str
        Names of the settings.
    columns : sequence of sequences
        For every setting its value in each run: numbers, texts or tuples.
    scores : sequence of float
        Shape (n,); less is better.
    title : str
        Name and unit of the scores.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.SWEEP_SIZE`` pixels; the best run has the thickest line.

    Raises
    ------
    ValueError
        If there is no run, or a run lacks a value.
    """
    results = np.asarray(scores, dtype=float)
    if len(results) == 0 or any(len(column) != len(results) for column in columns):
        raise ValueError("Every run needs one value of each setting and one score.")
    colours = style.theme(theme)
    figure = blank(style.SWEEP_SIZE, colours)
    axes = panel(figure, (LEFT, TOP, WIDTH, HEIGHT), colours, title)
    across = range(len(columns) + 1)
    places, ticks = zip(*(_axis(column) for column in [*columns, scores]), strict=True)
    scale, shades = _scale(results, colours)
    for index in np.argsort(-results):  # the best in front
        best = index == np.argmin(results)
        axes.plot(across, [place[index] for place in places],
                  color=shades(scale(results[index])), linewidth=4 if best else 1.6,
                  alpha=1.0 if best else 0.75)
    for x, marks in zip(across, ticks, strict=True):
        axes.axvline(x, color=colours.line, linewidth=1.5, zorder=0)
        for y, label in marks:
            axes.plot([x], [y], marker="_", color=colours.muted, markersize=10)
            write(axes, x + 0.03, y, label, colours.text, size=11, va="center",
                  bbox={"facecolor": colours.surface, "alpha": 0.75, "edgecolor": "none",
                        "pad": 1})
    axes.set(xlim=(-0.1, len(columns) + 0.35), ylim=(-0.08, 1.08), yticks=[])
    axes.set_xticks(across, [*names, title.partition(" (")[0]])
    _bar(figure, scale, shades, colours)
    return figure


def _axis(values: Sequence) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """The positions of values on an axis, from 0 to 1, and its ticks."""
    numbers = all(isinstance(value, int | float) for value in values)
    different = sorted(set(values)) if numbers else list(dict.fromkeys(values))
    if len(different) <= FEW or not numbers:
        place = {value: i / max(len(different) - 1, 1) for i, value in enumerate(different)}
        return np.array([place[value] for value in values]), [
            (y, _label(value)) for value, y in place.items()]
    array, low, high = np.asarray(values, dtype=float), different[0], different[-1]
    if low > 0 and high / low > RATIO:
        array, marks = np.log(array), np.geomspace(low, high, 5)
    else:
        marks = np.linspace(low, high, 5)
    places = (array - array.min()) / (array.max() - array.min())
    return places, [(i / 4, f"{mark:.3g}") for i, mark in enumerate(marks)]


def _label(value: object) -> str:
    if isinstance(value, tuple):
        return "×".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _scale(values: np.ndarray, colours: style.Theme) -> tuple[Normalize, Colormap]:
    """Return the norm and the colour map of results, clipped at the 90th percentile."""
    known = values[np.isfinite(values)]
    low, high = (known.min(), np.percentile(known, 90)) if len(known) else (0.0, 1.0)
    return Normalize(low, max(high, low + 1e-9), clip=True), colormaps[MAPS[colours.name]]


def _bar(figure: Figure, scale: Normalize, shades: Colormap, colours: style.Theme) -> None:
    colour_bar(figure, (LEFT + WIDTH + 18, TOP, 16, HEIGHT), ScalarMappable(scale, shades), colours,
               title="", extend="neither")
