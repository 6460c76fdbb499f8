r"""The layers of a flow on vectors as compiled loops, with their derivatives.

Points go through in blocks of at most ``BLOCK``, features along rows, so that every loop runs along
contiguous numbers and what a block needs stays in a processor's cache. Every layer has a function
that maps a block, and one that takes the gradient back through it, with these arguments:

==============  ====================================================================================
``layer``       a row of the table of layers, see ``LAYER``
``numbers``     all parameters and constants of the flow, one after the other
``x``, ``y``    points before and after the layer, (features, n)
``log_det``     log-determinants, (n,): a layer adds its own
``tape``        what the layer keeps for its derivative, (rows, n)
``g``, ``l``    gradients of ``y``, which becomes that of ``x``, and of ``log_det``
``grads``       gradients of ``numbers``: a layer adds its own
``inverse``     the direction: data to latent, or latent to data
==============  ====================================================================================

All of it is in one file, since numba's cache notices changes within a file only.
"""

import math
from functools import lru_cache

import numpy as np
from llvmlite import ir
from numba import cfunc, from_dtype, njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

BLOCK = 128  # points
LONGEST = 8  # widths of a network, with input and output
SCALING, ACTNORM, STANDARDISE, BATCHNORM, LINEAR, ADDITIVE, AFFINE = range(7)
RELU, LEAKY_RELU, ELU, TANH = range(4)
NORMAL, LOGISTIC = range(2)
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # of Adam

#: A row of the table of layers.
LAYER = np.dtype([
    ("kind", np.int64),
    ("parameters", np.int64),  # where its parameters begin among the numbers
    ("constants", np.int64),  # and its buffers
    ("tape", np.int64),  # and its rows of a block's tape
    ("momentum", np.float64),  # of batch normalisation,
    ("epsilon", np.float64),
    ("bound", np.float64),  # of a coupling's log-scale
    ("kept", np.int64), ("keeps", np.int64),  # a coupling's halves: first row, number of rows
    ("changed", np.int64), ("changes", np.int64),
    ("activation", np.int64),
    ("products", np.int64),  # matrices of its network,
    ("widths", np.int64, LONGEST),  # between layers of these widths
])

# Sums may be taken in any order and products fused with them, but NaN and infinity count.
OPTIONS = dict(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
compiled = njit(**OPTIONS)


# Functions of one number

def tanh(x):
    """The hyperbolic tangent."""


NUMERATOR = tuple(map(np.float32, (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03)))
DENOMINATOR = tuple(map(np.float32, (
    1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)))
SATURATED = np.float32(7.905)


@overload(tanh, inline="always")
def _tanh(x):
    """A ratio of polynomials in float32, which the compiler vectorises; off by up to 2e-7."""
    if x != types.float32:
        return lambda x: math.tanh(x)

    def rational(x):
        x = SATURATED if x > SATURATED else (-SATURATED if x < -SATURATED else x)
        s = x * x
        a, b = NUMERATOR, DENOMINATOR
        p = x * ((((((a[0] * s + a[1]) * s + a[2]) * s + a[3]) * s + a[4]) * s + a[5]) * s + a[6])
        return p / (((b[0] * s + b[1]) * s + b[2]) * s + b[3])

    return rational


def expm1_of_negative(x):
    """exp(x) - 1 for x below 0."""


@overload(expm1_of_negative, inline="always")
def _expm1_of_negative(x):
    if x != types.float32:
        return lambda x: math.expm1(x)
    half, one, two = np.float32(0.5), np.float32(1), np.float32(2)

    def by_tanh(x):
        t = tanh(half * x)
        return two * t / (one - t)

    return by_tanh


# Activations

@compiled
def activate(kind, h):
    """The activation of a layer's rows, in place."""
    h, zero, slope = h.reshape(-1), h.dtype.type(0), h.dtype.type(0.01)
    if kind == RELU:
        for i in range(h.size):
            h[i] = zero if h[i] < zero else h[i]
    elif kind == LEAKY_RELU:
        for i in range(h.size):
            h[i] = slope * h[i] if h[i] < zero else h[i]
    elif kind == ELU:
        for i in range(h.size):
            h[i] = expm1_of_negative(h[i]) if h[i] < zero else h[i]
    else:
        for i in range(h.size):
            h[i] = tanh(h[i])


@compiled
def activate_back(kind, g, h):
    """Turn an activation's output ``h`` into the gradient of its input, from that of its output.

    All activations are monotone, so the derivative can be read off the output.
    """
    g, h = g.reshape(-1), h.reshape(-1)
    zero, slope, one = h.dtype.type(0), h.dtype.type(0.01), h.dtype.type(1)
    if kind == RELU:
        for i in range(h.size):
            h[i] = g[i] if h[i] > zero else zero
    elif kind == LEAKY_RELU:
        for i in range(h.size):
            h[i] = g[i] if h[i] > zero else slope * g[i]
    elif kind == ELU:
        for i in range(h.size):
            h[i] = g[i] if h[i] > zero else g[i] * (h[i] + one)
    else:
        for i in range(h.size):
            h[i] = g[i] * (one - h[i] * h[i])


# Rows

@compiled
def add(y, factor, x):
    """``y += factor * x``."""
    for j in range(x.size):
        y[j] += factor * x[j]


@compiled
def scaled(y, factor, x):
    """``y = factor * x``."""
    for j in range(x.size):
        y[j] = factor * x[j]


@compiled
def fill(x, value):
    """``x[:] = value``, with which numba compiles much less."""
    for j in range(x.size):
        x[j] = value


@compiled
def copy(x, y):
    """``y[:] = x``, of rows."""
    for i in range(len(x)):
        for j in range(x.shape[1]):
            y[i, j] = x[i, j]


@compiled
def shift_by(x, value):
    """``x += value``."""
    for j in range(x.size):
        x[j] += value


@compiled
def dot(x, y):
    """The sum of products."""
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@compiled
def total(x):
    """The sum."""
    result = x.dtype.type(0)
    for j in range(x.size):
        result += x[j]
    return result


# Inner maps: what a coupling does to the changed half, given its network's output

@compiled
def inner_map(layer, x, out, y, log_det, inverse):
    r"""Additive :math:`y = x + t`; affine :math:`y = x \odot e^s + t`, :math:`s = c\tanh(\hat s/c)`.

    Their inverses are :math:`x - t` and :math:`(x - t) \odot e^{-s}`. ``out`` holds ŝ and t, and is
    left with what the gradient needs: s and the factor.
    """
    m, n = x.shape
    if layer.kind == ADDITIVE:
        sign = x.dtype.type(-1 if inverse else 1)
        for i in range(m):
            for j in range(n):
                y[i, j] = x[i, j] + sign * out[i, j]
        return
    bound = x.dtype.type(layer.bound)
    for i in range(m):
        s, t = out[i], out[m + i]
        for j in range(n):
            s[j] = bound * tanh(s[j] / bound)
        if inverse:
            for j in range(n):
                factor = math.exp(-s[j])
                y[i, j] = (x[i, j] - t[j]) * factor
                t[j] = factor
                log_det[j] -= s[j]
        else:
            for j in range(n):
                factor = math.exp(s[j])
                y[i, j] = x[i, j] * factor + t[j]
                t[j] = factor
                log_det[j] += s[j]


@compiled
def inner_map_back(layer, x, out, y, g, l, inverse):
    """The gradient of the network's output, over ``out``, and of the changed half, over ``g``."""
    m, n = x.shape
    if layer.kind == ADDITIVE:
        sign = x.dtype.type(-1 if inverse else 1)
        for i in range(m):
            for j in range(n):
                out[i, j] = sign * g[i, j]
        return
    bound, one = x.dtype.type(layer.bound), x.dtype.type(1)
    for i in range(m):
        s, factor = out[i], out[m + i]
        for j in range(n):
            moved = g[i, j] * factor[j]
            slope = one - (s[j] / bound) * (s[j] / bound)
            if inverse:
                s[j] = -(g[i, j] * y[i, j] + l[j]) * slope
                factor[j] = -moved
            else:
                s[j] = (moved * x[i, j] + l[j]) * slope
                factor[j] = g[i, j]
            g[i, j] = moved


# Couplings

def coupling(layer, numbers, x, classes, tape, y, log_det, inverse):
    """The kept half passes; with the class it goes through the network, which moves the other.

    Below the rows of every layer of the network stands a row of ones, so that one product with
    the matrix (W b) gives W h + b.
    """
    zero, one = x.dtype.type(0), x.dtype.type(1)
    kept = x[layer.kept:layer.kept + layer.keeps]
    h = tape[:layer.widths[0] + 1]
    copy(kept, h)
    if classes.size:
        fill(h[layer.keeps:].reshape(-1), zero)
        for j in range(classes.size):
            h[layer.keeps + classes[j], j] = one
    row, at = 0, layer.parameters
    for k in range(layer.products):
        a, b = layer.widths[k] + 1, layer.widths[k + 1]
        h, out = tape[row:row + a], tape[row + a:row + a + b]
        fill(h[a - 1], one)
        np.dot(numbers[at:at + b * a].reshape(b, a), h, out)
        if k < layer.products - 1:
            activate(layer.activation, out)
        row, at = row + a, at + b * a
    copy(kept, y[layer.kept:layer.kept + layer.keeps])
    changed = slice(layer.changed, layer.changed + layer.changes)
    inner_map(layer, x[changed], tape[row:row + b], y[changed], log_det, inverse)


def coupling_back(layer, numbers, grads, x, tape, y, g, l, inverse, spare):
    changed = slice(layer.changed, layer.changed + layer.changes)
    row, at = 0, layer.parameters
    for k in range(layer.products):
        a, b = layer.widths[k] + 1, layer.widths[k + 1]
        row, at = row + a, at + b * a
    out = tape[row:row + b]
    inner_map_back(layer, x[changed], out, y[changed], g[changed], l, inverse)
    for k in range(layer.products - 1, -1, -1):
        a, b = layer.widths[k] + 1, layer.widths[k + 1]
        row, at = row - a, at - b * a
        h = tape[row:row + a]
        product = spare[:b * a].reshape(b, a)
        np.dot(out, h.T, product)
        add(grads[at:at + b * a], h.dtype.type(1), product.reshape(-1))
        below = spare[:h.size].reshape(h.shape)
        np.dot(numbers[at:at + b * a].reshape(b, a).T, out, below)
        if k > 0:
            out = h[:-1]
            activate_back(layer.activation, below[:-1], out)
    for i in range(layer.keeps):
        add(g[layer.kept + i], g.dtype.type(1), below[i])


# Elementwise maps, x = shift + scale ⊙ z

@compiled
def shift_and_scale(layer, numbers, features, i):
    """Of feature ``i``."""
    a, b = layer.parameters + i, layer.constants + i
    if layer.kind == SCALING:
        return numbers.dtype.type(0), math.exp(-numbers[a])
    if layer.kind == ACTNORM:
        return -numbers[a], math.exp(-numbers[a + features])
    if layer.kind == STANDARDISE:
        return numbers[b], numbers[b + features]
    return numbers[b], math.sqrt(numbers[b + features] + numbers.dtype.type(layer.epsilon))


def elementwise(layer, numbers, x, classes, tape, y, log_det, inverse):
    log_scale = x.dtype.type(0)
    for i in range(len(x)):
        shift, scale = shift_and_scale(layer, numbers, len(x), i)
        log_scale += math.log(scale)
        if inverse:
            for j in range(x.shape[1]):
                y[i, j] = (x[i, j] - shift) / scale
        else:
            for j in range(x.shape[1]):
                y[i, j] = shift + scale * x[i, j]
    shift_by(log_det, -log_scale if inverse else log_scale)


def elementwise_back(layer, numbers, grads, x, tape, y, g, l, inverse, spare):
    """Batch normalisation has statistics in place of gradients: what `commit` takes over."""
    d = len(x)
    for i in range(d):
        shift, scale = shift_and_scale(layer, numbers, d, i)
        if inverse:
            scale = x.dtype.type(1) / scale
            by_shift, by_log_scale = -scale * total(g[i]), -dot(g[i], y[i]) - total(l)
        else:
            by_shift, by_log_scale = total(g[i]), scale * dot(g[i], x[i]) + total(l)
        if layer.kind == SCALING:
            grads[layer.parameters + i] -= by_log_scale
        elif layer.kind == ACTNORM:
            grads[layer.parameters + i] -= by_shift
            grads[layer.parameters + d + i] -= by_log_scale
        elif layer.kind == BATCHNORM:
            grads[layer.constants + i] += total(x[i])
            for j in range(x.shape[1]):
                grads[layer.constants + d + i] += (x[i, j] - shift) * (x[i, j] - shift)
        for j in range(x.shape[1]):
            g[i, j] *= scale


# The linear map, z = P L (U + diag(s)) x

@compiled
def factors(layer, numbers, d):
    """The signs and logarithms of s, and the matrices L, U (of which half is read) and P."""
    a, b, square = layer.parameters, layer.constants, d * d
    lower = numbers[a + d:a + d + square].reshape(d, d)
    upper = numbers[a + d + square:a + d + 2 * square].reshape(d, d)
    permutation = numbers[b:b + square].reshape(d, d)
    return numbers[b + square:b + square + d], numbers[a:a + d], lower, upper, permutation


def linear(layer, numbers, x, classes, tape, y, log_det, inverse):
    d = len(x)
    sign, log_s, lower, upper, permutation = factors(layer, numbers, d)
    u, v, one = tape[:d], tape[d:2 * d], x.dtype.type(1)
    if inverse:
        for i in range(d):
            scaled(u[i], sign[i] * math.exp(log_s[i]), x[i])
            for k in range(i + 1, d):
                add(u[i], upper[i, k], x[k])
        for i in range(d):
            scaled(v[i], one, u[i])
            for k in range(i):
                add(v[i], lower[i, k], u[k])
        np.dot(permutation, v, y)
        shift_by(log_det, total(log_s))
    else:
        np.dot(permutation.T, x, v)
        for i in range(d):
            scaled(u[i], one, v[i])
            for k in range(i):
                add(u[i], -lower[i, k], u[k])
        for i in range(d - 1, -1, -1):
            scaled(v[i], one, u[i])
            for k in range(i + 1, d):
                add(v[i], -upper[i, k], y[k])
            scaled(y[i], sign[i] * math.exp(-log_s[i]), v[i])
        shift_by(log_det, -total(log_s))


def linear_back(layer, numbers, grads, x, tape, y, g, l, inverse, spare):
    """With u = (U + diag(s)) x and z = P L u, gradients of v = L u over ``v``, and of u over it."""
    d = len(x)
    sign, log_s, lower, upper, permutation = factors(layer, numbers, d)
    _, by_log_s, by_lower, by_upper, _ = factors(layer, grads, d)
    u, v, one = tape[:d], tape[d:2 * d], x.dtype.type(1)
    if inverse:
        np.dot(permutation.T, g, v)
        for i in range(d):
            for k in range(i):
                by_lower[i, k] += dot(v[i], u[k])
        for k in range(d):
            for i in range(k + 1, d):
                add(v[k], lower[i, k], v[i])
        for i in range(d):
            s = sign[i] * math.exp(log_s[i])
            by_log_s[i] += s * dot(v[i], x[i]) + total(l)
            for k in range(i + 1, d):
                by_upper[i, k] += dot(v[i], x[k])
            scaled(g[i], s, v[i])
            for k in range(i):
                add(g[i], upper[k, i], v[k])
    else:
        for k in range(d):
            scaled(v[k], one, g[k])
            for i in range(k):
                add(v[k], -upper[i, k], v[i])
            scaled(g[k], one, v[k])
            scaled(v[k], sign[k] * math.exp(-log_s[k]), g[k])
        for i in range(d):
            by_log_s[i] -= sign[i] * math.exp(log_s[i]) * dot(v[i], y[i]) + total(l)
            for k in range(i + 1, d):
                by_upper[i, k] -= dot(v[i], y[k])
        for k in range(d - 1, -1, -1):
            for i in range(k + 1, d):
                add(v[k], -lower[i, k], v[i])
        for i in range(d):
            for k in range(i):
                by_lower[i, k] -= dot(v[i], u[k])
        np.dot(permutation, v, g)


# Base distributions

@compiled
def base_nll(base, z, g):
    """The sum of the negative log-densities of all points, and over ``g`` its gradient."""
    result, half = 0.0, z.dtype.type(0.5)
    if base == NORMAL:
        constant = z.dtype.type(0.5 * math.log(2 * math.pi))
        for i in range(len(z)):
            for j in range(z.shape[1]):
                result += half * z[i, j] * z[i, j] + constant
                g[i, j] = z[i, j]
    else:
        for i in range(len(z)):
            for j in range(z.shape[1]):
                size = abs(z[i, j])
                result += size + 2 * math.log1p(math.exp(-size))
                g[i, j] = tanh(half * z[i, j])
    return result


# All layers

#: What maps a block through a layer of a kind, and what takes the gradient back.
MAPS = {SCALING: (elementwise, elementwise_back), ACTNORM: (elementwise, elementwise_back),
        STANDARDISE: (elementwise, elementwise_back), BATCHNORM: (elementwise, elementwise_back),
        LINEAR: (linear, linear_back),
        ADDITIVE: (coupling, coupling_back), AFFINE: (coupling, coupling_back)}


def signatures(number):
    """The arguments of both, where the numbers are of this type."""
    row, flag, classes = from_dtype(LAYER), types.boolean, types.int64[::1]
    vector, block = number[::1], number[:, ::1]
    return ((row, vector, block, classes, block, block, vector, flag),
            (row, vector, vector, block, block, block, block, vector, flag, vector))


@lru_cache
def addresses(dtype):
    """Where the compiled functions are, (kinds, 2).

    They are called by address, since numba would compile anew all that it calls by name.
    """
    made = {f: cfunc(types.void(*arguments), **OPTIONS)(f).address
            for pair in set(MAPS.values())
            for f, arguments in zip(pair, signatures(from_dtype(np.dtype(dtype))), strict=True)}
    return np.array([[made[f] for f in MAPS[kind]] for kind in sorted(MAPS)])


@intrinsic
def call(typing, address, arguments):
    """Call the function at an address with a tuple of arguments."""
    number = next(kind.dtype for kind in arguments if isinstance(kind, types.Array))
    if tuple(arguments) not in signatures(number):
        raise TypeError(f"No map of a layer takes {arguments}.")

    def lower(context, builder, signature, values):
        kinds = [context.get_value_type(kind) for kind in arguments]
        function = ir.FunctionType(context.get_value_type(types.none), kinds)
        pointer = builder.inttoptr(values[0], function.as_pointer())
        builder.call(pointer, cgutils.unpack_tuple(builder, values[1]))
        return context.get_dummy_value()

    return types.void(address, arguments), lower


@compiled
def through(maps, layers, numbers, points, classes, states, tape, log_det, inverse, keep):
    """A block through all layers, which are in the order of the direction.

    Parameters
    ----------
    maps : array (kinds, 2)
        See `addresses`.
    points : array (n, features)
    states : array (2 or layers + 1, features, n)
        The points before and after each layer; with ``keep`` all of them.
    tape : array (rows, n)
        Shared by all layers, unless ``keep``.

    Returns
    -------
    int
        Which of the states is the result.
    """
    copy(points.T, states[0])
    fill(log_det, log_det.dtype.type(0))
    for k in range(len(layers)):
        layer = layers[k]
        x, y = (states[k], states[k + 1]) if keep else (states[k % 2], states[(k + 1) % 2])
        rows = tape[layer.tape:] if keep else tape
        call(maps[layer.kind, 0], (layer, numbers, x, classes, rows, y, log_det, inverse))
    return len(layers) if keep else len(layers) % 2


@compiled
def back(maps, layers, numbers, grads, states, tape, g, l, inverse, spare):
    """The gradient of a block's points over ``g``; arguments are as in `through` with ``keep``."""
    for k in range(len(layers) - 1, -1, -1):
        layer = layers[k]
        call(maps[layer.kind, 1], (layer, numbers, grads, states[k], tape[layer.tape:],
                                   states[k + 1], g, l, inverse, spare))


@compiled
def carve(memory, count, d, rows, n):
    """Of a chunk's memory: states, tape, a gradient, two rows, and what is left."""
    a = count * d * n
    b = a + rows * n
    c = b + d * n
    return (memory[:a].reshape(count, d, n), memory[a:b].reshape(rows, n),
            memory[b:c].reshape(d, n), memory[c:c + n], memory[c + n:c + 2 * n],
            memory[c + 2 * n:])


# Chunks: blocks that share memory and a sum of gradients. How many there are depends on the number
# of points alone, so the numbers are the same for any number of threads.

@compiled
def map_chunk(maps, layers, numbers, x, classes, inverse, y, log_det, rows, memory, chunk, chunks):
    blocks = -(-len(x) // BLOCK)
    for b in range(chunk, blocks, chunks):
        part = slice(b * len(x) // blocks, (b + 1) * len(x) // blocks)
        points = x[part]
        states, tape, _, sums, _, _ = carve(memory, 2, x.shape[1], rows, len(points))
        last = through(maps, layers, numbers, points, classes[part], states, tape, sums, inverse, False)
        copy(states[last].T, y[part])
        for j in range(len(sums)):
            log_det[part.start + j] = sums[j]


@compiled
def gradient_chunk(maps, layers, numbers, x, classes, inverse, base, g_y, g_log_det, grads, g_x, rows,
                   memory, chunk, chunks):
    """With ``base`` that of the mean NLL, whose share is returned; else from given gradients."""
    result, blocks, count = 0.0, -(-len(x) // BLOCK), len(layers) + 1
    fill(grads, grads.dtype.type(0))
    for b in range(chunk, blocks, chunks):
        part = slice(b * len(x) // blocks, (b + 1) * len(x) // blocks)
        points = x[part]
        states, tape, g, sums, l, spare = carve(memory, count, x.shape[1], rows, len(points))
        through(maps, layers, numbers, points, classes[part], states, tape, sums, inverse, True)
        if base >= 0:
            result += base_nll(base, states[-1], g)
            share = g.dtype.type(1 / len(x))
            for i in range(len(g)):
                for j in range(len(l)):
                    g[i, j] *= share
            for j in range(len(l)):
                result -= sums[j]
                l[j] = -share
        else:
            copy(g_y[part].T, g)
            for j in range(len(l)):
                l[j] = g_log_det[part.start + j]
        back(maps, layers, numbers, grads, states, tape, g, l, inverse, spare)
        if g_x.size:
            copy(g.T, g_x[part])
    return result / len(x)


@njit(parallel=True, **OPTIONS)
def map_points(maps, layers, numbers, x, classes, inverse, y, log_det, rows, memory):
    """Points through all layers: ``y`` (n, features) and ``log_det`` (n,)."""
    for chunk in prange(len(memory)):
        map_chunk(maps, layers, numbers, x, classes, inverse, y, log_det, rows, memory[chunk], chunk,
                  len(memory))


@njit(parallel=True, **OPTIONS)
def gradients(maps, layers, numbers, x, classes, inverse, base, g_y, g_log_det, grads, g_x, rows, memory):
    """The gradient over ``grads[0]``; see `gradient_chunk`."""
    results = np.empty(len(memory))
    for chunk in prange(len(memory)):
        results[chunk] = gradient_chunk(maps, layers, numbers, x, classes, inverse, base, g_y, g_log_det,
                                        grads[chunk], g_x, rows, memory[chunk], chunk, len(memory))
    return add_up(grads, results)


@compiled
def add_up(grads, results):
    for chunk in range(1, len(grads)):
        add(grads[0], grads.dtype.type(1), grads[chunk])
    result = 0.0
    for chunk in range(len(results)):
        result += results[chunk]
    return result


# The step of a training

@compiled
def norm(gradient):
    result = 0.0
    for i in range(gradient.size):
        result += gradient[i] * gradient[i]
    return math.sqrt(result)


@compiled
def adam(weights, gradient, first, second, rate, decay, count):
    """Adam (arXiv 1412.6980, algorithm 1) for the ``count``-th time, with decoupled decay."""
    kind = weights.dtype.type
    beta1, beta2, epsilon, zero, one = kind(BETA1), kind(BETA2), kind(EPSILON), kind(0), kind(1)
    tiny = kind(1e-37)  # with smaller numbers a processor is far slower
    keep = kind(1 - rate * decay)
    step = kind(rate / (1 - BETA1 ** count))
    scale = kind(1 / math.sqrt(1 - BETA2 ** count))
    for i in range(weights.size):
        m = beta1 * first[i] + (one - beta1) * gradient[i]
        m = m if abs(m) > tiny else zero
        v = beta2 * second[i] + (one - beta2) * gradient[i] * gradient[i]
        v = v if v > tiny else zero
        first[i], second[i] = m, v
        weights[i] = keep * weights[i] - step * m / (scale * math.sqrt(v) + epsilon)


@compiled
def commit(layers, numbers, grads, features, points):
    """Take over the statistics of batch normalisation, see `elementwise_back`."""
    for k in range(len(layers)):
        if layers[k].kind == BATCHNORM:
            at, momentum = layers[k].constants, numbers.dtype.type(layers[k].momentum)
            for i in range(at, at + 2 * features):
                numbers[i] += momentum * (grads[i] / points - numbers[i])


@compiled
def take(layers, features, points, numbers, gradient, first, second, averages, clip, rate, decay,
         count, share):
    """Clip the gradient, then Adam and averages; False without a step where it is not finite."""
    weights, slopes = numbers[:first.size], gradient[:first.size]
    length = norm(slopes)
    if not math.isfinite(length):
        return False
    if 0 < clip < length:
        factor = numbers.dtype.type(clip / length)
        for i in range(slopes.size):
            slopes[i] *= factor
    adam(weights, slopes, first, second, rate, decay, count)
    commit(layers, numbers, gradient, features, points)
    for i in range(numbers.size):
        averages[i] += numbers.dtype.type(share) * (numbers[i] - averages[i])
    return True
