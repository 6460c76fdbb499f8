"""How long a run in the queue has still to wait, and the sentence that says so."""

from collections.abc import Sequence
from heapq import heapify, heapreplace

ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth",
            "Tenth")
FEW, MINUTE = 10, 60  # seconds


def expected_wait(position: int, left: Sequence[float | None], usual: float | None
                  ) -> float | None:
    """Seconds until the run at a place in the queue starts.

    The first worker that is free takes the first run of the queue, and so on.

    Parameters
    ----------
    position : int
        1 for the next to start.
    left : sequence of float or None
        Seconds that each of the runs under way still needs; None where that is not known.
    usual : float or None
        Seconds that a run takes, for those that wait and those of which nothing is known; None
        where no run has told yet.

    Returns
    -------
    float or None
        None where it cannot be known: nothing is under way, or nothing is known of it.

    Examples
    --------
    >>> expected_wait(1, [4.0, 9.0], 10.0), expected_wait(3, [4.0, 9.0], 10.0)
    (4.0, 14.0)
    >>> expected_wait(2, [4.0], None) is None
    True
    """
    known = [usual if seconds is None else max(seconds, 0.0) for seconds in left]
    free = [seconds for seconds in known if seconds is not None]
    if not free or len(free) < len(known) or (usual is None and position > len(free)):
        return None
    heapify(free)
    for _ in range(position - 1):
        # Beyond as many runs as workers, those ahead have to be done first.
        heapreplace(free, free[0] + usual if usual is not None else float("inf"))
    return free[0]


def sentence(position: int, seconds: float | None) -> str:
    """Place and expected wait, in words.

    Examples
    --------
    >>> sentence(3, 36.0)
    'Third in the queue: about 40 s.'
    >>> sentence(12, None)
    'Number 12 in the queue: it starts when a worker is free.'
    """
    place = ORDINALS[position - 1] if 1 <= position <= len(ORDINALS) else f"Number {position}"
    if seconds is None:
        return f"{place} in the queue: it starts when a worker is free."
    if seconds < FEW / 2:
        return f"{place} in the queue: a few seconds."
    tens = round(seconds / FEW) * FEW
    about = f"{tens} s" if tens < 2 * MINUTE else f"{round(seconds / MINUTE)} min"
    return f"{place} in the queue: about {about}."
