"""Points from a drawing: strokes of dots on a square board."""

from typing import Any

import numpy as np

from flowlab.data.tables import Table

BOARD = 65_536  # places along a side of the board
SIDE = 8.0  # its length in the plane: from -4 to 4
MAX_DOTS = 20_000


def drawn(strokes: Any) -> np.ndarray:
    """Return the dots of all strokes as points of the plane.

    Parameters
    ----------
    strokes : list of list of int
        A list for each stroke: x, y, x, y, … in places from 0 to 65535, the lower left first. It
        comes from a browser, so it is looked at with care.

    Returns
    -------
    numpy.ndarray
        Shape (n, 2), float32, between -4 and 4.

    Raises
    ------
    ValueError
        With one sentence, when it is no such list, or there are too few dots or too many.
    """
    broken = "The drawing came broken: clear the board and draw again."
    if not isinstance(strokes, list) or not all(isinstance(s, list) for s in strokes):
        raise ValueError(broken)
    flat = [place for stroke in strokes for place in stroke]
    if len(flat) > 2 * MAX_DOTS:
        raise ValueError(f"The drawing has more than {MAX_DOTS:,} dots: undo a stroke.")
    good = all(type(place) is int and 0 <= place < BOARD for place in flat)
    if not good or any(len(stroke) % 2 for stroke in strokes):
        raise ValueError(broken)
    places = np.array(flat, dtype=np.float64).reshape(-1, 2)
    dots = (places + 0.5) / BOARD * SIDE - SIDE / 2
    points, _ = Table(("x", "y"), dots, np.arange(1, len(dots) + 1)).points((0, 1))
    return points
