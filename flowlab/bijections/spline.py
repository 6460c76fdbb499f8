r"""Couplings whose inner map is a monotone spline (neural spline flows, Durkan et al., 2019).

The pieces are ratios of two quadratic polynomials (Gregory and Delbourgo, 1982), which have an
inverse and a derivative in closed form.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from flowlab.bijections.coupling import VectorCoupling
from flowlab.bijections.equations import Step

#: The least width and height of a bin, as a share of the whole, and the least slope at a knot.
LEAST = 1e-3
#: What is added to a raw slope, so that 0 stands for the slope 1.
SLOPE_ONE = math.log(math.expm1(1 - LEAST))


class Piece(NamedTuple):
    """The bin of each entry: its corner, its size, and the slopes at its two knots."""

    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    first: Tensor
    last: Tensor


class RationalQuadratic:
    r"""A monotone rational-quadratic spline within a square, and the identity outside.

    With :math:`\xi = (z - z_k) / (z_{k+1} - z_k)` and
    :math:`s_k = (x_{k+1} - x_k) / (z_{k+1} - z_k)` in the bin k between two knots,

    .. math:: x = x_k + \frac{(x_{k+1} - x_k)\,[s_k \xi^2 + \delta_k \xi (1 - \xi)]}
                             {s_k + [\delta_{k+1} + \delta_k - 2 s_k]\,\xi (1 - \xi)}

    (Durkan et al., eq. 4; Gregory and Delbourgo, 1982). It passes through the knots
    :math:`(z_k, x_k)` with the slopes :math:`\delta_k > 0`, rises everywhere, and is smooth at the
    bound, where the slope is 1.

    Parameters
    ----------
    bins : int
        Number of pieces K; the network computes K widths, K heights and K - 1 slopes (section 3.1).
    bound : float
        The square is from ``-bound`` to ``bound`` in both directions.
    """

    def __init__(self, bins: int, bound: float) -> None:
        self.bins, self.bound, self.outputs = bins, bound, 3 * bins - 1

    def knots(self, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where the knots are in z and x, and the slopes there, each ``(batch, bins + 1, n)``."""
        shape = self.outputs, parameters.shape[1] // self.outputs
        widths, heights, slopes = parameters.unflatten(1, shape).split(
            [self.bins, self.bins, self.bins - 1], 1)
        slopes = LEAST + F.softplus(slopes + SLOPE_ONE)
        one = torch.ones_like(widths[:, :1])
        return self._places(widths), self._places(heights), torch.cat([one, slopes, one], 1)

    def _places(self, raw: Tensor) -> Tensor:
        """Knots from the bound to the bound, at distances whose shares are a softmax."""
        shares = LEAST + (1 - LEAST * self.bins) * torch.softmax(raw, 1)
        inner, end = shares[:, :-1].cumsum(1), torch.ones_like(raw[:, :1])
        return self.bound * (2 * torch.cat([torch.zeros_like(end), inner, end], 1) - 1)

    def piece(self, v: Tensor, parameters: Tensor, inverse: bool) -> Piece:
        """The bin of every entry of z, or in the inverse direction of x."""
        *places, slopes = self.knots(parameters)
        k = (v[:, None] >= places[inverse][:, 1:-1]).sum(1, keepdim=True)
        (left, right), (bottom, top), (first, last) = (
            (t.gather(1, k)[:, 0], t.gather(1, k + 1)[:, 0]) for t in (*places, slopes))
        return Piece(left, right - left, bottom, top - bottom, first, last)

    def forward(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        v = z.clamp(-self.bound, self.bound)
        p = self.piece(v, parameters, inverse=False)
        xi, slope = (v - p.left) / p.width, p.height / p.width
        rest = xi * (1 - xi)
        x = p.bottom + p.height * (slope * xi.square() + p.first * rest) / (
            slope + (p.last + p.first - 2 * slope) * rest)
        return self._inside(z, x, self.log_slope(p, xi))

    def inverse(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        v = x.clamp(-self.bound, self.bound)
        p = self.piece(v, parameters, inverse=True)
        xi = self.root(p, v - p.bottom)
        return self._inside(x, p.left + p.width * xi, -self.log_slope(p, xi))

    @staticmethod
    def root(p: Piece, rise: Tensor) -> Tensor:
        r"""The :math:`\xi` at which the spline is ``rise`` above the bin's lower knot.

        It solves :math:`a \xi^2 + b \xi + c = 0` (eqs. 6 to 8; section 3.1 shows that it is this
        root). Of its two forms the one without cancellation is taken.
        """
        slope = p.height / p.width
        bend = rise * (p.last + p.first - 2 * slope)
        a, b, c = p.height * (slope - p.first) + bend, p.height * p.first - bend, -slope * rise
        root = (b.square() - 4 * a * c).clamp(min=torch.finfo(b.dtype).tiny).sqrt()
        return torch.where(b > 0, -2 * c, root - b) / torch.where(b > 0, b + root, 2 * a)

    @staticmethod
    def log_slope(p: Piece, xi: Tensor) -> Tensor:
        """The logarithm of the derivative ∂x/∂z (eq. 5)."""
        slope, rest = p.height / p.width, xi * (1 - xi)
        top = p.last * xi.square() + 2 * slope * rest + p.first * (1 - xi).square()
        return 2 * slope.log() + top.log() - 2 * (
            slope + (p.last + p.first - 2 * slope) * rest).log()

    def _inside(self, v: Tensor, mapped: Tensor, log_slope: Tensor) -> tuple[Tensor, Tensor]:
        """What was mapped within the bound, or is NaN; outside the identity."""
        outside = v.abs() > self.bound
        return torch.where(outside, v, mapped), torch.where(outside, 0, log_slope)


class SplineCoupling(VectorCoupling):
    """A coupling that maps each entry by a spline with knots that the other half decides.

    Durkan et al., section 3.2.

    Parameters
    ----------
    features, flip, hidden, activation, classes
        As for `flowlab.bijections.coupling.VectorCoupling`.
    bins, bound
        As for `RationalQuadratic`.
    """

    def __init__(self, features: int, flip: bool, hidden: Sequence[int] = (64, 64),
                 activation: str = "relu", classes: int = 0, bins: int = 8,
                 bound: float = 4.0) -> None:
        super().__init__(features, flip, hidden, activation, RationalQuadratic(bins, bound),
                         classes)

    def equations(self) -> Step:
        a, b, arrow = self.in_the_plane()
        return Step(f"spline coupling {arrow}",
                    rf"x_{b} = g_{{m(z_{a})}}(z_{b}), \quad x_{a} = z_{a}",
                    rf"z_{b} = g_{{m(x_{a})}}^{{-1}}(x_{b}), \quad z_{a} = x_{a}",
                    rf"\log g_{{m(z_{a})}}'(z_{b})")
