r"""Elementwise affine maps: one shift and one scale for each feature.

All have ``x = shift + scale ⊙ z`` and the log-determinant :math:`\sum_i \log|\text{scale}_i|`,
the same for every sample.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from flowlab.bijection import Bijection

SMALLEST_STD = 1e-6  # below this a feature counts as constant, and is only shifted


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over the batch, the latter 1 where a feature is constant."""
    mean, std = x.mean(0), x.std(0, correction=0)
    return mean, torch.where(std > SMALLEST_STD * (1 + mean.abs()), std, torch.ones_like(std))


class Scaling(Bijection):
    r"""NICE's diagonal scaling, :math:`z = e^{s} \odot x` (NICE, section 3.3).

    The only layer of NICE that changes volume, equally everywhere: a large :math:`e^{s_i}` marks
    a direction in which the data hardly vary.

    Parameters
    ----------
    event_shape : sequence of int
    """

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(*event_shape))

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * torch.exp(-self.log_scale), -self.log_scale.sum().expand(len(z))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x * torch.exp(self.log_scale), self.log_scale.sum().expand(len(x))


class ActNorm(Bijection):
    r"""Activation normalisation, :math:`z = (x + b) \odot e^{s}` (Glow, section 3.1).

    Its parameters start so that the first training data it is shown leave it with mean 0 and
    variance 1; after that they are learned like any others. This happens once, in `initialise`,
    in the normalising direction, and is remembered in the saved state. Until then the layer is
    the identity.

    Parameters
    ----------
    event_shape : sequence of int
    """

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(*event_shape))
        self.log_scale = nn.Parameter(torch.zeros(*event_shape))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.initialised:
            mean, std = moments(x)
            with torch.no_grad():
                self.shift.copy_(-mean)
                self.log_scale.copy_(-std.log())
                self.initialised.fill_(True)
        return super().initialise(x, context)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return z * torch.exp(-self.log_scale) - self.shift, -self.log_scale.sum().expand(len(z))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x + self.shift) * torch.exp(self.log_scale), self.log_scale.sum().expand(len(x))

    @staticmethod
    def affine(layers: Sequence["ActNorm"]) -> tuple[Tensor, Tensor, Tensor]:
        """The inverse of m layers as :math:`A x + b`: (m, d, d), (m, d, 1); sum of log-dets."""
        log_scale = torch.stack([layer.log_scale for layer in layers])
        shift = torch.stack([layer.shift for layer in layers])
        weight = torch.diag_embed(log_scale.exp())
        return weight, weight @ shift.unsqueeze(-1), log_scale.sum()


class Standardise(Bijection):
    r"""Fixed units: :math:`z = (x - \mu) / \sigma`, with the training data's mean and deviation.

    Not learned. It keeps the layers before it near the unit scale, whatever the data's own, and
    its log-determinant puts densities back into the data's units.

    Parameters
    ----------
    event_shape : sequence of int
    """

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*event_shape))
        self.register_buffer("std", torch.ones(*event_shape))
        self.register_buffer("initialised", torch.tensor(False))

    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.initialised:
            mean, std = moments(x)
            self.mean.copy_(mean)
            self.std.copy_(std)
            self.initialised.fill_(True)
        return super().initialise(x, context)

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return torch.addcmul(self.mean, z, self.std), self.std.log().sum().expand(len(z))

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x - self.mean) / self.std, -self.std.log().sum().expand(len(x))
