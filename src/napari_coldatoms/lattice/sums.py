"""Sums over sites or pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def dot(a: FloatArray, b: FloatArray) -> float:
    """Return the sum of the products of two arrays of one shape."""
    # not by BLAS, whose threads take longer to wake up than the sum takes
    return float(np.einsum("i,i", a.ravel(), b.ravel()))
