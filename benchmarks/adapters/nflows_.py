"""nflows: couplings with alternating masks, as in its SimpleRealNVP, but with plain MLPs."""

from functools import partial

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import MLP
from nflows.transforms import (
    ActNorm,
    AdditiveCouplingTransform,
    AffineCouplingTransform,
    CompositeTransform,
    LULinear,
    PiecewiseRationalQuadraticCouplingTransform,
)

from adapters.common import BINS, BOUND, HIDDEN, LAYERS, Torch

NAME, PACKAGES = "nflows", ("nflows", "torch")
COUPLINGS = {"nice": AdditiveCouplingTransform, "realnvp": AffineCouplingTransform,
             "glow": AffineCouplingTransform,
             "spline": partial(PiecewiseRationalQuadraticCouplingTransform, num_bins=BINS,
                               tails="linear", tail_bound=BOUND)}
MODELS = tuple(COUPLINGS)


class Network(MLP):
    """Couplings pass a context, which nflows's own MLP does not take."""

    def forward(self, inputs: torch.Tensor, context: None = None) -> torch.Tensor:
        return super().forward(inputs)


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        coupling, mask, layers = COUPLINGS[model], torch.ones(dimension), []
        mask[::2] = -1
        for _ in range(LAYERS):
            if model == "glow":
                layers += [ActNorm(dimension), LULinear(dimension, identity_init=True)]
            layers.append(coupling(mask, lambda i, o: Network([i], [o], [HIDDEN, HIDDEN])))
            if model != "glow":
                mask = -mask
        self.flow = Flow(CompositeTransform(layers), StandardNormal([dimension]))

    def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.log_prob(x)

    def _sample(self, n: int) -> torch.Tensor:
        return self.flow.sample(n)

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        z, _ = self.flow._transform(x)
        return self.flow._transform.inverse(z)[0]
