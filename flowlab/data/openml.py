"""MNIST-like images from OpenML, fetched once and then kept.

OpenML's file is text, some hundred megabytes when read; what is kept is one ``.npz`` file with a
byte a pixel.
"""

import os
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml

from flowlab import files

#: Names the folder; by default it is in the user's cache.
VARIABLE = "FLOWLAB_IMAGES"
SIDE = 28


def folder() -> Path:
    """Where fetched images are kept; the environment variable ``FLOWLAB_IMAGES`` moves it."""
    return files.folder(VARIABLE, "images")


def kept(name: str) -> bool:
    """Whether the set of this name was fetched before."""
    return (folder() / f"{name}.npz").is_file()


def fetch(name: str, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (n, 28, 28), uint8, and labels (n,), int64, of a set on OpenML.

    Parameters
    ----------
    name : str
        OpenML's name of the set; its version 1 is taken.
    title : str
        The name for people, for what is said when it cannot be had.

    Raises
    ------
    ValueError
        When it is not kept on this machine and cannot be fetched, or is not what it should be.
    """
    path = folder() / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            return _checked(kept["pixels"], kept["labels"], title)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pass  # not kept yet, or damaged: fetch it
    try:
        with warnings.catch_warnings():  # of a second try; what comes of it is told below
            warnings.simplefilter("ignore")
            # Types inferred: told that classes are categories, pandas 3.1 makes numbers of their
            # names, and scikit-learn 1.9 wants text.
            bunch = fetch_openml(name, version=1, as_frame=False, parser="pandas",
                                 read_csv_kwargs={"dtype": None}, data_home=folder(),
                                 n_retries=1, delay=0.1)
    except OSError as error:  # also what urllib raises, and a folder that cannot be written
        raise ValueError(f"{title} is not on this machine and could not be fetched from OpenML: "
                         "connect to the network once, or choose digits, which need none."
                         ) from error
    except Exception as error:  # OpenML's answer may be anything
        raise ValueError(f"OpenML's answer for {title} made no sense: try again later, or choose "
                         "digits, which need no network.") from error
    try:
        labels = np.asarray(bunch.target).astype(np.int64)
        pixels = np.asarray(bunch.data, dtype=np.float64).reshape(-1, SIDE, SIDE)
    except ValueError as error:
        raise ValueError(f"OpenML's {title} is not made of images of {SIDE} × {SIDE} pixels with "
                         "a class each: choose digits.") from error
    pixels, labels = _checked(pixels, labels, title)
    _keep(path, pixels, labels)
    return pixels, labels


def _checked(pixels: np.ndarray, labels: np.ndarray, title: str) -> tuple[np.ndarray, np.ndarray]:
    fits = pixels.ndim == 3 and len(pixels) >= 7 and labels.shape == pixels.shape[:1]
    whole = fits and bool(((pixels >= 0) & (pixels <= 255) & (pixels % 1 == 0)).all())
    if not whole or not bool(((labels >= 0) & (labels < 1000)).all()):
        raise ValueError(f"{title} should have whole numbers from 0 to 255 as pixels and from 0 as "
                         f"classes: remove the files in {folder()} to fetch it again.")
    return pixels.astype(np.uint8), labels


def _keep(path: Path, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Write at once or not at all; without room the set is fetched again next time."""
    try:
        handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, pixels=pixels, labels=labels)
        os.replace(temporary, path)
    except OSError:
        pass
