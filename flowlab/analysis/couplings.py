"""The map of a coupling as a curve, with the half that is kept as it is at one point."""

from dataclasses import dataclass

import numpy as np
import torch

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.coupling import VectorCoupling

POINTS = 301  # of a curve


@dataclass(frozen=True)
class Curve:
    """What a coupling of the plane makes of the coordinate that it changes.

    Attributes
    ----------
    coordinate : int
        The one that changes, 1 or 2.
    z, x : numpy.ndarray
        The curve.
    knots : numpy.ndarray, shape (k, 2)
        Of a spline; of other maps none.
    point : numpy.ndarray, shape (2,)
        Where on it the followed point is.
    """

    coordinate: int
    z: np.ndarray
    x: np.ndarray
    knots: np.ndarray
    point: np.ndarray


@torch.no_grad()
def curve(layer: Bijection, before: np.ndarray, after: np.ndarray, reach: float) -> Curve | None:
    """The map of a layer, or None where it is no coupling on the plane.

    Parameters
    ----------
    layer : Bijection
    before, after : numpy.ndarray, shape (2,)
        The followed point on both sides of the layer, latent side first.
    reach : float
        The curve is from minus this number to this number, or farther, to the followed point.
    """
    if not isinstance(layer, VectorCoupling):
        return None
    weight = next(layer.parameters())
    kept, changed = layer.split(torch.as_tensor(before[None]).to(weight))
    parameters, at = layer.conditions(kept), layer.changed.start
    point = np.array([before[at], after[at]])
    reach = max(reach, 1.1 * float(np.abs(point).max()))
    z = torch.linspace(-reach, reach, POINTS).to(weight)[:, None]
    x, _ = layer.inner.forward(z, parameters.expand(POINTS, -1))
    places = layer.inner.knots(parameters)[:2] if hasattr(layer.inner, "knots") else ()
    knots = torch.cat([place.view(-1, 1) for place in places], 1) if places else z[:0].expand(0, 2)
    return Curve(at + 1, z[:, 0].cpu().numpy(), x[:, 0].cpu().numpy(), knots.cpu().numpy(), point)
