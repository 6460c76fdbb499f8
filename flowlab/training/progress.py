"""The progress that a training reports."""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from flowlab.flow import Flow
from flowlab.training.checkpoint import Snapshot
from flowlab.training.metrics import bits_per_dimension

#: Maximum size of the snapshots of a training in memory, not counting the newest.
MAX_RECENT_BYTES = 8_000_000


class RecentSnapshots:
    """The newest snapshots of a training, shared by all its `Progress`."""

    def __init__(self) -> None:
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()

    def add(self, snapshot: Snapshot) -> "RecentSnapshots":
        """Add a snapshot, drop the oldest ones if they become too large, and return self."""
        self._snapshots[snapshot.epoch] = snapshot
        while len(self._snapshots) > 1 and sum(
                s.nbytes for s in self._snapshots.values()) > MAX_RECENT_BYTES:
            self._snapshots.popitem(last=False)
        return self

    def get(self, epoch: int) -> Snapshot:
        """The snapshot of an epoch.

        Raises
        ------
        ValueError
            When it was dropped.
        """
        if epoch not in self._snapshots:
            raise ValueError(f"The snapshot of epoch {epoch} is no longer in memory: take "
                             "progress.snapshot while the training is at that epoch.")
        return self._snapshots[epoch]


Outcome = Literal["running", "finished", "early stop", "diverged"]


@dataclass(frozen=True)
class Progress:
    """The state of a training after a batch or an epoch. NLL and KL are in nats per point.

    Attributes
    ----------
    epoch, epochs : int
        Completed and planned epochs.
    step, steps : int
        Completed and planned optimiser steps.
    seconds : float
        Time spent training, without pauses.
    learning_rate : float
        The learning rate of the last step.
    train_nll, test_nll : float
        The NLL after the last completed epoch, on a fixed part of the training set and on the
        held-out test set.
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
        One sentence: why the training ended, or what looks wrong; otherwise empty.
    flow : Flow
        The flow itself, which changes as the training continues. After an epoch it has the averaged
        weights, on which the numbers here are measured; within an epoch, the raw weights.
    recent : RecentSnapshots or None
        The snapshots in memory; None within an epoch.
    start_epoch : int
    start_train_nll, start_test_nll : float
        Completed epochs and NLL before the first step: 0 and the NLL of the untrained flow, unless
        the training continues from `Snapshot.fresh`.
    reverse_kl : tuple of (int, float)
        For the reverse objective, every epoch and the KL from the flow to the target after it,
        estimated on some thousand samples at fixed latents.
    epoch_steps : int
        Optimiser steps of a whole epoch; 0 in runs of earlier versions.
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
    outcome: Outcome
    reason: str
    flow: Flow = field(repr=False)
    recent: RecentSnapshots | None = field(repr=False, default=None)
    start_epoch: int = 0
    start_train_nll: float = math.nan
    start_test_nll: float = math.nan
    reverse_kl: tuple[tuple[int, float], ...] = ()
    epoch_steps: int = 0

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot to resume from here; None within an epoch.

        Take it while the training is at this epoch: only the newest few stay in memory.

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
    """Completed epochs, completed batches of the next epoch, and batches per epoch."""
    # In earlier versions all epochs were whole.
    batches = numbers.get("epoch_steps") or numbers["steps"] // numbers["epochs"]
    return numbers["epoch"], max(numbers["step"] - numbers["epoch"] * batches, 0), batches


def best_possible(numbers: Mapping[str, Any]) -> float | None:
    """The NLL of a run's test points under their true density; None where it is unknown.

    ``numbers`` are those of a `Progress`. It is computed from the KL, since runs of earlier
    versions have the entropy as ``best_nll``.
    """
    kl = numbers["kl"]
    return None if kl is None else numbers["test_nll"] - kl


def whole_curve(numbers: Mapping[str, Any], history: Sequence[tuple[int, float, float]]
                ) -> list[tuple[int, float, float]]:
    """Epoch, training NLL and test NLL of every epoch, including those before the first step.

    Parameters
    ----------
    numbers : mapping
        The numbers of a `Progress`; in runs of earlier versions, those of the start are missing.
    history : sequence of (int, float, float)
        Epoch, training NLL and test NLL of the completed epochs.
    """
    epoch, train, test = (numbers.get(f"start_{n}") for n in ("epoch", "train_nll", "test_nll"))
    if epoch is None or train is None or test is None or (history and epoch >= history[0][0]):
        return list(history)
    return [(epoch, train, test), *history]
