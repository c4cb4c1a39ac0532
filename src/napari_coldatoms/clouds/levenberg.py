"""Levenberg-Marquardt for a Gaussian on a grid.

The shape is described by its centre and by the matrix ``M`` in ``exp(-d' M d)``,
``d = (x-x0, y-y0)``. Unlike radii and an angle, these have no singular point at a round cloud.
Peak and background enter linearly and are eliminated: for every shape they take their best values
(variable projection), so that seeds need neither. Steps are measured in the cloud's own widths, and
``M`` moves by a matrix exponential, which keeps it positive definite. Near the minimum the exact
Hessian takes over from J'J.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.clouds.normal import (
    curvature,
    linear_solution,
    normal_equations,
    positive,
    without_linear,
)
from napari_coldatoms.clouds.sums import accumulate

_TRUST = 1.5  # largest step: the factor exp(1.5) in M, 1.1 w of the centre
_NEWTON = 0.5  # steps below this are near enough for the exact Hessian
_HUGE = 20.0  # largest width, in sizes of the fitted region

CONVERGED, ITERATION_LIMIT, TOO_NARROW, TOO_WIDE, SINGULAR, STUCK = range(6)


@njit(cache=True, nogil=True)
def natural_directions(
    shape: NDArray[np.float64], free_angle: bool, cosine: float, sine: float
) -> NDArray[np.float64]:
    """Return d(x0, y0, a, b, c)/d(step) for steps measured in the cloud's own widths.

    Columns: two of the centre, then of the logarithm of M: three, or with a fixed angle two.
    """
    a, b, c = shape[2], shape[3], shape[4]
    if not free_angle:
        # M is diagonal in the fixed axes
        m1 = a * cosine * cosine + 2 * b * cosine * sine + c * sine * sine
        m2 = a * sine * sine - 2 * b * cosine * sine + c * cosine * cosine
        out = np.zeros((5, 4))
        out[0, 0] = cosine / math.sqrt(m1)
        out[1, 0] = sine / math.sqrt(m1)
        out[0, 1] = -sine / math.sqrt(m2)
        out[1, 1] = cosine / math.sqrt(m2)
        out[2, 2] = m1 * cosine * cosine
        out[3, 2] = m1 * cosine * sine
        out[4, 2] = m1 * sine * sine
        out[2, 3] = m2 * sine * sine
        out[3, 3] = -m2 * cosine * sine
        out[4, 3] = m2 * cosine * cosine
        return out
    l1 = math.sqrt(a)
    l2 = b / l1
    l3 = math.sqrt(c - l2 * l2)
    out = np.zeros((5, 5))
    out[0, 0] = 1 / l1
    out[0, 1] = -l2 / (l1 * l3)
    out[1, 1] = 1 / l3
    out[2, 2] = a
    out[3, 2] = l1 * l2
    out[3, 3] = l1 * l3
    out[4, 2] = l2 * l2
    out[4, 3] = 2 * l2 * l3
    out[4, 4] = l3 * l3
    return out


@njit(cache=True, nogil=True)
def moved(
    shape: NDArray[np.float64],
    step: NDArray[np.float64],
    directions: NDArray[np.float64],
    free_angle: bool,
    cosine: float,
    sine: float,
) -> NDArray[np.float64]:
    """Return the shape after a step; M is moved by an exponential and stays positive definite."""
    a, b, c = shape[2], shape[3], shape[4]
    out = np.empty(5)
    for i in range(2):
        out[i] = shape[i] + directions[i, 0] * step[0] + directions[i, 1] * step[1]
    if not free_angle:
        m1 = (a * cosine * cosine + 2 * b * cosine * sine + c * sine * sine) * math.exp(step[2])
        m2 = (a * sine * sine - 2 * b * cosine * sine + c * cosine * cosine) * math.exp(step[3])
        out[2] = m1 * cosine * cosine + m2 * sine * sine
        out[3] = (m1 - m2) * cosine * sine
        out[4] = m1 * sine * sine + m2 * cosine * cosine
        return out
    # exp of the symmetric matrix [[p, q], [q, r]]
    p, q, r = step[2], step[3], step[4]
    mean, half = (p + r) / 2, (p - r) / 2
    size = math.sqrt(half * half + q * q)
    ratio = math.sinh(size) / size if size > 1e-8 else 1.0
    factor = math.exp(mean)
    e11 = factor * (math.cosh(size) + ratio * half)
    e22 = factor * (math.cosh(size) - ratio * half)
    e12 = factor * ratio * q
    l1 = math.sqrt(a)
    l2 = b / l1
    l3 = math.sqrt(c - l2 * l2)
    out[2] = l1 * l1 * e11
    out[3] = l1 * (l2 * e11 + l3 * e12)
    out[4] = l2 * l2 * e11 + 2 * l2 * l3 * e12 + l3 * l3 * e22
    return out


@njit(cache=True, nogil=True)
def minimise(
    pixels: NDArray[np.float64],
    valid: NDArray[np.float64],
    all_valid: bool,
    start: NDArray[np.float64],
    free_angle: bool,
    theta: float,
    narrowest: float,
    tolerance: float,
    max_iterations: int,
) -> tuple[NDArray[np.float64], float, float, float, int, int]:
    """Fit the Gaussian.

    Parameters
    ----------
    pixels : (ny, nx)
        The region, invalid pixels 0. Should be offset to a background near zero.
    valid : (ny, nx)
        1 for pixels that count, else 0; not looked at where `all_valid`.
    start : (5,)
        x0, y0, a, b, c.
    free_angle, theta
        Whether the angle is fitted; else the axes stay along `theta` (rad).
    narrowest : float
        The 1/e² radius (px) below which there is no cloud.

    Returns
    -------
    shape, peak, background, sum of squares, iterations, status
    """
    ny, nx = pixels.shape
    cosine, sine = math.cos(theta), math.sin(theta)
    count = total = square = 0.0
    for j in range(ny):
        for i in range(nx):
            p = pixels[j, i]
            total += p
            square += p * p
            if not all_valid:
                count += valid[j, i]
    if all_valid:
        count = float(ny * nx)
    widest = _HUGE * max(ny, nx)
    e2, e1, ep = np.zeros((5, 5)), np.zeros((5, 5)), np.zeros((5, 5))
    gram, gradient = np.zeros((7, 7)), np.zeros(7)
    bend, full = np.zeros((6, 6)), np.zeros((7, 7))
    last_step = np.inf
    n = 5 if free_angle else 4
    shape = start.copy()
    accumulate(pixels, valid, all_valid, shape, e2, e1, ep)
    peak, background, rest = linear_solution(e2, e1, ep, count, total, square)
    if not math.isfinite(rest):
        return shape, peak, background, rest, 0, SINGULAR
    rounding = 1e-14 * (square - total * total / count)
    damping = 1e-3
    growth = 4.0
    iterations = 0
    status = ITERATION_LIMIT
    while iterations < max_iterations:
        normal_equations(shape, peak, background, e2, e1, ep, count, gram, gradient)
        directions = natural_directions(shape, free_angle, cosine, sine)
        normal = directions.T @ without_linear(gram) @ directions
        slope = directions.T @ gradient[:5]
        hessian = normal
        newton = False
        if last_step < _NEWTON:
            curvature(shape, peak, background, e2, e1, ep, bend)
            for i in range(6):
                for j in range(6):
                    full[i, j] = gram[i, j] - bend[i, j]
            for i in range(7):
                full[i, 6] = full[6, i] = gram[i, 6]
            exact = directions.T @ without_linear(full) @ directions
            newton = positive(exact, normal)
            if newton:
                hessian = exact
        accepted = False
        while not accepted and iterations < max_iterations:
            iterations += 1
            damped = hessian.copy()
            floor = 0.0
            for i in range(n):
                floor = max(floor, normal[i, i])
            if not floor > 0:
                return shape, peak, background, rest, iterations, SINGULAR
            for i in range(n):
                damped[i, i] += damping * normal[i, i] + 1e-14 * floor
            step = np.linalg.solve(damped, slope)
            longest = 0.0
            for i in range(n):
                longest = max(longest, abs(step[i]))
            if not math.isfinite(longest):
                return shape, peak, background, rest, iterations, SINGULAR
            length = min(longest, _TRUST)
            if longest > _TRUST:
                step *= _TRUST / longest
            trial = moved(shape, step, directions, free_angle, cosine, sine)
            if longest < tolerance:
                # too small to be worth another pass, unless it was cut short at a limit
                if status == ITERATION_LIMIT:
                    status = CONVERGED
                return trial, peak, background, rest, iterations, status
            mean, half = (trial[2] + trial[4]) / 2, (trial[2] - trial[4]) / 2
            split = math.sqrt(half * half + trial[3] * trial[3])
            narrow = math.sqrt(2 / (mean + split))
            determinant = trial[2] * trial[4] - trial[3] * trial[3]
            if not determinant > 1e-10 * mean * mean:
                status = TOO_WIDE
                new_rest = np.inf
            elif narrow < narrowest:
                status = TOO_NARROW
                new_rest = np.inf
            elif math.sqrt(2 * (mean + split) / determinant) > widest:
                status = TOO_WIDE
                new_rest = np.inf
            else:
                accumulate(pixels, valid, all_valid, trial, e2, e1, ep)
                new_peak, new_background, new_rest = linear_solution(
                    e2, e1, ep, count, total, square
                )
                if not math.isfinite(new_rest):
                    status = SINGULAR
            if new_rest <= rest + rounding:
                accepted = True
                last_step = length
                predicted = 0.0
                for i in range(n):
                    predicted += step[i] * (slope[i] + damping * normal[i, i] * step[i])
                gain = (rest - new_rest) / predicted if predicted > 0 else 0.0
                shape = trial
                peak, background, rest = new_peak, new_background, new_rest
                damping = max(
                    damping * (0.1 if gain > 0.75 else (0.4 if gain > 0.25 else 2.0)), 1e-12
                )
                growth = 4.0
                status = ITERATION_LIMIT
                if 0 <= predicted <= 1e-10 * rest and gain < 2:
                    return shape, peak, background, rest, iterations, CONVERGED
            elif newton:
                hessian = normal
                newton = False
            else:
                damping *= growth
                growth *= 2.0
                if damping > 1e12:
                    if status == ITERATION_LIMIT:
                        status = STUCK
                    return shape, peak, background, rest, iterations, status
    return shape, peak, background, rest, iterations, status
