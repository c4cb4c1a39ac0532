"""Values sorted into bins that remember count, mean and scatter, over a range without outliers.

A function of the values is evaluated once per bin, at the mean of the bin's values, while sums of
the values and of their squares stay exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# a tail is this part of the values, and more than one value in any case
_TAIL = 0.005
_TAIL_VALUES = 1.5
# values farther from both tails than this part of their distance are outliers
_REACH = 0.6
_RANGE_BINS = 1024
# values that differ by less than this part of them are equal but for rounding
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Binned:
    """Bins that hold values, in ascending order; values scaled to ``(value - low) / width``.

    Attributes
    ----------
    mean, count, scatter : (k,)
        Mean of the bin's values, sum of their weights, sum of their weighted squared deviations.
    low, width : float
        Lower end and width of the range, in units of the values.
    total : float
        Number of values within the range, or the sum of their weights.
    mean_weight : float
        By which the weights given are divided.
    """

    mean: Array
    count: Array
    scatter: Array
    low: float
    width: float
    total: float
    mean_weight: float


@njit(cache=True, nogil=True)
def extent(values: Array, weights: Array) -> tuple[float, float, int, float]:
    """Return smallest and largest finite value of positive weight, their number, their weight."""
    low, high = np.inf, -np.inf
    number, weight = 0, 0.0
    for i in range(values.size):
        value = values[i]
        w = weights[i] if weights.size else 1.0
        if math.isfinite(value) and w > 0:
            number += 1
            weight += w
            low = min(low, value)
            high = max(high, value)
    return low, high, number, weight


@njit(cache=True, nogil=True)
def robust_range(
    values: Array, weights: Array, low: float, high: float, number: int, weight: float
) -> tuple[float, float]:
    """Return the range of the values without outliers.

    The range reaches from one tail of the distribution to the other (0.5 % of the values each, and
    at least one whole value), and beyond both by 60 % of their distance: ±6 standard deviations of
    normally distributed values. Found from histograms that close in on the bulk.
    """
    tail = weight * max(_TAIL, min(_TAIL_VALUES / number, 0.3))
    counts = np.empty(_RANGE_BINS)
    first, last = low, high
    for _ in range(200):
        counts[:] = 0.0
        if not last - first > _ROUNDING * max(abs(first), abs(last)):
            break
        scale = _RANGE_BINS / (last - first)
        below = above = 0.0
        for i in range(values.size):
            value = values[i]
            w = weights[i] if weights.size else 1.0
            if math.isfinite(value) and w > 0:
                if value < first:
                    below += w
                elif value > last:
                    above += w
                else:
                    counts[min(int((value - first) * scale), _RANGE_BINS - 1)] += w
        left, right = 0, _RANGE_BINS - 1
        sum_left, sum_right = below + counts[0], above + counts[right]
        while sum_left <= tail and left < right:
            left += 1
            sum_left += counts[left]
        while sum_right <= tail and right > left:
            right -= 1
            sum_right += counts[right]
        step = 1 / scale
        reach = _REACH * (right + 1 - left) * step
        new_first = max(first, first + left * step - reach)
        new_last = min(last, first + (right + 1) * step + reach)
        closer = new_last - new_first < 0.5 * (last - first)
        first, last = new_first, new_last
        if not closer:
            return first, last
    # nearly all values are one and the same: nothing is an outlier
    return low, high


@njit(cache=True, nogil=True)
def fill_bins(
    values: Array, weights: Array, low: float, width: float, mean_weight: float, bins: int
) -> tuple[Array, Array, Array]:
    """Return mean, count and scatter of the bins that hold values; weights become 1 on average."""
    count = np.zeros(bins)
    first = np.zeros(bins)
    second = np.zeros(bins)
    for i in range(values.size):
        u = (values[i] - low) / width
        w = weights[i] / mean_weight if weights.size else 1.0
        if u >= 0.0 and u <= 1.0 and w > 0:  # NaN is neither
            b = min(int(u * bins), bins - 1)
            d = u * bins - (b + 0.5)
            count[b] += w
            first[b] += w * d
            second[b] += w * d * d
    k = 0
    for b in range(bins):
        if count[b] > 0:
            d = first[b] / count[b]
            scatter = max(second[b] - d * first[b], 0.0)
            count[k] = count[b]
            first[k] = (b + 0.5 + d) / bins
            second[k] = scatter / (bins * bins)
            k += 1
    return first[:k].copy(), count[:k].copy(), second[:k].copy()


@njit(cache=True, nogil=True)
def scaled_values(
    values: Array, weights: Array, low: float, width: float, mean_weight: float
) -> tuple[Array, Array]:
    """Return the scaled values within the range, and their weights, in the order they come."""
    kept = np.empty(values.size)
    count = np.empty(values.size)
    k = 0
    for i in range(values.size):
        u = (values[i] - low) / width
        w = weights[i] / mean_weight if weights.size else 1.0
        if u >= 0.0 and u <= 1.0 and w > 0:
            kept[k] = u
            count[k] = w
            k += 1
    return kept[:k].copy(), count[:k].copy()


@njit(cache=True, nogil=True)
def moments(mean: Array, count: Array, scatter: Array) -> tuple[float, float]:
    """Return mean and variance of all values."""
    n = m = s = 0.0
    for i in range(mean.size):
        d = mean[i] - m
        total = n + count[i]
        s += scatter[i] + d * d * n * count[i] / total
        m += d * count[i] / total
        n = total
    return m, s / n


@njit(cache=True, nogil=True)
def merge_bins(mean: Array, count: Array, scatter: Array, bins: int) -> tuple[Array, Array, Array]:
    """Return the same values in fewer bins of equal width over 0..1; empty ones are left out."""
    new_mean = np.zeros(bins)
    new_count = np.zeros(bins)
    new_scatter = np.zeros(bins)
    k = -1
    current = -1
    for i in range(mean.size):
        b = min(int(mean[i] * bins), bins - 1)
        if b != current:
            k += 1
            current = b
        total = new_count[k] + count[i]
        d = mean[i] - new_mean[k]
        new_scatter[k] += scatter[i] + d * d * new_count[k] * count[i] / total
        new_mean[k] += d * count[i] / total
        new_count[k] = total
    return new_mean[: k + 1].copy(), new_count[: k + 1].copy(), new_scatter[: k + 1].copy()


def bin_values(values: Array, weights: Array, bins: int) -> Binned:
    """Sort finite values into bins over the range without outliers.

    Parameters
    ----------
    values : (n,)
    weights : (n,) or (0,)
        How much each counts; empty: each counts once.
    bins : int

    Raises
    ------
    ValueError
        If fewer than four values are finite, or all are equal.
    """
    low, high, number, weight = extent(values, weights)
    if number < 4:
        raise ValueError(f"expected at least 4 finite values, found {number}")
    if not high - low > _ROUNDING * max(abs(low), abs(high)):
        raise ValueError(f"expected values that differ, found {number} times {low:.6g}")
    if not math.isfinite(high - low):
        raise ValueError(f"expected values within 1e307 of each other, found {low:g} to {high:g}")
    first, last = robust_range(values, weights, low, high, number, weight)
    mean_weight = weight / number
    width = last - first
    mean, count, scatter = fill_bins(values, weights, first, width, mean_weight, bins)
    return Binned(mean, count, scatter, first, width, float(count.sum()), mean_weight)


def keep_values(values: Array, weights: Array, binned: Binned) -> tuple[Array, Array]:
    """Return the values that were binned, scaled alike, and their weights."""
    return scaled_values(values, weights, binned.low, binned.width, binned.mean_weight)
