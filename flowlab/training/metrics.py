"""Measures of a trained flow."""

import math
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from flowlab.bijections.bijection import batches
from flowlab.bijections.elementwise import moments
from flowlab.flow import Flow
from flowlab.settings import FlowSettings

Nats = TypeVar("Nats", float, Tensor)


@lru_cache(maxsize=1024)
def parameter_count(settings: FlowSettings) -> int:
    """How many numbers a flow of these settings learns; no memory is allocated for them."""
    with torch.device("meta"):
        flow = Flow.model_of(settings)(**dict(settings))
    return sum(p.numel() for p in flow.parameters())


@torch.no_grad()
def nll(flow: Flow, x: Tensor, context: Tensor | None = None) -> float:
    """Mean negative log-likelihood of ``x``, in nats per point."""
    if x.ndim == 2:
        return -flow.log_prob(x, context).mean().item()
    return -sum(flow.log_prob(part, c).double().sum().item()
                for part, c in batches(x, context)) / len(x)


@torch.no_grad()
def inverse_errors(flow: Flow, x: Tensor, context: Tensor | None = None) -> tuple[float, float]:
    """Largest absolute difference between ``x`` and ``forward(inverse(x))``.

    First in data units; then what is beyond the rounding of ``x``, in standard deviations of a
    feature.
    """
    z, _ = flow.inverse(x, context)
    differences = (flow.forward(z, context)[0] - x).abs()
    rounding = 4 * torch.finfo(x.dtype).eps * x.abs()
    _, std = moments(x, x.shape[1:] if x.ndim == 2 else (x.shape[1], 1, 1))
    return differences.max().item(), ((differences - rounding) / std).max().item()


def bits_per_dimension(nats: Nats, event_shape: tuple[int, ...]) -> Nats:
    """Convert an NLL in nats per point to bits per dimension, dividing by ``D ln 2``."""
    return nats / (math.prod(event_shape) * math.log(2))


def energy_distance(x: Tensor, y: Tensor) -> float:
    r"""Energy distance between the distributions that two sets of points come from.

    .. math:: 2\,E\lVert X - Y\rVert - E\lVert X - X'\rVert - E\lVert Y - Y'\rVert

    (G. J. Székely and M. L. Rizzo, 2013), zero only for equal distributions. The means are over all
    pairs of different points, which makes the estimate unbiased: for equal distributions it
    scatters around zero, so it may be negative.

    Parameters
    ----------
    x, y : Tensor, shapes (n, d) and (m, d)
        At least two points each. Time and memory grow as ``n m``: a few thousand are enough.

    Returns
    -------
    float
        In data units; infinite or NaN where a point is.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"An energy distance needs two points of each; got {len(x)}, {len(y)}.")
    x, y = x.double(), y.double()
    between = torch.cdist(x, y).mean()
    within = (torch.cdist(a, a).sum() / (len(a) * (len(a) - 1)) for a in (x, y))
    return (2 * between - sum(within)).item()


def mode_coverage(samples: Tensor, truth: Tensor, modes: Tensor, share: float = 0.2) -> float:
    """Share of the modes that a model's samples cover.

    The region of a mode contains the points nearest to it, up to the distance within which 95 per
    cent of its true points lie. A mode is covered if its region has at least ``share`` of the
    samples that it would have under the true distribution.

    Parameters
    ----------
    samples, truth : Tensor, shapes (n, d) and (m, d)
        Samples of the model, and points of the true distribution.
    modes : Tensor, shape (k, d)
        The centres.
    share : float
        Required share of the expected samples of a mode, from 0 to 1.

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
