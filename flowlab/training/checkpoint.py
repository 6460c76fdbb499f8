"""Snapshots of a training: enough to resume it with identical numbers."""

import json
import math
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save
from torch import Tensor

from flowlab import files
from flowlab.flow import Flow
from flowlab.settings import shown

FORMAT = "flowlab-checkpoint-3"
#: Without the best weights, the statistics of batch normalisation and the settings' learning rate.
OLDER = "flowlab-checkpoint-2"
Count = Annotated[int, Field(ge=0, le=10**12)]


class _Numbers(BaseModel):
    """The numbers of a snapshot, as stored."""

    model_config = ConfigDict(extra="forbid", strict=True)

    epoch: Count
    step: Count
    epochs_without_improvement: Count = Field(alias="stale")
    best: float
    seconds: float
    learning_rate: float
    best_epoch: Count = 0
    begun: Count = 0
    decays: bool = False
    #: The default differs from every learning rate, so that of the settings is used.
    set_rate: float | None = math.nan
    start: tuple[Count, float, float] | None = None
    reverse_kl: tuple[tuple[Count, float], ...] = ()
    #: Written by earlier versions; it is measured again.
    train_nll: float | None = Field(None, exclude=True)


@dataclass(frozen=True)
class Snapshot:
    """The state of a training after an epoch.

    Attributes
    ----------
    weights : dict of str to Tensor
        The flow's ``state_dict``, with the averaged weights.
    optimiser : Tensor, shape (3, parameters)
        The raw weights, which the optimiser updates, and Adam's first and second moments.
    epoch, step : int
        Completed epochs and optimiser steps.
    epochs_without_improvement : int
        Epochs without a better test NLL.
    best : float
        The lowest test NLL of an epoch so far.
    seconds : float
        Time spent training.
    learning_rate : float
        The peak learning rate in effect.
    best_epoch : int
        The epoch of the best test NLL.
    begun : int
        The step at which Adam's moments were 0.
    decays : bool
        Whether the schedule skips its warm-up.
    set_rate : float or None
        The learning rate of the settings. Where a resumed training has another one, it takes the
        new one; with None it always continues with ``learning_rate``.
    start : tuple of (int, float, float), or None
        Epoch, training NLL and test NLL before the first step.
    statistics : Tensor or None
        The raw moving averages of batch normalisation; those in ``weights`` are averaged like the
        weights.
    reverse_kl : tuple of (int, float)
        As in `flowlab.training.progress.Progress`.
    best_weights : dict of str to Tensor, or None
        The flow's ``state_dict`` with the best test NLL, where early stop needs it.
    flow : dict of str to str
        The ``model``'s name, and the ``settings`` of its flow as JSON; empty in checkpoints of
        earlier versions.
    """

    weights: dict[str, Tensor]
    optimiser: Tensor
    epoch: int
    step: int
    epochs_without_improvement: int
    best: float
    seconds: float
    learning_rate: float
    best_epoch: int = 0
    begun: int = 0
    decays: bool = False
    set_rate: float | None = None
    start: tuple[int, float, float] | None = None
    statistics: Tensor | None = None
    best_weights: dict[str, Tensor] | None = None
    flow: dict[str, str] = field(default_factory=dict)
    reverse_kl: tuple[tuple[int, float], ...] = ()

    @classmethod
    def fresh(cls, flow: Flow, learning_rate: float, epoch: int = 0, step: int = 0) -> "Snapshot":
        """A snapshot that continues from a flow's current weights with a new optimiser.

        The schedule continues at ``epoch`` and skips the warm-up.

        Parameters
        ----------
        flow : Flow
        learning_rate : float
            Peak learning rate of the schedule.
        epoch, step : int
            Completed epochs and optimiser steps of the flow, from which the training counts on;
            with ``step`` 0, the steps are computed from the epochs.
        """
        own = torch.cat([p.detach().cpu().reshape(-1) for p in flow.parameters()
                         if p.requires_grad])
        weights = {name: value.detach().cpu().clone() for name, value in flow.state_dict().items()}
        return cls(weights, torch.stack([own, torch.zeros_like(own), torch.zeros_like(own)]),
                   epoch, step, epochs_without_improvement=0, best=math.inf, seconds=0.0,
                   learning_rate=learning_rate, begun=step, decays=True, flow=about(flow))

    @property
    def nbytes(self) -> int:
        """Size in memory, without the best weights, which snapshots share."""
        return self.optimiser.nbytes + sum(w.nbytes for w in self.weights.values())

    def save(self, path: str | PathLike[str]) -> None:
        """Write a file, whole or not at all."""
        files.write(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of that file: safetensors, with the numbers as JSON in the metadata."""
        numbers = {field.alias or name: getattr(self, name)
                   for name, field in _Numbers.model_fields.items() if not field.exclude}
        # Without a worse epoch since the best one, its weights are the weights.
        best = self.best_weights if self.epochs_without_improvement else None
        tensors = {f"{kind}.{name}": value
                   for kind, state in (("weights", self.weights), ("best_weights", best or {}))
                   for name, value in state.items()}
        if self.statistics is not None:
            tensors["statistics"] = self.statistics
        return save({"optimiser": self.optimiser.contiguous(), **tensors},
                    {"format": FORMAT, "numbers": json.dumps(numbers), **self.flow})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Snapshot":
        """Read a file that `save` wrote, in this version or an earlier one.

        Raises
        ------
        ValueError
            When the file is not a checkpoint of this lab.
        """
        return cls.from_bytes(Path(path).read_bytes(), path)

    @classmethod
    def from_bytes(cls, content: bytes, path: str | PathLike[str] = "The file") -> "Snapshot":
        """Read the content of a file, which sentences name by ``path``; see `load`."""
        metadata, tensors = files.unpacked(content, FORMAT, path, OLDER)
        try:
            numbers = _Numbers.model_validate_json(metadata["numbers"])
            optimiser, statistics = tensors.pop("optimiser"), tensors.pop("statistics", None)
            weights, best = ({name.removeprefix(kind): t for name, t in tensors.items()
                              if name.startswith(kind)} for kind in ("weights.", "best_weights."))
            if optimiser.ndim != 2 or len(optimiser) != 3:
                raise ValueError("no three rows")
            flow: dict[str, str] = {name: metadata[name] for name in ("model", "settings")
                                    if name in metadata}
            if not isinstance(json.loads(flow.get("settings", "{}")), dict):
                raise ValueError("no settings")
            if not best and not numbers.epochs_without_improvement and numbers.best < math.inf:
                best = weights
            return cls(weights, optimiser, **{k: v for k, v in numbers if k != "train_nll"},
                       statistics=statistics, flow=flow, best_weights=best or None)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} is no complete checkpoint: train again from the start."
                             ) from error

    def __reduce__(self) -> tuple:
        """Pickled, it is one block of bytes, which is faster than many tensors."""
        return Snapshot.from_bytes, (self.to_bytes(),)

    def check(self, flow: Flow) -> None:
        """Check that ``flow`` can have this state.

        Raises
        ------
        ValueError
            With one sentence that says what differs.
        """
        expected, here, there = about(flow), flow.state_dict(), self.weights
        if self.flow.get("model", expected["model"]) != expected["model"]:
            raise _unfit(f"is of {shown(self.flow['model'])}", f"is {expected['model']}")
        own = json.loads(expected["settings"])
        for name, value in json.loads(self.flow.get("settings", "{}")).items():
            if name in own and own[name] != value:
                raise _unfit(f"has {name} {shown(str(value))}", f"has {own[name]}")
        for name in sorted(here.keys() ^ there.keys()):
            how = ("no", "one") if name in here else ("a", "none")
            raise _unfit(f"has {how[0]} tensor {shown(name)}", f"has {how[1]}")
        for name, value in here.items():
            if value.shape != there[name].shape:
                raise _unfit(f"has {name} of shape {tuple(there[name].shape)}",
                             f"has it of {tuple(value.shape)}")
            if value.dtype != there[name].dtype:
                raise _unfit(f"has numbers of {_precision(there[name])}",
                             f"has {_precision(value)}")
        if not all(value.isfinite().all() for value in (self.optimiser, *there.values())):
            raise ValueError("The checkpoint holds NaN or infinity, so it is damaged: train again "
                             "from the start.")


def about(flow: Flow) -> dict[str, str]:
    """The metadata of a snapshot about its flow."""
    return {"model": type(flow).__name__, "settings": flow.settings.model_dump_json()}


def _precision(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _unfit(there: str, here: str) -> ValueError:
    return ValueError(f"The checkpoint {there}, and the flow of this run {here}: give the settings "
                      "that it was written with, or another file.")
