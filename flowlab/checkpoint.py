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

FORMAT = "flowlab-checkpoint-2"
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
    train_nll: float


@dataclass(frozen=True)
class Snapshot:
    """The state of a training after an epoch.

    Attributes
    ----------
    weights : dict of str to Tensor
        The flow's ``state_dict``.
    optimiser : Tensor, shape (3, parameters)
        The weights that the optimiser goes on from (the flow's are their average), and Adam's
        first and second moments.
    epoch, step, stale, best, seconds, learning_rate, train_nll
        The counters and values that the training goes on from.
    """

    weights: dict[str, Tensor]
    optimiser: Tensor
    epoch: int
    step: int
    stale: int
    best: float
    seconds: float
    learning_rate: float
    train_nll: float

    @classmethod
    def fresh(cls, flow: Flow, learning_rate: float) -> "Snapshot":
        """The start of a new training from the weights that a flow has now."""
        own = torch.cat([p.detach().cpu().reshape(-1) for p in flow.parameters()])
        weights = {name: value.detach().cpu().clone() for name, value in flow.state_dict().items()}
        return cls(weights, torch.stack([own, torch.zeros_like(own), torch.zeros_like(own)]),
                   epoch=0, step=0, stale=0, best=math.inf, seconds=0.0,
                   learning_rate=learning_rate, train_nll=math.nan)

    def save(self, path: str | PathLike[str]) -> None:
        """Write as safetensors, whole or not at all; numbers go into the metadata as JSON."""
        numbers = {f.name: getattr(self, f.name) for f in fields(self)[2:]}
        tensors = {f"weights.{name}": value for name, value in self.weights.items()}
        with files.replacing(path) as temporary:
            save_file({"optimiser": self.optimiser.contiguous(), **tensors}, temporary,
                      {"format": FORMAT, "numbers": json.dumps(numbers)})

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Snapshot":
        """Read what `save` wrote.

        Raises
        ------
        ValueError
            When the file is no checkpoint of this lab.
        """
        metadata, tensors = files.read(path, FORMAT)
        try:
            numbers = dict(_Numbers.model_validate_json(metadata["numbers"]))
            optimiser = tensors.pop("optimiser")
            weights = {name.removeprefix("weights."): t for name, t in tensors.items()}
            if optimiser.ndim != 2 or len(optimiser) != 3:
                raise ValueError("no three rows")
            return cls(weights, optimiser, **numbers)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no complete checkpoint: train again from the start."
                             ) from error
