"""A drawing as a density: the strokes of a brush on a square board."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlab.data.targets.mixture import log_mixture
from flowlab.data.targets.quadrature import entropy_near
from flowlab.data.targets.target import Target, square_window
from flowlab.data.uploads.table import open_npy

BOARD = 65_536  # positions along a side of the board
SIDE = 8.0  # its length in the plane: from -4 to 4
#: Radius of the finest and of the broadest brush, in positions of the board.
BRUSHES = (819, 6554)
MAX_CORNERS = 20_000
MAX_GAUSSIANS = 2_000  # with more, the density is slow
DAB = 10.0  # length of a line with the ink of a dab, in standard deviations
#: A corner of a stroke: its stroke, the radius of the brush, and its position on the board.
CORNER = np.dtype([(name, "<u2") for name in ("stroke", "brush", "x", "y")])

_BROKEN = "The drawing was damaged on its way: clear the board and draw again."


def drawn(strokes: Any) -> np.ndarray:
    """Return strokes from the board as a drawing.

    Parameters
    ----------
    strokes : list of list of int
        A list for each stroke: the radius of its brush, then x, y, x, y, … of its corners, all in
        positions from 0 to 65535, from the lower left. It comes from a browser and is checked.

    Returns
    -------
    numpy.ndarray
        Shape (corners,), of type `CORNER`.

    Raises
    ------
    ValueError
        With one sentence, when the list is not of this form, or the drawing is too long.
    """
    if not isinstance(strokes, list) or not all(isinstance(s, list) for s in strokes):
        raise ValueError(_BROKEN)
    if sum(map(len, strokes)) > 3 * MAX_CORNERS:
        raise ValueError("The drawing has too many strokes: undo some.")
    if not all(type(place) is int and 0 <= place < BOARD for s in strokes for place in s):
        raise ValueError(_BROKEN)
    if not strokes or any(len(s) < 3 or len(s) % 2 == 0 for s in strokes):
        raise ValueError(_BROKEN)
    corners = [(i, s[0], x, y) for i, s in enumerate(strokes)
               for x, y in zip(s[1::2], s[2::2], strict=True)]
    return checked(np.array(corners, dtype=CORNER))


def read_drawing(content: bytes) -> np.ndarray:
    """Read a drawing from the bytes of a NumPy file.

    Raises
    ------
    ValueError
        With one sentence, when they hold no drawing.
    """
    def check(shape: tuple[int, ...]) -> None:
        if len(shape) != 1:
            raise ValueError(_BROKEN)

    return checked(open_npy(content, check, CORNER))


def checked(corners: np.ndarray) -> np.ndarray:
    """Check the brushes and the length of a drawing, and return it.

    Raises
    ------
    ValueError
        With one sentence, when one of them is out of range.
    """
    low, high = BRUSHES
    if not 1 <= len(corners) <= MAX_CORNERS or (np.diff(corners["stroke"].astype(int)) < 0).any():
        raise ValueError(_BROKEN)
    if ((corners["brush"] < low) | (corners["brush"] > high)).any():
        raise ValueError(_BROKEN)
    if sum(_count(length, sigma) for _, length, sigma in _strokes(corners)) > MAX_GAUSSIANS:
        raise ValueError("The drawing is too long for so fine a brush: undo a stroke, or draw it "
                         "with a broader brush.")
    return corners


class Drawing(Target):
    r"""Strokes as a density of equal round Gaussians along each of them.

    .. math:: p(x) = \sum_k w_k \frac{1}{n_k} \sum_{i=1}^{n_k} N(x; c_{ki}, \sigma_k^2 I)

    The centres :math:`c_{ki}` lie along stroke :math:`k` from end to end, no farther than
    :math:`\sigma_k` apart, where the sum is as smooth as a line; :math:`\sigma_k` is half the
    radius of the brush. A stroke's weight is its ink,
    :math:`w_k \propto \sigma_k (\ell_k + 10 \sigma_k)` for a length :math:`\ell_k`, so that the
    middle of a line is equally dense for every brush. A single dab is four times as dense; at the
    density of a line, a dot such as an eye would have too little weight to be learned.

    Parameters
    ----------
    corners : numpy.ndarray
        As `drawn` returns it.
    name : str
        Its name in the store.
    """

    title = "Own drawing"
    description = ("A drawing of your own as a density: Gaussians along its strokes, as wide as "
                   "the brush. So the KL to the truth is known.")

    def __init__(self, corners: np.ndarray, name: str = "drawing") -> None:
        super().__init__(None)
        self.name = name
        self._corners = corners
        strokes = _strokes(checked(corners))
        #: How many strokes there are.
        self.strokes = len(strokes)
        parts = [_along(path, length, sigma) for path, length, sigma in strokes]
        ink = np.array([sigma * (length + DAB * sigma) for _, length, sigma in strokes])
        shares = ink / ink.sum()
        self._centres = np.concatenate(parts)
        self._weights = np.concatenate([np.full(len(part), share / len(part))
                                        for part, share in zip(parts, shares, strict=True)])
        self._sigmas = np.concatenate([np.full(len(part), sigma)
                                       for part, (*_, sigma) in zip(parts, strokes, strict=True)])
        reach = 3 * self._sigmas[:, None]
        self.limits = square_window((self._centres - reach).min(axis=0),
                                    (self._centres + reach).max(axis=0), 0.25)

    def __reduce__(self) -> tuple[type["Drawing"], tuple[Any, ...]]:
        return type(self), (self._corners, self.name)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        which = rng.choice(len(self._weights), size=n, p=self._weights)
        return self._centres[which] + self._sigmas[which, None] * rng.standard_normal((n, 2))

    def _log_density(self, x: Tensor) -> Tensor:
        parts = []
        for sigma in np.unique(self._sigmas):
            of = self._sigmas == sigma
            weights = torch.from_numpy(self._weights[of])
            share = weights.sum()
            parts.append(share.log().to(x) + log_mixture(
                x, torch.from_numpy(self._centres[of]), weights / share, float(sigma)))
        return torch.stack(parts).logsumexp(0)

    def _entropy(self) -> float:
        return entropy_near(self._log_density, self._centres, self._sigmas)


def _strokes(corners: np.ndarray) -> list[tuple[np.ndarray, float, float]]:
    """Return for each stroke its corners, its length and its standard deviation, in the plane."""
    places = np.stack([corners["x"], corners["y"]], axis=1)
    points = (places + 0.5) / BOARD * SIDE - SIDE / 2
    starts = np.flatnonzero(np.diff(corners["stroke"].astype(int))) + 1
    first = [0, *starts]
    return [(path, float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum()),
             float(corners["brush"][i]) / BOARD * SIDE / 2)
            for i, path in zip(first, np.split(points, starts), strict=True)]


def _count(length: float, sigma: float) -> int:
    """Return how many Gaussians a stroke consists of."""
    return math.ceil(length / sigma) + 1


def _along(path: np.ndarray, length: float, sigma: float) -> np.ndarray:
    """Return points at equal distances along a path."""
    way = np.concatenate([[0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    places = np.linspace(0, way[-1], _count(length, sigma))
    return np.stack([np.interp(places, way, path[:, axis]) for axis in (0, 1)], axis=1)
