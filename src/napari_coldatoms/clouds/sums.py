"""Sums of a Gaussian profile and pixels over a region, in one pass without exponentials.

With the moments ``sum(e**2 dx**i dy**j)``, ``sum(e dx**i dy**j)`` and ``sum(e p dx**i dy**j)`` of
the profile ``e = exp(-(a dx² + 2 b dx dy + c dy²))`` and the pixels ``p``, everything a fit by
least squares needs follows in closed form: sum of squares, gradient, J'J, Hessian. Along a row the
profile comes from a recurrence, so that a pixel costs about two dozen multiplications.

Compiled functions of other modules contain these. numba's cache does not notice when only this
file changes: whoever works on it removes ``__pycache__``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

# reassociation lets the sums of a row run in vector registers; NaN and infinity keep their meaning
_FAST = {"reassoc", "contract", "nsz", "arcp"}
_CUTOFF = 40.0  # exp(-40) = 4e-18 of the peak adds nothing in double precision
_BLOCK = 8


@njit(cache=True, nogil=True, fastmath=_FAST)
def fill_row(
    profile: NDArray[np.float64],
    table: NDArray[np.float64],
    middle: int,
    n: int,
    first: int,
    nearest: int,
    scale: float,
    step: float,
) -> None:
    """Write ``scale * table[k] * exp(step k)``, ``k = first - nearest + i``, for n pixels."""
    powers = np.empty(_BLOCK)
    for i in range(_BLOCK):
        powers[i] = math.exp(step * i)
    jump = math.exp(step * _BLOCK)
    start = first - nearest
    base = scale * math.exp(step * start)
    offset = middle + start
    whole = n - n % _BLOCK
    for i in range(0, whole, _BLOCK):
        for j in range(_BLOCK):
            profile[i + j] = base * powers[j] * table[offset + i + j]
        base *= jump
    for i in range(whole, n):
        profile[i] = base * powers[i - whole] * table[offset + i]


@njit(cache=True, nogil=True, fastmath=_FAST)
def sum_row(
    profile: NDArray[np.float64],
    pixels: NDArray[np.float64],
    n: int,
    dx0: float,
    out: NDArray[np.float64],
) -> None:
    """Write a row's moments with dx^0..4: of e², of e, of e p."""
    s0 = s1 = s2 = s3 = s4 = 0.0
    t0 = t1 = t2 = t3 = t4 = 0.0
    p0 = p1 = p2 = p3 = p4 = 0.0
    for i in range(n):
        dx = dx0 + i
        e = profile[i]
        d2 = dx * dx
        q = e * pixels[i]
        q2 = q * d2
        p0 += q
        p1 += q * dx
        p2 += q2
        p3 += q2 * dx
        p4 += q2 * d2
        e2 = e * e
        f2 = e2 * d2
        s0 += e2
        s1 += e2 * dx
        s2 += f2
        s3 += f2 * dx
        s4 += f2 * d2
        g2 = e * d2
        t0 += e
        t1 += e * dx
        t2 += g2
        t3 += g2 * dx
        t4 += g2 * d2
    out[0, 0], out[0, 1], out[0, 2], out[0, 3], out[0, 4] = s0, s1, s2, s3, s4
    out[1, 0], out[1, 1], out[1, 2], out[1, 3], out[1, 4] = t0, t1, t2, t3, t4
    out[2, 0], out[2, 1], out[2, 2], out[2, 3], out[2, 4] = p0, p1, p2, p3, p4


@njit(cache=True, nogil=True)
def gaussian_table(a: float, reach: int) -> NDArray[np.float64]:
    """Return exp(-a k²) for k = -reach..reach."""
    table = np.empty(2 * reach + 1)
    for k in range(reach + 1):
        value = math.exp(-a * k * k)
        table[reach + k] = value
        table[reach - k] = value
    return table


@njit(cache=True, nogil=True)
def row_span(
    dy: float, x0: float, a: float, b: float, c: float, nx: int
) -> tuple[int, int, int, float, float]:
    """Return the columns of a row where the profile counts, its centre pixel, factor and slope."""
    across = (c - b * b / a) * dy * dy
    if across > _CUTOFF:
        return 0, 0, 0, 0.0, 0.0
    centre = x0 - b * dy / a
    half = math.sqrt((_CUTOFF - across) / a)
    first = max(0.0, math.ceil(centre - half))
    last = min(nx - 1.0, math.floor(centre + half))
    if last < first:
        return 0, 0, 0, 0.0, 0.0
    nearest = math.floor(centre + 0.5)
    delta = nearest - centre
    scale = math.exp(-across - a * delta * delta)
    return int(first), int(last) + 1, int(nearest), scale, -2 * a * delta


@njit(cache=True, nogil=True)
def accumulate(
    pixels: NDArray[np.float64],
    valid: NDArray[np.float64],
    all_valid: bool,
    shape: NDArray[np.float64],
    e2: NDArray[np.float64],
    e1: NDArray[np.float64],
    ep: NDArray[np.float64],
) -> None:
    """Sum the moments of profile and pixels over the region, powers of dx and dy as indices."""
    x0, y0, a, b, c = shape
    ny, nx = pixels.shape
    e2[:] = 0.0
    e1[:] = 0.0
    ep[:] = 0.0
    reach = int(math.sqrt(_CUTOFF / a)) + 2
    table = gaussian_table(a, reach)
    profile = np.empty(nx)
    row = np.empty((3, 5))
    for j in range(ny):
        dy = j - y0
        first, last, nearest, scale, slope = row_span(dy, x0, a, b, c, nx)
        n = last - first
        if n <= 0:
            continue
        fill_row(profile, table, reach, n, first, nearest, scale, slope)
        if not all_valid:
            for i in range(n):
                profile[i] *= valid[j, first + i]
        sum_row(profile, pixels[j, first:last], n, first - x0, row)
        power = 1.0
        for k in range(5):
            for i in range(5 - k):
                e2[i, k] += row[0, i] * power
                e1[i, k] += row[1, i] * power
                ep[i, k] += row[2, i] * power
            power *= dy


@njit(cache=True, nogil=True)
def profile_image(shape: NDArray[np.float64], ny: int, nx: int) -> NDArray[np.float64]:
    """Return exp(-d' M d) on a region of ny rows and nx columns."""
    x0, y0, a, b, c = shape
    out = np.zeros((ny, nx))
    reach = int(math.sqrt(_CUTOFF / a)) + 2
    table = gaussian_table(a, reach)
    for j in range(ny):
        first, last, nearest, scale, slope = row_span(j - y0, x0, a, b, c, nx)
        if last > first:
            fill_row(out[j, first:last], table, reach, last - first, first, nearest, scale, slope)
    return out
