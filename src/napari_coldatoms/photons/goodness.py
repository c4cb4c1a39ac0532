"""Whether a histogram looks like what a model expects: Pearson's χ² over merged bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LEAST_EXPECTED = 5.0
"""Bins are merged until they expect as many shots."""

# smaller p-values are all the same
_LEAST_P = 1e-99
# proportions below have nothing to fit with
_BOUND = 1e-6


@dataclass(frozen=True)
class Goodness:
    """Pearson's χ² of a histogram against what was expected.

    Attributes
    ----------
    chi2 : float
    dof : int
        Degrees of freedom: merged bins, less one for the total, less the fitted parameters.
    p_value : float
        Probability of a χ² at least as large if the model is right; NaN where there is no degree of
        freedom.
    """

    chi2: float
    dof: int
    p_value: float

    @property
    def reduced(self) -> float:
        """χ² per degree of freedom; NaN where there is none."""
        return self.chi2 / self.dof if self.dof > 0 else math.nan


def goodness(
    observed: ArrayLike,
    expected: ArrayLike,
    parameters: int = 0,
    *,
    least_expected: float = LEAST_EXPECTED,
) -> Goodness:
    """Return Pearson's χ² of a histogram, over neighbouring bins merged where little is expected.

    Parameters
    ----------
    observed : (bins,) array
        Number of shots in each bin.
    expected : (bins,) array
        Number of shots expected in each bin. What lacks to the total of the observed ones lies
        beyond the last bin, and is counted into it. The shorter of the two arrays is continued with
        zeros.
    parameters : int
        Number of parameters fitted to these counts, besides their total.
    least_expected : float
        Bins are merged, from the left, until each expects as many shots; what is left over at the
        end goes into the last one. The bins depend on the expectation alone.

    Returns
    -------
    Goodness

    Raises
    ------
    ValueError
        If the arrays are not one-dimensional, or what is expected is negative or not finite.
    """
    found, wanted = pair(observed, expected)
    first = first_bins(wanted, least_expected)
    return from_bins(np.add.reduceat(found, first), np.add.reduceat(wanted, first), parameters)


def free(weights: FloatArray) -> NDArray[np.bool_]:
    """Return which proportions of a fit are above their bound, 0; one less were fitted."""
    return weights > _BOUND


def pair(observed: ArrayLike, expected: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return both as arrays of one length and one total, see `goodness`."""
    found = np.asarray(observed, dtype=np.float64)
    wanted = np.asarray(expected, dtype=np.float64)
    if found.ndim != 1 or wanted.ndim != 1 or not found.size:
        raise ValueError(
            f"expected two one-dimensional histograms, found shapes {found.shape} and "
            f"{wanted.shape}"
        )
    if not np.isfinite(wanted).all() or wanted.min(initial=0.0) < 0:
        raise ValueError("expected finite numbers of shots, not below 0, found some that are not")
    bins = max(found.size, wanted.size)
    found = np.pad(found, (0, bins - found.size))
    wanted = np.pad(wanted, (0, bins - wanted.size))
    wanted[-1] += max(found.sum() - wanted.sum(), 0.0)
    return found, wanted


def from_bins(observed: FloatArray, expected: FloatArray, parameters: int) -> Goodness:
    """Return the χ² over bins that are merged already."""
    possible = expected > 0
    if (observed[~possible] > 0).any():
        chi2 = math.inf
    else:
        difference = observed[possible] - expected[possible]
        chi2 = float((difference**2 / expected[possible]).sum())
    dof = len(expected) - 1 - parameters
    return Goodness(chi2, max(dof, 0), p_value(chi2, dof))


def p_value(chi2: float, dof: int) -> float:
    """Return the probability of a χ² at least as large; NaN without a degree of freedom."""
    from scipy.special import chdtrc

    return float(chdtrc(dof, chi2)) if dof > 0 else math.nan


def p_words(p: float, digits: int = 1) -> str:
    """Return a p-value in words, ``p = 0.03``; one that underflows is not 0."""
    return f"p = {p:.{digits}g}" if not p < _LEAST_P else f"p < {_LEAST_P:g}"


@njit(cache=True, nogil=True)
def first_bins(expected: FloatArray, least: float) -> IntArray:
    """Return where merged bins begin, each of which expects at least so much."""
    first = np.empty(expected.size, dtype=np.int64)
    number = 0
    total = 0.0
    begin = 0
    for i in range(expected.size):
        total += expected[i]
        if total >= least:
            first[number] = begin
            number += 1
            begin = i + 1
            total = 0.0
    if number == 0:
        first[0] = 0
        number = 1
    return first[:number].copy()
