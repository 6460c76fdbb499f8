"""Circles with Gaussian noise, whose density has a closed form."""

import math

import numpy as np
import torch
from sklearn.datasets import make_circles
from torch import Tensor

from flowlab.data.targets.gaussians import SHUFFLED
from flowlab.data.targets.quadrature import panels
from flowlab.data.targets.target import Target, square_window


class Concentric(Target):
    """Concentric circles, moved by Gaussian noise.

    For one circle of radius ``r`` the integral over the circle is a Bessel function
    (the Rice distribution; Rice, 1945):

        ``p(x) = exp(-(|x|² + r²) / 2 noise²) I_0(|x| r / noise²) / (2 pi noise²)``.

    Parameters
    ----------
    radii
        Radii of the circles.
    weights
        Probability of each circle; their sum is 1.
    noise
        Standard deviation of the noise.
    """

    noise: float

    def __init__(
        self, radii: tuple[float, ...], weights: tuple[float, ...], noise: float | None = None
    ) -> None:
        super().__init__(noise)
        self._radii, self._weights = radii, weights
        edge = max(radii)
        self.limits = square_window((-edge, -edge), (edge, edge), max(4 * self.noise, 0.25))

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        radius = rng.choice(self._radii, size=n, p=self._weights)
        angle = 2 * np.pi * rng.random(n)
        on_circle = np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))
        return on_circle + self.noise * rng.standard_normal((n, 2))

    def _log_density(self, x: Tensor) -> Tensor:
        return self._log_at_distance(torch.linalg.vector_norm(x, dim=1))

    def _log_at_distance(self, distance: Tensor) -> Tensor:
        variance = self.noise**2
        radii = torch.tensor(self._radii, dtype=distance.dtype, device=distance.device)
        log_weights = torch.tensor(self._weights, dtype=torch.float64).log().to(distance)
        d = distance[:, None]
        # i0e(z) = exp(-z) I_0(z) neither overflows nor vanishes.
        bessel = torch.special.i0e(d * radii / variance).log()
        terms = log_weights + bessel - 0.5 * (d - radii).square() / variance
        return terms.logsumexp(1) - math.log(2 * math.pi * variance)

    def _entropy(self) -> float:
        end = max(self._radii) + 10 * self.noise
        nodes, weights = panels(np.linspace(0, end, 1 + math.ceil(end / self.noise)))
        distance = torch.from_numpy(nodes)
        log_p = self._log_at_distance(distance)
        area = 2 * math.pi * distance * torch.from_numpy(weights)
        return -float((area * log_p.exp() * log_p).sum())


class Circles(Concentric):
    """:func:`sklearn.datasets.make_circles` in its own units: radii 1 and 0.5."""

    name = "circles"
    title = "Two circles"
    description = "A circle inside a circle: a flow cannot close a ring without a seam."
    default_noise = 0.05
    noise_range = (0.01, 0.5)

    INNER = 0.5

    def __init__(self, noise: float | None = None) -> None:
        super().__init__((1.0, self.INNER), (0.5, 0.5), noise)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        points, _ = make_circles(
            max(n, SHUFFLED), noise=self.noise, factor=self.INNER, random_state=seed
        )
        return points[:n]


class Rings(Concentric):
    """Four rings of equal density along them: points in proportion to the radius."""

    name = "rings"
    title = "Four rings"
    description = "Four rings around one centre: many holes for a map that cannot make holes."
    default_noise = 0.1
    noise_range = (0.02, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        super().__init__((0.75, 1.5, 2.25, 3.0), (0.1, 0.2, 0.3, 0.4), noise)
