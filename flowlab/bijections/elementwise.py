r"""Elementwise affine maps: one shift and one scale for each feature.

All compute ``x = shift + scale ⊙ z`` with the log-determinant :math:`\sum_i \log|\text{scale}_i|`,
the same for every sample. On images of shape ``(channels, height, width)`` the scales may have the
shape ``(channels, 1, 1)``: then all pixels of a channel share its scale, which counts for each.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.equations import Step

#: A feature with a deviation below this many rounding errors of its mean counts as constant.
RESOLVED = 16


def mean_over(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Mean of ``(batch, *event_shape)`` over the batch and the dimensions that are 1 in ``shape``.
    """  # noqa: D200
    if tuple(shape) == tuple(x.shape[1:]):
        return x.mean(0)
    return x.mean([0, *(i for i, n in enumerate(shape, 1) if n == 1)], keepdim=True)[0]


def moments(x: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation as in `mean_over`; the deviation of a constant feature is 1.

    Both are computed in float64 and returned in the type of ``x``.
    """
    wide = x.double()
    mean = mean_over(wide, shape)
    std = mean_over((wide - mean).square(), shape).sqrt()
    constant = std <= RESOLVED * torch.finfo(torch.float64).eps * mean.abs()
    return mean.to(x.dtype), torch.where(constant, 1, std).to(x.dtype)


def log_det_of(log_scale: Tensor, x: Tensor) -> Tensor:
    """The log-determinant of multiplying every point of ``x`` by the scales, shape ``(batch,)``."""
    pixels = math.prod(x.shape[1:]) // log_scale.numel()
    total = log_scale.sum()
    return (total if pixels == 1 else pixels * total).expand(x.shape[0])


class Scaling(Bijection):
    r"""NICE's diagonal scaling, :math:`z = e^{s} \odot x` (NICE, section 3.3).

    This is the only layer of NICE that changes volume. It stretches each axis by its own factor,
    the same everywhere: a large :math:`e^{s_i}` marks a direction in which the data hardly vary.

    Parameters
    ----------
    shape : sequence of int
        The event's shape; or ``(channels, 1, 1)`` for one scale a channel.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(*shape))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * torch.exp(-self.log_scale), -log_det_of(self.log_scale, z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * torch.exp(self.log_scale), log_det_of(self.log_scale, x)

    def equations(self) -> Step:
        return Step("scaling", r"x = e^{-s} \odot z", r"z = e^{s} \odot x", r"-\sum_i s_i")


class ActNorm(Bijection):
    r"""Activation normalisation, :math:`z = (x + b) \odot e^{s}` (Glow, section 3.1).

    Its parameters are initialised so that its outputs on the first training data have mean 0 and
    variance 1, and are then learned like any others. `initialise` does this once, in the
    normalising direction, and the saved state records it. Until then the layer is the identity.

    Parameters
    ----------
    shape : sequence of int
        The event's shape; or ``(channels, 1, 1)`` for one scale a channel.
    """

    initialised: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(*shape))
        self.log_scale = nn.Parameter(torch.zeros(*shape))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.initialised:
            mean, std = moments(x, self.shift.shape)
            with torch.no_grad():
                self.shift.copy_(-mean)
                self.log_scale.copy_(-std.log())
                self.initialised.fill_(True)
        return super().initialise(x, context)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * torch.exp(-self.log_scale) - self.shift, -log_det_of(self.log_scale, z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x + self.shift) * torch.exp(self.log_scale), log_det_of(self.log_scale, x)

    def equations(self) -> Step:
        return Step("ActNorm", r"x = e^{-s} \odot z - b", r"z = e^{s} \odot (x + b)",
                    r"-\sum_i s_i")

    @staticmethod
    def affine(layers: Sequence["ActNorm"]) -> tuple[Tensor, Tensor, Tensor]:
        """The inverses of m layers as :math:`A x + b`, (m, d, d) and (m, d, 1); total log-det."""
        log_scale = torch.stack([layer.log_scale for layer in layers]).flatten(1)
        shift = torch.stack([layer.shift for layer in layers]).flatten(1)
        weight = torch.diag_embed(log_scale.exp())
        return weight, weight @ shift.unsqueeze(-1), log_scale.sum()


class Standardise(Bijection):
    r"""Standardisation, :math:`z = (x - \mu) / \sigma`, by the training data's mean and deviation.

    It is not learned. Whatever the scale of the data, the other layers work near unit scale, and
    its log-determinant converts densities back to the data's units.

    Parameters
    ----------
    shape : sequence of int
        The event's shape; or ``(channels, 1, 1)`` for one scale a channel.
    """

    mean: Tensor
    std: Tensor
    initialised: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*shape))
        self.register_buffer("std", torch.ones(*shape))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.initialised:
            mean, std = moments(x, self.mean.shape)
            self.mean.copy_(mean)
            self.std.copy_(std)
            self.initialised.fill_(True)
        return super().initialise(x, context)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.addcmul(self.mean, z, self.std), log_det_of(self.std.log(), z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x - self.mean) / self.std, -log_det_of(self.std.log(), x)

    def equations(self) -> Step:
        return Step("to the data's units", r"x = \sigma \odot z + \mu",
                    r"z = (x - \mu) / \sigma", r"\sum_i \log \sigma_i")
