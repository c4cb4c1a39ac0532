"""Levenberg-Marquardt for a Gaussian on a grid, in one pass over the pixels per iteration.

The shape is described by its centre and by the matrix ``M`` in ``exp(-d' M d)``,
``d = (x-x0, y-y0)``. Unlike radii and an angle, these have no singular point at a round cloud.
Peak and background enter linearly and are eliminated: for every shape they take their best values
(variable projection), so that seeds need neither. Near the minimum the exact Hessian takes over
from J'J.

With the moments ``sum(e**2 dx**i dy**j)``, ``sum(e dx**i dy**j)`` and ``sum(e p dx**i dy**j)`` of
the profile ``e`` and the pixels ``p``, everything an iteration needs (sum of squares, gradient and
J'J) follows in closed form. Per pixel that is about a dozen multiplications and, by recurrence
along the row, no exponential.
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
_TRUST = 1.5  # largest step: the factor exp(1.5) in M, 1.1 w of the centre
_NEWTON = 0.5  # steps below this are near enough for the exact Hessian
_HUGE = 20.0  # largest width, in sizes of the fitted region

CONVERGED, ITERATION_LIMIT, TOO_NARROW, TOO_WIDE, SINGULAR, STUCK = range(6)


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
    """Write ``scale * exp(-a k**2) * exp(step k)``, ``k = first - nearest + i``, for a row's n pixels."""
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
                # too small to be worth another pass
                return trial, peak, background, rest, iterations, CONVERGED
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
