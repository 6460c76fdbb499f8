"""Scalings and normalisations as compiled loops."""

import math

import numpy as np

from flowlab.bijections.fast.rows import compiled, put
from flowlab.bijections.fast.table import ACTNORM, BATCHNORM, SCALING, STANDARDISE


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
