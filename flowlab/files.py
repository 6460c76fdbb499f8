"""Reads and writes files: atomic writes, safetensors, and zips and gzip files from elsewhere.

Nothing in these files is executed, and the sizes that a zip declares are not trusted.
"""

import codecs
import csv
import errno
import gzip
import io
import json
import os
import re
import secrets
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

FULL = "The disk is full: free some space, or delete runs that are no longer needed."
MAX_UNPACKED = 200_000_000  # bytes that an upload may unpack to
#: The other methods unpack a few bytes into gigabytes before anybody can count them.
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Names of the methods that are not read.
OTHER_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's directory


def folder(variable: str, name: str) -> Path:
    """The folder in an environment variable; by default ``name`` in the user's cache."""
    chosen = os.environ.get(variable)
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "flow-lab" / name


def is_full(error: BaseException) -> bool:
    """Whether an error means that the disk is full."""
    return (getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            or str(error) == FULL or "No space left" in str(error))  # as safetensors says it


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which replaces it at the end of the block.

    Readers find the old file or the new one, also after the program was killed. A link stays a
    link, and special files such as ``/dev/null`` are written directly.
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
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, numbers unrounded; None is an empty cell."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    return table.getvalue()


def read_text(path: str | PathLike[str]) -> str:
    """Read a text file in UTF-8, or in the encoding of its byte-order mark.

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
    """One sentence about a file that cannot be read or written."""
    if is_full(error):
        return (f"{error.filename} cannot be written, as the disk is full: free some space on it."
                if error.filename else FULL)
    what = error.strerror or str(error)
    if not error.filename:
        return f"A file cannot be used ({what}): check its name and its permissions."
    remedy = {errno.ENOENT: "check its name", errno.EISDIR: "it is a folder, so name a file in it",
              errno.EACCES: "change its permissions, or choose another"}
    return (f"{error.filename} cannot be used ({what}): "
            f"{remedy.get(error.errno or 0, 'choose another file')}.")


def is_newer(form: object, known: str) -> bool:
    """Whether a format, such as ``flowlab-run-2``, is a later version of the known one."""
    kind, _, version = known.rpartition("-")
    found = re.fullmatch(re.escape(kind) + r"-(\d{1,6})", form) if isinstance(form, str) else None
    return found is not None and int(found[1]) > int(version)


def gunzipped(content: bytes) -> bytes:
    """Return what a gzip file from elsewhere holds; other content as it is.

    Raises
    ------
    ValueError
        With one sentence, when it is damaged or unpacks to too much.
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            data = file.read(MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError("The gzip file is damaged: download it again.") from error
    if len(data) > MAX_UNPACKED:
        raise ValueError(f"The gzip file unpacks to more than {MAX_UNPACKED // 10**6} MB: give "
                         "fewer images.")
    return data


def unpacked(content: bytes, form: str, path: str | PathLike[str], *older: str
             ) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read metadata and tensors of a file, given its content; sentences name it by ``path``.

    The library's reading of single tensors leaks two objects for each (safetensors 0.8).

    Raises
    ------
    ValueError
        When its metadata do not have ``format: form``, or an older one.
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
        Maximum number of files.
    broken, too_many : str
        The sentences for a damaged zip, and for one with too many files.

    Raises
    ------
    ValueError
        With one of the two sentences.
    """
    if content.count(_ENTRY) > most:  # before a list is made of them
        raise ValueError(too_many)
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:  # zipfile raises many kinds of errors for invalid bytes
        raise ValueError(broken) from error
    with archive:
        yield archive


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, broken: str) -> bytes:
    """Unpack at most ``most`` bytes of a file in a zip.

    Raises
    ------
    ValueError
        With one sentence, when the file has a password or an unsupported method; with ``broken``
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
