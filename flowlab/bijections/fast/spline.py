"""Rational-quadratic splines as compiled loops: the inner map of a spline coupling.

For each of d entries the network's output has K widths, K heights and K - 1 slopes, in the rows i,
i + d, i + 2 d, ... of the tape; below it the tape has ``ROWS`` more for each entry. Loops with few
rows become vector code. The equations are those of `flowlab.bijections.spline`.
"""

import math

from flowlab.bijections.fast.rows import compiled, exp
from flowlab.bijections.spline import LEAST, SLOPE_ONE

#: Of an entry: its bin, the bin's corner and size, the slopes at its ends, its place within.
BIN, LEFT, WIDTH, BOTTOM, HEIGHT, FIRST, LAST, XI, SPARE = range(9)
ROWS = 9


@compiled
def softmax(out, first, step, bins, most, total):
    """The shares of the bins in place of their raw sizes."""
    one = most.dtype.type(1)
    most[:] = out[first]
    for k in range(1, bins):
        row = out[first + k * step]
        for j in range(row.size):
            most[j] = row[j] if row[j] > most[j] else most[j]
    total[:] = most.dtype.type(0)
    for k in range(bins):
        row = out[first + k * step]
        for j in range(row.size):
            row[j] = exp(row[j] - most[j])
            total[j] += row[j]
    for j in range(total.size):
        total[j] = one / total[j]
    for k in range(bins):
        row = out[first + k * step]
        for j in range(row.size):
            row[j] *= total[j]


@compiled
def search(v, out, first, step, bins, start, least, scale, at, lower, edge):
    """The bin of each number, counted from 0, and its lower knot."""
    one, zero = v.dtype.type(1), v.dtype.type(0)
    at[:], lower[:], edge[:] = zero, start, start
    for k in range(bins - 1):
        row = out[first + k * step]
        for j in range(v.size):
            edge[j] += least + scale * row[j]
        for j in range(v.size):
            passed = v[j] >= edge[j]
            at[j] += one if passed else zero
            lower[j] = edge[j] if passed else lower[j]


@compiled
def lower_knot(out, first, step, bins, start, least, scale, at, lower):
    """The lower knot of a known bin."""
    zero = at.dtype.type(0)
    lower[:] = start
    for k in range(bins - 1):
        row, this = out[first + k * step], at.dtype.type(k)
        for j in range(at.size):
            lower[j] += least + scale * row[j] if at[j] > this else zero


@compiled
def piece(layer, v, out, i, d, rows, inverse):
    """Find the bin of each number, and what the spline is there."""
    kind, bins = v.dtype.type, layer.bins
    start, least = kind(-layer.bound), kind(2 * layer.bound * LEAST)
    scale = kind(2 * layer.bound * (1 - LEAST * bins))
    one, widths, heights, slopes = kind(1), i, i + bins * d, i + 2 * bins * d
    for first in (widths, heights):
        softmax(out, first, d, bins, rows[FIRST], rows[LAST])
    at = rows[BIN]
    if inverse:
        search(v, out, heights, d, bins, start, least, scale, at, rows[BOTTOM], rows[SPARE])
        lower_knot(out, widths, d, bins, start, least, scale, at, rows[LEFT])
    else:
        search(v, out, widths, d, bins, start, least, scale, at, rows[LEFT], rows[SPARE])
        lower_knot(out, heights, d, bins, start, least, scale, at, rows[BOTTOM])
    for j in range(v.size):
        k = int(at[j])
        rows[WIDTH, j] = least + scale * out[widths + k * d, j]
        rows[HEIGHT, j] = least + scale * out[heights + k * d, j]
        rows[FIRST, j] = slope_at(out[slopes + (k - 1) * d, j]) if k > 0 else one
        rows[LAST, j] = slope_at(out[slopes + k * d, j]) if k < bins - 1 else one


@compiled
def slope_at(raw):
    """The slope at a knot: a softplus."""
    raw = raw + SLOPE_ONE
    return LEAST + max(raw, 0) + math.log1p(math.exp(-abs(raw)))


@compiled
def spline(layer, x, out, y, log_det, inverse):
    """The splines, or their inverses by the root of a quadratic."""
    d, kind = len(x), x.dtype.type
    one, two, zero, bound = kind(1), kind(2), kind(0), kind(layer.bound)
    sign = -one if inverse else one
    for i in range(d):
        begin = (3 * layer.bins - 1) * d + ROWS * i
        rows = out[begin:begin + ROWS]
        piece(layer, x[i], out, i, d, rows, inverse)
        for j in range(x.shape[1]):
            v = bound if x[i, j] > bound else (-bound if x[i, j] < -bound else x[i, j])
            left, width, bottom, height = (
                rows[LEFT, j], rows[WIDTH, j], rows[BOTTOM, j], rows[HEIGHT, j])
            first, last = rows[FIRST, j], rows[LAST, j]
            s = height / width
            bend = first + last - two * s
            if inverse:
                rise = v - bottom
                a, b = height * (s - first) + rise * bend, height * first - rise * bend
                c = -s * rise
                root = math.sqrt(max(b * b - two * two * a * c, zero))
                xi = (-two * c if b > zero else root - b) / (b + root if b > zero else two * a)
            else:
                xi = (v - left) / width
            rest = xi * (one - xi)
            below = s + bend * rest
            above = last * xi * xi + two * s * rest + first * (one - xi) * (one - xi)
            value = (left + width * xi if inverse else
                     bottom + height * (s * xi * xi + first * rest) / below)
            outside = abs(x[i, j]) > bound
            rows[XI, j] = xi
            y[i, j] = x[i, j] if outside else value
            log_det[j] += zero if outside else sign * math.log(s * s * above / (below * below))


@compiled
def spline_back(layer, x, out, g, g_ld, inverse):
    r"""The gradient of the network's output over that, and of the changed half over ``g``.

    With weights A and C of the spline g and of log g', the gradient of a parameter is
    :math:`A\,\partial g + C\,\partial \log g'`. In the inverse direction these follow from
    :math:`g(z) = x`, where :math:`\partial z = -\partial g / g'`.
    """
    d, bins, kind = len(x), layer.bins, x.dtype.type
    one, two, zero, bound = kind(1), kind(2), kind(0), kind(layer.bound)
    least, scale = kind(2 * layer.bound * LEAST), kind(2 * layer.bound * (1 - LEAST * bins))
    for i in range(d):
        begin = (3 * bins - 1) * d + ROWS * i
        rows = out[begin:begin + ROWS]
        for j in range(x.shape[1]):
            width, height, first, last = (
                rows[WIDTH, j], rows[HEIGHT, j], rows[FIRST, j], rows[LAST, j])
            xi, s = rows[XI, j], height / width
            rest, turn, bend = xi * (one - xi), one - two * xi, first + last - two * s
            below = s + bend * rest
            above = last * xi * xi + two * s * rest + first * (one - xi) * (one - xi)
            part = s * xi * xi + first * rest  # g is bottom + height * part / below
            slope = s * s * above / (below * below)
            by_xi = two * (last * xi + s * turn - first * (one - xi)) / above - (
                two * bend * turn / below)
            outside = abs(x[i, j]) > bound
            c = zero if outside else (-g_ld[j] if inverse else g_ld[j])
            a = zero if outside else g[i, j]
            if inverse:
                a = -(a + c * by_xi / width) / slope
            g_xi = a * width * slope + c * by_xi
            g_s = a * height * (xi * xi * below - part * (one - two * rest)) / (below * below) + (
                c * two * (one / s + rest / above - (one - two * rest) / below))
            g_first = a * height * rest * (below - part) / (below * below) + c * (
                (one - xi) * (one - xi) / above - two * rest / below)
            g_last = -a * height * part * rest / (below * below) + c * (
                xi * xi / above - two * rest / below)
            g_height = a * part / below + g_s / width
            g_width = -(g_s * s + g_xi * xi) / width
            if not outside:
                g[i, j] = -a if inverse else g_xi / width
            # By a raw size, through the softmax, for the bins before this one, for it, and after.
            k = rows[BIN, j]
            for corner, own, after, by_corner, by_own in (
                    (LEFT, WIDTH, XI, -g_xi / width, g_width),
                    (BOTTOM, HEIGHT, SPARE, a, g_height)):
                before, share = rows[corner, j] + bound - k * least, rows[own, j] - least
                mean = by_corner * before + by_own * share
                rows[corner, j], rows[own, j] = scale * by_corner - mean, scale * by_own - mean
                rows[after, j] = -mean
            rows[FIRST, j] = g_first * (one - math.exp(kind(LEAST) - first))
            rows[LAST, j] = g_last * (one - math.exp(kind(LEAST) - last))
        for k in range(bins):
            spread(kind(k), rows[BIN], rows[LEFT], rows[WIDTH], rows[XI], out[i + k * d])
            spread(kind(k), rows[BIN], rows[BOTTOM], rows[HEIGHT], rows[SPARE],
                   out[i + (bins + k) * d])
        for k in range(bins - 1):
            at, row, before, this = rows[BIN], out[i + (2 * bins + k) * d], kind(k + 1), kind(k)
            for j in range(row.size):
                row[j] = rows[LAST, j] if at[j] == this else (
                    rows[FIRST, j] if at[j] == before else zero)


@compiled
def spread(k, at, before, own, after, shares):
    """The gradient of a bin's raw size over its share, for points in any bin."""
    for j in range(shares.size):
        shares[j] *= before[j] if k < at[j] else (own[j] if k == at[j] else after[j])
