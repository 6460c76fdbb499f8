"""One training of a comparison: shown while it runs, and measured at its end."""

import math
import statistics
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from flowlab.analysis.grid import grid_points
from flowlab.data import Points, Target, target
from flowlab.flow import Flow
from flowlab.studies.comparison.plan import MAX_EPOCHS, Trial
from flowlab.training import Progress, TrainingSettings
from flowlab.training.metrics import (
    bits_per_dimension,
    energy_distance,
    inverse_error,
    mode_coverage,
    nll,
    parameter_count,
)
from flowlab.training.split import split

GRID = 80  # cells along a side of a density's picture
SHOWN = 500  # samples in a look
EVERY = 0.4  # seconds between two looks
TEST = 10_000  # fresh points on which a trained flow is measured
DRAWN = 10_000  # samples in the timing of sampling
PAIRED = 2_000  # points of each kind for the energy distance
REPEATS = 3  # timings, of which the median is taken
FRESH = 2**31  # added to a seed, so that the test points are new


@dataclass(frozen=True)
class Look:
    """What viewers see of a training at one moment.

    Attributes
    ----------
    spent : float
        Share of the budget that is used.
    curve : tuple of (int, float, float)
        Steps, seconds of training, and KL in nats (where unknown, the test NLL) of the epochs since
        the previous look.
    density : numpy.ndarray or None
        Shape (GRID, GRID) as in `flowlab.figures.grid_points`, float32, in 1 / area.
    samples : numpy.ndarray or None
        Shape (SHOWN, 2), float32.
    """

    spent: float
    curve: tuple[tuple[int, float, float], ...]
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


def run_trial(trial: Trial) -> Generator[Look | None, None, Result]:
    """Train with the trial's budget; yield a `Look` or None after each batch, return the result.

    The flow that is shown and measured has the average of the recent weights, which it only has
    between epochs; so looks are taken after epochs.
    """
    watch = _Watch(trial)
    training = trial.train(trial.start(), every="batch")
    try:
        progress = next(training)
        while progress.outcome == "running" and trial.spent(progress) < 1:
            yield watch.look(progress) if progress.snapshot is not None else None
            progress = training.send(trial.rate(progress))
    finally:
        training.close()  # within an epoch, this gives the flow its averaged weights
    yield watch.look(progress, last=True)
    return watch.result(progress)


def finish(trial: Trial) -> tuple[list[Look], Result]:
    """Run a trial in this process, and return all its looks and its result."""
    looks: list[Look] = []
    going = run_trial(trial)
    while True:
        try:
            look = next(going)
        except StopIteration as end:
            return looks, end.value
        if look is not None:
            looks.append(look)


class _Watch:
    """Takes the looks at one training, always with the same points and latents."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.truth = target(trial.data)
        self.grid = torch.as_tensor(grid_points(self.truth.limits, GRID))
        self.curve: list[tuple[int, float, float]] = []
        self.sent = 0
        self.next = 0.0

    def look(self, progress: Progress, last: bool = False) -> Look | None:
        """Extend the curve, and return a look where one is due."""
        known = progress.kl is not None
        value = progress.kl if known else progress.test_nll
        new = not self.curve or progress.step > self.curve[-1][0]  # it may end with an earlier flow
        if progress.recent is not None and new and value is not None and math.isfinite(value):
            self.curve.append((progress.step, progress.seconds, value))
        now = time.perf_counter()
        if now < self.next and not last:
            return None
        self.next = now + EVERY
        shown = pictures(progress.flow.eval(), self.grid) if self.trial.pictures else (None, None)
        look = Look(self.trial.spent(progress), tuple(self.curve[self.sent:]), *shown)
        self.sent = len(self.curve)
        return look

    def result(self, progress: Progress) -> Result:
        """All measures of the trained flow."""
        flow, trial = progress.flow.eval(), self.trial
        test = fresh_points(trial.settings.training, self.truth, trial.seed)
        outcome, reason = progress.outcome, progress.reason
        if outcome == "finished" and trial.spent(progress) < 1:
            reason = f"It ended after {MAX_EPOCHS:,} epochs, before its budget was used up."
        return Result("finished" if outcome == "running" else outcome, reason, progress.step,
                      progress.seconds, measure(flow, self.truth, test, trial.seed) | pace(
                          self.curve, progress.step, progress.seconds,
                          trial.level if self.truth.kind == "distribution" else None))


@torch.no_grad()
def pictures(flow: Flow, grid: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Density and samples of a flow in evaluation mode, as in a `Look`."""
    z = flow.base_sample(SHOWN, torch.Generator(flow.device).manual_seed(0))
    density = flow.log_prob(grid.to(flow.device, flow.dtype)).exp()
    return (density.reshape(GRID, GRID).float().cpu().numpy(),
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
        "inverse": inverse_error(flow, x),
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
