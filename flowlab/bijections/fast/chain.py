"""The compiled loops as PyTorch calls them: as an autograd node, and as the step of a training."""

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numba
import numpy as np
import torch
from scipy.linalg import cython_blas  # noqa: F401  # the products of the loops
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.utils import vector_to_parameters

from flowlab.bijections.batchnorm import BatchNorm
from flowlab.bijections.bijection import Bijection
from flowlab.bijections.coupling import AdditiveCoupling, AffineCoupling
from flowlab.bijections.elementwise import ActNorm, Scaling, Standardise
from flowlab.bijections.fast import kernels
from flowlab.bijections.fused import immediate
from flowlab.bijections.linear import Linear
from flowlab.bijections.networks import MLP, Dense

KINDS = {Scaling: kernels.SCALING, ActNorm: kernels.ACTNORM, Standardise: kernels.STANDARDISE,
         BatchNorm: kernels.BATCHNORM, Linear: kernels.LINEAR,
         AdditiveCoupling: kernels.ADDITIVE, AffineCoupling: kernels.AFFINE}
ACTIVATIONS = {"relu": kernels.RELU, "leaky_relu": kernels.LEAKY_RELU, "elu": kernels.ELU,
               "tanh": kernels.TANH}
BASES = {"normal": kernels.NORMAL, "logistic": kernels.LOGISTIC}
#: The most chunks of a batch, each with a sum of gradients of its own: threads share chunks.
CHUNKS = 16
NO_CLASSES = np.empty(0, np.int64)

try:
    from numba.np.ufunc import omppool  # noqa: F401

    THREADS = numba.config.NUMBA_NUM_THREADS
except ImportError:  # what numba has instead ends the process where two calls share work at once
    THREADS = 1

for library in ThreadpoolController().lib_controllers:
    if "scipy" in library.filepath:  # no more threads within the products
        library.set_num_threads(1)


# What the loops are given

class Plan(NamedTuple):
    """Which layers there are, and where each finds its numbers and its room."""

    tables: tuple[np.ndarray, np.ndarray]  # in generative order, and reversed
    rows: tuple[int, int]  # of a block's tape: where layers share it, and where all is kept
    spare: int  # numbers that the way back needs besides
    features: int

    def memory(self, points: int, keep: bool, dtype: torch.dtype) -> np.ndarray:
        """What every chunk works with; with ``keep`` also on the way back."""
        states = len(self.tables[0]) + 1 if keep else 2
        rows = (states + 1) * self.features + self.rows[keep] + 1
        size = rows * min(points, kernels.BLOCK) + self.spare * keep
        return torch.empty(chunks(points), size, dtype=dtype).numpy()


def chunks(points: int) -> int:
    """How many chunks so many points make."""
    return min(-(-points // kernels.BLOCK), CHUNKS)


def plan(layers: Iterable[Bijection], features: int) -> Plan | None:
    """The plan of layers on vectors; None where there is one that the loops do not know."""
    rows = tuple(map(_row, layers))
    return None if None in rows else _plan(rows, features)


def _row(layer: Bijection) -> tuple | None:
    """A layer's row of the table, after its numbers of parameters and of constants."""
    kind = KINDS.get(type(layer))
    if kind is None:
        return None
    row = {"kind": kind}
    if kind == kernels.BATCHNORM:
        row |= {"momentum": layer.momentum, "epsilon": layer.epsilon}
    elif kind >= kernels.ADDITIVE:
        network, kept, changed = layer.network, layer.kept, layer.changed
        if type(network) is not MLP or any(type(dense) is not Dense for dense in network.layers):
            return None
        shapes = [matrix.shape for matrix in network.matrices()]
        widths = (shapes[0][1] - 1, *(out for out, _ in shapes))
        if len(widths) > kernels.LONGEST:
            return None
        row |= {"kept": kept.start, "keeps": kept.stop - kept.start,
                "changed": changed.start, "changes": changed.stop - changed.start,
                "bound": getattr(layer, "bound", 0), "products": len(shapes),
                "activation": ACTIVATIONS[network.activation_name],
                "widths": widths + (0,) * (kernels.LONGEST - len(widths))}
    counts = [sum(t.numel() for t in tensors) for tensors in (parameters(layer), constants(layer))]
    return (*counts, *row.items())


@lru_cache(64)
def _plan(rows: tuple[tuple, ...], features: int) -> Plan:
    table = np.zeros(len(rows), kernels.LAYER)
    at, constants_at, kept = 0, sum(row[0] for row in rows), 0
    longest = spare = 0
    for layer, (own_parameters, own_constants, *facts) in zip(table, rows, strict=True):
        layer["parameters"], layer["constants"], layer["tape"] = at, constants_at, kept
        for name, value in facts:
            layer[name] = value
        at, constants_at = at + own_parameters, constants_at + own_constants
        length = 2 * features if layer["kind"] == kernels.LINEAR else 0
        if layer["products"]:
            widths = layer["widths"][:layer["products"] + 1]
            length = widths.sum() + layer["products"]
            spare = max(spare, *((a + 1) * max(b, kernels.BLOCK) for a, b in pairwise(widths)))
        longest, kept = max(longest, length), kept + length
    return Plan((table, table[::-1].copy()), (int(longest), int(kept)), int(spare), features)


def parameters(layer: Bijection) -> Iterable[Tensor]:
    """What a layer learns, in the order in which the loops expect it."""
    return layer.network.matrices() if hasattr(layer, "network") else layer._parameters.values()


def constants(layer: Bijection) -> list[Tensor]:
    """What else a layer computes with, in the order in which the loops expect it."""
    return [buffer for buffer in layer._buffers.values() if buffer.is_floating_point()]


def _array(x: Tensor) -> np.ndarray:
    """A tensor as one piece of memory."""
    return x.detach().contiguous().numpy()


def _run(plan: Plan, inverse: bool, task: int, numbers: Tensor, x: Tensor, context: Tensor | None,
         y: Tensor, log_det: Tensor, grads: np.ndarray, memory: np.ndarray) -> float:
    """Points through the loops, see `kernels.chunk`, on as many threads as PyTorch has."""
    x = _array(x)
    threads = min(torch.get_num_threads(), len(memory), THREADS)
    numba.set_num_threads(threads)
    return (kernels.run if threads == 1 else kernels.run_on_threads)(
        grads, memory, kernels.addresses(x.dtype), plan.tables[inverse], numbers.numpy(), x,
        NO_CLASSES if context is None else _array(context), inverse, task, y.numpy(),
        log_det.numpy(), plan.rows[task != kernels.NOTHING])


# The autograd node

def serves(layers: Sequence[Bijection], x: Tensor, inverse: bool) -> bool:
    """Whether points can go through the loops as they are.

    Layers do it one by one on other devices and for other types, where anything but plain execution
    is at work, and where batch normalisation takes note of a batch.
    """
    return (x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
            and len(x) > 0 and immediate(x)
            and not (inverse and torch.is_grad_enabled()
                     and any(type(layer) is BatchNorm and layer.training for layer in layers)))


def through(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor]:
    """Points through layers, given in generative order, in one direction; the log-determinant."""
    known = plan(layers, x.shape[1]) if serves(layers, x, inverse) else None
    if known is None:
        return one_by_one(layers, x, context, inverse)
    learned, numbers = numbers_of(layers)
    if torch.is_grad_enabled():
        return _Node.apply(known, layers, inverse, numbers, x, context, *learned)
    return _values(known, inverse, numbers, x, context)


def one_by_one(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
               inverse: bool) -> tuple[Tensor, Tensor]:
    """What `through` computes, written as the layers' own maps."""
    log_det = x.new_zeros(len(x))
    for layer in reversed(layers) if inverse else layers:
        x, own = (layer.inverse if inverse else layer.forward)(x, context)
        log_det = log_det + own
    return x, log_det


def numbers_of(layers: Sequence[Bijection]) -> tuple[list[Tensor], Tensor]:
    """The parameters of all layers; and, one after the other, their numbers and the constants."""
    learned = [p for layer in layers for p in parameters(layer)]
    fixed = (c for layer in layers for c in constants(layer))
    return learned, torch.cat([t.detach().reshape(-1) for t in (*learned, *fixed)])


def _values(plan: Plan, inverse: bool, numbers: Tensor, x: Tensor,
            context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Points through the loops, which keep nothing."""
    y, log_det = x.new_empty(x.shape), x.new_empty(len(x))
    memory = plan.memory(len(x), False, x.dtype)
    _run(plan, inverse, kernels.NOTHING, numbers, x, context, y, log_det, memory[:, :0].copy(),
         memory)
    return y, log_det


class _Node(torch.autograd.Function):
    """The layers as a function of points and parameters.

    The way back goes forward again, block by block: that is cheaper than memory for all points.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, plan: Plan, layers: Sequence[Bijection], inverse: bool,
                numbers: Tensor, x: Tensor, context: Tensor | None, *learned: Tensor
                ) -> tuple[Tensor, Tensor]:
        ctx.given = plan, layers, inverse, numbers
        ctx.save_for_backward(context, x, *learned)
        return _values(plan, inverse, numbers, x, context)

    @staticmethod
    def backward(ctx: FunctionCtx, g_y: Tensor, g_log_det: Tensor) -> tuple[Tensor | None, ...]:
        plan, layers, inverse, numbers = ctx.given
        context, *inputs = ctx.saved_tensors
        x, *learned = inputs
        wanted = ctx.needs_input_grad[4], *ctx.needs_input_grad[6:]
        twice = torch.is_grad_enabled()  # a second derivative is wanted
        if twice or not (immediate(g_y) and immediate(g_log_det)):  # leave it to the layers
            with torch.enable_grad():
                outputs = one_by_one(layers, x, context, inverse)
            outputs, given = zip(*((y, g) for y, g in zip(outputs, (g_y, g_log_det), strict=True)
                                   if y.requires_grad), strict=True)
            found = iter(torch.autograd.grad(
                outputs, [t for t, want in zip(inputs, wanted, strict=True) if want], given,
                create_graph=twice, allow_unused=True))
        else:
            g_x = g_y.clone(memory_format=torch.contiguous_format)
            memory = plan.memory(len(x), True, x.dtype)
            grads = x.new_empty(len(memory), len(numbers))
            _run(plan, inverse, kernels.GIVEN, numbers, x, context, g_x, g_log_det.contiguous(),
                 grads.numpy(), memory)
            sizes = [p.numel() for p in learned]
            parts = grads[0, :sum(sizes)].split(sizes)
            found = [g_x, *(g.view(p.shape) for g, p in zip(parts, learned, strict=True))]
            found = (g for g, want in zip(found, wanted, strict=True) if want)
        g_x, *found = (next(found) if want else None for want in wanted)
        return None, None, None, None, g_x, None, *found


# The step of a training

class Step:
    """Steps of maximum likelihood with Adam, on the numbers of a flow.

    Parameters
    ----------
    layers : sequence of Bijection
        In generative order; their parameters and constants become slices of ``numbers``.
    features : int
    base : "normal" or "logistic"

    Attributes
    ----------
    numbers : Tensor
        All parameters, in the order of ``flow.parameters()``, then the constants.
    averages : Tensor
        Their moving averages.
    first, second : Tensor
        Adam's moments of the gradient, as many as there are parameters.
    """

    @staticmethod
    def serves(layers: Sequence[Bijection], x: Tensor) -> bool:
        """Whether steps on such points can be taken here: all layers known, none frozen."""
        return (plan(layers, x.shape[1]) is not None and serves(layers, x, inverse=False)
                and all(p.requires_grad for layer in layers for p in parameters(layer)))

    def __init__(self, layers: Sequence[Bijection], features: int, base: str) -> None:
        self.plan, self.base = plan(layers, features), BASES[base]
        learned, self.numbers = numbers_of(layers)
        fixed = (c for layer in layers for c in constants(layer))
        vector_to_parameters(self.numbers, [*learned, *fixed])
        self.averages = self.numbers.clone()
        size = sum(p.numel() for p in learned)
        self.first, self.second = self.numbers.new_zeros(2, size)
        self._memory = self._grads = self.numbers.new_empty(0, 0).numpy()

    def __call__(self, x: Tensor, context: Tensor | None, *, clip: float, rate: float,
                 decay: float, count: int, share: float) -> float | None:
        """Take a step; return the mean NLL, or None without a step where anything is not finite.

        Parameters
        ----------
        x, context : Tensor
            Points, and their classes where there are classes.
        clip : float
            The longest gradient that is used as it is; 0 for none.
        rate, decay : float
            Adam's learning rate and decoupled weight decay.
        count : int
            How many times Adam's moments are moved by then.
        share : float
            Of the new numbers in their averages.
        """
        loss, gradient = self.gradient(x, context)
        arrays = (self.numbers, gradient, self.first, self.second, self.averages)
        taken = math.isfinite(loss) and kernels.take(
            self.plan.tables[True], x.shape[1], len(x), *(a.numpy() for a in arrays), clip, rate,
            decay, count, share)
        return loss if taken else None

    def gradient(self, x: Tensor, context: Tensor | None) -> tuple[float, Tensor]:
        """The mean NLL of a batch, and its gradient, which the next call overwrites.

        In place of a gradient the constants of batch normalisation have their batch's statistics.
        """
        count = chunks(len(x))
        if len(self._memory) < count:
            self._memory = self.plan.memory(count * kernels.BLOCK, True, x.dtype)
            self._grads = self.numbers.new_empty(count, len(self.numbers)).numpy()
        nothing = x.new_empty(0, x.shape[1])
        loss = _run(self.plan, True, self.base, self.numbers, x, context, nothing, nothing.view(-1),
                    self._grads[:count], self._memory[:count])
        return loss, torch.from_numpy(self._grads[0])
