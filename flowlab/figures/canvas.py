"""Figures of a fixed size, their panels and texts, and image files.

``matplotlib.pyplot`` and ``rcParams`` are shared by the whole process, and a server draws for many
people at once; so figures are made without them, and colours are set one by one.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from flowlab.figures import style
from flowlab.figures.style import Theme


def blank(size: tuple[int, int], theme: Theme) -> Figure:
    """Return an empty figure of `size` (width, height) pixels in the theme's colours."""
    width, height = size
    figure = Figure(figsize=(width / theme.dpi, height / theme.dpi), dpi=theme.dpi)
    figure.set_facecolor(theme.background)
    # Otherwise the vector backends merge the images of a panel, including hidden ones.
    figure.suppressComposite = True
    FigureCanvasAgg(figure)
    return figure


# Left, top, width and height in pixels, from the upper left corner.
Box = tuple[float, float, float, float]


def panel(figure: Figure, box: Box, theme: Theme, title: str = "") -> Axes:
    """Add axes at a fixed place.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    box : tuple of float
        Left, top, width and height in pixels, from the upper left corner.
    theme : Theme
        Colours.
    title : str
        The title above the panel.

    Returns
    -------
    matplotlib.axes.Axes
        Empty axes with frame, ticks and title in the theme's colours.
    """
    left, top, width, height = box
    across, down = figure.get_size_inches() * figure.dpi
    axes = figure.add_axes(
        (left / across, 1 - (top + height) / down, width / across, height / down),
        facecolor=theme.surface,
    )
    axes.tick_params(
        colors=theme.line,
        labelcolor=theme.muted,
        labelsize=style.TICK_SIZE,
        labelfontfamily=style.FONT,
        length=4,
    )
    axes.spines[:].set_color(theme.line)
    if title:
        set_title(axes, title, theme)
    return axes


def set_title(axes: Axes, title: str, theme: Theme) -> None:
    """Set the title above axes."""
    # With y given, matplotlib does not search for a free place at every draw.
    axes.set_title(title, y=1.0, pad=9, color=theme.text, fontsize=theme.title_size,
                   fontfamily=style.FONT)


def write(where: Figure | Axes, x: float, y: float, text: str, colour: str, *,
          size: float = style.LABEL_SIZE, **options: Any) -> Text:
    """Write `text` on axes or a figure at (x, y) in this project's font; return the artist."""
    return where.text(x, y, text, color=colour, fontsize=size, fontfamily=style.FONT, **options)


def name_axes(axes: Axes, names: Sequence[str], theme: Theme) -> None:
    """Write the names of the two coordinates, if any, into the corners of a panel."""
    if not names:
        return
    across, up = (shortened(name, 30) for name in names)
    for x, y, text, side, height in ((0.98, 0.02, f"{across} →", "right", "bottom"),
                                     (0.02, 0.98, f"↑ {up}", "left", "top")):
        write(axes, x, y, text, theme.text, transform=axes.transAxes, ha=side, va=height,
              parse_math=False)


def shortened(name: str, longest: int) -> str:
    """A name, shortened to at most `longest` letters."""
    return name if len(name) <= longest else name[:longest - 1] + "…"


def agg(figure: Figure) -> FigureCanvasAgg:
    """Return the canvas of a figure from `blank`."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    return figure.canvas


def png(figure: Figure) -> bytes:
    """Return `figure` as a PNG in full colour, at its own size."""
    figure.canvas.draw()
    return encode(pixels(figure))


def vector(figure: Figure, kind: str) -> bytes:
    """Return `figure` as an ``"svg"`` or a ``"pdf"`` file, without a date."""
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    file = io.BytesIO()
    figure.savefig(file, format=kind, metadata=dates[kind])
    return file.getvalue()


def pixels(figure: Figure) -> Image.Image:
    """Return the drawn canvas of `figure` as an RGB image."""
    return Image.fromarray(np.asarray(agg(figure).buffer_rgba())).convert("RGB")


def encode(image: Image.Image) -> bytes:
    """Return `image` as a PNG file with fast, light compression."""
    file = io.BytesIO()
    image.save(file, "png", compress_level=1)
    return file.getvalue()
