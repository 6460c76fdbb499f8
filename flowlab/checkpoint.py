"""Snapshots of a training: enough to resume it with identical numbers."""

import json
import math
from dataclasses import dataclass, fields
from os import PathLike
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import save_file
from torch import Tensor

from flowlab import files
from flowlab.flow import Flow

FORMAT = "flowlab-checkpoint-3"
#: Without the best weights, the statistics of batch normalisation and the settings' learning rate.
OLDER = "flowlab-checkpoint-2"
TENSORS = ("weights", "optimiser", "statistics", "best_weights")
Count = Annotated[int, Field(ge=0, le=10**12)]


class _Numbers(BaseModel):
    """What a snapshot holds besides its tensors."""

    model_config = ConfigDict(extra="forbid", strict=True)

    epoch: Count
    step: Count
    stale: Count
    best: float
    seconds: float
    learning_rate: float
    best_epoch: Count = 0
    begun: Count = 0
    decays: bool = False
    #: A learning rate that differs from any: then that of the settings counts.
    set_rate: float | None = math.nan
    start: tuple[Count, float, float] | None = None
    #: Written by earlier versions; it is measured anew.
    train_nll: float | None = Field(None, exclude=True)


@dataclass(frozen=True)
class Snapshot:
    """The state of a training after an epoch.

    Attributes
    ----------
    weights : dict of str to Tensor
        The flow's ``state_dict``, with the average of the recent weights.
    optimiser : Tensor, shape (3, parameters)
        The weights that the optimiser goes on from, and Adam's first and second moments.
    epoch, step : int
        Completed epochs and optimiser steps.
    stale : int
        Epochs without a better test NLL.
    best : float
        The lowest test NLL of an epoch so far.
    seconds : float
        Time spent training.
    learning_rate : float
        The peak learning rate that is in effect.
    best_epoch : int
        The epoch of the best test NLL.
    begun : int
        The step at which Adam's moments were 0.
    decays : bool
        Whether the schedule leaves out its warm-up.
    set_rate : float or None
        The learning rate of the settings. Resumed with another one, the training takes the new one;
        None: it goes on with ``learning_rate`` in any case.
    start : tuple of (int, float, float), or None
        Epoch, training NLL and test NLL before the first step.
    statistics : Tensor or None
        The moving averages of batch normalisation that the training goes on from; those of the
        flow are their averages at the rate of the weights.
    best_weights : dict of str to Tensor, or None
        The flow's ``state_dict`` with the best test NLL, where the training promises it.
    """

    weights: dict[str, Tensor]
    optimiser: Tensor
    epoch: int
    step: int
    stale: int
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

    @classmethod
    def fresh(cls, flow: Flow, learning_rate: float, epoch: int = 0, step: int = 0) -> "Snapshot":
        """A training that goes on from the weights that a flow has now, with a new optimiser.

        Its schedule goes on at ``epoch`` and leaves out the warm-up.

        Parameters
        ----------
        flow : Flow
        learning_rate : float
            The schedule's peak.
        epoch, step : int
            Epochs and optimiser steps that the flow has behind it, so that the counts go on.
        """
        own = torch.cat([p.detach().cpu().reshape(-1) for p in flow.parameters()
                         if p.requires_grad])
        weights = {name: value.detach().cpu().clone() for name, value in flow.state_dict().items()}
        return cls(weights, torch.stack([own, torch.zeros_like(own), torch.zeros_like(own)]),
                   epoch, step, stale=0, best=math.inf, seconds=0.0, learning_rate=learning_rate,
                   begun=step, decays=True)

    @property
    def nbytes(self) -> int:
        """What it takes in memory, the best weights apart, which snapshots share."""
        return self.optimiser.nbytes + sum(w.nbytes for w in self.weights.values())

    def save(self, path: str | PathLike[str]) -> None:
        """Write as safetensors, whole or not at all; numbers go into the metadata as JSON."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in TENSORS}
        best = self.best_weights if self.stale else None  # otherwise they are the weights
        tensors = {f"{kind}.{name}": value
                   for kind, state in (("weights", self.weights), ("best_weights", best or {}))
                   for name, value in state.items()}
        if self.statistics is not None:
            tensors["statistics"] = self.statistics
        with files.replacing(path) as temporary:
            save_file({"optimiser": self.optimiser.contiguous(), **tensors}, temporary,
                      {"format": FORMAT, "numbers": json.dumps(numbers)})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Snapshot":
        """Read what `save` wrote, in this version or an earlier one.

        Raises
        ------
        ValueError
            When the file is no checkpoint of this lab.
        """
        metadata, tensors = files.read(path, FORMAT, OLDER)
        try:
            numbers = _Numbers.model_validate_json(metadata["numbers"])
            optimiser, statistics = tensors.pop("optimiser"), tensors.pop("statistics", None)
            weights, best = ({name.removeprefix(kind): t for name, t in tensors.items()
                              if name.startswith(kind)} for kind in ("weights.", "best_weights."))
            if optimiser.ndim != 2 or len(optimiser) != 3:
                raise ValueError("no three rows")
            return cls(weights, optimiser, **{k: v for k, v in numbers if k != "train_nll"},
                       statistics=statistics,
                       best_weights=best or (None if numbers.stale else weights))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no complete checkpoint: train again from the start."
                             ) from error
