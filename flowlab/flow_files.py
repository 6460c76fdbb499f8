"""Flows as files: weights, the model's name and its settings, as safetensors."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import Tensor

from flowlab import files
from flowlab.settings import FlowSettings, shown

__all__ = ["from_bytes", "load", "pack", "save", "to_bytes"]

FORMAT = "flowlab-1"
SMALL = 10**7  # parameters up to which a flow is built before it is compared with its file


def save(flow: Any, path: str | PathLike[str]) -> None:
    """Write a flow to a file, whole or not at all."""
    files.write(path, to_bytes(flow))


def to_bytes(flow: Any) -> bytes:
    """The content of the file that `save` writes."""
    weights = {name: value.detach().cpu().clone() for name, value in flow.state_dict().items()}
    return pack(type(flow).__name__, flow.settings, weights)


def pack(model: str, settings: FlowSettings, weights: Mapping[str, Tensor]) -> bytes:
    """The content of a file of a flow with this model's name, settings and state."""
    return serialise(
        {name: value.contiguous() for name, value in weights.items()},
        {"format": FORMAT, "model": model, "settings": settings.model_dump_json()})


def load(path: str | PathLike[str], models: Mapping[str, type], kind: str,
         device: str | torch.device = "cpu") -> Any:
    """Read a flow that `save` wrote; as `from_bytes`, or FileNotFoundError without a file."""
    return from_bytes(Path(path).read_bytes(), models, kind, device, path)


def from_bytes(content: bytes, models: Mapping[str, type], kind: str,
               device: str | torch.device = "cpu", path: str | PathLike[str] = "The file") -> Any:
    """Build the flow in the content of a file.

    The file names its model, and only those given are built, so a file cannot choose which code
    runs.

    Parameters
    ----------
    content : bytes
    models : dict of str to type
        The models that may be built, by name.
    kind : str
        What the file should hold, for the sentence about another one.
    device : str or torch.device
    path : path-like
        The name of the file in sentences.

    Raises
    ------
    ValueError
        When it is not a flow of this lab, or names an unknown model or does not fit it.
    """
    metadata, weights = files.unpacked(content, FORMAT, path)
    model: Any = models.get(metadata.get("model", ""))
    if model is None:
        name = shown(metadata.get("model", "flow without a name"))
        raise ValueError(f"{path} holds a {name}, which is not an imported {kind}: "
                         "import its package, or load another file.")
    try:
        settings = model.Settings.model_validate_json(metadata.get("settings", ""))
        dtype = next(w.dtype for w in weights.values() if w.is_floating_point())
        if _size_bound(settings) > SMALL + 4 * sum(w.numel() for w in weights.values()):
            with torch.device("meta"):  # takes no memory, whatever the settings
                planned = model(**dict(settings)).state_dict()
            if any(w.shape != planned[n].shape for n, w in weights.items()) or (
                    len(weights) < len(planned)):
                raise ValueError("other weights")
        flow = model(**dict(settings)).to(dtype)
        flow.load_state_dict(weights)
    except (ValueError, KeyError, RuntimeError, StopIteration) as error:
        raise ValueError(f"{path} does not hold a complete {model.__name__}: "
                         "save it again from the run it came from.") from error
    return flow.to(device).eval()


def _size_bound(settings: FlowSettings) -> int:
    """An approximate upper bound of the number of parameters of a flow."""
    values = settings.model_dump()
    hidden = values.get("hidden", ())
    wide = max(*settings.event_shape, 3 * values.get("hidden_channels", 0), *hidden)
    deep = max(values.get("couplings", 1), values.get("steps", 1)) * (
        len(hidden) + values.get("levels", 1) * (4 + values.get("blocks", 0)))
    return deep * wide ** 2
