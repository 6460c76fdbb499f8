"""Runs all trainings of a comparison on an engine."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

from flowlab.jobs import Engine, Status
from flowlab.runs import Store
from flowlab.studies.comparison.archive import Archive, Header, Key, Record
from flowlab.studies.comparison.finished import (
    Evaluation,
    FinishedRun,
    evaluate,
    evaluations,
    finished_runs,
)
from flowlab.studies.comparison.plan import Comparison, Trial, plan
from flowlab.studies.comparison.table import Table, table
from flowlab.studies.comparison.trial import Look, Result, run_trial
from flowlab.training import recipe

log = logging.getLogger(__name__)

#: The state of a training that was not started, or was interrupted.
MISSING = "not finished"


@dataclass
class TrialRun:
    """One training of a contest, or the evaluation of one finished run, and its results so far.

    Attributes
    ----------
    trial : Trial or Evaluation
    run_id : str
        Its id in the engine, once it was submitted.
    status : Status
        Its status in the engine, or `MISSING`.
    look : Look or None
        The newest look.
    curve : list of (int, float, float)
        As in `Look`, for the whole training.
    result : Result or None
    taken : int
        Number of events fetched so far.
    """

    trial: Trial | Evaluation
    run_id: str = ""
    status: Status = Status(MISSING)
    look: Look | None = None
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    result: Result | None = None
    taken: int = 0

    @property
    def key(self) -> Key:
        """Entry, distribution and seed."""
        return self.trial.entry, self.trial.data, self.trial.seed

    def start(self, engine: Engine, owner: str, store: Store | None) -> None:
        """Queue the job from its beginning."""
        self.look, self.curve, self.taken = None, [], 0
        try:
            job: tuple[Callable, Any] = (
                (run_trial, self.trial) if isinstance(self.trial, Trial)
                else (evaluate, self.trial.load(cast(Store, store))))
        except ValueError as error:  # the run has been deleted meanwhile
            self.status = Status("failed", message=str(error))
            return
        self.run_id, self.status = engine.submit(*job, owner), Status("queued")

    def take(self, record: Record) -> None:
        """Take the results from a stored record."""
        self.result, self.curve, self.look = record
        self.status = Status("finished")

    def update(self, engine: Engine) -> bool:
        """Fetch what is new, and return whether anything is."""
        if not self.status.active:
            return False
        before, self.status = self.status, engine.status(self.run_id)
        events = engine.events(self.run_id, self.taken)
        for look in events:
            self.curve.extend(look.curve)
            self.look = look
        self.taken += len(events)
        if self.status.active:
            engine.release(self.run_id, self.taken)
        else:
            self.result = engine.result(self.run_id)
            engine.forget(self.run_id)
        return bool(events) or self.status != before


class Contest:
    """A comparison and its results; safe to read from several threads.

    Parameters
    ----------
    engine : Engine
        Where the trainings run.
    comparison : Comparison
    recipes : mapping of str to Recipe
        As ``models.RECIPES``.
    store : Store, optional
        The store of the finished runs, beside which the comparison is stored; without it, it is
        not stored.
    runs : sequence of FinishedRun, optional
        The finished runs, where they are known without the store.
    visitor : str
        Its owner, as in `flowlab.runs.Run`.

    Attributes
    ----------
    id : str
        An unguessable id.
    trial_runs : list of TrialRun
        One for each finished run and each training, in the order in which they start.
    version : int
        Increases whenever something is new.
    seen : float
        When a viewer last looked, on the monotonic clock.

    Raises
    ------
    ValueError
        When the settings do not fit each other.
    """

    def __init__(self, engine: Engine, comparison: Comparison, recipes: Mapping[str, recipe.Recipe],
                 store: Store | None = None, runs: Sequence[FinishedRun] | None = None,
                 visitor: str = "") -> None:
        self.runs = tuple(finished_runs(comparison.runs, store) if runs is None else runs)
        trials: list[Trial | Evaluation] = [*evaluations(comparison, self.runs),
                                            *plan(comparison, recipes)]
        self.trial_runs = [TrialRun(trial) for trial in trials]
        self.id = secrets.token_hex(8)
        self.engine, self.comparison, self.visitor = engine, comparison, visitor
        self.labels = comparison.labels(
            {name: recipe.title for name, recipe in recipes.items()},
            [run.name for run in self.runs])
        self.version, self.seen = 0, time.monotonic()
        self._store = store
        self._archive = None if store is None else Archive(store.folder)
        self._begun = False  # whether it is on disk
        self._lock = threading.Lock()

    @classmethod
    def open(cls, name: str, engine: Engine, recipes: Mapping[str, recipe.Recipe], store: Store
             ) -> Self | None:
        """Open a stored comparison, without starting anything; None where there is none.

        Raises
        ------
        ValueError
            With one sentence, when it cannot be read or no longer fits the program.
        """
        archive = Archive(store.folder)
        header = archive.read(name)
        if header is None:
            return None
        contest = cls(engine, header.comparison, recipes, store, header.runs, header.visitor)
        contest.id, contest.labels, contest._begun = name, header.labels, True
        for run in contest.trial_runs:
            try:
                record = archive.load(name, run.key)
            except ValueError as error:
                run.status = Status(MISSING, message=str(error))
            else:
                if record is not None:
                    run.take(record)
        return contest

    def train(self, owner: str = "") -> Self:
        """Queue the trainings that have no result and are not active.

        Parameters
        ----------
        owner : str
            Their owner in the queue.

        Raises
        ------
        ValueError
            With one sentence, where settings do not fit; then no training is queued.
        """
        with self._lock:
            self._check()
            if self._archive is not None and not self._begun:
                self._keep(self._archive.begin, Header(
                    comparison=self.comparison, labels=self.labels, runs=self.runs,
                    visitor=self.visitor))
                self._begun = True
            for run in self.trial_runs:
                if run.result is None and not run.status.active:
                    run.start(self.engine, owner, self._store)
            self.version += 1
        return self

    def _check(self) -> None:
        for run in self.trial_runs:
            trial = run.trial
            if run.result is None and isinstance(trial, Trial) and trial.seed == 0:
                try:
                    recipe.check(trial.settings)
                except ValueError as error:
                    raise ValueError(f"No training can take {self.labels[trial.entry]} on "
                                     f"{trial.data}: {error}") from error

    def poll(self) -> None:
        """Fetch what the trainings have reported."""
        with self._lock:
            for run in self.trial_runs:
                if not run.update(self.engine):
                    continue
                self.version += 1
                if run.result is not None and self._archive is not None:
                    self._keep(self._archive.keep, run.key,
                               Record(run.result, run.curve, run.look))

    def _keep(self, action: Callable, *values: object) -> None:
        """Write to the archive; a full disk must not end a comparison."""
        try:
            action(self.id, *values)
        except OSError:
            log.exception("The comparison %s could not be kept", self.id)

    @property
    def active(self) -> bool:
        """Whether any training was active at the last `poll`."""
        return any(run.status.active for run in self.trial_runs)

    @property
    def done(self) -> int:
        """The number of trainings that are not active."""
        return sum(not run.status.active for run in self.trial_runs)

    def stop(self) -> None:
        """Stop all trainings; results stay."""
        with self._lock:
            for run in reversed(self.trial_runs):  # queued ones first
                if run.status.active:
                    self.engine.control(run.run_id, "stop")

    def results(self) -> dict[tuple[int, str, int], Result]:
        """The results so far, by entry, distribution and seed."""
        return {run.key: run.result for run in self.trial_runs if run.result is not None}

    @property
    def missing(self) -> bool:
        """Whether a training has no result and none is active."""
        return not self.active and any(run.result is None for run in self.trial_runs)

    def table(self) -> Table:
        """The table of the results so far."""
        return table(self.comparison, self.results(), self.labels, [r.data for r in self.runs])

    def problems(self) -> list[str]:
        """One sentence for every training that did not end normally."""
        sentences = []
        for run in self.trial_runs:
            trial, result = run.trial, run.result
            reason = result.reason if result else run.status.message
            status = run.status
            ended = not status.active and (status.state != "stopped" or status.late)
            if ended and reason:
                seed = f", seed {trial.seed}" if isinstance(trial, Trial) else ""
                sentences.append(f"{self.labels[trial.entry]} on {trial.data}{seed}: {reason}")
        return sentences

    def wait(self, every: float = 0.2, on_poll: Callable[[Self], object] | None = None) -> None:
        """Poll until all trainings have ended, calling ``on_poll(contest)`` each time."""
        while True:
            self.poll()
            if on_poll is not None:
                on_poll(self)
            if not self.active:
                return
            time.sleep(every)
