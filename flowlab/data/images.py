r"""Images with whole grey levels, and the noise that gives them a density.

A density on real numbers could be infinite at whole ones, so its likelihood there means nothing.
Uniform dequantisation (Theis, van den Oord and Bethge, 2016, section 3.1) trains it on
:math:`x + u` with :math:`u` uniform in :math:`[0, 1)`. By Jensen's inequality

.. math:: E_u[\log p(x + u)] \le \log P(x), \qquad P(x) = \int_{[0,1)^D} p(x + u)\,du,

so the mean of :math:`-\log p(x+u) / (D \ln 2)` is an upper bound on the bits per dimension of
the discrete model :math:`P`. A pixel's unit is one grey level: no constant has to be added.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from flowlab.data import openml
from flowlab.data.source import Source

#: Share of the images in the test set where a collection has none of its own.
TEST_SHARE = 0.2
#: Titles for people.
TITLES = {"digits": "Digits", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
#: The names under which OpenML has the collections that are fetched from there.
OPENML = {"mnist": "mnist_784", "fashion_mnist": "fashion-mnist"}


def labelled(pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return images (n, height, width) and their labels (n,), uint8, as one array of records."""
    records = np.empty(len(pixels), [("pixels", np.uint8, pixels.shape[1:]), ("label", np.uint8)])
    records["pixels"], records["label"] = pixels, labels
    return records


def parts(array: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the images and the labels, if there are any, of an array that `are_images`."""
    if array.dtype.names is None:
        return array, None
    return array["pixels"], array["label"]


def are_images(array: np.ndarray) -> bool:
    """Whether stored data are images: a stack of them, or records as of `labelled`."""
    return array.ndim == 3 or array.dtype.names == ("pixels", "label")


class Images(Source):
    """Grey images, split into a training set and a test set.

    Parameters
    ----------
    name, title, description : str
        The name in links and command lines, the title for people, and one sentence.
    pixels : numpy.ndarray
        Shape (n, height, width), uint8, from 0 (the background of digits) to ``grey_levels`` - 1.
    labels : numpy.ndarray or None
        Shape (n,), integers from 0; None where there are no classes.
    grey_levels : int
        How many values a pixel can have.
    tests : int or None
        How many of the last images are the test set; None: a fifth, drawn once and for all.

    Attributes
    ----------
    pixels : Tensor
        Shape (n, 1, height, width), uint8; the training set first.
    cut : int
        Where the test set begins.
    """

    kind: Literal["images"] = "images"
    count: int

    def __init__(self, name: str, title: str, description: str, pixels: np.ndarray,
                 labels: np.ndarray | None, grey_levels: int, tests: int | None = None) -> None:
        self.name, self.title, self.description = name, title, description
        self.grey_levels, self.count = grey_levels, len(pixels)
        if tests is None:
            order = np.random.default_rng(0).permutation(len(pixels))
            pixels, labels = pixels[order], None if labels is None else labels[order]
            tests = max(1, round(TEST_SHARE * len(pixels)))
        self.cut = len(pixels) - tests
        self.pixels = torch.from_numpy(np.ascontiguousarray(pixels))[:, None]
        self.labels = None if labels is None else torch.from_numpy(labels.astype(np.int64))
        self.classes = 0 if self.labels is None else int(self.labels.max()) + 1
        self.event_shape = tuple(self.pixels.shape[1:])

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        return f"image_set({self.name!r})"

    def part(self, test: bool) -> tuple[Tensor, Tensor | None]:
        """Pixels and labels of the training set or the test set."""
        here = slice(self.cut, None) if test else slice(0, self.cut)
        return self.pixels[here], None if self.labels is None else self.labels[here]


def dequantise(pixels: Tensor, generator: torch.Generator | None = None,
               dtype: torch.dtype = torch.float32) -> Tensor:
    """Return pixels as real numbers, with uniform noise in [0, 1) added.

    Parameters
    ----------
    pixels : Tensor
        Whole numbers, any shape.
    generator : torch.Generator, optional
        Generator of the noise, on the pixels' device; torch's global one by default.
    dtype : torch.dtype
        Type of the result.

    Returns
    -------
    Tensor
        The same shape, in grey levels.
    """
    noise = torch.rand(pixels.shape, dtype=dtype, device=pixels.device, generator=generator)
    return noise.add_(pixels)


def _digits() -> Images:
    bunch = load_digits()
    return Images("digits", TITLES["digits"], "1,797 handwritten digits of 8 × 8 pixels, with 17 "
                  "grey levels; they come with scikit-learn.", bunch.images.astype(np.uint8),
                  bunch.target, 17)


def _mnist() -> Images:
    pixels, labels = openml.fetch(OPENML["mnist"], TITLES["mnist"])
    return Images("mnist", TITLES["mnist"], "70,000 handwritten digits of 28 × 28 pixels, "
                  "with 256 grey levels.", pixels, labels, 256, tests=len(pixels) // 7)


def _fashion_mnist() -> Images:
    pixels, labels = openml.fetch(OPENML["fashion_mnist"], TITLES["fashion_mnist"])
    return Images("fashion_mnist", TITLES["fashion_mnist"], "70,000 pictures of clothes, 28 × 28 "
                  "pixels, with 256 grey levels.", pixels, labels, 256, tests=len(pixels) // 7)


SETS: dict[str, Callable[[], Images]] = {
    "digits": _digits, "mnist": _mnist, "fashion_mnist": _fashion_mnist}


def images() -> tuple[str, ...]:
    """Return the names of all collections of images; the first needs no network.

    Examples
    --------
    >>> images()
    ('digits', 'mnist', 'fashion_mnist')
    """
    return tuple(SETS)


def at_hand(name: str) -> bool:
    """Whether the images of this name are available without the network."""
    return name not in OPENML or openml.is_stored(OPENML[name])
