"""Reads and writes files: whole or not at all, safetensors, and zips from elsewhere.

Nothing in these files can run, and what a zip claims of itself is not believed.
"""

import codecs
import errno
import io
import json
import os
import re
import secrets
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

FULL = "The disk is full: make room, or delete runs that are no longer needed."
#: The other methods unpack a few bytes into gigabytes before anybody can count them.
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Names of the methods that are not read.
OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's directory


def folder(variable: str, name: str) -> Path:
    """The folder that an environment variable names; by default ``name`` in the user's cache."""
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "flow-lab" / name


def is_full(error: BaseException) -> bool:
    """Whether it is for want of room that something could not be written."""
    return (getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            or str(error) == FULL or "No space left" in str(error))  # as safetensors says it


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place at the end of the block.

    Whoever reads meanwhile, or after the program was killed, finds the old file or the new one. A
    link stays a link, and what is no file, such as ``/dev/null``, is written to directly.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        yield path
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write(path: str | PathLike[str], content: bytes) -> None:
    """Write a file at once or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_text(path: str | PathLike[str]) -> str:
    """The text of a file in UTF-8, or in what else its byte-order mark says.

    Raises
    ------
    ValueError
        With one sentence, when it is not text.
    OSError
        When it cannot be read; `trouble` makes a sentence of it.
    """
    content = Path(path).read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: choose another file, or save it in UTF-8."
                         ) from error


def trouble(error: OSError) -> str:
    """One sentence on a file that cannot be read or written."""
    if is_full(error):
        return f"{error.filename} cannot be written, for the disk is full: make room on it." if (
            error.filename) else FULL
    what = error.strerror or str(error)
    if not error.filename:
        return f"A file cannot be used ({what}): look at its name and its rights."
    remedy = {errno.ENOENT: "check its name", errno.EISDIR: "it is a folder, so name a file in it",
              errno.EACCES: "change its rights, or choose another"}
    return (f"{error.filename} cannot be used ({what}): "
            f"{remedy.get(error.errno or 0, 'choose another file')}.")


def is_newer(form: object, known: str) -> bool:
    """Whether a format, such as ``flowlab-run-2``, is a later version of the one that is known."""
    kind, _, version = known.rpartition("-")
    found = re.fullmatch(re.escape(kind) + r"-(\d{1,6})", form) if isinstance(form, str) else None
    return found is not None and int(found[1]) > int(version)


def read(path: str | PathLike[str], form: str, *older: str
         ) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file whose metadata say ``format: form``, or an older one.

    Raises
    ------
    ValueError
        When it is not such a file.
    FileNotFoundError
        When there is no such file.
    """
    return unpacked(Path(path).read_bytes(), form, path, *older)


def unpacked(content: bytes, form: str, path: str | PathLike[str], *older: str
             ) -> tuple[dict[str, str], dict[str, Tensor]]:
    """As `read`, of a file that is in memory already; ``path`` names it in sentences.

    The library's way to read a file piece by piece keeps two objects of every tensor for ever
    (safetensors 0.8).
    """
    try:
        tensors = load(content)
        header = content[8:8 + int.from_bytes(content[:8], "little")]
        metadata = json.loads(header).get("__metadata__") or {}
    except (SafetensorError, AssertionError, KeyError, RuntimeError, TypeError, ValueError
            ) as error:
        raise ValueError(f"{path} is not a safetensors file: choose one that Flow Lab wrote."
                         ) from error
    if is_newer(metadata.get("format", ""), form):
        raise ValueError(f"{path} was written by a newer Flow Lab: update this one to read it.")
    if metadata.get("format") not in (form, *older):
        raise ValueError(f"{path} does not hold what is expected here ({form}): choose another.")
    return metadata, tensors


@contextmanager
def open_zip(content: bytes, most: int, broken: str, too_many: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip's bytes.

    Parameters
    ----------
    content : bytes
    most : int
        Files that it may hold.
    broken, too_many : str
        The sentences for a zip that is damaged, and for one with too many files.

    Raises
    ------
    ValueError
        With one of the two sentences.
    """
    if content.count(_ENTRY) > most:  # before a list is made of them
        raise ValueError(too_many)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:  # zipfile has no one complaint for bytes that make no sense
        raise ValueError(broken) from error
    with archive:
        yield archive


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, broken: str) -> bytes:
    """Return a file of a zip, unpacked, but no more than ``most`` bytes of it.

    Raises
    ------
    ValueError
        With one sentence, when it is locked or packed by a method that is not read; with ``broken``
        when it is damaged.
    """
    if entry.flag_bits & 1:
        raise ValueError("The zip is locked with a password: pack it again without one.")
    if entry.compress_type not in ZIP_METHODS:
        name = OTHER_METHODS.get(entry.compress_type, "an unusual method")
        raise ValueError(f"The zip is compressed with {name}, which is not read here: pack it "
                         "again with the usual method, Deflate.")
    try:
        with archive.open(entry) as file:
            return file.read(most)
    except Exception as error:  # see above
        raise ValueError(broken) from error
