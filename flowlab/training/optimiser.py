"""Adam on all weights of a flow as one vector, and their moving averages."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from flowlab.bijections import BatchNorm
from flowlab.flow import Flow
from flowlab.training import distributed

BETAS = 0.9, 0.999
#: The warm-up's share of a one-cycle schedule.
WARM_UP = 0.1
#: Learning rate relative to its peak, as a function of the completed share ``t`` of the training.
SCHEDULES = {
    "constant": lambda t: 1.0,
    "cosine": lambda t: 0.5 * (1 + math.cos(math.pi * t)),
    "one_cycle": lambda t: (0.1 + 0.9 * t / WARM_UP if t < WARM_UP else
                            0.5 * (1 + math.cos(math.pi * (t - WARM_UP) / (1 - WARM_UP)))),
}


def joined(tensors: Iterable[Tensor]) -> Tensor:
    """Concatenate all tensors, detached, to one flat tensor, as for weights and gradients."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])


class Optimiser:
    """Adam (arXiv 1412.6980, algorithm 1) with decoupled weight decay, and averaged weights.

    Parameters
    ----------
    flow : Flow
    clip : float
        Maximum norm of the gradient; 0 for none.
    decay : float
        Rate of the weight decay.

    Attributes
    ----------
    current, swapped_out : Tensor
        The parameters that are trained, then the buffers, raw and averaged: those of the flow,
        which are slices of ``current``, and the others, see `swap`.
    first, second : Tensor
        Adam's moments of the gradient.
    """

    def __init__(self, flow: Flow, clip: float, decay: float) -> None:
        self.flow, self.clip, self.decay = flow, clip, decay
        parameters = [p for p in flow.parameters() if p.requires_grad]
        tensors = [*parameters, *(b for b in flow.buffers() if b.is_floating_point())]
        self._moving = [value for layer in flow.modules() if isinstance(layer, BatchNorm)
                        for value in (layer.mean, layer.variance)]
        #: Which numbers are the moving averages of batch normalisation.
        self._statistics = joined([
            torch.full_like(t, any(t is value for value in self._moving)) for t in tensors]).bool()
        self.current = joined(tensors)
        vector_to_parameters(self.current, tensors)
        self.swapped_out = self.current.clone()
        size = sum(p.numel() for p in parameters)
        self.first, self.second = self.current.new_zeros(2, size)

    @property
    def state(self) -> tuple[Tensor, Tensor | None]:
        """The weights outside the flow and Adam's moments, in three rows; statistics likewise."""
        statistics = self.swapped_out[self._statistics].cpu() if self._moving else None
        rows = self.swapped_out[:len(self.first)], self.first, self.second
        return torch.stack(rows).cpu(), statistics

    def restore(self, rows: Tensor, statistics: Tensor | None) -> None:
        """Take over a `state`."""
        if rows.shape[1] != len(self.first):
            raise ValueError("The checkpoint is of a training with other layers frozen: freeze the "
                             "same ones, or train again from the start.")
        for own, kept in zip((self.swapped_out[:len(self.first)], self.first, self.second), rows,
                             strict=True):
            own.copy_(kept)
        if self._moving and statistics is not None:
            self.swapped_out[self._statistics] = statistics.to(self.swapped_out)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the averaged and the raw values."""
        value = self.current.clone()
        self.current.copy_(self.swapped_out)
        self.swapped_out.copy_(value)

    def clipped(self, gradient: Tensor) -> bool:
        """Scale down a gradient that is too long; False where it is not finite."""
        norm = torch.linalg.vector_norm(gradient).item()
        if 0 < self.clip < norm < math.inf:
            gradient *= self.clip / norm
        return math.isfinite(norm)

    def note(self, gradient: Tensor) -> None:
        """Move the moments, and nothing else."""
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.lerp_(gradient.square(), 1 - BETAS[1])

    def step(self, gradient: Tensor, batch: Tensor, rate: float, count: int,
             share: float) -> None:
        """Take a step, the ``count``-th with these moments; the averages move by ``share``."""
        weights, steps = self.current[:len(self.first)], self.current.new_tensor(float(count))
        torch._fused_adamw_(
            [weights], [gradient], [self.first], [self.second], [], [steps],
            lr=rate, beta1=BETAS[0], beta2=BETAS[1], weight_decay=self.decay,
            eps=1e-8, amsgrad=False, maximize=False)
        self.flow.commit()
        for value in self._moving:  # their average over processes is that of the whole batch
            distributed.average(value, batch)
        self.swapped_out.lerp_(self.current, share)
