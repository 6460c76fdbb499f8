"""The compiled loops as PyTorch calls them: as an autograd node, and as the step of a training."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import cython_blas  # noqa: F401  # the products of the loops
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.autograd.function import FunctionCtx

from flowlab.bijections.batchnorm import BatchNorm
from flowlab.bijections.bijection import Bijection, compose
from flowlab.bijections.coupling import AdditiveCoupling, AffineCoupling
from flowlab.bijections.elementwise import ActNorm, Scaling, Standardise
from flowlab.bijections.fast import kernels, spline, table
from flowlab.bijections.fast.threads import MOST, FreeCores, allowed, start
from flowlab.bijections.immediate import immediate
from flowlab.bijections.inner import Affine, Shift
from flowlab.bijections.linear import Linear
from flowlab.bijections.networks import MLP, Dense
from flowlab.bijections.spline import RationalQuadratic, SplineCoupling

KINDS = {Scaling: table.SCALING, ActNorm: table.ACTNORM, Standardise: table.STANDARDISE,
         BatchNorm: table.BATCHNORM, Linear: table.LINEAR,
         AdditiveCoupling: table.ADDITIVE, AffineCoupling: table.AFFINE,
         SplineCoupling: table.SPLINE}
INNER = {table.ADDITIVE: Shift, table.AFFINE: Affine, table.SPLINE: RationalQuadratic}
ACTIVATIONS = {"relu": table.RELU, "leaky_relu": table.LEAKY_RELU, "elu": table.ELU,
               "tanh": table.TANH}
BASES = {"normal": table.NORMAL, "logistic": table.LOGISTIC}
#: The most chunks of a batch, each with a sum of gradients of its own: threads share chunks.
CHUNKS = 16
NO_CLASSES = np.empty(0, np.int64)

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

    def run(self, numbers: Tensor, inverse: bool, task: int, x: Tensor, context: Tensor | None,
            y: Tensor, log_det: Tensor, most: int) -> tuple[float, Tensor]:
        """Points through the loops, see `kernels.chunk`; the gradient of the numbers.

        ``most`` is the number of threads that may share the work.
        """
        keep = task != table.NOTHING
        chunks = min(-(-len(x) // table.BLOCK), CHUNKS)
        threads = min(most, chunks, MOST)
        if threads > 1:
            start(threads)
        states = len(self.tables[0]) + 1 if keep else 2
        rows = (states + 1) * self.features + self.rows[keep] + 1
        memory = numbers.new_empty(threads, rows * table.BLOCK + self.spare * keep)
        grads = numbers.new_empty(min(chunks, 2) if threads == 1 else chunks, len(numbers) * keep)
        x = array(x)
        classes = NO_CLASSES if context is None else array(context.long())
        value = (kernels.run if threads == 1 else kernels.run_on_threads)(
            chunks, grads.numpy(), memory.numpy(), kernels.addresses(x.dtype),
            self.tables[inverse], numbers.numpy(), x, classes, inverse, task, y.numpy(),
            log_det.numpy(), self.rows[keep])
        return value, grads[0]


class Chain(NamedTuple):
    """Layers that the loops know, in generative order."""

    layers: Sequence[Bijection]
    plan: Plan
    learned: list[Tensor]  # parameters, in the order of ``parameters()``
    constants: list[Tensor]  # buffers

    def numbers(self) -> Tensor:
        """All of these, one after the other."""
        with torch.no_grad():
            return torch.cat([t.reshape(-1) for t in (*self.learned, *self.constants)])


def known(layers: Sequence[Bijection], features: int) -> Chain | None:
    """Layers on vectors of so many features; None where there is one that the loops do not know."""
    facts, learned, constants = [], [], []
    for layer in layers:
        kind, own = KINDS.get(type(layer)), layer._parameters.values()
        if kind is None:
            return None
        fact = ()
        if kind == table.BATCHNORM:
            fact = layer.momentum, layer.epsilon
        elif kind >= table.ADDITIVE:
            network, inner = layer._modules["network"], layer.inner
            products = network._modules["layers"]._modules.values()
            if (type(network) is not MLP or type(inner) is not INNER[kind]
                    or len(products) >= table.LONGEST
                    or any(type(dense) is not Dense for dense in products)):
                return None
            own = [dense._parameters["matrix"] for dense in products]
            fact = (layer.kept.start, layer.changed.start, ACTIVATIONS[network.activation],
                    getattr(inner, "bound", 0), getattr(inner, "bins", 0),
                    *(matrix.shape for matrix in own))
        fixed = [buffer for buffer in layer._buffers.values() if buffer.is_floating_point()]
        facts.append((kind, sum(p.numel() for p in own), sum(c.numel() for c in fixed), fact))
        learned += own
        constants += fixed
    return Chain(layers, _plan(tuple(facts), features), learned, constants)


@lru_cache(64)
def _plan(facts: tuple[tuple, ...], features: int) -> Plan:
    rows = np.zeros(len(facts), table.LAYER)
    at, constants_at, kept = 0, sum(parameters for _, parameters, _, _ in facts), 0
    longest = spare = 0
    for layer, (kind, parameters, constants, fact) in zip(rows, facts, strict=True):
        layer["kind"], layer["tape"] = kind, kept
        layer["parameters"], layer["constants"] = at, constants_at
        length = 0
        if kind == table.BATCHNORM:
            layer["momentum"], layer["epsilon"] = fact
        elif kind >= table.ADDITIVE:
            *place, layer["activation"], layer["bound"], layer["bins"] = fact[:5]
            layer["kept"], layer["changed"], shapes = *place, fact[5:]
            cut = max(fact[:2])
            layer["keeps"], layer["changes"] = (
                (cut, features - cut) if layer["changed"] else (features - cut, cut))
            widths = shapes[0][1] - 1, *(out for out, _ in shapes)
            layer["products"], layer["widths"][:len(widths)] = len(shapes), widths
            length = sum(widths) + len(shapes)
            if kind == table.SPLINE:
                length += spline.ROWS * layer["changes"]
            spare = max(spare, *(a * max(b, table.BLOCK) for b, a in shapes))
        at, constants_at, kept = at + parameters, constants_at + constants, kept + length
        longest = max(longest, length)
    return Plan((rows, rows[::-1].copy()), (longest, kept), spare, features)


def array(x: Tensor) -> np.ndarray:
    """A tensor as one piece of memory."""
    return x.detach().contiguous().numpy()


# The autograd node

def serves(layers: Sequence[Bijection], x: Tensor, inverse: bool) -> bool:
    """Whether points can go through the loops as they are.

    Layers do it one by one on other devices and for other types, where anything but plain execution
    is at work, and where batch normalisation takes note of a batch.
    """
    return (immediate(x) and x.device.type == "cpu" and x.ndim == 2 and len(x) > 0
            and x.dtype in (torch.float32, torch.float64)
            and not (inverse and torch.is_grad_enabled()
                     and any(type(layer) is BatchNorm and layer.training for layer in layers)))


def through(layers: Sequence[Bijection], x: Tensor, context: Tensor | None,
            inverse: bool) -> tuple[Tensor, Tensor] | None:
    """Points through layers, given in generative order, in one direction; the log-determinant.

    None where the layers must do it themselves.
    """
    found = known(layers, x.shape[1]) if serves(layers, x, inverse) else None
    if found is None:
        return None
    if torch.is_grad_enabled():
        return _Node.apply(found, found.numbers(), inverse, x, context, *found.learned)
    return _values(found.plan, found.numbers(), inverse, x, context)


def _values(plan: Plan, numbers: Tensor, inverse: bool, x: Tensor,
            context: Tensor | None) -> tuple[Tensor, Tensor]:
    """Points through the loops, which keep nothing."""
    y, log_det = x.new_empty(x.shape), x.new_empty(len(x))
    plan.run(numbers, inverse, table.NOTHING, x, context, y, log_det, allowed())
    return y, log_det


class _Node(torch.autograd.Function):
    """The layers as a function of points and parameters.

    The way back goes forward again, block by block: that is cheaper than memory for all points.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, chain: Chain, numbers: Tensor, inverse: bool, x: Tensor,
                context: Tensor | None, *learned: Tensor) -> tuple[Tensor, Tensor]:
        ctx.given = chain.layers, chain.plan, numbers, inverse
        ctx.save_for_backward(context, x, *learned)
        return _values(chain.plan, numbers, inverse, x, context)

    @staticmethod
    def backward(ctx: FunctionCtx, g_y: Tensor, g_log_det: Tensor) -> tuple[Tensor | None, ...]:
        layers, plan, numbers, inverse = ctx.given
        context, *inputs = ctx.saved_tensors
        x, *learned = inputs
        wanted = ctx.needs_input_grad[3], *ctx.needs_input_grad[5:]
        twice = torch.is_grad_enabled()  # a second derivative is wanted
        if twice or not (immediate(g_y) and immediate(g_log_det)):  # leave it to the layers
            with torch.enable_grad():
                order = reversed(layers) if inverse else layers
                outputs = compose(order, x, context, inverse)
            outputs, given = zip(*((y, g) for y, g in zip(outputs, (g_y, g_log_det), strict=True)
                                   if y.requires_grad), strict=True)
            found = iter(torch.autograd.grad(
                outputs, [t for t, want in zip(inputs, wanted, strict=True) if want], given,
                create_graph=twice, allow_unused=True))
        else:
            g_x = g_y.clone(memory_format=torch.contiguous_format)
            _, gradient = plan.run(numbers, inverse, table.GIVEN, x, context, g_x,
                                   g_log_det.contiguous(), allowed())
            sizes = [p.numel() for p in learned]
            parts = gradient[:sum(sizes)].split(sizes)
            found = [g_x, *(g.view(p.shape) for g, p in zip(parts, learned, strict=True))]
            found = (g for g, want in zip(found, wanted, strict=True) if want)
        g_x, *found = (next(found) if want else None for want in wanted)
        return None, None, None, g_x, None, *found


# The likelihood, for the steps of a training

class Likelihood:
    """The mean negative log-likelihood of points, and its gradient.

    Parameters
    ----------
    chain : Chain
    base : "normal" or "logistic"
    """

    def __init__(self, chain: Chain, base: str) -> None:
        self.chain, self.base = chain, BASES[base]
        self._size = sum(p.numel() for p in chain.learned)
        self.cores = FreeCores()

    def __call__(self, numbers: Tensor, x: Tensor, context: Tensor | None
                 ) -> tuple[float, Tensor]:
        """The value, and the gradient in all parameters.

        Parameters
        ----------
        numbers : Tensor
            All parameters, in the order of ``flow.parameters()``, then all floating-point buffers.
        x, context : Tensor
            A batch, and its classes where there are classes.
        """
        nothing, begun = x.new_empty(0, x.shape[1]), time.perf_counter()
        loss, gradient = self.chain.plan.run(numbers, True, self.base, x, context, nothing,
                                             nothing.view(-1), self.cores.threads)
        if len(x) > table.BLOCK:
            self.cores.note(time.perf_counter() - begun)
        # In place of gradients, the statistics of batch normalisation have sums over the points.
        for layer, row in zip(self.chain.layers, self.chain.plan.tables[0], strict=True):
            if row["kind"] == table.BATCHNORM:
                at, features = row["constants"], x.shape[1]
                sums = gradient[at:at + 2 * features] / len(x)
                layer._seen = sums[:features], sums[features:]
        return loss, gradient[:self._size]


def likelihood(layers: Sequence[Bijection], base: str, x: Tensor) -> Likelihood | None:
    """The likelihood of such points; None where a layer is unknown or frozen."""
    chain = known(layers, x.shape[1]) if serves(layers, x, inverse=False) else None
    if chain is None or not all(p.requires_grad for p in chain.learned):
        return None
    return Likelihood(chain, base)
