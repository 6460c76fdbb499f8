"""The inside of a flow: the plane between two layers, and each layer's change of volume."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import ArrayLike

from flowlab.analysis.grid import clean_grid, visible, window
from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import Box, panel, write
from flowlab.figures.nats import Added, LogDensity, Volume
from flowlab.figures.overlays import DEFAULT_OVERLAYS, Plane, drawable
from flowlab.figures.panels import colour_bar, frame_limits, over_label
from flowlab.figures.transport import between

#: The plane, its colour bar, and the panels of volume and density, on a page and in a lecture.
PAGE = ((52, 84, 836, 836), (902, 84, 14, 836), (1030, 84, 550, 366), (1030, 540, 550, 366))
LECTURE = ((76, 78, 630, 630), (720, 78, 16, 630), (970, 44, 612, 272), (970, 430, 612, 272))
DOT = 4.5  # points of diameter of a sample


class InsidePicture(AnimatedPicture):
    r"""The plane at any stage between latent space and data, with volume and density.

    Parameters
    ----------
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) of all stages, unless `move` is given others.
    names : sequence of str
        Name of each layer, latent first.
    highest : float
        The density at the end of the colour scale, in 1 / area.
    known : bool
        Whether that is the highest true density, not an estimate from data.
    back : bool
        Whether the followed point walks back, from data to latent space, and its log-density adds
        up on the way.
    theme : {"light", "dark"}
        Theme of the picture.

    Examples
    --------
    >>> picture = InsidePicture((-3, 3, -3, 3), ["scale", "shift"], 0.2)
    >>> picture.show_overlays(("samples",))
    >>> picture.move(0.5, samples=[[[0, 1]], [[0, 2]], [[1, 2]]], log_dets=[0.7, 0.0],
    ...              log_density=[-1.8, -2.5, -2.5])
    >>> picture.png()[:4]
    b'\x89PNG'
    """

    def __init__(self, limits: Sequence[float], names: Sequence[str], highest: float, *,
                 known: bool = True, back: bool = False, theme: str = "light") -> None:
        size, (square, bar, volume, curve) = _layout(theme)
        super().__init__(size, theme, style.theme(theme).densities())
        self.names = list(names)
        axes = panel(self.figure, square, self.theme)
        frame_limits(axes, window(limits))
        self.plane = Plane(axes, ("density", "error", "grid", "contours", "data", "samples",
                                  "paths"), self.theme, highest)
        self.bars = {name: colour_bar(self.figure, bar, self.plane.image(name), self.theme, title)
                     for name, title in (("density", "density, √ scale"),
                                         ("error", "error, √ scale"))}
        across, down = size
        if self.theme.layout:  # under the plane
            self.over = over_label(self.figure, (bar[0] + bar[2]) / across, 22 / down, self.theme,
                                   known)
        else:
            self.over = over_label(self.figure, bar[0] / across, 14 / down, self.theme, known,
                                   ha="left")
        self.title = write(self.figure, square[0] / across, 1 - (square[1] - 50) / down, "",
                           self.theme.text, size=self.theme.title_size)
        halo = [withStroke(linewidth=5, foreground=self.theme.surface)]
        line: dict[str, Any] = {"color": self.theme.text, "solid_joinstyle": "round",
                                "path_effects": halo}
        self.plane.artists["samples"].set(markersize=DOT)
        (self.path,) = axes.plot([], [], "-", marker=".", markersize=9, linewidth=1.4, **line)
        (self.outline,) = axes.plot([], [], "-", linewidth=2.4, **line)
        (self.point,) = axes.plot([], [], "o", markersize=9, color=self.theme.text,
                                  markeredgecolor=self.theme.surface, markeredgewidth=2)
        self.labels = [write(axes, 0, 0, "", self.theme.text, size=style.LABEL_SIZE, ha="left",
                             transform=axes.transData, path_effects=halo, va=side, clip_on=True)
                       for side in ("top", "bottom")]
        kind = self.theme, len(self.names)
        self.volume = Volume(panel(
            self.figure, volume, self.theme, "Volume: log|det ∂x/∂z| of each layer (nats)"), *kind)
        self.density: LogDensity | Added
        if back:
            self.density = Added(panel(
                self.figure, curve, self.theme, "log p(x), added up layer by layer (nats)"), *kind)
        else:
            self.density = LogDensity(panel(
                self.figure, curve, self.theme, "Log-density along the way (nats)"), *kind)
        self.animated = [axes.xaxis, axes.yaxis, *self.plane.animated(), self.path, self.outline,
                         self.point, *self.labels, self.title, *self.volume.animated,
                         *self.density.animated]
        self.show_overlays(DEFAULT_OVERLAYS)

    def show_overlays(self, overlays: Collection[str]) -> None:
        """Show these of `flowlab.figures.OVERLAYS`; the error replaces the density."""
        self.overlays = tuple(overlays)
        self.plane.show_overlays([name for name in overlays
                         if name != "density" or "error" not in overlays])
        maps = (self.theme.densities(), self.theme.errors())
        self.use(*maps if "error" in overlays else maps[:1], dots=True)
        coloured = "error" if "error" in overlays else "density" if "density" in overlays else ""
        self.over.set_visible(bool(coloured))
        for name, parts in self.bars.items():
            for part in parts:
                part.set_visible(name == coloured)
        self.redraw()

    def move(self, position: float, *, samples: ArrayLike, log_dets: ArrayLike,
             log_density: ArrayLike, data: ArrayLike | None = None, grid: ArrayLike | None = None,
             density: ArrayLike | None = None, error: ArrayLike | None = None, followed: int = 24,
             probe: ArrayLike | None = None, outline: ArrayLike | None = None,
             probe_log_dets: ArrayLike | None = None, probe_log_density: ArrayLike | None = None,
             probe_added: ArrayLike | None = None, windows: ArrayLike | None = None) -> None:
        """Show the plane at `position`: 0 is latent, 1 after the first layer, and so on.

        Parameters
        ----------
        position : float
            Between two layers points move on straight lines; it is clipped to the two ends.
        samples, data : array_like
            Shape (layers + 1, n, 2), points at every stage.
        log_dets : array_like
            Shape (layers,), the mean log abs det of every layer, in nats.
        log_density : array_like
            Shape (layers + 1,), the mean log-density at every stage, in nats.
        grid : array_like, optional
            Shape (layers + 1, rows, columns, 2).
        density, error : array_like, optional
            Shape (rows, columns), the values at this position; by default none are shown.
        followed : int
            Number of samples whose paths are drawn.
        probe : array_like, optional
            Shape (layers + 1, 2), one point at every stage.
        outline : array_like, optional
            Shape (k, 2), a curve around that point.
        probe_log_dets, probe_log_density : array_like, optional
            As `log_dets` and `log_density`, at that point.
        probe_added : array_like, optional
            Shape (layers + 2,), the log-density of that point as it adds up on the way back.
        windows : array_like, optional
            Shape (layers + 1, 4), the window of every stage; between two it moves as the points
            do. Density and error fill the window of the stage before.
        """
        layers = len(self.names)
        position = float(np.clip(position, 0, layers))
        samples = np.asarray(samples, dtype=float)
        if windows is not None:
            windows = np.asarray(windows, dtype=float)
            self.plane.move_window(between(windows, position).tolist(),
                                   tuple(windows[int(position)]))
        nothing = np.ma.masked_all((1, 1))
        self.plane.update(
            samples=between(samples, position), latents=samples[0],
            data=None if data is None else between(np.asarray(data, dtype=float), position),
            grid=None if grid is None else between(np.asarray(grid, dtype=float), position),
            paths=_until(samples[:, :followed], position),
            density=[[0.0]] if density is None else density)
        self.plane.image("error").set_data(nothing if error is None else clean_grid(error))
        self.title.set_text(self.where(position))
        passed = _since if isinstance(self.density, Added) else _until
        path = np.empty((0, 2)) if probe is None else passed(np.asarray(probe), position)
        self.path.set_data(*drawable(path).T)
        self.point.set_data(*drawable(path[-1:]).T)
        outline = np.empty((0, 2)) if outline is None else outline
        self.outline.set_data(*drawable(outline).T)
        self._label(self.labels[0], "path of the point", path if len(path) > 2 else path[:0])
        outline = np.asarray(outline)
        self._label(self.labels[1], "Jacobian's ellipse", outline[
            [np.argmax(outline[:, 1])]] if len(outline) else outline)
        moved = self.volume.update(position, log_dets, probe_log_dets)
        if isinstance(self.density, Added):
            moved |= self.density.update(position, probe_added)
        else:
            moved |= self.density.update(position, log_density, probe_log_density)
        if moved:
            self.redraw()

    def _label(self, label: Text, words: str, points: np.ndarray) -> None:
        """Write words beside the first of these points in the window, on the side with more room.
        """  # noqa: D200
        left, right = self.plane.axes.get_xlim()
        points = visible(points, (left, right, *self.plane.axes.get_ylim()))
        label.set_text(words if len(points) else "")
        if len(points):
            label.set_position(tuple(points[0]))
            label.set_horizontalalignment("left" if points[0, 0] < (left + right) / 2 else "right")

    @staticmethod
    def coordinates(across: float, down: float, limits: Sequence[float], theme: str = "light"
                   ) -> tuple[float, float] | None:
        """The point of the plane at a position in the picture; None outside the plane.

        Parameters
        ----------
        across, down : float
            Position from the upper left corner, as shares of the picture's width and height.
        limits : sequence of float
            The plane's window (xmin, xmax, ymin, ymax).
        theme : str
            The picture's.
        """
        size, ((left, top, width, height), *_) = _layout(theme)
        u = (across * size[0] - left) / width
        v = 1 - (down * size[1] - top) / height
        if not (0 <= u <= 1 and 0 <= v <= 1):
            return None
        xmin, xmax, ymin, ymax = limits
        return xmin + u * (xmax - xmin), ymin + v * (ymax - ymin)

    def where(self, position: float) -> str:
        """The title of the plane at a position."""
        layers = len(self.names)
        if position <= 0:
            return "Latent space: before the layers"
        layer = min(int(np.ceil(position)), layers)
        if position < layer:
            return f"In layer {layer} of {layers}: {self.names[layer - 1]}"
        end = "Data space: after" if layer == layers else "After"
        return f"{end} layer {layer} of {layers}: {self.names[layer - 1]}"


def _layout(theme: str) -> tuple[tuple[int, int], tuple[Box, ...]]:
    """The picture's size, and the boxes of its panels."""
    look = style.theme(theme)
    return look.size, LECTURE if look.layout else PAGE


def _until(stages: np.ndarray, position: float) -> np.ndarray:
    """The stages passed, and the interpolated one at `position`: (k, …)."""
    return np.concatenate([stages[:int(position) + 1], between(stages, position)[None]])


def _since(stages: np.ndarray, position: float) -> np.ndarray:
    """The stages after `position`, the last one first, and the interpolated one: (k, …)."""
    return np.concatenate([stages[int(np.ceil(position)):][::-1], between(stages, position)[None]])
