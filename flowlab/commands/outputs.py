"""The output files of a command: checked before its work, and written safely after it."""

import os
import secrets
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from flowlab.settings import shown


def check(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None] = ()) -> None:
    """Raise ValueError where one of these files could not be written.

    Parameters
    ----------
    outputs : mapping of str to Path or None
        The files by the options that name them, such as ``--save``; None for no file.
    inputs : iterable of Path or None
        Input files, which must not be overwritten.
    """
    taken = {os.path.realpath(path): "the command reads" for path in inputs if path}
    for option, path in outputs.items():
        if path is None:
            continue
        _check(option, path, shown(str(path), 100))
        place = os.path.realpath(path)
        if place in taken and (not path.exists() or path.is_file()):
            raise ValueError(f"{option} is {path}, which {taken[place]} too: name another file.")
        taken[place] = f"{option} names"


def _check(option: str, path: Path, name: str) -> None:
    try:
        if path.is_dir():
            raise ValueError(f"{option} is {name}, which is a folder: name a file in it.")
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise ValueError(f"{option} is {name}, but there is no folder {folder}: make it, or "
                             "name another.")
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(0, "the file is read-only")
        if not path.exists() or path.is_file():
            with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}.", suffix=".part"):
                pass  # the file is deleted again
    except OSError as error:
        raise ValueError(f"{option} is {name}, which cannot be written ({error.strerror}): name "
                         "another file.") from error


def deliver(write: Callable[[Path], object], path: Path) -> tuple[str, bool]:
    """Write a file, and where that fails write it to another folder.

    Parameters
    ----------
    write : callable
        Writes the file to a path.
    path : Path
        The intended path.

    Returns
    -------
    tuple
        What was done, as the rest of a sentence, and whether the file is at the intended path.

    Raises
    ------
    OSError
        When it cannot be written anywhere.
    """
    try:
        write(path)
        return f"saved to {path}", True
    except OSError as error:
        first = error
    name = f"{path.stem}-{secrets.token_hex(4)}{path.suffix}"
    for folder in (Path.home(), Path(tempfile.gettempdir())):
        try:
            write(folder / name)
        except OSError:
            continue
        return (f"saved to {folder / name}, since {path} cannot be written "
                f"({first.strerror or first})"), False
    raise first
