"""Maximum likelihood (and reverse KL) with Adam, as a plain generator.

Nothing here knows of pages, processes or threads: closing the generator stops a training, and not
pulling it pauses it.
"""

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from flowlab import parallel
from flowlab.base import LOG_PROB
from flowlab.checkpoint import Snapshot
from flowlab.data.images import Images, dequantise
from flowlab.flow import Flow
from flowlab.layers import BatchNorm
from flowlab.metrics import bits_per_dimension, inverse_error, nll
from flowlab.settings import TrainingSettings

__all__ = ["SCHEDULES", "Progress", "Snapshot", "TrainingSettings", "split", "train"]

#: Points on which the inverse error is measured after every epoch.
INVERSE_POINTS = 256
#: Training points on which the training NLL is measured where no batch has given it.
TRAIN_POINTS = 4096
#: Seeds' indices for the noise of images that are measured, away from those of epochs and steps.
TEST_NOISE, TRAIN_NOISE = 2**40, 2**40 + 1


@dataclass(frozen=True)
class Progress:
    """Where a training stands. NLL and KL are in nats per point.

    Attributes
    ----------
    epoch, epochs : int
        Completed and planned epochs.
    step, steps : int
        Completed and planned optimiser steps.
    seconds : float
        Time spent training, pauses not counted.
    learning_rate : float
        Of the last step.
    train_nll, test_nll : float
        Of the last completed epoch: the mean over its batches (for reverse KL, on some
        thousand training points after it), and on the points kept aside after it.
    loss : float
        The objective of the last batch.
    kl : float or None
        KL from the target to the flow, estimated on the test points; None without a known density.
    best_nll : float or None
        The entropy of the target: no flow has a lower expected NLL.
    inverse_error : float
        Largest ``|x - forward(inverse(x))|`` over some test points, in data units.
    outcome : str
        ``"running"``, ``"finished"``, ``"early stop"`` or ``"diverged"``.
    reason : str
        One sentence: why it ended, or what looks wrong; empty when all is well.
    flow : Flow
        The flow itself, which goes on changing. After an epoch it has the average of the recent
        weights, which is what the numbers here are measured on; within one, the last weights.
    snapshot : Snapshot or None
        Everything needed to resume from here; None within an epoch.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    seconds: float
    learning_rate: float
    train_nll: float
    test_nll: float
    loss: float
    kl: float | None
    best_nll: float | None
    inverse_error: float
    outcome: Literal["running", "finished", "early stop", "diverged"]
    reason: str
    flow: Flow = field(repr=False)
    snapshot: Snapshot | None = field(repr=False, default=None)

    @property
    def train_bits(self) -> float:
        """The training NLL in bits per dimension; for images, bits for each pixel's value."""
        return bits_per_dimension(self.train_nll, self.flow.event_shape)

    @property
    def test_bits(self) -> float:
        """The test NLL in bits per dimension; for images an upper bound on the discrete model's."""
        return bits_per_dimension(self.test_nll, self.flow.event_shape)


def train(flow: Flow, source: Any, settings: TrainingSettings, *,
          every: Literal["epoch", "batch"] = "epoch",
          resume: Snapshot | None = None) -> Generator[Progress, float | None, None]:
    r"""Fit a flow to a source of points.

    The forward objective is maximum likelihood, :math:`-\frac1n\sum_i \log q(x_i)`, which is the
    KL from target to flow up to the target's entropy; the reverse objective is
    :math:`E_{z}[\log q(f(z)) - \log p(f(z))]`, the KL from flow to target.

    Parameters
    ----------
    flow : Flow
        Trained in place. A fresh one is first initialised from the training points.
    source : Target, Images, Tensor, or pair of Tensors
        A target of `flowlab.data`; or its images, which get fresh uniform noise at every step and
        are measured with the same noise each time; or points ``(n, *event_shape)``; or points and
        their classes ``(n,)``.
    settings : TrainingSettings
    every : "epoch" or "batch"
        How often to yield.
    resume : Snapshot, optional
        Go on from here, with the numbers an unbroken run would have had.

    Yields
    ------
    Progress
        After every epoch, or after every batch. A learning rate sent into the generator replaces
        the schedule's highest one from the next step on.

    Raises
    ------
    ValueError
        When the source does not fit the flow, or the objective needs a density it lacks.
    """
    trainer = _Trainer(flow, source, settings, resume)
    sent: float | None = None
    for progress in trainer.run():
        if every == "batch" or progress.snapshot is not None:
            sent = yield progress
            if sent is not None:
                trainer.learning_rate = TrainingSettings(learning_rate=sent).learning_rate


class _Trainer:
    """One training: its data, its optimiser, and where it stands."""

    def __init__(self, flow: Flow, source: Any, settings: TrainingSettings,
                 resume: Snapshot | None) -> None:
        self.flow, self.settings = flow, settings
        self.target = source if hasattr(source, "log_prob") else None
        self._split(source)
        if settings.objective == "reverse" and not getattr(self.target, "full_support", False):
            raise ValueError("Reverse KL needs a known density that is nowhere zero: choose another"
                             " distribution, give it noise, or train with the forward objective.")
        self.test_log_p = None if self.target is None else self.target.log_prob(self.test_x)
        if resume is None:
            flow.initialise(*self._some_training_points())
        else:
            flow.load_state_dict(resume.weights)
        self.parameters = list(flow.parameters())
        self.statistics = [value for layer in flow.modules() if isinstance(layer, BatchNorm)
                           for value in (layer.mean, layer.variance)]
        self.weights = _flatten(self.parameters)
        # Fused AdamW is Adam when the decay is 0; one flat tensor makes it one operation.
        self.adam = torch.optim.AdamW([self.weights], weight_decay=settings.weight_decay,
                                      fused=True)
        #: What the flow does not hold at present: within an epoch the average of the weights,
        #: between epochs the optimiser's own.
        self.aside = self.weights.detach().clone()
        self.learning_rate = settings.learning_rate
        self.epoch = self.step = self.stale = 0
        self.seconds, self.best, self.train_nll = 0.0, math.inf, math.nan
        if resume is not None:
            self._restore(resume)
        self.batches = math.ceil(len(self.train_x) / settings.batch_size)
        self._measure()
        self.last_good = self._snapshot()

    def _split(self, source: Any) -> None:
        """Training and test points, on the flow's device and in its type."""
        settings, context = self.settings, None
        self.pixels = isinstance(source, Images)
        if self.pixels:
            self._take(source)
            return
        if hasattr(source, "sample"):
            x = source.sample(settings.points, seed=settings.seed)
        elif isinstance(source, tuple):
            x, context = source
        else:
            x = source
        if len(x) < 2 or tuple(x.shape[1:]) != self.flow.event_shape:
            raise ValueError(f"Expected at least 2 points of shape {self.flow.event_shape} to "
                             f"train on; got {tuple(x.shape)}.")
        if not bool(torch.isfinite(x).all()):
            raise ValueError("The points hold NaN or infinity: remove those rows.")
        test, train = split(len(x), settings)
        x = x.to(self.flow.dtype)
        self.train_x, self.test_x = (x[i].to(self.flow.device) for i in (train, test))
        self.train_context, self.test_context = (
            None if context is None else context[i].to(self.flow.device) for i in (train, test))

    def _take(self, images: Images) -> None:
        """The images' own two parts: bytes to train on, and test images with their noise."""
        flow, (x, labels), (test_x, test_labels) = self.flow, images.part(False), images.part(True)
        if images.event_shape != flow.event_shape:
            raise ValueError(f"The images have the shape {images.event_shape} and the flow "
                             f"{flow.event_shape}: set event_shape to the images' own.")
        if flow.settings.classes and not 1 <= images.classes <= flow.settings.classes:
            raise ValueError(f"The images have {images.classes} classes and the flow "
                             f"{flow.settings.classes}: set classes to {images.classes}.")
        self.train_x = x.to(flow.device)
        self.test_x = dequantise(test_x.to(flow.device), _generator(
            self.settings.seed, TEST_NOISE, flow.device), flow.dtype)
        self.train_context, self.test_context = (
            labels.to(flow.device) if flow.settings.classes else None
            for labels in (labels, test_labels))

    def _some_training_points(self) -> tuple[Tensor, Tensor | None]:
        """All training points, or of images some thousand with their noise; and their classes."""
        if not self.pixels:
            return self.train_x, self.train_context
        noise = _generator(self.settings.seed, TRAIN_NOISE, self.flow.device)
        x = dequantise(self.train_x[:TRAIN_POINTS], noise, self.flow.dtype)
        return x, None if self.train_context is None else self.train_context[:TRAIN_POINTS]

    def run(self) -> Iterator[Progress]:
        """Train to the end; yield after every batch, with a snapshot after the last of an epoch."""
        settings = self.settings
        while self.epoch < settings.epochs:
            losses = []
            self._swap()
            order = torch.randperm(len(self.train_x), generator=_generator(
                settings.seed, self.epoch)).to(self.train_x.device)
            try:
                for batch in order.tensor_split(self.batches):
                    start = time.perf_counter()
                    if not self.flow.training:
                        self.flow.train()
                    loss = self._step(batch)
                    self.seconds += time.perf_counter() - start
                    if loss is None:
                        break
                    losses.append(loss)
                    if len(losses) < self.batches:
                        yield self._progress(loss)
            finally:
                self._swap()  # the average again, also for one who stops within an epoch
            if loss is None:
                yield self._diverged(math.nan, "The loss or its gradient became infinite or not "
                                     "a number")
                return
            start = time.perf_counter()
            self.epoch += 1
            self.train_nll = math.fsum(losses) / len(losses)
            self._measure()
            self.seconds += time.perf_counter() - start
            if not math.isfinite(self.test_nll):
                yield self._diverged(loss, "The test NLL became infinite or not a number")
                return
            progress = self._after_epoch(loss)
            yield progress
            if progress.outcome != "running":
                return

    def _step(self, batch: Tensor) -> float | None:
        """One optimiser step; the loss, or None without a step where anything is not finite."""
        loss = self._loss(batch)
        gradient = torch.cat(
            [g.reshape(-1) for g in torch.autograd.grad(loss, self.parameters)])
        own, whole = len(parallel.share(batch)), len(batch)
        gradient = parallel.average(gradient, own, whole)
        loss = parallel.average(loss.detach(), own, whole)
        norm = torch.linalg.vector_norm(gradient).item()
        value = loss.item()
        if not (math.isfinite(value) and math.isfinite(norm)):
            return None
        if 0 < self.settings.clip < norm:
            gradient *= self.settings.clip / norm
        self.weights.grad = gradient
        self.adam.param_groups[0]["lr"] = self._rate()
        self.adam.step()
        self.flow.commit()
        for moving in self.statistics:  # about the mean before, so averages are those of the batch
            parallel.average(moving, own, whole)
        self.step += 1
        # Over the first steps the average reaches back a tenth of the way, not yet its full length.
        self.aside.lerp_(self.weights.detach(), max(1 / self.settings.averaging,
                                                    1 / (1 + 0.1 * self.step)))
        return value

    @torch.no_grad()
    def _swap(self) -> None:
        """Exchange the average of the weights and the optimiser's own."""
        held = self.weights.clone()
        self.weights.copy_(self.aside)
        self.aside.copy_(held)

    def _loss(self, batch: Tensor) -> Tensor:
        """The objective on this process's share of a batch, whose noise is drawn as a whole."""
        noise = None
        if self.pixels or self.settings.objective == "reverse":
            noise = _generator(self.settings.seed, -2 - self.step, self.flow.device)
        if self.settings.objective == "forward":
            x = self.train_x[batch]
            if self.pixels:
                x = dequantise(x, noise, self.flow.dtype)
            context = self.train_context
            context = None if context is None else context[parallel.share(batch)]
            return -self.flow.log_prob(parallel.share(x), context).mean()
        z = parallel.share(self.flow.base_sample(len(batch), noise))
        x, log_det = self.flow.forward(z)
        log_q = LOG_PROB[self.flow.settings.base](z) - log_det
        return (log_q - self.target.log_prob(x)).mean()

    def _rate(self) -> float:
        t = self.step / (self.batches * self.settings.epochs)
        return self.learning_rate * SCHEDULES[self.settings.schedule](t)

    def _measure(self) -> None:
        """Test NLL, KL and inverse error; for reverse KL the training NLL too."""
        self.flow.eval()
        self.test_nll = nll(self.flow, self.test_x, self.test_context)
        self.kl = None
        if self.test_log_p is not None:
            self.kl = self.test_log_p.mean().item() + self.test_nll
        context = None if self.test_context is None else self.test_context[:INVERSE_POINTS]
        self.inverse_error = inverse_error(self.flow, self.test_x[:INVERSE_POINTS], context)
        if self.settings.objective == "reverse" or math.isnan(self.train_nll):
            x, context = self._some_training_points()
            context = None if context is None else context[:TRAIN_POINTS]
            self.train_nll = nll(self.flow, x[:TRAIN_POINTS], context)

    def _after_epoch(self, loss: float) -> Progress:
        self.stale = 0 if self.test_nll < self.best else self.stale + 1
        if self.stale == 0 or not self.settings.patience:
            self.last_good = self._snapshot()
        self.best = min(self.best, self.test_nll)
        outcome, reason = "running", self._concern()
        if self.epoch == self.settings.epochs:
            outcome = "finished"
        elif 0 < self.settings.patience <= self.stale:
            outcome, reason = "early stop", (
                f"The test NLL has not fallen for {self.stale} epochs: stopped, with the weights "
                f"of epoch {self.last_good.epoch}.")
            self._restore(self.last_good)
            self._measure()
        return self._progress(loss, outcome, reason, self._snapshot())

    def _concern(self) -> str:
        """One sentence on what looks wrong though the loss is finite, or nothing."""
        if self.inverse_error > 1e-2:
            return (f"The inverse is off by {self.inverse_error:.1g} data units: the flow stretches"
                    " too much for its precision; lower the learning rate or the log-scale bound.")
        if (self.settings.objective == "forward" and self.test_nll > self.best + 0.5
                and self.test_nll > self.train_nll + 0.5):
            return ("The test NLL is rising while the training NLL falls: the flow is overfitting; "
                    "use more points, a smaller network, weight decay or early stop.")
        return ""

    def _diverged(self, loss: float, what: str) -> Progress:
        self._restore(self.last_good)
        self._measure()
        return self._progress(loss, "diverged", (
            f"{what}: stopped, with the weights of epoch {self.epoch}. Lower the learning rate, "
            "or clip the gradient at a smaller norm."), self.last_good)

    def _progress(self, loss: float, outcome: str = "running", reason: str = "",
                  snapshot: Snapshot | None = None) -> Progress:
        return Progress(
            self.epoch, self.settings.epochs, self.step, self.batches * self.settings.epochs,
            self.seconds, self.adam.param_groups[0]["lr"], self.train_nll, self.test_nll, loss,
            self.kl, getattr(self.target, "entropy", None), self.inverse_error, outcome, reason,
            self.flow, snapshot)

    def _snapshot(self) -> Snapshot:
        state = self.adam.state.get(self.weights, {})
        zeros = torch.zeros_like(self.weights)
        return Snapshot(
            weights={k: v.detach().cpu().clone() for k, v in self.flow.state_dict().items()},
            optimiser=torch.stack([self.aside, state.get("exp_avg", zeros),
                                   state.get("exp_avg_sq", zeros)]).detach().cpu(),
            epoch=self.epoch, step=self.step, stale=self.stale, best=self.best,
            seconds=self.seconds, learning_rate=self.learning_rate, train_nll=self.train_nll)

    def _restore(self, snapshot: Snapshot) -> None:
        self.flow.load_state_dict(snapshot.weights)
        own, first, second = snapshot.optimiser.to(self.weights.device)
        self.aside.copy_(own)
        self.adam.state[self.weights] = {
            "step": torch.tensor(float(snapshot.step), device=self.weights.device),
            "exp_avg": first.clone(), "exp_avg_sq": second.clone()}
        self.epoch, self.step, self.stale = snapshot.epoch, snapshot.step, snapshot.stale
        self.best, self.seconds = snapshot.best, max(self.seconds, snapshot.seconds)
        self.learning_rate, self.train_nll = snapshot.learning_rate, snapshot.train_nll


def split(count: int, settings: TrainingSettings) -> tuple[Tensor, Tensor]:
    """Which of ``count`` points are kept aside to test on, and which are trained on: two indices.

    The seed decides, so all flows that are trained with it are tested on the same points.
    """
    order = torch.randperm(count, generator=_generator(settings.seed, -1))
    cut = min(max(1, round(settings.test_fraction * count)), count - 1)
    return order[:cut], order[cut:]


#: Learning rate as a share of its highest value, against the share ``t`` of the training done.
SCHEDULES = {
    "constant": lambda t: 1.0,
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)),
    "one_cycle": lambda t: (0.1 + 9 * t if t < 0.1
                            else 0.5 * (1 + math.cos(math.pi * (t - 0.1) / 0.9))),
}


def _flatten(parameters: list[torch.nn.Parameter]) -> torch.nn.Parameter:
    """One flat parameter whose slices the given ones become."""
    flat = torch.nn.Parameter(torch.cat([p.detach().reshape(-1) for p in parameters]))
    for p, piece in zip(parameters, flat.detach().split([p.numel() for p in parameters]),
                        strict=True):
        p.data = piece.view_as(p)
    return flat


def _generator(seed: int, index: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Randomness of its own for every seed and every epoch or step."""
    return torch.Generator(device).manual_seed((seed * 1_000_003 + index) % 2**63)
