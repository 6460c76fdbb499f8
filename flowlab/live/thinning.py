"""The frames of a run that are kept: a bounded number, the closer together the earlier."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flowlab.live.watch import Frame

MOST = 100  # frames
ROOM = 40_000_000  # bytes
FEWEST = 8  # frames that stay however large they are


def thinned(frames: Sequence[Frame], most: int = MOST, room: int = ROOM) -> list[Frame]:
    """Drop frames, one at a time the one whose neighbours are nearest, until the rest fits.

    Near is meant in the square roots of their steps, so the distances between those kept grow with
    the root of the step: a flow changes most in its first epochs. The first and the newest stay,
    and so does every epoch's loss: a frame takes over what those dropped before it have told.

    Parameters
    ----------
    frames : sequence of Frame
        Oldest first.
    most : int
        Frames that may stay.
    room : int
        Bytes that they may take; `FEWEST` stay in any case.

    Returns
    -------
    list of Frame
    """
    out = set(dispensable([frame.numbers["step"] for frame in frames],
                          [frame.content.bytes for frame in frames], most, room))
    kept, epochs, seconds = [], (), ()
    for i, frame in enumerate(frames):
        epochs, seconds = epochs + frame.epochs, seconds + frame.seconds
        if i not in out:
            heir = frame if epochs == frame.epochs else replace(
                frame, epochs=epochs, seconds=seconds)
            kept.append(heir)
            epochs, seconds = (), ()
    return kept


def dispensable(steps: Sequence[int], sizes: Sequence[int], most: int, room: int,
                fewest: int = FEWEST) -> list[int]:
    """Indices of what to drop, in `thinned`'s order, so that the rest fits.

    Parameters
    ----------
    steps : sequence of int
        When each was taken, rising.
    sizes : sequence of int
        Bytes of each.
    most, room, fewest : int
        How many may stay, their bytes together, and how many stay however large they are.
    """
    left, size, out = list(range(len(steps))), sum(sizes), []
    roots = [math.sqrt(step) for step in steps]
    while len(left) > 2 and (len(left) > most or (len(left) > fewest and size > room)):
        k = min(range(1, len(left) - 1), key=lambda k: roots[left[k + 1]] - roots[left[k - 1]])
        size -= sizes[left[k]]
        out.append(left.pop(k))
    return out


def order(numbers: dict[str, Any]) -> tuple[bool, int]:
    """What the moments of a run are sorted by, given their numbers.

    A training that diverges, or stops early, ends with the weights of an earlier epoch: its last
    moment has the step of those weights, and still comes last.
    """
    return numbers.get("outcome", "running") != "running", numbers["step"]


def shared(epochs: Sequence[tuple], moments: Sequence[dict[str, Any]]) -> list[list[tuple]]:
    """Deal the rows of epochs out to moments, given their numbers, oldest first.

    Each gets the epochs until its own, and the last all that are left.
    """
    rows, dealt = list(epochs), []
    for numbers in moments:
        own = [row for row in rows if row[0] <= numbers["epoch"]]
        dealt.append(own)
        rows = rows[len(own):]
    if dealt:
        dealt[-1] += rows
    return dealt


def nearest(frames: Sequence[Frame], step: int) -> int:
    """Index of the frame taken nearest to a step of the training."""
    return min(range(len(frames)), key=lambda i: abs(frames[i].numbers["step"] - step))


def history(frames: Sequence[Frame]) -> list[tuple[int, float, float]]:
    """Epoch, training NLL and test NLL of all epochs that the frames tell of."""
    return [row for frame in frames for row in frame.epochs]
