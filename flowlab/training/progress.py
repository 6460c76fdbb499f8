"""What a training tells of itself as it goes."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flowlab.flow import Flow
from flowlab.training.checkpoint import Snapshot
from flowlab.training.metrics import bits_per_dimension

#: Bytes that the snapshots of a training may take together, its newest apart.
RECENT = 8_000_000


class Recent:
    """The newest snapshots of a training, which all its `Progress` share."""

    def __init__(self) -> None:
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()

    def add(self, snapshot: Snapshot) -> "Recent":
        """Keep a snapshot, and drop the oldest where they become too large; itself."""
        self._snapshots[snapshot.epoch] = snapshot
        while len(self._snapshots) > 1 and sum(
                s.nbytes for s in self._snapshots.values()) > RECENT:
            self._snapshots.popitem(last=False)
        return self

    def get(self, epoch: int) -> Snapshot:
        """The snapshot of an epoch.

        Raises
        ------
        ValueError
            When it has been dropped.
        """
        if epoch not in self._snapshots:
            raise ValueError(f"The snapshot of epoch {epoch} is no longer in memory: take "
                             "progress.snapshot while the training is at that epoch.")
        return self._snapshots[epoch]


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
        Of the flow after the last completed epoch: on a fixed part of the training points, and on
        the held-out points.
    loss : float
        The objective of the last batch.
    kl : float or None
        KL from the target to the flow, estimated on the test points, ``test_nll - best_nll``; None
        without a known density.
    best_nll : float or None
        The NLL of the test points under their true density. Its expectation is the target's
        entropy, and no flow has a lower expected NLL.
    inverse_error : float
        Largest ``|x - forward(inverse(x))|`` over some test points, in data units.
    outcome : str
        ``"running"``, ``"finished"``, ``"early stop"`` or ``"diverged"``.
    reason : str
        One sentence: why it ended, or what looks wrong; empty when all is well.
    flow : Flow
        The flow itself, which goes on changing. After an epoch it has the average of the recent
        weights, which is what the numbers here are measured on; within one, the last weights.
    recent : Recent or None
        Where `snapshot` is kept; None within an epoch.
    compiled : bool
        Whether the last step was a compiled one, see `flowlab.training.compiling`.
    start_epoch : int
    start_train_nll, start_test_nll : float
        Completed epochs and NLL before the first step: 0 and those of the untrained flow, but for a
        training that goes on from `Snapshot.fresh`.
    reverse_kl : tuple of (int, float)
        Where the objective is the reverse KL: every epoch and the KL from the flow to the target
        after it, estimated on some thousand samples at the same latents throughout.
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
    recent: Recent | None = field(repr=False, default=None)
    compiled: bool = False
    start_epoch: int = 0
    start_train_nll: float = math.nan
    start_test_nll: float = math.nan
    reverse_kl: tuple[tuple[int, float], ...] = ()

    @property
    def snapshot(self) -> Snapshot | None:
        """Everything needed to resume from here; None within an epoch.

        Take it while the training is here: of older ones only the newest few are in memory.

        Raises
        ------
        ValueError
            When it is no longer in memory.
        """
        return None if self.recent is None else self.recent.get(self.epoch)

    @property
    def train_bits(self) -> float:
        """The training NLL in bits per dimension; for images, bits for each pixel's value."""
        return bits_per_dimension(self.train_nll, self.flow.event_shape)

    @property
    def test_bits(self) -> float:
        """The test NLL in bits per dimension; for images an upper bound on the discrete model's."""
        return bits_per_dimension(self.test_nll, self.flow.event_shape)


def counts(numbers: Mapping[str, Any]) -> tuple[int, int, int]:
    """Completed epochs, completed batches of the next one, and the batches of an epoch."""
    batches = numbers["steps"] // numbers["epochs"]
    return numbers["epoch"], numbers["step"] - numbers["epoch"] * batches, batches


def best_possible(numbers: Mapping[str, Any]) -> float | None:
    """The NLL of a run's test points under their true density; None where nobody knows it.

    ``numbers`` are `Progress`'s. Runs of earlier versions have the entropy as ``best_nll``, and the
    KL was of the test points then as well.
    """
    kl = numbers["kl"]
    return None if kl is None else numbers["test_nll"] - kl


def whole_curve(numbers: Mapping[str, Any], history: Sequence[tuple[int, float, float]]
                ) -> list[tuple[int, float, float]]:
    """Epoch, training NLL and test NLL of every epoch, with those before the first step.

    Parameters
    ----------
    numbers : mapping
        `Progress`'s; runs of earlier versions know nothing of their start.
    history : sequence of (int, float, float)
        Those of the completed epochs.
    """
    start = [numbers.get(f"start_{name}") for name in ("epoch", "train_nll", "test_nll")]
    known = None not in start and (not history or start[0] < history[0][0])
    return [tuple(start), *history] if known else list(history)
