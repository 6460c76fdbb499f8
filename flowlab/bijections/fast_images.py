r"""The fast path of Glow on images: the steps of a level as one autograd node.

It computes the same as the layers one by one, which tests compare with it, from data to latent, as
a training does. Three things make it faster:

- The batch runs along the last axis, ``(channels, height, width, batch)``. So every convolution is
  one matrix product over all pixels of all images, without a copy of its large side: a 3×3
  convolution copies its inputs, or its outputs, to the nine places of its kernel, whichever are
  few. On the smallest maps it is one dense matrix from all pixels to all pixels.
- Images are taken in blocks whose hidden activations fit in a processor's cache.
- The backward pass is written by hand, and overwrites what it no longer needs.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from flowlab.bijections.bijection import Bijection, compose
from flowlab.bijections.elementwise import ActNorm
from flowlab.bijections.images import ChannelCoupling, Convolution1x1
from flowlab.bijections.immediate import immediate
from flowlab.bijections.multiscale import Place
from flowlab.bijections.networks import ConvNet

STEP = [ActNorm, Convolution1x1, ChannelCoupling]
#: Pixels of the largest map on which a dense matrix is faster.
DENSE = 16
#: Bytes of the hidden activations that are computed together.
CACHE = 3 * 2**19


def through(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor] | None:
    """Map images to latents as the flow's own loop does; None where that loop must serve."""
    if not (inverse and immediate(x) and len(x)):
        return None
    groups = [list(group) for _, group in groupby(reversed(layers), lambda layer: layer.depth)]
    counts = [_steps(group) for group in groups]
    if max(counts) < 2:
        return None
    place, log_det = Place(x), x.new_zeros(len(x))
    for group, count in zip(groups, counts, strict=True):
        place.move(group[0].depth)
        if count:
            place.x, change = _chain(group[:len(STEP) * count], place.x, context)
            log_det = log_det + change
        place.x, change = compose(group[len(STEP) * count:], place.x, context, inverse=True)
        log_det = log_det + change
    return place.move(0).x, log_det


def _steps(layers: list[Bijection]) -> int:
    """The number of Glow's steps, all of one kind, at the start of layers of one depth."""
    kinds = []
    for start in range(0, len(layers) - len(STEP) + 1, len(STEP)):
        step = layers[start:start + len(STEP)]
        coupling = step[-1]
        if list(map(type, step)) != STEP or type(coupling.network) is not ConvNet or (
                coupling.kept.start == 0):
            break
        kinds.append((coupling.inner.bound, coupling.classes, coupling.network.middle.weight.shape))
        if kinds[-1] != kinds[0]:
            return len(kinds) - 1
    return len(kinds)


class _Weights(NamedTuple):
    """What the steps learn, of m steps each: c channels of which h are changed, n hidden ones."""

    affine: Tensor  # (m, c, c): ActNorm, then the 1×1 convolution
    offset: Tensor  # (m, c, 1)
    first: Tensor  # (m, n, 9 · kept), the kernel's places first; or dense
    classes: Tensor  # (m, n · pixels, classes): added to the first; (m, n, 1) where all are equal
    middle: Tensor  # (m, n, n)
    middle_bias: Tensor  # (m, n, 1)
    last: Tensor  # (m, 9 · 2h, n), the kernel's places first, turned round; or dense
    last_bias: Tensor  # (m, 2h, 1)


def _chain(layers: list[Bijection], x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Apply steps of Glow to images ``(batch, c, h, w)``; the log-determinant."""
    norms, mixings, couplings = (layers[i::len(STEP)] for i in range(len(STEP)))
    networks = [c.network for c in couplings]
    scale, offset, norm_log_det = ActNorm.affine(norms)
    mixing, _, mixing_log_det = Convolution1x1.affine(mixings)

    def stacked(layer: str, name: str) -> Tensor:
        return torch.stack([getattr(getattr(n, layer), name) for n in networks])

    height, width = x.shape[2:]
    pixels, classes = height * width, couplings[0].classes
    first, last = stacked("first", "weight").flatten(3), stacked("last", "weight").flatten(3)
    first, of_class = first.split([first.shape[2] - classes, classes], 2)
    bias = stacked("first", "bias")[..., None]
    if classes:  # their channels are constant, but not beyond the border
        inside = _unfold(x.new_ones(1, height, width, 1)).view(9, pixels)
        bias = (torch.einsum("mnkt,tp->mnpk", of_class, inside) + bias[..., None]).flatten(1, 2)
    elif pixels <= DENSE:
        bias = bias.repeat_interleave(pixels, 1)
    # In the inverse, log-scale and shift change sign; the log-scale is divided by its bound.
    factors = x.new_full((2 * couplings[0].changed.stop, 1), -1.0)
    factors[:len(factors) // 2] /= couplings[0].inner.bound
    last = last * factors[..., None]
    if pixels <= DENSE:
        places = _unfold(torch.eye(pixels).to(x).view(1, height, width, pixels)).view(9, pixels, -1)
        first, last = (torch.einsum("moit,tpq->mopiq", weight, places).flatten(3).flatten(1, 2)
                       for weight in (first, last))
    else:
        first = first.transpose(2, 3).flatten(2)
        last = last.flip(3).permute(0, 3, 1, 2).flatten(1, 2)
    weights = _Weights(
        mixing @ scale, mixing @ offset, first, bias,
        stacked("middle", "weight").flatten(2), stacked("middle", "bias")[..., None],
        last, stacked("last", "bias")[..., None] * factors)
    one_hot = F.one_hot(context, classes).T.to(x) if classes else x.new_ones(1, len(x))
    call = _Steps.apply if torch.is_grad_enabled() else _evaluate
    z, log_det = call(couplings[0].inner.bound, one_hot, x.permute(1, 2, 3, 0), *weights)
    return z.permute(3, 0, 1, 2), log_det + pixels * (norm_log_det + mixing_log_det)


def _unfold(x: Tensor) -> Tensor:
    """The neighbour of every pixel at each place of a 3×3 kernel, (9, c, h, w, batch).

    Beyond the border it is 0.
    """
    _, height, width, _ = x.shape
    padded = F.pad(x, (0, 0, 1, 1, 1, 1))
    return torch.stack([padded[:, i:i + height, j:j + width] for i in range(3) for j in range(3)])


def _fold(columns: Tensor) -> Tensor:
    """The transpose of `_unfold`: every pixel's sum over the places where it is a neighbour."""
    _, channels, height, width, batch = columns.shape
    padded = columns.new_zeros(channels, height + 2, width + 2, batch)
    for place, column in enumerate(columns):
        i, j = divmod(place, 3)
        padded[:, i:i + height, j:j + width] += column
    return padded[:, 1:-1, 1:-1]


def _spread(x: Tensor, shape: torch.Size) -> Tensor:
    """What the rows of a kernel's matrix are applied to, from rows of channels."""
    if shape[0] * shape[1] <= DENSE:
        return x.reshape(-1, shape[2])
    return _unfold(x.view(-1, *shape)).view(-1, x.shape[1])


def _gathered(columns: Tensor, shape: torch.Size) -> Tensor:
    """The transpose of `_spread`."""
    if shape[0] * shape[1] > DENSE:
        columns = _fold(columns.view(9, -1, *shape))
    return columns.reshape(-1, shape.numel())


def _push(bound: float, one_hot: Tensor, x: Tensor, weights: _Weights, tape: list | None = None
          ) -> tuple[Tensor, Tensor]:
    """Apply the steps to a block; ``tape`` records what the backward pass of each needs."""
    shape, channels = x.shape[1:], len(x)
    changed = weights.last_bias.shape[1] // 2
    x, log_scales = x.reshape(channels, -1), 0
    for affine, offset, first, classes, middle, middle_bias, last, last_bias in zip(
            *weights, strict=True):
        y = torch.addmm(offset, affine, x)
        kept = _spread(y[changed:], shape)
        start = classes if len(one_hot) == 1 else (classes @ one_hot).view(len(first), -1)
        a = torch.addmm(start, first, kept).relu_().view(len(middle), -1)
        b = torch.addmm(middle_bias, middle, a).relu_()
        out = _gathered(last @ b.view(last.shape[1], -1), shape) + last_bias
        raw, shift = out.chunk(2)
        tanh = torch.tanh(raw)
        scale = torch.exp(bound * tanh)
        new = (y[:changed] + shift) * scale
        log_scales = log_scales + tanh
        if tape is not None:
            tape.append((x, kept, a, b, tanh, scale, new))
        x = torch.cat([new, y[changed:]])
    log_det = bound * log_scales.view(-1, shape[-1]).sum(0)
    return x.view(channels, *shape), log_det


def _blocks(x: Tensor, hidden: int) -> int:
    """Into how many blocks images (c, h, w, batch) are taken."""
    return max(1, min(x.shape[3], round(x[0].numel() * hidden * x.element_size() / CACHE)))


def _evaluate(bound: float, one_hot: Tensor, x: Tensor, *weights: Tensor,
              tapes: list[list] | None = None) -> tuple[Tensor, Tensor]:
    """The steps, block by block; ``tapes`` gets what the backward pass of each block needs."""
    weights = _Weights(*weights)
    count = _blocks(x, weights.middle_bias.shape[1])
    z, log_det = [], []
    for h, block in zip(one_hot.tensor_split(count, 1), x.tensor_split(count, 3), strict=True):
        tape = None if tapes is None else []
        for values, value in zip((z, log_det), _push(bound, h, block, weights, tape), strict=True):
            values.append(value)
        if tapes is not None:
            tapes.append(tape)
    return torch.cat(z, 3), torch.cat(log_det)


class _Steps(torch.autograd.Function):
    """The steps as a function of images (c, h, w, batch) and of what they learn."""

    @staticmethod
    def forward(ctx: FunctionCtx, bound: float, one_hot: Tensor, x: Tensor, *weights: Tensor
                ) -> tuple[Tensor, Tensor]:
        ctx.bound, ctx.tapes = bound, []
        ctx.save_for_backward(one_hot, x, *weights)
        return _evaluate(bound, one_hot, x, *weights, tapes=ctx.tapes)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor, grad_log_det: Tensor) -> tuple[Tensor | None, ...]:
        one_hot, x, *weights = ctx.saved_tensors
        twice = torch.is_grad_enabled()  # for a second derivative
        if twice or not (immediate(grad) and immediate(grad_log_det)):  # autograd computes it
            inputs = [t for t in (x, *weights) if t.requires_grad]
            with torch.enable_grad():
                outputs = _push(ctx.bound, one_hot, x, _Weights(*weights))
            found = iter(torch.autograd.grad(outputs, inputs, (grad, grad_log_det),
                                             create_graph=twice))
            return None, None, *(next(found) if t.requires_grad else None for t in (x, *weights))
        grads = _Weights(*map(torch.zeros_like, weights))
        count = len(ctx.tapes)
        grad_x = [_pull(ctx.bound, h, tape, _Weights(*weights), grads, g, d)
                  for h, tape, g, d in zip(
                      one_hot.tensor_split(count, 1), ctx.tapes, grad.tensor_split(count, 3),
                      grad_log_det.tensor_split(count), strict=True)]
        return None, None, torch.cat(grad_x, 3), *grads


def _pull(bound: float, one_hot: Tensor, tape: list, weights: _Weights, grads: _Weights,
          grad: Tensor, grad_log_det: Tensor) -> Tensor:
    """The gradient of a block's images; those of what the steps learn are added to ``grads``."""
    shape, channels = grad.shape[1:], len(grad)
    g = grad.reshape(channels, -1)
    change = bound * grad_log_det.expand(*shape).reshape(1, -1)
    for (x, kept, a, b, tanh, scale, new), own, into in reversed(list(zip(
            tape, zip(*weights, strict=True), zip(*grads, strict=True), strict=True))):
        affine, _, first, _, middle, _, last, _ = own
        to_affine, to_offset, to_first, to_classes, to_middle, to_bias, to_last, to_end = into
        changed = len(new)
        g_new, g_kept = g[:changed], g[changed:]
        g_shift = g_new * scale
        g_raw = (change + bound * g_new * new) * (1 - tanh.square())
        out = torch.cat([g_raw, g_shift])
        to_end += out.sum(1, keepdim=True)
        out = _spread(out, shape)
        to_last.addmm_(out, b.view(last.shape[1], -1).T)
        h = _relu_backward((last.T @ out).view_as(b), b)
        to_middle.addmm_(h, a.T)
        to_bias += h.sum(1, keepdim=True)
        h = _relu_backward(middle.T @ h, a).view(len(first), -1)
        to_first.addmm_(h, kept.T)
        if len(one_hot) == 1:
            to_classes += h.sum(1, keepdim=True)
        else:
            to_classes.addmm_(h.view(len(to_classes), -1), one_hot.T)
        g_kept = g_kept + _gathered(first.T @ h, shape)
        g = torch.cat([g_shift, g_kept])
        to_affine.addmm_(g, x.T)
        to_offset += g.sum(1, keepdim=True)
        g = affine.T @ g
    return g.view(channels, *shape)


def _relu_backward(grad: Tensor, output: Tensor) -> Tensor:
    """The gradient of the ReLU's input, in the place of its output's."""
    return torch.ops.aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)
