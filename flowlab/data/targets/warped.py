"""Gaussians bent by a formula: density and entropy in closed form."""

import math

import numpy as np
from torch import Tensor

from flowlab.data.targets.target import Target, gaussian_entropy

_LOG_TWO_PI = math.log(2 * math.pi)


def _log_normal(x: Tensor, sigma: float) -> Tensor:
    return -0.5 * ((x / sigma).square() + _LOG_TWO_PI) - math.log(sigma)


class Banana(Target):
    """``x_1 ~ N(0, 1.2²)``, ``x_2 ~ N(x_1² / 2 - 1, noise²)``.

    Shearing one coordinate by a function of the other keeps areas, so the entropy is that of
    the two Gaussians.
    """

    noise: float

    name = "banana"
    title = "Banana"
    description = "A Gaussian bent along a parabola: one coupling layer can do it exactly."
    default_noise = 0.3
    noise_range = (0.05, 1.0)
    limits = (-4.5, 4.5, -3.5, 5.5)

    WIDTH = 1.2

    def _draw(self, n: int, seed: int) -> np.ndarray:
        normal = np.random.default_rng(seed).standard_normal((n, 2))
        first = self.WIDTH * normal[:, 0]
        return np.column_stack((first, 0.5 * first**2 - 1 + self.noise * normal[:, 1]))

    def _log_density(self, x: Tensor) -> Tensor:
        first, second = x.unbind(1)
        ridge = 0.5 * first.square() - 1
        return _log_normal(first, self.WIDTH) + _log_normal(second - ridge, self.noise)

    def _entropy(self) -> float:
        return gaussian_entropy(self.WIDTH, self.noise)


class Cosine(Target):
    """``x_1 ~ N(0, 1.5²)``, ``x_2 ~ N(1.5 cos(2 x_1), noise²)``."""

    noise: float

    name = "cosine"
    title = "Cosine wave"
    description = "Points along a cosine wave: one coordinate moves by a function of the other."
    default_noise = 0.2
    noise_range = (0.05, 1.0)

    WIDTH = 1.5
    limits = (-4.5, 4.5, -4.5, 4.5)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        normal = np.random.default_rng(seed).standard_normal((n, 2))
        first = self.WIDTH * normal[:, 0]
        return np.column_stack((first, 1.5 * np.cos(2 * first) + self.noise * normal[:, 1]))

    def _log_density(self, x: Tensor) -> Tensor:
        first, second = x.unbind(1)
        wave = 1.5 * (2 * first).cos()
        return _log_normal(first, self.WIDTH) + _log_normal(second - wave, self.noise)

    def _entropy(self) -> float:
        return gaussian_entropy(self.WIDTH, self.noise)


class Funnel(Target):
    """``x_2 ~ N(0, 1.5²)``, ``x_1 ~ N(0, exp(x_2))``.

    Neal, *Slice sampling* (2003), section 8, with half his spread so that the picture fits.
    """

    name = "funnel"
    title = "Funnel"
    description = "Wide at the top, ever narrower below: the scale itself is random."
    limits = (-7.5, 7.5, -7.5, 7.5)

    SPREAD = 1.5
    # Forty standard deviations down, where the density is 0 in float64, the neck stops narrowing,
    # so that gradients stay finite in float32.
    _LOWEST = -60.0

    def _draw(self, n: int, seed: int) -> np.ndarray:
        normal = np.random.default_rng(seed).standard_normal((n, 2))
        second = self.SPREAD * normal[:, 1]
        return np.column_stack((np.exp(second / 2) * normal[:, 0], second))

    def _log_density(self, x: Tensor) -> Tensor:
        first, second = x.unbind(1)
        log_variance = second.clamp(min=self._LOWEST)
        squared = first.square() * (-log_variance).exp()
        across = -0.5 * (squared + log_variance + _LOG_TWO_PI)
        return across + _log_normal(second, self.SPREAD)

    def _entropy(self) -> float:
        # E[log exp(x_2 / 2)] = 0, so the narrowing does not count.
        return gaussian_entropy(1.0, self.SPREAD)
