"""What is measured of a flow, apart from its loss."""

import math
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from flowlab.bijections.elementwise import moments
from flowlab.flow import Flow
from flowlab.settings import FlowSettings

Nats = TypeVar("Nats", float, Tensor)
#: Images that are measured together; more would only take more memory.
IMAGES = 1000


@lru_cache(maxsize=1024)
def parameter_count(settings: FlowSettings) -> int:
    """How many numbers a flow of these settings learns; no memory is allocated for them."""
    with torch.device("meta"):
        flow = Flow.model_of(settings)(**dict(settings))
    return sum(p.numel() for p in flow.parameters())


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
    return _differences(flow, x, context).max().item()


@torch.no_grad()
def relative_inverse_error(flow: Flow, x: Tensor, context: Tensor | None = None) -> float:
    """As `inverse_error`, in standard deviations of a feature, and beyond the rounding of ``x``."""
    rounding = 4 * torch.finfo(x.dtype).eps * x.abs()
    _, std = moments(x, x.shape[1:] if x.ndim == 2 else (x.shape[1], 1, 1))
    return ((_differences(flow, x, context) - rounding) / std).max().item()


def _differences(flow: Flow, x: Tensor, context: Tensor | None) -> Tensor:
    z, _ = flow.inverse(x, context)
    return (flow.forward(z, context)[0] - x).abs()


def bits_per_dimension(nats: Nats, event_shape: tuple[int, ...]) -> Nats:
    """An NLL in nats per point as bits per dimension: divided by ``D ln 2``."""
    return nats / (math.prod(event_shape) * math.log(2))


def energy_distance(x: Tensor, y: Tensor) -> float:
    r"""Energy distance between the distributions that two sets of points come from.

    .. math:: 2\,E\lVert X - Y\rVert - E\lVert X - X'\rVert - E\lVert Y - Y'\rVert

    (G. J. Székely and M. L. Rizzo, 2013), zero only where both are the same distribution. All pairs
    are taken, no point with itself, which makes the estimate unbiased: so for equal distributions
    it scatters around zero, below it too.

    Parameters
    ----------
    x, y : Tensor, shapes (n, d) and (m, d)
        At least two points each. Time and memory grow as ``n m``: some thousand are enough.

    Returns
    -------
    float
        In data units; infinite or not a number where a point is.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"An energy distance needs two points of each; got {len(x)}, {len(y)}.")
    x, y = x.double(), y.double()
    between = torch.cdist(x, y).mean()
    within = (torch.cdist(a, a).sum() / (len(a) * (len(a) - 1)) for a in (x, y))
    return (2 * between - sum(within)).item()


def mode_coverage(samples: Tensor, truth: Tensor, modes: Tensor, share: float = 0.2) -> float:
    """Share of the modes that a model's samples reach.

    A mode's region are the points nearest to it that are no farther from it than 95 per cent of
    its true points; it is covered where at least ``share`` of the samples it should get are in it.

    Parameters
    ----------
    samples, truth : Tensor, shapes (n, d) and (m, d)
        Points of the model, and points of the true distribution.
    modes : Tensor, shape (k, d)
        The centres.
    share : float
        Of what a mode should get, from 0 to 1.

    Returns
    -------
    float
        From 0 to 1.
    """
    away, own = torch.cdist(truth.double(), modes.double()).min(dim=1)
    radius = torch.stack([away[own == k].quantile(0.95) for k in range(len(modes))])

    def shares(points: Tensor) -> Tensor:
        distance, nearest = torch.cdist(points.double(), modes.double()).min(dim=1)
        inside = nearest[distance <= radius[nearest]]
        return torch.bincount(inside, minlength=len(modes)) / len(points)

    return (shares(samples) >= share * shares(truth)).double().mean().item()
