"""Counts of shots in which at most one loss happens: integrals over the time of the loss (Eq. 3).

A shot whose rate changes from `high` to `low` at the time t has Poissonian counts of mean
``high t + low (T - t)``; with a brightness that varies from shot to shot they are gamma-Poissonian
(negative binomial) instead. The integral over t is taken by Gauss-Legendre quadrature: all terms
are positive, so that the far tails keep their relative accuracy.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


# above this mean the probability of no counts at all underflows
_SAFE_MEAN = 600.0


@lru_cache(maxsize=64)
def _legendre(number: int) -> tuple[FloatArray, FloatArray]:
    nodes, weights = np.polynomial.legendre.leggauss(number)
    nodes, weights = (nodes + 1) / 2, weights / 2
    nodes.setflags(write=False)
    weights.setflags(write=False)
    return nodes, weights


def legendre(spread: float, decay: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights on [0, 1] that integrate over a loss to 1e-11, at every count.

    Parameters
    ----------
    spread : float
        Largest difference of the mean counts before and after a loss.
    decay : float
        Largest loss rate times exposure.
    """
    # found by trial for spreads up to 500 and decays up to 60: peaks of a width √spread
    return _legendre(4 * math.ceil((8 + math.sqrt(12.5 * spread + 9 * decay)) / 4))


@njit(cache=True, nogil=True)
def add_counts(mean: float, weight: float, shape: float, out: FloatArray) -> None:
    """Add the distribution of counts with a mean, times a weight, to `out`.

    Parameters
    ----------
    mean, weight : float
    shape : float
        Shape parameter of the gamma distributed brightness; infinite for Poissonian counts.
    out : (max_count + 1,)
        In and out.
    """
    if mean <= 0:
        out[0] += weight
        return
    # in the squared standard deviation, all is exact for brightness that hardly varies
    variance = 1 / shape
    ratio = mean / (1 + variance * mean)
    log_first = -mean if variance == 0 else -math.log1p(variance * mean) * shape
    first = 0
    if log_first < -_SAFE_MEAN:
        # from the most probable count outwards what underflows is negligible
        first = min(int(mean), out.size - 1)
        log_first += first * math.log(ratio) - math.lgamma(first + 1.0)
        for k in range(1, first):
            log_first += math.log1p(variance * k)
    start = weight * math.exp(log_first)
    out[first] += start
    value = start
    for n in range(first + 1, out.size):
        value *= ratio * (1 + variance * (n - 1)) / n
        out[n] += value
    value = start
    for n in range(first, 0, -1):
        value *= n / (ratio * (1 + variance * (n - 1)))
        out[n - 1] += value


@njit(cache=True, nogil=True)
def loss_integrals(
    high: float,
    low: float,
    loss: float,
    exposure: float,
    shape: float,
    nodes: FloatArray,
    weights: FloatArray,
    integral: FloatArray,
    moment: FloatArray,
) -> None:
    """Integrate the counts of shots with one loss over its time t.

    Parameters
    ----------
    high, low : float
        Counts per second before and after the loss.
    loss : float
        Rate (1/s) of all losses before.
    exposure : float
        T, s.
    shape : float
        As in `add_counts`.
    nodes, weights : (k,)
        Of a quadrature on [0, 1].
    integral : (max_count + 1,)
        Out: ``∫ exp(-loss t) P(n; high t + low (T - t)) dt``.
    moment : (max_count + 1,) or (0,)
        Out, unless it is empty: the same with another factor t under the integral.
    """
    integral[:] = 0.0
    moment[:] = 0.0
    poisson = math.isinf(shape)
    finite = 0.0 if poisson else shape
    if poisson and max(high, low) * exposure > _SAFE_MEAN:
        for k in range(nodes.size):
            t = nodes[k] * exposure
            weight = weights[k] * exposure * math.exp(-loss * t)
            mean = high * t + low * (exposure - t)
            add_counts(mean, weight, shape, integral)
            if moment.size:
                add_counts(mean, weight * t, shape, moment)
        return
    value, ratio = np.empty(nodes.size), np.empty(nodes.size)
    _begin(high, low, loss, exposure, shape, nodes, weights, 1.0, value, ratio)
    if moment.size:
        _accumulate(value * nodes * exposure, ratio, poisson, finite, moment)
    _accumulate(value, ratio, poisson, finite, integral)


@njit(cache=True, nogil=True)
def _begin(
    high: float,
    low: float,
    loss: float,
    exposure: float,
    shape: float,
    nodes: FloatArray,
    weights: FloatArray,
    factor: float,
    value: FloatArray,
    ratio: FloatArray,
) -> None:
    """Write the weighted probability of no counts at each node, and what leads from n - 1 to n."""
    poisson = math.isinf(shape)
    for k in range(nodes.size):
        t = nodes[k] * exposure
        mean = high * t + low * (exposure - t)
        if poisson:
            ratio[k] = mean
            none = math.exp(-loss * t - mean)
        else:
            ratio[k] = mean / (mean + shape)
            none = math.exp(-loss * t - shape * math.log1p(mean / shape))
        value[k] = factor * weights[k] * exposure * none


@njit(cache=True, nogil=True, fastmath=True)
def _accumulate(
    value: FloatArray, ratio: FloatArray, poisson: bool, shape: float, out: FloatArray
) -> None:
    """Add the sums over nodes to `out`, from n = 0 upwards; changes `value`.

    With `fastmath`, several nodes at a time: all numbers here are finite, so `shape` must be, too.
    """
    total = 0.0
    for k in range(value.size):
        total += value[k]
    out[0] += total
    for n in range(1, out.size):
        factor = 1.0 / n if poisson else (shape + n - 1) / n
        total = 0.0
        for k in range(value.size):
            value[k] *= ratio[k] * factor
            total += value[k]
        out[n] += total


@njit(cache=True, nogil=True)
def one_loss(
    rates: FloatArray,
    losses: FloatArray,
    exposure: float,
    shape: float,
    nodes: FloatArray,
    weights: FloatArray,
    max_count: int,
) -> FloatArray:
    """Return the distribution of counts (states, max_count + 1); see `one_loss_transitions`."""
    states, number = rates.size, nodes.size
    fastest = 0.0
    for i in range(states):
        fastest = max(fastest, rates[i] * exposure)
    poisson = math.isinf(shape)
    finite = 0.0 if poisson else shape
    if poisson and fastest > _SAFE_MEAN:
        parts = one_loss_transitions(rates, losses, exposure, shape, nodes, weights, max_count)
        return parts.sum(axis=0)
    result = np.zeros((states, max_count + 1))
    value, ratio = np.empty(states * number), np.empty(states * number)
    for i in range(states):
        total = 0.0
        for j in range(i):
            total += losses[i, j]
        add_counts(rates[i] * exposure, math.exp(-total * exposure), shape, result[i])
        # the nodes of all losses from i, one after the other
        used = 0
        for j in range(i):
            if losses[i, j] > 0:
                here = slice(used, used + number)
                _begin(
                    rates[i],
                    rates[j],
                    total,
                    exposure,
                    shape,
                    nodes,
                    weights,
                    losses[i, j],
                    value[here],
                    ratio[here],
                )
                used += number
        if used:
            _accumulate(value[:used], ratio[:used], poisson, finite, result[i])
    return result


@njit(cache=True, nogil=True)
def one_loss_transitions(
    rates: FloatArray,
    losses: FloatArray,
    exposure: float,
    shape: float,
    nodes: FloatArray,
    weights: FloatArray,
    max_count: int,
) -> FloatArray:
    """Return the joint distribution of counts and last atom number, at most one loss in a shot.

    Parameters
    ----------
    rates : (states,)
        Counts per second with i atoms.
    losses : (states, states)
        ``losses[i, j]``: rate of losses from i to j atoms; after a loss there shall be no other.

    Returns
    -------
    (states, states, max_count + 1)
        Probability of n counts and of j atoms at the end, having begun with i: ``[j, i, n]``.
    """
    states = rates.size
    result = np.zeros((states, states, max_count + 1))
    integral, moment = np.empty(max_count + 1), np.empty(0)
    for i in range(states):
        total = losses[i].sum()
        add_counts(rates[i] * exposure, math.exp(-total * exposure), shape, result[i, i])
        for j in range(i):
            if losses[i, j] > 0:
                loss_integrals(
                    rates[i], rates[j], total, exposure, shape, nodes, weights, integral, moment
                )
                result[j, i] = losses[i, j] * integral
    return result
