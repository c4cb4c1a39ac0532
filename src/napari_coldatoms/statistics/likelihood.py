"""The likelihood of two normal components, maximised: expectation-maximisation and Newton steps.

One pass over the bins gives the log-likelihood, the next step of expectation-maximisation (EM) and
the Hessian. EM never lowers the likelihood but crawls where the components overlap; Newton's step
is taken where the Hessian allows it and the likelihood confirms it. To keep a component from
shrinking onto single values, the likelihood carries the penalty of Chen, Tan & Zhang 2008
(Statistica Sinica 18, 443): ``-(s²/v + log(v/s²))/n`` for each component's variance v, with the
variance s² and the number n of all values. It is far below the statistical error elsewhere.

A state is an array (5,): log of the odds ``w1/w0``, means m0, m1, logs of the variances v0, v1.

Compiled functions of `starts` contain these. numba's cache does not notice when only this file
changes: whoever works on it removes ``__pycache__``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.statistics.cholesky import solve

Array = NDArray[np.float64]

# largest Newton step: log odds, means (in the smaller standard deviation), log variances
_STEP_ODDS = 1.5
_STEP_MEAN = 1.0
_STEP_VARIANCE = 1.0
# damping of Newton's step: none below the least, first one, factors, and where EM takes over
_LEAST_DAMPING = 2e-3
_DAMPING = 0.02
_DAMPING_DOWN = 0.4
_DAMPING_UP = 4.0
_MOST_DAMPING = 5.0
# of a diagonal element of the Hessian, where it still has a maximum
_LEAST_PIVOT = 1e-12
# a climb that gains less than this in as many passes has no summit worth reaching
_SLOW_PASSES = 12
_SLOW_GAIN = 2e-2


@njit(cache=True, nogil=True)
def evaluate(
    x: Array, count: Array, scatter: Array, state: Array, sums: Array, curvature: Array
) -> float:
    """Return the log-likelihood; write the sums that EM and Newton steps need.

    Parameters
    ----------
    x, count, scatter : (k,)
        Mean, weight and sum of squared deviations of each bin.
    state : (5,)
    sums : (2, 3)
        Out: for each component the sums of its share r, of ``r (x - m)`` and of ``r (x - m)²``.
    curvature : (5,)
        Out: the moments ``sum(r0 r1 (x - c)^k)``, with c midway between the means.
    """
    odds, m0, m1 = state[0], state[1], state[2]
    v0, v1 = math.exp(state[3]), math.exp(state[4])
    # logs of the weights, without overflow for any odds
    soft = math.log1p(math.exp(-abs(odds)))
    c1 = min(odds, 0.0) - soft - 0.5 * math.log(2 * math.pi * v1)
    c0 = min(-odds, 0.0) - soft - 0.5 * math.log(2 * math.pi * v0)
    h0, h1 = 0.5 / v0, 0.5 / v1
    centre = 0.5 * (m0 + m1)
    log_likelihood = 0.0
    a0 = a1 = a2 = b0 = b1 = b2 = 0.0
    q0 = q1 = q2 = q3 = q4 = 0.0
    for i in range(x.size):
        d0, d1 = x[i] - m0, x[i] - m1
        s0, s1 = d0 * d0, d1 * d1
        l0, l1 = c0 - h0 * s0, c1 - h1 * s1
        e = math.exp(-abs(l1 - l0))
        most = 1 / (1 + e)
        least = e * most
        if l1 > l0:
            r0, r1, top = least, most, l1
        else:
            r0, r1, top = most, least, l0
        n, q = count[i], scatter[i]
        log_likelihood += n * (top + math.log(1 + e)) - q * (r0 * h0 + r1 * h1)
        f0, f1 = n * r0, n * r1
        a0 += f0
        a1 += f0 * d0
        a2 += f0 * s0 + r0 * q
        b0 += f1
        b1 += f1 * d1
        b2 += f1 * s1 + r1 * q
        t = x[i] - centre
        p = f0 * r1
        q0 += p
        p *= t
        q1 += p
        p *= t
        q2 += p
        p *= t
        q3 += p
        q4 += p * t
    sums[0, 0], sums[0, 1], sums[0, 2] = a0, a1, a2
    sums[1, 0], sums[1, 1], sums[1, 2] = b0, b1, b2
    curvature[0], curvature[1], curvature[2], curvature[3], curvature[4] = q0, q1, q2, q3, q4
    return log_likelihood


@njit(cache=True, nogil=True)
def penalty(state: Array, variance: float, total: float) -> float:
    """Return the penalty on small variances."""
    result = 0.0
    for j in range(2):
        ratio = variance * math.exp(-state[3 + j])
        result -= (ratio - math.log(ratio)) / total
    return result


@njit(cache=True, nogil=True)
def expectation_step(state: Array, sums: Array, variance: float, total: float) -> Array:
    """Return the state after one step of expectation-maximisation."""
    new = np.empty(5)
    new[0] = math.log(sums[1, 0] / sums[0, 0])
    for j in range(2):
        n = sums[j, 0]
        shift = sums[j, 1] / n
        spread = max(sums[j, 2] - shift * sums[j, 1], 0.0)
        new[1 + j] = state[1 + j] + shift
        new[3 + j] = math.log((spread + 2 * variance / total) / (n + 2 / total))
    return new


@njit(cache=True, nogil=True)
def newton_step(
    state: Array,
    sums: Array,
    curvature: Array,
    variance: float,
    total: float,
    damping: float,
    step: Array,
) -> float:
    """Write Newton's step and return the gain it promises, or -1 where the Hessian has no maximum.

    Hessian of a mixture's log-likelihood: that of the shares held fixed, plus
    ``sum(r0 r1 δ δ')`` with δ the difference of the components' gradients. The damping times the
    diagonal of its first part is subtracted, as in the method of Levenberg and Marquardt.
    """
    w1 = 1 / (1 + math.exp(-state[0]))
    v = np.exp(state[3:])
    centre = 0.5 * (state[1] + state[2])
    gradient = np.empty(5)
    gradient[0] = sums[1, 0] - (sums[0, 0] + sums[1, 0]) * w1
    hessian = np.zeros((5, 5))
    hessian[0, 0] = (sums[0, 0] + sums[1, 0]) * w1 * (1 - w1)
    # δ as polynomials in x - centre
    delta = np.zeros((5, 3))
    delta[0, 0] = 1.0
    for j in range(2):
        sign = 2.0 * j - 1.0
        m = state[1 + j] - centre
        delta[1 + j, 0] = -sign * m / v[j]
        delta[1 + j, 1] = sign / v[j]
        delta[3 + j, 0] = sign * 0.5 * (m * m / v[j] - 1)
        delta[3 + j, 1] = -sign * m / v[j]
        delta[3 + j, 2] = sign * 0.5 / v[j]
        floor = variance / v[j] / total
        gradient[1 + j] = sums[j, 1] / v[j]
        gradient[3 + j] = 0.5 * (sums[j, 2] / v[j] - sums[j, 0]) + floor - 1 / total
        hessian[1 + j, 1 + j] = sums[j, 0] / v[j]
        hessian[1 + j, 3 + j] = hessian[3 + j, 1 + j] = sums[j, 1] / v[j]
        hessian[3 + j, 3 + j] = 0.5 * sums[j, 2] / v[j] + floor
    for a in range(5):
        hessian[a, a] *= 1 + damping
        for b in range(5):
            for k in range(3):
                for m in range(3):
                    hessian[a, b] -= delta[a, k] * delta[b, m] * curvature[k + m]
    if not solve(hessian, gradient, _LEAST_PIVOT, step):
        return -1.0
    gain = 0.0
    for a in range(5):
        gain += 0.5 * gradient[a] * step[a]
    smaller = math.sqrt(min(v[0], v[1]))
    longest = max(
        abs(step[0]) / _STEP_ODDS,
        max(abs(step[1]), abs(step[2])) / (_STEP_MEAN * smaller),
        max(abs(step[3]), abs(step[4])) / _STEP_VARIANCE,
    )
    if longest > 1:
        for a in range(5):
            step[a] /= longest
    return gain


@njit(cache=True, nogil=True)
def maximise(
    x: Array,
    count: Array,
    scatter: Array,
    start: Array,
    variance: float,
    total: float,
    tolerance: float,
    passes: int,
) -> tuple[Array, float]:
    """Climb to the maximum of the penalised likelihood next to a start.

    Parameters
    ----------
    x, count, scatter : (k,)
        The bins; single values are bins without scatter.
    start : (5,)
    variance, total : float
        Variance and number of all values, for the penalty.
    tolerance : float
        Stop once the next step promises to gain less than this in log-likelihood, or where the
        likelihood is nearly flat.
    passes : int
        Stop after this many passes over the bins.

    Returns
    -------
    state : (5,)
    log_likelihood : float
        Penalised, of the last state evaluated; -inf where a component lost all its values.
    """
    state, trial = start.copy(), start.copy()
    sums, trial_sums = np.empty((2, 3)), np.empty((2, 3))
    curvature, trial_curvature = np.empty(5), np.empty(5)
    step = np.empty(5)
    best = -np.inf
    damping = 0.0
    expected = False
    earlier = -np.inf
    for number in range(passes):
        value = evaluate(x, count, scatter, trial, trial_sums, trial_curvature)
        value += penalty(trial, variance, total)
        if value >= best and min(trial_sums[0, 0], trial_sums[1, 0]) >= 1.0:
            state, trial = trial, state
            sums, trial_sums = trial_sums, sums
            curvature, trial_curvature = trial_curvature, curvature
            best = value
            damping = damping * _DAMPING_DOWN if damping > _LEAST_DAMPING else 0.0
        elif best == -np.inf:
            return state, best
        elif expected:  # nothing is left to gain but rounding errors
            break
        else:
            damping = max(_DAMPING, damping * _DAMPING_UP)
        if number % _SLOW_PASSES == 0:
            if best - earlier < _SLOW_GAIN:
                break
            earlier = best
        gain = -1.0
        while gain < 0 and damping <= _MOST_DAMPING:
            gain = newton_step(state, sums, curvature, variance, total, damping, step)
            if gain < 0:
                damping = max(_DAMPING, damping * _DAMPING_UP)
        expected = gain < 0
        if expected:
            trial = expectation_step(state, sums, variance, total)
            damping = _MOST_DAMPING
        else:
            trial = state + step
            if gain < tolerance:
                return trial, best
    return state, best
