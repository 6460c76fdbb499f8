"""Networks of couplings as compiled loops."""

import numpy as np

from flowlab.bijections.fast.rows import add, compiled, tanh
from flowlab.bijections.fast.table import ELU, LEAKY_RELU, RELU


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
