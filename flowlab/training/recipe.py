"""From settings to a training: what the three recipes share."""

from collections.abc import Generator

import torch
from pydantic import ValidationError

from flowlab.data import Images, Points, Target, image_set, target
from flowlab.data.images import is_image_set
from flowlab.flow import Flow
from flowlab.settings import FlowSettings, RunSettings, SourceSettings, TrainingSettings, describe
from flowlab.training import split
from flowlab.training.distributed import check_device
from flowlab.training.trainer import Progress, Snapshot, train


def check(settings: RunSettings) -> None:
    """See that a training can take these settings, before anything is built or drawn.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    source = source_of(settings.source)
    try:
        flow = fitted(settings.flow, source)
    except ValidationError as error:
        raise ValueError(describe(error)) from error
    split.check(flow, source, settings.training)


def build(model: type[Flow], settings: RunSettings) -> Flow:
    """A fresh flow whose random start is fixed by the run's seed, in the shape of its source.

    torch's global random state is left as it was; for the shape see `fitted`.

    Raises
    ------
    ValueError
        When the run is to be on a GPU and there is none, or its source cannot be had.
    """
    check_device(settings.training.device)
    fitting = fitted(settings.flow, source_of(settings.source))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.training.seed)
        flow = model(**dict(fitting))
    return flow.to(settings.training.device, getattr(torch, settings.training.precision))


def run(model: type[Flow], run_settings: type[RunSettings],
        settings: RunSettings | TrainingSettings | None, every: str,
        resume: Snapshot | None) -> Generator[Progress, float | None, None]:
    """Train a fresh flow on the run's distribution or images; as `flowlab.training.train`.

    ``settings`` may be a whole run, or its training alone; what is left out is at its default. A
    flow for the plane takes the shape of the run's images, see `fitted`.

    Raises
    ------
    ValueError
        When the settings do not fit each other: the distribution's dimension, or its noise.
    """
    if not isinstance(settings, RunSettings):
        settings = run_settings(training=settings or TrainingSettings())
    source = source_of(settings.source)
    return train(build(model, settings), source, settings.training, every=every, resume=resume)


def source_of(settings: SourceSettings) -> Target | Points | Images:
    """The distribution, own points or images that the settings name.

    Raises
    ------
    ValueError
        If there is no such source, or it cannot have that noise.
    """
    if not is_image_set(settings.data):
        return target(settings.data, noise=settings.noise)
    if settings.noise is not None:
        raise ValueError("Images have no noise level; leave the noise out.")
    return image_set(settings.data)


def fitted(settings: FlowSettings, source: Target | Points | Images) -> FlowSettings:
    """The settings of a flow, in the shape of its points, and with the grey levels of its images.

    A shape or a number of grey levels that is not at its default stays as it is.
    """
    default = type(settings)()
    change = {name: getattr(source, name) for name in ("event_shape", "grey_levels")
              if hasattr(source, name) and getattr(settings, name) == getattr(default, name)}
    return type(settings)(**{**dict(settings), **change})
