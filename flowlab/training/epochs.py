"""The default number of epochs, which is larger for few points, since their epochs are short."""

import math

from flowlab.data import Images, Source
from flowlab.settings import TrainingSettings
from flowlab.training.split import test_count

#: Approximate number of steps with the default settings: 40 epochs of 63 steps.
STEPS = 2_500
MAX_EPOCHS = 10_000


def batches(source: Source, settings: TrainingSettings) -> int:
    """The number of steps in an epoch."""
    if isinstance(source, Images):
        count = len(source.part(test=False)[0])
    else:
        count = min(source.count or settings.points, settings.points)
        count -= test_count(count, settings)
    return math.ceil(count / settings.batch_size)


def default(source: Source, settings: TrainingSettings) -> int:
    """The default number of epochs for a source.

    A user's own points get enough epochs for about `STEPS` steps, and at least as many as other
    data.

    Parameters
    ----------
    source : Source
    settings : TrainingSettings
        The batch size, points and test share; its epochs are ignored. With another budget, the
        default is the same for all sources.
    """
    usual = TrainingSettings().epochs
    if source.kind != "points" or settings.budget[0] != "epochs":
        return usual
    return max(usual, min(MAX_EPOCHS, round(STEPS / batches(source, settings))))


def sentence(source: Source, settings: TrainingSettings) -> str:
    """A note on the number of epochs on a user's own points; empty where it is the usual one."""
    usual, wanted, each = TrainingSettings().epochs, default(source, settings), batches(
        source, settings)
    if wanted == usual:
        return ""
    if settings.epochs == wanted:
        return f"{usual} epochs would be {usual * each:,} steps: set to {wanted:,}."
    return (f"{settings.epochs:,} epochs are {settings.epochs * each:,} steps: {wanted:,} would "
            f"make about {STEPS:,}, as with other distributions.")
