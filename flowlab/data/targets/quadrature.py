"""Gauss-Legendre quadrature on panels, and the entropies computed with it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

ORDER = 16  # nodes in a panel


def panels(edges: np.ndarray, order: int = ORDER) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes and weights of Gauss-Legendre quadrature on neighbouring panels.

    Parameters
    ----------
    edges
        Ends of the panels, increasing, shape ``(panels + 1,)``.
    order
        Nodes in a panel; polynomials up to degree ``2 * order - 1`` are integrated exactly.

    Returns
    -------
    nodes, weights : ndarray
        Shape ``(panels * order,)`` each.
    """
    node, weight = np.polynomial.legendre.leggauss(order)
    half = np.diff(edges)[:, None] / 2
    nodes = edges[:-1, None] + half * (node + 1)
    return nodes.ravel(), (half * weight).ravel()


def entropy_on_product(
    log_density: Callable[[Tensor], Tensor],
    x: tuple[np.ndarray, np.ndarray],
    y: tuple[np.ndarray, np.ndarray],
) -> float:
    """Return ``-∫∫ p log p dx dy`` with a product of two one-dimensional rules.

    Parameters
    ----------
    log_density
        Maps points, shape ``(n, 2)``, float64, to log-densities, shape ``(n,)``.
    x, y
        Nodes and weights along each axis.

    Returns
    -------
    float
        Nats.
    """
    points = torch.cartesian_prod(torch.from_numpy(x[0]), torch.from_numpy(y[0]))
    weights = torch.outer(torch.from_numpy(x[1]), torch.from_numpy(y[1])).reshape(-1)
    return -float((weights * _p_log_p(log_density(points))).sum())


def entropy_near(
    log_density: Callable[[Tensor], Tensor], centres: np.ndarray, sigma: float | np.ndarray
) -> float:
    """Return the entropy of Gaussian noise around given centres.

    The trapezoidal rule on a square grid converges geometrically for smooth functions that
    vanish at the border; only the grid points within six standard deviations of a centre are
    visited, because the rest of the plane holds less than 2e-7 nats.

    Parameters
    ----------
    log_density
        Maps points, shape ``(n, 2)``, float64, to log-densities, shape ``(n,)``.
    centres
        Where the Gaussians sit, shape ``(m, 2)``.
    sigma
        Their standard deviation; or one for each, shape ``(m,)``.

    Returns
    -------
    float
        Nats.
    """
    sigmas = np.broadcast_to(sigma, len(centres))
    spacing = 0.5 * sigmas.min()
    reaches = np.ceil(6 * sigmas / spacing).astype(int)
    margin = reaches.max()
    origin = centres.min(axis=0)
    cell = np.rint((centres - origin) / spacing).astype(int) + margin
    near = np.zeros(cell.max(axis=0) + margin + 1, dtype=bool)
    for reach in np.unique(reaches):
        offsets = np.arange(-reach, reach + 1)
        dx, dy = (a.ravel() for a in np.meshgrid(offsets, offsets, indexing="ij"))
        disc = dx**2 + dy**2 <= reach**2
        for x, y in cell[reaches == reach]:
            near[x + dx[disc], y + dy[disc]] = True

    points = torch.from_numpy(origin + spacing * (np.argwhere(near) - margin))
    return -float(_p_log_p(log_density(points)).sum()) * spacing**2


def _p_log_p(log_p: Tensor) -> Tensor:
    """Return ``p log p``, which is 0 where the density is 0."""
    return torch.where(log_p > -torch.inf, log_p.exp() * log_p, 0.0)
