"""A user's own images, from a zip, a NumPy array or an IDX file, as grey squares of one size.

Everything in a file is checked first: the sizes that a zip claims, and the type that an array
claims. `flowlab.data.uploads.levels` decides for all images together which numbers are black and
white.
"""

import zipfile
from pathlib import PurePosixPath

import numpy as np
from PIL import Image

from flowlab import files
from flowlab.data.images import labelled
from flowlab.data.store import MAX_FILE
from flowlab.data.uploads import idx
from flowlab.data.uploads.levels import levels
from flowlab.data.uploads.picture import as_grey, grey_bytes, open_picture
from flowlab.data.uploads.table import open_npy, shape_text
from flowlab.settings import shown

MAX_BYTES = 50_000_000  # of an upload
MAX_PICTURE = 10_000_000  # bytes of one picture
MAX_ENTRIES = 20_000  # of a zip
MAX_IMAGES = 250_000  # of an array
MAX_PIXELS = 300_000_000  # of all pictures before they are resized
MAX_RATIO = 200  # pictures are compressed already, and hardly shrink in a zip
MIN_IMAGES = 20
CHANNELS = (1, 3, 4)
SIDES = (4, 64)
DEFAULT_SIDE = 16  # pixels
PICTURES = (".png", ".jpg", ".jpeg")


def own_side(content: bytes, kind: str) -> int:
    """The side, in pixels, that the images of a file get where no other is chosen.

    Those of an IDX file are data sets as they were published, and keep theirs where it can be.
    """
    height, width = idx.read_images(content).shape[1:] if kind == idx.KIND else (0, 0)
    whole = height == width and height % 4 == 0  # flows on images halve their sides
    return height if whole and SIDES[0] <= height <= SIDES[1] else DEFAULT_SIDE


def read_images(content: bytes, kind: str, side: int, labels: bytes | None = None
                ) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read images from the bytes of a file.

    Parameters
    ----------
    content : bytes
    kind : "zip", "npy" or "idx"
        What `flowlab.data.uploads.files.ending` gives for the file's name.
    side : int
        Height and width of the result, from 4 to 64 pixels.
    labels : bytes, optional
        An IDX file with the images' labels.

    Returns
    -------
    tuple
        The images, shape (n, side, side), uint8, with labels as `flowlab.data.images.labelled`
        has them; and sentences on what was done.

    Raises
    ------
    ValueError
        With one sentence, when the file cannot be used.
    """
    if not SIDES[0] <= side <= SIDES[1]:
        raise ValueError(f"The side must be from {SIDES[0]} to {SIDES[1]} pixels; {side} is not.")
    if not content:
        raise ValueError("The file is empty: choose a zip of pictures, a NumPy array, or an IDX "
                         "file.")
    if len(content) > MAX_BYTES:
        raise ValueError(f"The file has {len(content) / 1e6:.0f} MB: give at most "
                         f"{MAX_BYTES // 10**6} MB.")
    images, notes = {"npy": _from_npy, "zip": _from_zip, idx.KIND: _from_idx}[kind](content, side)
    if len(images) < MIN_IMAGES:
        raise ValueError(f"There are {len(images)} images: give at least {MIN_IMAGES}.")
    if images.nbytes > MAX_FILE - 1000:
        raise ValueError(_too_large(len(images), side))
    if images.min() == images.max():
        raise ValueError("All pixels are the same grey: choose images that show something.")
    if labels is None:
        return images, notes
    found = idx.read_labels(labels, len(images))
    return labelled(images, found), (
        *notes, f"Labels: {len(np.unique(found))} classes, up to {found.max()}.")


def _too_large(count: int, side: int) -> str:
    """The sentence for more images than can be stored."""
    return (f"{count:,} images of {side} × {side} pixels are too many: give fewer, or choose a "
            "smaller side.")


def _from_zip(content: bytes, side: int) -> tuple[np.ndarray, tuple[str, ...]]:
    broken = "The zip file is damaged: pack the pictures again."
    too_many = f"The zip has too many files: give at most {MAX_ENTRIES:,}."
    with files.open_zip(content, MAX_ENTRIES + 1000, broken, too_many) as archive:
        return _pictures(archive, len(content), side, broken)


def _pictures(archive: zipfile.ZipFile, size: int, side: int, broken: str
              ) -> tuple[np.ndarray, tuple[str, ...]]:
    entries = [e for e in archive.infolist() if not _hidden(e.filename)]
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"The zip has {len(entries):,} files: give at most {MAX_ENTRIES:,}.")
    chosen = [e for e in entries if PurePosixPath(e.filename).suffix.lower() in PICTURES]
    if not chosen:
        if any(e.filename.lower().endswith(".zip") for e in entries):
            raise ValueError("The zip holds other zips, and no pictures: unpack them, and pack the "
                             "pictures themselves.")
        raise ValueError("The zip has no PNG or JPEG pictures: pack some.")
    unpacked = sum(e.file_size for e in chosen)
    if unpacked > files.MAX_UNPACKED or unpacked > MAX_RATIO * size:
        raise ValueError(f"The zip would unpack to {unpacked / 1e6:.0f} MB, too much for what it "
                         "is: pack fewer or smaller pictures.")
    if len(chosen) * side**2 > MAX_FILE - 1000:
        raise ValueError(_too_large(len(chosen), side))
    squares, pixels = [], 0
    extremes: dict[np.dtype, list[np.number]] = {}  # of all pixels of a type
    for entry in chosen:
        # A claimed size may be a lie.
        data = files.read_entry(archive, entry, MAX_PICTURE + 1, broken)
        if len(data) > MAX_PICTURE:
            raise ValueError(f"{_short(entry)} has more than {MAX_PICTURE // 10**6} MB: make it "
                             "smaller.")
        try:
            picture = open_picture(data)
            pixels += picture.width * picture.height
            if pixels > MAX_PIXELS:
                raise ValueError("The pictures have too many pixels together: make them smaller.")
            grey = as_grey(picture)
        except ValueError as error:
            raise ValueError(f"{_short(entry)}: {error}") from error
        extremes.setdefault(grey.dtype, []).extend((grey.min(), grey.max()))
        square = _square(Image.fromarray(grey.astype(np.float32)), side)
        squares.append((grey.dtype, np.asarray(square)))
    meanings = {kind: levels(np.array(ends, kind)) for kind, ends in extremes.items()}
    notes = [f"{len(squares):,} pictures, each made a grey square of {side} × {side} pixels.",
             *(meaning.note for meaning in meanings.values() if meaning.note)]
    if len(entries) > len(chosen):
        notes.append(f"Left out: {len(entries) - len(chosen):,} files that are no PNG or JPEG.")
    return np.stack([meanings[kind].bytes(square) for kind, square in squares]), tuple(notes)


def _from_npy(content: bytes, side: int) -> tuple[np.ndarray, tuple[str, ...]]:
    return _from_array(open_npy(content, _axis), side)


def _from_idx(content: bytes, side: int) -> tuple[np.ndarray, tuple[str, ...]]:
    images = idx.read_images(content)
    _axis(images.shape)
    return _from_array(images, side)


def _from_array(images: np.ndarray, side: int) -> tuple[np.ndarray, tuple[str, ...]]:
    axis = _axis(images.shape)
    if axis is None:
        images = images[..., None]
    else:
        images = np.moveaxis(images, axis, -1)
    height, width, channels = images.shape[1:]
    colours, opacity = images[..., :3], images[..., 3:]
    if colours.min() == colours.max():
        raise ValueError("All pixels are the same grey: choose images that show something, from "
                         "0 to 255, or real numbers from 0 to 1.")
    meaning = levels(colours)
    layers = [meaning.bytes(colours)]
    notes = [meaning.note] if meaning.note else []
    if images.shape[1:] == (side, side, 1):
        return layers[0][..., 0], tuple(notes)
    if len(images) * side**2 > MAX_FILE - 1000:
        raise ValueError(_too_large(len(images), side))
    if channels == 4:
        layers.append(levels(opacity).bytes(opacity))
    small = [np.asarray(_square(grey_bytes(Image.fromarray(image.squeeze())), side))
             for image in np.concatenate(layers, axis=-1)]
    if channels > 1:
        notes.append("Their colours were converted to grey.")
    if (height, width) != (side, side):
        notes.append(f"Made {side} × {side} pixels of {height} × {width}.")
    return np.stack(small), tuple(notes)


def _axis(shape: tuple[int, ...]) -> int | None:
    """The axis of the channels, the second or the last one; None where there is none.

    Raises
    ------
    ValueError
        With one sentence, for a shape that images do not have.
    """
    def sides(axis: int) -> tuple[int, ...]:
        return tuple(n for i, n in enumerate(shape) if i not in (0, axis))

    fit = [axis for axis in (3, 1) if len(shape) == 4 and shape[axis] in CHANNELS
           and all(2 <= n <= 4096 for n in sides(axis))]
    if not fit and (len(shape) != 3 or not all(2 <= n <= 4096 for n in shape[1:])):
        raise ValueError(f"The array has the shape {shape_text(shape)}, but images have three "
                         "dimensions, (images, height, width), or four with 1, 3 or 4 channels.")
    if not fit and shape[2] == 3 < shape[1]:
        raise ValueError(f"The array has the shape {shape_text(shape)}, which is one picture in "
                         "colour, or images 3 pixels wide: save a picture as PNG, and images as "
                         "(images, height, width).")
    if not 1 <= shape[0] <= MAX_IMAGES:
        raise ValueError(f"The array has no images, or too many: give from {MIN_IMAGES} to "
                         f"{MAX_IMAGES:,}.")
    return fit[0] if fit else None


def _square(picture: Image.Image, side: int) -> Image.Image:
    """Return the square in the middle of a picture, resized to the side."""
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    return picture.resize((side, side), Image.Resampling.BOX,
                          box=(left, top, left + edge, top + edge))


def _hidden(name: str) -> bool:
    """Whether an entry is a folder, or a file that a system put beside the pictures."""
    parts = PurePosixPath(name).parts
    return name.endswith("/") or any(part.startswith((".", "__MACOSX")) for part in parts)


def _short(entry: zipfile.ZipInfo) -> str:
    return shown(PurePosixPath(entry.filename).name)
