"""Loss curves, with a line at the best possible value."""

import math
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy
from numpy.typing import ArrayLike

from flowlab.figures import style
from flowlab.figures.canvas import blank, panel, set_title, write
from flowlab.figures.style import Theme

TITLE = "Loss: negative log-likelihood (nats)"
REVERSE_TITLE = "Loss: reverse KL, KL(q‖p) (nats)"
HUGE = 1e9  # losses beyond it count as infinite
LEAST_SPAN = 0.25  # nats; the noise of a converged run must look small
UNSURE_SPAN = 1.0  # minimum span where the best possible value is unknown
EDGE = 0.62  # of the width: labels at the edge stay left of the captions


class Curves:
    """Training and test loss against the epoch.

    The axes are fixed from the start: from 0 to the planned epochs, and from the first loss, that
    of the untrained flow, to the best possible one. Where a curve leaves them, its value is
    written.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    theme : Theme
        Colours.
    best : float, optional
        The best possible value, the mean of −log p over the test points; drawn as a labelled
        dashed line.
    """

    def __init__(self, axes: Axes, theme: Theme, best: float | None = None) -> None:
        self.axes, self.theme = axes, theme
        self.best: float | None = None
        self.planned = 0.0
        axes.grid(axis="y", color=theme.line, linewidth=0.8, alpha=0.6)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("epoch", color=theme.muted, fontsize=style.LABEL_SIZE,
                        fontfamily=style.FONT, labelpad=3)
        options: dict[str, Any] = {"linewidth": 2.4, "marker": "o", "markersize": 5,
                                   "markevery": slice(-1, None)}
        (self.train,) = axes.plot([], [], color=theme.training, label="training", **options)
        (self.test,) = axes.plot([], [], color=theme.test, label="test", **options)
        corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "top"}
        self.captions = [
            write(axes, 0.98, 0.97 - 0.085 * row, "", colour, **corner)
            for row, colour in enumerate((theme.text, theme.training, theme.test))
        ]
        halo = [withStroke(linewidth=3.5, foreground=theme.surface)]
        self.edges = [write(axes, 0, 0, "", colour, transform=axes.transAxes, path_effects=halo)
                      for colour in (theme.training, theme.test)]
        self.line = axes.axhline(0, color=theme.text, linewidth=1.6, dashes=(5, 3), label="best",
                                 visible=False)
        self.since = axes.axvline(0, color=theme.text, linewidth=0.6, visible=False)
        self._since, self.replanned = 0.0, False
        beneath = offset_copy(axes.get_yaxis_transform(), axes.get_figure(root=True), y=-5,
                              units="points")
        self.label = write(axes, 0.98, 0, "", theme.text, transform=beneath, ha="right", va="top")
        self.show_best(best)
        self.update([], [], [])

    def artists(self) -> list[Artist]:
        """Return the artists that change from frame to frame."""
        return [self.train, self.test, *self.captions, *self.edges]

    def plan(self, epochs: float, since: float = 0) -> None:
        """Set the end of the epoch axis from the next `update` on.

        A thin line marks the epoch `since` of another training that this one continues.
        """
        self.planned = float(epochs)
        self.replanned = since != self._since
        self._since = since
        self.since.set(xdata=[since, since], visible=since > 0)

    def show_reverse(self, reverse: bool) -> bool:
        """Show the reverse KL, or not, from the next `update` on; return whether that is new.

        It replaces the training loss, and there is no test loss.
        """
        name = "KL(q‖p)" if reverse else "training"
        new = name != self.train.get_label()
        if new:
            self.train.set_label(name)
            self.test.set_visible(not reverse)
            self.captions[2].set_visible(not reverse)
            set_title(self.axes, REVERSE_TITLE if reverse else TITLE, self.theme)
        return new

    def show_best(self, best: float | None) -> bool:
        """Set the best value, or None, from the next `update` on; return whether it is new."""
        best = best if best is not None and abs(best) < HUGE else None
        new, self.best = best != self.best, best
        self.line.set_visible(best is not None)
        self.label.set_visible(best is not None)
        if best is not None:
            self.line.set_ydata([best, best])
            self.label.set(y=best, text=f"best possible {best:.3f}")
        return new

    def update(self, epochs: ArrayLike, train: ArrayLike, test: ArrayLike) -> bool:
        """Show the losses `train` and `test` at `epochs`, all of shape (n,), in nats.

        Returns
        -------
        bool
            Whether the limits of the axes have changed.

        Raises
        ------
        ValueError
            If the three have not the same length.
        """
        epochs, train, test = (_known(values) for values in (epochs, train, test))
        if not len(epochs) == len(train) == len(test):
            raise ValueError(
                "Epochs, training and test loss must have the same length; "
                f"got {len(epochs)}, {len(train)} and {len(test)}."
            )
        for line, caption, values in zip(
            (self.train, self.test), self.captions[1:], (train, test), strict=True
        ):
            line.set_data(epochs, values)
            value = f"{values[-1]:.3f}" if len(values) and math.isfinite(values[-1]) else "–"
            caption.set_text(f"━ {line.get_label()} {value}")
        latest = np.nanmax(epochs, initial=0.0)
        self.captions[0].set_text(f"epoch {latest:.0f}")
        across = (0.0, max(self.planned, latest) if self.planned else last_epoch(epochs))
        low, high = loss_limits(train, test, self.best)
        moved = (self.replanned or across != self.axes.get_xlim()
                 or (low, high) != self.axes.get_ylim())
        self.replanned = False
        if moved:
            self.axes.set(xlim=across, ylim=(low, high))
        for row, line in enumerate((self.train, self.test)):
            self._label_edge(row, line)
        return moved

    def _label_edge(self, row: int, line: Line2D) -> None:
        """Write the value of a curve where it was last beyond the limits of the axis."""
        (_, end), (low, high) = self.axes.get_xlim(), self.axes.get_ylim()
        epochs, values = map(np.asarray, line.get_data())
        out = np.flatnonzero((values < low) | (values > high))
        if not len(out):
            self.edges[row].set_text("")
            return
        value, share = values[out[-1]], min(epochs[out[-1]] / end, EDGE)
        above = value > high
        self.edges[row].set(
            text=f"{line.get_label()} {value:.3g} {'↑' if above else '↓'}".replace("-", "−"),
            x=share, y=0.97 - 0.085 * row if above else 0.03 + 0.085 * row,
            va="top" if above else "bottom", ha="right" if share > 0.3 else "left")


def last_epoch(epochs: np.ndarray) -> float:
    """Return the end of the epoch axis: the next of 5, 10, 20, 50, 100, …, so it changes rarely."""
    latest = np.nanmax(epochs, initial=5.0)
    power = 10.0 ** math.floor(math.log10(latest))
    return next(power * count for count in (1.0, 2.0, 5.0, 10.0) if power * count >= latest)


def loss_limits(train: ArrayLike, test: ArrayLike, best: float | None) -> tuple[float, float]:
    """Return the limits of the loss axis.

    They depend on the first values and the best possible one, and then stay: values above the start
    must not flatten the rest. Where the best value is unknown, the lower limit follows the minimum.
    Both limits are multiples of a step that is a power of two, so the axis only grows, and rarely.

    Parameters
    ----------
    train, test : array_like
        Losses in nats, shape (n,); NaN where unknown.
    best : float or None
        The best possible value.
    """
    known = [values[np.isfinite(values)] for values in map(_known, (train, test))]
    first = [values[0] for values in known if len(values)]
    lowest = min((values.min() for values in known if len(values)), default=None)
    if best is None and lowest is None:
        return 0.0, 1.0
    low = min(lowest, max(first) - UNSURE_SPAN) if best is None else best
    high = max([*first, low + LEAST_SPAN])
    span = (high - low) * 1.2
    step = 2.0 ** math.ceil(math.log2(span / 8))
    bottom, top = low - 0.14 * (high - low), high + 0.06 * (high - low)
    return step * math.floor(bottom / step), step * math.ceil(top / step)


def loss_curves(epochs: ArrayLike, train: ArrayLike, test: ArrayLike, best: float | None = None, *,
                theme: str = "light") -> Figure:
    """Return a picture of the curves of training and test loss.

    Parameters
    ----------
    epochs, train, test : array_like
        Shape (n,); losses in nats, NaN where unknown.
    best : float, optional
        The best possible value, in nats.
    theme : {"light", "dark"}
        Theme of the picture.

    Returns
    -------
    matplotlib.figure.Figure
        It has ``style.CURVES_SIZE`` pixels.
    """
    colours = style.theme(theme)
    figure = blank(style.CURVES_SIZE, colours)
    axes = panel(figure, (80, 52, 890, 430), colours, TITLE)
    Curves(axes, colours, best).update(epochs, train, test)
    return figure


def _known(values: ArrayLike) -> np.ndarray:
    """Return `values` as float64 (n,), with NaN where they are infinite or beyond `HUGE`."""
    values = np.array(values, dtype=float).ravel()
    values[~(np.abs(values) < HUGE)] = np.nan
    return values
