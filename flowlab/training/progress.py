"""The progress that a training reports."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import ConfigDict, Field

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
Whole = Annotated[int, Field(ge=0, le=10**9)]
Positive = Annotated[int, Field(ge=1, le=10**9)]


class Epoch(NamedTuple):
    """The numbers of one epoch; NLL and KL in nats per point, None where unknown.

    Attributes
    ----------
    epoch, step : int
        Completed epochs and optimiser steps.
    seconds : float or None
        Time spent training until then.
    train_nll, test_nll, kl : float or None
    """

    epoch: int
    step: int
    seconds: float | None
    train_nll: float | None
    test_nll: float | None
    kl: float | None


@dataclass(frozen=True)
class Moment:
    """The numbers of a training after a batch or an epoch. NLL and KL are in nats per point.

    Frames, the store, exported runs and pages all have them in this form. Numbers that were not
    finite are None once they were stored.

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
    start_epoch : int
    start_train_nll, start_test_nll : float
        Completed epochs and NLL before the first step: 0 and the NLL of the untrained flow, unless
        the training continues from `Snapshot.fresh`. Runs of earlier versions lack them.
    reverse_kl : tuple of (int, float)
        For the reverse objective, every epoch and the KL from the flow to the target after it,
        estimated on some thousand samples at fixed latents.
    epoch_steps : int
        Optimiser steps of a whole epoch; 0 in runs of earlier versions.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    epoch: Whole
    epochs: Positive
    step: Whole
    steps: Positive
    seconds: Annotated[float, Field(ge=0)]
    learning_rate: float | None
    train_nll: float | None
    test_nll: float | None
    loss: float | None
    kl: float | None
    best_nll: float | None
    inverse_error: float | None
    outcome: Outcome
    reason: Annotated[str, Field(max_length=1000)]
    start_epoch: Whole = 0
    start_train_nll: float | None = None
    start_test_nll: float | None = None
    reverse_kl: Annotated[tuple[tuple[float, float], ...], Field(max_length=1_000_000)] = ()
    epoch_steps: Whole = 0

    @classmethod
    def read(cls, numbers: dict[str, Any]) -> Self:
        """Make it from what `dump` returned, in this version or an earlier one."""
        known = {f.name: numbers[f.name] for f in fields(cls) if f.name in numbers}
        return cls(**known | {"reverse_kl": tuple(map(tuple, known.get("reverse_kl", ())))})

    def dump(self) -> dict[str, Any]:
        """The numbers by their names."""
        return {f.name: getattr(self, f.name) for f in fields(Moment)}

    @property
    def completed(self) -> Epoch:
        """The numbers of the epoch that this is the end of."""
        return Epoch(self.epoch, self.step, self.seconds, self.train_nll, self.test_nll, self.kl)

    @property
    def batches(self) -> int:
        """Batches per epoch; in earlier versions all epochs were whole."""
        return self.epoch_steps or self.steps // self.epochs

    @property
    def batch(self) -> int:
        """Completed batches of the next epoch."""
        return max(self.step - self.epoch * self.batches, 0)

    @property
    def cut_short(self) -> int:
        """Batches of the last epoch, where a budget of steps or seconds ended it; otherwise 0."""
        last = self.step - (self.epoch - 1) * self.batches
        return last if 0 < last < self.batches else 0

    @property
    def best_possible(self) -> float | None:
        """The NLL of the test points under their true density; None where it is unknown.

        It is computed from the KL, since runs of earlier versions have the entropy as `best_nll`.
        """
        return None if self.kl is None or self.test_nll is None else self.test_nll - self.kl

    def curve(self, epochs: Iterable[Epoch]) -> list[tuple[int, float | None, float | None]]:
        """Number, training NLL and test NLL of these epochs, and of the start before them."""
        rows = [(e.epoch, e.train_nll, e.test_nll) for e in epochs]
        start = self.start_epoch, self.start_train_nll, self.start_test_nll
        known = None not in start and not (rows and self.start_epoch >= rows[0][0])
        return [start, *rows] if known else rows


@dataclass(frozen=True)
class Progress(Moment):
    """A `Moment` of a training, with the flow.

    Attributes
    ----------
    flow : Flow
        The flow itself, which changes as the training continues. After an epoch it has the averaged
        weights, on which the numbers here are measured; within an epoch, the raw weights.
    recent : RecentSnapshots or None
        The snapshots in memory; None within an epoch.
    """

    train_nll: float
    test_nll: float
    flow: Flow = field(repr=False, kw_only=True)
    recent: RecentSnapshots | None = field(repr=False, default=None, kw_only=True)

    @property
    def moment(self) -> Moment:
        """The numbers alone."""
        return Moment(*(getattr(self, f.name) for f in fields(Moment)))

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
