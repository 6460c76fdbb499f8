"""All trainings of a comparison, under way on an engine."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from flowlab.jobs import Engine, Status
from flowlab.runs import Store
from flowlab.studies.comparison.archive import Archive, Header, Key, Record
from flowlab.studies.comparison.finished import Entrant, Review, entrants, review, reviews
from flowlab.studies.comparison.plan import Comparison, Trial, plan
from flowlab.studies.comparison.table import Table, table
from flowlab.studies.comparison.trial import Look, Result, run
from flowlab.training import recipe

log = logging.getLogger(__name__)

#: The state of a training that nobody has asked for, or that was cut off.
MISSING = "not finished"


@dataclass
class Heat:
    """One training of a contest, or one finished run, as far as it is known here.

    Attributes
    ----------
    trial : Trial or Review
    run_id : str
        The engine's name for it, once it was submitted.
    status : Status
        As the engine has it, or `MISSING`.
    look : Look or None
        The newest, with the newest pictures.
    curve : list of (int, float, float)
        As in `Look`, of the whole training.
    result : Result or None
    taken : int
        Events that were taken over.
    """

    trial: Trial | Review
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
        """Queue it, from its beginning."""
        self.look, self.curve, self.taken = None, [], 0
        try:
            job = ((run, self.trial) if isinstance(self.trial, Trial)
                   else (review, self.trial.material(store)))
        except ValueError as error:  # the run was deleted just now, or since the last time
            self.status = Status("failed", message=str(error))
            return
        self.run_id, self.status = engine.submit(*job, owner), Status("queued")

    def take(self, record: Record) -> None:
        """Have it as it was kept."""
        self.result, self.curve, self.look = record
        self.status = Status("finished")

    def update(self, engine: Engine) -> bool:
        """Take over what is new; whether anything is."""
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
    """A comparison, with what is measured of it; safe to look at from several threads.

    Parameters
    ----------
    engine : Engine
        Where the trainings run.
    comparison : Comparison
    recipes : mapping of str to Recipe
        As ``models.RECIPES``.
    store : Store, optional
        Where the finished runs are, and beside whose runs it is kept; otherwise it is not.
    runs : sequence of Entrant, optional
        What is known of the finished runs, where the store need not be asked.
    visitor : str
        Whose it is, as in `flowlab.runs.Kept`.

    Attributes
    ----------
    id : str
        It cannot be guessed.
    heats : list of Heat
        One for each finished run and each training, in the order in which they start.
    version : int
        Rises whenever something is new.
    seen : float
        When somebody last looked, on the monotonic clock.

    Raises
    ------
    ValueError
        When the settings do not fit each other.
    """

    def __init__(self, engine: Engine, comparison: Comparison, recipes: Mapping[str, recipe.Recipe],
                 store: Store | None = None, runs: Sequence[Entrant] | None = None,
                 visitor: str = "") -> None:
        self.runs = tuple(entrants(comparison.runs, store) if runs is None else runs)
        self.heats = [Heat(trial) for trial in [*reviews(comparison, self.runs),
                                                *plan(comparison, recipes)]]
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
        """A comparison that was kept, nothing of it under way; None where there is none.

        Raises
        ------
        ValueError
            With one sentence, when it cannot be read or no longer fits the program.
        """
        header = Archive(store.folder).read(name)
        if header is None:
            return None
        contest = cls(engine, header.comparison, recipes, store, header.runs, header.visitor)
        contest.id, contest.labels, contest._begun = name, header.labels, True
        for heat in contest.heats:
            try:
                record = contest._archive.load(name, heat.key)
            except ValueError as error:
                heat.status = Status(MISSING, message=str(error))
            else:
                if record is not None:
                    heat.take(record)
        return contest

    def train(self, owner: str = "") -> Self:
        """Queue the trainings without a result, but for those under way.

        Parameters
        ----------
        owner : str
            Whose turn in the queue they take.

        Raises
        ------
        ValueError
            With one sentence, where no training can take the settings; then none is queued.
        """
        with self._lock:
            self._check()
            if self._archive is not None and not self._begun:
                self._keep(self._archive.begin, Header(
                    comparison=self.comparison, labels=self.labels, runs=self.runs,
                    visitor=self.visitor))
                self._begun = True
            for heat in self.heats:
                if heat.result is None and not heat.status.active:
                    heat.start(self.engine, owner, self._store)
            self.version += 1
        return self

    def _check(self) -> None:
        for heat in self.heats:
            trial = heat.trial
            if heat.result is None and isinstance(trial, Trial) and trial.seed == 0:
                try:
                    recipe.check(trial.settings)
                except ValueError as error:
                    raise ValueError(f"No training can take {self.labels[trial.entry]} on "
                                     f"{trial.data}: {error}") from error

    def poll(self) -> None:
        """Take over what the trainings have told."""
        with self._lock:
            for heat in self.heats:
                if not heat.update(self.engine):
                    continue
                self.version += 1
                if heat.result is not None and self._archive is not None:
                    self._keep(self._archive.keep, heat.key,
                               Record(heat.result, heat.curve, heat.look))

    def _keep(self, action: Callable, *values: object) -> None:
        """Write something; a full disk must not end a comparison."""
        try:
            action(self.id, *values)
        except OSError:
            log.exception("The comparison %s could not be kept", self.id)

    @property
    def active(self) -> bool:
        """Whether any training may still change, as of the last `poll`."""
        return any(heat.status.active for heat in self.heats)

    @property
    def done(self) -> int:
        """Trainings that are not under way."""
        return sum(not heat.status.active for heat in self.heats)

    def stop(self) -> None:
        """Stop all trainings; what was measured stays."""
        with self._lock:
            for heat in reversed(self.heats):  # the queue first, or each stop would start another
                if heat.status.active:
                    self.engine.control(heat.run_id, "stop")

    def results(self) -> dict[tuple[int, str, int], Result]:
        """The results so far, by entry, distribution and seed."""
        return {heat.key: heat.result for heat in self.heats if heat.result is not None}

    @property
    def missing(self) -> bool:
        """Whether there is a training without a result, and none under way."""
        return not self.active and any(heat.result is None for heat in self.heats)

    def table(self) -> Table:
        """The table of what is measured so far."""
        return table(self.comparison, self.results(), self.labels, [r.data for r in self.runs])

    def problems(self) -> list[str]:
        """One sentence for every training that did not end as it should."""
        sentences = []
        for heat in self.heats:
            trial, result = heat.trial, heat.result
            reason = result.reason if result else heat.status.message
            ended = not heat.status.active and (heat.status.state != "stopped" or heat.status.late)
            if ended and reason:
                seed = f", seed {trial.seed}" if isinstance(trial, Trial) else ""
                sentences.append(f"{self.labels[trial.entry]} on {trial.data}{seed}: {reason}")
        return sentences

    def wait(self, every: float = 0.2, told: Callable[[Self], object] | None = None) -> None:
        """Wait until all is over, calling ``told(contest)`` at every look."""
        while True:
            self.poll()
            if told is not None:
                told(self)
            if not self.active:
                return
            time.sleep(every)
