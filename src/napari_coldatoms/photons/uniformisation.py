"""Counts of shots with any number of losses: a Markov-modulated Poisson process, uniformised.

Atoms and counts together are a Markov chain in continuous time. Seen at the events of a Poisson
process faster than all its rates, it is a chain in discrete time whose probabilities are sums of
products of non-negative numbers: nothing cancels, and the far tails keep their relative accuracy.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# what is left out after the last step, as a probability
_LEFT_OUT = 1e-44


def steps_needed(mean: float) -> int:
    """Return k such that a Poisson variable of this mean exceeds k with a probability below 1e-44.

    By Chernoff's bound ``P(X >= k) <= exp(k - mean - k ln(k / mean))``.
    """
    goal = math.log(_LEFT_OUT)
    low, high = mean, mean + 110.0 + 20.0 * math.sqrt(mean)
    for _ in range(60):
        k = (low + high) / 2
        if k - mean - k * math.log(k / mean) < goal:
            high = k
        else:
            low = k
    return math.ceil(high)


@njit(cache=True, nogil=True)
def uniformised(
    rates: FloatArray,
    losses: FloatArray,
    exposure: float,
    end: FloatArray,
    steps: int,
    max_count: int,
) -> FloatArray:
    """Return the distribution of counts for each initial atom number.

    Parameters
    ----------
    rates : (states,)
        Counts per second with i atoms.
    losses : (states, states)
        ``losses[i, j]``: rate of losses from i to j < i atoms.
    exposure : float
        s.
    end : (states,)
        Weight of each atom number at the end: ones for the distribution of counts alone.
    steps : int
        See `steps_needed`, with the mean ``exposure * max(rates + losses)``.
    max_count : int

    Returns
    -------
    (states, max_count + 1)
    """
    states = rates.size
    total = np.zeros(states)
    for i in range(states):
        total[i] = losses[i].sum()
    fastest = 0.0
    for i in range(states):
        fastest = max(fastest, rates[i] + total[i])
    result = np.zeros((states, max_count + 1))
    now = np.zeros((states, max_count + 1))
    now[:, 0] = end
    if fastest * exposure == 0:
        return now
    then = np.zeros((states, max_count + 1))
    mean = fastest * exposure
    for k in range(steps + 1):
        weight = math.exp(k * math.log(mean) - mean - math.lgamma(k + 1.0))
        known = min(k, max_count) + 1
        for i in range(states):
            for n in range(known):
                result[i, n] += weight * now[i, n]
        reach = min(k + 1, max_count) + 1
        for i in range(states):
            stay = max(1 - (rates[i] + total[i]) / fastest, 0.0)
            count = rates[i] / fastest
            then[i, 0] = stay * now[i, 0]
            for n in range(1, reach):
                then[i, n] = stay * now[i, n] + count * now[i, n - 1]
            for j in range(i):
                if losses[i, j] > 0:
                    lose = losses[i, j] / fastest
                    for n in range(reach):
                        then[i, n] += lose * now[j, n]
        now, then = then, now
    return result
