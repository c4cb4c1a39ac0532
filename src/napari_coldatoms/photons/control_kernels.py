"""Distributions of control counts and their derivatives by every parameter, compiled.

Time is in units of the exposure here. A vector of parameters holds, in this order:

- mean counts λ_i = r_i T for 0, 1, ... atoms;
- ε, the probability of losing each single atom before counting begins;
- γ_ij T for each channel of losses (i, j), as listed in an array (channels, 2);
- the squared relative standard deviation of the brightness.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.photons.chain_derivatives import chain_counts
from napari_coldatoms.photons.quadrature import add_counts, loss_integrals

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CONSTANT = 1e-9
"""Below this squared standard deviation the brightness is taken as constant."""

# a step for differences by the squared standard deviation of the brightness
_STEP = 1e-4


# loops instead of expressions with arrays: numba compiles them many times faster
@njit(cache=True, nogil=True)
def set_scaled(factor: float, values: FloatArray, out: FloatArray) -> None:
    """Write values times a factor."""
    for n in range(out.size):
        out[n] = factor * values[n]


@njit(cache=True, nogil=True)
def fill_counts(mean: float, variance: float, out: FloatArray) -> None:
    """Write the distribution of counts with a mean and a squared sd of the brightness."""
    for n in range(out.size):  # not 0 times what is there, which may be NaN
        out[n] = 0.0
    add_counts(mean, 1.0, 1 / variance if variance >= CONSTANT else math.inf, out)


@njit(cache=True, nogil=True)
def add_scaled(factor: float, values: FloatArray, out: FloatArray) -> None:
    """Add values times a factor."""
    for n in range(out.size):
        out[n] += factor * values[n]


@njit(cache=True, nogil=True)
def add_difference(factor: float, values: FloatArray, out: FloatArray) -> None:
    """Add ``factor * (values[n - 1] - values[n])``, the derivative of counts by their mean."""
    out[0] -= factor * values[0]
    for n in range(1, out.size):
        out[n] += factor * (values[n - 1] - values[n])


@njit(cache=True, nogil=True)
def one_loss_counts(
    theta: FloatArray,
    atoms: int,
    channels: IntArray,
    nodes: FloatArray,
    weights: FloatArray,
    bottom: int,
    top: int,
    wanted: NDArray[np.bool_],
    p: FloatArray,
    dp: FloatArray,
) -> None:
    """Fill distributions and derivatives where a shot has one loss at most (Eq. 3)."""
    bins = p.shape[1]
    variance = theta[-1]
    shape = 1 / variance if variance >= CONSTANT else math.inf
    # the derivative of a negative binomial by its mean has one more in its shape
    more = 1 + variance if variance >= CONSTANT else 1.0
    counts, integral, moment = np.empty(bins), np.empty(bins), np.empty(bins)
    slope_integral, slope_moment = np.empty(bins), np.empty(bins)
    first = atoms + 2
    for i in range(bottom, top + 1):
        total = 0.0
        for k in range(channels.shape[0]):
            if channels[k, 0] == i:
                total += theta[first + k]
        stay = math.exp(-total)
        fill_counts(theta[i], variance, counts)
        set_scaled(stay, counts, p[i])
        for k in range(first + channels.shape[0]):
            if wanted[k]:
                set_scaled(0.0, counts, dp[k, i])
        for k in range(channels.shape[0]):
            if channels[k, 0] == i and wanted[first + k]:
                set_scaled(-stay, counts, dp[first + k, i])
        if wanted[i]:
            if more > 1:
                fill_counts(theta[i] * more, variance / more, counts)
            add_difference(stay, counts, dp[i, i])
        for k in range(channels.shape[0]):
            if channels[k, 0] != i:
                continue
            j = channels[k, 1]
            loss = theta[first + k]
            loss_integrals(theta[i], theta[j], total, 1.0, shape, nodes, weights, integral, moment)
            add_scaled(loss, integral, p[i])
            for other in range(channels.shape[0]):
                if channels[other, 0] == i and wanted[first + other]:
                    add_scaled(-loss, moment, dp[first + other, i])
            if wanted[first + k]:
                add_scaled(1.0, integral, dp[first + k, i])
            if not (wanted[i] or wanted[j]):
                continue
            if more > 1:
                loss_integrals(
                    theta[i] * more,
                    theta[j] * more,
                    total,
                    1.0,
                    shape + 1,
                    nodes,
                    weights,
                    slope_integral,
                    slope_moment,
                )
            else:
                set_scaled(1.0, integral, slope_integral)
                set_scaled(1.0, moment, slope_moment)
            if wanted[i]:
                add_difference(loss, slope_moment, dp[i, i])
            if wanted[j]:
                add_scaled(-1.0, slope_moment, slope_integral)
                add_difference(loss, slope_integral, dp[j, i])


@njit(cache=True, nogil=True)
def pure_counts(
    theta: FloatArray,
    atoms: int,
    channels: IntArray,
    chain: bool,
    nodes: FloatArray,
    weights: FloatArray,
    bottom: int,
    top: int,
    wanted: NDArray[np.bool_],
    p: FloatArray,
    dp: FloatArray,
) -> None:
    """Fill the distributions of counts for `bottom` to `top` atoms, and their derivatives.

    Parameters
    ----------
    theta : (parameters,)
    atoms : int
        Largest number of atoms.
    channels : (channels, 2)
        Losses from, to.
    chain : bool
        Whether a shot can have several losses.
    nodes, weights : (k,)
        Quadrature on [0, 1] for shots with one loss at most.
    bottom, top : int
        Numbers of atoms that are asked for.
    wanted : (parameters,)
        Derivatives that are asked for; others are left as they are.
    p : (atoms + 1, max_count + 1)
        Out.
    dp : (parameters, atoms + 1, max_count + 1)
        Out.
    """
    if chain:
        # perhaps more atoms than asked for have several losses
        chain = False
        for k in range(channels.shape[0]):
            for after in range(channels.shape[0]):
                if channels[k, 0] <= top and channels[after, 0] == channels[k, 1]:
                    chain = True
    if chain:
        chain_counts(theta, atoms, channels, bottom, top, wanted, p, dp)
    else:
        one_loss_counts(theta, atoms, channels, nodes, weights, bottom, top, wanted, p, dp)
    if wanted[-1]:
        # by differences, one-sided where the brightness is constant
        nothing = np.zeros(theta.size, dtype=np.bool_)
        moved = theta.copy()
        size = _STEP * (theta[-1] + 10 * _STEP)
        low = theta[-1] - size if theta[-1] >= CONSTANT else 0.0
        high = max(theta[-1], CONSTANT) + size
        other = np.empty(p.shape)
        last = theta.size - 1
        for sign in (-1, 1):
            moved[-1] = high if sign > 0 else low
            if chain:
                chain_counts(moved, atoms, channels, bottom, top, nothing, other, dp)
            else:
                one_loss_counts(
                    moved, atoms, channels, nodes, weights, bottom, top, nothing, other, dp
                )
            for i in range(bottom, top + 1):
                if sign < 0:
                    set_scaled(-1 / (high - low), other[i], dp[last, i])
                else:
                    add_scaled(1 / (high - low), other[i], dp[last, i])


@njit(cache=True, nogil=True)
def share(left: int, prepared: int, loss: float) -> tuple[float, float]:
    """Return the probability that so many atoms are left of those prepared; its derivative."""
    number = 1.0
    for k in range(left):
        number *= (prepared - k) / (k + 1.0)
    gone = prepared - left
    value = number * (1 - loss) ** left * loss**gone
    slope = 0.0
    if gone:
        slope += number * gone * (1 - loss) ** left * loss ** (gone - 1)
    if left:
        slope -= number * left * (1 - loss) ** (left - 1) * loss**gone
    return value, slope


@njit(cache=True, nogil=True)
def control_counts(
    theta: FloatArray,
    atoms: int,
    prepared: int,
    active: IntArray,
    p: FloatArray,
    dp: FloatArray,
    c: FloatArray,
    dc: FloatArray,
) -> None:
    """Fill the distribution of a control, whose atoms may be lost one by one before the counting.

    Parameters
    ----------
    theta, atoms, p, dp
        As in `pure_counts`.
    prepared : int
        Number of atoms of this control.
    active : (k,)
        Parameters by which derivatives are taken.
    c : (max_count + 1,)
        Out.
    dc : (k, max_count + 1)
        Out.
    """
    set_scaled(0.0, p[0], c)
    for k in range(active.size):
        set_scaled(0.0, p[0], dc[k])
    for left in range(prepared + 1):
        value, slope = share(left, prepared, theta[atoms + 1])
        add_scaled(value, p[left], c)
        for k in range(active.size):
            if active[k] == atoms + 1:
                add_scaled(slope, p[left], dc[k])
            elif value > 0:
                add_scaled(value, dp[active[k], left], dc[k])
