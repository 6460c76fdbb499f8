"""Finished runs in a comparison: flows that are trained already, and only measured."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch

from flowlab.analysis.grid import grid_points
from flowlab.data import target
from flowlab.flow import Flow
from flowlab.runs import Epoch, Kept, Store
from flowlab.settings import RunSettings, Settings
from flowlab.studies.comparison.plan import LABEL, MOST, Comparison
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


class Entrant(Settings):
    """A finished run, as a comparison knows it: its id, its name, and what it was trained on."""

    id: str
    name: str
    data: str


@dataclass(frozen=True)
class Review:
    """The measuring of a finished run.

    Attributes
    ----------
    entry : int
        Index among the comparison's models and, after them, runs.
    data : str
        What it was trained on.
    run : str
        The run's id.
    level : float
        KL in nats whose first reaching is timed.
    seed : int
        Of the test points: those of the first seed.
    """

    entry: int
    data: str
    run: str
    level: float
    seed: int = 0

    def material(self, store: Store) -> "Material":
        """What a worker needs for it.

        Raises
        ------
        ValueError
            When the run cannot be compared (any more).
        """
        kept = _kept(self.run, store)
        flow = store.flow(self.run)
        if flow is None:
            raise ValueError(f"The flow of {kept.name} is no longer kept: leave the run out.")
        return Material(kept.settings, flow, kept.numbers["step"], kept.numbers["seconds"],
                        tuple(store.epochs(self.run)), self.level, self.seed)


@dataclass(frozen=True)
class Material:
    """What a `Review` takes: settings, flow, steps, seconds of training, epochs, and the rest."""

    settings: RunSettings
    flow: Flow = field(repr=False)
    step: int
    seconds: float
    epochs: tuple[Epoch, ...] = field(repr=False)
    level: float
    seed: int


def unfit(run: Kept) -> str:
    """Why a run cannot be compared; nothing where it can."""
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


def entrants(ids: Sequence[str], store: Store | None) -> tuple[Entrant, ...]:
    """The runs of these ids.

    Raises
    ------
    ValueError
        With one sentence, when one of them cannot be compared.
    """
    runs = [_kept(name, store) for name in ids]
    return tuple(Entrant(id=run.id, data=run.data, name=run.name if len(run.name) <= LABEL
                         else run.name[:LABEL - 1].rstrip() + "…") for run in runs)


def reviews(comparison: Comparison, runs: Sequence[Entrant]) -> list[Review]:
    """The measurings that a comparison takes besides its trainings.

    Raises
    ------
    ValueError
        With one sentence that says what to change.
    """
    first = len(comparison.models)
    if first + len(runs) > MOST:
        raise ValueError(f"Compare up to {MOST} models and runs at a time.")
    for run in runs:
        if run.data not in comparison.data:
            raise ValueError(f"{run.name} was trained on {target(run.data).title}: take that "
                             "distribution in, or leave the run out.")
    return [Review(first + i, run.data, run.id, comparison.level) for i, run in enumerate(runs)]


def review(material: Material) -> Generator[Look, None, Result]:
    """One `Look` at a finished run, then its measures, as those of a training.

    Curve, speed, and the time to the level come from the epochs of its own training. Its test
    points are those of the comparison's first seed; of a user's own points, those that the run
    itself had kept aside.
    """
    flow, settings = material.flow.eval(), material.settings
    truth = target(settings.source.data)
    known = truth.kind == "distribution"
    curve = tuple((e.step, e.seconds, value) for e in material.epochs
                  if (value := e.kl if known else e.test_nll) is not None
                  and e.seconds is not None)
    yield Look(1.0, curve, *pictures(flow, torch.as_tensor(grid_points(truth.limits, GRID))))
    test = fresh_points(settings.training, truth, material.seed)
    return Result("finished", "", material.step, material.seconds,
                  measure(flow, truth, test, material.seed) | pace(
                      curve, material.step, material.seconds, material.level if known else None))


def _kept(name: str, store: Store | None) -> Kept:
    run = None if store is None else store.get(name)
    if run is None:
        raise ValueError(f"The run {name} is not kept (any more): leave it out.")
    if reason := unfit(run):
        raise ValueError(f"{run.name} cannot be compared, {reason}: leave it out.")
    return run
