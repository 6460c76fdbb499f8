"""How the flows of a comparison are shown and measured."""

import math
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.grid import grid_points
from flowlab.data import Points, Target, target
from flowlab.flow import Flow
from flowlab.settings import RunSettings
from flowlab.studies.comparison.plan import Trial
from flowlab.training import Epoch, Moment, TrainingSettings
from flowlab.training.metrics import (
    bits_per_dimension,
    energy_distance,
    inverse_errors,
    mode_coverage,
    nll,
    parameter_count,
)
from flowlab.training.split import split

GRID = 80  # cells along a side of a density's picture
SHOWN = 500  # samples in a look
TEST = 10_000  # fresh points on which a trained flow is measured
DRAWN = 10_000  # samples in the timing of sampling
PAIRED = 2_000  # points of each kind for the energy distance
REPEATS = 3  # timings, of which the median is taken
FRESH = 2**31  # added to a seed, so that the test points are new


#: Steps, seconds of training, and KL in nats (where unknown, the test NLL) after every epoch.
Curve = Sequence[tuple[int, float, float]]


@dataclass(frozen=True)
class Look:
    """What viewers see of a training at one moment.

    Attributes
    ----------
    spent : float
        Share of the budget that is used.
    curve : tuple of (int, float, float)
        As `Curve`.
    density : numpy.ndarray or None
        Shape (GRID, GRID) as in `flowlab.figures.grid_points`, float32, in 1 / area.
    samples : numpy.ndarray or None
        Shape (SHOWN, 2), float32.
    """

    spent: float = 1.0
    curve: Curve = ()
    density: np.ndarray | None = field(repr=False, default=None)
    samples: np.ndarray | None = field(repr=False, default=None)


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes
    ----------
    outcome, reason : str
        As in `flowlab.training.Progress`.
    step : int
        Optimiser steps taken.
    seconds : float
        Time spent training.
    values : dict of str to float or None
        The values of `flowlab.studies.comparison.table.measures` by name; None where a measure is
        undefined.
    """

    outcome: str
    reason: str
    step: int
    seconds: float
    values: dict[str, float | None]


@dataclass(frozen=True)
class Trained:
    """A trained flow, its settings, and the numbers of its training.

    Attributes
    ----------
    level : float
        The KL in nats until which the time is measured.
    seed : int
        The seed of the test points.
    """

    settings: RunSettings
    flow: Flow = field(repr=False)
    moment: Moment
    epochs: tuple[Epoch, ...] = field(repr=False)
    level: float
    seed: int


def evaluate(trained: Trained) -> tuple[Look, Result]:
    """Look at a trained flow and measure it.

    Speed and the time to the level come from the epochs of its training.
    """
    flow, settings, end = trained.flow.eval(), trained.settings, trained.moment
    truth = target(settings.source.data)
    curve = curve_of(trained.epochs, settings.source.data)
    test = fresh_points(settings.training, truth, trained.seed)
    values = measure(flow, truth, test, trained.seed) | pace(
        curve, end.step, end.seconds, trained.level if truth.kind == "distribution" else None)
    return (look_at(flow, settings.source.data, curve),
            Result(end.outcome, end.reason, end.step, end.seconds, values))


def finish(trial: Trial) -> tuple[list[Look], Result]:
    """Train in this process; return a look at the trained flow, in a list, and its measures."""
    epochs: dict[int, Epoch] = {}
    for progress in trial.train(trial.settings):
        epochs.setdefault(progress.epoch, progress.completed)
    look, result = evaluate(Trained(trial.settings, progress.flow, progress.moment,
                                    tuple(epochs.values()), trial.level, trial.seed))
    return [look], result


def curve_of(epochs: Iterable[Epoch], data: str) -> Curve:
    """The curve of a training on this distribution."""
    known = target(data).kind == "distribution"
    return tuple((e.step, e.seconds, value) for e in epochs
                 if (value := e.kl if known else e.test_nll) is not None
                 and math.isfinite(value) and e.seconds is not None)


@torch.no_grad()
def look_at(flow: Flow, data: str, curve: Curve = ()) -> Look:
    """The look at a flow in evaluation mode, on the distribution's part of the plane."""
    grid = torch.as_tensor(grid_points(target(data).limits, GRID))
    z = flow.base_sample(SHOWN, torch.Generator(flow.device).manual_seed(0))
    density = flow.log_prob(grid.to(flow.device, flow.dtype)).exp()
    return Look(1.0, curve, density.reshape(GRID, GRID).float().cpu().numpy(),
                flow.forward(z)[0].float().cpu().numpy())


@torch.no_grad()
def measure(flow: Flow, truth: Target | Points, test: Tensor, seed: int
            ) -> dict[str, float | None]:
    """The measures of a trained flow, in evaluation mode, on test points of shape (n, 2)."""
    x = test.to(flow.device, flow.dtype)
    test_nll = nll(flow, x)
    samples, milliseconds = _drawn(flow, seed)
    modes = truth.modes
    finite = bool(torch.isfinite(samples).all())
    return _finite({
        "kl": test_nll + truth.log_prob(test).double().mean().item()
        if truth.log_prob is not None else None,
        "nll": test_nll,
        "bits": bits_per_dimension(test_nll, flow.event_shape),
        "parameters": float(parameter_count(flow.settings)),
        "inverse": inverse_errors(flow, x)[0],
        "sampling": milliseconds,
        "modes": mode_coverage(samples, test, modes) if modes is not None and finite else None,
        "energy": energy_distance(samples[:PAIRED], test[:PAIRED]) if finite else None,
    })


def pace(curve: Sequence[tuple[int, float, float]], step: int, seconds: float,
         level: float | None) -> dict[str, float | None]:
    """Steps per second, and the seconds until a curve first reached a level."""
    reached = None if level is None else next((t for _, t, kl in curve if kl <= level), None)
    return _finite({"speed": step / seconds if seconds else None, "reached": reached})


def fresh_points(settings: TrainingSettings, truth: Target | Points, seed: int) -> Tensor:
    """Points that no flow of this seed was trained on, the same for all of them.

    Points of a known distribution are drawn anew; of a user's own points, the test set is taken.
    """
    if truth.count is None:
        return truth.sample(TEST, seed=FRESH + seed)
    points = truth.sample(settings.points, seed=settings.seed)
    return points[split(len(points), settings)[0]]


def _drawn(flow: Flow, seed: int) -> tuple[Tensor, float]:
    """Samples in float32, and the median milliseconds of drawing them."""
    generator = torch.Generator(flow.device).manual_seed(seed)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        samples = flow.sample(DRAWN, generator=generator)
        if samples.is_cuda:
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - start))
    return samples.float().cpu(), statistics.median(times)


def _finite(values: dict[str, float | None]) -> dict[str, float | None]:
    return {name: value if value is not None and math.isfinite(value) else None
            for name, value in values.items()}
