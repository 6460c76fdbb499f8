"""The live picture of a flow on images."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from numpy.typing import ArrayLike
from PIL import Image

from flowlab.figures import style
from flowlab.figures.animated import AnimatedPicture
from flowlab.figures.canvas import Box, panel, write
from flowlab.figures.curves import Curves
from flowlab.figures.mosaic import gap, grey_levels, ink, mosaic_axes, show_mosaic
from flowlab.figures.style import Theme

COLUMNS, ROWS = 10, 6  # of the samples
BACK = 3  # rows below: data, reconstructions and errors
ENLARGED = 10**5  # factor by which errors are enlarged
REACH = 5.0  # standard deviations of the base shown in the histogram of latents
BINS = 50
HEADLINE = 16  # pixels from the top to the middle of the samples' title
#: Left, top, width and height, in pixels, of the samples, the rows beneath them, the curves and the
#: histogram of latents, on a page and in a lecture.
PAGE = ((126, 46, 872, 524), (126, 630, 872, 264), (1072, 46, 508, 392), (1072, 552, 508, 342))
LECTURE = ((154, 40, 700, 420), (154, 522, 700, 248), (1010, 44, 572, 276), (1010, 450, 572, 282))
TITLE = "Bits per dimension"


class ImagePicture(AnimatedPicture):
    r"""Samples of fixed latents, reconstructions, bits per dimension, and the latents' histogram.

    Pixels are real numbers, and shown as the integer grey level below them.

    Parameters
    ----------
    data : array_like
        Shape (n, height, width) with n ≤ 10, images that are mapped to the latent space and back.
    highest : float
        The maximum value of a pixel; the minimum is 0.
    base : array_like
        Shape (2, m): values of a latent coordinate, and its density under the base distribution.
    temperature : float
        Factor on the latents of the samples, given in their title.
    classes : sequence of str
        The class of each column of samples, written above it; empty where there are no classes.
    theme : {"light", "dark"}
        Theme of the picture.

    Examples
    --------
    >>> picture = ImagePicture(np.zeros((2, 8, 8)), 16, [[-1.0, 0.0, 1.0], [0.2, 0.4, 0.2]])
    >>> picture.update(np.zeros((60, 8, 8)), np.zeros((2, 8, 8)), [0.0, 0.1], [1], [2.9], [3.0])
    >>> picture.png()[:4]
    b'\x89PNG'
    """

    def __init__(self, data: ArrayLike, highest: float, base: ArrayLike, *,
                 temperature: float = 1.0, classes: Sequence[str] = (), theme: str = "light"
                ) -> None:
        colours = style.theme(theme)
        shades = ink(colours)
        across, down = colours.size
        super().__init__((across, down), theme, shades)
        self.boxes = LECTURE if colours.layout else PAGE
        self.use(shades, colours.errors())
        self.data = np.asarray(data, dtype=float)
        self.highest = highest
        self.samples = mosaic_axes(self.figure, self.boxes[0], colours, "", shades, (0, highest))
        self.title = f"Samples at temperature {temperature:g}"
        left, top, width, _ = self.boxes[0]
        self.headline = write(self.figure, (left + width / 2) / across, 1 - HEADLINE / down,
                              self.title + (", one class per column" if classes else ""),
                              colours.text, size=colours.title_size, ha="center",
                              va="center")
        side = self.data.shape[2]
        for i, name in enumerate(classes):
            write(self.samples.axes, i * (side + gap(side)) + side / 2, 1.005, name, colours.muted,
                  transform=self.samples.axes.get_xaxis_transform(), ha="center", va="bottom")
        self._beneath(shades)
        axes = panel(self.figure, self.boxes[2], colours, TITLE)
        self.curves = Curves(axes, colours)
        places, density = np.asarray(base, dtype=float)
        self.histogram = _against(self.figure, self.boxes[3], places, density, colours)
        self.animated = [self.samples, self.headline, self.back, self.error, self.caption,
                       *self.histogram,
                       *self.curves.artists()]

    def _beneath(self, shades: Colormap) -> None:
        """Add the rows of data, of reconstructions, and of errors."""
        left, top, width, height = self.boxes[1]
        across, down = self.figure.bbox.size
        errors = self.theme.errors().with_extremes(bad=self.theme.background)
        row = height / BACK
        places = []
        for i, (name, colours, ends) in enumerate((
                ("data", shades, (0, self.highest)), ("back", shades, (0, self.highest)),
                ("error\n× 10⁵", errors, (-self.highest, self.highest)))):
            box = (left, top + i * row, width, row - 10)
            places.append(mosaic_axes(self.figure, box, self.theme, "", colours, ends))
            write(self.figure, (left - 14) / across, 1 - (box[1] + box[3] / 2) / down, name,
                  self.theme.muted, ha="right", va="center")
        show_mosaic(places[0], grey_levels(self.data), COLUMNS, 1)
        _, self.back, self.error = places
        self.caption = write(self.figure, (left + width / 2) / across, 1 - (top - 24) / down, "",
                             self.theme.text, size=self.theme.title_size, ha="center",
                             va="center")

    def update(self, samples: ArrayLike, back: ArrayLike, latents: ArrayLike, epochs: ArrayLike,
               train: ArrayLike, test: ArrayLike, *, recognised: int | None = None) -> None:
        """Show the current state of the model.

        Parameters
        ----------
        samples : array_like
            Shape (60, height, width), drawn from the model.
        back : array_like
            Shape (n, height, width), the reconstructions of the data.
        latents : array_like
            Coordinates of the latents of some images, of any shape.
        epochs, train, test : array_like
            Shape (k,); the losses so far in bits per dimension, NaN where unknown.
        recognised : int, optional
            How many of the samples look most like training images of their class.

        Raises
        ------
        ValueError
            If an array has another shape.
        """
        back = np.asarray(back, dtype=float)
        if back.shape != self.data.shape:
            raise ValueError(f"What comes back must have the data's shape {self.data.shape}; "
                             f"got {back.shape}.")
        samples = grey_levels(samples)
        show_mosaic(self.samples, samples, COLUMNS, ROWS)
        if recognised is not None:
            self.headline.set_text(
                f"{self.title}: {recognised} of {len(samples)} look like their class")
        show_mosaic(self.back, grey_levels(back), COLUMNS, 1)
        error = back - self.data
        show_mosaic(self.error, np.nan_to_num(error, nan=np.nan) * ENLARGED, COLUMNS, 1)
        largest = np.abs(error).max(initial=0.0)
        self.caption.set_text("Test images to the latent space and back, largest error "
                              f"{largest:.0e} grey levels")
        bars, _ = self.histogram[:2]
        counts, edges = np.histogram(np.asarray(latents, dtype=float), bars.get_data()[1])
        total = max(np.size(latents), 1)
        bars.set_data(counts / (total * np.diff(edges)), edges)
        if self.curves.update(epochs, train, test):
            self.redraw()


def _against(figure: Figure, box: Box, places: np.ndarray, density: np.ndarray, theme: Theme
            ) -> tuple[StepPatch, Line2D, Text, Text]:
    """Add the empty histogram of latents and the density of the base distribution."""
    axes = panel(figure, box, theme, "Latents of test images")
    axes.set(xlim=(places[0], places[-1]), ylim=(0, 1.6 * density.max()))
    edges = np.linspace(places[0], places[-1], BINS + 1)
    bars = axes.stairs(np.zeros(BINS), edges, fill=True, color=theme.data, alpha=0.55)
    (line,) = axes.plot(places, density, color=theme.text, linewidth=2, dashes=(5, 3))
    halo = [withStroke(linewidth=3.5, foreground=theme.surface)]
    corner: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "top",
                              "path_effects": halo}
    second = 0.97 - 0.3 * theme.dpi / axes.bbox.height
    return (bars, line, write(axes, 0.98, 0.97, "■ latents, all coordinates", theme.data, **corner),
            write(axes, 0.98, second, "╌ base distribution", theme.text, **corner))


def first_samples(picture: bytes, side: int = 72, theme: str = "light") -> bytes:
    """Return the first nine samples of an `ImagePicture` (PNG) as a small JPEG.

    Parameters
    ----------
    picture : bytes
        From `ImagePicture`; a picture of another size is not cropped.
    side : int
        Width and height of the result in pixels.
    theme : str
        Of the picture, whose layout says where the samples are.
    """
    look = style.theme(theme)
    with Image.open(io.BytesIO(picture)) as image:
        left, top, _, height = (LECTURE if look.layout else PAGE)[0]
        part = height // 2
        box = (left, top, left + part, top + part) if image.size == look.size else None
        small = image.crop(box).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "jpeg", quality=85)
    return file.getvalue()
