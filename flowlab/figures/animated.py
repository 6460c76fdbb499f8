"""Animated pictures: figures that redraw only what changes, and animations of frames."""

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from PIL import Image

from flowlab.figures import style
from flowlab.figures.canvas import agg, blank, encode, pixels, vector

GIF_COLOURS = 255  # of 256: one marks the pixels that a frame does not change
SAMPLED = 5  # frames from which a GIF's palette is computed


class AnimatedPicture:
    """A figure that is mostly static.

    The static part is drawn once and kept; a frame restores it and draws the `animated` artists in
    order. That is several times faster than drawing the whole figure.

    Parameters
    ----------
    size : tuple of int
        Width and height in pixels.
    theme : str
        ``"light"`` or ``"dark"``.
    colours : matplotlib.colors.Colormap
        The colour map of the picture, for the frames' palette.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The whole picture in its current state, also for SVG.
    animated : list of matplotlib.artist.Artist
        The artists that change from frame to frame.
    """

    def __init__(self, size: tuple[int, int], theme: str, colours: Colormap) -> None:
        self.theme = style.theme(theme)
        self.figure = blank(size, self.theme)
        self.animated: list[Artist] = []
        self._backdrop: object = None
        self.use(colours)

    def use(self, *maps: Colormap, dots: bool = False) -> None:
        """Use the colours of these maps in the frames' palette, and those of `dots` by angle."""
        self._palette = Image.new("P", (1, 1))
        self._palette.putpalette(self.theme.palette(*maps, dots=dots).tobytes())

    def redraw(self) -> None:
        """Redraw the static part with the next frame."""
        self._backdrop = None

    def png(self) -> bytes:
        """Return the picture's current state as a PNG of 256 colours, the same in every frame."""
        canvas = agg(self.figure)
        if self._backdrop is None:
            self._backdrop = self._still()
        canvas.restore_region(self._backdrop)
        for artist in self.animated:
            self.figure.draw_artist(artist)
        return encode(pixels(self.figure).quantize(palette=self._palette, dither=Image.Dither.NONE))

    def file(self, kind: str) -> bytes:
        """Return the picture's current state as an ``"svg"`` or a ``"pdf"`` file."""
        return vector(self.figure, kind)

    def _still(self) -> object:
        shown = [artist for artist in self.animated if artist.get_visible()]
        for artist in shown:
            artist.set_visible(False)
        self.figure.canvas.draw()
        for artist in shown:
            artist.set_visible(True)
        return agg(self.figure).copy_from_bbox(self.figure.bbox)


def animation(frames: Iterable[Figure | bytes], *, fps: float = 20.0, hold: float = 0.0,
              kind: str = "gif", loop: bool = True, size: tuple[int, int] | None = None) -> bytes:
    """Join `frames` to one animated image.

    Parameters
    ----------
    frames : iterable of matplotlib.figure.Figure or bytes
        Figures, or images from `png`, all of the same size.
    fps : float
        Frames per second.
    hold : float
        Additional seconds of the last frame.
    kind : {"gif", "webp"}
        The format: a GIF is shown by every program, a WebP has all colours.
    loop : bool
        Whether the animation repeats.
    size : tuple of int, optional
        Width and height in pixels; by default those of the frames.

    Returns
    -------
    bytes
        The file.

    Raises
    ------
    ValueError
        If there is no frame, sizes differ, `kind` is unknown or `fps` is not positive.
    """
    if kind not in ("gif", "webp"):
        raise ValueError(f"The kind of an animation must be 'gif' or 'webp'; got {kind!r}.")
    if not fps > 0:
        raise ValueError(f"An animation needs more than 0 frames a second; got {fps}.")
    images = [_image(frame) for frame in frames] if size is None else [
        _image(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames]
    if not images:
        raise ValueError("An animation needs at least one frame.")
    if len({image.size for image in images}) > 1:
        raise ValueError("All frames of an animation must have the same size.")
    durations = [round(1000 / fps)] * len(images)
    durations[-1] += round(1000 * hold)
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": durations}
    if loop:
        options["loop"] = 0
    if kind == "gif":
        images[:] = _one_palette(images)
        options |= {"append_images": images[1:], "optimize": False}
    else:
        options |= {"quality": 85, "method": 2}
    file = io.BytesIO()
    images[0].save(file, kind, **options)
    return file.getvalue()


def _image(frame: Figure | bytes) -> Image.Image:
    if isinstance(frame, Figure):
        frame.canvas.draw()
        return pixels(frame)
    return Image.open(io.BytesIO(frame)).convert("RGB")


def _one_palette(images: list[Image.Image]) -> list[Image.Image]:
    """Give all images the same palette, so that static parts do not flicker.

    The palette is computed from some images, evenly spaced in time.
    """
    some = [images[round(i)] for i in np.linspace(0, len(images) - 1, SAMPLED)]
    sheet = Image.fromarray(np.concatenate([np.asarray(image) for image in some]))
    palette = sheet.quantize(GIF_COLOURS, dither=Image.Dither.NONE)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
