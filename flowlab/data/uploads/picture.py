"""A grey picture from a user's PNG or JPEG file."""

import io
from typing import Literal, cast

import numpy as np
from PIL import Image, ImageOps
from PIL.ImageFile import ImageFile

from flowlab.data.uploads.levels import levels

MAX_BYTES = 10_000_000
MAX_PIXELS = 16_000_000
SIDE = 256  # pixels of the longer side, at most
MIN_SIDE = 4
LUMA = np.array((0.299, 0.587, 0.114), dtype=np.float32)  # weights of red, green and blue
#: Pillow's names for packed channels of sixteen bits: as it reads them, and for the lower bytes.
_LOWER = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L", "LA;16B": "RGBA"}

Dense = Literal["automatic", "dark", "bright"]
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def read_picture(content: bytes, dense: Dense = "automatic") -> tuple[np.ndarray, tuple[str, ...]]:
    """Read the weights of a picture's pixels.

    Colours become grey and transparent pixels white, and a picture with more than 256 pixels along
    a side is reduced by averaging. `levels` decides which numbers are black and white.

    Parameters
    ----------
    content : bytes
        Content of a PNG or JPEG file.
    dense : "automatic", "dark" or "bright"
        Where the density is high; automatic chooses what covers less of the picture.

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
    pixels = as_grey(picture)
    meaning = levels(pixels)
    grey, notes = Image.fromarray(meaning.bytes(pixels)), [meaning.note] if meaning.note else []
    if max(grey.size) > SIDE:
        grey.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        notes.append(f"Made smaller: {grey.width} × {grey.height} pixels of {width} × {height}.")
    weights = np.asarray(grey)
    if dense == "automatic":
        dense = "dark" if weights.mean() > 127.5 else "bright"
    if dense == "dark":
        weights = 255 - weights
    if weights.min() == weights.max():
        raise ValueError("The picture is the same grey everywhere: choose one that shows "
                         "something.")
    return np.ascontiguousarray(weights), tuple(notes)


def open_picture(content: bytes) -> ImageFile:
    """Open a PNG or JPEG picture, and read only its header.

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
    except Exception as error:  # Pillow raises exceptions of many types
        raise ValueError("This is not a PNG or JPEG picture: choose one.") from error
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(too_many)
    return picture


def as_grey(picture: ImageFile) -> np.ndarray:
    """Return the pixels of the picture, upright and grey, white where it is transparent.

    Returns
    -------
    numpy.ndarray
        Shape (rows, columns), uint8, or uint16 of a picture with 16 bits a channel.

    Raises
    ------
    ValueError
        With one sentence, when it is damaged.
    """
    try:
        return _sixteen(picture) if _deep(picture) else np.asarray(
            grey_bytes(ImageOps.exif_transpose(picture)))
    except Exception as error:  # Pillow raises exceptions of many types
        raise ValueError("The picture is damaged: save it again as PNG.") from error


def grey_bytes(picture: Image.Image) -> Image.Image:
    """Return a picture of eight bits a channel in grey, white where it is transparent."""
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("L")


def _deep(picture: ImageFile) -> bool:
    """Whether a picture is a PNG with sixteen bits a channel."""
    return picture.mode.startswith("I") or any(tile.args in _LOWER for tile in picture.tile)


def _sixteen(picture: ImageFile) -> np.ndarray:
    """As `as_grey`, with sixteen bits a channel; white is the end of the pixels' range."""
    clear = picture.info.get("transparency")
    pixels = _channels(picture)
    grey = np.rint(pixels[..., :3] @ LUMA).astype(np.uint16) if pixels.ndim == 3 else pixels
    if clear is not None:
        opaque = pixels != clear if pixels.ndim == 2 else (pixels[..., :3] != clear).any(axis=2)
    elif pixels.shape[2:] == (4,):
        opaque = pixels[..., 3] / np.float32(65_535)
    else:
        return grey
    seen = grey[opaque > 0]
    white = levels(seen).white if seen.size else 65_535
    return np.rint(grey * opaque + white * (1 - opaque)).astype(np.uint16)


def _channels(picture: ImageFile) -> np.ndarray:
    """Return grey; or red, green and blue, and opacity if the picture has any.

    Pillow reads only the upper eight bits of more than one channel, so these pictures are read a
    second time for the lower bits.
    """
    kind = picture.tile[0].args
    again = Image.open(io.BytesIO(cast(io.BytesIO, picture.fp).getvalue()), formats=("PNG",))
    pixels = np.asarray(ImageOps.exif_transpose(picture)).astype(np.uint16)
    if kind not in _LOWER:
        return pixels
    again.tile = [tile._replace(args=_LOWER[kind]) for tile in again.tile]
    lower = np.asarray(ImageOps.exif_transpose(again))
    if kind == "LA;16B":  # read as if the four bytes of a pixel were four channels
        lower = lower[..., [1, 1, 1, 3]]
    return pixels << 8 | lower
