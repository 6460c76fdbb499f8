"""The fast path of Glow on images, from data to latent: the steps of a level as one autograd node.

It computes the same as the layers one by one, which tests compare with it. Images are taken in
blocks that fit in a processor's cache, and threads share the blocks.
"""

import threading
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from flowlab.bijections.bijection import Bijection, compose
from flowlab.bijections.elementwise import ActNorm
from flowlab.bijections.fast import convolutions, threads
from flowlab.bijections.fast.chain import CHUNKS, NO_CLASSES, array
from flowlab.bijections.images import ChannelCoupling, Convolution1x1
from flowlab.bijections.immediate import immediate
from flowlab.bijections.inner import Affine
from flowlab.bijections.multiscale import Place
from flowlab.bijections.networks import ConvNet

STEP = [ActNorm, Convolution1x1, ChannelCoupling]
#: Columns of a block, and the numbers of images that it has at least and at most.
COLUMNS, FEWEST, MOST = 512, 4, 32
#: The most levels of a flow whose memory is kept for its next step.
LEVELS = 4


def through(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor] | None:
    """Map images to latents as the flow's own loop does; None where that loop must serve."""
    if not (inverse and immediate(x) and x.device.type == "cpu" and len(x)
            and x.dtype in (torch.float32, torch.float64)):
        return None
    groups = [list(group) for _, group in groupby(reversed(layers), lambda layer: layer.depth)]
    counts = [_steps(group) for group in groups]
    if max(counts) < 2:
        return None
    place, log_det = Place(x), x.new_zeros(len(x))
    for group, count in zip(groups, counts, strict=True):
        place.move(group[0].depth)
        if count:
            place.x, change = _through(group[:len(STEP) * count], place.x, context)
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
                coupling.kept.start == 0 or type(coupling.inner) is not Affine):
            break
        kinds.append((coupling.inner.bound, coupling.classes, coupling.network.middle.weight.shape))
        if kinds[-1] != kinds[0]:
            return len(kinds) - 1
    return len(kinds)


class _Spare(threading.local):
    """What the last backward passes of a thread no longer need, for its next forward passes.

    Fresh memory of that size costs as much as a fifth of the computations.
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def add(self, tensor: Tensor) -> None:
        self.tensors = [*self.tensors[-LEVELS + 1:], tensor.view(-1)]


_spare = _Spare()


class _Level(NamedTuple):
    """The steps of one level as the loops take them."""

    table: np.ndarray  # of `convolutions.STEPS`
    numbers: Tensor  # of every step, (steps, m)
    log_det: Tensor  # of ActNorm and the 1×1 convolutions, in all steps and of every image
    classes: int

    def run(self, x: Tensor, context: Tensor | None, y: Tensor, log_det: Tensor,
            kept: Tensor | None, back: bool = False) -> Tensor:
        """Images through the loops, see `convolutions.chunk`; the gradient of the numbers.

        ``kept`` has a row for what the way back needs of each block; None keeps nothing.
        """
        numbers = self.numbers.detach()
        blocks = self.blocks(len(x))
        chunks = min(blocks, CHUNKS)
        number = min(threads.allowed(), chunks, threads.MOST)
        if number > 1:
            threads.start(number)
        channels, hidden, columns = self.sizes
        free = numbers.new_empty(number, (1 + 11 * channels + 2 * hidden) * columns
                                 + self.table["shapes"].prod(2).max())
        grads = numbers.new_empty(min(chunks, 2) if number == 1 else chunks,
                                  *(size * back for size in numbers.shape))
        keep = kept is not None
        x = array(x.flatten(1))
        (convolutions.run if number == 1 else convolutions.run_on_threads)(
            convolutions.chunk_at(x.dtype), chunks, self.images, self.table, numbers.numpy(),
            grads.numpy(), x, array(context.long()) if self.classes else NO_CLASSES,
            y.view(len(y), -1).numpy(), log_det.numpy(),
            (kept if keep else self.memory(number, False)).numpy(), free.numpy(), keep, back)
        return grads[0]

    def memory(self, rows: int, keep: bool) -> Tensor:
        """Room for what the loops keep of a block, in every row."""
        channels, hidden, columns = self.sizes
        count = len(self.numbers)
        states, tapes = (count + 1, count) if keep else (2, 1)
        length = (states * channels + tapes * (2 * hidden + channels)) * columns
        for number, spare in enumerate(_spare.tensors if keep else ()):
            if spare.dtype == self.numbers.dtype and 1 <= spare.numel() / (rows * length) <= 2:
                return _spare.tensors.pop(number)[:rows * length].view(rows, length)
        return self.numbers.new_empty(rows, length)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The numbers of channels, of hidden ones, and of the columns of a block."""
        row, = self.table
        shapes = row["shapes"]
        return (int(shapes[convolutions.MIX, 0]), int(shapes[convolutions.MIDDLE, 0]),
                int(self.images * row["height"] * row["width"]))

    @property
    def images(self) -> int:
        """The most images in a block."""
        row, = self.table
        return max(FEWEST, min(MOST, COLUMNS // int(row["height"] * row["width"])))

    def blocks(self, images: int) -> int:
        """The number of blocks of so many images."""
        return -(-images // self.images)


def _level(layers: Sequence[Bijection], height: int, width: int) -> _Level:
    """The numbers of some steps, as a function of what their layers learn."""
    norms, mixings, couplings = (layers[i::len(STEP)] for i in range(len(STEP)))
    networks, classes = [c.network for c in couplings], couplings[0].classes
    scale, offset, norm_log_det = ActNorm.affine(norms)
    mixing, _, mixing_log_det = Convolution1x1.affine(mixings)

    def stacked(layer: str, name: str) -> Tensor:
        return torch.stack([getattr(getattr(n, layer), name) for n in networks])

    first, last = stacked("first", "weight").flatten(3), stacked("last", "weight").flatten(3)
    first, of_class = first.split([first.shape[2] - classes, classes], 2)
    bias = stacked("first", "bias")[..., None]
    if classes:  # their channels are constant, but not beyond the border
        inside = F.unfold(scale.new_ones(1, 1, height, width), 3, padding=1)[0]
        bias = (torch.einsum("mnkt,tp->mnpk", of_class, inside) + bias[..., None]).flatten(1, 2)
    matrices = (mixing @ scale, mixing @ offset, first.transpose(2, 3).flatten(2), bias,
                stacked("middle", "weight").flatten(2), stacked("middle", "bias")[..., None],
                last.flip(3).permute(0, 3, 1, 2).flatten(1, 2), stacked("last", "bias")[..., None])
    table = convolutions.level([m.shape[1:] for m in matrices], height, width,
                               couplings[0].inner.bound)
    return _Level(table, torch.cat([m.flatten(1) for m in matrices], 1),
                  height * width * (norm_log_det + mixing_log_det), classes)


def _through(layers: list[Bijection], x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Apply steps of Glow to images ``(batch, c, h, w)``; the log-determinant."""
    if torch.is_grad_enabled():
        learned = (p for layer in layers for p in layer.parameters())
        return _Node.apply(layers, x, context, *learned)
    level, z, log_det = _level(layers, *x.shape[2:]), x.new_empty(x.shape), x.new_empty(len(x))
    level.run(x, context, z, log_det, None)
    return z, log_det + level.log_det


class _Node(torch.autograd.Function):
    """The steps as a function of images and of what the layers learn."""

    @staticmethod
    def forward(ctx: FunctionCtx, layers: list[Bijection], x: Tensor, context: Tensor | None,
                *learned: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            level = _level(layers, *x.shape[2:])
        z, log_det = x.new_empty(x.shape), x.new_empty(len(x))
        ctx.given, ctx.kept = (layers, level), level.memory(level.blocks(len(x)), True)
        ctx.save_for_backward(context, x, *learned)
        level.run(x, context, z, log_det, ctx.kept)
        return z, log_det + level.log_det.detach()

    @staticmethod
    def backward(ctx: FunctionCtx, g_z: Tensor, g_log_det: Tensor) -> tuple[Tensor | None, ...]:
        layers, level = ctx.given
        context, x, *learned = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1], *ctx.needs_input_grad[3:]
        twice = torch.is_grad_enabled()  # a second derivative is wanted
        if twice or not (immediate(g_z) and immediate(g_log_det)):  # leave it to the layers
            with torch.enable_grad():
                outputs, grads = compose(layers, x, context, inverse=True), (g_z, g_log_det)
            given: list[Tensor] = []
        else:
            if ctx.kept is None:  # this is not the first time
                ctx.kept = level.memory(level.blocks(len(x)), True)
                level.run(x, context, x.new_empty(x.shape), x.new_empty(len(x)), ctx.kept)
            g_x = g_z.clone(memory_format=torch.contiguous_format)
            gradient = level.run(x, context, g_x, g_log_det.contiguous(), ctx.kept, back=True)
            _spare.add(ctx.kept)
            ctx.kept = None
            outputs, grads = (level.numbers, level.log_det), (gradient, g_log_det.sum())
            given = [g_x] * wanted[0]
        inputs = [t for t, want in zip((x, *learned), wanted, strict=True) if want][len(given):]
        outputs, grads = zip(*((y, g) for y, g in zip(outputs, grads, strict=True)
                               if y.requires_grad), strict=True) if inputs else ((), ())
        found = iter([*given, *(torch.autograd.grad(
            outputs, inputs, grads, create_graph=twice, retain_graph=True, allow_unused=True)
            if inputs else ())])
        g_x, *found = (next(found) if want else None for want in wanted)
        return None, g_x, None, *found
