"""Reads IDX files, in which MNIST, Fashion-MNIST, KMNIST and EMNIST are published.

A file begins with two zero bytes, a byte for the type of its numbers (8: bytes), a byte for the
number of dimensions, and each dimension as a big-endian integer of four bytes; the numbers follow,
the last dimension fastest (http://yann.lecun.com/exdb/mnist).
"""

import math
import re

import numpy as np

from flowlab import files

KIND = "idx"  # what `flowlab.data.uploads.files.ending` gives for each of their names
NAME = re.compile(r"[.-]idx[13]-ubyte$", re.IGNORECASE)
_BYTES = b"\0\0\x08"


def read_images(content: bytes) -> np.ndarray:
    """Return the images of an IDX file, shape (n, height, width), uint8.

    Raises
    ------
    ValueError
        With one sentence, when it is no such file.
    """
    return _read(content, 3, "images")


def read_labels(content: bytes, count: int) -> np.ndarray:
    """Return the labels of an IDX file, shape (count,), uint8.

    Raises
    ------
    ValueError
        With one sentence, when it is no such file, or has labels of another number of images.
    """
    labels = _read(content, 1, "labels")
    if len(labels) != count:
        raise ValueError(f"There are {len(labels):,} labels for {count:,} images: choose the "
                         "labels that belong to these images.")
    return labels


def _read(content: bytes, dimensions: int, what: str) -> np.ndarray:
    content = files.gunzipped(content)
    header = 4 + 4 * dimensions
    if not content.startswith(_BYTES) or len(content) < 4:
        raise ValueError(f"This is not an IDX file of {what}: its first bytes should be 0, 0, 8 "
                         f"and {dimensions}.")
    if content[3] != dimensions:
        found = {1: "labels", 3: "images"}.get(content[3], f"{content[3]} dimensions")
        raise ValueError(f"This IDX file has {found}, where {what} are needed: choose the file "
                         f"of the {what}.")
    if len(content) < header:
        raise ValueError(f"The IDX file of {what} is cut short: download it again.")
    shape = tuple(np.frombuffer(content, ">u4", dimensions, 4).tolist())
    if math.prod(shape) != len(content) - header:
        size = " × ".join(f"{n:,}" for n in shape)
        raise ValueError(f"The IDX file of {what} is damaged: it should have {size} numbers and "
                         f"has {len(content) - header:,}. Download it again.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
