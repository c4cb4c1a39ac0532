"""Distributions of counts with any number of losses, and their derivatives, by uniformisation.

The chain of `uniformisation`, differentiated step by step: exact derivatives by all parameters in
one pass. Parameters are those of `control_kernels`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# what is left out of the distribution over the number of steps
_LEFT_OUT = 1e-16
_CONSTANT = 1e-9


@njit(cache=True, nogil=True)
def brightness_nodes(variance: float, number: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights for a gamma distribution of mean 1: generalised Gauss-Laguerre.

    By the eigenvalues of the recursion's matrix (Golub and Welsch 1969).
    """
    matrix = np.zeros((number, number))
    for k in range(number):
        matrix[k, k] = 1 + 2 * k * variance
        if k > 0:
            matrix[k, k - 1] = math.sqrt(k * variance * (1 + (k - 1) * variance))
            matrix[k - 1, k] = matrix[k, k - 1]
    values, vectors = np.linalg.eigh(matrix)
    return values, vectors[0] ** 2


@njit(cache=True, nogil=True)
def chain_counts(
    theta: FloatArray,
    atoms: int,
    channels: IntArray,
    bottom: int,
    top: int,
    wanted: NDArray[np.bool_],
    p: FloatArray,
    dp: FloatArray,
) -> None:
    """Fill distributions and derivatives for `bottom` to `top` atoms; see `pure_counts`."""
    for i in range(bottom, top + 1):
        for n in range(p.shape[1]):
            p[i, n] = 0.0
            for k in range(theta.size):
                if wanted[k]:
                    dp[k, i, n] = 0.0
    if theta[-1] < _CONSTANT:
        add_chain(theta, 1.0, 1.0, atoms, channels, bottom, top, wanted, p, dp)
        return
    fastest = 0.0
    for i in range(top + 1):
        fastest = max(fastest, theta[i])
    number = min(16 + int(5 * math.sqrt(theta[-1]) * (1 + math.sqrt(theta[-1]) * fastest)), 80)
    factors, weights = brightness_nodes(theta[-1], number)
    for node in range(number):
        if weights[node] > 1e-18:
            add_chain(
                theta, factors[node], weights[node], atoms, channels, bottom, top, wanted, p, dp
            )


@njit(cache=True, nogil=True)
def add_chain(
    theta: FloatArray,
    factor: float,
    weight: float,
    atoms: int,
    channels: IntArray,
    bottom: int,
    top: int,
    wanted: NDArray[np.bool_],
    p: FloatArray,
    dp: FloatArray,
) -> None:
    """Add distributions and derivatives of one brightness, times its weight."""
    states, bins = top + 1, p.shape[1]
    first = atoms + 2
    total = np.zeros(states)
    for k in range(channels.shape[0]):
        if channels[k, 0] < states:
            total[channels[k, 0]] += theta[first + k]
    fastest = 1e-12
    for i in range(states):
        fastest = max(fastest, factor * theta[i] + total[i])
    # parameters with a derivative, and the lowest atom number that depends on each
    active = np.empty(theta.size, dtype=np.int64)
    lowest = np.empty(theta.size, dtype=np.int64)
    number = 0
    for k in range(theta.size):
        state = -1
        if k < states:
            state = k
        elif first <= k < first + channels.shape[0]:
            state = channels[k - first, 0]
        if wanted[k] and 0 <= state < states:
            active[number] = k
            lowest[number] = state
            number += 1
    now, then = np.zeros((states, bins)), np.zeros((states, bins))
    slope, next_slope = np.zeros((number, states, bins)), np.zeros((number, states, bins))
    for i in range(states):
        now[i, 0] = 1.0
    step = 0
    left = 1.0
    while True:
        chance = math.exp(step * math.log(fastest) - fastest - math.lgamma(step + 1.0))
        known = min(step + 1, bins)
        for i in range(bottom, states):
            for n in range(known):
                p[i, n] += weight * chance * now[i, n]
            for a in range(number):
                if i >= lowest[a]:
                    for n in range(known):
                        dp[active[a], i, n] += weight * chance * slope[a, i, n]
        left -= chance
        step += 1
        if step > fastest and (left < _LEFT_OUT or chance < _LEFT_OUT):
            break
        reach = min(step + 1, bins)
        for i in range(states):
            _advance(theta, factor, i, first, channels, total[i], fastest, reach, now, then)
        for a in range(number):
            for i in range(lowest[a], states):
                _advance(
                    theta,
                    factor,
                    i,
                    first,
                    channels,
                    total[i],
                    fastest,
                    reach,
                    slope[a],
                    next_slope[a],
                )
            _differentiate(
                active[a], lowest[a], factor, first, channels, fastest, reach, now, next_slope[a]
            )
        now, then = then, now
        slope, next_slope = next_slope, slope


@njit(cache=True, nogil=True)
def _advance(
    theta: FloatArray,
    factor: float,
    i: int,
    first: int,
    channels: IntArray,
    total: float,
    fastest: float,
    reach: int,
    now: FloatArray,
    then: FloatArray,
) -> None:
    """One step of the chain that begins with i atoms."""
    count = factor * theta[i] / fastest
    stay = max(1 - count - total / fastest, 0.0)
    then[i, 0] = stay * now[i, 0]
    for n in range(1, reach):
        then[i, n] = stay * now[i, n] + count * now[i, n - 1]
    for k in range(channels.shape[0]):
        if channels[k, 0] == i and theta[first + k] > 0:
            lose = theta[first + k] / fastest
            j = channels[k, 1]
            for n in range(reach):
                then[i, n] += lose * now[j, n]


@njit(cache=True, nogil=True)
def _differentiate(
    parameter: int,
    i: int,
    factor: float,
    first: int,
    channels: IntArray,
    fastest: float,
    reach: int,
    now: FloatArray,
    slope: FloatArray,
) -> None:
    """Add what a parameter changes in the step itself: only where i atoms are present."""
    if parameter < first:
        change = factor / fastest
        slope[i, 0] -= change * now[i, 0]
        for n in range(1, reach):
            slope[i, n] += change * (now[i, n - 1] - now[i, n])
    else:
        change = 1 / fastest
        j = channels[parameter - first, 1]
        for n in range(reach):
            slope[i, n] += change * (now[j, n] - now[i, n])
