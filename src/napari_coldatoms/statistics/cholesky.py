"""Small positive definite systems of equations, solved by Cholesky's method, compiled.

Compiled functions of other files contain this one. numba's cache does not notice when only this
file changes: whoever works on it removes ``__pycache__``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def solve(matrix: Array, right: Array, least: float, out: Array) -> bool:
    """Solve a system in place; return whether its matrix is positive definite.

    Parameters
    ----------
    matrix : (n, n)
        Its lower half is read, and overwritten with the factor.
    right : (n,)
    least : float
        What has to be left of each diagonal element, relative to it.
    out : (n,)
        The solution; it may be `right`. Where there is none it is left as it was.
    """
    n = right.size
    for a in range(n):
        for b in range(a + 1):
            total = matrix[a, b]
            for k in range(b):
                total -= matrix[a, k] * matrix[b, k]
            if a == b:
                if not total > least * abs(matrix[a, a]):
                    return False
                matrix[a, a] = math.sqrt(total)
            else:
                matrix[a, b] = total / matrix[b, b]
    for a in range(n):
        total = right[a]
        for k in range(a):
            total -= matrix[a, k] * out[k]
        out[a] = total / matrix[a, a]
    for a in range(n - 1, -1, -1):
        total = out[a]
        for k in range(a + 1, n):
            total -= matrix[k, a] * out[k]
        out[a] = total / matrix[a, a]
    return True
