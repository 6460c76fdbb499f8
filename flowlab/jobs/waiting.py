"""The expected wait of a queued run, and the sentence about it."""

from collections.abc import Sequence
from heapq import heapify, heapreplace

ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth",
            "Tenth")
FEW, MINUTE = 10, 60  # seconds
#: What a visitor reads until the first worker is ready.
STARTING = "Preparing: workers are starting, which takes half a minute once on a new machine."


def expected_wait(position: int, left: Sequence[float | None], usual: float | None
                  ) -> float | None:
    """Seconds until the run at a place in the queue starts.

    The first free worker takes the first run of the queue, and so on.

    Parameters
    ----------
    position : int
        1 for the next run to start.
    left : sequence of float or None
        Seconds that each running run still needs; None where unknown.
    usual : float or None
        Seconds that a run usually takes, assumed of waiting runs and where nothing else is known;
        None before any run has been timed.

    Returns
    -------
    float or None
        None where it is unknown: nothing is running, or no time is known.

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
        # With more runs than workers, those ahead must finish first.
        heapreplace(free, free[0] + usual if usual is not None else float("inf"))
    return free[0]


def sentence(position: int, seconds: float | None) -> str:
    """The sentence about a run's place in the queue and its expected wait.

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
