"""What all compiled loops share: how they are compiled, elementary functions, and rows."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit, types
from numba.extending import overload

# Sums may be taken in any order, but NaN and infinity count.
OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy",
           "fastmath": {"reassoc", "contract", "nsz"}}
#: What the files of this folder are at present. Numba keeps what it compiled under the function's
#: name, and looks for changes in the function's own file only: so the name changes with any file.
PRESENT = hashlib.sha256(b"".join(
    file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()[:12]


def named(function: Callable) -> Callable:
    """The function with a name of its own for the present files."""
    function.__qualname__ = f"{function.__name__}_{PRESENT}"
    return function


def entry(function: Callable, **more: object) -> Callable:
    """The function, to be compiled when it is called first."""
    return njit(**OPTIONS, **more)(named(function))


def compiled(function: Callable) -> Callable:
    """As `entry`, for a function that only other compiled ones call."""
    return entry(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


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


def exp(x):
    """The exponential in compiled code; in float32 a polynomial that becomes vector code."""


EXP = tuple(map(np.float32, (
    1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)))
#: The logarithm of 2 in two parts, and where the exponential neither vanishes nor overflows.
LN2, LN2_REST, LOG2_E, FARTHEST = map(np.float32, (
    0.693359375, -2.12194440e-4, 1 / math.log(2), 87))


@overload(exp)
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def power(x):
        x = FARTHEST if x > FARTHEST else (-FARTHEST if x < -FARTHEST else x)
        n = math.floor(x * LOG2_E + EXP[5])
        r = x - n * LN2 - n * LN2_REST
        p = EXP[0] * r + EXP[1]
        p = (((p * r + EXP[2]) * r + EXP[3]) * r + EXP[4]) * r + EXP[5]
        exponent = np.int32((np.int32(n) + np.int32(127)) << np.int32(23))
        return (p * r * r + r + np.float32(1)) * exponent.view(np.float32)

    return power


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
