"""Batch normalisation as a bijection."""

from collections.abc import Sequence

import torch
from torch import Tensor

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.elementwise import log_det_of, mean_over, moments
from flowlab.bijections.equations import Step


class BatchNorm(Bijection):
    r"""Batch normalisation, :math:`z = (x - \tilde\mu) / \sqrt{\tilde\sigma^2 + \epsilon}`.

    RealNVP, section 3.7 and appendix E: the statistics are moving averages over batches, so the
    layer works with any batch, also of one point, and its determinant
    :math:`\prod_i (\tilde\sigma_i^2 + \epsilon)^{-1/2}` does not depend on the sample.

    There are two departures from the paper. The averages lag by one step: a batch is mapped with
    the statistics of earlier batches, and `commit` updates them afterwards. So the map is the same
    in train and eval mode, has an exact inverse at any moment, and its log-determinant depends on
    each sample alone. Also, no gradient flows through the statistics.

    Parameters
    ----------
    shape : sequence of int
        The event's shape; or ``(channels, 1, 1)`` for statistics over batch and pixels.
    momentum : float
        Weight of a new batch in the moving average.
    epsilon : float
        Added to the variance, so that a constant feature has an inverse.
    """

    mean: Tensor
    variance: Tensor
    initialised: Tensor

    def __init__(self, shape: Sequence[int], momentum: float = 0.05,
                 epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.register_buffer("mean", torch.zeros(*shape))
        self.register_buffer("variance", torch.ones(*shape))
        self.register_buffer("initialised", torch.tensor(False))
        #: Mean of the last batch, and its variance about the moving mean.
        self._seen: tuple[Tensor, Tensor] | None = None

    def initialise(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if not self.initialised:
            mean, std = moments(x, self.mean.shape)
            self.mean.copy_(mean)
            self.variance.copy_(std.square())
            self.initialised.fill_(True)
        return super().initialise(x, context)

    @torch.no_grad()
    def commit(self) -> None:
        if self._seen is not None:
            mean, spread = self._seen
            self.variance.lerp_(spread, self.momentum)
            self.mean.lerp_(mean, self.momentum)
            self._seen = None

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scale = torch.sqrt(self.variance + self.epsilon)
        return torch.addcmul(self.mean, z, scale), log_det_of(scale.log(), z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if self.training and torch.is_grad_enabled() and (
                not torch._C._are_functorch_transforms_active()):
            shape, batch = self.mean.shape, x.detach()
            # The variance about the old mean needs no second pass, and works for one point.
            self._seen = mean_over(batch, shape), mean_over((batch - self.mean).square(), shape)
        scale = torch.sqrt(self.variance + self.epsilon)
        return (x - self.mean) / scale, -log_det_of(scale.log(), x)

    def equations(self) -> Step:
        return Step("batch norm", r"x = \sigma \odot z + \mu", r"z = (x - \mu) / \sigma",
                    r"\sum_i \log \sigma_i")
