"""Thins the frames of a run to a bounded number, which are denser early in the training."""

import math
from collections.abc import Sequence
from dataclasses import replace

from flowlab.live.watch import Frame
from flowlab.training import Epoch, Moment

MAX_FRAMES = 100  # frames
MAX_BYTES = 40_000_000
MIN_FRAMES = 8  # frames that stay however large they are


def thinned(frames: Sequence[Frame], most: int = MAX_FRAMES, max_bytes: int = MAX_BYTES
            ) -> list[Frame]:
    """Drop frames until the rest fits, each time the one whose neighbours are nearest.

    Distances are measured between square roots of steps, so that the remaining frames are denser
    early on: a flow changes most in its first epochs. The first and the newest frame stay, and so
    do the losses of every epoch: a frame takes over those of the frames dropped before it.

    Parameters
    ----------
    frames : sequence of Frame
        Oldest first.
    most : int
        Maximum number of frames.
    max_bytes : int
        Maximum size of all frames; at least `MIN_FRAMES` stay.

    Returns
    -------
    list of Frame
    """
    out = set(to_drop([frame.moment.step for frame in frames],
                      [frame.content.bytes for frame in frames], most, max_bytes))
    kept = []
    epochs: tuple[Epoch, ...] = ()
    for i, frame in enumerate(frames):
        epochs += frame.epochs
        if i not in out:
            kept.append(frame if epochs == frame.epochs else replace(frame, epochs=epochs))
            epochs = ()
    return kept


def to_drop(steps: Sequence[int], sizes: Sequence[int], most: int, max_bytes: int,
            fewest: int = MIN_FRAMES) -> list[int]:
    """Indices of the frames to drop, in the order in which `thinned` drops them.

    Parameters
    ----------
    steps : sequence of int
        The step of each frame, increasing.
    sizes : sequence of int
        The bytes of each frame.
    most, max_bytes, fewest : int
        The maximum number of frames, their maximum size, and the number that always stay.
    """
    left, size, out = list(range(len(steps))), sum(sizes), []
    roots = [math.sqrt(step) for step in steps]
    while len(left) > 2 and (len(left) > most or (len(left) > fewest and size > max_bytes)):
        k = min(range(1, len(left) - 1), key=lambda k: roots[left[k + 1]] - roots[left[k - 1]])
        size -= sizes[left[k]]
        out.append(left.pop(k))
    return out


def order(moment: Moment) -> tuple[bool, int]:
    """The sort key of a run's frames, given their moments.

    A training that diverges or stops early ends with the weights of an earlier epoch: its last
    frame has the step of those weights, and still comes last.
    """
    return moment.outcome != "running", moment.step


def assign_epochs(epochs: Sequence[Epoch], moments: Sequence[Moment]) -> list[list[Epoch]]:
    """Assign epochs to frames, given the frames' moments, oldest first.

    Each frame gets the epochs since the one before it, and the last frame all that are left.
    """
    rows = list(epochs)
    assigned: list[list[Epoch]] = []
    for moment in moments:
        own = [row for row in rows if row.epoch <= moment.epoch]
        assigned.append(own)
        rows = rows[len(own):]
    if assigned:
        assigned[-1] += rows
    return assigned


def nearest(frames: Sequence[Frame], step: int) -> int:
    """The index of the frame nearest to a step of the training."""
    return min(range(len(frames)), key=lambda i: abs(frames[i].moment.step - step))


def history(frames: Sequence[Frame]) -> list[Epoch]:
    """All epochs of the frames."""
    return [epoch for frame in frames for epoch in frame.epochs]
