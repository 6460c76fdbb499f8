"""Windows of the plane, and grids of densities over them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

TAIL = 99.5  # percentile of the cells of a histogram that ends a colour scale


def window(limits: Sequence[float]) -> tuple[float, float, float, float]:
    """Check `limits` and return them as four floats (xmin, xmax, ymin, ymax).

    Raises
    ------
    ValueError
        If they are not four finite numbers in increasing pairs.
    """
    numbers = np.asarray(limits, dtype=float)
    ordered = numbers.shape == (4,) and np.isfinite(numbers).all()
    if not ordered or numbers[0] >= numbers[1] or numbers[2] >= numbers[3]:
        raise ValueError(
            f"Limits must be four finite numbers xmin < xmax and ymin < ymax; got {limits!r}."
        )
    return tuple(numbers.tolist())


def visible(points: ArrayLike, limits: Sequence[float]) -> np.ndarray:
    """Return those of `points` (n, 2) that are finite and within the window, as float64.

    Raises
    ------
    ValueError
        If `points` is not an array of shape (n, 2).
    """
    points = np.asarray(points, dtype=float)
    if points.size == 0:
        return np.empty((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"Points to draw must have the shape (n, 2); got {points.shape}.")
    return points[within(points, limits)]


def within(points: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Which of `points` (n, 2) are within the window; none that is not finite."""
    x, y = points.T
    xmin, xmax, ymin, ymax = limits
    return (x >= xmin) & (x <= xmax) & (y >= ymin) & (y <= ymax)


def clean_grid(grid: ArrayLike) -> np.ma.MaskedArray:
    """Return `grid` as float64 (rows, columns), masked where it is not a number.

    Raises
    ------
    ValueError
        If it has not two dimensions or no element.
    """
    grid = np.asarray(grid, dtype=float)
    if grid.ndim != 2 or grid.size == 0:
        raise ValueError(f"A density grid must have the shape (rows, columns); got {grid.shape}.")
    return np.ma.masked_invalid(np.nan_to_num(grid, nan=np.nan, posinf=1e30, neginf=0.0))


def grid_points(limits: Sequence[float], size: int) -> np.ndarray:
    """Return the cell centres of a `size` × `size` grid over the window, in the order of pictures.

    Parameters
    ----------
    limits : sequence of float
        The window (xmin, xmax, ymin, ymax).
    size : int
        Cells along each side.

    Returns
    -------
    numpy.ndarray
        Shape (size², 2). A density there, reshaped to (size, size), is a grid for the pictures.

    Examples
    --------
    >>> grid_points((0, 2, 0, 2), 2).tolist()
    [[0.5, 0.5], [1.5, 0.5], [0.5, 1.5], [1.5, 1.5]]
    """
    xmin, xmax, ymin, ymax = window(limits)
    middle = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(xmin + (xmax - xmin) * middle, ymin + (ymax - ymin) * middle)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def highest_density(grid: ArrayLike | None, data: ArrayLike, limits: Sequence[float]) -> float:
    """Return the density at which a colour scale should end.

    This is the maximum of the true density's `grid`. Without a grid, the fullest cells of a coarse
    histogram of the `data` give an estimate; it sets only the scale, never the picture.
    """
    if grid is not None:
        known = clean_grid(grid).compressed()
        known = known[(known > 0) & (known < 1e29)]
        return float(known.max()) if known.size else 1.0
    points = visible(data, limits)
    if len(points) == 0:
        return 1.0
    xmin, xmax, ymin, ymax = limits
    x, y = points.T
    counts, _, _ = np.histogram2d(x, y, bins=32, range=((xmin, xmax), (ymin, ymax)))
    cell = (xmax - xmin) * (ymax - ymin) / counts.size
    return float(np.percentile(counts[counts > 0], TAIL) / (len(points) * cell))
