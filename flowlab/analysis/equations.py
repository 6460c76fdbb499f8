"""A map of the line, and the equations and stages of a flow in the plane."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.plane import pull
from flowlab.bijections.base import LOG_PROB
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.equations import Step
from flowlab.flow import Flow

REACH = 3.2  # standard deviations of the latent on which the map of the line is shown
SHARPNESS = 1.5  # of the ends of that map's stretched middle
GRID = 33  # lines of the warped grid along each axis
GRID_REACH = 3.0  # standard deviations of the base that the grid covers
MARGIN = 2.0  # standard deviations of the data that a grid of their plane covers


def stretch(strength: float, size: int = 401) -> tuple[np.ndarray, ...]:
    r"""Compute a normal density on the line and a map that stretches its middle.

    .. math:: f(z) = z + (a - 1)\,\tanh(b z) / b, \qquad
              f'(z) = 1 + (a - 1) / \cosh^2(b z)

    so that :math:`f'(0) = a`, and far from the middle the map is a translation.

    Parameters
    ----------
    strength : float
        The slope :math:`a` in the middle, positive: the map expands above 1 and contracts below.
    size : int
        Number of places on the latent axis.

    Returns
    -------
    z, density, x, slope : numpy.ndarray
        Shape (size,) each: the places, the standard normal density there, their images under the
        map, and its derivative.

    Raises
    ------
    ValueError
        If the strength is not positive.

    Examples
    --------
    >>> z, density, x, slope = stretch(1.0)
    >>> bool((x == z).all())
    True
    """
    if not strength > 0:
        raise ValueError(f"The strength must be positive, or the map folds; got {strength}.")
    z = np.linspace(-REACH, REACH, size)
    density = np.exp(-z**2 / 2) / np.sqrt(2 * np.pi)
    x = z + (strength - 1) * np.tanh(SHARPNESS * z) / SHARPNESS
    return z, density, x, 1 + (strength - 1) / np.cosh(SHARPNESS * z) ** 2


def describe(layer: Bijection) -> Step:
    """Return the name and the equations of a layer that acts on points of the plane.

    Raises
    ------
    ValueError
        For a layer whose class has no equations of its own.
    """
    if "equations" not in vars(type(layer)):  # those of a parent may not be the layer's
        raise ValueError(f"There are no equations for {type(layer).__name__}: give it a method "
                         "called equations.")
    return layer.equations()


@dataclass(frozen=True)
class Journey:
    """Points at every stage of a flow, latent first and data last.

    Attributes
    ----------
    stages : list of numpy.ndarray
        Shape (n, 2) each: the points before the first layer and after every layer.
    grids : list of numpy.ndarray
        Shape (rows, columns, 2) each: a grid at the same stages, square where the points start.
    steps : list of Step
        The layers, one fewer than the stages.
    log_density : list of float
        Mean log-density of the points at every stage, in nats: under the base distribution at the
        first stage, and under the flow at the last.
    """

    stages: list[np.ndarray]
    grids: list[np.ndarray]
    steps: list[Step]
    log_density: list[float]


@torch.no_grad()
def sampling(flow: Flow, n: int, seed: int = 0) -> Journey:
    """Map ``n`` latent points to the data, layer by layer."""
    points = [flow.base_sample(n, torch.Generator().manual_seed(seed))]
    log_density = [LOG_PROB[flow.settings.base](points[0])]
    for _, x, log_det in flow.steps(points[0]):
        points.append(x)
        log_density.append(log_density[-1] - log_det)
    ends = torch.tensor([-GRID_REACH, GRID_REACH]).repeat(2, 1)
    grids = torch.stack(flow.trace(_square(flow, ends))).numpy()
    return _journey(flow, torch.stack(points).numpy(), grids, torch.stack(log_density))


@torch.no_grad()
def normalising(flow: Flow, x: Tensor) -> Journey:
    """Map data points ``x`` (n, 2) to the latent space, layer by layer.

    The stages are in the order of `sampling`, latent first.
    """
    points, log_dets = pull(flow, x)
    base = LOG_PROB[flow.settings.base](torch.from_numpy(points[0]))
    change = torch.from_numpy(log_dets).cumsum(0)
    middle, reach = x.mean(0), x.std(0).max() * MARGIN
    grids, _ = pull(flow, _square(flow, middle[:, None] + reach * torch.tensor([-1.0, 1.0])))
    return _journey(flow, points, grids, torch.stack([base, *(base - change)]))


def _square(flow: Flow, ends: Tensor) -> Tensor:
    """Return the points of a square grid between the ends (2, 2) of both axes."""
    sides = [torch.linspace(low, high, GRID, dtype=flow.dtype) for low, high in ends]
    return torch.cartesian_prod(*sides)


def _journey(flow: Flow, points: np.ndarray, grids: np.ndarray, log_density: Tensor) -> Journey:
    return Journey(
        list(points), list(grids.reshape(-1, GRID, GRID, 2)),
        [describe(layer) for layer in flow.layers], log_density.mean(1).tolist())
