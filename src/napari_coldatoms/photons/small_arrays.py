"""Arithmetic of a few components over bins, and of systems of as many unknowns, compiled.

Loops instead of expressions with arrays: numba compiles them many times faster.

Compiled functions of other files contain these. numba's cache does not notice when only this file
changes: whoever works on it removes ``__pycache__``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# sums may be reordered, which lets several bins be computed at once
FAST = {"reassoc", "contract", "nsz"}
# logs of factorials that are looked up
_FACTORIALS = 1024
_LOG_FACTORIALS = np.array([math.lgamma(h + 1.0) for h in range(_FACTORIALS)])


@njit(cache=True, nogil=True, error_model="numpy")
def log_factorial(h: float) -> float:
    """Return ln Γ(h + 1)."""
    k = int(h)
    if k == h and k < _FACTORIALS:
        return _LOG_FACTORIALS[k]
    return math.lgamma(h + 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def copy(values: Array, out: Array) -> None:
    """Write values into an array of the same length."""
    for i in range(len(out)):
        out[i] = values[i]


@njit(cache=True, nogil=True, error_model="numpy")
def total_of(values: Array) -> float:
    """Return the sum of values."""
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def normalise(values: Array, out: Array) -> None:
    """Write values divided by their sum."""
    total = total_of(values)
    for i in range(len(out)):
        out[i] = values[i] / total


@njit(cache=True, nogil=True, error_model="numpy")
def factorise(matrix: Array, size: int) -> None:
    """Replace the lower triangle of a positive definite matrix by its Cholesky factor.

    The diagonal of the factor holds reciprocals. Where rounding leaves no positive pivot, that
    unknown stays at 0.
    """
    for j in range(size):
        whole = matrix[j, j]
        for k in range(j):
            whole -= matrix[j, k] * matrix[j, k]
        if whole > 1e-15 * matrix[j, j]:
            inverse = 1.0 / math.sqrt(whole)
        else:
            inverse = 0.0
        for i in range(j + 1, size):
            value = matrix[i, j]
            for k in range(j):
                value -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = value * inverse
        matrix[j, j] = inverse


@njit(cache=True, nogil=True, error_model="numpy")
def solve(factor: Array, right: Array, size: int, out: Array) -> None:
    """Solve with the factor of `factorise`."""
    for i in range(size):
        value = right[i]
        for k in range(i):
            value -= factor[i, k] * out[k]
        out[i] = value * factor[i, i]
    for i in range(size - 1, -1, -1):
        value = out[i]
        for k in range(i + 1, size):
            value -= factor[k, i] * out[k]
        out[i] = value * factor[i, i]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def mix(components: Array, weights: Array, bins: int, out: Array) -> None:
    """Write ``Σ_i weights[i] components[i, n]`` for the first `bins` bins."""
    for n in range(bins):
        out[n] = weights[0] * components[0, n]
    for i in range(1, len(weights)):
        for n in range(bins):
            out[n] += weights[i] * components[i, n]


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def dot(components: Array, i: int, values: Array, begin: int, end: int) -> float:
    """Return the sum over bins of one component times values."""
    total = 0.0
    for n in range(begin, end):
        total += components[i, n] * values[n]
    return total
