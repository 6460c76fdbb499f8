"""A comparison: its trainings, which are runs of the store, and what is measured of them."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from flowlab.jobs import Engine, Job, Status
from flowlab.live import Frame
from flowlab.runs import Recorder, Run
from flowlab.runs.run import COMPLETE
from flowlab.studies.comparison.archive import Archive, Header, Key, Record
from flowlab.studies.comparison.finished import (
    Evaluation,
    FinishedRun,
    evaluations,
    finished_runs,
    trained,
)
from flowlab.studies.comparison.plan import Comparison, Trial, plan
from flowlab.studies.comparison.table import Table, table
from flowlab.studies.comparison.trial import Curve, Look, Result, curve_of, evaluate, look_at
from flowlab.studies.submit import submit
from flowlab.training import recipe

log = logging.getLogger(__name__)

#: The state of a training that was not started, or was interrupted.
MISSING = "not finished"


@dataclass
class TrialRun:
    """One training of a comparison, or one finished run, and what is known of it so far.

    Attributes
    ----------
    trial : Trial or Evaluation
    run_id : str
        The id of its run in the store.
    status : Status
        How its training stands, and after it how its measuring does; or `MISSING`.
    result : Result or None
    curve : tuple of (int, float, float)
    job : str
        The id of the job that measures it, while it does.
    frame : Frame or None
        The newest frame with weights of a training under way.
    """

    trial: Trial | Evaluation
    run_id: str
    status: Status = Status(MISSING)
    result: Result | None = None
    curve: Curve = ()
    job: str = ""
    frame: Frame | None = None
    _look: Look | None = None

    @property
    def key(self) -> Key:
        """Entry, distribution and seed."""
        return self.trial.entry, self.trial.data, self.trial.seed

    @property
    def look(self) -> Look | None:
        """The newest look; at a training under way it is taken now."""
        frame, self.frame = self.frame, None
        if frame is not None:
            self._look = look_at(frame.flow(), self.trial.data)
        return self._look

    @property
    def spent(self) -> float:
        """The share of the budget that is used."""
        return 1.0 if self.job or self.result is not None else self._spent

    _spent: float = 0.0

    def take(self, record: Record) -> None:
        """Take what was measured."""
        self.result, self.curve, self._look = record
        self.frame, self.status = None, Status("finished")


class Contest:
    """A comparison and its results; safe to read from several threads.

    Parameters
    ----------
    recorder : Recorder
        Follows the trainings; its engine trains and measures, and the comparison is stored beside
        the runs of its store.
    comparison : Comparison
    recipes : mapping of str to Recipe
        As ``models.RECIPES``.
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

    def __init__(self, recorder: Recorder, comparison: Comparison,
                 recipes: Mapping[str, recipe.Recipe], runs: Sequence[FinishedRun] | None = None,
                 visitor: str = "", name: str = "") -> None:
        self.recorder, self.comparison, self.visitor = recorder, comparison, visitor
        self.runs = tuple(finished_runs(comparison.runs, recorder.store) if runs is None else runs)
        self.id = name or secrets.token_hex(8)
        self.trial_runs = [TrialRun(one, one.run) for one in evaluations(comparison, self.runs)] + [
            TrialRun(trial, f"{self.id}e{trial.entry}d{comparison.data.index(trial.data)}"
                     f"s{trial.seed}") for trial in plan(comparison, recipes)]
        self.labels = comparison.labels(
            {name: recipe.title for name, recipe in recipes.items()},
            [run.name for run in self.runs])
        self.version, self.seen = 0, time.monotonic()
        self._archive = Archive(recorder.store.folder)
        self._owner = ""
        self._begun = bool(name)  # whether it is on disk
        self._lock = threading.RLock()

    @classmethod
    def open(cls, name: str, recorder: Recorder, recipes: Mapping[str, recipe.Recipe]
             ) -> Self | None:
        """Open a stored comparison, without starting anything; None where there is none.

        Raises
        ------
        ValueError
            With one sentence, when it cannot be read or no longer fits the program.
        """
        archive = Archive(recorder.store.folder)
        header = archive.read(name)
        if header is None:
            return None
        contest = cls(recorder, header.comparison, recipes, header.runs, header.visitor, name)
        contest.labels = header.labels
        stored = contest._stored()
        for run in contest.trial_runs:
            try:
                record = archive.load(name, run.key)
            except ValueError as error:
                run.status = Status(MISSING, message=str(error))
                continue
            if record is not None:
                run.take(record)
            elif run.run_id in stored and isinstance(run.trial, Trial):
                run.curve = curve_of(recorder.store.epochs(run.run_id), run.trial.data)
        return contest

    @property
    def engine(self) -> Engine:
        """The engine of the recorder."""
        return self.recorder.engine

    def train(self, owner: str = "") -> Self:
        """Queue what has no result and is not active: trainings, and the measuring of their flows.

        An interrupted training continues from its checkpoint.

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
            self._owner = owner
            if not self._begun:
                self._keep(self._archive.begin, Header(
                    comparison=self.comparison, labels=self.labels, runs=self.runs,
                    visitor=self.visitor))
                self._begun = True
            stored = self._stored()
            for run in self.trial_runs:
                if run.result is None and not run.status.active:
                    self._start(run, stored.get(run.run_id))
            self.version += 1
        return self

    def _stored(self) -> dict[str, Run]:
        return {run.id: run for run in self.recorder.store.runs(group=self.id)}

    def _check(self) -> None:
        for run in self.trial_runs:
            trial = run.trial
            if run.result is None and isinstance(trial, Trial) and trial.seed == 0:
                try:
                    recipe.check(trial.settings)
                except ValueError as error:
                    raise ValueError(f"No training can take {self.labels[trial.entry]} on "
                                     f"{trial.data}: {error}") from error

    def _start(self, run: TrialRun, before: Run | None) -> None:
        """Queue the training, or where it is over its measuring."""
        if isinstance(run.trial, Evaluation) or before is not None and before.complete:
            self._measure(run)
        elif before is None or not before.active:  # otherwise another program trains it
            submit(self.recorder, run.trial.train, run.trial.settings, before, self._owner,
                   run_id=run.run_id, origin="comparison", group=self.id, visitor=self.visitor,
                   pictures="weights", name=self._name(run.trial))
            run.status = Status("queued")

    def _measure(self, run: TrialRun) -> None:
        """Queue the job that measures a trained flow."""
        store, trial = self.recorder.store, run.trial
        try:
            if isinstance(trial, Evaluation):
                flow = trial.load(store)
            else:
                stored = store.get(run.run_id)
                if stored is None:
                    raise ValueError("It was deleted; train what is missing.")
                flow = trained(stored, store, trial.level, trial.seed, stored.outcome,
                               stored.reason)
        except ValueError as error:  # the run has been deleted meanwhile
            run.status = Status("failed", message=str(error))
            return
        run.curve = curve_of(flow.epochs, trial.data)
        # Under a name of its own it need not wait for all trainings.
        run.job = self.engine.submit(Job(evaluate, flow, flow.settings.model),
                                     owner=f"{self._owner}.measure")
        run.status = Status("queued")

    def poll(self) -> None:
        """Fetch what is new of the trainings and of their measuring."""
        with self._lock:
            self.version += sum(self._update(run) for run in self.trial_runs if run.status.active)

    def _update(self, run: TrialRun) -> bool:
        """Fetch what is new, and return whether anything is."""
        before = run.status
        if run.job:
            run.status = self.engine.status(run.job)
            if not run.status.active:
                looks, result = self.engine.events(run.job), self.engine.result(run.job)
                self.engine.forget(run.job)
                run.job = ""
                if result is not None:
                    record = Record(result, run.curve, looks[-1])
                    run.take(record)
                    self._keep(self._archive.keep, run.key, record)
        elif (status := self.recorder.status(run.run_id)) is not None:
            frames = self.recorder.frames(run.run_id)
            if status.active:
                run.status = status
                return self._follow(run, frames) or status != before
            if self.recorder.done(run.run_id):
                self.recorder.forget(run.run_id)
                run.status = status
                if status.state in COMPLETE:
                    self._measure(run)
        return run.status != before

    def _follow(self, run: TrialRun, frames: Sequence[Frame]) -> bool:
        """Take the newest frame of a training, and return whether it is new."""
        if not frames or not isinstance(run.trial, Trial):
            return False
        moment = frames[-1].moment
        spent = moment.step / moment.steps
        if spent == run._spent:
            return False
        run._spent = spent
        run.curve = curve_of(self.recorder.store.epochs(run.run_id), run.trial.data)
        if run.trial.seed == 0 and frames[-1].has_weights:
            run.frame = frames[-1]
        return True

    def _keep(self, action: Callable, *values: object) -> None:
        """Write to the archive; a full disk must not end a comparison."""
        try:
            action(self.id, *values)
        except OSError:
            log.exception("The comparison %s could not be kept", self.id)

    @property
    def active(self) -> bool:
        """Whether anything was active at the last `poll`."""
        return any(run.status.active for run in self.trial_runs)

    @property
    def done(self) -> int:
        """The number of trainings and finished runs that are not active."""
        return sum(not run.status.active for run in self.trial_runs)

    def stop(self) -> None:
        """Stop all trainings; results stay."""
        with self._lock:
            for run in reversed(self.trial_runs):  # queued ones first
                if run.job:
                    self.engine.control(run.job, "stop")
                elif run.status.active:
                    self.recorder.control(run.run_id, "stop")

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
            reason = run.result.reason if run.result else run.status.message
            status = run.status
            ended = not status.active and (status.state != "stopped" or status.late)
            if ended and reason:
                sentences.append(f"{self._name(run.trial)}: {reason}")
        return sentences

    def _name(self, trial: Trial | Evaluation) -> str:
        seed = f", seed {trial.seed}" if isinstance(trial, Trial) else ""
        return f"{self.labels[trial.entry]} on {trial.data}{seed}"

    def wait(self, every: float = 0.2, on_poll: Callable[[Self], object] | None = None) -> None:
        """Poll until all trainings have ended, calling ``on_poll(contest)`` each time."""
        while True:
            self.poll()
            if on_poll is not None:
                on_poll(self)
            if not self.active:
                return
            time.sleep(every)
