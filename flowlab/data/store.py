"""The store of a user's own data, named by their content and limited in size.

A run's settings name own data by the hash of its numbers, so a link stays short and always means
the same data. Pages and workers share the folder, which has one ``.npy`` file for each.
"""

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np

from flowlab import files

#: Environment variable that names the folder; by default the folder is in the user's cache.
VARIABLE = "FLOWLAB_OWN_DATA"
MAX_FILES = 500
ROOM = 500_000_000  # bytes of all files, where no other limit is given
MAX_FILE = 50_000_000  # bytes of one file: 60,000 labelled images of 28 × 28 pixels

_NAME = re.compile(r"own-[0-9a-f]{16}")


def folder() -> Path:
    """The folder of the store; the environment variable ``FLOWLAB_OWN_DATA`` moves it."""
    return files.folder(VARIABLE, "own")


def is_own(name: object) -> bool:
    """Whether a name is one that the store gives."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def keep(array: np.ndarray, columns: tuple[str, ...] = (), room: int = ROOM) -> str:
    """Store an array, and delete those that were not used for longest when there are too many.

    The names of columns are stored beside it and are no part of its name: the same numbers with
    other column names are the same data, and have the newest ones.

    Parameters
    ----------
    array : numpy.ndarray
        Float32 points, one a row; the uint8 weights of a picture, (rows, columns); uint8 images,
        (n, height, width), alone or with their labels (`flowlab.data.images.labelled`); or the
        corners of a drawing (`flowlab.data.uploads.drawing.CORNER`).
    columns : tuple of str
        Names of the columns of points; empty where they have none.
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
    """Return the array that is stored under this name.

    Raises
    ------
    ValueError
        If the store has no data of this name (any more).
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
            raise ValueError("not what was stored")
        os.utime(path)  # the data used last are deleted last
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(missing) from error
    return array


def columns_of(name: str) -> tuple[str, ...]:
    """The names of the columns of stored points; empty where they have none."""
    if not is_own(name):
        return ()
    try:
        names = json.loads((folder() / f"{name}.json").read_text("utf-8"))["columns"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ()
    good = isinstance(names, list) and all(isinstance(n, str) and n.isprintable() for n in names)
    return tuple(names) if good else ()


def name_of(array: np.ndarray) -> str:
    """Return the name of an array in the store, which is made from its content."""
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
