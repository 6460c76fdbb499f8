r"""The layers of a flow on vectors as compiled loops, with their derivatives.

Points go through in blocks of up to ``BLOCK``, features along rows, so that loops run along
contiguous numbers and what a block needs stays in a processor's cache. A layer is two functions,
one that maps a block, and one that takes the gradient back, with these arguments:

===================  ===============================================================================
``layer``            its row of the table of layers, see ``LAYER``
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

Numbers are all of one type, also constants: others would make loops slow. All this is one file,
since numba's cache on disk looks for changes in a function's own file only.
"""

import math
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import cfunc, from_dtype, get_thread_id, njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

BLOCK = 128  # points
LONGEST = 8  # widths of a network, from its input to its output
SCALING, ACTNORM, STANDARDISE, BATCHNORM, LINEAR, ADDITIVE, AFFINE = range(7)
RELU, LEAKY_RELU, ELU, TANH = range(4)
NORMAL, LOGISTIC, GIVEN, NOTHING = range(4)  # what is differentiated: see `chunk`

#: A row of the table of layers.
LAYER = np.dtype([
    ("kind", np.int64),
    ("parameters", np.int64), ("constants", np.int64),  # where they begin among the numbers,
    ("tape", np.int64),  # and the layer's rows in a block's memory
    ("momentum", np.float64), ("epsilon", np.float64),  # of batch normalisation
    ("bound", np.float64),  # of a coupling's log-scale
    ("kept", np.int64), ("keeps", np.int64),  # its halves: first row, number of rows
    ("changed", np.int64), ("changes", np.int64),
    ("activation", np.int64), ("products", np.int64), ("widths", np.int64, LONGEST),  # its network
])

# Sums may be taken in any order, but NaN and infinity count.
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy",
           "fastmath": {"reassoc", "contract", "nsz"}}
compiled = njit(**OPTIONS)


def tanh(x):
    """The hyperbolic tangent in compiled code; in float32 a ratio that becomes vector code."""


ODD = tuple(map(np.float32, (
    4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08,
    -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16)))
EVEN = tuple(map(np.float32, (
    4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)))
SATURATED = np.float32(7.905)


@overload(tanh)
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def ratio(x):
        x = SATURATED if x > SATURATED else (-SATURATED if x < -SATURATED else x)
        s = x * x
        return (x * (ODD[0] + s * (ODD[1] + s * (ODD[2] + s * (ODD[3] + s * (
            ODD[4] + s * (ODD[5] + s * ODD[6]))))))
            / (EVEN[0] + s * (EVEN[1] + s * (EVEN[2] + s * EVEN[3]))))

    return ratio


# Rows

@compiled
def add(y, factor, x):
    """``y += factor * x``, of one row or of all numbers."""
    for j in range(x.size):
        y[j] += factor * x[j]


@compiled
def put(y, factor, x):
    """``y = factor * x``, likewise."""
    for j in range(x.size):
        y[j] = factor * x[j]


@compiled
def copy(x, y):
    """``y = x``, of rows or columns."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j]


# Networks

@compiled
def activate(kind, h):
    """The activation, in place."""
    h, zero, slope = h.reshape(-1), h.dtype.type(0), h.dtype.type(0.01)
    half, one = h.dtype.type(0.5), h.dtype.type(1)
    if kind == RELU:
        for i in range(h.size):
            h[i] = zero if h[i] < zero else h[i]
    elif kind == LEAKY_RELU:
        for i in range(h.size):
            h[i] = slope * h[i] if h[i] < zero else h[i]
    elif kind == ELU:  # exp(h) - 1 = 2 t / (1 - t) with t = tanh(h / 2)
        for i in range(h.size):
            t = tanh(half * h[i])
            h[i] = (t + t) / (one - t) if h[i] < zero else h[i]
    else:
        for i in range(h.size):
            h[i] = tanh(h[i])


@compiled
def activate_back(kind, g, h):
    """The gradient of the input, over the output ``h``, from which the slopes can be read."""
    g, h, zero, slope = g.reshape(-1), h.reshape(-1), h.dtype.type(0), h.dtype.type(0.01)
    one = h.dtype.type(1)
    if kind == RELU:
        for i in range(h.size):
            h[i] = g[i] if h[i] > zero else zero
    elif kind == LEAKY_RELU:
        for i in range(h.size):
            h[i] = g[i] if h[i] > zero else slope * g[i]
    elif kind == ELU:
        for i in range(h.size):
            h[i] = g[i] if h[i] > zero else (h[i] + one) * g[i]
    else:
        for i in range(h.size):
            h[i] = (one - h[i] * h[i]) * g[i]


@compiled
def network(layer, numbers, tape):
    """The multilayer perceptron, from its input in the first rows; returns where its output is.

    Below the rows of each layer stands one of ones, so that a product with (W b) is W h + b.
    """
    row, at = 0, layer.parameters
    for k in range(layer.products):
        a, b = layer.widths[k] + 1, layer.widths[k + 1]
        h, out = tape[row:row + a], tape[row + a:row + a + b]
        h[a - 1] = h.dtype.type(1)
        np.dot(numbers[at:at + b * a].reshape(b, a), h, out)
        if k < layer.products - 1:
            activate(layer.activation, out)
        row, at = row + a, at + b * a
    return row


@compiled
def network_back(layer, numbers, grads, tape, row, spare):
    """From the gradient of the output in place of it; returns that of the input."""
    out, at = tape[row:row + layer.widths[layer.products]], layer.parameters
    for k in range(layer.products):
        at += (layer.widths[k] + 1) * layer.widths[k + 1]
    for k in range(layer.products - 1, -1, -1):
        a, b = layer.widths[k] + 1, layer.widths[k + 1]
        row, at = row - a, at - b * a
        h, product = tape[row:row + a], spare[:b * a]
        np.dot(out, h.T, product.reshape(b, a))
        add(grads[at:at + b * a], h.dtype.type(1), product)
        below = spare[:h.size].reshape(h.shape)
        np.dot(numbers[at:at + b * a].reshape(b, a).T, out, below)
        out = h[:a - 1]
        if k > 0:
            activate_back(layer.activation, below[:a - 1], out)
    return below


# Inner maps: what a coupling does to the changed half, with the output of its network

@compiled
def inner_map(layer, x, out, y, log_det, inverse):
    r"""Additive, :math:`y = x + t`; or affine, :math:`y = x \odot e^s + t`; or their inverses.

    These are :math:`x - t` and :math:`(x - t) \odot e^{-s}`. Of an affine map the network gives ŝ
    and t, where :math:`s = c \tanh(\hat s / c)`; what it leaves in their place is s and the factor.
    """
    bound, sign = x.dtype.type(layer.bound), x.dtype.type(-1 if inverse else 1)
    for i in range(len(x)):
        if layer.kind == ADDITIVE:
            put(y[i], x.dtype.type(1), x[i])
            add(y[i], sign, out[i])
            continue
        s, t = out[i], out[len(x) + i]
        for j in range(s.size):
            s[j] = bound * tanh(s[j] / bound)
        for j in range(s.size):
            factor = math.exp(sign * s[j])
            y[i, j] = (x[i, j] - t[j]) * factor if inverse else x[i, j] * factor + t[j]
            t[j] = factor
            log_det[j] += sign * s[j]


@compiled
def inner_map_back(layer, x, out, y, g, g_ld, inverse):
    """The gradient of the network's output over that, and of the changed half over ``g``."""
    bound, sign = x.dtype.type(layer.bound), x.dtype.type(-1 if inverse else 1)
    one = x.dtype.type(1)
    for i in range(len(x)):
        if layer.kind == ADDITIVE:
            put(out[i], sign, g[i])
            continue
        s, factor = out[i], out[len(x) + i]
        for j in range(s.size):
            t, scaled = s[j] / bound, g[i, j] * factor[j]
            by_s = g[i, j] * y[i, j] if inverse else scaled * x[i, j]
            s[j] = sign * (by_s + g_ld[j]) * (one - t * t)
            factor[j] = -scaled if inverse else g[i, j]
            g[i, j] = scaled


# Layers

def coupling(layer, numbers, x, classes, tape, y, log_det, inverse):
    """The kept half passes; with the one-hot class it goes through the network."""
    kept = x[layer.kept:layer.kept + layer.keeps]
    copy(kept, tape)
    copy(kept, y[layer.kept:layer.kept + layer.keeps])
    if classes.size:
        tape[layer.keeps:layer.widths[0]] = x.dtype.type(0)
        for j in range(classes.size):
            tape[layer.keeps + classes[j], j] = x.dtype.type(1)
    out = tape[network(layer, numbers, tape):]
    changed = slice(layer.changed, layer.changed + layer.changes)
    inner_map(layer, x[changed], out, y[changed], log_det, inverse)


def coupling_back(layer, numbers, grads, x, tape, y, g, g_ld, inverse, spare):
    """Through the inner map into its network, and from there into the kept half."""
    row = layer.products
    for k in range(layer.products):
        row += layer.widths[k]
    changed = slice(layer.changed, layer.changed + layer.changes)
    inner_map_back(layer, x[changed], tape[row:], y[changed], g[changed], g_ld, inverse)
    g_kept = network_back(layer, numbers, grads, tape, row, spare)
    for i in range(layer.keeps):
        add(g[layer.kept + i], g.dtype.type(1), g_kept[i])


@compiled
def shift_and_scale(layer, numbers, features, i):
    """Of feature ``i``, where x = shift + scale ⊙ z."""
    a, b = layer.parameters + i, layer.constants + i
    if layer.kind == SCALING:
        return numbers.dtype.type(0), math.exp(-numbers[a])
    if layer.kind == ACTNORM:
        return -numbers[a], math.exp(-numbers[a + features])
    if layer.kind == STANDARDISE:
        return numbers[b], numbers[b + features]
    return numbers[b], math.sqrt(numbers[b + features] + numbers.dtype.type(layer.epsilon))


def elementwise(layer, numbers, x, classes, tape, y, log_det, inverse):
    """A scaling, activation, batch or fixed normalisation."""
    for i in range(len(x)):
        shift, scale = shift_and_scale(layer, numbers, len(x), i)
        log_scale = -math.log(scale) if inverse else math.log(scale)
        for j in range(x.shape[1]):
            y[i, j] = (x[i, j] - shift) / scale if inverse else shift + scale * x[i, j]
            log_det[j] += log_scale


def elementwise_back(layer, numbers, grads, x, tape, y, g, g_ld, inverse, spare):
    """In place of gradients, batch normalisation has the sums that `commit` takes over."""
    d = len(x)
    for i in range(d):
        shift, scale = shift_and_scale(layer, numbers, d, i)
        scale = x.dtype.type(1) / scale if inverse else scale
        if layer.kind == SCALING or layer.kind == ACTNORM:
            at = layer.parameters + i
            if layer.kind == ACTNORM:
                grads[at] += scale * g[i].sum() if inverse else -g[i].sum()
                at += d
            grads[at] += (np.dot(g[i], y[i]) + g_ld.sum() if inverse else
                          -scale * np.dot(g[i], x[i]) - g_ld.sum())
        elif layer.kind == BATCHNORM:
            for j in range(x.shape[1]):
                grads[layer.constants + i] += x[i, j]
                grads[layer.constants + d + i] += (x[i, j] - shift) * (x[i, j] - shift)
        put(g[i], scale, g[i])


@compiled
def factors(layer, numbers, d):
    """P, L and R = U + diag(s) of W = P L R, where L has ones on its diagonal."""
    a, b, square = layer.parameters, layer.constants, d * d
    zero, one = numbers.dtype.type(0), numbers.dtype.type(1)
    lower = numbers[a + d:a + d + square].reshape(d, d).copy()
    upper = numbers[a + d + square:a + d + 2 * square].reshape(d, d).copy()
    for i in range(d):
        lower[i, i:] = zero
        upper[i, :i] = zero
        lower[i, i] = one
        upper[i, i] = numbers[b + square + i] * math.exp(numbers[a + i])
    return numbers[b:b + square].reshape(d, d), lower, upper


@compiled
def matrix(permutation, lower, upper, inverse):
    """W in the inverse direction, else its inverse, by substitution."""
    if inverse:
        return np.dot(permutation, np.dot(lower, upper))
    w, one = permutation.T.copy(), permutation.dtype.type(1)
    for i in range(len(w)):
        for k in range(i):
            add(w[i], -lower[i, k], w[k])
    for i in range(len(w) - 1, -1, -1):
        for k in range(i + 1, len(w)):
            add(w[i], -upper[i, k], w[k])
        put(w[i], one / upper[i, i], w[i])
    return w


def linear(layer, numbers, x, classes, tape, y, log_det, inverse):
    """``z = W x``, or ``x = W^-1 z``; the logarithms of s come first among the parameters."""
    np.dot(matrix(*factors(layer, numbers, len(x)), inverse), x, y)
    log_s = numbers[layer.parameters:layer.parameters + len(x)]
    log_det += log_s.sum() if inverse else -log_s.sum()


def linear_back(layer, numbers, grads, x, tape, y, g, g_ld, inverse, spare):
    """The gradient of W is g x^T; where x = W^-1 z, it is minus the gradient of z, times x^T."""
    d, at = len(x), layer.parameters
    permutation, lower, upper = factors(layer, numbers, d)
    g_x = np.dot(matrix(permutation, lower, upper, inverse).T, g)
    by_w = np.dot(permutation.T, np.dot(g, x.T) if inverse else -np.dot(g_x, y.T))
    by_lower, by_upper = np.dot(by_w, upper.T), np.dot(lower.T, by_w)
    copy(g_x, g)
    for i in range(d):
        grads[at + i] += by_upper[i, i] * upper[i, i] + (g_ld.sum() if inverse else -g_ld.sum())
        row = at + d + i * d
        add(grads[row:row + i], x.dtype.type(1), by_lower[i, :i])
        row += d * d
        add(grads[row + i + 1:row + d], x.dtype.type(1), by_upper[i, i + 1:])


# All layers

#: What maps a block, and what takes the gradient back, in the order of the kinds.
MAPS = ((elementwise, elementwise_back),) * 4 + ((linear, linear_back),) + (
    (coupling, coupling_back),) * 2


def signatures(number):
    """The arguments of both, where the numbers are of this type."""
    row, flag, classes = from_dtype(LAYER), types.boolean, types.int64[::1]
    vector, block = number[::1], number[:, ::1]
    return ((row, vector, block, classes, block, block, vector, flag),
            (row, vector, vector, block, block, block, block, vector, flag, vector))


in_use = []  # what stays compiled, since nothing else holds what is called by address


@lru_cache
def addresses(dtype):
    """Where the compiled maps are, (kinds, 2).

    They are called by address, since numba compiles anew whatever it calls by name.
    """
    both = signatures(from_dtype(np.dtype(dtype)))
    made = {function: cfunc(types.void(*arguments), **OPTIONS)(function)
            for pair in set(MAPS) for function, arguments in zip(pair, both, strict=True)}
    in_use.append(made)
    return np.array([[made[function].address for function in pair] for pair in MAPS])


@intrinsic
def _call(typing, address, arguments):
    """Call the map at an address with a tuple of arguments."""
    if tuple(arguments) not in signatures(arguments[1].dtype):
        raise TypeError(f"No map of a layer takes {arguments}.")

    def lower(context, builder, signature, values):
        kinds = [context.get_value_type(kind) for kind in arguments]
        function = ir.FunctionType(context.get_value_type(types.none), kinds)
        builder.call(builder.inttoptr(values[0], function.as_pointer()),
                     cgutils.unpack_tuple(builder, values[1]))
        return context.get_dummy_value()

    return types.void(address, arguments), lower


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
            _call(maps[layers[k].kind, 0], (
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
            _call(maps[layers[k].kind, 1], (
                layers[k], numbers, grads, states[k], tape[layers[k].tape:], states[k + 1], g,
                total, inverse, spare))
        if task == GIVEN:
            copy(g.T, y[start:stop])
    return nll / n


# How many chunks there are depends on the number of points only, and gradients are summed in the
# order of the chunks, so numbers are the same for any number of threads.

@compiled
def run(chunks, grads, memory, *arguments):
    """All chunks, one after the other; the gradient is summed in ``grads[0]``."""
    result = 0.0
    for c in range(chunks):
        result += chunk(grads[min(c, 1)], memory[0], c, chunks, *arguments)
        if c > 0:
            add(grads[0], grads.dtype.type(1), grads[1])
    return result


@njit(parallel=True, **OPTIONS)
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
