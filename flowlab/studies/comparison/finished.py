"""Finished runs in a comparison: trained flows, which are only measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from flowlab.data import target
from flowlab.runs import Run, Store
from flowlab.runs.naming import without_data
from flowlab.settings import Settings
from flowlab.studies.comparison.plan import MAX_ENTRIES, MAX_LABEL, Comparison
from flowlab.studies.comparison.trial import Trained

OUTCOMES = ("finished", "early stop")  # of the runs that can be compared


class FinishedRun(Settings):
    """A finished run in a comparison: its id, its name, and the distribution it was trained on."""

    id: str
    name: str
    data: str


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of the finished run with this id; the rest is as in a `Trial`."""

    entry: int
    data: str
    run: str
    level: float
    seed: int = 0


def trained(run: Run, store: Store, level: float, seed: int) -> Trained:
    """Load the flow of a run that is over, to be measured; a ValueError where it is gone."""
    flow = store.flow(run.id)
    if flow is None or run.moment is None:
        raise ValueError(f"The flow of {run.name} is no longer stored: leave the run out.")
    return Trained(run.settings, flow, run.moment, tuple(store.epochs(run.id)), level, seed)


def obstacle(run: Run) -> str:
    """Why a run cannot be compared; empty where it can."""
    if run.outcome not in OUTCOMES or run.weights is None:
        return "it has not finished"
    try:
        flow, source = run.settings.flow, run.settings.source
        if flow.event_shape != (2,) or flow.classes:
            return "a comparison is about points of the plane, without classes"
        if source.noise not in (None, target(source.data).noise):
            return "its noise differs from a comparison's"
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
    runs = [comparable(name, store) for name in ids]
    names = [without_data(run.name, run.data) for run in runs]
    return tuple(FinishedRun(id=run.id, data=run.data, name=name if len(name) <= MAX_LABEL
                             else name[:MAX_LABEL - 1].rstrip(" ·,") + "…")
                 for run, name in zip(runs, names, strict=True))


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
            raise ValueError(f"{run.name} was trained on {target(run.data).title}: add that "
                             "distribution, or leave the run out.")
    return [Evaluation(first + i, run.data, run.id, comparison.level) for i, run in enumerate(runs)]


def comparable(name: str, store: Store | None) -> Run:
    """The run with this id; a ValueError where it cannot be compared."""
    run = None if store is None else store.get(name)
    if run is None:
        raise ValueError(f"The run {name} is no longer stored: leave it out.")
    if reason := obstacle(run):
        raise ValueError(f"{run.name} cannot be compared, {reason}: leave it out.")
    return run
