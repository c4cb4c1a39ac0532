"""Weights of a mixture by least squares, for comparison: a quadratic problem on the simplex.

The weights w >= 0 with ``Σ w = 1`` minimise ``½ Σ_n (h_n - N f_n)²`` with ``f = Σ_i w_i p_i``. All
that enters is ``G_ij = Σ_n p_i p_j`` and ``c_i = Σ_n p_i h_n / N``; the objective is N² times
``½ wᵀGw - cᵀw`` and a constant. Solved like the likelihood (see `interior_point`), with Mehrotra's
predictor and corrector; the multiplier of ``Σ w = 1`` is eliminated from each system.

The certificate is that of Frank and Wolfe: with the gradient g = Gw - c, no weights are better by
more than ``g·w - min_i g_i``; with conditions ``A w >= 0`` and any y >= 0, ``Aᵀy`` is taken off the
gradient in the second term.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.photons.interior_point import CLOSE, PATIENCE, TINY, begin
from napari_coldatoms.photons.small_arrays import copy, factorise, mix, normalise, solve, total_of

Array = NDArray[np.float64]

_MOST_STEPS = 80
_LEAST_WAY = 0.9


@njit(cache=True, nogil=True, error_model="numpy")
def fit_all(
    occurrences: Array,
    components: Array,
    start: Array,
    keep_positive: bool,
    tolerance: float,
    weights: Array,
    objective: Array,
    gap: Array,
) -> None:
    """Fit many histograms, one after the other.

    Parameters
    ----------
    occurrences : (b, k)
    components : (1 or b, atoms, k)
    start : (1 or b, atoms)
    keep_positive : bool
        Whether f stays >= 0 in bins where components have negative entries.
    tolerance : float
        Of the objective.
    weights : (b, atoms), objective : (b,), gap : (b,)
        Out; the objective is ``-½ Σ (h - N f)²``.
    """
    problems, k = occurrences.shape
    atoms = components.shape[1]
    square = np.empty((atoms, atoms))
    linear = np.empty(atoms)
    conditions = np.empty((atoms, k))
    expected = np.empty(k)
    rows = np.empty((5, k))
    room = np.empty((atoms, atoms))
    sides = np.empty((9, atoms))
    bounded = 0
    scale = 1.0
    for b in range(problems):
        p = components[b if len(components) > 1 else 0]
        if b == 0 or len(components) > 1:
            scale = _products(p, square)
            bounded = conditions_of(p, conditions) if keep_positive else 0
        total = total_of(occurrences[b])
        for i in range(atoms):
            linear[i] = 0.0
            for n in range(k):
                linear[i] += p[i, n] * occurrences[b, n]
            linear[i] /= total * scale
        w = weights[b]
        begin(start[b if len(start) > 1 else 0], bounded > 0, w)
        unit = total * total * scale
        aim = max(tolerance / unit, 4e-16)
        gap[b] = unit * descend(square, linear, conditions, bounded, aim, w, rows, room, sides)
        mix(p, w, k, expected)
        objective[b] = 0.0
        for n in range(k):
            objective[b] -= 0.5 * (occurrences[b, n] - total * expected[n]) ** 2


@njit(cache=True, nogil=True, error_model="numpy")
def _products(components: Array, out: Array) -> float:
    """Write the scalar products of components over the largest of them, which is returned."""
    atoms, k = components.shape
    largest = 0.0
    for i in range(atoms):
        for j in range(atoms):
            out[i, j] = 0.0
            for n in range(k):
                out[i, j] += components[i, n] * components[j, n]
        largest = max(largest, out[i, i])
    if largest == 0.0:
        largest = 1.0
    for i in range(atoms):
        for j in range(atoms):
            out[i, j] /= largest
    return largest


@njit(cache=True, nogil=True, error_model="numpy")
def conditions_of(components: Array, out: Array) -> int:
    """Write the bins with negative entries, each over its lowest; return how many there are."""
    atoms, k = components.shape
    count = 0
    for n in range(k):
        lowest = components[0, n]
        for i in range(1, atoms):
            lowest = min(lowest, components[i, n])
        if lowest < 0.0:
            for i in range(atoms):
                out[i, count] = components[i, n] / -lowest
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def descend(
    square: Array,
    linear: Array,
    conditions: Array,
    bounded: int,
    tolerance: float,
    w: Array,
    rows: Array,
    room: Array,
    sides: Array,
) -> float:
    """Improve weights until no others can be better by more than the tolerance; return the gap.

    Parameters
    ----------
    square : (atoms, atoms), linear : (atoms,)
        G and c, scaled.
    conditions : (atoms, at least bounded)
        What stays >= 0, in the first `bounded` columns.
    w : (atoms,)
        In: weights > 0 that meet the conditions. Out: those found.
    rows : (5, at least bounded), room : (atoms, atoms), sides : (9, atoms)
        Room for intermediate values.
    """
    atoms = len(w)
    s, ds, y, dy, work = rows[0], rows[1], rows[2], rows[3], rows[4]
    gradient, z, dw, dz = sides[0], sides[1], sides[2], sides[3]
    right, kept, ones, v, best = sides[4], sides[5], sides[6], sides[7], sides[8]
    for i in range(atoms):
        ones[i] = 1.0
    copy(w, best)
    best_gap = math.inf
    stalled = 0
    mix(conditions, w, bounded, s)
    for n in range(bounded):
        y[n] = 0.1 / (s[n] * (atoms + bounded))
    for i in range(atoms):
        z[i] = 0.1
    for _ in range(_MOST_STEPS):
        mix(conditions, w, bounded, s)
        for n in range(bounded):  # cancellation shall not leave the bounds
            s[n] = max(s[n], TINY)
        lowest = math.inf
        along = mu = 0.0
        for i in range(atoms):
            gradient[i] = -linear[i]
            for j in range(atoms):
                gradient[i] += square[i, j] * w[j]
            bound = gradient[i]
            for n in range(bounded):
                bound -= conditions[i, n] * y[n]
            lowest = min(lowest, bound)
            along += gradient[i] * w[i]
            mu += w[i] * z[i]
        stalled += 1
        if along - lowest < best_gap:
            best_gap = along - lowest
            copy(w, best)
            stalled = 0
        # near the optimum, rounding may leave nothing to gain
        if best_gap <= tolerance or (best_gap < CLOSE and stalled > PATIENCE):
            break
        for n in range(bounded):
            mu += s[n] * y[n]
        mu /= atoms + bounded
        for i in range(atoms):
            for j in range(i + 1):
                room[i, j] = square[i, j]
                for n in range(bounded):
                    room[i, j] += conditions[i, n] * conditions[j, n] * y[n] / s[n]
            room[i, i] += z[i] / w[i]
        factorise(room, atoms)
        solve(room, ones, atoms, v)
        excess = 1.0 - total_of(w)

        # predictor
        for i in range(atoms):
            right[i] = -gradient[i]
        _step(room, right, v, excess, dw)
        mix(conditions, dw, bounded, ds)
        for i in range(atoms):
            dz[i] = -z[i] - z[i] * dw[i] / w[i]
        for n in range(bounded):
            dy[n] = -y[n] - y[n] * ds[n] / s[n]
        way = min(_way(w, dw, z, dz, atoms), _way(s, ds, y, dy, bounded), 1.0)
        ahead = 0.0
        for i in range(atoms):
            ahead += (w[i] + way * dw[i]) * (z[i] + way * dz[i])
        for n in range(bounded):
            ahead += (s[n] + way * ds[n]) * (y[n] + way * dy[n])
        ahead /= atoms + bounded
        floor = 0.1 * tolerance / (atoms + bounded)
        target = max(min((ahead / mu) ** 3, 1.0) * mu, floor)

        # corrector
        part = way * way
        for n in range(bounded):
            work[n] = (target - part * ds[n] * dy[n]) / s[n]
        for i in range(atoms):
            kept[i] = (target - part * dw[i] * dz[i]) / w[i]
            right[i] += kept[i]
            for n in range(bounded):
                right[i] += conditions[i, n] * work[n]
        _step(room, right, v, excess, dw)
        mix(conditions, dw, bounded, ds)
        for i in range(atoms):
            dz[i] = kept[i] - z[i] - z[i] * dw[i] / w[i]
        for n in range(bounded):
            dy[n] = work[n] - y[n] - y[n] * ds[n] / s[n]
        way = min(_way(w, dw, z, dz, atoms), _way(s, ds, y, dy, bounded))
        way = min(max(_LEAST_WAY, 1.0 - mu) * way, 1.0)
        for i in range(atoms):
            w[i] = max(w[i] + way * dw[i], 1e-300)
            z[i] = max(z[i] + way * dz[i], 1e-300)
        for n in range(bounded):
            y[n] = max(y[n] + way * dy[n], 1e-300)
    normalise(best, w)
    return max(best_gap, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _step(factor: Array, right: Array, inverse_ones: Array, excess: float, out: Array) -> None:
    """Solve the system with the condition that the sum of the step is `excess`."""
    solve(factor, right, len(out), out)
    multiplier = (total_of(out) - excess) / total_of(inverse_ones)
    for i in range(len(out)):
        out[i] -= multiplier * inverse_ones[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _way(x: Array, dx: Array, y: Array, dy: Array, size: int) -> float:
    """Return how many steps lead to the nearest bound."""
    most = 1e-9
    for i in range(size):
        most = max(most, -dx[i] / x[i], -dy[i] / y[i])
    return 1.0 / most
