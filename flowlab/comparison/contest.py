"""All trainings of a comparison, under way on an engine."""

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Self

from flowlab.comparison.plan import Comparison, Trial, plan
from flowlab.comparison.table import Table, table
from flowlab.comparison.trial import Look, Result, run
from flowlab.jobs import Engine, Status


@dataclass
class Heat:
    """One training of a contest, as far as it is known here.

    Attributes
    ----------
    trial : Trial
    run_id : str
        The engine's name for it.
    status : Status
    look : Look or None
        The newest, with the newest pictures.
    curve : list of (int, float, float)
        As in `Look`, of the whole training.
    result : Result or None
    taken : int
        Events that were taken over.
    """

    trial: Trial
    run_id: str
    status: Status = Status("queued")
    look: Look | None = None
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    result: Result | None = None
    taken: int = 0

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
        engine.release(self.run_id, self.taken)
        if not self.status.active:
            self.result = engine.result(self.run_id)
            engine.forget(self.run_id)
        return bool(events) or self.status != before


class Contest:
    """A comparison that goes on; safe to look at from several threads.

    Parameters
    ----------
    engine : Engine
        Where the trainings run.
    comparison : Comparison
    recipes : mapping of str to module
        As ``models.RECIPES``.
    owner : str
        Whose turn in the queue they take.

    Attributes
    ----------
    id : str
        It cannot be guessed.
    heats : list of Heat
        One for each training, in the order in which they start.
    version : int
        Rises whenever something is new.
    seen : float
        When somebody last looked, on the monotonic clock.

    Raises
    ------
    ValueError
        When the settings do not fit each other; then nothing was started.
    """

    def __init__(self, engine: Engine, comparison: Comparison, recipes: Mapping[str, ModuleType],
                 owner: str = "") -> None:
        trials = plan(comparison, recipes)
        self.id = secrets.token_hex(8)
        self.engine, self.comparison = engine, comparison
        self.labels = comparison.labels(
            {name: recipe.MODEL.__name__ for name, recipe in recipes.items()})
        self.heats = [Heat(trial, engine.submit(run, trial, owner)) for trial in trials]
        self.version, self.seen = 0, time.monotonic()
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Take over what the trainings have told."""
        with self._lock:
            for heat in self.heats:
                self.version += heat.update(self.engine)

    @property
    def active(self) -> bool:
        """Whether any training may still change, as of the last `poll`."""
        return any(heat.status.active for heat in self.heats)

    @property
    def done(self) -> int:
        """Trainings that are over."""
        return sum(not heat.status.active for heat in self.heats)

    def stop(self) -> None:
        """Stop all trainings; what was measured stays."""
        with self._lock:
            for heat in reversed(self.heats):  # the queue first, or each stop would start another
                if heat.status.active:
                    self.engine.control(heat.run_id, "stop")

    def results(self) -> dict[tuple[int, str, int], Result]:
        """The results so far, by entry, distribution and seed."""
        return {(h.trial.entry, h.trial.data, h.trial.seed): h.result
                for h in self.heats if h.result is not None}

    def table(self) -> Table:
        """The table of what is measured so far."""
        return table(self.comparison, self.results(), self.labels)

    def problems(self) -> list[str]:
        """One sentence for every training that did not end as it should."""
        sentences = []
        for heat in self.heats:
            trial, result = heat.trial, heat.result
            reason = result.reason if result else heat.status.message
            ended = not heat.status.active and heat.status.state != "stopped"
            if ended and reason:
                sentences.append(f"{self.labels[trial.entry]} on {trial.data}, seed {trial.seed}: "
                                 f"{reason}")
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
