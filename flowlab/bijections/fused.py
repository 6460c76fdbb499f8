r"""The fast path of a flow: a chain of couplings as one autograd node.

In small networks most time is overhead of operations, not arithmetic. A chain computes the same as
its layers one by one (tests compare values and gradients) with a fraction of the operations:

- the batch runs along the last axis, so that halves are contiguous rows, and stays so throughout;
- the couplings' matrices are stacked, so that one operation makes a view or a buffer for all;
- a row of ones carries the biases through the same products as the weights;
- activations are overwritten in place, since their derivatives need only their outputs;
- ActNorm and linear map before a coupling are one affine map, :math:`A x + b`;
- the backward pass is written by hand and keeps only what it needs;
- points are processed in blocks that fit a processor's cache.

`through` serves a whole flow, where operations are executed immediately, see `immediate`. Layers
that form no chain are applied one by one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from flowlab.bijections.bijection import Bijection
from flowlab.bijections.coupling import AdditiveCoupling, AffineCoupling, Coupling
from flowlab.bijections.elementwise import ActNorm
from flowlab.bijections.linear import Linear, solvable
from flowlab.bijections.networks import MLP, Activation

BLOCK = 2048  # points that are processed together


def through(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor] | None:
    """As the flow's own loop over ``layers``, in generative order; None where that must serve."""
    if not immediate(x):
        return None
    return compose(reversed(layers) if inverse else layers, x, context, inverse)


def compose(layers: Iterable[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor]:
    """Apply ``layers`` in order and in one direction; return ``x`` and the log-determinant."""
    log_det = x.new_zeros(x.shape[0])
    for link in links(layers):
        if _known(link[-1]) and immediate(x):
            x, link_log_det = _through(link, x, context, inverse)
            log_det = log_det + link_log_det
            continue
        for layer in link:
            x, layer_log_det = (layer.inverse if inverse else layer.forward)(x, context)
            log_det = log_det + layer_log_det
    return x, log_det


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


def links(layers: Iterable[Bijection]) -> list[list[Bijection]]:
    """Group the layers: couplings of one kind form a chain, and others are groups of one.

    A chain consists of steps like its last one: a coupling after affine layers, which only the
    first step may lack.
    """
    layers = list(layers)
    at = [i for i, layer in enumerate(layers) if _known(layer)]
    kinds = [_kind(layer) if _known(layer) else type(layer) for layer in layers]
    alone = [[layer] for layer in layers]
    if len(at) > 1:
        step, stop = at[-1] - at[-2], at[-1] + 1
        pattern = kinds[stop - step:stop]
        maps = set(pattern[:-1])
        if len(maps) < step - 1 or not maps <= {ActNorm, Linear}:
            return alone
        for length in (step * len(at), step * (len(at) - 1) + 1):
            start = stop - length
            if start >= 0 and kinds[start:stop] == (pattern * len(at))[-length:]:
                return [*alone[:start], layers[start:stop], *alone[stop:]]
    return alone


def _known(layer: Bijection) -> bool:
    """Whether a layer is a coupling that this file supports, not a subclass of one."""
    return (type(layer) in (AdditiveCoupling, AffineCoupling)
            and type(layer.network) is MLP)


def _kind(coupling: Coupling) -> tuple:
    """Couplings of one kind differ only in weights and in the half that they keep."""
    network = coupling.network
    return (type(coupling), [m.shape for m in network.matrices()],
            network.activation_name, coupling.classes, getattr(coupling.inner, "bound", None))


class _Spec(NamedTuple):
    """The structure of a chain, without its tensors."""

    inverse: bool
    activation: Activation
    bound: float | None  # of the log-scale; None for additive couplings
    kept: list[int]  # which half, 0 or 1, each coupling keeps
    sizes: list[int]  # lengths of the halves


def _through(chain: list[Bijection], x: Tensor, context: Tensor | None,
             inverse: bool) -> tuple[Tensor, Tensor]:
    couplings = [layer for layer in chain if isinstance(layer, Coupling)]
    first = couplings[0]
    cut = max(first.kept.start, first.changed.start)
    spec = _Spec(inverse, first.network.activation, getattr(first.inner, "bound", None),
                 [int(c.kept.start > 0) for c in couplings], [cut, x.shape[1] - cut])
    stacks = [torch.stack(m) for m in zip(*(c.network.matrices() for c in couplings), strict=True)]
    stacks[-1] = stacks[-1] * _factors(spec, stacks[-1])
    maps, log_det = _maps([layer for layer in chain if not isinstance(layer, Coupling)], inverse)
    extra = x.new_ones(1, x.shape[0])
    if context is not None:
        extra = torch.cat([F.one_hot(context.long(), first.classes).T.to(extra), extra])
    call = _Chain.apply if torch.is_grad_enabled() else _evaluate
    rows, chain_log_det = call(spec, x.T, extra, *maps, *stacks)
    return rows.T, chain_log_det if log_det is None else chain_log_det + log_det


def _factors(spec: _Spec, stack: Tensor) -> Tensor:
    """Factors of the networks' outputs, with which both directions use the same formulas.

    In the inverse, log-scale and shift change sign. The log-scale is divided by its bound, for the
    tanh.
    """
    factors = stack.new_full((stack.shape[1], 1), -1.0 if spec.inverse else 1.0)
    if spec.bound is not None:
        factors[:len(factors) // 2] /= spec.bound
    return factors


def _maps(layers: list[Bijection], inverse: bool) -> tuple[list[Tensor | None], Tensor | None]:
    """Matrices (m, d, d) and offsets (m, d, 1) of the maps before couplings; log-determinant."""
    if not layers:
        return [None, None], None
    groups = [[la for la in layers if type(la) is t] for t in dict.fromkeys(map(type, layers))]
    weight = offset = None
    log_det = 0
    for group in groups if inverse else reversed(groups):
        w, b, group_log_det = type(group[0]).affine(group)
        offset = b if weight is None else w @ offset + b
        weight = w if weight is None else w @ weight
        log_det = log_det + group_log_det
    if inverse:
        return [weight, offset], log_det
    weight = torch.linalg.inv(weight.to(solvable(weight.dtype))).to(weight.dtype)
    return [weight, -weight @ offset], -log_det


def _evaluate(spec: _Spec, x: Tensor, extra: Tensor, *tensors: Tensor | None
              ) -> tuple[Tensor, Tensor]:
    """The chain without a backward pass."""
    blocks = [_push(spec, a, b, *tensors)
              for a, b in zip(x.split(BLOCK, 1), extra.split(BLOCK, 1), strict=True)]
    rows, log_dets = zip(*blocks, strict=True)
    return torch.cat(rows, 1), torch.cat(log_dets)


class _Chain(torch.autograd.Function):
    """The chain as a function of points (d, n), classes and ones (c + 1, n), maps and stacks."""

    @staticmethod
    def forward(ctx: FunctionCtx, spec: _Spec, x: Tensor, extra: Tensor,
                *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.spec, ctx.tapes = spec, []
        ctx.save_for_backward(x, extra, *tensors)
        rows, log_dets = [], []
        for a, b in zip(x.split(BLOCK, 1), extra.split(BLOCK, 1), strict=True):
            ctx.tapes.append([])
            y, log_det = _push(spec, a, b, *tensors, tape=ctx.tapes[-1])
            rows.append(y)
            log_dets.append(log_det)
        return torch.cat(rows, 1), torch.cat(log_dets)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor, grad_log_det: Tensor) -> tuple:
        x, extra, *tensors = ctx.saved_tensors
        twice = torch.is_grad_enabled()  # for a second derivative
        if twice or not (immediate(grad) and immediate(grad_log_det)):  # autograd computes it
            inputs = [t for t in (x, *tensors) if t is not None and t.requires_grad]
            with torch.enable_grad():
                y, log_det = _push(ctx.spec, x, extra, *tensors)
            if ctx.spec.bound is not None:  # otherwise the log-determinant is the constant 0
                y, grad = (y, log_det), (grad, grad_log_det)
            grads = iter(torch.autograd.grad(y, inputs, grad, create_graph=twice))
            grad_x, *grads = (next(grads) if t is not None and t.requires_grad else None
                              for t in (x, *tensors))
            return None, grad_x, None, *grads
        grads = [None if t is None else torch.zeros_like(t) for t in tensors]
        grad_x = [_pull(ctx.spec, tape, tensors, grads, a, b) for tape, a, b in zip(
            ctx.tapes, grad.split(BLOCK, 1), grad_log_det.split(BLOCK), strict=True)]
        return None, torch.cat(grad_x, 1), None, *grads


def _push(spec: _Spec, x: Tensor, extra: Tensor, weight: Tensor | None, offset: Tensor | None,
          *stacks: Tensor, tape: list[Any] | None = None) -> tuple[Tensor, Tensor]:
    """Apply the chain to one block; ``tape`` records what the backward pass of a step needs."""
    halves = list(x.split(spec.sizes))
    matrices = list(zip(*(s.unbind(0) for s in stacks), strict=True))
    buffers = _buffers(stacks[:-1], x, tape is not None)
    log_scales: Tensor | None = None
    for k, kept in enumerate(spec.kept):
        before = None
        j = _map_index(spec, weight, k)
        if j >= 0:
            before = torch.cat(halves)
            halves = list(torch.addmm(offset[j], weight[j], before).split(spec.sizes))
        h = torch.cat([halves[kept], extra])
        layers = [(h, h)]
        for matrix, buffer in zip(matrices[k][:-1], buffers[k], strict=True):
            if torch.is_grad_enabled():
                h = torch.cat([spec.activation.function(matrix @ h), extra[-1:]])
            else:
                h, top = buffer
                spec.activation.in_place(torch.mm(matrix, layers[-1][0], out=top))
            layers.append(buffer)
        out = matrices[k][-1] @ h
        y, tanh, scale = halves[1 - kept], None, None
        if spec.bound is None:
            new = y + out
        else:
            raw, shift = out.chunk(2)
            tanh = torch.tanh(raw)
            log_scale = tanh * spec.bound
            scale = torch.exp(log_scale)
            new = (y + shift) * scale if spec.inverse else torch.addcmul(shift, y, scale)
            log_scales = log_scale if log_scales is None else log_scales + log_scale
        halves[1 - kept] = new
        if tape is not None:
            tape.append((before, layers, tanh, scale, new if spec.inverse else y))
    log_det = x.new_zeros(x.shape[1]) if log_scales is None else log_scales.sum(0)
    return torch.cat(halves), log_det


def _pull(spec: _Spec, tape: list[Any], tensors: list[Tensor | None], grads: list[Tensor | None],
          grad: Tensor, grad_log_det: Tensor) -> Tensor:
    """The gradient of one block's points; those of the tensors are added to ``grads``."""
    weight, _, *stacks = tensors
    transposed = list(zip(*(s[:, :, :-1].mT.unbind(0) for s in stacks), strict=True))
    matrix_grads = list(zip(*(g.unbind(0) for g in grads[2:]), strict=True))
    halves = list(grad.split(spec.sizes))
    limit = None if spec.bound is None else torch.full_like(grad_log_det, spec.bound)
    for k in reversed(range(len(tape))):
        (before, layers, tanh, scale, y), kept = tape[k], spec.kept[k]
        g = halves[1 - kept]
        if spec.bound is not None:
            scaled = halves[1 - kept] = g * scale
            slope = torch.addcmul(grad_log_det, g if spec.inverse else scaled, y)
            slope = slope * torch.addcmul(limit, tanh, tanh, value=-spec.bound)
            g = torch.cat([slope, scaled if spec.inverse else g])
        for i in reversed(range(len(layers))):
            matrix_grads[k][i].addmm_(g, layers[i][0].T)
            g = transposed[k][i] @ g
            if i:
                g = spec.activation.backward(g, layers[i][1])
        halves[kept] = halves[kept] + g[:spec.sizes[kept]]
        j = _map_index(spec, weight, k)
        if j >= 0:
            g = torch.cat(halves)
            grads[0][j].addmm_(g, before.T)
            grads[1][j] += g.sum(1, keepdim=True)
            halves = list((weight[j].T @ g).split(spec.sizes))
    return torch.cat(halves)


def _map_index(spec: _Spec, weight: Tensor | None, k: int) -> int:
    """The index of the map before coupling ``k``; negative for none."""
    return -1 if weight is None else k - len(spec.kept) + len(weight)


def _buffers(stacks: tuple[Tensor, ...], x: Tensor, separate: bool) -> list[Any]:
    """For each coupling and hidden layer, a buffer with a last row of ones, and its other rows."""
    columns = []
    for stack in stacks:
        size = (len(stack) if separate else 1, stack.shape[1] + 1, x.shape[1])
        buffer = x.new_empty(size)
        buffer[:, -1] = 1
        buffer = buffer.expand(len(stack), -1, -1)
        columns.append(list(zip(buffer.unbind(0), buffer[:, :-1].unbind(0), strict=True)))
    return list(zip(*columns, strict=True))
