"""Where a user's own points and pictures are kept: by their content, and only so many of them.

A run's settings name own data by the hash of its numbers, so a link stays short and means the same
data for ever. The numbers are in a folder that page and workers share, one ``.npy`` file each.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from flowlab import files

#: Names the folder; by default it is in the user's cache.
VARIABLE = "FLOWLAB_OWN_DATA"
MAX_FILES = 500
ROOM = 500_000_000  # bytes of all files, where no other limit is given
MAX_FILE = 16_000_000  # bytes of one file

_NAME = re.compile(r"own-[0-9a-f]{16}")


def folder() -> Path:
    """The folder of the store; the environment variable ``FLOWLAB_OWN_DATA`` moves it."""
    return files.folder(VARIABLE, "own")


def is_own(name: object) -> bool:
    """Whether a distribution's name is one that the store gives."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def keep(array: np.ndarray, columns: tuple[str, ...] = (), room: int = ROOM) -> str:
    """Keep an array; the oldest ones go when there are too many.

    Names of columns are kept beside it. They have no part in its name, so the same numbers under
    other names are the same data, which go by their newest names.

    Parameters
    ----------
    array : numpy.ndarray
        Float32 points, one a row; the uint8 weights of a picture, (rows, columns); uint8 images,
        (n, height, width); or the corners of a drawing (`flowlab.data.uploads.drawing.CORNER`).
    columns : tuple of str
        Names of the columns of points, where they have any.
    room : int
        Bytes that all files may take.

    Returns
    -------
    str
        Its name, made from its content: ``own-`` and sixteen hexadecimal digits.

    Raises
    ------
    ValueError
        If the folder cannot be written.
    """
    array = np.ascontiguousarray(array)
    name = name_of(array)
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with (files.replacing(folder() / f"{name}.npy") as path,  # another process may be reading
              path.open("wb") as file):
            np.save(file, array, allow_pickle=False)
        if columns:
            files.write(folder() / f"{name}.json", json.dumps({"columns": columns}).encode())
        _drop_oldest(room)
    except OSError as error:
        raise ValueError(f"The points cannot be kept in {folder()}: make it writable, or name "
                         f"another folder in {VARIABLE}.") from error
    return name


def load(name: str) -> np.ndarray:
    """Return the array that was kept under this name.

    Raises
    ------
    ValueError
        If the name is none of the store's, or its data are not here (any more).
    """
    missing = (f"The own data {name!r} are not on this server (any more): "
               "draw or upload them again.")
    if not is_own(name):
        raise ValueError(missing)
    path = folder() / f"{name}.npy"
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError("too large to be one of ours")
        array = np.load(path, allow_pickle=False)
        if name_of(array) != name:
            raise ValueError("not what was kept")
        os.utime(path)  # what is used stays longest
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(missing) from error
    return array


def columns_of(name: str) -> tuple[str, ...]:
    """The names of the columns of points that were kept under this name; empty without any."""
    if not is_own(name):
        return ()
    try:
        names = json.loads((folder() / f"{name}.json").read_text("utf-8"))["columns"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    good = isinstance(names, list) and all(isinstance(n, str) and n.isprintable() for n in names)
    return tuple(names) if good else ()


def name_of(array: np.ndarray) -> str:
    """Return the name that the store gives an array, made from its content."""
    kind = f"{array.dtype.str} {array.shape}".encode()
    return "own-" + hashlib.sha256(kind + array.tobytes()).hexdigest()[:16]


def _drop_oldest(room: int) -> None:
    found = []
    for path in folder().glob("own-*.npy"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another process was quicker
            continue
        found.append((status.st_mtime_ns, status.st_size, path))
    total = 0
    for count, (_, size, path) in enumerate(sorted(found, reverse=True), start=1):
        total += size
        if count > MAX_FILES or total > room:
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
