r"""The layers of a flow on vectors as compiled loops, with their derivatives.

Points go through in blocks of up to ``BLOCK``, features along rows, so that loops run along
contiguous numbers and what a block needs stays in a processor's cache. A layer is two functions,
one that maps a block, and one that takes the gradient back, with these arguments:

===================  ===============================================================================
``layer``            its row of the table of layers, see `flowlab.bijections.fast.table`
``numbers``          all parameters and constants of the flow, one after the other
``grads``            their gradients, to which a layer adds
``x``, ``y``         the points before and after the layer, (features, n)
``classes``          of the points, (n,), or empty
``log_det``          of the points, (n,), to which a layer adds
``tape``             the layer's own memory between the two functions, (rows, n)
``g``, ``g_ld``      the gradients of ``y``, which becomes that of ``x``, and of ``log_det``
``inverse``          the direction: data to latent, or latent to data
``spare``            memory
===================  ===============================================================================

Numbers are all of one type, also constants: others would make loops slow.
"""

import math
from functools import lru_cache, partial

import numpy as np
from numba import from_dtype, get_thread_id, prange, types

from flowlab.bijections.fast.addressed import address, call
from flowlab.bijections.fast.coupling import coupling, coupling_back
from flowlab.bijections.fast.elementwise import elementwise, elementwise_back
from flowlab.bijections.fast.linear import linear, linear_back
from flowlab.bijections.fast.rows import add, compiled, copy, entry, put, tanh
from flowlab.bijections.fast.table import BLOCK, GIVEN, LAYER, NORMAL, NOTHING

#: What maps a block, and what takes the gradient back, in the order of the kinds.
MAPS = ((elementwise, elementwise_back),) * 4 + ((linear, linear_back),) + (
    (coupling, coupling_back),) * 3


def signatures(number):
    """The arguments of both, where the numbers are of this type."""
    row, flag, classes = from_dtype(LAYER), types.boolean, types.int64[::1]
    vector, block = number[::1], number[:, ::1]
    return ((row, vector, block, classes, block, block, vector, flag),
            (row, vector, vector, block, block, block, block, vector, flag, vector))


@lru_cache
def addresses(dtype):
    """Where the compiled maps are, (kinds, 2)."""
    both = signatures(from_dtype(np.dtype(dtype)))
    made = {function: address(function, *arguments)
            for pair in set(MAPS) for function, arguments in zip(pair, both, strict=True)}
    return np.array([[made[function] for function in pair] for pair in MAPS])


@compiled
def base_nll(base, z, g):
    """The sum of the base's negative log-densities, and over ``g`` its gradient."""
    result, half = 0.0, z.dtype.type(0.5)
    constant = z.dtype.type(0.5 * math.log(2 * math.pi))
    for i in range(len(z)):
        for j in range(z.shape[1]):
            if base == NORMAL:
                result += half * z[i, j] * z[i, j] + constant
                g[i, j] = z[i, j]
            else:
                size = abs(z[i, j])
                result += size + 2 * math.log1p(math.exp(-size))
                g[i, j] = tanh(half * z[i, j])
    return result


@compiled
def chunk(grads, memory, first, stride, maps, layers, numbers, x, classes, inverse, task, y,
          log_det, rows):
    """One block of points in ``stride`` through all layers, from the block ``first`` on.

    Parameters
    ----------
    grads : array
        Becomes the gradient of the numbers.
    memory : array
        For states, tape, gradient and what else a block needs.
    maps, layers, numbers : array
        The addresses of `MAPS`, the table in the order of the direction, and its numbers.
    x, classes : array (n, features), (n,)
    task : int
        NOTHING: points and log-determinants are put into ``y`` and ``log_det``.
        GIVEN: the gradients of these two are there, and become those of ``x`` and ``grads``.
        A base: the gradient is that of the mean negative log-likelihood, which is returned.
    rows : int
        Of a tape.
    """
    (n, d), keep, nll = x.shape, task != NOTHING, 0.0
    count = len(layers) + 1 if keep else 2
    grads[:] = numbers.dtype.type(0)
    blocks = -(-n // BLOCK)
    for b in range(first, blocks, stride):
        start, stop = b * n // blocks, (b + 1) * n // blocks
        size = stop - start
        end = (count * d + rows) * size
        states = memory[:count * d * size].reshape(count, d, size)
        tape = memory[count * d * size:end].reshape(rows, size)
        g = memory[end:end + d * size].reshape(d, size)
        total = memory[end + d * size:end + (d + 1) * size]
        spare = memory[end + (d + 1) * size:]
        copy(x[start:stop].T, states[0])
        total[:] = numbers.dtype.type(0)
        for k in range(len(layers)):
            before, after = (k, k + 1) if keep else (k % 2, (k + 1) % 2)
            call(maps[layers[k].kind, 0], (
                layers[k], numbers, states[before], classes[start:stop],
                tape[layers[k].tape * keep:], states[after], total, inverse))
        if task == NOTHING:
            copy(states[len(layers) % 2].T, y[start:stop])
            put(log_det[start:stop], numbers.dtype.type(1), total)
            continue
        if task == GIVEN:
            copy(y[start:stop].T, g)
            put(total, numbers.dtype.type(1), log_det[start:stop])
        else:
            nll += base_nll(task, states[len(layers)], g) - total.sum()
            put(g.reshape(-1), numbers.dtype.type(1 / n), g.reshape(-1))
            total[:] = numbers.dtype.type(-1 / n)
        for k in range(len(layers) - 1, -1, -1):
            call(maps[layers[k].kind, 1], (
                layers[k], numbers, grads, states[k], tape[layers[k].tape:], states[k + 1], g,
                total, inverse, spare))
        if task == GIVEN:
            copy(g.T, y[start:stop])
    return nll / n


# How many chunks there are depends on the number of points only, and gradients are summed in the
# order of the chunks, so numbers are the same for any number of threads.

@entry
def run(chunks, grads, memory, *arguments):
    """All chunks, one after the other; the gradient is summed in ``grads[0]``."""
    result = 0.0
    for c in range(chunks):
        result += chunk(grads[min(c, 1)], memory[0], c, chunks, *arguments)
        if c > 0:
            add(grads[0], grads.dtype.type(1), grads[1])
    return result


@partial(entry, parallel=True)
def run_on_threads(chunks, grads, memory, *arguments):
    """As `run`, but threads share the chunks; each has its memory, and each chunk its gradient."""
    parts = np.empty(chunks)
    for c in prange(chunks):
        parts[c] = chunk(grads[c], memory[get_thread_id()], np.int64(c), chunks, *arguments)
    return sum_up(parts, grads)


@compiled
def sum_up(parts, grads):
    """The sum of the parts, and over the first that of the gradients."""
    result = parts[0]
    for c in range(1, len(parts)):
        result += parts[c]
        add(grads[0], grads.dtype.type(1), grads[c])
    return result
