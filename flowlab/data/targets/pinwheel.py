"""A pinwheel: Gaussian blobs twisted around the centre."""

import math

import numpy as np
import torch
from torch import Tensor

from flowlab.data.targets.quadrature import entropy_on_product
from flowlab.data.targets.target import Target


class Pinwheel(Target):
    """Five long Gaussians around the centre, then twisted.

    The twist turns a point ``y`` by an angle that depends only on its distance from the centre,
    ``x = R(0.6 |y|) y``. It keeps every circle's area, so its Jacobian determinant is 1 and

        ``p(x) = 1/5 sum_k N(R(-2 pi k / 5 - 0.6 |x|) x; (2, 0), diag(0.6², noise²))``.

    It looks like the pinwheel of Johnson et al., *Composing graphical models with neural networks*
    (2016), whose twist has no inverse in closed form.
    """

    noise: float

    name = "pinwheel"
    title = "Pinwheel"
    description = "Five bent blades around a centre: turning and stretching at once."
    default_noise = 0.2
    noise_range = (0.05, 0.5)
    limits = (-4.5, 4.5, -4.5, 4.5)

    ARMS = 5
    DISTANCE = 2.0
    LENGTH = 0.6
    TWIST = 0.6

    def __init__(self, noise: float | None = None) -> None:
        super().__init__(noise)
        angle = torch.arange(self.ARMS) * (2 * math.pi / self.ARMS) + self.TWIST * self.DISTANCE
        self.modes = self.DISTANCE * torch.stack((angle.cos(), angle.sin()), dim=1)

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        blade = rng.standard_normal((n, 2)) * (self.LENGTH, self.noise) + (self.DISTANCE, 0)
        angle = rng.integers(self.ARMS, size=n) * (2 * np.pi / self.ARMS)
        angle = angle + self.TWIST * np.hypot(blade[:, 0], blade[:, 1])
        turned = (blade[:, 0] + 1j * blade[:, 1]) * np.exp(1j * angle)
        return np.column_stack((turned.real, turned.imag))

    def _log_density(self, x: Tensor) -> Tensor:
        angle = -self.TWIST * torch.linalg.vector_norm(x, dim=1)
        c, s = angle.cos(), angle.sin()
        return self._log_untwisted(
            torch.stack((c * x[:, 0] - s * x[:, 1], s * x[:, 0] + c * x[:, 1]), dim=1)
        )

    def _log_untwisted(self, y: Tensor) -> Tensor:
        """Return the log-density before the twist, a mixture of five long Gaussians."""
        angle = torch.arange(self.ARMS).to(y) * (2 * math.pi / self.ARMS)
        c, s = angle.cos(), angle.sin()
        along = y[:, :1] * c + y[:, 1:] * s - self.DISTANCE
        across = y[:, 1:] * c - y[:, :1] * s
        terms = -0.5 * ((along / self.LENGTH).square() + (across / self.noise).square())
        scale = 2 * math.pi * self.LENGTH * self.noise * self.ARMS
        return terms.logsumexp(1) - math.log(scale)

    def _entropy(self) -> float:
        # A map with Jacobian determinant 1 keeps the entropy, so straight blades are enough.
        end = self.DISTANCE + 6 * self.LENGTH
        nodes = np.arange(-end, end, 0.5 * self.noise)
        rule = nodes, np.full_like(nodes, 0.5 * self.noise)
        return entropy_on_product(self._log_untwisted, rule, rule)
