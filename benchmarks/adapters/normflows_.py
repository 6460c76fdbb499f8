"""normflows, after the examples in its README."""

import normflows as nf
import torch
from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling
from normflows.utils.masks import create_alternating_binary_mask

from adapters.common import BINS, BOUND, HIDDEN, LAYERS, Torch

NAME, PACKAGES = "normflows", ("normflows", "torch")
MODELS = ("nice", "realnvp", "glow", "spline")


class Network(nf.nets.MLP):
    """Splines pass a context, which normflows's own MLP does not take."""

    def forward(self, inputs: torch.Tensor, context: None = None) -> torch.Tensor:
        return super().forward(inputs)


class SplineCoupling(nf.flows.Flow):
    """Its ``CoupledRationalQuadraticSpline``, with an MLP in place of a residual network."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.coupling = PiecewiseRationalQuadraticCoupling(
            mask, lambda i, o: Network([i, HIDDEN, HIDDEN, o], init_zeros=True), num_bins=BINS,
            tails="linear", tail_bound=BOUND)

    def forward(self, z: torch.Tensor, context: None = None) -> tuple[torch.Tensor, torch.Tensor]:
        x, log_det = self.coupling.inverse(z)
        return x, log_det.view(-1)

    def inverse(self, x: torch.Tensor, context: None = None) -> tuple[torch.Tensor, torch.Tensor]:
        z, log_det = self.coupling(x)
        return z, log_det.view(-1)


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        half, other, affine = dimension // 2, dimension - dimension // 2, model != "nice"
        flows: list[torch.nn.Module] = []
        for i in range(LAYERS if model == "spline" else 0):
            flows.append(SplineCoupling(create_alternating_binary_mask(dimension, even=i % 2 == 0)))
        for _ in range(0 if model == "spline" else LAYERS):
            network = nf.nets.MLP([other, HIDDEN, HIDDEN, (1 + affine) * half], init_zeros=True)
            flows.append(nf.flows.AffineCouplingBlock(network, scale=affine))
            if model == "glow":
                flows += [nf.flows.InvertibleAffine(dimension), nf.flows.ActNorm((dimension,))]
            else:
                flows.append(nf.flows.Permute(dimension, mode="swap"))
        if model == "nice":
            flows.append(nf.flows.AffineConstFlow((dimension,), shift=False))
        self.flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dimension, trainable=False),
                                       flows)

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.forward_kld(x)

    def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.log_prob(x)

    def _sample(self, n: int) -> torch.Tensor:
        return self.flow.sample(n)[0]

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.forward(self.flow.inverse(x))
