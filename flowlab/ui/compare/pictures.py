"""The pictures of comparisons, which all their viewers share."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
import torch

from flowlab.analysis.grid import grid_points
from flowlab.data import target
from flowlab.figures import ComparisonPicture
from flowlab.studies.comparison import Comparison, Contest
from flowlab.studies.comparison.contest import TrialRun
from flowlab.studies.comparison.plan import Trial
from flowlab.studies.comparison.trial import GRID, SHOWN


@dataclass
class SharedPicture:
    """A picture of one comparison, shared by all its viewers.

    Attributes
    ----------
    make : callable
        Makes the picture, without what has been learned.
    picture : ComparisonPicture or None
        Kept while the comparison goes on: it takes 14 MB.
    shown : tuple
        What ``png`` shows: the comparison's version, and the view.
    png : bytes
        The last one made.
    busy : bool
        Whether the next one is being made.
    lock : threading.Lock
        Held by whoever changes the picture.
    """

    make: Callable[[], ComparisonPicture]
    picture: ComparisonPicture | None = None
    shown: tuple = ()
    png: bytes = b""
    busy: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, contest: Contest, view: str) -> None:
        """Draw the comparison as it is now."""
        try:
            with self.lock:
                active, shown = contest.active, (contest.version, view)
                self.picture = self.picture or self.make()
                _update(self.picture, contest, view)
                self.png, self.shown = self.picture.png(), shown
                if not active:
                    self.picture = None
        finally:
            self.busy = False


@st.cache_resource(show_spinner=False)
def _drawing_thread() -> ThreadPoolExecutor:
    """Makes pictures beside the pages' scripts, which so never wait for one."""
    return ThreadPoolExecutor(1, "comparison pictures")


@st.cache_resource(show_spinner=False, max_entries=64)
def _scene(name: str) -> tuple:
    """Title, window, true density and points of a distribution."""
    truth = target(name)
    grid = None
    if truth.log_prob is not None:
        points = torch.as_tensor(grid_points(truth.limits, GRID))
        grid = truth.log_prob(points).exp().reshape(GRID, GRID).numpy()
    return truth.title, truth.limits, grid, truth.sample(SHOWN, seed=0).numpy()


@st.cache_resource(show_spinner=False, max_entries=12)
def _shared_picture(key: str, labels: tuple[str, ...], appearance: str, _comparison: Comparison,
           _steps: float | None) -> SharedPicture:
    seconds = _comparison.amount if _comparison.budget == "seconds" else None
    titles, limits, truths, data = zip(*map(_scene, _comparison.data), strict=True)
    return SharedPicture(lambda: ComparisonPicture(titles, limits, truths, data, labels,
                                       ends=(_steps, seconds), theme=appearance))


def preview(comparison: Comparison, labels: tuple[str, ...], appearance: str) -> bytes:
    """The picture before any training, as PNG."""
    shared = _shared_picture(",".join(comparison.data), labels, appearance, comparison, None)
    with shared.lock:
        shared.png = shared.png or shared.make().png()
        return shared.png


def drawn(contest: Contest, view: str, appearance: str) -> tuple[bytes, bool]:
    """The newest picture of a comparison, as PNG, and whether it shows how things are now.

    Where it does not, the next one is being made: ask again.
    """
    shared = _of(contest, appearance)
    if not shared.png:
        shared.draw(contest, view)
    fresh = shared.shown == (contest.version, view)
    if not fresh and not shared.busy:
        shared.busy = True
        _drawing_thread().submit(shared.draw, contest, view)
    return shared.png, fresh


def file(contest: Contest, kind: str, view: str, appearance: str) -> bytes:
    """The same as an ``"svg"`` or a ``"pdf"``."""
    shared = _of(contest, appearance)
    with shared.lock:
        picture = shared.picture or shared.make()
        _update(picture, contest, view)
        return picture.file(kind)


def _of(contest: Contest, appearance: str) -> SharedPicture:
    return _shared_picture(contest.id, contest.labels, appearance, contest.comparison,
                           _steps(contest))


def _steps(contest: Contest) -> float | None:
    """Optimiser steps of the longest training, where the budget says so."""
    if contest.comparison.budget == "steps":
        return contest.comparison.amount
    if contest.comparison.budget == "seconds":
        return None
    training = [h.trial.settings.training for h in contest.trial_runs if isinstance(h.trial, Trial)]
    return max((s.epochs * math.ceil(round(s.points * (1 - s.test_fraction)) / s.batch_size)
                for s in training), default=None)


def _update(picture: ComparisonPicture, contest: Contest, view: str) -> None:
    if picture.view != view:
        picture.set_view(view)
    for row, data in enumerate(contest.comparison.data):
        known = _scene(data)[2] is not None
        for column in range(len(contest.labels)):
            trial_runs = [h for h in contest.trial_runs
                     if (h.trial.entry, h.trial.data) == (column, data)]
            if not trial_runs:  # a finished run that was trained on another distribution
                picture.update(row, column, caption="other data")
                continue
            look = trial_runs[0].look
            picture.update(
                row, column, density=look.density if look else None,
                samples=look.samples if look else None,
                caption=_caption(trial_runs[0], known, len(trial_runs)),
                curves=[np.array(h.curve) for h in trial_runs])
    picture.fit_axes()


def _caption(run: TrialRun, known: bool, seeds: int) -> str:
    """The caption in the corner of a square: the training's state, and its last KL or NLL.

    The square shows one seed of several, and the number is that seed's, not the table's mean.
    """
    if run.result is not None:
        value = run.result.values["kl" if known else "nll"]
    else:
        value = run.curve[-1][2] if run.curve else None
    at_it = "measuring" if run.spent >= 1 else "training"
    state = {"queued": "waiting", "running": at_it, "paused": "paused"}.get(
        run.status.state, "" if run.result else run.status.state)
    number = "" if value is None else f"{'KL' if known else 'NLL'} {value:.3f}"
    if number and seeds > 1:
        number = f"seed {run.trial.seed}: {number}"
    return "  ".join(filter(None, (number.replace("-", "\N{MINUS SIGN}"), state)))
