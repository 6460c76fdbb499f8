"""Maximum likelihood (and reverse KL) with Adam: trainer, data, numbers, checkpoints."""

from flowlab.settings import TrainingSettings
from flowlab.training.checkpoint import Snapshot
from flowlab.training.progress import Epoch, Moment, Progress
from flowlab.training.trainer import SCHEDULES, train

__all__ = ["SCHEDULES", "Epoch", "Moment", "Progress", "Snapshot", "TrainingSettings", "train"]
