"""Safetensors files: numbers and plain text, nothing that could run."""

from os import PathLike

from safetensors import SafetensorError, safe_open
from torch import Tensor


def read(path: str | PathLike[str], form: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a file whose metadata say ``format: form``.

    Raises
    ------
    ValueError
        When it is not such a file.
    FileNotFoundError
        When there is no such file.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: choose one that Flow Lab wrote."
                         ) from error
    if metadata.get("format") != form:
        raise ValueError(f"{path} does not hold what is expected here ({form}): choose another.")
    return metadata, tensors
