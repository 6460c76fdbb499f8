"""What is measured of a flow, apart from its loss."""

import math

import torch
from torch import Tensor

from flowlab.flow import Flow

#: Images that are measured together; more would only take more memory.
IMAGES = 1000


@torch.no_grad()
def nll(flow: Flow, x: Tensor, context: Tensor | None = None) -> float:
    """Negative log-likelihood of ``x``, the mean over points in nats."""
    if x.ndim == 2:
        return -flow.log_prob(x, context).mean().item()
    contexts = [None] * len(x) if context is None else context.split(IMAGES)
    total = sum(flow.log_prob(part, c).double().sum().item()
                for part, c in zip(x.split(IMAGES), contexts, strict=False))
    return -total / len(x)


@torch.no_grad()
def inverse_error(flow: Flow, x: Tensor, context: Tensor | None = None) -> float:
    """Largest absolute difference between ``x`` and ``forward(inverse(x))``, in data units."""
    z, _ = flow.inverse(x, context)
    return (flow.forward(z, context)[0] - x).abs().max().item()


def bits_per_dimension(nats: float, event_shape: tuple[int, ...]) -> float:
    """An NLL in nats per point as bits per dimension: divided by ``D ln 2``."""
    return nats / (math.prod(event_shape) * math.log(2))
