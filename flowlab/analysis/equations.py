"""What the presentation shows of a flow: one map of the line, and the way through the layers."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.plane import pull
from flowlab.bijections.base import LOG_PROB
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.equations import Step
from flowlab.flow import Flow

REACH = 3.2  # standard deviations of the latent that the map of the line is shown for
BEND = 1.5  # how sharply the stretched middle of that map ends
GRID = 33  # lines of the warped grid each way
GRID_REACH = 3.0  # standard deviations of the base that the grid covers
MARGIN = 2.0  # standard deviations of the data that a grid of their plane covers


def stretch(strength: float, size: int = 401) -> tuple[np.ndarray, ...]:
    r"""A normal density on the line and a map that stretches its middle.

    .. math:: f(z) = z + (a - 1)\,\tanh(b z) / b, \qquad
              f'(z) = 1 + (a - 1) / \cosh^2(b z)

    so that :math:`f'(0) = a`, and far from the middle the map only moves.

    Parameters
    ----------
    strength : float
        The slope :math:`a` in the middle, positive: above 1 it stretches, below it squeezes.
    size : int
        How many places on the latent axis.

    Returns
    -------
    z, density, x, slope : numpy.ndarray
        Each (size,): the places, the standard normal density there, where the map puts them, and
        its derivative.

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
    x = z + (strength - 1) * np.tanh(BEND * z) / BEND
    return z, density, x, 1 + (strength - 1) / np.cosh(BEND * z) ** 2


def describe(layer: Bijection) -> Step:
    """The name and the equations of a layer that acts on points of the plane.

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
    """Points on their way through a flow, latent first and data last.

    Attributes
    ----------
    stages : list of numpy.ndarray
        Each (n, 2): the points before the first layer, and after every layer.
    grids : list of numpy.ndarray
        Each (rows, columns, 2): at the same stages a grid that is square where the points start.
    steps : list of Step
        The layers, one less than stages.
    log_density : list of float
        At every stage the mean over the points of the log-density that the flow has there, in
        nats: at the first that of the base distribution, at the last that of the flow.
    """

    stages: list[np.ndarray]
    grids: list[np.ndarray]
    steps: list[Step]
    log_density: list[float]


@torch.no_grad()
def sampling(flow: Flow, n: int, seed: int = 0) -> Journey:
    """The way of ``n`` latent points to the data, by the forward direction of every layer."""
    points = [flow.base_sample(n, torch.Generator().manual_seed(seed))]
    log_density = [LOG_PROB[flow.settings.base](points[0])]
    for layer in flow.layers:
        x, log_det = layer.forward(points[-1])
        points.append(x)
        log_density.append(log_density[-1] - log_det)
    ends = torch.tensor([-GRID_REACH, GRID_REACH]).repeat(2, 1)
    grids = torch.stack(flow.trace(_square(flow, ends))).numpy()
    return _journey(flow, torch.stack(points).numpy(), grids, torch.stack(log_density))


@torch.no_grad()
def normalising(flow: Flow, x: Tensor) -> Journey:
    """The way of data points ``x`` (n, 2) to the latent space, by the inverse of every layer.

    It is told latent first, as that of `sampling`.
    """
    points, log_dets = pull(flow, x)
    base = LOG_PROB[flow.settings.base](torch.from_numpy(points[0]))
    change = torch.from_numpy(log_dets).cumsum(0)
    middle, reach = x.mean(0), x.std(0).max() * MARGIN
    grids, _ = pull(flow, _square(flow, middle[:, None] + reach * torch.tensor([-1.0, 1.0])))
    return _journey(flow, points, grids, torch.stack([base, *(base - change)]))


def _square(flow: Flow, ends: Tensor) -> Tensor:
    """The points of a square grid between the ends (2, 2) of both axes."""
    sides = [torch.linspace(low, high, GRID, dtype=flow.dtype) for low, high in ends]
    return torch.cartesian_prod(*sides)


def _journey(flow: Flow, points: np.ndarray, grids: np.ndarray, log_density: Tensor) -> Journey:
    return Journey(
        list(points), list(grids.reshape(-1, GRID, GRID, 2)),
        [describe(layer) for layer in flow.layers], log_density.mean(1).tolist())
