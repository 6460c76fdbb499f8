r"""The steps of Glow on images as compiled loops, with their derivatives.

A step is ActNorm, the 1×1 convolution and the coupling. Images go through in blocks, channels along
rows, the pixels of all images of a block along columns, so a 1×1 convolution is one matrix product.
So is a 3×3 convolution once its inputs, or its outputs, are in the nine places of its kernel,
whichever are few.
"""

from collections.abc import Sequence
from functools import lru_cache, partial

import numpy as np
from numba import from_dtype, get_thread_id, prange, types

from flowlab.bijections.fast.addressed import address, call
from flowlab.bijections.fast.coupling import inner_map, inner_map_back
from flowlab.bijections.fast.rows import add, compiled, copy, entry, put
from flowlab.bijections.fast.table import AFFINE

#: What a step learns, in the order of its numbers: see `STEPS`.
MIX, OFFSET, FIRST, BIAS, MIDDLE, MIDDLE_BIAS, LAST, LAST_BIAS = range(8)

#: What the steps of one level have in common. The numbers of each are these matrices, one after the
#: other, for c channels of which the first half changes, n hidden ones, and p pixels:
#:
#: - ActNorm with the 1×1 convolution: (c, c) and (c, 1);
#: - the first convolution, (n, 9 · kept), with the kernel's places first, and what is added,
#:   (n, 1), or for every pixel and class (n · p, classes);
#: - the middle one, (n, n) and (n, 1);
#: - the last one, (9 · 2 · changed, n), with the places first and turned round, and what is added,
#:   (2 · changed, 1).
STEPS = np.dtype([("shapes", np.int64, (8, 2)), ("height", np.int64), ("width", np.int64),
                  ("bound", np.float64), ("kind", np.int64)])


def level(shapes: Sequence[tuple[int, int]], height: int, width: int, bound: float) -> np.ndarray:
    """The table of a level's steps, of one row."""
    return np.array([(shapes, height, width, bound, AFFINE)], STEPS)


@compiled
def piece(steps, row, number):
    """One of the matrices in a step's numbers."""
    at = 0
    for i in range(number):
        at += steps.shapes[i, 0] * steps.shapes[i, 1]
    a, b = steps.shapes[number, 0], steps.shapes[number, 1]
    return row[at:at + a * b].reshape(a, b)


@compiled
def add_rows(y, x):
    """``y += x``, of all rows."""
    add(y.reshape(-1), y.dtype.type(1), x.reshape(-1))


@compiled
def add_column(y, x):
    """To every row the number in that row of the column."""
    for i in range(len(y)):
        number = x[i, 0]
        for j in range(y.shape[1]):
            y[i, j] += number


@compiled
def add_sums(y, x):
    """To a column the sums of the rows."""
    for i in range(len(x)):
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            total += x[i, j]
        y[i, 0] += total


@compiled
def neighbours(steps, x, columns, back):
    """Every pixel's neighbour at each place of a 3×3 kernel, beyond the border 0, in ``columns``.

    Or ``back``: the columns of every pixel are added to the neighbours they are from, in ``x``.
    """
    height, width, zero = steps.height, steps.width, x.dtype.type(0)
    images = x.shape[1] // (height * width)
    for place in range(9):
        down, right = place // 3 - 1, place % 3 - 1
        shift = (down * width + right) * images
        begin, end = max(0, -shift), x.shape[1] - max(0, shift)
        border = 0 if right < 0 else (width - 1) * images  # has no neighbour there
        for c in range(len(x)):
            here, there = columns[place * len(x) + c], x[c]
            if not back:
                here[:begin] = zero
                here[end:] = zero
                put(here[begin:end], x.dtype.type(1), there[begin + shift:end + shift])
            if right != 0:
                for i in range(border, here.size, width * images):
                    here[i:i + images] = zero
            if back:
                add(there[begin + shift:end + shift], x.dtype.type(1), here[begin:end])


@compiled
def spread(steps, x, memory):
    """The neighbours of every pixel, see `neighbours`."""
    columns = memory[:9 * x.size].reshape(9 * len(x), x.shape[1])
    neighbours(steps, x, columns, False)
    return columns


@compiled
def rectify(h, bias, classes):
    """The activation of a hidden layer with what is added to it, in place."""
    rows, zero = h.reshape(len(bias), h.size // len(bias)), h.dtype.type(0)
    for i in range(len(rows)):
        row, number = rows[i], bias[i, 0]
        if classes.size:
            for j in range(row.size):
                row[j] += bias[i, classes[j]]
        else:
            for j in range(row.size):
                row[j] += number
        for j in range(row.size):
            row[j] = zero if row[j] < zero else row[j]


@compiled
def rectify_back(g, h, g_bias, classes):
    """The gradient of the layer's input in place of its output's."""
    zero = h.dtype.type(0)
    g_flat, h_flat = g.reshape(-1), h.reshape(-1)
    for j in range(g.size):
        g_flat[j] = g_flat[j] if h_flat[j] > zero else zero
    rows = g.reshape(len(g_bias), g.size // len(g_bias))
    if not classes.size:
        add_sums(g_bias, rows)
        return
    for i in range(len(rows)):
        for j in range(rows.shape[1]):
            g_bias[i, classes[j]] += rows[i, j]


@compiled
def step(steps, row, x, classes, tape, y, log_det, memory):
    """One step from ``x`` to ``y``, (c, columns); ``tape`` keeps both hidden layers and the map."""
    n, changed = steps.shapes[MIDDLE, 0], steps.shapes[LAST_BIAS, 0] // 2
    a, b, out = tape[:n], tape[n:2 * n], tape[2 * n:]
    np.dot(piece(steps, row, MIX), x, y)
    add_column(y, piece(steps, row, OFFSET))
    np.dot(piece(steps, row, FIRST), spread(steps, y[changed:], memory), a)
    rectify(a, piece(steps, row, BIAS), classes)
    np.dot(piece(steps, row, MIDDLE), a, b)
    rectify(b, piece(steps, row, MIDDLE_BIAS), classes[:0])
    places = memory[:9 * out.size].reshape(9 * len(out), out.shape[1])
    np.dot(piece(steps, row, LAST), b, places)
    out[:] = out.dtype.type(0)
    neighbours(steps, out, places, True)
    add_column(out, piece(steps, row, LAST_BIAS))
    inner_map(steps, y[:changed], out, y[:changed], log_det, True)


@compiled
def product_back(matrix, grad, x, g, g_x, memory):
    """The gradient of ``x`` in ``matrix @ x``, from that of the product; the matrix's is added.

    ``g_x`` may be ``x``.
    """
    own = memory[:matrix.size].reshape(matrix.shape)
    np.dot(g, x.T, own)
    add_rows(grad, own)
    np.dot(matrix.T, g, g_x)


@compiled
def step_back(steps, row, grads, x, classes, tape, y, g, g_ld, memory):
    """The gradient of ``x`` in place of that of ``y``, ``g``; those of the numbers are added."""
    n, columns = steps.shapes[MIDDLE, 0], x.shape[1]
    changed = len(tape) // 2 - n
    a, b, size = tape[:n], tape[n:2 * n], n * columns
    out = memory[:2 * changed * columns].reshape(2 * changed, columns)
    g_b = memory[out.size:out.size + size].reshape(n, columns)
    g_a = memory[out.size + size:out.size + 2 * size].reshape(n, columns)
    memory = memory[out.size + 2 * size:]

    copy(tape[2 * n:], out)
    inner_map_back(steps, y[:changed], out, y[:changed], g[:changed], g_ld, True)
    add_sums(piece(steps, grads, LAST_BIAS), out)
    places = spread(steps, out, memory)
    free = memory[places.size:]
    product_back(piece(steps, row, LAST), piece(steps, grads, LAST), b, places, g_b, free)
    rectify_back(g_b, b, piece(steps, grads, MIDDLE_BIAS), classes[:0])
    product_back(piece(steps, row, MIDDLE), piece(steps, grads, MIDDLE), a, g_b, g_a, free)
    rectify_back(g_a, a, piece(steps, grads, BIAS), classes)
    places = spread(steps, y[changed:], memory)
    product_back(piece(steps, row, FIRST), piece(steps, grads, FIRST), places, g_a, places, free)
    neighbours(steps, g[changed:], places, True)
    before = memory[:g.size].reshape(g.shape)
    add_sums(piece(steps, grads, OFFSET), g)
    product_back(piece(steps, row, MIX), piece(steps, grads, MIX), x, g, before, memory[g.size:])
    copy(before, g)


@compiled
def turn(steps, x, rows, back):
    """Images, (n, c · pixels), as rows, (c, pixels · n); or ``back``."""
    pixels, n = steps.height * steps.width, len(x)
    for i in range(n):
        for c in range(len(rows)):
            for p in range(pixels):
                if back:
                    x[i, c * pixels + p] = rows[c, p * n + i]
                else:
                    rows[c, p * n + i] = x[i, c * pixels + p]


def chunk(number, chunks, size, table, numbers, grads, x, classes, y, log_det, kept, free, keep,
          back):
    """One chunk of the blocks of ``size`` images, through all steps or ``back``.

    Parameters
    ----------
    table : array of `STEPS`, of one row
    numbers, grads : array, (steps, numbers of a step)
    x, y : array, (images, c · pixels)
        ``y`` becomes the latents; or with ``back`` the gradient of the images, of which it has that
        of the latents.
    classes : array, (images,), or empty
    log_det : array, (images,)
        Or its gradient.
    kept : array, (blocks, m) or (1, m)
        What the way back needs of each block; with one row, it is the chunk's own memory.
    free : array, (m,)
        Memory besides.
    keep, back : bool
    """
    grads[:], steps = numbers.dtype.type(0), table[0]
    blocks, count, c = -(-len(x) // size), len(numbers), steps.shapes[MIX, 0]
    pixels = steps.height * steps.width
    rows = 2 * steps.shapes[MIDDLE, 0] + steps.shapes[LAST_BIAS, 0]
    for b in range(number * blocks // chunks, (number + 1) * blocks // chunks):
        start, stop = b * len(x) // blocks, (b + 1) * len(x) // blocks
        images, n, own = stop - start, pixels * (stop - start), classes[start:stop]
        memory = kept[b * keep]
        end = (count + 1 if keep else 2) * c * n
        states = memory[:end].reshape(end // (c * n), c, n)
        length = (count if keep else 1) * rows * n
        tapes = memory[end:end + length].reshape(length // (rows * n), rows, n)
        by_pixel, spare = free[:n], free[n:]
        if back:
            g, spare = spare[:c * n].reshape(c, n), spare[c * n:]
            turn(steps, y[start:stop], g, False)
            for i in range(n):
                by_pixel[i] = log_det[start + i % images]
            for k in range(count - 1, -1, -1):
                step_back(steps, numbers[k], grads[k], states[k], own, tapes[k], states[k + 1], g,
                          by_pixel, spare)
            turn(steps, y[start:stop], g, True)
            continue
        by_pixel[:] = numbers.dtype.type(0)
        turn(steps, x[start:stop], states[0], False)
        for k in range(count):
            before, after = (k, k + 1) if keep else (k % 2, (k + 1) % 2)
            step(steps, numbers[k], states[before], own, tapes[k * keep], states[after], by_pixel,
                 spare)
        turn(steps, y[start:stop], states[count if keep else count % 2], True)
        log_det[start:stop] = numbers.dtype.type(0)
        for i in range(n):
            log_det[start + i % images] += by_pixel[i]


@lru_cache
def chunk_at(dtype):
    """Where `chunk` is, compiled for such numbers."""
    kind = from_dtype(np.dtype(dtype))
    rows, whole, flag = kind[:, ::1], types.int64, types.boolean
    return address(chunk, whole, whole, whole, from_dtype(STEPS)[::1], rows, rows, rows,
                   whole[::1], rows, kind[::1], rows, kind[::1], flag, flag)


@entry
def run(at, chunks, size, table, numbers, grads, x, classes, y, log_det, kept, free, keep, back):
    """All chunks, one after the other; the gradient is summed in ``grads[0]``."""
    for number in range(chunks):
        call(at, (number, chunks, size, table, numbers, grads[min(number, 1)], x, classes, y,
                  log_det, kept, free[0], keep, back))
        if number > 0:
            add_rows(grads[0], grads[1])


@partial(entry, parallel=True)
def run_on_threads(at, chunks, size, table, numbers, grads, x, classes, y, log_det, kept, free,
                   keep, back):
    """As `run`, but threads share the chunks; each chunk has its gradient."""
    for number in prange(chunks):
        thread = get_thread_id()
        own = kept if keep else kept[thread:thread + 1]
        call(at, (np.int64(number), chunks, size, table, numbers, grads[number], x, classes, y,
                  log_det, own, free[thread], keep, back))
    for number in range(1, len(grads)):
        add_rows(grads[0], grads[number])
