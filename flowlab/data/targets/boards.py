"""Uniform squares, sharp or blurred by Gaussian noise."""

import math

import numpy as np
import torch
from torch import Tensor

from flowlab.data.targets.quadrature import entropy_on_product, panels
from flowlab.data.targets.target import Target, square_window

_SHARP = 1e-6  # noise below this vanishes in float32


class Board(Target):
    """Uniform on equal squares of a board, moved by Gaussian noise.

    The squares form groups; a group is every crossing of some columns with some rows. With
    ``F_c(t) = Phi((t - c + h) / noise) - Phi((t - c - h) / noise)``, which for noise 0 is the
    indicator of ``|t - c| <= h``,

        ``p(x) = 1/area sum_groups (sum_columns F_c(x_1)) (sum_rows F_r(x_2))``.

    Parameters
    ----------
    groups
        Pairs of centres of columns and centres of rows; no square may come twice.
    half
        Half the side of a square.
    noise
        Standard deviation of the noise; below 1e-6 the squares are sharp.
    """

    noise: float

    def __init__(
        self,
        groups: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...],
        half: float,
        noise: float | None = None,
    ) -> None:
        super().__init__(noise)
        self._groups, self._half = groups, half
        self._squares = np.array([(c, r) for cs, rs in groups for c in cs for r in rs])
        self.full_support = self.noise >= _SHARP
        low, high = self._squares.min(axis=0) - half, self._squares.max(axis=0) + half
        self.limits = square_window(low, high, max(0.5, 3 * self.noise))

    @property
    def _area(self) -> float:
        return len(self._squares) * (2 * self._half) ** 2

    def _draw(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        centre = self._squares[rng.integers(len(self._squares), size=n)]
        inside = rng.uniform(-self._half, self._half, size=(n, 2))
        return centre + inside + self.noise * rng.standard_normal((n, 2))

    def _log_density(self, x: Tensor) -> Tensor:
        return self._log_blurred(x) if self.full_support else self._log_sharp(x)

    def _log_sharp(self, x: Tensor) -> Tensor:
        # Edges count as inside: rounding to float32 puts samples there.
        gap = (x[:, None] - torch.from_numpy(self._squares).to(x)).abs().amax(2).amin(1)
        constant = 0 * x.sum(1) - math.log(self._area)  # keeps the gradient, which is 0
        return torch.where(gap <= self._half, constant, -torch.inf)

    def _log_blurred(self, x: Tensor) -> Tensor:
        terms = [
            self._log_band(x[:, :1], columns) + self._log_band(x[:, 1:], rows)
            for columns, rows in self._groups
        ]
        return torch.stack(terms, dim=1).logsumexp(1) - math.log(self._area)

    def _log_band(self, t: Tensor, centres: tuple[float, ...]) -> Tensor:
        """Return ``log sum_c F_c(t)``, shape ``(n,)``, finite wherever ``t`` is."""
        distance = (t - torch.tensor(centres, dtype=t.dtype, device=t.device)).abs()
        # The farther tail is always small compared with the nearer one.
        near = torch.special.log_ndtr((self._half - distance) / self.noise)
        far = torch.special.log_ndtr(-(self._half + distance) / self.noise)
        return (near + torch.log1p(-(far - near).exp())).logsumexp(1)

    def _entropy(self) -> float:
        if not self.full_support:
            return math.log(self._area)
        x, y = (self._rule(centres) for centres in self._squares.T)
        return entropy_on_product(self._log_density, x, y)

    def _rule(self, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return a rule along one axis that is fine near the edges of the squares."""
        edges = np.unique([centres - self._half, centres + self._half])
        steps = self.noise * np.array([-8, -5, -2.5, 0, 2.5, 5, 8])
        return panels(np.unique(edges[:, None] + steps), order=10)


class Checkerboard(Board):
    """Uniform on eight of the sixteen squares of side 2 of ``[-4, 4]²``."""

    name = "checkerboard"
    title = "Checkerboard"
    description = "Every second square of a board: sharp edges and corners are hard for a flow."
    default_noise = 0.0
    noise_range = (0.0, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        left, right = (-3.0, 1.0), (-1.0, 3.0)
        super().__init__(((left, left), (right, right)), 1.0, noise)


class UniformSquare(Board):
    """Uniform on ``[-2, 2]²``."""

    name = "uniform_square"
    title = "Uniform square"
    description = "The same density everywhere in a square, and none outside."
    default_noise = 0.0
    noise_range = (0.0, 0.5)

    def __init__(self, noise: float | None = None) -> None:
        super().__init__((((0.0,), (0.0,)),), 2.0, noise)
