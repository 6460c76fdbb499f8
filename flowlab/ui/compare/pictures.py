"""The comparisons of this server process, and their pictures."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import streamlit as st
import torch

from flowlab.analysis.grid import grid_points
from flowlab.data import target
from flowlab.figures import ComparisonPicture
from flowlab.server.admission import must_own
from flowlab.server.limits import limits
from flowlab.studies.comparison import Comparison, Contest
from flowlab.studies.comparison.contest import TrialRun
from flowlab.studies.comparison.plan import Trial
from flowlab.studies.comparison.trial import GRID, SHOWN
from flowlab.training.recipe import Recipe
from flowlab.ui.app.lab import lab

LOOK = 1.0  # seconds between two looks at those under way


class Contests:
    """Starts and finds comparisons; safe to use from several sessions at once."""

    def __init__(self) -> None:
        self._contests: dict[str, Contest] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._follow, daemon=True).start()

    def start(self, comparison: Comparison, recipes: Mapping[str, Recipe], owner: str,
              visitor: str = "") -> Contest:
        """Queue all trainings of a comparison, as `Contest` says.

        Raises
        ------
        flowlab.server.limits.Exceeded
            As `flowlab.server.admission.Admission.admitted`.
        """
        contest = Contest(lab().recorder, comparison, recipes, visitor=visitor)
        self.train(contest, owner, visitor)
        with self._lock:
            self._add(contest)
        return contest

    def train(self, contest: Contest, owner: str, visitor: str = "") -> None:
        """Queue what has no result yet, as `Contest.train`.

        Raises
        ------
        flowlab.server.limits.Exceeded
            As `flowlab.server.admission.Admission.admitted`.
        NotYours
            If it is another visitor's.
        """
        must_own(contest, visitor)
        comparison = contest.comparison
        if comparison.budget == "seconds":
            limits().refuse("max_seconds", comparison.amount, f"Each training would take "
                            f"{comparison.amount:g} s", "give less time")
        left = [h.trial for h in contest.trial_runs if h.result is None and not h.status.active]
        trials = [trial for trial in left if isinstance(trial, Trial)]
        # An owner of its own: a single training of the same person need not wait for all of these.
        with lab().admission.admitted([trial.settings for trial in trials], owner,
                                 len(left) - len(trials), comparison.budget == "epochs"):
            contest.train(f"{owner}.compare")

    def stop(self, contest: Contest, visitor: str = "") -> None:
        """Stop a visitor's comparison.

        Raises
        ------
        NotYours
            If it is another's.
        """
        must_own(contest, visitor)
        contest.stop()

    def find(self, name: str | None, recipes: Mapping[str, Recipe]) -> Contest | None:
        """The comparison with this id, as it is now; None where there is none (any more).

        Raises
        ------
        ValueError
            For one on disk that cannot be read, or no longer fits the program.
        """
        if not name:
            return None
        with self._lock:
            contest = self._contests.get(name)
            if contest is None:
                contest = Contest.open(name, lab().recorder, recipes)
                if contest is None:
                    return None
                self._add(contest)
        contest.seen = time.monotonic()
        contest.poll()
        return contest

    def _add(self, contest: Contest) -> None:
        self._contests[contest.id] = contest
        over = [c.id for c in self._contests.values() if not c.active and c is not contest]
        for name in over[:max(0, len(over) - limits().comparisons)]:
            del self._contests[name]

    def _follow(self) -> None:
        """Keep on disk what comes also while nobody looks, and stop what nobody watches."""
        while True:
            time.sleep(LOOK)
            with self._lock:
                contests = list(self._contests.values())
            for contest in contests:
                if contest.active:
                    contest.poll()
                    if time.monotonic() - contest.seen > limits().grace:
                        contest.stop()


@st.cache_resource(show_spinner=False)
def contests() -> Contests:
    """The one registry of this process."""
    return Contests()


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
    at_it = "measuring" if run.job else "training"
    state = {"queued": "waiting", "running": at_it, "paused": "paused"}.get(
        run.status.state, "" if run.result else run.status.state)
    number = "" if value is None else f"{'KL' if known else 'NLL'} {value:.3f}"
    if number and seeds > 1:
        number = f"seed {run.trial.seed}: {number}"
    return "  ".join(filter(None, (number.replace("-", "\N{MINUS SIGN}"), state)))
