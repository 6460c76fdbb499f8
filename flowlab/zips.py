"""Reads zips that came from elsewhere: what one claims of itself is not believed."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

#: The other methods unpack a few bytes into gigabytes before anybody can count them.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: Names of the methods that are not read.
OTHERS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_ENTRY = b"PK\x01\x02"  # begins each entry of a zip's directory


@contextmanager
def opened(content: bytes, most: int, broken: str, too_many: str) -> Iterator[zipfile.ZipFile]:
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


def read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int, broken: str) -> bytes:
    """Return a file of a zip, unpacked, but no more than ``most`` bytes of it.

    Raises
    ------
    ValueError
        With one sentence, when it is locked or packed by a method that is not read; with ``broken``
        when it is damaged.
    """
    if entry.flag_bits & 1:
        raise ValueError("The zip is locked with a password: pack it again without one.")
    if entry.compress_type not in METHODS:
        name = OTHERS.get(entry.compress_type, "an unusual method")
        raise ValueError(f"The zip is compressed with {name}, which is not read here: pack it "
                         "again with the usual method, Deflate.")
    try:
        with archive.open(entry) as file:
            return file.read(most)
    except Exception as error:  # see above
        raise ValueError(broken) from error
