"""zuko: its RealNVP, and the same with additive transformations or splines."""

from functools import partial

import torch
import zuko
from zuko.transforms import AdditiveTransform, MonotonicRQSTransform

from adapters.common import BINS, BOUND, HIDDEN, LAYERS, Torch

NAME, PACKAGES = "zuko", ("zuko", "torch")
MODELS = ("nice", "realnvp", "spline")
INNER = {
    "nice": {"univariate": AdditiveTransform, "shapes": ((),)},
    "spline": {"univariate": partial(MonotonicRQSTransform, bound=BOUND),
               "shapes": ((BINS,), (BINS,), (BINS - 1,))}}


class Adapter(Torch):
    """See the package: the library behind the common interface."""

    def __init__(self, model: str, dimension: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.flow = zuko.flows.RealNVP(dimension, transforms=LAYERS,
                                       hidden_features=(HIDDEN, HIDDEN), **INNER.get(model, {}))

    def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
        return self.flow().log_prob(x)

    def _sample(self, n: int) -> torch.Tensor:
        return self.flow().sample((n,))

    def _round_trip(self, x: torch.Tensor) -> torch.Tensor:
        transform = self.flow().transform
        return transform.inv(transform(x))
