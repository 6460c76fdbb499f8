r"""Images of whole numbers, and the noise that makes a density of them.

A density on real numbers could put infinite values on whole ones, so its likelihood there means
nothing. Uniform dequantisation (Theis, van den Oord and Bethge, 2016, section 3.1) trains it on
:math:`x + u` with :math:`u` uniform in :math:`[0, 1)`. By Jensen's inequality

.. math:: E_u[\log p(x + u)] \le \log P(x), \qquad P(x) = \int_{[0,1)^D} p(x + u)\,du,

so the mean of :math:`-\log p(x+u) / (D \ln 2)` is an upper bound on the bits per dimension of
the discrete model :math:`P`. A pixel's unit is one grey level: no constant has to be added.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from flowlab.data import openml
from flowlab.data.store import is_own, load

#: Share of the images kept aside where a set has no test part of its own.
TEST_SHARE = 0.2
#: Names for people.
TITLES = {"digits": "Digits", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
#: OpenML's names of the sets that are fetched from there.
OPENML = {"mnist": "mnist_784", "fashion_mnist": "fashion-mnist"}


class Images:
    """A set of grey images, in two parts: for training, and for testing.

    Parameters
    ----------
    name, title, description : str
        The name in links and command lines, the name for people, and a sentence.
    pixels : numpy.ndarray
        Shape (n, height, width), uint8, from 0 (the background of digits) to ``grey_levels`` - 1.
    labels : numpy.ndarray or None
        Shape (n,), integers from 0; None where there are no classes.
    grey_levels : int
        How many values a pixel can have.
    tests : int or None
        How many of the last images are the test part; None: a fifth, drawn once and for all.

    Attributes
    ----------
    pixels, labels : Tensor
        Shape (n, 1, height, width), uint8; and (n,), int64, or None. First the training part.
    cut : int
        Where the test part begins.
    classes : int
        Number of classes, 0 without labels.
    event_shape : tuple of int
        ``(1, height, width)``.
    """

    entropy = noise = noise_range = None

    def __init__(self, name: str, title: str, description: str, pixels: np.ndarray,
                 labels: np.ndarray | None, grey_levels: int, tests: int | None = None) -> None:
        self.name, self.title, self.description = name, title, description
        self.grey_levels = grey_levels
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
        return len(self.pixels)

    def __repr__(self) -> str:
        return f"image_set({self.name!r})"

    def part(self, test: bool) -> tuple[Tensor, Tensor | None]:
        """Pixels and labels of the training or the test part."""
        here = slice(self.cut, None) if test else slice(0, self.cut)
        return self.pixels[here], None if self.labels is None else self.labels[here]


def dequantise(pixels: Tensor, generator: torch.Generator | None = None,
               dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels as real numbers, with uniform noise in [0, 1) added.

    Parameters
    ----------
    pixels : Tensor
        Whole numbers, any shape.
    generator : torch.Generator, optional
        Source of the noise, on the pixels' device; torch's global one when left out.
    dtype : torch.dtype
        Of the result.

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


_SETS: dict[str, Callable[[], Images]] = {
    "digits": _digits, "mnist": _mnist, "fashion_mnist": _fashion_mnist}


def images() -> tuple[str, ...]:
    """Return the names of all image sets; the first needs no network.

    Examples
    --------
    >>> images()
    ('digits', 'mnist', 'fashion_mnist')
    """
    return tuple(_SETS)


@lru_cache(maxsize=8)
def image_set(name: str) -> Images:
    """Return the images of that name; the same object each time.

    Parameters
    ----------
    name : str
        One of :func:`images`, or the name of own images in :mod:`flowlab.data.store`.

    Raises
    ------
    ValueError
        If there is no such set, or it is not on this machine and cannot be fetched.

    Examples
    --------
    >>> digits = image_set("digits")
    >>> digits.event_shape, digits.grey_levels, digits.classes, len(digits)
    ((1, 8, 8), 17, 10, 1797)
    """
    if is_own(name):
        return own_images(load(name), name)
    if name not in _SETS:
        raise ValueError(f"There are no images called {name!r}; choose one of: "
                         f"{', '.join(_SETS)}.")
    return _SETS[name]()


def is_image_set(name: str) -> bool:
    """Whether a run's ``data`` names images, not a distribution or points."""
    return name in _SETS or (is_own(name) and _is_album(name))


@lru_cache(maxsize=64)
def _is_album(name: str) -> bool:
    return load(name).ndim == 3


def at_hand(name: str) -> bool:
    """Whether these images can be had without the network."""
    return name not in OPENML or openml.kept(OPENML[name])


def own_images(pixels: np.ndarray, name: str) -> Images:
    """Return images of a user's own, shape (n, height, width), uint8.

    Raises
    ------
    ValueError
        If the array holds points or one picture.
    """
    if pixels.ndim != 3:
        raise ValueError(f"The own data {name!r} are no images: choose them as points.")
    return Images(name, "Own images", f"{len(pixels):,} images of your own.", pixels, None, 256)
