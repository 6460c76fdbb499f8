"""MNIST-like images from OpenML, fetched once and then stored.

OpenML's file is text and takes hundreds of megabytes when it is read; one ``.npz`` file with a
byte for each pixel is stored.
"""

import os
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml

from flowlab import files

#: Environment variable that names the folder; by default the folder is in the user's cache.
VARIABLE = "FLOWLAB_IMAGES"
SIDE = 28


def folder() -> Path:
    """The folder of fetched images; the environment variable ``FLOWLAB_IMAGES`` moves it."""
    return files.folder(VARIABLE, "images")


def is_stored(name: str) -> bool:
    """Whether the images of this name were fetched before."""
    return (folder() / f"{name}.npz").is_file()


def fetch(name: str, title: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (n, 28, 28), uint8, and labels (n,), int64, of images on OpenML.

    Parameters
    ----------
    name : str
        OpenML's name of the data; version 1 is fetched.
    title : str
        The title for people, which error messages use.

    Raises
    ------
    ValueError
        If the images are not on this machine and cannot be fetched, or are not as expected.
    """
    path = folder() / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as kept:
            return _checked(kept["pixels"], kept["labels"], title)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pass  # not stored yet, or damaged: fetch it
    try:
        with warnings.catch_warnings():  # about a second try; errors are handled below
            warnings.simplefilter("ignore")
            # Types are inferred: where classes are declared categories, pandas 3.1 turns their
            # names into numbers, and scikit-learn 1.9 expects text.
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
    """Write the file at once or not at all; on a full disk the next run fetches it again."""
    try:
        handle, temporary = tempfile.mkstemp(suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, pixels=pixels, labels=labels)
        os.replace(temporary, path)
    except OSError:
        pass
