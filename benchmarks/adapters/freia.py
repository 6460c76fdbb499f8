"""FrEIA: its README's AllInOneBlock; for NICE two-sided blocks, half as many."""

import math

import FrEIA.framework as Ff
import FrEIA.modules as Fm
import torch
from torch import nn

from adapters.common import HIDDEN, LAYERS, Torch

NAME, PACKAGES = "FrEIA", ("FrEIA", "torch")
MODELS = ("nice", "realnvp", "glow")


def network(inputs: int, outputs: int) -> nn.Module:
    """The couplings' network."""
    return nn.Sequential(nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN),
                         nn.ReLU(), nn.Linear(HIDDEN, outputs))


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.dimension = dimension
        self.flow = Ff.SequenceINN(dimension)
        for _ in range(LAYERS // 2 if model == "nice" else LAYERS):
            if model == "nice":
                self.flow.append(Fm.NICECouplingBlock, subnet_constructor=network)
            else:
                self.flow.append(Fm.AllInOneBlock, subnet_constructor=network,
                                 permute_soft=model == "glow")

    def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
        z, log_det = self.flow(x)
        return -0.5 * (z * z).sum(1) - 0.5 * self.dimension * math.log(2 * math.pi) + log_det

    def _sample(self, n: int) -> torch.Tensor:
        return self.flow(torch.randn(n, self.dimension), rev=True)[0]

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow(self.flow(x)[0], rev=True)[0]
