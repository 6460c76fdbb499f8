"""How many epochs a training is given by default: an epoch of few points has few steps."""

import math

from flowlab.data import Source
from flowlab.settings import TrainingSettings
from flowlab.training.split import test_count

#: About what the default settings make of a distribution: 40 epochs of 63 steps.
STEPS = 2_500
MOST = 10_000


def batches(source: Source, settings: TrainingSettings) -> int:
    """How many steps an epoch on a user's own points has."""
    count = min(source.count or settings.points, settings.points)
    return math.ceil((count - test_count(count, settings)) / settings.batch_size)


def default(source: Source, settings: TrainingSettings) -> int:
    """The number of epochs where nobody has set one.

    Of a user's own points so many that about `STEPS` steps are made, and never fewer than of
    other data.

    Parameters
    ----------
    source : Source
    settings : TrainingSettings
        Its batch size, points and test share count; its epochs do not.
    """
    usual = TrainingSettings().epochs
    if source.kind != "points":
        return usual
    return max(usual, min(MOST, round(STEPS / batches(source, settings))))


def sentence(source: Source, settings: TrainingSettings) -> str:
    """What to know about the number of epochs on a user's own points; empty where it is usual."""
    usual, wanted, each = TrainingSettings().epochs, default(source, settings), batches(
        source, settings)
    if wanted == usual:
        return ""
    if settings.epochs == wanted:
        return f"{usual} epochs would be {usual * each:,} steps: set to {wanted:,}."
    return (f"{settings.epochs:,} epochs are {settings.epochs * each:,} steps: {wanted:,} would "
            f"make about {STEPS:,}, as with other distributions.")
