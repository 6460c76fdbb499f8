"""Couplings as compiled loops: the halves, the network, and the inner maps of NICE and RealNVP."""

import math

from flowlab.bijections.fast.networks import network, network_back
from flowlab.bijections.fast.rows import add, compiled, copy, put, tanh
from flowlab.bijections.fast.spline import spline, spline_back
from flowlab.bijections.fast.table import ADDITIVE, SPLINE


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
    if layer.kind == SPLINE:
        spline(layer, x[changed], out, y[changed], log_det, inverse)
    else:
        inner_map(layer, x[changed], out, y[changed], log_det, inverse)


def coupling_back(layer, numbers, grads, x, tape, y, g, g_ld, inverse, spare):
    """Through the inner map into its network, and from there into the kept half."""
    row = layer.products
    for k in range(layer.products):
        row += layer.widths[k]
    changed = slice(layer.changed, layer.changed + layer.changes)
    if layer.kind == SPLINE:
        spline_back(layer, x[changed], tape[row:], g[changed], g_ld, inverse)
    else:
        inner_map_back(layer, x[changed], tape[row:], y[changed], g[changed], g_ld, inverse)
    g_kept = network_back(layer, numbers, grads, tape, row, spare)
    for i in range(layer.keeps):
        add(g[layer.kept + i], g.dtype.type(1), g_kept[i])
