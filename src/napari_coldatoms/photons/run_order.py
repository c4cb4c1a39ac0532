"""What the order of shots tells: correlations, drifts, and blocks that keep them together."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def correlations(values: FloatArray) -> FloatArray:
    """Return the correlation of values with those so many shots later, from 0 on.

    By the sums of the whole series, divided by their number: so they are a positive sequence.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    deviation = values - values.mean()
    size = next_fast_len(2 * len(values))
    power = np.abs(rfft(deviation, size)) ** 2
    sums = irfft(power, size)[: len(values)]
    return sums / sums[0]


def best_block(rho: FloatArray, shots: int) -> int:
    """Return the length of moving blocks that resample the mean with the least error.

    By the rule of Politis and White 2004 (Econometric Reviews 23, 53), as corrected by Patton,
    Politis and White 2009, for blocks of one length: correlations are summed up to twice the lag
    after which they are as small as those of independent shots.

    Parameters
    ----------
    rho : (lags,)
        Correlations, from lag 0 on.
    shots : int

    Returns
    -------
    int
        1 for independent shots, and never above a fifth of the shots.
    """
    logarithm = math.log10(max(shots, 10))
    few = max(5, math.ceil(math.sqrt(logarithm)))
    limit = 2 * math.sqrt(logarithm / shots)
    most = min(len(rho) - 1, math.ceil(math.sqrt(shots)) + few)
    small = np.abs(rho[1 : most + 1]) < limit
    last = most
    for lag in range(len(small)):
        if small[lag : lag + few].all():
            last = lag
            break
    if last == 0:
        return 1
    reach = min(2 * last, most)
    lags = np.arange(1, reach + 1)
    weights = np.minimum(1.0, 2 * (1 - lags / reach)) if reach > 1 else np.ones(1)
    weighted = weights * rho[1 : reach + 1]
    slope, density = 2 * float(lags @ weighted), 1 + 2 * float(weighted.sum())
    if density <= 0 or slope == 0:
        return 1
    block = (2 * slope**2 / (4 / 3 * density**2)) ** (1 / 3) * shots ** (1 / 3)
    return max(1, min(math.ceil(block), shots // 5))


def trend(values: FloatArray) -> tuple[float, float]:
    """Return the change of the mean from first to last shot, by a straight line, and its p-value.

    The p-value is that of independent shots, two-sided, by the t distribution.
    """
    from scipy.special import stdtr

    shots = len(values)
    place = np.arange(shots) - (shots - 1) / 2
    deviation = values - values.mean()
    square = float(place @ place)
    slope = float(place @ deviation) / square
    rest = float(((deviation - slope * place) ** 2).sum())
    change = slope * (shots - 1)
    if rest == 0:
        return change, 0.0
    t = slope / math.sqrt(rest / (shots - 2) / square)
    return change, 2 * float(stdtr(shots - 2, -abs(t)))


def groups_of(values: FloatArray, number: int) -> FloatArray:
    """Return first shot, shots, mean, and its standard error for groups of consecutive shots.

    The standard error is that of the scatter within all groups.
    """
    edges = np.linspace(0, len(values), number + 1).astype(np.int64)
    shots = np.diff(edges)
    means = np.add.reduceat(values, edges[:-1]) / shots
    within = float(((values - np.repeat(means, shots)) ** 2).sum()) / (len(values) - number)
    return np.column_stack([edges[:-1], shots, means, np.sqrt(within / shots)])


def group_p_value(values: FloatArray, groups: FloatArray) -> float:
    """Return the probability that group means differ as much: one-way analysis of variance."""
    from scipy.special import fdtrc

    shots, means = groups[:, 1], groups[:, 2]
    number = len(groups)
    between = float(shots @ (means - values.mean()) ** 2) / (number - 1)
    within = float(groups[0, 3] ** 2 * shots[0])
    if within == 0:
        return 0.0 if between > 0 else math.nan
    return float(fdtrc(number - 1, len(values) - number, between / within))
