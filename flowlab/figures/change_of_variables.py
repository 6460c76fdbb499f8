"""The picture of the change of variables in one dimension: stretching a density lowers it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.canvas import blank, panel, write
from flowlab.figures.style import Theme

# Pixels: left, top, width, height. Both densities have the same vertical scale.
MAIN = (272, 56, 520, 480)
BENEATH = (272, 580, 520, 190)
BESIDE = (38, 56, 190, 480)
WORDS = 0.71  # of the width
STRIP_COLOURS = "viridis"
HEADROOM = 1.08


def change_of_variables(z: ArrayLike, density: ArrayLike, x: ArrayLike,
                        slope: ArrayLike | None = None, *, at: float | None = None, strips: int = 9,
                        x_limits: tuple[float, float] | None = None, highest: float | None = None,
                        theme: str = "light") -> Figure:
    r"""Return the picture of a density on the latent axis, mapped to the data axis.

    .. math:: p_X(f(z)) = p_Z(z) \, / \, |f'(z)|

    (the change of variables in one dimension). Strips of equal probability keep their colour:
    where the map stretches a strip it becomes lower, and its area stays the same.

    Parameters
    ----------
    z : array_like
        Shape (n,), strictly increasing places on the latent axis.
    density : array_like
        Shape (n,), the density there.
    x : array_like
        Shape (n,), the image of each `z` under the map: strictly increasing.
    slope : array_like, optional
        Shape (n,), the derivative of the map; by default from differences.
    at : float, optional
        A place on the latent axis that is followed through the map, with its numbers.
    strips : int
        Number of strips of equal probability.
    x_limits : tuple of float, optional
        The ends of the data axis, to fix it over several pictures.
    highest : float, optional
        The end of both density scales, to fix it over several pictures.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.CHANGE_SIZE`` pixels.

    Raises
    ------
    ValueError
        If the arrays do not fit together or the map is not strictly increasing.
    """
    z, density, x = (np.asarray(values, dtype=float) for values in (z, density, x))
    if z.ndim != 1 or len(z) < 3 or not z.shape == density.shape == x.shape:
        raise ValueError(
            "Places, density and map need one shape (n,) with n ≥ 3; "
            f"got {z.shape}, {density.shape} and {x.shape}."
        )
    if not (np.diff(z) > 0).all() or not (np.diff(x) > 0).all() or not np.isfinite([z, x]).all():
        raise ValueError("Places and map must be finite and strictly increasing.")
    slope = np.gradient(x, z) if slope is None else np.asarray(slope, dtype=float)
    if slope.shape != z.shape or not (slope > 0).all():
        raise ValueError(f"The slope must be {len(z)} positive numbers, one for each place.")
    if not (np.isfinite(density) & (density >= 0)).all() or density.sum() == 0:
        raise ValueError("The density must be finite, nowhere negative and somewhere positive.")
    colours = style.theme(theme)
    carried = density / slope
    highest = max(density.max(), carried.max()) * HEADROOM if highest is None else highest
    figure = blank(style.CHANGE_SIZE, colours)
    axes = panel(figure, MAIN, colours, "The map  x = f(z)")
    axes.set(xlim=(z[0], z[-1]), ylim=x_limits or (x[0], x[-1]))
    below = panel(figure, BENEATH, colours)
    below.set(xlim=axes.get_xlim(), ylim=(0, highest), yticks=[])
    side = panel(figure, BESIDE, colours, "p(x)  of the data")
    side.set(xlim=(highest, 0), ylim=axes.get_ylim(), xticks=[])
    axes.tick_params(labelbottom=False, labelleft=False)
    side.yaxis.tick_right()
    below.xaxis.tick_top()
    below.set_xlabel("p(z)  of the latent", color=colours.text, fontsize=style.TITLE_SIZE,
                     fontfamily=style.FONT, labelpad=9)
    _strips(axes, below, side, (z, density, x, carried), strips, colours)
    axes.plot(z, x, color=colours.text, linewidth=2.6)
    below.plot(z, density, color=colours.text, linewidth=2)
    side.plot(carried, x, color=colours.text, linewidth=2)
    note = "Each colour holds\nthe same probability:\nstretched, it gets lower."
    write(figure, WORDS, 0.27, note, colours.muted, va="top", linespacing=1.35)
    if at is not None:
        _follow(figure, (axes, below, side), (z, density, x, slope), float(at), colours)
    return figure


def _strips(axes: Axes, below: Axes, side: Axes, curves: Sequence[np.ndarray], count: int,
            theme: Theme) -> None:
    """Fill strips of equal probability under both densities and join them through the map."""
    z, density, x, carried = curves
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(z))])
    edges = np.interp(np.linspace(0, mass[-1], count + 1), mass, z)
    shades = colormaps[STRIP_COLOURS](np.linspace(0.12, 0.92, count))
    for left, right, shade in zip(edges, edges[1:], shades, strict=False):
        inside = np.unique([left, *z[(z > left) & (z < right)], right])
        below.fill_between(inside, np.interp(inside, z, density), color=shade, linewidth=0)
        height = np.interp(inside, z, carried)
        side.fill_betweenx(np.interp(inside, z, x), height, color=shade, linewidth=0)
    ends = np.interp(edges, z, x)
    bottom = axes.get_ylim()[0]
    axes.vlines(edges[1:-1], bottom, ends[1:-1], color=theme.muted, linewidth=0.9, alpha=0.7)
    axes.hlines(ends[1:-1], z[0], edges[1:-1], color=theme.muted, linewidth=0.9, alpha=0.7)


def _follow(figure: Figure, panels: tuple[Axes, Axes, Axes], curves: Sequence[np.ndarray],
            at: float, theme: Theme) -> None:
    """Draw one place through the map, and write the change of its density beside it."""
    axes, below, side = panels
    z, density, x, slope = curves
    at = float(np.clip(at, z[0], z[-1]))
    here, steep, before = (np.interp(at, z, values) for values in (x, slope, density))
    options: dict[str, Any] = {"color": theme.model, "linewidth": 2.6}
    axes.plot([at, at, z[0]], [axes.get_ylim()[0], here, here], **options)
    axes.plot([at], [here], "o", color=theme.model, markersize=10)
    below.plot([at, at], [0, before], **options)
    side.plot([0, before / steep], [here, here], **options)
    change = "stretches" if steep > 1 else "squeezes"
    lines = (
        (f"z = {at:.2f}", theme.text),
        (f"x = {here:.2f}", theme.text),
        (f"p(z) = {before:.3f}", theme.text),
        (f"the map {change}\nby f′(z) = {steep:.2f}", theme.model),
        (f"p(x) = p(z) / f′(z)\n= {before / steep:.3f}", theme.text),
        (f"log f′(z) = {np.log(steep):.2f}", theme.text),
    )
    top = 70
    for text, colour in lines:
        text = text.replace("-", "\N{MINUS SIGN}")
        write(figure, WORDS, 1 - top / style.CHANGE_SIZE[1], text, colour, va="top",
              size=style.TITLE_SIZE, linespacing=1.35)
        top += 50 + 34 * text.count("\n")
