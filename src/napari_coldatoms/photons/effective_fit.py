"""Atom numbers by the effective likelihood, which knows that controls were counted.

With proportions w' of the controls c_i of N_i shots each, N shots are expected to give (Eq. 8 of
Weyland et al. 2025, arXiv 2412.17434) ::

    µ_n = N Σ_i (w'_i/N_i) c_i(n),    σ²_n = N² Σ_i (w'_i/N_i)² c_i(n).

The likelihood (see `likelihoods`) is not concave in the proportions. It is climbed from several
places, by steps that maximise its slope and the curvature of normal statistics with the variance
µ + σ² under the same bounds as every fit; a step is shortened until it gains what its slope
promises. Nothing certifies that the highest place found is the highest there is.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.photons.least_squares import conditions_of, descend
from napari_coldatoms.photons.likelihoods import effective, slope
from napari_coldatoms.photons.small_arrays import copy, log_factorial

Array = NDArray[np.float64]

_MOST_STEPS = 60
_GAIN = 1e-10  # a step that promises less is not taken
_HALVINGS = 25
# how much of the start every place keeps, so that no bin is expected to be empty
_AWAY_FROM_BOUNDS = 1e-13
# more terms of a sum than that are taken from an integral
_MOST_TERMS = 3000


def maximise_effective(
    occurrences: Array, counts: Array, totals: Array, unmix: Array, start: Array, first: Array
) -> tuple[Array, Array]:
    """Maximise the effective likelihood of many histograms.

    Parameters
    ----------
    occurrences : (b, k)
        Of the histograms.
    counts : (1 or b, atoms, k), totals : (1 or b, atoms)
        Of the controls.
    unmix : (1 or b, atoms, atoms)
        What turns atom numbers into proportions of controls.
    start : (1 or b, atoms)
        Atom numbers with which every bin that a control reaches is expected to have shots.
    first : (b, atoms)
        A place to climb from; others are chosen here.

    Returns
    -------
    weights : (b, atoms), log_likelihood : (b,)
    """
    problems, _ = occurrences.shape
    atoms = counts.shape[1]
    weights, value = np.empty((problems, atoms)), np.empty(problems)
    arrays = (occurrences, counts, totals, unmix, start, first)
    _climb_all(*(np.ascontiguousarray(x, dtype=np.float64) for x in arrays), weights, value)
    return weights, value


@njit(cache=True, nogil=True, error_model="numpy")
def _climb_all(
    occurrences: Array,
    counts: Array,
    totals: Array,
    unmix: Array,
    start: Array,
    first: Array,
    weights: Array,
    value: Array,
) -> None:
    problems, k = occurrences.shape
    atoms = counts.shape[1]
    several = len(counts) > 1
    reached = np.empty((atoms, k))
    h = np.empty(k)
    conditions = np.empty((atoms, k))
    place = np.empty(atoms)
    for b in range(problems):
        s = b if several else 0
        used = np.int64(0)  # a literal 0 would make numba compile what it goes to once more
        for n in range(k):
            most = 0.0
            for i in range(atoms):
                most = max(most, counts[s, i, n])
            if most > 0.0:
                for i in range(atoms):
                    reached[i, used] = counts[s, i, n]
                h[used] = occurrences[b, n]
                used += 1
        components = np.zeros((atoms, used))
        for i in range(atoms):
            for n in range(used):
                for j in range(atoms):
                    components[i, n] += unmix[s, j, i] * reached[j, n] / totals[s, j]
        bounded = conditions_of(components, conditions)
        constant = 0.0
        for n in range(used):
            constant += log_factorial(h[n])
        value[b] = -math.inf
        copy(start[s], weights[b])
        for attempt in range(atoms + 2):
            if attempt == 0:
                copy(first[b], place)
            elif attempt == 1:
                copy(start[s], place)
            else:
                for i in range(atoms):
                    place[i] = 0.3 * start[s, i]
                place[attempt - 2] += 0.7
            found = _climb(
                h, used, reached, totals[s], unmix[s], components, conditions, bounded, start[s],
                place,
            )  # fmt: skip
            if found - constant > value[b]:
                value[b] = found - constant
                copy(place, weights[b])


@njit(cache=True, nogil=True, error_model="numpy")
def _climb(
    h: Array,
    used: int,
    counts: Array,
    totals: Array,
    unmix: Array,
    components: Array,
    conditions: Array,
    bounded: int,
    start: Array,
    w: Array,
) -> float:
    """Improve weights to the top of the hill they are on; return the likelihood there."""
    atoms = len(w)
    mean, variance = np.empty(used), np.empty(used)
    gradient, linear = np.empty(atoms), np.empty(atoms)
    square, room = np.empty((atoms, atoms)), np.empty((atoms, atoms))
    rows, sides = np.empty((5, max(bounded, 1))), np.empty((9, atoms))
    goal, trial, raw = np.empty(atoms), np.empty(atoms), np.empty(atoms)
    shots = 0.0
    for n in range(used):
        shots += h[n]
    for i in range(atoms):
        w[i] = (1.0 - _AWAY_FROM_BOUNDS) * w[i] + _AWAY_FROM_BOUNDS * start[i]
    _moments(shots, used, counts, totals, unmix, w, raw, mean, variance)
    value = _value(h, used, mean, variance)
    if value == -math.inf:
        return value
    for _ in range(_MOST_STEPS):
        # mean and variance are those of w, which was the last to be looked at
        _slopes(h, shots, used, counts, totals, unmix, raw, mean, variance, gradient)
        for i in range(atoms):
            for j in range(i + 1):
                total = 0.0
                for n in range(used):
                    weight = 1.0 / max(mean[n] + variance[n], 0.1)
                    total += components[i, n] * components[j, n] * weight
                square[i, j] = square[j, i] = total * shots * shots
        largest = 0.0
        for i in range(atoms):
            largest = max(largest, square[i, i])
        for i in range(atoms):
            linear[i] = gradient[i]
            for j in range(atoms):
                linear[i] += square[i, j] * w[j]
        for i in range(atoms):
            linear[i] /= largest
            for j in range(atoms):
                square[i, j] /= largest
        copy(start, goal)
        descend(square, linear, conditions, bounded, 1e-14, goal, rows, room, sides)
        promise = 0.0
        for i in range(atoms):
            goal[i] = (1.0 - _AWAY_FROM_BOUNDS) * goal[i] + _AWAY_FROM_BOUNDS * start[i]
            promise += gradient[i] * (goal[i] - w[i])
        if not promise > _GAIN:
            break
        way = 1.0
        better = value
        for _halving in range(_HALVINGS):
            for i in range(atoms):
                trial[i] = w[i] + way * (goal[i] - w[i])
            _moments(shots, used, counts, totals, unmix, trial, raw, mean, variance)
            better = _value(h, used, mean, variance)
            if better >= value + 1e-4 * way * promise:
                break
            way *= 0.5
        if not better > value:
            break
        value = better
        copy(trial, w)
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(
    shots: float,
    used: int,
    counts: Array,
    totals: Array,
    unmix: Array,
    w: Array,
    raw: Array,
    mean: Array,
    variance: Array,
) -> None:
    """Write the weights of the counted controls, and with them mean and variance of each bin."""
    for n in range(used):
        mean[n] = variance[n] = 0.0
    for i in range(len(w)):
        raw[i] = 0.0
        for j in range(len(w)):
            raw[i] += unmix[i, j] * w[j]
        scale = shots * raw[i] / totals[i]
        for n in range(used):
            mean[n] += scale * counts[i, n]
            variance[n] += scale * scale * counts[i, n]


@njit(cache=True, nogil=True, error_model="numpy")
def _value(h: Array, used: int, mean: Array, variance: Array) -> float:
    """Return the likelihood without its constant."""
    value = 0.0
    for n in range(used):
        value += effective(h[n], mean[n], variance[n])
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _slopes(
    h: Array,
    shots: float,
    used: int,
    counts: Array,
    totals: Array,
    unmix: Array,
    raw: Array,
    mean: Array,
    variance: Array,
    out: Array,
) -> None:
    """Write the derivatives of the likelihood by the weights, from what `_moments` wrote."""
    atoms = len(raw)
    by_raw = np.zeros(atoms)
    for n in range(used):
        by_mean, by_variance = _slope_of_bin(h[n], mean[n], variance[n])
        for i in range(atoms):
            if counts[i, n] > 0.0:
                each = shots / totals[i]
                by_raw[i] += counts[i, n] * each * (by_mean + 2.0 * by_variance * each * raw[i])
    for j in range(atoms):
        out[j] = 0.0
        for i in range(atoms):
            out[j] += unmix[i, j] * by_raw[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _slope_of_bin(h: float, mu: float, variance: float) -> tuple[float, float]:
    """Return the derivatives of `effective` by mean and variance."""
    s = variance / mu
    by_mean, by_s = _sums(h, mu, s)
    g = slope(s)
    by_mean -= g
    by_s -= h / (1.0 + s) + mu * _slope_of_slope(s, g) + 1.0 / (1.0 + s)
    return by_mean - by_s * s / mu, by_s / mu


@njit(cache=True, nogil=True, error_model="numpy")
def _slope_of_slope(s: float, g: float) -> float:
    """Return the derivative of ``g = ln(1 + s)/s``."""
    if s < 1e-4:
        return -0.5 + s * (2.0 / 3 - 0.75 * s)
    return (1.0 / (1.0 + s) - g) / s


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(h: float, mu: float, s: float) -> tuple[float, float]:
    """Return ``Σ_{k=1}^{h} 1/(µ + s k)`` and ``Σ k/(µ + s k)``."""
    one = many = 0.0
    if h <= _MOST_TERMS:
        for k in range(1, int(h) + 1):
            inverse = 1.0 / (mu + s * k)
            one += inverse
            many += k * inverse
        return one, many
    if s * h < 1e-3 * mu:
        x = s / mu
        many = h * (h + 1) / 2
        squares, cubes = h * (h + 1) * (2 * h + 1) / 6, many * many
        return (h - x * many + x * x * squares) / mu, (many - x * squares + x * x * cubes) / mu
    # the midpoint rule, and its first correction
    low, high = mu + 0.5 * s, mu + s * (h + 0.5)
    one = math.log1p(s * h / low) / s - s / 24 * (1 / low**2 - 1 / high**2)
    return one, (h - mu * one) / s
