"""Finished runs in a comparison: trained flows, which are only measured."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch

from flowlab.analysis.grid import grid_points
from flowlab.data import target
from flowlab.flow import Flow
from flowlab.runs import Epoch, Run, Store
from flowlab.settings import RunSettings, Settings
from flowlab.studies.comparison.plan import MAX_ENTRIES, MAX_LABEL, Comparison
from flowlab.studies.comparison.trial import (
    GRID,
    Look,
    Result,
    fresh_points,
    measure,
    pace,
    pictures,
)

OUTCOMES = ("finished", "early stop")  # of the runs that can be compared


class FinishedRun(Settings):
    """A finished run in a comparison: its id, its name, and the distribution it was trained on."""

    id: str
    name: str
    data: str


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a finished run.

    Attributes
    ----------
    entry : int
        Index among the comparison's models and, after them, runs.
    data : str
        The distribution that it was trained on.
    run : str
        The run's id.
    level : float
        The KL in nats until which the time is measured.
    seed : int
        The seed of the test points.
    """

    entry: int
    data: str
    run: str
    level: float
    seed: int = 0

    def load(self, store: Store) -> "EvaluationData":
        """Load the input of `evaluate` from the store.

        Raises
        ------
        ValueError
            When the run cannot be compared (any more).
        """
        run = _comparable(self.run, store)
        flow = store.flow(self.run)
        if flow is None or run.moment is None:
            raise ValueError(f"The flow of {run.name} is no longer kept: leave the run out.")
        return EvaluationData(run.settings, flow, run.moment.step, run.moment.seconds,
                              tuple(store.epochs(self.run)), self.level, self.seed)


@dataclass(frozen=True)
class EvaluationData:
    """The input of `evaluate`: the flow, its settings, and the numbers of its training."""

    settings: RunSettings
    flow: Flow = field(repr=False)
    step: int
    seconds: float
    epochs: tuple[Epoch, ...] = field(repr=False)
    level: float
    seed: int


def obstacle(run: Run) -> str:
    """Why a run cannot be compared; empty where it can."""
    if run.outcome not in OUTCOMES or run.weights is None:
        return "it has not finished"
    try:
        flow, source = run.settings.flow, run.settings.source
        if flow.event_shape != (2,) or flow.classes:
            return "a comparison is about points of the plane, without classes"
        if source.noise not in (None, target(source.data).noise):
            return "it was trained with another noise than a comparison's"
    except ValueError as error:
        return str(error).rstrip(".")
    return ""


def finished_runs(ids: Sequence[str], store: Store | None) -> tuple[FinishedRun, ...]:
    """The runs with these ids.

    Raises
    ------
    ValueError
        With one sentence, when one of them cannot be compared.
    """
    runs = [_comparable(name, store) for name in ids]
    return tuple(FinishedRun(id=run.id, data=run.data, name=run.name if len(run.name) <= MAX_LABEL
                         else run.name[:MAX_LABEL - 1].rstrip() + "…") for run in runs)


def evaluations(comparison: Comparison, runs: Sequence[FinishedRun]) -> list[Evaluation]:
    """The evaluations of finished runs in a comparison.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    first = len(comparison.models)
    if first + len(runs) > MAX_ENTRIES:
        raise ValueError(f"Compare up to {MAX_ENTRIES} models and runs at a time.")
    for run in runs:
        if run.data not in comparison.data:
            raise ValueError(f"{run.name} was trained on {target(run.data).title}: take that "
                             "distribution in, or leave the run out.")
    return [Evaluation(first + i, run.data, run.id, comparison.level) for i, run in enumerate(runs)]


def evaluate(data: EvaluationData) -> Generator[Look, None, Result]:
    """Yield one `Look` at a finished run, and return its measures, as for a training.

    Curve, speed, and the time to the level come from the epochs of its own training. The test
    points are those of the comparison's first seed; for a user's own points, the run's held-out
    points.
    """
    flow, settings = data.flow.eval(), data.settings
    truth = target(settings.source.data)
    known = truth.kind == "distribution"
    curve = tuple((e.step, e.seconds, value) for e in data.epochs
                  if (value := e.kl if known else e.test_nll) is not None
                  and e.seconds is not None)
    yield Look(1.0, curve, *pictures(flow, torch.as_tensor(grid_points(truth.limits, GRID))))
    test = fresh_points(settings.training, truth, data.seed)
    return Result("finished", "", data.step, data.seconds,
                  measure(flow, truth, test, data.seed) | pace(
                      curve, data.step, data.seconds, data.level if known else None))


def _comparable(name: str, store: Store | None) -> Run:
    run = None if store is None else store.get(name)
    if run is None:
        raise ValueError(f"The run {name} is not kept (any more): leave it out.")
    if reason := obstacle(run):
        raise ValueError(f"{run.name} cannot be compared, {reason}: leave it out.")
    return run
