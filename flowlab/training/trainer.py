"""Maximum likelihood (and reverse KL) with Adam, as a plain generator.

Closing the generator stops the training, and not advancing it pauses the training. Nothing here
depends on pages, processes or threads.
"""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor

from flowlab.flow import Flow
from flowlab.settings import TrainingSettings
from flowlab.training import distributed
from flowlab.training.checkpoint import Snapshot, about
from flowlab.training.denormals import without_denormals
from flowlab.training.metrics import inverse_errors, nll
from flowlab.training.objective import Objective
from flowlab.training.optimiser import SCHEDULES, WARM_UP, Optimiser
from flowlab.training.progress import Outcome, Progress, RecentSnapshots
from flowlab.training.split import DataSplit, generator

__all__ = ["SCHEDULES", "Progress", "Snapshot", "TrainingSettings", "train", "untrained"]

#: Points on which the inverse error is measured after every epoch.
INVERSE_POINTS = 256
#: Batches on which Adam's moments are estimated where a training continues from weights alone.
MOMENTS = 50


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
        Trained in place. A fresh flow is first initialised from the training points.
    source : Source, Tensor, or pair of Tensors
        A distribution or points of `flowlab.data`; or its images, which get fresh uniform noise
        at every step and are measured with the same noise each time; or points
        ``(n, *event_shape)``; or points and their classes ``(n,)``, integers from 0. Tensors may
        be arrays or lists as well.
    settings : TrainingSettings
        With ``device="cuda"`` or ``precision="float64"`` the flow is converted; their defaults
        leave it as it is.
    every : "epoch" or "batch"
        How often to yield.
    resume : Snapshot, optional
        The state to resume from, with the numbers of an uninterrupted run; changed settings take
        effect from there on.

    Yields
    ------
    Progress
        After every epoch, or after every batch. A learning rate sent into the generator replaces
        the peak learning rate of the schedule from the next step on.

    Raises
    ------
    ValueError
        When the source does not fit the flow, or the objective needs a density it lacks.
    """
    with _gradients():
        trainer = _Trainer(flow, source, settings, resume)
        run = trainer.run()
    try:
        while True:
            with _gradients():
                progress = next(run, None)
            if progress is None:
                return
            if every == "batch" or progress.snapshot is not None:
                sent = yield progress
                if sent is not None:
                    trainer.learning_rate = TrainingSettings(learning_rate=sent).learning_rate
    finally:
        with _gradients():
            run.close()


def untrained(flow: Flow, source: Any, settings: TrainingSettings) -> Progress:
    """The progress of a training before its first step; the arguments are those of `train`."""
    with _gradients():
        return _Trainer(flow, source, settings, None)._progress(math.nan, 0)


@contextmanager
def _gradients() -> Iterator[None]:
    """Enable gradients, also under ``torch.no_grad`` or ``torch.inference_mode``."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


class _Trainer:
    """One training: its data, its optimiser and its state."""

    def __init__(self, flow: Flow, source: Any, settings: TrainingSettings,
                 resume: Snapshot | None) -> None:
        self.flow, self.settings = flow, settings
        distributed.check_device(settings.device)
        if settings.seconds and distributed.several():
            raise ValueError("seconds cannot be shared by several processes, whose clocks differ: "
                             "give epochs or optimiser_steps.")
        parameters = [p for p in flow.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError("All layers of the flow are frozen: set requires_grad_(True) on those "
                             "to train.")
        if any(p.is_inference() for p in parameters):
            raise ValueError("The flow was made under torch.inference_mode, which allows no "
                             "gradients: make it outside.")
        if settings.device == "cuda":
            flow.cuda()
        if settings.precision == "float64":
            flow.double()
        self.data = DataSplit(flow, source, settings)
        #: Mean NLL of the test points under their true density, None where it is unknown.
        self.best_nll = None
        if self.data.source.log_prob is not None:
            self.best_nll = -self.data.source.log_prob(self.data.test_x).double().mean().item()
        if resume is None:
            flow.initialise(*self.data.training_sample())
        else:
            resume.check(flow)
            flow.load_state_dict(resume.weights)
        self.batches = math.ceil(len(self.data.train_x) / settings.batch_size)
        #: Within an epoch the flow has the raw weights, between epochs the averaged ones.
        self.optimiser = Optimiser(flow, settings.clip, settings.weight_decay)
        self.objective = Objective(flow, self.data, settings, self.optimiser.current)
        self.learning_rate = self.rate = settings.learning_rate
        self.epoch = self.step = self.begun = self.best_epoch = 0
        self.epochs_without_improvement = 0
        self.decays = False
        self.seconds, self.best = 0.0, math.inf
        self.best_weights: dict[str, Tensor] | None = None
        self.reverse_kl: dict[int, float] = {}  # by epoch, for the reverse objective
        self.recent = RecentSnapshots()
        if resume is not None:
            self._restore(resume)
        self._measure()
        self.start: tuple[int, float, float] = self.epoch, self.train_nll, self.test_nll
        if resume is not None and resume.start is not None:
            self.start = resume.start
        if resume is not None and settings.patience and self.best_weights is None:
            self._note_best()  # the checkpoint is of a training without early stop
        self.last_good = self._snapshot()

    def run(self) -> Generator[Progress, None, None]:
        """Train to the end; yield after every batch, with a snapshot at the end of an epoch."""
        settings = self.settings
        try:
            ended = self._outcome() != "running"  # the training is resumed at its end
            if ended and settings.patience and self.epochs_without_improvement:
                yield self._with_the_best(math.nan)
            if self.decays and self.step == self.begun:
                self._estimate_moments()
            while self._outcome() == "running":
                losses: list[float] = []
                self.optimiser.swap()
                order = torch.randperm(len(self.data.train_x), generator=generator(
                    settings.seed, self.epoch)).to(self.flow.device)
                try:
                    for batch in order.tensor_split(self.batches):
                        start = time.perf_counter()
                        if not self.flow.training:
                            self.flow.train()
                        with without_denormals():
                            loss = self._step(batch, len(losses))
                        self.seconds += time.perf_counter() - start
                        if loss is None:
                            break
                        losses.append(loss)
                        if len(losses) == self.batches or self._share(len(losses)) >= 1:
                            break
                        yield self._progress(loss, self.batches - len(losses))
                finally:
                    self.optimiser.swap()  # to the averaged weights, also where it is stopped
                if loss is None:
                    yield self._diverged(math.nan, "The loss or its gradient became infinite or "
                                         "not a number")
                    return
                start = time.perf_counter()
                self.epoch += 1
                self._measure()
                self.seconds += time.perf_counter() - start
                if not math.isfinite(self.test_nll):
                    yield self._diverged(loss, "The test NLL became infinite or not a number")
                    return
                yield from self._after_epoch(loss)
        finally:
            self._hand_back()

    def _estimate_moments(self) -> None:
        """Estimate Adam's moments at the weights from which a training continues.

        Otherwise Adam's first steps would have the size of the learning rate in every weight,
        however small the gradient, and undo part of what was learned.
        """
        self.flow.train()
        order = torch.arange(len(self.data.train_x), device=self.flow.device)
        for batch in order.tensor_split(self.batches)[:min(MOMENTS, self.step)]:
            gradient = self.objective.loss_and_gradient(batch, self.step)[1]
            if not self.optimiser.clipped(gradient):
                return
            self.optimiser.note(gradient)
            self.begun -= 1

    def _step(self, batch: Tensor, index: int) -> float | None:
        """Take one optimiser step, with the batch of this index in the epoch.

        Return the loss; or None, without a step, where the loss or gradient is not finite.
        """
        loss, gradient = self.objective.loss_and_gradient(batch, self.step)
        if not (self.optimiser.clipped(gradient) and math.isfinite(loss)):
            return None
        done = self._share(index)
        if self.decays and self.settings.schedule == "one_cycle":
            done = max(done, WARM_UP)
        self.rate = self.learning_rate * SCHEDULES[self.settings.schedule](done)
        self.step += 1
        # At first the average covers about the last tenth of the steps, not its full length.
        share = max(1 / self.settings.averaging, 1 / (1 + 0.1 * self.step))
        self.optimiser.step(gradient, batch, self.rate, self.step - self.begun, share)
        return loss

    def _share(self, batch: int = 0) -> float:
        """The share of the budget that is used after so many batches of the next epoch."""
        return self.settings.share(self.epoch, self.step, self.seconds, batch, self.batches)

    def _measure(self) -> None:
        """Measure the averaged flow: NLL on both sets, KL and inverse error."""
        self.flow.eval()
        test_x, test_context = self.data.test_x, self.data.test_context
        self.test_nll = nll(self.flow, test_x, test_context)
        self.train_nll = nll(self.flow, *self.data.measured_sample())
        self.kl = None if self.best_nll is None else self.test_nll - self.best_nll
        context = None if test_context is None else test_context[:INVERSE_POINTS]
        self.inverse_error, self.off = inverse_errors(self.flow, test_x[:INVERSE_POINTS], context)
        if self.settings.objective == "reverse" and self.epoch not in self.reverse_kl:
            value = self.objective.measured_reverse_kl()
            if math.isfinite(value):
                self.reverse_kl[self.epoch] = value

    def _after_epoch(self, loss: float) -> Iterator[Progress]:
        """Yield the epoch's progress, and where early stop restores earlier weights, theirs."""
        self.epochs_without_improvement += 1
        if self.test_nll < self.best:
            self._note_best()
        self.last_good = self._snapshot()
        outcome, reason = self._outcome(), self._concern()
        if outcome != "running" and self.settings.patience and self.epochs_without_improvement:
            yield self._progress(loss, 0, "running", reason, self.last_good)
            yield self._with_the_best(loss)
            return
        yield self._progress(loss, 0, outcome, reason, self.last_good)

    def _outcome(self) -> Outcome:
        if 0 < self.settings.patience <= self.epochs_without_improvement:
            return "early stop"
        return "finished" if self._share() >= 1 else "running"

    def _with_the_best(self, loss: float) -> Progress:
        """Restore the best weights, and return the progress at the end of the training."""
        self._hand_back()
        self._measure()
        outcome = self._outcome()
        end = "stopped, with" if outcome == "early stop" else "these are"
        count = self.epochs_without_improvement
        return self._progress(loss, 0, outcome, (
            f"The test NLL has not fallen for {count} epoch{'s'[:count > 1]}: {end} the weights of "
            f"epoch {self.best_epoch}."), self.last_good)

    def _note_best(self) -> None:
        """Note that the flow is the best so far."""
        self.epochs_without_improvement, self.best, self.best_epoch = 0, self.test_nll, self.epoch
        self.best_weights = self._state() if self.settings.patience else None

    def _hand_back(self) -> None:
        """With early stop, give the flow the best weights."""
        if self.settings.patience and self.best_weights is not None:
            self.flow.load_state_dict(self.best_weights)

    def _concern(self) -> str:
        """One sentence about what looks wrong although the loss is finite; otherwise empty."""
        if self.off > 1e-2:
            return (f"The inverse is off by {self.off:.1g} of the data's standard deviation: the "
                    "flow stretches too much for its precision; lower the learning rate or the "
                    "log-scale bound.")
        if (self.settings.objective == "forward" and self.test_nll > self.best + 0.5
                and self.test_nll > self.train_nll + 0.5):
            return ("The test NLL is rising while the training NLL falls: the flow is overfitting; "
                    "use more points, a smaller network, weight decay or early stop.")
        return self.data.concern

    def _diverged(self, loss: float, what: str) -> Progress:
        self._restore(self.last_good)
        self._hand_back()
        self._measure()
        epoch = self.best_epoch if self.settings.patience else self.epoch
        return self._progress(loss, 0, "diverged", (
            f"{what}: stopped, with the weights of epoch {epoch}. Lower the learning rate, "
            "or clip the gradient at a smaller norm."), self.last_good)

    def _progress(self, loss: float, left: int, outcome: Outcome = "running", reason: str = "",
                  snapshot: Snapshot | None = None) -> Progress:
        """The progress, with ``left`` batches of this epoch to go."""
        epochs, steps = self._planned(left)
        return Progress(
            self.epoch, epochs, self.step, steps,
            self.seconds, self.rate, self.train_nll, self.test_nll, loss,
            self.kl, self.best_nll, self.inverse_error, outcome, reason, *self.start,
            tuple(self.reverse_kl.items()), self.batches, flow=self.flow,
            recent=None if snapshot is None else self.recent.add(snapshot))

    def _planned(self, left: int) -> tuple[int, int]:
        """Epochs and steps of the whole training; with a budget of seconds, as expected so far."""
        begun, then = self.epoch + (left > 0), self.step + left  # at the end of this epoch
        unit, amount = self.settings.budget
        if unit == "epochs":
            return self.settings.epochs, then + self.batches * (self.settings.epochs - begun)
        if unit == "steps":
            steps = int(amount)
        elif share := min(self._share(), 1.0):
            steps = max(round(self.step / share), 1)
        else:
            steps = self.batches
        return max(begun + math.ceil(max(steps - then, 0) / self.batches), 1), steps

    def _state(self) -> dict[str, Tensor]:
        return {k: v.detach().cpu().clone() for k, v in self.flow.state_dict().items()}

    def _snapshot(self) -> Snapshot:
        rows, statistics = self.optimiser.state
        best = self.best_weights if self.epochs_without_improvement == 0 else None
        return Snapshot(
            weights=self._state() if best is None else best,
            optimiser=rows, epoch=self.epoch, step=self.step,
            epochs_without_improvement=self.epochs_without_improvement, best=self.best,
            seconds=self.seconds, learning_rate=self.learning_rate, best_epoch=self.best_epoch,
            begun=self.begun, decays=self.decays, set_rate=self.settings.learning_rate,
            start=self.start, statistics=statistics,
            best_weights=self.best_weights, flow=about(self.flow),
            reverse_kl=tuple(self.reverse_kl.items()))

    def _restore(self, snapshot: Snapshot) -> None:
        self.flow.load_state_dict(snapshot.weights)
        self.optimiser.restore(snapshot.optimiser, snapshot.statistics)
        self.epoch, self.step = snapshot.epoch, snapshot.step
        self.epochs_without_improvement = snapshot.epochs_without_improvement
        self.begun, self.decays = snapshot.begun, snapshot.decays
        if snapshot.epoch and not snapshot.step:
            self.step = self.begun = snapshot.epoch * self.batches
        self.best, self.best_epoch = snapshot.best, snapshot.best_epoch
        self.best_weights = snapshot.best_weights
        self.reverse_kl = dict(snapshot.reverse_kl)
        self.seconds = max(self.seconds, snapshot.seconds)
        if snapshot.set_rate is None or snapshot.set_rate == self.settings.learning_rate:
            self.learning_rate = snapshot.learning_rate
