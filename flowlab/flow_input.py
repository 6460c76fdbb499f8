"""Checks points and classes that are given to a flow, and converts arrays and lists.

``flow`` is anything with the ``event_shape``, ``dtype``, ``device`` and ``settings`` of a flow.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlab.bijections.immediate import concrete, transformed


def tensor(x: Any, flow: Any) -> Tensor:
    """``x`` as a tensor, which arrays and lists become in the flow's own type."""
    if isinstance(x, Tensor):
        return x
    return _converted(x, "iuf", "points as numbers").to(flow.device, flow.dtype)


def points(x: Any, flow: Any) -> Tensor:
    """Check that ``x`` are points of this flow, and convert them to a tensor."""
    x = tensor(x, flow)
    if torch.jit.is_tracing():  # comparisons would be traced as part of the flow
        return x
    if x.ndim == 0 or tuple(x.shape[1:]) != flow.event_shape:
        shape = ", ".join(map(str, flow.event_shape))
        raise ValueError(f"Expected points of shape (batch, {shape}); got {tuple(x.shape)}.")
    if x.dtype != flow.dtype:
        raise ValueError(f"The flow is {flow.dtype} and the points are {x.dtype}: "
                         "convert one of them with .to(dtype).")
    if x.device != flow.device:
        raise ValueError(f"The flow is on {flow.device} and the points are on {x.device}: "
                         "move one of them with .to(device).")
    return x


def classes(context: Any, n: int, flow: Any) -> Tensor | None:
    """Check ``context``, and convert it to the class of each of ``n`` points, or None."""
    count = flow.settings.classes
    if (context is None) != (count == 0):
        raise ValueError("This flow has no classes: leave context out." if count == 0 else
                         f"This flow has {count} classes: give context, integers (batch,).")
    if context is None:
        return None
    if not isinstance(context, Tensor):
        context = _converted(context, "iu", "context as integers")
    kind, shape = context.dtype, context.shape
    if kind.is_floating_point or kind.is_complex or kind == torch.bool:
        raise ValueError(f"Expected context as integers; got {kind}.")
    context = context.to(flow.device, torch.long)
    if context.ndim == 0:
        context = context.expand(n)
    if not torch.jit.is_tracing():
        if context.ndim != 1 or context.shape[0] != n:
            raise ValueError(f"Expected context as integers of shape ({n},); got "
                             f"{kind} of shape {tuple(shape)}.")
        _in_range(context, count)
    return context


def _converted(values: Any, kinds: str, what: str) -> Tensor:
    """Convert a list, an array or a number to a tensor; its NumPy kind must be in ``kinds``."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # such as rows of unequal length
        array = np.asarray(None)
    if array.size and array.dtype.kind not in kinds:
        raise ValueError(f"Expected {what}; got {type(values).__name__}.")
    return torch.from_numpy(array.astype(np.int64 if "f" not in kinds else np.float64))


def _in_range(context: Tensor, classes: int) -> None:
    """Raise ValueError for a class out of range, as soon as the tensor has values."""
    sentence = f"Context has a class outside 0 to {classes - 1}."
    if transformed():  # by vmap: the wrapped tensor has all values
        while torch._C._functorch.is_functorch_wrapped_tensor(context):
            context = torch._C._functorch.get_unwrapped(context)
    if not concrete(context):
        torch._assert_async(((context >= 0) & (context < classes)).all(), sentence)
    elif context.numel():
        lowest, highest = map(int, context.aminmax())
        if lowest < 0 or highest >= classes:
            raise ValueError(sentence)
