"""The live picture of a flow on the plane, in six panels."""

import io
from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from PIL import Image

from flowlab.analysis.grid import clean_grid, highest_density, window
from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import Box, name_axes, panel, set_title
from flowlab.figures.curves import TITLE, Curves
from flowlab.figures.overlays import DEFAULT_OVERLAYS, Plane
from flowlab.figures.panels import (
    AngleDots,
    colour_bar,
    data_clouds,
    data_title,
    density_image,
    frame_limits,
    latent_circles,
    move_cloud,
    over_label,
)

SIDE, LEFT, GAP = 392, 52, 28  # pixels: a square panel, its margin, the space between two
TOP, BELOW = 46, 516  # upper edges of the two rows
RIGHT = (1008, 572)  # left edge and width of the right column


def _six(side: int, left: int, gap: int, rows: tuple[int, int], right: tuple[int, int]
         ) -> dict[str, Box]:
    """The boxes of all panels, squares of a side in two rows beside a wide column."""
    (top, below), second = rows, left + side + gap
    return {"data": (left, top, side, side), "samples": (second, top, side, side),
            "truth": (left, below, side, side), "learned": (second, below, side, side),
            "bar": (second + side + 14, below, 16, side),
            "latents": (right[0], top, right[1], side), "loss": (right[0], below, right[1], side)}


#: The panels of a page's picture and of those for lectures, by the theme's layout.
BOXES: dict[str, dict[str, Box]] = {
    "": _six(SIDE, LEFT, GAP, (TOP, BELOW), RIGHT),
    "lecture": _six(294, 76, 28, (44, 414), (890, 690)),
    "loss": {"learned": (76, 44, 660, 660), "bar": (750, 44, 18, 660), "loss": (930, 44, 648, 660)},
    "truth": {"truth": (76, 44, 648, 648), "learned": (742, 44, 648, 648),
              "bar": (1404, 44, 18, 648)},
}
POINTS = ("grid", "contours", "data", "samples", "paths")  # overlays of the upper panel
FIELD = ("density", "error", "contours")  # overlays of the lower panel


class LivePicture(AnimatedPicture):
    r"""Data beside samples, true density beside the learned one, latent cloud, and loss.

    The static part is drawn once. Both densities share one colour scale, which is the same in every
    frame.

    Parameters
    ----------
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax) of the data's plane, preferably a square.
    data : array_like
        Shape (n, 2), data points to show.
    test : array_like
        Shape (m, 2), points of the test set to show as rings; then `data` are the training set.
    true_density : array_like, optional
        Shape (rows, columns) as in `grid_points`, in 1 / area. Without it the panel shows samples
        over the data points.
    best : float, optional
        The best possible loss in nats: the mean of −log p over the test points.
    sigma : float
        Standard deviation of the base distribution: 1 for a normal one, π/√3 for a logistic one.
    highest : float, optional
        The density at the end of the colour scale; by default the highest true density.
    theme : {"light", "dark"}
        Theme of the picture.

    Examples
    --------
    >>> picture = LivePicture((-2, 2, -2, 2), [[0.0, 1.0]], best=1.1)
    >>> picture.update([[0.1, 0.9]], [[0.2, 0.1]], [[0.0, 0.0]], [0], [2.8], [2.9])
    >>> picture.png()[:4]
    b'\x89PNG'
    """

    def __init__(self, limits: Sequence[float], data: ArrayLike,
                 true_density: ArrayLike | None = None, *, test: ArrayLike = (),
                 best: float | None = None, sigma: float = 1.0, highest: float | None = None,
                 theme: str = "light") -> None:
        layout = style.theme(theme).layout
        super().__init__(style.theme(theme).size, theme,
                         style.theme(theme).densities())
        self.boxes = BOXES[layout]
        self.limits = window(limits)
        if highest is None:
            highest = highest_density(true_density, data, self.limits)
        self.left = self._plane("data", "Data", labels="y")
        self.data, self.test = data_clouds(self.left, self.theme)
        axes = self._plane("samples", "")
        self.points = Plane(axes, POINTS, self.theme, highest,
                            {"samples": "Samples from the model", "data": "Data"})
        self.samples = self.points.artists["samples"]
        known = true_density is not None
        self.truth = None if true_density is None else clean_grid(true_density)
        self.below = self._plane("truth", "True density" if known else "", labels="xy")
        if true_density is not None:
            self.true_density = density_image(self.below, true_density, self.limits, self.theme,
                                              highest)
        else:  # each name in the colour of its points
            self.over = Plane(self.below, ("data", "samples"), self.theme, highest)
            self.over.show_overlays(self.over.artists)
        axes = self._plane("learned", "", labels="xy" if layout == "loss" else "x")
        self.field = Plane(axes, FIELD, self.theme, highest,
                           {"density": "Learned density", "error": "Learned minus true density"})
        self.density = self.field.image("density")
        bar = self.boxes["bar"]
        self.bars = {name: colour_bar(self.figure, bar, self.field.image(name), self.theme, title)
                     for name, title in (("density", "density, √ scale"),
                                         ("error", "error, √ scale"))}
        across, down = self.figure.bbox.size
        below = bar[1] + bar[3] + 37 * self.theme.dpi / style.DPI
        over_label(self.figure, (bar[0] + bar[2]) / across, 1 - below / down, self.theme, known)
        axes = self._panel("latents", "Data carried to the latent space")
        circles = latent_circles(axes, sigma, self.theme)
        self.latents = AngleDots(self.theme, self.theme.data)
        axes.add_line(self.latents)
        axes = self._panel("loss", TITLE)
        self.curves = Curves(axes, self.theme, best)
        self.animated = [] if known else self.over.animated()
        self.animated += [*self.points.animated(), *self.field.animated(), self.latents, *circles]
        self.animated += self.curves.artists()
        self.animated = [artist for artist in self.animated
                         if artist.axes is None or artist.axes.get_visible()]
        self.show_data(data, test)
        self.show_overlays(DEFAULT_OVERLAYS)

    def show_overlays(self, overlays: Collection[str]) -> None:
        """Show these overlays in the two panels of the model, from the next `update` on.

        Points, grid and paths are in the upper one, density and error in the lower one, and
        contours in both; the error replaces the density.

        Raises
        ------
        ValueError
            For a name that is not in `flowlab.figures.OVERLAYS`.
        """
        self.overlays = tuple(overlays)
        wrong = "error" in overlays and self.truth is not None
        self.points.show_overlays(overlays)
        self.field.show_overlays([name for name in overlays
                         if name != ("density" if wrong else "error")])
        for name, parts in self.bars.items():
            for part in parts:
                part.set_visible((name == "error") == wrong)
        maps = (self.theme.densities(), self.theme.errors())
        self.use(*maps if wrong else maps[:1], dots=True)
        self.redraw()

    def show_data(self, data: ArrayLike, test: ArrayLike = ()) -> None:
        """Show other data points, of shape (n, 2), from the next picture on; `test` as rings."""
        move_cloud(self.data, data)
        move_cloud(self.test, test)
        set_title(self.left, data_title(np.size(test) > 0, short=bool(self.theme.layout)),
                  self.theme)
        self.redraw()
        self.points.update(data=data)
        if self.truth is None:
            self.over.update(data=data)

    def name_axes(self, names: Sequence[str]) -> None:
        """Write the names of the two coordinates, if any, into the panels of the data."""
        for axes in (self.left, self.below):
            name_axes(axes, names, self.theme)

    def _panel(self, name: str, title: str) -> Axes:
        """Add a panel, which is hidden where the layout has no place for it."""
        axes = panel(self.figure, self.boxes.get(name, BOXES[""][name]), self.theme, title)
        axes.set_visible(name in self.boxes)
        return axes

    def _plane(self, name: str, title: str, labels: str = "") -> Axes:
        axes = self._panel(name, title)
        axes.tick_params(labelbottom="x" in labels, labelleft="y" in labels)
        frame_limits(axes, self.limits)
        return axes

    def show_reverse(self, reverse: bool) -> None:
        """Show the reverse KL instead of the NLL, or not, from the next picture on."""
        if self.curves.show_reverse(reverse):
            self.redraw()

    def show_best(self, best: float | None) -> None:
        """Set the best possible loss in nats, or None, from the next picture on."""
        if self.curves.show_best(best):
            self.redraw()

    def update(self, samples: ArrayLike, density: ArrayLike, latents: ArrayLike, epochs: ArrayLike,
               train: ArrayLike, test: ArrayLike, *, sample_latents: ArrayLike | None = None,
               grid: ArrayLike | None = None, paths: ArrayLike | None = None) -> None:
        """Show the current state of the model.

        Parameters
        ----------
        samples : array_like
            Shape (n, 2), drawn from the model.
        density : array_like or None
            Shape (rows, columns) as in `grid_points`, the learned density in 1 / area; None leaves
            it unchanged.
        latents : array_like
            Shape (m, 2), data points mapped to the latent space, in the colours of their angles.
        epochs, train, test : array_like
            Shape (k,); the losses so far in nats, NaN where unknown.
        sample_latents : array_like, optional
            Shape (n, 2), where the samples come from: their angles give them their colours.
        grid, paths : array_like, optional
            A grid of the latent plane mapped to the data, and paths of single points; as in
            `Plane.update`.

        Raises
        ------
        ValueError
            If an array has another shape.
        """
        self.points.update(samples=samples, latents=sample_latents, density=density, grid=grid,
                           paths=paths)
        if self.truth is None:
            self.over.update(samples=samples)
        if density is not None:
            density = clean_grid(density)
            error = None if self.truth is None else density - self.truth
            self.field.update(density=density, error=error)
        self.latents.move(latents, latents)
        if self.curves.update(epochs, train, test):
            self.redraw()


def learned_density(picture: bytes, side: int = 72, theme: str = "light") -> bytes:
    """Return the panel of the learned density of a live picture (PNG) as a small JPEG.

    Parameters
    ----------
    picture : bytes
        From `LivePicture`; a picture of another size is not cropped.
    side : int
        Width and height of the result in pixels.
    theme : str
        Of the picture, whose layout says where the panel is.
    """
    look = style.theme(theme)
    with Image.open(io.BytesIO(picture)) as image:
        left, top, width, height = BOXES[look.layout]["learned"]
        box = (left, top, left + width, top + height) if image.size == look.size else None
        small = image.crop(box).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "jpeg", quality=85)
    return file.getvalue()
