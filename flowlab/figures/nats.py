"""The panels in nats of the picture inside a flow: volumes, and log-densities on the way."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.canvas import write
from flowlab.figures.overlays import drawable
from flowlab.figures.style import Theme

MIN_SPAN = 0.5  # minimum span of an axis in nats


class Volume:
    """Bars of log-determinants, with the current layer marked."""

    def __init__(self, axes: Axes, theme: Theme, layers: int) -> None:
        self.axes = axes
        _frame(axes, theme, (0.4, layers + 0.6))
        axes.set_xlabel("layer", color=theme.muted, fontsize=style.LABEL_SIZE,
                        fontfamily=style.FONT, labelpad=2)
        width = axes.bbox.width * 72 / theme.dpi / (layers + 0.2)
        self.mark = axes.axvspan(0, 1, color=theme.line, alpha=0.55, linewidth=0, visible=False)
        axes.axhline(0, color=theme.muted, linewidth=1)
        self.mean = LineCollection([], colors=theme.model, linewidths=0.42 * width)
        self.probe = LineCollection([], colors=theme.text, linewidths=0.2 * width)
        for bars in (self.mean, self.probe):
            bars.set_capstyle("butt")
            axes.add_collection(bars, autolim=False)
        self.captions = _captions(axes, theme)
        self.animated = [self.mark, self.mean, self.probe, *self.captions]

    def update(self, position: float, mean: ArrayLike, probe: ArrayLike | None) -> bool:
        mean = drawable(mean)
        self.mean.set_segments([[(k - 0.12, 0), (k - 0.12, v)] for k, v in enumerate(mean, 1)])
        points = np.array([]) if probe is None else drawable(probe)
        self.probe.set_segments([[(k + 0.24, 0), (k + 0.24, v)] for k, v in enumerate(points, 1)])
        layer = int(np.ceil(position))
        self.mark.set_visible(layer > 0)
        self.mark.set_x(layer - 0.5)
        _tell(self.captions, "sum, mean of the samples", mean.sum(), "sum, at the point",
              None if probe is None else points.sum())
        return _span(self.axes, np.concatenate([mean, points, [0.0]]))


class LogDensity:
    """The log-density at every stage."""

    def __init__(self, axes: Axes, theme: Theme, layers: int) -> None:
        self.axes = axes
        _frame(axes, theme, (-0.3, layers + 0.3))
        options: dict[str, Any] = {"marker": "o", "markersize": 5, "linewidth": 2.2}
        axes.set_xlabel("layers passed", color=theme.muted, fontsize=style.LABEL_SIZE,
                        fontfamily=style.FONT, labelpad=2)
        self.line = axes.axvline(0, color=theme.muted, linewidth=1.5, dashes=(4, 3))
        (self.mean,) = axes.plot([], [], color=theme.model, **options)
        (self.probe,) = axes.plot([], [], color=theme.text, **options)
        self.captions = _captions(axes, theme)
        self.animated = [self.line, self.mean, self.probe, *self.captions]

    def update(self, position: float, mean: ArrayLike, probe: ArrayLike | None) -> bool:
        mean = drawable(mean)
        points = np.array([]) if probe is None else drawable(probe)
        self.mean.set_data(np.arange(len(mean)), mean)
        self.probe.set_data(np.arange(len(points)), points)
        self.line.set_xdata([position, position])
        _tell(self.captions, "data, mean of the samples", mean[-1], "data, at the point",
              None if probe is None else points[-1])
        return _span(self.axes, np.concatenate([mean, points]))


class Added:
    """The log-density of a point, added up from layer to layer on its way back."""

    def __init__(self, axes: Axes, theme: Theme, layers: int) -> None:
        self.axes = axes
        _frame(axes, theme, (-0.8, layers + 0.6))
        axes.set_xlabel("layer undone, and at 0 the base distribution", color=theme.muted,
                        fontsize=style.LABEL_SIZE, fontfamily=style.FONT, labelpad=2)
        axes.axhline(0, color=theme.muted, linewidth=1)
        width = axes.bbox.width * 72 / theme.dpi / (layers + 1.4)
        self.steps = LineCollection([], colors=theme.muted, linewidths=1.2)
        self.bars = LineCollection([], colors=theme.text, linewidths=0.6 * width)
        self.bars.set_capstyle("butt")
        for lines in (self.steps, self.bars):
            axes.add_collection(lines, autolim=False)
        self.captions = _captions(axes, theme)
        self.captions[0].set_color(theme.text)
        self.animated = [self.steps, self.bars, *self.captions]

    def update(self, position: float, added: ArrayLike | None) -> bool:
        """Show what is added up at a position, of sums as from `Probe.added`; None for no point."""
        sums = np.array([0.0, 0.0]) if added is None else drawable(added)
        layers = len(sums) - 2
        undone = layers - position + (position <= 0)  # the base distribution's is one more
        stops = [*range(int(undone) + 1), *([undone] if undone % 1 else [])]
        heights = np.interp(stops, np.arange(len(sums)), sums)
        places = layers - np.arange(len(heights) - 1)
        self.bars.set_segments([[(x, a), (x, b)] for x, a, b in
                                zip(places, heights, heights[1:], strict=False)])
        self.steps.set_segments([[(x, b), (x - 1, b)] for x, b in
                                 zip(places[:-1], heights[1:], strict=False)])
        done = f"log p(z) {signed(sums[-1] - sums[-2])}, − Σ log|det| {signed(sums[-2])}"
        self.captions[0].set_text("" if added is None else
                                  done if position <= 0 else "− Σ log|det| of the layers undone")
        self.captions[1].set_text("" if added is None else (
            "log p(x) = " if position <= 0 else "so far ") + signed(heights[-1]))
        return _span(self.axes, sums)


def _frame(axes: Axes, theme: Theme, across: tuple[float, float]) -> None:
    axes.set_xlim(*across)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=theme.line, linewidth=0.8, alpha=0.6)
    axes.set_axisbelow(True)


def _captions(axes: Axes, theme: Theme) -> list[Text]:
    line = 0.31 * theme.dpi / axes.bbox.height
    return [write(axes, 0.985, y, "", colour, transform=axes.transAxes, ha="right", va="top")
            for y, colour in ((0.97, theme.model), (0.97 - line, theme.text))]


def _tell(captions: list[Text], first: str, value: float, second: str, other: float | None) -> None:
    captions[0].set_text(f"{first} {signed(value)}")
    captions[1].set_text("" if other is None else f"{second} {signed(other)}")


def signed(value: float) -> str:
    """Format with sign and two decimals, and a typographic minus."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _span(axes: Axes, values: np.ndarray) -> bool:
    """Set round limits that contain all values and leave space for captions."""
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 0.0)
    span = max(high - low, MIN_SPAN)
    step = 2.0 ** np.ceil(np.log2(span / 6))
    limits = (step * (np.floor(low / step) - 0.5),
              step * (np.ceil((high + 0.28 * span) / step) + 0.5))
    moved = limits != axes.get_ylim()
    if moved:
        axes.set_ylim(*limits)
    return moved
