"""A comparison: a group of runs in the store, and what is measured of them."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Self

from flowlab.jobs import Job, Status
from flowlab.runs import Recorder, Run, Store
from flowlab.runs.naming import name_in_comparison
from flowlab.studies.comparison.archive import Header, Record, members, read, record
from flowlab.studies.comparison.finished import (
    Evaluation,
    FinishedRun,
    comparable,
    finished_runs,
    trained,
)
from flowlab.studies.comparison.plan import Comparison, Trial
from flowlab.studies.comparison.table import Table, table
from flowlab.studies.comparison.trial import Curve, Look, Result, curve_of, look_at
from flowlab.studies.submit import check, submit
from flowlab.training.recipe import Recipe

#: The state of a run that was not trained or measured, or was interrupted.
MISSING = "not finished"


@dataclass(frozen=True)
class TrialRun:
    """One training of a comparison, or one finished run, as it stands now.

    Attributes
    ----------
    trial : Trial or Evaluation
    run_id : str
        The id of its run in the store.
    status : Status
        How its training stands, and after it how its measuring does; or `MISSING`.
    record : Record or None
        What was measured.
    curve : tuple of (int, float, float)
    spent : float
        The share of the budget that is used.
    newest : callable
        Looks at the newest flow in the store.
    """

    trial: Trial | Evaluation
    run_id: str
    status: Status = Status(MISSING)
    record: Record | None = None
    curve: Curve = ()
    spent: float = 0.0
    newest: Callable[[], Look | None] = lambda: None

    @property
    def key(self) -> tuple[int, str, int]:
        """Entry, distribution and seed."""
        return self.trial.entry, self.trial.data, self.trial.seed

    @property
    def result(self) -> Result | None:
        """The measures; None before they are there."""
        return None if self.record is None else self.record.result

    @property
    def look(self) -> Look | None:
        """The look that was measured, or one at the newest flow."""
        return self.newest() if self.record is None else self.record.look


class Contest:
    """A comparison as its runs in the store show it; each program and page makes its own.

    Parameters
    ----------
    recorder : Recorder
        Has the runs trained and measured, and stores them.
    comparison : Comparison
    recipes : mapping of str to Recipe
        As ``models.RECIPES``.
    runs : sequence of FinishedRun, optional
        The finished runs, where they are known without the store.
    visitor : str
        Its owner, as in `flowlab.runs.Run`.
    name : str
        The id of a comparison that is stored; by default a new one.

    Attributes
    ----------
    id : str
        An unguessable id, which is the group of its runs.
    trial_runs : list of TrialRun
        One for each finished run and each training, in the order in which they start, as they were
        at the last `poll`.

    Raises
    ------
    ValueError
        When the settings do not fit each other.
    """

    def __init__(self, recorder: Recorder, comparison: Comparison,
                 recipes: Mapping[str, Recipe], runs: Sequence[FinishedRun] | None = None,
                 visitor: str = "", name: str = "") -> None:
        self.recorder, self.comparison, self.visitor = recorder, comparison, visitor
        self.runs = tuple(finished_runs(comparison.runs, recorder.store) if runs is None else runs)
        self.id = name or secrets.token_hex(8)
        self.labels = comparison.labels(
            {name: recipe.title for name, recipe in recipes.items()},
            [run.name for run in self.runs])
        self._members = members(self.id, self.header, recipes)
        self._records: dict[str, Record] = {}
        self._notes: dict[str, str] = {}  # why a run could not be measured
        self._ended = MISSING  # the state of a run that is not trained
        self.poll()

    @classmethod
    def open(cls, name: str, recorder: Recorder, recipes: Mapping[str, Recipe]) -> Self | None:
        """Open a stored comparison, without starting anything; None where there is none.

        Raises
        ------
        ValueError
            With one sentence, when it cannot be read or no longer fits the program.
        """
        header = read(recorder.store, name)
        if header is None:
            return None
        contest = cls(recorder, header.comparison, recipes, header.runs, header.visitor, name)
        contest.labels = header.labels
        return contest

    @classmethod
    def unfinished(cls, recorder: Recorder, comparison: Comparison,
                   recipes: Mapping[str, Recipe]) -> Self | None:
        """Open the newest one without a visitor that compares the same and was interrupted."""
        store, same = recorder.store, comparison.model_dump_json()
        for name in dict.fromkeys(run.group for run in store.runs(visitor="")
                                  if run.origin == "comparison"):
            if same in store.choice(name):
                contest = cls.open(name, recorder, recipes)
                if contest is not None and contest.missing:
                    return contest
        return None

    @property
    def header(self) -> Header:
        """Its record in the store."""
        return Header(comparison=self.comparison, labels=self.labels, runs=self.runs,
                      visitor=self.visitor)

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
        store, self._ended, self._notes = self.recorder.store, MISSING, {}
        self.poll()
        left = [run for run in self.trial_runs if run.result is None and not run.status.active]
        for trial in (run.trial for run in left):
            if isinstance(trial, Trial) and trial.seed == 0:
                check(self._name(trial), trial.settings)
        store.choose(self.id, self.header.model_dump_json())
        for run in left:
            try:
                self._start(run.run_id, run.trial, store.get(run.run_id), owner)
            except ValueError as error:  # the flow has been deleted meanwhile
                self._notes[run.run_id] = str(error)
        self.poll()
        return self

    def _start(self, run_id: str, trial: Trial | Evaluation, before: Run | None, owner: str
               ) -> None:
        """Queue the training, or where it is over the measuring; a finished run joins as a copy."""
        store, measure = self.recorder.store, partial(self._measure, run_id, trial, owner)
        about = {"run_id": run_id, "origin": "comparison", "group": self.id,
                 "visitor": self.visitor}
        if before is None and isinstance(trial, Evaluation):
            before = store.get(store.copy(comparable(trial.run, store), **about))
        if before is not None and before.complete:
            self.recorder.measure(before, measure)
        elif isinstance(trial, Trial):
            submit(self.recorder, trial.train, trial.settings, before, owner, pictures="weights",
                   measure=measure, name=self._name(trial), **about)

    def _measure(self, run_id: str, trial: Trial | Evaluation, owner: str) -> str:
        """Queue the job that measures a trained flow, and return the job's id."""
        run = self.recorder.store.get(run_id)
        if run is None:
            raise ValueError("It was deleted; train what is missing.")
        flow = trained(run, self.recorder.store, trial.level, trial.seed)
        # Under a name of its own it need not wait for all trainings.
        return self.recorder.engine.submit(Job(record, flow, run.model), owner=f"{owner}.measure")

    def poll(self) -> None:
        """See how all runs are now."""
        here = self.recorder.group(self.id)  # before the store, which then has what is over
        stored = {run.id: run for run in self.recorder.store.runs(group=self.id)}
        self.trial_runs = [self._now(run_id, trial, stored.get(run_id), here.get(run_id))
                           for run_id, trial in self._members.items()]

    def _now(self, run_id: str, trial: Trial | Evaluation, run: Run | None, status: Status | None
             ) -> TrialRun:
        store = self.recorder.store
        note = self._notes.get(run_id) or self.recorder.trouble(run_id)
        if run is not None and run.complete and status is None:
            try:
                if run_id not in self._records and (content := store.measured(run_id)):
                    self._records[run_id] = Record.unpack(content)
            except ValueError as error:
                note = str(error)
            if (known := self._records.get(run_id)) is not None:
                return TrialRun(trial, run_id, Status("finished"), known, known.look.curve, 1.0)
        if run is None:
            return TrialRun(trial, run_id, status or Status(self._ended, message=note))
        if status is None:  # active runs are another program's
            failed = run.active or run.reason and not run.complete
            status = Status(run.outcome if failed else self._ended, message=run.reason or note)
        spent = 1.0 if run.complete else run.moment.step / run.moment.steps if run.moment else 0.0
        return TrialRun(trial, run_id, status, None, curve_of(store.epochs(run_id), trial.data),
                        spent, partial(_newest, store, run_id, run.weights, trial.data))

    @property
    def version(self) -> tuple:
        """A value that changes with everything that picture and table show."""
        return tuple((run.status.state, run.spent, len(run.curve)) for run in self.trial_runs)

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
        self._ended = "stopped"
        self.recorder.stop_group(self.id)

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
        reasons = [(run.trial, run.result.reason if run.result and isinstance(run.trial, Trial)
                    else run.status.message) for run in self.trial_runs if not run.status.active]
        return [f"{self._name(trial)}: {reason}" for trial, reason in reasons if reason]

    def _name(self, trial: Trial | Evaluation) -> str:
        return name_in_comparison(self.labels[trial.entry], trial.data,
                                  trial.seed if isinstance(trial, Trial) else None)

    def wait(self, every: float = 0.2, on_poll: Callable[[Self], object] | None = None) -> None:
        """Poll until all trainings have ended, calling ``on_poll(contest)`` each time."""
        while True:
            self.poll()
            if on_poll is not None:
                on_poll(self)
            if not self.active:
                return
            time.sleep(every)


@lru_cache(48)
def _newest(store: Store, run_id: str, step: int | None, data: str) -> Look | None:
    """The look at a run's newest flow, which is that of this step."""
    try:
        flow = store.flow(run_id)
    except ValueError:  # damaged
        return None
    return None if flow is None else look_at(flow, data)
