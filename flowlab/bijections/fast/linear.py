"""Glow's linear map as compiled loops."""

import math

import numpy as np

from flowlab.bijections.fast.rows import add, compiled, copy, put


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
