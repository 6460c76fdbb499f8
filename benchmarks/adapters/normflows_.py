"""normflows, after the examples in its README."""

import normflows as nf
import torch

from adapters.common import HIDDEN, LAYERS, Torch

NAME, PACKAGES = "normflows", ("normflows", "torch")
MODELS = ("nice", "realnvp", "glow")


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        half, other, affine = dimension // 2, dimension - dimension // 2, model != "nice"
        flows: list[torch.nn.Module] = []
        for _ in range(LAYERS):
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
