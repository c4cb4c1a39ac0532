"""The most likely weights of a mixture, by a primal-dual interior point method.

The weights w of components p_i(n) maximise ``Σ_n t_n ln f_n`` with ``f = Σ_i w_i p_i``, for shares
t of the shots with n counts, ``w >= 0`` and ``Σ w = 1``. As the likelihood is homogeneous, its
optimum lies where that of ``Σ t ln f - Σ w`` lies, without the constraint on the sum. Optimal are
weights with numbers y_n (one for each bin) and z_i (one for each component) for which ::

    f_n y_n = t_n,    Σ_n p_i(n) y_n + z_i = 1,    w_i z_i = 0,    all of them >= 0.

Newton's steps for these equations, with Mehrotra's predictor and corrector (SIAM J. Optim. 2, 575
(1992)), need one positive definite system of as many unknowns as there are components. That f and y
are unknowns side by side makes the first equation bilinear: no bin is too steep for it (Koenker &
Mizera, J. Am. Stat. Assoc. 109, 674 (2014)). Bins without shots take part where f could become
negative: with ``t_n = 0`` they say that it does not.

Every point carries a certificate, because the likelihood is concave: no weights at all are better
by more than ``max_i Σ_n p_i(n) (t_n / f_n) - 1``, the *gap*; with bins that say ``f_n >= 0``, the
sum includes their y_n in place of t_n / f_n, which are >= 0.

Compiled functions of other files contain these. numba's cache does not notice when only this file
changes: whoever works on it removes ``__pycache__``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.photons.small_arrays import (
    FAST,
    copy,
    dot,
    factorise,
    log_factorial,
    mix,
    normalise,
    solve,
    total_of,
)

Array = NDArray[np.float64]

WRONG_OCCURRENCES, WRONG_COMPONENTS = 1, 2
"""What `climb_all` may find wrong."""

_MOST_STEPS = 80
# steps without progress after which rounding is what stops it, so close to the optimum
PATIENCE = 4
CLOSE = 1e-8
# how much of the way to the nearest bound a step goes at least
_LEAST_WAY = 0.9
# a start keeps this share of equal weights, so that no weight begins on its bound
_AWAY_FROM_BOUNDS = 0.02
TINY = 1e-17


@njit(cache=True, nogil=True, error_model="numpy")
def begin(start: Array, as_given: bool, out: Array) -> None:
    """Write the weights to begin with: as given, or a little towards equal ones."""
    away = 0.0 if as_given else _AWAY_FROM_BOUNDS
    for i in range(len(out)):
        out[i] = (1.0 - away) * start[i] + away / len(out)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _hessian(components: Array, atoms: int, bins: int, d: Array, out: Array) -> None:
    for i in range(atoms):
        for j in range(i + 1):
            total = 0.0
            for n in range(bins):
                total += components[i, n] * components[j, n] * d[n]
            out[i, j] = total


@njit(cache=True, nogil=True, error_model="numpy")
def certificate(
    components: Array,
    weights: Array,
    ratio: Array,
    y: Array,
    filled: int,
    bins: int,
    gradient: Array,
) -> float:
    """Write the gradient ``Σ p_i t / f`` and return the gap of the weights made to sum to 1."""
    total = total_of(weights)
    largest = -math.inf
    for i in range(len(weights)):
        gradient[i] = dot(components, i, ratio, np.int64(0), filled)
        value = gradient[i] * total + dot(components, i, y, filled, bins)
        if value > largest or math.isnan(value):
            largest = value
    return largest - 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def climb(
    components: Array,
    share: Array,
    filled: int,
    bins: int,
    signed: bool,
    tolerance: float,
    w: Array,
    rows: Array,
    square: Array,
    sides: Array,
) -> float:
    """Improve weights until no others can be better by more than the tolerance.

    Parameters
    ----------
    components : (atoms, at least bins)
        The first `filled` bins have shots, those up to `bins` say that f is not negative there.
    share : (at least bins,)
        Share of the shots in each bin, 0 where there are none.
    signed : bool
        Whether components have negative entries.
    tolerance : float
        Of the log-likelihood of one shot.
    w : (atoms,)
        In: weights to begin with, > 0, and f > 0 in all bins. Out: those found, their sum is 1.
    rows : (8, at least bins), square : (atoms, atoms), sides : (8, atoms)
        Room for intermediate values.

    Returns
    -------
    float
        The gap of one shot.
    """
    atoms = len(w)
    f, inverse, ratio, d = rows[0], rows[1], rows[2], rows[3]
    y, df, dy, work = rows[4], rows[5], rows[6], rows[7]
    gradient, z, dw, dz = sides[0], sides[1], sides[2], sides[3]
    right, kept, best = sides[4], sides[5], sides[6]
    conditions = atoms + bins - filled

    mix(components, w, bins, f)
    for n in range(filled):
        ratio[n] = share[n] / f[n]
    for n in range(filled, bins):
        y[n] = 0.0
    gap = certificate(components, w, ratio, y, filled, bins, gradient)
    # feasible from the start: Σ p y + z = 1
    shrink = 1.0 / (1.05 * max(gap + 1.0, 1.0))
    for n in range(filled):
        y[n] = ratio[n] * shrink
    for n in range(filled, bins):
        y[n] = 0.1 / (f[n] * conditions)
    for i in range(atoms):
        z[i] = max(1.0 - dot(components, i, y, np.int64(0), bins), 1e-3)
    copy(w, best)
    best_gap = math.inf
    stalled = 0

    for _ in range(_MOST_STEPS):
        mix(components, w, bins, f)
        if signed:  # cancellation shall not leave the bounds
            for n in range(bins):
                f[n] = max(f[n], TINY)
        for n in range(bins):
            inverse[n] = 1.0 / f[n]
            ratio[n] = share[n] * inverse[n]
            if signed and n < filled:
                y[n] = min(max(y[n], 0.1 * ratio[n]), 10.0 * ratio[n])
            d[n] = y[n] * inverse[n]
        gap = certificate(components, w, ratio, y, filled, bins, gradient)
        stalled += 1
        if gap < best_gap:
            best_gap = gap
            copy(w, best)
            stalled = 0
        # near the optimum, rounding may leave nothing to gain
        if gap <= tolerance or math.isnan(gap) or (best_gap < CLOSE and stalled > PATIENCE):
            break
        _hessian(components, atoms, bins, d, square)
        mu = 0.0
        for i in range(atoms):
            square[i, i] += z[i] / w[i]
            right[i] = gradient[i] - 1.0
            mu += w[i] * z[i]
        for n in range(filled, bins):
            mu += f[n] * y[n]
        mu /= conditions
        factorise(square, atoms)

        # predictor: all the way to the optimum
        solve(square, right, atoms, dw)
        mix(components, dw, bins, df)
        for i in range(atoms):
            dz[i] = -z[i] - z[i] * dw[i] / w[i]
        for n in range(bins):
            dy[n] = ratio[n] - d[n] * df[n] - y[n]
        up, down = _ways(w, dw, z, dz, y, dy, df, inverse, bins, signed)
        up, down = min(up, 1.0), min(down, 1.0)
        ahead = 0.0
        for i in range(atoms):
            ahead += (w[i] + up * dw[i]) * (z[i] + down * dz[i])
        for n in range(filled, bins):
            ahead += (f[n] + up * df[n]) * (y[n] + down * dy[n])
        ahead /= conditions
        # no closer to the bounds than it takes: beyond, systems are solved less exactly
        target = max(min((ahead / mu) ** 3, 1.0) * mu, 0.1 * tolerance / conditions)

        # corrector: what the products of steps make wrong, and towards the middle of the bounds;
        # between bounds of bins as well as of weights, only as far as the steps can be taken
        part = up * down if signed else 1.0
        for n in range(bins):
            work[n] = -part * df[n] * dy[n] * inverse[n]
        for n in range(filled, bins):
            work[n] += target * inverse[n]
        for i in range(atoms):
            kept[i] = (target - part * dw[i] * dz[i]) / w[i]
            right[i] += kept[i] + dot(components, i, work, np.int64(0), bins)
        solve(square, right, atoms, dw)
        mix(components, dw, bins, df)
        for i in range(atoms):
            dz[i] = kept[i] - z[i] - z[i] * dw[i] / w[i]
        for n in range(bins):
            dy[n] = ratio[n] - d[n] * df[n] - y[n] + work[n]
        up, down = _ways(w, dw, z, dz, y, dy, df, inverse, bins, signed)
        way = max(_LEAST_WAY, 1.0 - mu)
        up, down = min(way * up, 1.0), min(way * down, 1.0)
        for i in range(atoms):
            w[i] = max(w[i] + up * dw[i], 1e-300)
            z[i] = max(z[i] + down * dz[i], 1e-300)
        for n in range(bins):
            y[n] = max(y[n] + down * dy[n], 1e-300)

    normalise(best, w)
    return max(best_gap, 0.0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _ways(
    w: Array,
    dw: Array,
    z: Array,
    dz: Array,
    y: Array,
    dy: Array,
    df: Array,
    inverse: Array,
    bins: int,
    signed: bool,
) -> tuple[float, float]:
    """Return how many steps lead to the nearest bound: of w and f, and of z and y."""
    up = down = 0.0
    for i in range(len(w)):
        up = max(up, -dw[i] / w[i])
        down = max(down, -dz[i] / z[i])
    if signed:
        for n in range(bins):
            up = max(up, -df[n] * inverse[n])
    for n in range(bins):
        down = max(down, -dy[n] / y[n])
    return 1.0 / max(up, 1e-9), 1.0 / max(down, 1e-9)


@njit(cache=True, nogil=True, error_model="numpy")
def climb_all(
    occurrences: Array,
    components: Array,
    start: Array,
    keep_positive: bool,
    tolerance: float,
    weights: Array,
    log_likelihood: Array,
    gap: Array,
) -> int:
    """Maximise the likelihood of many histograms, one after the other.

    Parameters
    ----------
    occurrences : (b, k)
    components : (1 or b, atoms, k)
    start : (1 or b, atoms)
    keep_positive : bool
        Whether f stays >= 0 in bins without shots, where components have negative entries.
    tolerance : float
        Of the log-likelihood.
    weights : (b, atoms), log_likelihood : (b or 0,), gap : (b,)
        Out. Bins that no component reaches are left out. Log-likelihoods are computed if there is
        room for them.

    Returns
    -------
    int
        0, or what ended it: `WRONG_OCCURRENCES`, `WRONG_COMPONENTS`.
    """
    problems, k = occurrences.shape
    atoms = components.shape[1]
    valued = len(log_likelihood) > 0
    scaled = np.empty((atoms, k))
    log_scale = np.empty(k)
    low = np.empty(k)
    packed = np.empty((atoms, k))
    share = np.zeros(k)
    rows = np.empty((8, k))
    square = np.empty((atoms, atoms))
    sides = np.empty((8, atoms))
    for b in range(problems):
        anew = b == 0 or len(components) > 1
        if anew and not _scale(components[b], scaled, log_scale, low):
            return WRONG_COMPONENTS
        # literals would make numba compile what they go to once more
        filled = np.int64(0)
        everything = 0.0
        total = 0.0
        signed = k < 0
        value = 0.0
        for n in range(k):
            h = occurrences[b, n]
            if h > 0.0:
                everything += h
                if log_scale[n] == -math.inf:
                    continue
                for i in range(atoms):
                    packed[i, filled] = scaled[i, n]
                share[filled] = h
                filled += 1
                total += h
                if valued:
                    value += h * log_scale[n] - log_factorial(h)
                signed = signed or low[n] < 0.0
            elif h != 0.0:  # negative, or not a number
                return WRONG_OCCURRENCES
        if not 0.0 < everything < math.inf:
            return WRONG_OCCURRENCES
        bins = filled
        if keep_positive:
            for n in range(k):
                if low[n] < 0.0 and not (occurrences[b, n] > 0.0 and log_scale[n] > -math.inf):
                    for i in range(atoms):
                        packed[i, bins] = scaled[i, n]
                    share[bins] = 0.0
                    bins += 1
                    signed = True
        w = weights[b]
        begin(start[b if len(start) > 1 else 0], signed, w)
        if filled == 0:
            gap[b] = 0.0
            if valued:
                log_likelihood[b] = 0.0
            continue
        for n in range(filled):
            share[n] /= total
        aim = max(tolerance / total, 4e-16)
        gap[b] = total * climb(packed, share, filled, bins, signed, aim, w, rows, square, sides)
        if valued:
            f = rows[0]
            mix(packed, w, filled, f)
            for n in range(filled):
                value += total * share[n] * math.log(total * f[n])
            log_likelihood[b] = value - total
    return 0


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(components: Array, scaled: Array, log_scale: Array, lowest: Array) -> bool:
    """Write each bin over its largest entry, the logarithm of that, and the lowest entry.

    Returns whether all entries are finite. The scale of bins that no component reaches is that of
    the lowest entry, its logarithm -inf.
    """
    atoms, k = components.shape
    nothing = 0.0
    for n in range(k):
        high = low = components[0, n]
        nothing += 0.0 * high
        for i in range(1, atoms):
            nothing += 0.0 * components[i, n]
            high = max(high, components[i, n])
            low = min(low, components[i, n])
        lowest[n] = low
        log_scale[n] = math.log(high) if high > 0.0 else -math.inf
        scale = high if high > 0.0 else (-low if low < 0.0 else 1.0)
        for i in range(atoms):
            scaled[i, n] = components[i, n] / scale
    return nothing == 0.0
