"""A grey picture from a user's PNG or JPEG file."""

import io
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

MAX_BYTES = 10_000_000
MAX_PIXELS = 16_000_000
SIDE = 256  # pixels of the longer side that are kept
MIN_SIDE = 4

Dense = Literal["automatic", "dark", "bright"]
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_picture(content: bytes, dense: Dense = "automatic") -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the weights of a picture's pixels.

    Colours become grey, transparent places white, and a picture with more than 256 pixels along a
    side is made smaller by averaging.

    Parameters
    ----------
    content : bytes
        Of a PNG or JPEG file.
    dense : "automatic", "dark" or "bright"
        Where the density is high; automatic is whichever covers less of the picture.

    Returns
    -------
    tuple
        The weights, shape (rows, columns), uint8, upper row first; and sentences on what was done.

    Raises
    ------
    ValueError
        With one sentence, when it is not such a picture, too large, too small, or of one grey.
    """
    if not content:
        raise ValueError("The file is empty: choose a PNG or JPEG picture.")
    if len(content) > MAX_BYTES:
        raise ValueError(f"The file has {len(content) / 1e6:.0f} MB: give at most "
                         f"{MAX_BYTES // 10**6} MB.")
    picture = open_picture(content)
    width, height = picture.size
    if min(picture.size) < MIN_SIDE:
        raise ValueError(f"The picture has {width} × {height} pixels: give at least {MIN_SIDE} × "
                         f"{MIN_SIDE}.")
    notes = []
    grey = as_grey(picture)
    if max(grey.size) > SIDE:
        grey.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        notes.append(f"Made smaller: {grey.width} × {grey.height} pixels of {width} × {height}.")
    weights = np.asarray(grey)
    if dense == "automatic":
        dense = "dark" if weights.mean() > 127.5 else "bright"
    if dense == "dark":
        weights = 255 - weights
    if weights.min() == weights.max():
        raise ValueError("The picture has the same grey everywhere: choose one that shows "
                         "something.")
    return np.ascontiguousarray(weights), tuple(notes)


def open_picture(content: bytes) -> Image.Image:
    """Open a PNG or JPEG picture, of which only the header is read so far.

    Raises
    ------
    ValueError
        With one sentence, when it is no such picture or has too many pixels.
    """
    too_many = f"The picture has too many pixels: give at most {MAX_PIXELS:,}."
    try:
        picture = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
    except _BOMBS as error:
        raise ValueError(too_many) from error
    except Exception as error:  # Pillow has no one complaint, see below
        raise ValueError("This is not a PNG or JPEG picture: choose one.") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(too_many)
    return picture


def as_grey(picture: Image.Image) -> Image.Image:
    """Return the picture upright and grey, white where it is transparent.

    Raises
    ------
    ValueError
        With one sentence, when it is damaged.
    """
    try:
        return _grey(ImageOps.exif_transpose(picture))
    except Exception as error:  # Pillow has no one complaint for bytes that make no sense
        raise ValueError("The picture is damaged: save it again as PNG.") from error


def _grey(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # sixteen bits a pixel, which Pillow would clip
        return Image.fromarray((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("L")
