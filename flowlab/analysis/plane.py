"""The inside of a flow in the plane, as arrays: between its layers, and at one point.

Stage 0 is latent space, stage k its image under the first k layers, and the last stage data space.
No function changes the flow or tracks gradients.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from flowlab.bijections.base import LOG_PROB
from flowlab.flow import Flow

LINES = 33  # of the grid of the latent plane, along each axis
#: Half the side of that grid for each base distribution: three standard deviations.
REACH = {"normal": 3.0, "logistic": 5.4}
FAR, MARGIN = 2.5, 1.08  # factors of a window on the reach of most points, and of all in it


def paths(flow: Flow, z: Tensor) -> np.ndarray:
    """Compute the paths of latent points through all layers.

    Parameters
    ----------
    flow : Flow
    z : Tensor, shape (n, 2)

    Returns
    -------
    numpy.ndarray
        Shape (layers + 1, n, 2), latent first.
    """
    with torch.no_grad():
        return torch.stack(flow.trace(z)).cpu().numpy()


def latent_grid(flow: Flow) -> np.ndarray:
    """Map a square grid of the latent plane to every stage, (layers + 1, `LINES`, `LINES`, 2)."""
    reach = REACH[flow.settings.base]
    side = torch.linspace(-reach, reach, LINES, dtype=flow.dtype, device=flow.device)
    return paths(flow, torch.cartesian_prod(side, side)).reshape(-1, LINES, LINES, 2)


@torch.no_grad()
def lift(flow: Flow, y: Tensor, stage: int) -> Tensor:
    """Map points of a stage to the data, through the layers after it.

    Parameters
    ----------
    flow : Flow
    y : Tensor, shape (n, 2)
    stage : int
        From 0 (latent) to the number of layers (data).
    """
    return [y, *(x for _, x, _ in flow.steps(y, stage=stage))][-1]


@torch.no_grad()
def pull(flow: Flow, x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Map data points back through all layers.

    Parameters
    ----------
    flow : Flow
    x : Tensor, shape (n, 2)

    Returns
    -------
    stages : numpy.ndarray, shape (layers + 1, n, 2)
        The points at every stage, latent first, data last.
    log_dets : numpy.ndarray, shape (layers, n)
        log abs det of every layer in the generative direction, in nats.
    """
    stages, log_dets = [x], []
    for _, z, log_det in flow.steps(x, inverse=True):
        stages.append(z)
        log_dets.append(-log_det)
    return (torch.stack(stages[::-1]).cpu().numpy(), torch.stack(log_dets[::-1]).cpu().numpy())


@torch.no_grad()
def density_at(flow: Flow, y: Tensor, stage: int) -> Tensor:
    r"""Compute the density of the base distribution after the first ``stage`` layers.

    .. math:: \log p_k(y) = \log p_Z(z) - \sum_{i=1}^{k} \log\left|\det
              \frac{\partial f_i}{\partial y_{i-1}}\right|, \qquad
              z = f_1^{-1} \circ \dots \circ f_k^{-1}(y)

    Parameters
    ----------
    flow : Flow
    y : Tensor, shape (n, 2)
        Points of that stage.
    stage : int
        From 0 (latent) to the number of layers (data).

    Returns
    -------
    Tensor, shape (n,)
        Densities in 1 / area.
    """
    points, total = [y], torch.zeros(len(y), dtype=y.dtype, device=y.device)
    for _, z, log_det in flow.steps(y, inverse=True, stage=stage):
        points.append(z)
        total = total + log_det
    return (LOG_PROB[flow.settings.base](points[-1]) + total).exp()


@dataclass(frozen=True)
class Passage:
    """Points and a grid at every stage of a flow, and the log-determinants of its layers.

    Attributes
    ----------
    samples : numpy.ndarray, shape (layers + 1, n, 2)
        Latent points at every stage.
    data : numpy.ndarray, shape (layers + 1, m, 2)
        Data points at every stage, also latent first.
    grid : numpy.ndarray, shape (layers + 1, rows, columns, 2)
        As from `latent_grid`.
    log_dets : numpy.ndarray, shape (layers,)
        Mean over the samples of every layer's log abs det, generative direction, in nats.
    log_density : numpy.ndarray, shape (layers + 1,)
        Mean over the samples of the log-density at every stage, in nats.
    """

    samples: np.ndarray
    data: np.ndarray
    grid: np.ndarray
    log_dets: np.ndarray
    log_density: np.ndarray

    @cached_property
    def windows(self) -> np.ndarray:
        """The window around samples and data at every stage, as from `windows`."""
        return windows(np.concatenate([self.samples, self.data], axis=1))


@torch.no_grad()
def passage(flow: Flow, z: Tensor, x: Tensor) -> Passage:
    """Map latent points ``z`` (n, 2) and data points ``x`` (m, 2) through the flow."""
    stages, log_dets = [z], []
    for _, y, log_det in flow.steps(z):
        stages.append(y)
        log_dets.append(log_det.mean().item())
    start = LOG_PROB[flow.settings.base](z).mean().item()
    return Passage(torch.stack(stages).cpu().numpy(), pull(flow, x)[0], latent_grid(flow),
                   np.array(log_dets), start - np.cumsum([0.0, *log_dets]))


def windows(clouds: np.ndarray) -> np.ndarray:
    """A square window around the points of every stage, (stages, 4): xmin, xmax, ymin, ymax.

    Between two stages points and window move on straight lines, so none of the points leaves it.
    Only points that are `FAR` times as far out as all but one per cent are left out: they would
    shrink the others to a dot.

    Parameters
    ----------
    clouds : numpy.ndarray, shape (stages, n, 2)
    """
    found = []
    for points in clouds:
        points = points[np.isfinite(points).all(1)]
        points = points if len(points) else np.zeros((1, 2))
        low, high = np.percentile(points, (0.5, 99.5), axis=0)
        middle, reach = (low + high) / 2, FAR * max((high - low).max() / 2, 1e-3)
        low = np.maximum(points.min(0), middle - reach)
        high = np.minimum(points.max(0), middle + reach)
        (x, y), half = (low + high) / 2, max(MARGIN * (high - low).max() / 2, 1e-3)
        found.append((x - half, x + half, y - half, y + half))
    return np.array(found)


@dataclass(frozen=True)
class Probe:
    r"""One data point and its Jacobians at every stage of the flow.

    Attributes
    ----------
    path : numpy.ndarray, shape (layers + 1, 2)
        The point at every stage, its latent first.
    jacobians : numpy.ndarray, shape (layers + 1, 2, 2)
        ∂y_k/∂z at every stage k: the identity matrix first, the whole flow's Jacobian last.
    log_dets : numpy.ndarray, shape (layers,)
        log abs det of every layer at the point, generative direction, in nats.
    log_base : float
        Log-density of the latent in the base distribution, in nats.
    """

    path: np.ndarray
    jacobians: np.ndarray
    log_dets: np.ndarray
    log_base: float

    @property
    def log_det(self) -> float:
        """log abs det ∂x/∂z of the whole flow in nats, the sum over its layers."""
        return float(self.log_dets.sum())

    @property
    def log_prob(self) -> float:
        """Log-density of the point under the flow, in nats."""
        return self.log_base - self.log_det

    @property
    def log_density(self) -> np.ndarray:
        """The log-density of the point at every stage, shape (layers + 1,), in nats."""
        return self.log_base - np.cumsum([0.0, *self.log_dets])

    @property
    def added(self) -> np.ndarray:
        """The log-density of the point as it adds up on the way back, shape (layers + 2,), in nats.

        It begins at 0; each layer that is undone, the last one first, subtracts its log abs det;
        the latent's log-density in the base distribution is added at the end.
        """
        return np.cumsum([0.0, *-self.log_dets[::-1], self.log_base])


def probe(flow: Flow, point: tuple[float, float]) -> Probe:
    """Follow one data point back through the flow.

    Parameters
    ----------
    flow : Flow
        On points of the plane.
    point : tuple of float

    Raises
    ------
    ValueError
        If the point is not two finite numbers, or has no finite latent in the flow's precision.
    """
    x = torch.tensor([point], dtype=flow.dtype, device=flow.device)
    if x.shape != (1, 2) or not x.isfinite().all():
        raise ValueError(f"A point to look at is two finite numbers; got {point!r}.")
    stages, log_dets = pull(flow, x)
    with torch.no_grad():
        log_base = LOG_PROB[flow.settings.base](torch.as_tensor(stages[0])).item()
    if not all(np.isfinite(values).all() for values in (stages, log_dets, log_base)):
        raise ValueError("This point is too far out for the flow: choose one nearer the data.")
    jacobians = [torch.eye(2, dtype=flow.dtype, device=flow.device)]
    for layer, y in zip(flow.layers, torch.as_tensor(stages[:-1]).to(flow.device), strict=True):
        jacobian = torch.autograd.functional.jacobian(
            lambda v, layer=layer: layer.forward(v)[0].sum(0), y).squeeze(1)
        jacobians.append(jacobian @ jacobians[-1])
    return Probe(stages[:, 0], torch.stack(jacobians).cpu().numpy(), log_dets[:, 0], log_base)


def ellipse(centre: np.ndarray, jacobian: np.ndarray, radius: float, points: int = 73
            ) -> np.ndarray:
    """Map a small circle around the latent to first order: an outline (points, 2).

    Parameters
    ----------
    centre : array_like, shape (2,)
    jacobian : array_like, shape (2, 2)
    radius : float
        Radius of the circle, in latent units.
    points : int
        Number of points of the outline, of which the last equals the first.
    """
    angle = np.linspace(0, 2 * np.pi, points)
    return np.asarray(centre) + radius * np.stack([np.cos(angle), np.sin(angle)], 1) @ np.asarray(
        jacobian).T
