"""Distributions in the plane with a known density."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from flowlab.data.source import Source, Window

_LARGEST_SEED = 2**32 - 1  # what NumPy's and scikit-learn's random states accept


class Target(Source, ABC):
    """A distribution in the plane whose density is known.

    A subclass names itself and gives three things: points (``_draw``), their log-density
    (``_log_density``) and the entropy (``_entropy``). Checks, types and caching are here; the
    attributes are those of `flowlab.data.source.Source`.

    Parameters
    ----------
    noise
        Noise level in the data's own units; None means ``default_noise``.

    Raises
    ------
    ValueError
        If the noise is outside ``noise_range``, or given where it has no meaning.
    """

    kind: Literal["distribution"] = "distribution"
    event_shape = (2,)
    limits: Window
    full_support = True

    def __init__(self, noise: float | None = None) -> None:
        self.noise = self.check_noise(noise)

    def __repr__(self) -> str:
        noise = "" if self.noise is None else f", noise={self.noise:g}"
        return f"target({self.name!r}{noise})"

    def __reduce__(self) -> tuple[type["Target"], tuple[Any, ...]]:
        return type(self), (self.noise,)  # it is pickled as its arguments

    @classmethod
    def check_noise(cls, noise: float | None) -> float | None:
        """Return the noise level to use.

        Parameters
        ----------
        noise
            The requested level; None means the default.

        Returns
        -------
        float or None
            The level; None for a target without noise.

        Raises
        ------
        ValueError
            If the level is outside ``noise_range``, or given where it has no meaning.
        """
        if noise is None:
            return cls.default_noise
        if cls.noise_range is None:
            raise ValueError(f"The target {cls.name!r} has no noise level; leave the noise out.")
        low, high = cls.noise_range
        number = isinstance(noise, Real) and not isinstance(noise, bool)
        if not number or not low <= noise <= high:
            raise ValueError(
                f"The noise of {cls.name!r} must be a number from {low:g} to {high:g}; "
                f"{noise!r} is not."
            )
        return float(noise)

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Draw points.

        Parameters
        ----------
        n
            Number of points, at least 1.
        seed
            Integer from 0 to 2**32 - 1. The same seed gives the same points; the global random
            states of NumPy and PyTorch are neither read nor changed.

        Returns
        -------
        Tensor
            Shape ``(n, 2)``, float32, in random order.

        Raises
        ------
        ValueError
            If ``n`` or ``seed`` is not such an integer.
        """
        check_draw(n, seed)
        points = np.ascontiguousarray(self._draw(int(n), int(seed)), dtype=np.float32)
        return torch.from_numpy(points)

    def log_prob(self, x: Tensor) -> Tensor:
        """Return the exact log-density.

        Parameters
        ----------
        x
            Points, shape ``(n, 2)`` (or ``(..., 2)``), any floating-point type and device.

        Returns
        -------
        Tensor
            Shape ``(n,)`` (or ``(...)``), nats, the type of ``x``; differentiable by autograd,
            -inf outside the support.

        Raises
        ------
        ValueError
            If ``x`` is no floating-point tensor whose last dimension is 2.
        """
        if not isinstance(x, Tensor) or not x.is_floating_point():
            raise ValueError("log_prob needs a floating-point tensor; convert x with x.float().")
        if x.ndim == 0 or x.shape[-1] != 2:
            raise ValueError(f"log_prob needs points of shape (n, 2); got {tuple(x.shape)}.")
        # Sixteen bits are too few for the squares and exponentials inside.
        points = x if x.dtype in (torch.float32, torch.float64) else x.float()
        log_density = self._log_density(points.reshape(-1, 2))
        return log_density.reshape(x.shape[:-1]).to(x.dtype)

    @cached_property
    def entropy(self) -> float:
        """Differential entropy in nats, accurate to 1e-3: no model's NLL can be lower.

        It is computed at the first access.
        """
        return float(self._entropy())

    @abstractmethod
    def _draw(self, n: int, seed: int) -> np.ndarray:
        """Return ``n`` points, shape ``(n, 2)``, in random order."""

    @abstractmethod
    def _log_density(self, x: Tensor) -> Tensor:
        """Return the log-density at ``x``, shape ``(n, 2)``, float32 or float64, as ``(n,)``."""

    @abstractmethod
    def _entropy(self) -> float:
        """Return the differential entropy in nats."""


def check_draw(n: Any, seed: Any) -> None:
    """Raise ValueError unless ``n`` points can be drawn with this ``seed``."""
    if not _is_integer(n) or n < 1:
        raise ValueError(f"The number of points must be an integer of at least 1; got {n!r}.")
    if not _is_integer(seed) or not 0 <= seed <= _LARGEST_SEED:
        raise ValueError(
            f"The seed must be an integer from 0 to {_LARGEST_SEED}; got {seed!r}."
        )


def gaussian_entropy(*sigmas: float) -> float:
    """Return the entropy of independent Gaussians, ``sum_i log(sigma_i sqrt(2 pi e))``.

    Parameters
    ----------
    *sigmas
        Standard deviations, all positive.

    Returns
    -------
    float
        Nats.
    """
    return sum(0.5 * math.log(2 * math.pi * math.e) + math.log(sigma) for sigma in sigmas)


def square_window(
    low: Sequence[float], high: Sequence[float], margin: float
) -> Window:
    """Return the square window around a box.

    Parameters
    ----------
    low, high
        Opposite corners of the box around the data without noise.
    margin
        Space on each side.

    Returns
    -------
    tuple of float
        ``(xmin, xmax, ymin, ymax)``, rounded outwards to steps of 0.25.
    """
    xmin, ymin = (math.floor(4 * round(float(a) - margin, 6)) / 4 for a in low)
    xmax, ymax = (math.ceil(4 * round(float(a) + margin, 6)) / 4 for a in high)
    x, y = (xmin + xmax) / 2, (ymin + ymax) / 2
    half = max(xmax - xmin, ymax - ymin) / 2
    return x - half, x + half, y - half, y + half


def _is_integer(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
