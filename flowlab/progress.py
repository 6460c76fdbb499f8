"""What a training tells of itself as it goes."""

from dataclasses import dataclass, field
from typing import Literal

from flowlab.checkpoint import Snapshot
from flowlab.flow import Flow
from flowlab.metrics import bits_per_dimension


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
    compiled : bool
        Whether the last step was a compiled one, see `flowlab.compiling`.
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
    compiled: bool = False

    @property
    def train_bits(self) -> float:
        """The training NLL in bits per dimension; for images, bits for each pixel's value."""
        return bits_per_dimension(self.train_nll, self.flow.event_shape)

    @property
    def test_bits(self) -> float:
        """The test NLL in bits per dimension; for images an upper bound on the discrete model's."""
        return bits_per_dimension(self.test_nll, self.flow.event_shape)
