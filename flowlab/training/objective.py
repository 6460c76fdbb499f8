"""The objective of a training: its value on a batch, and its gradient."""

import torch
from torch import Tensor

from flowlab.bijections import fast
from flowlab.bijections.base import LOG_PROB
from flowlab.flow import Flow
from flowlab.settings import TrainingSettings
from flowlab.training import distributed
from flowlab.training.optimiser import joined
from flowlab.training.split import MAX_MEASURED, REVERSE_NOISE, DataSplit, generator


class Objective:
    """Forward or reverse KL on batches of the training data.

    Parameters
    ----------
    flow : Flow
    data : DataSplit
    settings : TrainingSettings
    numbers : Tensor
        The parameters that are trained, then the flow's buffers; the flow's own are slices of it.
    """

    def __init__(self, flow: Flow, data: DataSplit, settings: TrainingSettings, numbers: Tensor
                 ) -> None:
        self.flow, self.data, self.settings, self.numbers = flow, data, settings, numbers
        self.parameters = [p for p in flow.parameters() if p.requires_grad]
        #: The target's log-density, where it is known.
        self.log_prob = data.source.log_prob
        self._likelihood, self._cores = None, fast.FreeCores()
        if (settings.objective == "forward" and not distributed.several()
                and type(flow).log_prob is Flow.log_prob and type(flow).inverse is Flow.inverse):
            self._likelihood = fast.likelihood(flow.layers, flow.settings.base, data.train_x)

    def loss_and_gradient(self, batch: Tensor, step: int) -> tuple[float, Tensor]:
        """The objective on the training points of these indices, with the noise of this step.

        The gradient is one vector, in the order of the parameters.
        """
        if self._likelihood is not None:
            return self._likelihood(self.numbers, *self._points(batch, step))
        with self._cores.turn():
            value = self._loss(batch, step)
            gradient = joined(torch.autograd.grad(value, self.parameters))
        return (distributed.average(value.detach(), batch).item(),
                distributed.average(gradient, batch))

    def _loss(self, batch: Tensor, step: int) -> Tensor:
        """The objective on this process's share of a batch; noise is drawn for the whole batch."""
        if self.settings.objective == "forward":
            return -self.flow.log_prob(*self._points(batch, step)).mean()
        z = self.flow.base_sample(len(batch), self._noise(-2 - step))
        return self._reverse_kl(distributed.share(z))

    def _reverse_kl(self, z: Tensor) -> Tensor:
        """The KL from the flow to the target, estimated at the latents ``z``."""
        x, log_det = self.flow.forward(z)
        log_q = LOG_PROB[self.flow.settings.base](z) - log_det
        assert self.log_prob is not None
        return (log_q - self.log_prob(x)).mean()

    @torch.no_grad()
    def measured_reverse_kl(self) -> float:
        """The KL from the flow to the target, always at the same latents."""
        return self._reverse_kl(
            self.flow.base_sample(MAX_MEASURED, self._noise(REVERSE_NOISE))).item()

    def _points(self, batch: Tensor, step: int) -> tuple[Tensor, Tensor | None]:
        """The process's share of a batch: points, or images with noise; and classes."""
        x = self.data.batch(batch, self._noise(-2 - step) if self.data.pixels else None)
        context = self.data.train_context
        return distributed.share(x), None if context is None else context[distributed.share(batch)]

    def _noise(self, index: int) -> torch.Generator:
        return generator(self.settings.seed, index, self.flow.device)
