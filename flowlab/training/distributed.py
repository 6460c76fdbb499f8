"""One training in several processes, started by ``torchrun``.

Every process holds the same flow and draws the same batches and noise; each computes the loss on
its own share of a batch, and the gradients are averaged before the step. So the numbers equal those
of one process with the whole batch, up to rounding. Only the first process writes files and prints.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed


def started() -> bool:
    """Whether ``torchrun`` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def check_device(device: str | torch.device) -> None:
    """Raise ValueError for a GPU where there is none."""
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, but PyTorch finds no NVIDIA GPU here: leave it at cpu.")


@contextmanager
def group(device: str) -> Iterator[int]:
    """Join the process group of ``torchrun`` for the duration of the block.

    Parameters
    ----------
    device : "cpu" or "cuda"
        With ``"cuda"`` each process takes the GPU of its local rank.

    Yields
    ------
    int
        The rank of this process; 0 where there is only one.

    Raises
    ------
    ValueError
        For a GPU where there is none.
    """
    check_device(device)
    if not started():
        yield 0
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield distributed.get_rank()
    finally:
        distributed.destroy_process_group()


def share(batch: Tensor) -> Tensor:
    """The share of a batch for this process; the whole batch where it is the only one.

    Raises
    ------
    ValueError
        When there are fewer points than processes.
    """
    if not several():
        return batch
    if len(batch) < distributed.get_world_size():
        raise ValueError(f"A batch of {len(batch)} cannot be shared by "
                         f"{distributed.get_world_size()} processes: raise batch_size.")
    return batch.tensor_split(distributed.get_world_size())[distributed.get_rank()]


def average(value: Tensor, batch: Tensor) -> Tensor:
    """The mean over the whole batch, from the means over the processes' shares of it.

    ``value`` is a mean over this process's share, of the loss or its gradient; it is overwritten.
    """
    if several():
        value *= len(share(batch)) / len(batch)
        distributed.all_reduce(value)
    return value


def several() -> bool:
    """Whether this training runs in several processes."""
    return distributed.is_available() and distributed.is_initialized()
