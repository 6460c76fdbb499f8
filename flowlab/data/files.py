"""A user's file of any kind, by its name's ending."""

from pathlib import Path, PurePath

import numpy as np

from flowlab.data import albums
from flowlab.data.grey import read_picture
from flowlab.data.tables import Table, is_stack, read_npy, read_text

TABLES = ("csv", "tsv", "txt", "npy")
PICTURES = ("png", "jpg", "jpeg")
DEFAULT_SIDE = 16  # pixels


def ending(name: str) -> str:
    """The ending of a file's name, in small letters and without its dot."""
    return PurePath(name).suffix.lower().removeprefix(".")


def read_table(content: bytes, kind: str) -> Table:
    """Read a table from bytes; ``kind`` is the ending of its file's name.

    Raises
    ------
    ValueError
        With one sentence, when that cannot be done.
    """
    return read_npy(content) if kind == "npy" else read_text(content)


def is_file(data: str) -> bool:
    """Whether what the command line calls ``data`` is a file, not a distribution."""
    return ending(data) in (*TABLES, *PICTURES, "zip")


def read_file(path: str, side: int = DEFAULT_SIDE) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read a table, a picture, or images from a file of this machine.

    Parameters
    ----------
    path : str
        A NumPy array of three or four dimensions and a zip hold images.
    side : int
        Height and width that images get.

    Returns
    -------
    tuple
        Points, shape (rows, columns), float32; a picture's weights, uint8; or images, shape
        (n, side, side), uint8; and sentences on what was done to them.

    Raises
    ------
    ValueError
        With one sentence, when the file cannot be used.
    OSError
        When there is no such file.
    """
    with Path(path).open("rb") as file:
        content = file.read(albums.MAX_BYTES + 1)
    try:
        if ending(path) == "zip" or (ending(path) == "npy" and is_stack(content)):
            return albums.read_images(content, ending(path), side)
        if ending(path) in PICTURES:
            return read_picture(content)
        table = read_table(content, ending(path))
        return table.points(tuple(range(len(table.names))))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
