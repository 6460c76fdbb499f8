"""Submits a training of a study: it is stored, and continues where it was interrupted."""

from collections.abc import Callable
from typing import Any, Literal

from flowlab.jobs.choose import is_local
from flowlab.live import Request
from flowlab.runs import Recorder, Run
from flowlab.settings import RunSettings
from flowlab.training import recipe
from flowlab.training.distributed import check_device


def check(name: str, settings: RunSettings) -> None:
    """Raise a ValueError of one sentence where no training can take the settings of this name."""
    try:
        recipe.check(settings)
        if is_local():
            check_device(settings.training.device)
    except ValueError as error:
        raise ValueError(f"No training can take {name}: {error}") from error


def submit(recorder: Recorder, train: Callable, settings: RunSettings, before: Run | None,
           owner: str, *, run_id: str | None = None,
           pictures: Literal["weights", "end"] = "end", **about: Any) -> str:
    """Queue a training, and have the recorder follow it; return the run's id.

    Parameters
    ----------
    recorder : Recorder
    train : callable
        A recipe's ``train``.
    settings : RunSettings
    before : Run or None
        The same training, where it was interrupted: it continues from its last checkpoint, or
        starts again where it has none.
    owner : str
        As for `flowlab.jobs.Engine.submit`.
    run_id : str, optional
        By default that of ``before``, or of the job.
    pictures : "end" or "weights"
        As in `flowlab.live.Request`.
    **about
        As for `flowlab.runs.Recorder.follow`.
    """
    resume = None if before is None else recorder.store.snapshot(before.id)
    if resume is not None and settings.training.share(
            resume.epoch, resume.step, resume.seconds) >= 1:
        resume = None  # it was killed after its end, before that was noted
    job = recorder.engine.submit(
        Request(train, settings, resume=resume, pictures=pictures).job, owner=owner)
    return recorder.follow(job, settings, run_id=run_id or (before.id if before else None),
                           film=False, **about)
