"""From settings to a training: what the three recipes share."""

from collections.abc import Generator

import torch

from flowlab.data import target
from flowlab.flow import Flow
from flowlab.settings import RunSettings, TrainingSettings
from flowlab.training import Progress, Snapshot, train


def build(model: type[Flow], settings: RunSettings) -> Flow:
    """A fresh flow whose random start is fixed by the run's seed.

    torch's global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        flow = model(**dict(settings.flow))
    return flow.to(settings.training.device, getattr(torch, settings.training.precision))


def run(model: type[Flow], run_settings: type[RunSettings],
        settings: RunSettings | TrainingSettings | None, every: str,
        resume: Snapshot | None) -> Generator[Progress, float | None, None]:
    """Train a fresh flow on the run's distribution; as `flowlab.training.train`.

    ``settings`` may be a whole run, or its training alone; what is left out is at its default.

    Raises
    ------
    ValueError
        When the settings do not fit each other: the distribution's dimension, or its noise.
    """
    if not isinstance(settings, RunSettings):
        settings = run_settings(training=settings or TrainingSettings())
    source = target(settings.source.data, noise=settings.source.noise)
    return train(build(model, settings), source, settings.training, every=every, resume=resume)
