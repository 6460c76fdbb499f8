"""A user's file of any kind, by its name's ending."""

from pathlib import Path, PurePath

import numpy as np

from flowlab.data.grey import read_picture
from flowlab.data.tables import MAX_BYTES, Table, read_npy, read_text

TABLES = ("csv", "tsv", "txt", "npy")
PICTURES = ("png", "jpg", "jpeg")


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
    return ending(data) in (*TABLES, *PICTURES)


def read_file(path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Read all columns of a table, or the weights of a picture, from a file of this machine.

    Returns
    -------
    tuple
        Points, shape (rows, columns), float32, or a picture's weights, uint8; and sentences on
        what was done to them.

    Raises
    ------
    ValueError
        With one sentence, when the file cannot be used.
    OSError
        When there is no such file.
    """
    with Path(path).open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    try:
        if ending(path) in PICTURES:
            return read_picture(content)
        table = read_table(content, ending(path))
        return table.points(tuple(range(len(table.names))))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
