"""One Gaussian, and several."""

import math

import numpy as np
import torch
from sklearn.datasets import make_blobs
from torch import Tensor

from flowlab.data.targets.mixture import log_mixture
from flowlab.data.targets.quadrature import entropy_near, panels
from flowlab.data.targets.target import Target, gaussian_entropy, square_window

SHUFFLED = 1000  # scikit-learn spaces points evenly: fewer are drawn from so many, shuffled


class Gaussian(Target):
    """``N(0, R diag(1.5², noise²) R^T)``, with ``R`` a rotation by 30 degrees."""

    noise: float

    name = "gaussian"
    title = "Gaussian"
    description = "One tilted Gaussian: the easiest target, a straight map from noise to data."
    default_noise = 0.5
    noise_range = (0.1, 1.5)

    LENGTH = 1.5
    ANGLE = math.pi / 6

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(noise)
        c, s = math.cos(self.ANGLE), math.sin(self.ANGLE)
        self._axes = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
        self._sigmas = torch.tensor([self.LENGTH, self.noise], dtype=torch.float64)
        self.limits = square_window((0, 0), (0, 0), 3 * self.LENGTH)
        self.modes = torch.zeros(1, 2)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        normal = np.random.default_rng(seed).standard_normal((n, 2))
        return normal @ (self._axes * self._sigmas).numpy().T

    def _log_density(self, x: Tensor) -> Tensor:
        z = x @ (self._axes / self._sigmas).to(x)
        return -0.5 * z.square().sum(1) - math.log(2 * math.pi * self.LENGTH * self.noise)

    def _entropy(self) -> float:
        return gaussian_entropy(self.LENGTH, self.noise)


class Stripes(Target):
    """``1/3 sum_{c = -2, 0, 2} N(x; R (0, c), R diag(1.5², noise²) R^T)``, ``R`` by 45 degrees."""

    noise: float

    name = "stripes"
    title = "Tilted stripes"
    description = "Three parallel stripes at 45 degrees: a lesson on which directions to mix."
    default_noise = 0.2
    noise_range = (0.05, 0.5)

    LENGTH = 1.5
    CENTRES = (-2.0, 0.0, 2.0)
    ANGLE = math.pi / 4

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(noise)
        c, s = math.cos(self.ANGLE), math.sin(self.ANGLE)
        self._axes = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
        self.limits = square_window((0, 0), (0, 0), 3 * self.LENGTH)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        along, across = rng.standard_normal((2, n)) * [[self.LENGTH], [self.noise]]
        across += rng.choice(self.CENTRES, size=n)
        return np.column_stack((along, across)) @ self._axes.numpy().T

    def _log_density(self, x: Tensor) -> Tensor:
        along, across = (x @ self._axes.to(x)).unbind(1)
        return (self._log_across(across) - 0.5 * (along / self.LENGTH).square()
                - math.log(self.LENGTH * math.sqrt(2 * math.pi)))

    def _log_across(self, across: Tensor) -> Tensor:
        """Return the log-density across the stripes."""
        distances = (across[:, None] - across.new_tensor(self.CENTRES)) / self.noise
        return (-0.5 * distances.square()).logsumexp(1) - math.log(
            len(self.CENTRES) * self.noise * math.sqrt(2 * math.pi))

    def _entropy(self) -> float:
        ends = max(self.CENTRES) + 8 * self.noise
        across, weights = map(torch.from_numpy, panels(np.linspace(-ends, ends, 161)))
        log_p = self._log_across(across)
        return gaussian_entropy(self.LENGTH) - float((weights * log_p.exp() * log_p).sum())


class Blobs(Target):
    """Equal round Gaussians, ``p(x) = 1/k sum_i N(x; c_i, noise² I)``.

    Points come from :func:`sklearn.datasets.make_blobs`.

    Parameters
    ----------
    centres
        Centres of the blobs, shape ``(k, 2)``.
    noise
        Standard deviation of each blob.
    """

    noise: float

    def __init__(self, centres: np.ndarray, noise: float | None = None) -> None:
        super().__init__(noise)
        self._centres = centres
        self.modes = torch.from_numpy(centres).float()
        self.limits = square_window(centres.min(axis=0), centres.max(axis=0), 4 * self.noise)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        points, _ = make_blobs(
            max(n, SHUFFLED), centers=self._centres, cluster_std=self.noise, random_state=seed
        )
        return points[:n]

    def _log_density(self, x: Tensor) -> Tensor:
        centres = torch.from_numpy(self._centres)
        weights = torch.full_like(centres[:, 0], 1 / len(centres))
        return log_mixture(x, centres, weights, self.noise)

    def _entropy(self) -> float:
        return entropy_near(self._log_density, self._centres, self.noise)


class EightGaussians(Blobs):
    """Eight blobs on a circle of radius 3."""

    name = "eight_gaussians"
    title = "Eight Gaussians"
    description = "Eight separate blobs on a circle: a flow must tear one blob into eight."
    default_noise = 0.25
    noise_range = (0.05, 1.0)

    def __init__(self, noise: float | None = None) -> None:
        angle = np.arange(8) * np.pi / 4
        super().__init__(3 * np.column_stack((np.cos(angle), np.sin(angle))), noise)


class GridGaussians(Blobs):
    """Twenty-five blobs on a five by five grid, 1.5 apart."""

    name = "grid_gaussians"
    title = "Grid of Gaussians"
    description = "Twenty-five blobs in rows and columns: a test of how many modes are found."
    default_noise = 0.15
    noise_range = (0.05, 0.75)

    def __init__(self, noise: float | None = None) -> None:
        side = 1.5 * np.arange(-2, 3)
        super().__init__(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), noise)
