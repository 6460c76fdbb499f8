"""The store of a user's own data, named by their content and limited in size.

A run's settings name own data by the hash of its numbers, so a link stays short and always means
the same data. Pages and workers share the folder, which has one ``.npy`` file for each.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from flowlab import files

#: Environment variable that names the folder; by default the folder is in the user's cache.
VARIABLE = "FLOWLAB_OWN_DATA"
MAX_FILES = 500
ROOM = 500_000_000  # bytes of all files, where no other limit is given
MAX_FILE = 50_000_000  # bytes of one file: 60,000 labelled images of 28 × 28 pixels
LONGEST = 40  # characters of a title

_NAME = re.compile(r"own-[0-9a-f]{16}")


def folder() -> Path:
    """The folder of the store; the environment variable ``FLOWLAB_OWN_DATA`` moves it."""
    return files.folder(VARIABLE, "own")


def is_own(name: object) -> bool:
    """Whether a name is one that the store gives."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def keep(array: np.ndarray, columns: tuple[str, ...] = (), room: int = ROOM, title: str = ""
         ) -> str:
    """Store an array, and delete those that were not used for longest when there are too many.

    The title and the names of columns are stored beside it and are no part of its name: the same
    numbers with others are the same data, and have the newest ones.

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
    title : str
        What people call the data, such as their file's name; see `as_title`.

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
        beside = {"title": as_title(title) or title_of(name),
                  "columns": columns or columns_of(name)}
        if any(beside.values()):
            files.write(folder() / f"{name}.json", json.dumps(beside).encode())
        _drop_oldest(room)
    except OSError as error:
        raise ValueError(f"The points cannot be stored in {folder()}: make it writable, or name "
                         f"another folder in {VARIABLE}.") from error
    return name


def load(name: str) -> np.ndarray:
    """Return the array that is stored under this name.

    Raises
    ------
    ValueError
        If the store has no data of this name (any more).
    """
    missing = (f"The own data {name!r} are not on this server: "
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
    names = _beside(name).get("columns")
    if isinstance(names, list) and all(isinstance(n, str) and n.isprintable() for n in names):
        return tuple(names)
    return ()


def title_of(name: str) -> str:
    """What people call stored data; empty where nobody has named them."""
    title = _beside(name).get("title")
    return as_title(title) if isinstance(title, str) else ""


def as_title(text: str) -> str:
    """A title of letters, digits, spaces, dots, dashes and underscores: no markup, no formula."""
    kept = "".join(c if c.isalnum() or c in " .-_" else " " for c in text)
    return " ".join(kept.split()).strip(".-_ ")[:LONGEST].rstrip(".-_ ")


def next_drawing() -> str:
    """The title of the next drawing: Drawing 1, Drawing 2, and so on."""
    titles = (title_of(path.stem) for path in folder().glob("own-*.json"))
    numbers = [int(title.removeprefix("Drawing ")) for title in titles
               if re.fullmatch(r"Drawing \d{1,6}", title)]
    return f"Drawing {max(numbers, default=0) + 1}"


def _beside(name: str) -> dict[str, Any]:
    """What is stored beside data, if anything."""
    try:
        found = json.loads((folder() / f"{name}.json").read_text("utf-8")) if is_own(name) else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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
