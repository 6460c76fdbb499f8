"""The invertible linear map of Glow, in its PLU form."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.equations import Step


def solvable(dtype: torch.dtype) -> torch.dtype:
    """The type in which equations are solved, since solvers need at least float32."""
    return torch.promote_types(dtype, torch.float32)


class Linear(Bijection):
    r"""An invertible 1×1 convolution, on vectors a linear map: :math:`z = W x`.

    .. math:: W = P L (U + \operatorname{diag}(s)), \qquad \log|\det W| = \sum_i \log|s_i|

    (Glow, eqs. 10 and 11), with ``P`` a fixed permutation, ``L`` unit lower and ``U`` strictly
    upper triangular. The signs of ``s`` are fixed and :math:`\log|s|` is learned, so ``W`` never
    becomes singular, and its inverse is two triangular solves.

    Parameters
    ----------
    features : int
        Length of a vector.
    rotation : bool
        Whether it starts as a random rotation; else it reverses the order of the coordinates, so
        that couplings change the halves in turn at first.
    """

    permutation: Tensor
    sign: Tensor
    identity: Tensor

    def __init__(self, features: int, rotation: bool = True) -> None:
        super().__init__()
        start = torch.linalg.qr(torch.randn(features, features))[0] if rotation else (
            torch.eye(features).flip(0))
        permutation, lower, upper = torch.linalg.lu(start)
        s = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", s.sign())
        self.log_s = nn.Parameter(s.abs().log())
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))
        self.register_buffer("identity", torch.eye(features), persistent=False)

    def factors(self) -> tuple[Tensor, Tensor]:
        """``L`` and ``U + diag(s)``."""
        s = torch.diag(self.sign * self.log_s.exp())
        return self.lower.tril(-1) + self.identity, self.upper.triu(1) + s

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        kind = solvable(z.dtype)
        lower, upper = (factor.to(kind) for factor in self.factors())
        y = torch.linalg.solve_triangular(lower, (z @ self.permutation).T.to(kind), upper=False,
                                          unitriangular=True)
        x = torch.linalg.solve_triangular(upper, y, upper=True)
        return x.T.to(z.dtype), -self.log_s.sum().expand(z.shape[0])

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        weight = self.permutation @ lower @ upper
        return x @ weight.T, self.log_s.sum().expand(x.shape[0])

    def equations(self) -> Step:
        return Step("learned mixing", r"x = W^{-1} z", r"z = W x", r"-\log|\det W|")

    @staticmethod
    def affine(layers: Sequence["Linear"]) -> tuple[Tensor, Tensor, Tensor]:
        """The inverses of m layers as :math:`A x + b`, (m, d, d) and (m, d, 1); total log-det."""
        permutation, sign, log_s, lower, upper = (
            torch.stack([getattr(layer, name) for layer in layers])
            for name in ("permutation", "sign", "log_s", "lower", "upper"))
        lower = lower.tril(-1) + layers[0].identity
        upper = upper.triu(1) + torch.diag_embed(sign * log_s.exp())
        weight = permutation @ lower @ upper
        return weight, torch.zeros_like(weight[:, :, :1]), log_s.sum()
