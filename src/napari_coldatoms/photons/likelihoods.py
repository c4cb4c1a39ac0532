"""Log-likelihoods of numbers of shots: where their mean is known, and where it is uncertain.

The *effective* likelihood (Argüelles, Schneider & Yuan, JHEP 2019, 30; Eq. 7 of Weyland et al.
2025, arXiv 2412.17434) is that of a Poisson number h whose mean is itself only known as µ, with the
variance σ² ::

    L = ∫ dλ Pois(h; λ) Gamma(λ; α = µ²/σ² + 1, β = µ/σ²)

With s = σ²/µ it is, in a form that stays exact down to s = 0, where it is Poisson's ::

    ln L = Σ_{k=1}^{h} ln[(µ + s k) / ((1 + s) k)] - µ ln(1 + s)/s - ln(1 + s)

Compiled functions of other files contain these. numba's cache does not notice when only this file
changes: whoever works on it removes ``__pycache__``.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.small_arrays import log_factorial

FloatArray = NDArray[np.float64]
Likelihood = Literal["poisson", "effective", "least-squares"]
"""What fits of atom numbers maximise, see `fit.fit_atom_numbers`."""

Objective = Literal["poisson", "least-squares"]
"""Those of them that are concave."""

# sums of more terms are taken from Stirling's series
_MOST_TERMS = 300
# products of so many terms are taken before a logarithm, and how large a term may be
_AT_ONCE = 8
_LARGE = 1e30
_SMALL = 1e-30


def effective_log_likelihood(
    observed: ArrayLike, mean: ArrayLike, variance: ArrayLike
) -> FloatArray:
    """Return the effective log-likelihood of each bin.

    Parameters
    ----------
    observed : array
        Numbers of shots, >= 0.
    mean, variance : array
        Number that is expected, and the variance of this expectation (not of the number of shots);
        without a variance the likelihood is Poisson's. Shapes broadcast.

    Returns
    -------
    array
        ``ln L``, of the broadcast shape. Where nothing is expected it is minus infinity, unless
        nothing was observed and the variance is zero.

    Raises
    ------
    ValueError
        If numbers are negative or not finite, observed ones fractional, or shapes do not broadcast.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in (observed, mean, variance)]
    for name, values in zip(("observed", "mean", "variance"), arrays, strict=True):
        if not np.isfinite(values).all() or (values < 0).any():
            wrong = values[~(np.isfinite(values) & (values >= 0))].flat[0]
            raise ValueError(f"expected finite numbers not below 0 as {name}, found {wrong}")
    if (arrays[0] != np.rint(arrays[0])).any():
        wrong = arrays[0][arrays[0] != np.rint(arrays[0])].flat[0]
        raise ValueError(f"expected whole numbers of observed shots, found {wrong}")
    try:
        h, mu, var = np.broadcast_arrays(*arrays)
    except ValueError as error:
        shapes = ", ".join(str(values.shape) for values in arrays)
        raise ValueError(f"expected shapes that broadcast, found {shapes}") from error
    out = np.empty(h.size)
    _effective_of_each(h.flatten(), mu.flatten(), var.flatten(), out)
    return out.reshape(h.shape)


def objective(likelihood: Likelihood) -> Objective:
    """Return the concave objective that a fit begins with, or is."""
    return "least-squares" if likelihood == "least-squares" else "poisson"


def poisson_log_likelihood(observed: ArrayLike, mean: ArrayLike) -> FloatArray:
    """Return the Poisson log-likelihood of each bin, see `effective_log_likelihood`."""
    return effective_log_likelihood(observed, mean, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _effective_of_each(
    observed: FloatArray, mean: FloatArray, variance: FloatArray, out: FloatArray
) -> None:
    for n in range(len(observed)):
        out[n] = effective(observed[n], mean[n], variance[n]) - log_factorial(observed[n])


@njit(cache=True, nogil=True, error_model="numpy")
def effective(h: float, mu: float, variance: float) -> float:
    """Return the effective log-likelihood without its constant ``ln h!``."""
    if mu <= 0.0:
        return 0.0 if h == 0.0 and variance == 0.0 else -math.inf
    s = variance / mu
    if not s < math.inf:  # so little is expected that it is nothing
        return -math.inf
    return sum_of_logs(h, mu, s) - h * math.log1p(s) - mu * slope(s) - math.log1p(s)


@njit(cache=True, nogil=True, error_model="numpy")
def slope(s: float) -> float:
    """Return ``ln(1 + s) / s``, which is 1 at 0."""
    return math.log1p(s) / s if s > 0.0 else 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def sum_of_logs(h: float, mu: float, s: float) -> float:
    """Return ``Σ_{k=1}^{h} ln(µ + s k)``."""
    if s == 0.0:
        return h * math.log(mu) if h > 0.0 else 0.0
    if h <= _MOST_TERMS:
        total = 0.0
        product = 1.0
        for k in range(1, int(h) + 1):
            term = mu + s * k
            product *= term
            if k % _AT_ONCE == 0 or term > _LARGE or term < _SMALL:
                total += math.log(product)
                product = 1.0
        return total + math.log(product)
    x = mu / s + 1.0
    if x < 20.0:
        return h * math.log(s) + math.lgamma(x + h) - math.lgamma(x)
    # Stirling's series for both, without the difference of large numbers
    return (
        (x - 0.5) * math.log1p(h / x)
        + h * (math.log(mu + s * (h + 1.0)) - 1.0)
        + _stirling(x + h)
        - _stirling(x)
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _stirling(x: float) -> float:
    """Return what Stirling's formula of ln Γ(x) lacks, for x >= 20 to 1e-16."""
    y = 1.0 / (x * x)
    return (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y * (1.0 / 1680 - y / 1188)))) / x
