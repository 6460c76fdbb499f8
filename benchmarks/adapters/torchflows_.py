"""torchflows, trained by its own ``fit``, an epoch a call."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torchflows.bijections.finite.autoregressive.architectures import NICE, RealNVP
from torchflows.flows import Flow

from adapters.common import HIDDEN, LAYERS, Torch

NAME, PACKAGES = "torchflows", ("torchflows", "torch")
MODELS = ("nice", "realnvp")


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        kind = NICE if model == "nice" else RealNVP
        self.flow = Flow(kind(dimension, n_layers=LAYERS, conditioner_kwargs={
            "n_hidden": HIDDEN, "n_layers": 3, "nonlinearity": nn.ReLU}))

    def fit(self, x: np.ndarray, learning_rate: float, batch_size: int) -> Iterator[int]:
        data = torch.from_numpy(x)
        data = data[:len(data) // batch_size * batch_size]
        first = True
        while True:
            self.flow.fit(data, n_epochs=1, lr=learning_rate, batch_size=batch_size,
                          reset_optimizer=first)
            first = False
            yield len(data) // batch_size

    def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow.log_prob(x)

    def _sample(self, n: int) -> torch.Tensor:
        return self.flow.sample(n)

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        z, _ = self.flow.bijection.forward(x)
        return self.flow.bijection.inverse(z)[0]
