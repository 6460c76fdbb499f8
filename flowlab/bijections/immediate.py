"""Whether operations are executed immediately, as fast paths and checks of values require."""

import torch
from torch import Tensor, nn


def immediate(x: Tensor, modes: int = 0) -> bool:
    """Whether operations on ``x`` are executed immediately and unchanged, as a fast path requires.

    A fast path overwrites its buffers and has its own backward pass. Both are wrong where
    operations are transformed, cast to other types by autocast, or not executed at all.

    Parameters
    ----------
    x : Tensor
    modes : int
        How many dispatch modes may intercept operations.
    """
    return (concrete(x, modes) and not transformed()
            and not torch._C._functorch.is_legacy_batchedtensor(x)  # as is_grads_batched makes
            and not torch.is_autocast_enabled(x.device.type))


def concrete(x: Tensor, modes: int = 0) -> bool:
    """Whether ``x`` has values, and operations on it are not recorded.

    This excludes ``torch.compile``, ``torch.export``, ``torch.jit.trace``, fake tensors and other
    subclasses, and the meta device.
    """
    return not (torch.compiler.is_compiling() or torch.jit.is_tracing()
                or torch._C._len_torch_dispatch_stack() != modes
                or type(x) not in (Tensor, nn.Parameter) or x.is_meta)


def transformed() -> bool:
    """Whether a transform of ``torch.func`` or forward-mode differentiation is active."""
    return (torch._C._are_functorch_transforms_active()
            or torch.autograd.forward_ad._current_level >= 0)
