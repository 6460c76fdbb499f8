"""A user's own data: points, whose density is unknown, and pictures as densities."""

import math
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flowlab.data.images import Images, are_images, parts
from flowlab.data.source import Source, Window
from flowlab.data.store import columns_of, load, title_of
from flowlab.data.targets.target import Target, check_draw, square_window
from flowlab.data.uploads.drawing import CORNER, Drawing

_SHOWN = (0.2, 99.8)  # percentiles of the points that the window spans
_UNLIKE = 4.0  # ratio of spreads above which two columns have different scales
_FINE = 2**14  # positions of samples along the side of a pixel


class Points(Source):
    """A user's own points, whose density is unknown, so that a training reports no KL.

    Parameters
    ----------
    points : numpy.ndarray
        Shape (n, d), float32, finite.
    name : str
        Its name in the store.

    """

    title = "Own points"
    kind: Literal["points"] = "points"
    count: int
    limits: Window

    def __init__(self, points: np.ndarray, name: str) -> None:
        self.name = name
        self.count, self.event_shape = len(points), points.shape[1:]
        self.description = (f"{len(points):,} points of your own. Nobody knows their density, so "
                            "only the NLL is measured, not the KL to the truth.")
        self._points = points
        self.limits = _window(points)

    def __repr__(self) -> str:
        return f"target({self.name!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns as the store has them now."""
        names = columns_of(self.name)
        return names if (len(names),) == self.event_shape else ()

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw points without replacement.

        Parameters
        ----------
        n
            Number of points; all of them where there are fewer. No point is drawn twice, so the
            test set holds no training point.
        seed
            Integer from 0 to 2**32 - 1.

        Returns
        -------
        Tensor
            Shape ``(min(n, all), d)``, float32, in random order.
        """
        check_draw(n, seed)
        order = np.random.default_rng(seed).permutation(len(self._points))[:n]
        return torch.from_numpy(self._points[order])


class Picture(Target):
    r"""A grey picture as a density that is constant in every pixel.

    With the weight :math:`w_i` of pixel :math:`i` and the area :math:`a` of a pixel,

    .. math:: p(x) = \frac{w_i}{a \sum_j w_j} \quad\text{where pixel } i \text{ holds } x,

    and the entropy is a finite sum. The side of a pixel is a power of two, so that float32 holds
    its edges exactly and no sample slips into the next pixel.

    Parameters
    ----------
    weights : numpy.ndarray
        Shape (rows, columns), uint8, the upper row first; not all zero.
    name : str
        Its name in the store.
    """

    title = "Own picture"
    description = "A picture of your own as a density: constant in every pixel."
    full_support = False

    def __init__(self, weights: np.ndarray, name: str = "picture") -> None:
        super().__init__(None)
        self.name = name
        self._weights = weights
        rows, columns = weights.shape
        self._pixel = 8.0 / 2 ** math.ceil(math.log2(max(rows, columns)))
        self._corner = np.array([-columns, -rows]) / 2  # lower left, in pixels
        upwards = weights[::-1].astype(np.float64)
        self._mass = upwards / upwards.sum()
        corner = self._corner * self._pixel
        self.limits = square_window(corner, -corner, 0.25)

    def __reduce__(self) -> tuple[type["Picture"], tuple[Any, ...]]:
        return type(self), (self._weights, self.name)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        pixel = rng.choice(self._mass.size, size=n, p=self._mass.ravel())
        row, column = np.divmod(pixel, self._mass.shape[1])
        inside = (rng.integers(_FINE, size=(n, 2)) + 0.5) / _FINE
        return (np.stack([column, row], axis=1) + inside + self._corner) * self._pixel

    def _log_density(self, x: Tensor) -> Tensor:
        with np.errstate(divide="ignore"):
            levels = np.log(self._mass) - 2 * math.log(self._pixel)
        corner = torch.from_numpy(self._corner).to(x)
        place = torch.floor(x / self._pixel - corner)
        last = torch.tensor(self._mass.shape[::-1]).to(x) - 1
        inside = ((place >= 0) & (place <= last)).all(dim=1)
        column, row = torch.where(inside[:, None], place, 0).long().unbind(1)
        level = torch.from_numpy(levels).to(x)[row, column]
        return torch.where(inside & level.isfinite(), level + 0 * x.sum(1), -torch.inf)

    def _entropy(self) -> float:
        mass = self._mass[self._mass > 0]
        return float(-(mass * np.log(mass)).sum()) + 2 * math.log(self._pixel)


@lru_cache(maxsize=16)
def own(name: str) -> Points | Picture | Drawing | Images:
    """Return the own data that are stored under this name.

    Raises
    ------
    ValueError
        If they are not in the store (any more).
    """
    found = _own(load(name), name)
    found.title = title_of(name) or found.title
    return found


def _own(array: np.ndarray, name: str) -> Points | Picture | Drawing | Images:
    if array.dtype == CORNER:
        return Drawing(array, name)
    if are_images(array):
        pixels, labels = parts(array)
        kinds = "" if labels is None else f" of {len(np.unique(labels))} classes"
        return Images(name, "Own images", f"{len(array):,} images of your own{kinds}.", pixels,
                      labels, 256)
    if array.dtype == np.uint8:
        return Picture(array, name)
    return Points(array, name)


def _window(points: np.ndarray) -> Window:
    """Return a window on the first two columns, a square where their spreads are similar."""
    low, high = np.percentile(points[:, :2].astype(np.float64), _SHOWN, axis=0)
    half = np.maximum(high - low, 1e-3) * 0.6
    if half.max() <= _UNLIKE * half.min():
        half[:] = half.max()
    (xmin, ymin), (xmax, ymax) = (low + high) / 2 - half, (low + high) / 2 + half
    return float(xmin), float(xmax), float(ymin), float(ymax)
