"""Gradient, J'J and Hessian of a Gaussian fit from the sums over its pixels."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, nogil=True)
def linear_solution(
    e2: NDArray[np.float64],
    e1: NDArray[np.float64],
    ep: NDArray[np.float64],
    count: float,
    total: float,
    square: float,
) -> tuple[float, float, float]:
    """Return the best peak and background of a shape, and the sum of squares left (inf: none)."""
    spread = e2[0, 0] - e1[0, 0] * e1[0, 0] / count
    if not spread > 1e-10 * e2[0, 0]:
        return 0.0, total / count, np.inf
    peak = (ep[0, 0] - e1[0, 0] * total / count) / spread
    background = (total - peak * e1[0, 0]) / count
    rest = square - total * total / count - peak * peak * spread
    return peak, background, max(rest, 0.0)


@njit(cache=True, nogil=True)
def normal_equations(
    shape: NDArray[np.float64],
    peak: float,
    background: float,
    e2: NDArray[np.float64],
    e1: NDArray[np.float64],
    ep: NDArray[np.float64],
    count: float,
    gram: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """Fill J'J (7×7) and J'r (7) for x0, y0, a, b, c, peak, background."""
    a, b, c = shape[2], shape[3], shape[4]
    # every column is profile × polynomial: coefficients of 1, dx, dy, dx², dx dy, dy²
    px = np.array([0, 1, 0, 2, 1, 0])
    py = np.array([0, 0, 1, 0, 1, 2])
    poly = np.zeros((6, 6))
    poly[0, 1] = 2 * peak * a
    poly[0, 2] = 2 * peak * b
    poly[1, 1] = 2 * peak * b
    poly[1, 2] = 2 * peak * c
    poly[2, 3] = -peak
    poly[3, 4] = -2 * peak
    poly[4, 5] = -peak
    poly[5, 0] = 1.0
    for i in range(6):
        for j in range(i + 1):
            value = 0.0
            for k in range(6):
                if poly[i, k] == 0.0:
                    continue
                for m in range(6):
                    if poly[j, m] != 0.0:
                        value += poly[i, k] * poly[j, m] * e2[px[k] + px[m], py[k] + py[m]]
            gram[i, j] = value
            gram[j, i] = value
        side = 0.0
        slope = 0.0
        for k in range(6):
            if poly[i, k] != 0.0:
                side += poly[i, k] * e1[px[k], py[k]]
                slope += poly[i, k] * (
                    ep[px[k], py[k]] - background * e1[px[k], py[k]] - peak * e2[px[k], py[k]]
                )
        gram[i, 6] = side
        gram[6, i] = side
        gradient[i] = slope
    gram[6, 6] = count
    gradient[6] = 0.0


@njit(cache=True, nogil=True)
def curvature(
    shape: NDArray[np.float64],
    peak: float,
    background: float,
    e2: NDArray[np.float64],
    e1: NDArray[np.float64],
    ep: NDArray[np.float64],
    out: NDArray[np.float64],
) -> None:
    """Fill sum(residual × second derivative of the model) for x0, y0, a, b, c, peak (6×6).

    What J'J lacks to the Hessian. Where the cloud is no Gaussian the residuals are large, and
    without it convergence is slow.
    """
    a, b, c = shape[2], shape[3], shape[4]
    left = ep - background * e1 - peak * e2  # sum(residual e dx**i dy**j)
    # first derivatives of the exponent, as coefficients of dx, dy, dx², dx dy, dy²
    px = np.array([1, 0, 2, 1, 0])
    py = np.array([0, 1, 0, 1, 2])
    poly = np.zeros((5, 5))
    poly[0, 0], poly[0, 1] = -2 * a, -2 * b
    poly[1, 0], poly[1, 1] = -2 * b, -2 * c
    poly[2, 2] = 1.0
    poly[3, 3] = 2.0
    poly[4, 4] = 1.0
    second = np.zeros((5, 5))
    second[0, 0], second[0, 1], second[1, 1] = (
        2 * a * left[0, 0],
        2 * b * left[0, 0],
        2 * c * left[0, 0],
    )
    second[0, 2], second[0, 3] = -2 * left[1, 0], -2 * left[0, 1]
    second[1, 3], second[1, 4] = -2 * left[1, 0], -2 * left[0, 1]
    for i in range(5):
        slope = 0.0
        for k in range(5):
            if poly[i, k] != 0.0:
                slope += poly[i, k] * left[px[k], py[k]]
        out[i, 5] = out[5, i] = -slope
        for j in range(i, 5):
            value = 0.0
            for k in range(5):
                if poly[i, k] == 0.0:
                    continue
                for m in range(5):
                    if poly[j, m] != 0.0:
                        value += poly[i, k] * poly[j, m] * left[px[k] + px[m], py[k] + py[m]]
            out[i, j] = out[j, i] = peak * (value - second[i, j])
    out[5, 5] = 0.0


@njit(cache=True, nogil=True)
def without_linear(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 5×5 matrix of the shape with peak and background eliminated (Schur complement)."""
    inner = matrix[5, 5] * matrix[6, 6] - matrix[5, 6] * matrix[5, 6]
    reduced = np.empty((5, 5))
    for i in range(5):
        u0 = (matrix[6, 6] * matrix[i, 5] - matrix[5, 6] * matrix[i, 6]) / inner
        u1 = (matrix[5, 5] * matrix[i, 6] - matrix[5, 6] * matrix[i, 5]) / inner
        for j in range(5):
            reduced[i, j] = matrix[i, j] - u0 * matrix[j, 5] - u1 * matrix[j, 6]
    return reduced


@njit(cache=True, nogil=True)
def positive(matrix: NDArray[np.float64], margin: NDArray[np.float64]) -> bool:
    """Whether a small symmetric matrix less a tenth of the diagonal of `margin` is positive."""
    n = matrix.shape[0]
    lower = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1):
            value = matrix[i, j]
            if i == j:
                value -= 0.05 * margin[i, i]
            for k in range(j):
                value -= lower[i, k] * lower[j, k]
            if i == j:
                if not value > 0:
                    return False
                lower[i, i] = math.sqrt(value)
            else:
                lower[i, j] = value / lower[j, j]
    return True
