r"""The fast path of Glow on small images: its steps as one autograd node.

A convolution over a map of 4 × 4 pixels is dominated by overhead. On such a small map it is faster
as a dense matrix from all inputs at all pixels to all outputs at all pixels: each output depends on
more than half of the inputs anyway. The steps of one level

- have rows of channel and pixel, and the batch along the columns, so that the same memory is a
  matrix of ``(channels · pixels, batch)`` for a 3×3 and of ``(channels, pixels · batch)`` for a
  1×1 convolution, without a copy;
- have ActNorm and 1×1 convolution as one affine map;
- carry biases by a row of ones, overwrite activations in place, and have their backward pass
  written by hand;
- take the class by the bias of the first convolution, one for each class: the one-hot rows of the
  classes replace the row of ones.

Only the normalising direction, that of training, is implemented. Tests compare values and gradients
with those of the layers one by one. `flowlab.training.compiling` records the chain's operations,
since a compiler gains nothing from convolutions.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from flowlab.bijections import fast
from flowlab.bijections.bijection import Bijection, compose
from flowlab.bijections.elementwise import ActNorm
from flowlab.bijections.images import ChannelCoupling, Convolution1x1
from flowlab.bijections.immediate import immediate
from flowlab.bijections.multiscale import Place
from flowlab.bijections.networks import ConvNet

#: Pixels of the largest map on which dense matrices are faster.
MAX_PIXELS = 16
STEP = (ActNorm, Convolution1x1, ChannelCoupling)


def through(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor] | None:
    """As the flow's own loop over ``layers``, in generative order; None where that must serve."""
    if not (immediate(x) or _recorded(x)):
        return None
    place, log_det = Place(x), x.new_zeros(x.shape[0])
    for group in _neighbours(reversed(layers) if inverse else layers):
        place.x, change = _compose(group, place.move(group[0].depth).x, context, inverse)
        log_det = log_det + change
    return place.move(0).x, log_det


def _neighbours(layers: Iterable[Bijection]) -> list[list[Bijection]]:
    """Group consecutive layers of the same depth."""
    groups: list[list[Bijection]] = []
    for layer in layers:
        if not groups or groups[-1][0].depth != layer.depth:
            groups.append([])
        groups[-1].append(layer)
    return groups


def _compose(layers: list[Bijection], x: Tensor, context: Tensor | None,
             inverse: bool) -> tuple[Tensor, Tensor]:
    """Apply ``layers`` in order, Glow's steps at the start of an inverse as one node."""
    found = fast.through(layers[::-1] if inverse else layers, x, context, inverse)
    if found is not None:  # on all pixels as one vector
        return found
    steps = _steps(layers, x) if inverse else 0
    if steps < 2:
        return compose(layers, x, context, inverse)
    x, log_det = _through(layers[:len(STEP) * steps], x, context)
    x, rest = compose(layers[len(STEP) * steps:], x, context, inverse)
    return x, log_det + rest


def _recorded(x: Tensor) -> bool:
    """Whether the operations are recorded one by one under autograd, which is supported."""
    return (immediate(x, modes=1) and torch.is_grad_enabled()
            and get_proxy_mode() is not None)


def _steps(layers: list[Bijection], x: Tensor) -> int:
    """The number of Glow's steps, all of one kind, at the start; 0 without images."""
    if x.ndim != 4 or x.shape[2] * x.shape[3] > MAX_PIXELS or not len(x):
        return 0
    count, kind = 0, None
    for start in range(0, len(layers) - len(STEP) + 1, len(STEP)):
        *maps, coupling = layers[start:start + len(STEP)]
        if (*map(type, maps), type(coupling)) != STEP or type(coupling.network) is not ConvNet:
            break
        own = (coupling.inner.bound, coupling.classes, coupling.network.middle.weight.shape)
        if coupling.kept.start == 0 or own != (kind or own):
            break
        count, kind = count + 1, own
    return count


class _Spec(NamedTuple):
    """The structure of a chain, without its tensors."""

    channels: int
    changed: int  # the first channels, which a coupling changes
    pixels: int
    bound: float


def _through(layers: list[Bijection], x: Tensor, context: Tensor | None
             ) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    norms, mixings, couplings = (layers[i::len(STEP)] for i in range(len(STEP)))
    networks, classes = [c.network for c in couplings], couplings[0].classes
    spec = _Spec(channels, couplings[0].changed.stop, height * width, couplings[0].inner.bound)
    scale, offset, norm_log_det = ActNorm.affine(norms)
    weight, _, mixing_log_det = Convolution1x1.affine(mixings)
    affine = weight @ torch.cat([scale, offset], 2)
    first = _dense([n.first for n in networks], height, width, classes)
    last = _dense([n.last for n in networks], height, width)
    middle = torch.cat([torch.stack([n.middle.weight for n in networks]).flatten(2),
                        torch.stack([n.middle.bias for n in networks])[..., None]], 2)
    # In the inverse, log-scale and shift change sign; the log-scale is divided by its bound.
    factors = last.new_full((last.shape[1], 1), -1.0)
    factors[:len(factors) // 2] /= spec.bound
    below = (torch.eye(classes, dtype=x.dtype, device=x.device)[:, context.long()] if classes
             else x.new_ones(1, batch))
    call = _Chain.apply if torch.is_grad_enabled() and get_proxy_mode() is None else _push
    rows, log_det = call(spec, below, x.permute(1, 2, 3, 0).flatten(0, 2), affine, first, middle,
                         last * factors)
    x = rows.reshape(channels, height, width, batch).permute(3, 0, 1, 2)
    return x, log_det + spec.pixels * (norm_log_det + mixing_log_det)


def _dense(convolutions: list[torch.nn.Conv2d], height: int, width: int, classes: int = 0
           ) -> Tensor:
    """Convolutions as matrices (m, out · pixels, in · pixels + 1), with biases as the last column.

    Where the last input channels are the one-hot vector of a class, constant over pixels, each
    class has its own last column instead.
    """
    weight = torch.stack([c.weight for c in convolutions]).flatten(3)
    bias = torch.stack([c.bias for c in convolutions])[..., None, None]
    taps = torch.from_numpy(_taps(height, width)).to(weight)
    pixels = height * width
    ins = weight.shape[2] - classes
    matrix = (weight[:, :, :ins] @ taps).unflatten(3, (pixels, pixels)).transpose(2, 3)
    bias = bias.expand(-1, -1, pixels, -1)
    if classes:
        of_class = weight[:, :, ins:] @ taps.view(9, pixels, pixels).sum(2)
        bias = bias + of_class.transpose(2, 3)
    return torch.cat([matrix.flatten(3), bias], 3).flatten(1, 2)


@lru_cache(maxsize=32)
def _taps(height: int, width: int) -> np.ndarray:
    """Which entry of a 3×3 kernel connects which pixels: (9, to · from), of zeros and ones.

    It is no tensor, since one made in inference mode could not be used in training.
    """
    row, column = np.indices((height, width)).reshape(2, -1)
    down, right = row[None] - row[:, None], column[None] - column[:, None]
    taps = [(down == a) & (right == b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    return np.stack(taps).reshape(9, -1).astype(np.float32)


def _push(spec: _Spec, below: Tensor, x: Tensor, affine: Tensor, first: Tensor, middle: Tensor,
          last: Tensor, tape: list | None = None) -> tuple[Tensor, Tensor]:
    """Apply the chain; ``below`` is a row of ones, or the one-hot rows of the classes.

    ``tape`` records what the backward pass of each step needs.
    """
    pixels, batch = spec.pixels, x.shape[1]
    half, rows = spec.changed * pixels, spec.channels * pixels
    ones, hidden = below.new_ones(pixels, batch), len(first[0])
    buffers = _buffers(len(affine) if tape is not None else 1, len(affine), (
        (rows, ones), (rows, below), (hidden, ones), (hidden, ones)))
    log_scales = None
    for k, (bx, by, b1, b2) in enumerate(buffers):
        bx = _fill(bx, rows, x)
        by = _fill(by, rows, affine[k], bx.view(-1, pixels * batch))
        b1 = _fill(b1, hidden, first[k], by[half:], activate=True)
        b2 = _fill(b2, hidden, middle[k], b1.view(-1, pixels * batch), activate=True)
        raw, shift = (last[k] @ b2[:hidden + 1]).chunk(2)
        tanh = torch.tanh(raw)
        log_scale = tanh * spec.bound
        scale = log_scale.exp()
        new = (by[:half] + shift) * scale
        log_scales = log_scale if log_scales is None else log_scales + log_scale
        if tape is not None:
            tape.append((bx, by, b1, b2, tanh, scale, new))
        x = torch.cat([new, by[half:rows]])
    return x, log_scales.sum(0)


def _fill(buffer: Tensor, rows: int, matrix: Tensor, points: Tensor | None = None,
          activate: bool = False) -> Tensor:
    """Write ``matrix @ points``, or ``matrix``, to the first rows of a buffer."""
    if torch.is_grad_enabled():  # autograd differentiates it, so nothing may be overwritten
        out = matrix if points is None else matrix @ points
        out = (torch.relu(out) if activate else out).reshape(rows, -1)
        return torch.cat([out, buffer[rows:]])
    top = buffer[:rows]
    if points is None:
        top.copy_(matrix)
    else:
        torch.mm(matrix, points, out=top.view(len(matrix), -1))
    if activate:
        top.relu_()
    return buffer


def _buffers(separate: int, steps: int, parts: tuple[tuple[int, Tensor], ...]
             ) -> list[tuple[Tensor, ...]]:
    """For each step and part, a buffer of empty rows with the given rows below them."""
    columns = []
    for rows, below in parts:
        buffer = below.new_empty(separate, rows + len(below), below.shape[1])
        buffer[:, rows:] = below
        columns.append(buffer.expand(steps, -1, -1).unbind(0))
    return list(zip(*columns, strict=True))


class _Chain(torch.autograd.Function):
    """The chain as a function of points (channels · pixels, batch) and of the steps' matrices."""

    @staticmethod
    def forward(ctx: FunctionCtx, spec: _Spec, below: Tensor, x: Tensor, *stacks: Tensor
                ) -> tuple[Tensor, Tensor]:
        ctx.spec, ctx.tape = spec, []
        ctx.save_for_backward(below, x, *stacks)
        return _push(spec, below, x, *stacks, tape=ctx.tape)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor, grad_log_det: Tensor) -> tuple:
        below, x, *stacks = ctx.saved_tensors
        twice = torch.is_grad_enabled()  # for a second derivative
        if twice or not all(map(immediate, (grad, grad_log_det))):  # autograd computes it
            inputs = [t for t in (x, *stacks) if t.requires_grad]
            with torch.enable_grad():
                outputs = _push(ctx.spec, below, x, *stacks)
            grads = iter(torch.autograd.grad(outputs, inputs, (grad, grad_log_det),
                                             create_graph=twice))
            return None, None, *(next(grads) if t.requires_grad else None for t in (x, *stacks))
        grads = [torch.empty_like(t) for t in stacks]
        return (None, None, _pull(ctx.spec, ctx.tape, len(below), stacks, grads, grad,
                                  grad_log_det), *grads)


def _pull(spec: _Spec, tape: list, below: int, stacks: list[Tensor], grads: list[Tensor],
          grad: Tensor, grad_log_det: Tensor) -> Tensor:
    """The gradient of the points; those of the matrices go into ``grads``.

    ``below`` is the number of bias columns of the first convolutions.
    """
    pixels, batch = spec.pixels, grad.shape[1]
    half, rows = spec.changed * pixels, spec.channels * pixels
    affine, first, middle, last = (s[:, :, :-columns].mT for s, columns in zip(
        stacks, (1, below, 1, 1), strict=True))
    limit = torch.full_like(grad_log_det, spec.bound)
    for k in reversed(range(len(tape))):
        bx, by, b1, b2, tanh, scale, new = tape[k]
        hidden = first.shape[2]
        g = grad[:half]
        scaled = g * scale
        slope = torch.addcmul(grad_log_det, g, new)
        slope *= torch.addcmul(limit, tanh, tanh, value=-spec.bound)
        out = torch.cat([slope, scaled])
        torch.mm(out, b2[:hidden + 1].T, out=grads[3][k])
        h = _relu_backward(last[k] @ out, b2[:hidden]).view(middle.shape[2], -1)
        torch.mm(h, b1.view(-1, pixels * batch).T, out=grads[2][k])
        h = _relu_backward((middle[k] @ h).view(hidden, batch), b1[:hidden])
        torch.mm(h, by[half:].T, out=grads[1][k])
        kept = torch.addmm(grad[half:], first[k], h)
        g = torch.cat([scaled, kept]).view(spec.channels, -1)
        torch.mm(g, bx.view(-1, pixels * batch).T, out=grads[0][k])
        grad = (affine[k] @ g).view(rows, batch)
    return grad


def _relu_backward(grad: Tensor, output: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward.default(grad, output, 0)
