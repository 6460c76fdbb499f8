"""Reads a user's file of any kind, by the extension of its name."""

import re
from pathlib import Path, PurePath

import numpy as np

from flowlab import files
from flowlab.data import store
from flowlab.data.uploads import albums, idx, leaving
from flowlab.data.uploads.drawing import CORNER, read_drawing
from flowlab.data.uploads.picture import read_picture
from flowlab.data.uploads.table import (
    UploadedTable,
    dimensions,
    is_of,
    is_stack,
    read_npy,
    read_text,
)
from flowlab.settings import shown

TABLES = ("csv", "tsv", "txt", "npy", "npz")
PICTURES = ("png", "jpg", "jpeg")
MAX_ARRAYS = 100  # in an NPZ
HEADER = 2000  # bytes of an array in which its shape is


def ending(name: str) -> str:
    """Return the extension of a file's name, in lower case and without its dot.

    That of what is packed in a gzip file counts, and ``idx`` for each name of an IDX file.
    """
    name = _unpacked_name(name)
    return idx.KIND if idx.NAME.search(name) else PurePath(name).suffix.lower().removeprefix(".")


def _unpacked_name(name: str) -> str:
    """A file's name without the ``.gz`` of what is packed."""
    return re.sub(r"\.gz$", "", PurePath(name).name, flags=re.IGNORECASE)


def read_table(content: bytes, kind: str) -> UploadedTable:
    """Read a table from bytes; ``kind`` is the extension of its file's name.

    Raises
    ------
    ValueError
        With one sentence, when they are no table.
    """
    return read_npy(content) if kind == "npy" else read_text(content)


def opened(content: bytes, name: str) -> tuple[bytes, str, tuple[str, ...]]:
    """Return a file's content, its kind by the extension, and sentences on what was chosen.

    A gzip file is unpacked. From an NPZ, which is a zip of arrays, it takes the one array that has
    the dimensions of points or images, as an NPY.

    Raises
    ------
    ValueError
        With one sentence, for a damaged gzip file, or one that unpacks to too much, and for an NPZ
        without such an array, or with several.
    """
    kind = ending(name)
    if name.lower().endswith(".gz"):
        content = files.gunzipped(content)
    if kind != "npz":
        return content, kind, ()
    broken = "The NPZ file is damaged: save it again with numpy.savez."
    with files.open_zip(content, MAX_ARRAYS, broken, "The NPZ file holds too many arrays: save one "
                     "with numpy.save.") as archive:
        arrays = {shown(e.filename.removesuffix(".npy")): e for e in archive.infolist()}
        fit = [n for n, e in arrays.items()
               if dimensions(files.read_entry(archive, e, HEADER, broken)) in (2, 3, 4)]
        if len(fit) != 1 and len(arrays) != 1:
            what = f"several ({shown(', '.join(fit))})" if fit else "none"
            raise ValueError("The NPZ file should hold one array of points or images, and it holds "
                             f"{what}: save that array with numpy.save.")
        chosen = fit[0] if fit else next(iter(arrays))
        array = files.read_entry(archive, arrays[chosen], albums.MAX_BYTES + 1, broken)
    left = [n for n in arrays if n != chosen]
    return array, "npy", (f"Read the array {chosen}" + (
        f", and left out {shown(', '.join(left))}." if left else "."),)


def is_album(content: bytes, kind: str) -> bool:
    """Whether bytes are images; ``kind`` is as `ending` gives it."""
    return kind in ("zip", idx.KIND) or (kind == "npy" and is_stack(content))


def is_drawing(content: bytes, kind: str) -> bool:
    """Whether bytes are a drawing of the lab; ``kind`` is the extension of its file's name."""
    return kind == "npy" and is_of(content, CORNER)


def is_file(data: str) -> bool:
    """Whether the command line's ``data`` is a file, not a distribution."""
    return ending(data) in (*TABLES, *PICTURES, "zip", idx.KIND)


def read_file(path: str, side: int | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a table, a picture, or images from a file on this machine.

    Parameters
    ----------
    path : str
        A zip, a NumPy array (NPY, or alone in an NPZ) of three or four dimensions, and an IDX file
        hold images; labels are read where their IDX file lies beside it.
    side : int, optional
        Height and width of images in pixels; by default `flowlab.data.uploads.albums.own_side`.

    Returns
    -------
    tuple
        Points, shape (rows, columns), float32; a picture's weights, uint8; images, shape
        (n, side, side), uint8, or records of them with labels; or a drawing; and sentences on what
        was done to them.

    Raises
    ------
    ValueError
        With one sentence, when the file cannot be used.
    OSError
        When there is no such file.
    """
    array, notes, _ = _read(path, side, leaving.Listed(leaving.DEFAULT))
    return array, notes


def keep_file(path: str, side: int | None = None, leave_out: str = ",".join(leaving.DEFAULT),
              room: int = store.ROOM) -> tuple[str, tuple[str, ...]]:
    """Read a file as `read_file` does, and store what it holds.

    Parameters
    ----------
    path : str
    side : int, optional
    leave_out : str
        What to leave out of a table, as `flowlab.data.uploads.leaving.listed` reads it.
    room : int
        As in `flowlab.data.store.keep`.

    Returns
    -------
    tuple
        The name of the data in the store, and sentences on what was and what could be done.
    """
    leave = leaving.listed(leave_out)
    array, notes, names = _read(path, side, leave)
    name = store.keep(array, names, room, Path(path).name)
    return name, (f"{path} is stored as {name}, the name it has in links and settings.", *notes,
                  *leave.offers())


def _read(path: str, side: int | None, leave: leaving.Listed
          ) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Return the data of a file, sentences on them, and the names of their columns."""
    with Path(path).open("rb") as file:
        content = file.read(albums.MAX_BYTES + 1)
    names: tuple[str, ...] = ()
    try:
        content, kind, notes = opened(content, path)
        if is_album(content, kind):
            labels = _labels_beside(path) if kind == idx.KIND else None
            array, more = albums.read_images(
                content, kind, side or albums.own_side(content, kind), labels)
            if kind == idx.KIND and labels is None:
                more = (*more, "There is no file of labels beside it, so the images have no "
                               "classes.")
        elif kind in PICTURES:
            array, more = read_picture(content)
        elif is_drawing(content, kind):
            array, more = read_drawing(content), ()
        else:
            table = leaving.without_index(read_table(content, kind), leave)
            names = table.names if table.named else ()
            array, more = leaving.points(table, tuple(range(len(table.names))), leave)
    except ValueError as error:
        if "gaps" in leave.others:
            sentence = str(error).removesuffix(".")
            raise ValueError(f"{path}: {sentence}, or leave {leave.others['gaps']} out with "
                             f"{leave.option('gaps')}.") from error
        raise ValueError(f"{path}: {error}") from error
    return array, (*notes, *more), names


def _labels_beside(path: str) -> bytes | None:
    """The labels of an IDX file of images, which lie beside it under the name that is usual."""
    file = Path(path)
    name = _unpacked_name(path).replace("images", "labels").replace("idx3", "idx1")
    for beside in (file.with_name(name), file.with_name(name + ".gz")):
        if beside.is_file():
            return beside.read_bytes()
    return None
