"""Curves with Gaussian noise around them."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import make_moons, make_s_curve, make_swiss_roll
from torch import Tensor

from flowlab.data.targets.gaussians import SHUFFLED
from flowlab.data.targets.mixture import log_mixture
from flowlab.data.targets.quadrature import ORDER, entropy_near, panels
from flowlab.data.targets.target import Target, square_window

Branch = Callable[[np.ndarray], np.ndarray]
"""Maps u in [0, 1], shape (m,), to points of the plane, shape (m, 2)."""

_SPACING = 0.5  # mean distance of quadrature nodes along a curve, in standard deviations


class Curve(Target):
    """Points on a curve, moved by Gaussian noise.

    With equally likely branches ``c_1 .. c_k`` and a uniform ``u`` along each,

        ``p(x) = 1/k sum_j ∫_0^1 N(x; c_j(u), noise² I) du``.

    The integral is taken by Gauss-Legendre panels of equal arc length, with nodes half a
    standard deviation apart: close to the data the relative error is below 1e-8.

    Parameters
    ----------
    branches
        The branches, each smooth on [0, 1].
    noise
        Standard deviation of the noise.
    """

    noise: float

    def __init__(self, *branches: Branch, noise: float | None = None) -> None:
        super().__init__(noise)
        self._branches = branches
        parts = [_nodes(branch, self.noise) for branch in branches]
        self._centres = torch.from_numpy(np.concatenate([centres for centres, _ in parts]))
        weights = np.concatenate([weights for _, weights in parts]) / len(branches)
        self._weights = torch.from_numpy(weights)
        low, high = self._centres.amin(0).tolist(), self._centres.amax(0).tolist()
        self.limits = square_window(low, high, max(4 * self.noise, 0.25))

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        u = rng.random(n)
        on_curve = np.stack([branch(u) for branch in self._branches])
        chosen = on_curve[rng.integers(len(self._branches), size=n), np.arange(n)]
        return chosen + self.noise * rng.standard_normal((n, 2))

    def _log_density(self, x: Tensor) -> Tensor:
        return log_mixture(x, self._centres, self._weights, self.noise)

    def _entropy(self) -> float:
        return entropy_near(self._log_density, self._centres.numpy(), self.noise)


def _nodes(branch: Branch, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return quadrature nodes on a branch, shape ``(m, 2)``, and weights ``(m,)`` in ``u``."""
    u = np.linspace(0, 1, 4097)
    length = np.append(0, np.cumsum(np.linalg.norm(np.diff(branch(u), axis=0), axis=1)))
    count = int(np.ceil(length[-1] / (_SPACING * ORDER * sigma)))
    edges = np.interp(np.linspace(0, length[-1], count + 1), length, u)
    nodes, weights = panels(edges)
    return branch(nodes), weights


def _polar(radius: np.ndarray | float, angle: np.ndarray) -> np.ndarray:
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


class Moons(Curve):
    """:func:`sklearn.datasets.make_moons` in its own units: two half circles of radius 1."""

    name = "moons"
    title = "Two moons"
    description = "Two interlocking half moons: the classic first test of a non-linear model."
    default_noise = 0.05
    noise_range = (0.01, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(
            lambda u: _polar(1, np.pi * u),
            lambda u: (1, 0.5) - _polar(1, np.pi * u),
            noise=noise,
        )

    def _draw(self, n: int, seed: int) -> np.ndarray:
        points, _ = make_moons(max(n, SHUFFLED), noise=self.noise, random_state=seed)
        return points[:n]


class Spiral(Curve):
    """An Archimedean spiral of two turns, ``r = 0.25 angle``, evenly covered."""

    name = "spiral"
    title = "Spiral"
    description = "One spiral arm: the flow must roll up a line."
    default_noise = 0.1
    noise_range = (0.04, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(lambda u: _spiral(u, 0.25, 4 * np.pi), noise=noise)


class TwoSpirals(Curve):
    """Two Archimedean spirals of one and a half turns, ``r = angle / 3``, evenly covered."""

    name = "two_spirals"
    title = "Two spirals"
    description = "Two spiral arms wound into each other: hard, because long arms lie close."
    default_noise = 0.1
    noise_range = (0.04, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(
            lambda u: _spiral(u, 1 / 3, 3 * np.pi),
            lambda u: -_spiral(u, 1 / 3, 3 * np.pi),
            noise=noise,
        )


def _spiral(u: np.ndarray, growth: float, end: float) -> np.ndarray:
    """Return points of ``r = growth * angle`` whose density along the arm is nearly even."""
    start = np.pi / 2
    angle = np.sqrt(start**2 + u * (end**2 - start**2))
    return _polar(growth * angle, angle)


class SwissRoll(Curve):
    """The x-z plane of :func:`sklearn.datasets.make_swiss_roll`, a quarter of its size."""

    name = "swiss_roll"
    title = "Swiss roll"
    description = "A rolled-up sheet seen from the side, denser towards the middle."
    default_noise = 0.1
    noise_range = (0.04, 0.5)

    SCALE = 0.25

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(self._roll, noise=noise)

    @classmethod
    def _roll(cls, u: np.ndarray) -> np.ndarray:
        angle = 1.5 * np.pi * (1 + 2 * u)
        return _polar(cls.SCALE * angle, angle)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        points, _ = make_swiss_roll(n, noise=self.noise / self.SCALE, random_state=seed)
        return self.SCALE * points[:, [0, 2]]


class SCurve(Curve):
    """The x-z plane of :func:`sklearn.datasets.make_s_curve`: two arcs of radius 1."""

    name = "s_curve"
    title = "S curve"
    description = "A sheet bent like an S, seen from the side."
    default_noise = 0.1
    noise_range = (0.02, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        # The curvature jumps in the middle, so each half is a branch of its own.
        super().__init__(self._half, lambda u: -self._half(u), noise=noise)

    @staticmethod
    def _half(u: np.ndarray) -> np.ndarray:
        angle = 1.5 * np.pi * u
        return np.column_stack((np.sin(angle), np.cos(angle) - 1))

    def _draw(self, n: int, seed: int) -> np.ndarray:
        points, _ = make_s_curve(n, noise=self.noise, random_state=seed)
        return points[:, [0, 2]]
