"""The frames of a run that are kept: a bounded number, spread over the whole training."""

from collections.abc import Sequence
from dataclasses import replace

from flowlab.live import Frame

MOST = 160  # frames
ROOM = 40_000_000  # bytes
FEWEST = 8  # frames that stay however large they are


def thinned(frames: Sequence[Frame], most: int = MOST, room: int = ROOM) -> list[Frame]:
    """Drop frames, one at a time the one whose neighbours are nearest, until the rest fits.

    So those kept are spread over the whole training. The first and the newest stay, and so does
    every epoch's loss: a frame takes over what those dropped before it have told.

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
    frames = list(frames)
    size = sum(frame.bytes for frame in frames)
    while len(frames) > most or (len(frames) > FEWEST and size > room):
        steps = [frame.numbers["step"] for frame in frames]
        out = min(range(1, len(frames) - 1), key=lambda i: steps[i + 1] - steps[i - 1])
        heir = frames[out + 1]
        frames[out + 1] = replace(heir, epochs=frames[out].epochs + heir.epochs)
        size -= frames.pop(out).bytes
    return frames


def nearest(frames: Sequence[Frame], step: int) -> int:
    """Index of the frame taken nearest to a step of the training."""
    return min(range(len(frames)), key=lambda i: abs(frames[i].numbers["step"] - step))


def history(frames: Sequence[Frame]) -> list[tuple[int, float, float]]:
    """Epoch, training NLL and test NLL of all epochs that the frames tell of."""
    return [row for frame in frames for row in frame.epochs]
