"""Two modes of the counts of a site: gamma-Poisson ones of whole, low counts, or skewed ones.

A normal mode can be as narrow as a single whole number: of low counts the zeros alone would make
one. Photons scatter at least as Poisson counts do, which the modes of whole counts know. Sums of a
camera's pixels have the modes of `skewed_modes`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, gammaln, ndtr, pdtr

from napari_coldatoms.photons.mode_densities import Camera
from napari_coldatoms.photons.skewed_modes import (
    LEAST_VALUES,
    SkewedModes,
    fit_skewed,
    likeliest,
)
from napari_coldatoms.statistics.bimodality import bimodality
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]

# whole counts above are fitted as if they were continuous
_MOST_COUNTS = 5_000
# variances below this part of the mean, by more than three errors, are not those of counted photons
# but of sums with an offset, for example; and those below the second part never are
_FANO, _LEAST_FANO = 0.7, 0.15
_POISSONIAN = 1.0 + 1e-6  # variances over the mean up to here
_STARTS = 5
_PASSES = 300
_TOLERANCE = 1e-4  # in log-likelihood
_LEAST_MEAN = 1e-6
# as of `bimodality`
_EVIDENCE = 6.0
_SEPARATION = 1.5
_MINOR_WEIGHT = 0.005
# of modes of whole counts that may be fitted as if they were continuous
_LEAST_SD = 2.5


@dataclass(frozen=True, eq=False)
class Modes:
    """Two modes of the counts of a site.

    Attributes
    ----------
    mixture : Mixture
        Weights, means and standard deviations.
    threshold : float
        From where on the upper mode is likelier.
    false_bright, false_dark : float
        The parts of the lower mode above, and of the upper one below the threshold.
    certainty : float
        As of `SkewedModes`; 1 of others.
    """

    mixture: Mixture
    threshold: float
    false_bright: float
    false_dark: float
    certainty: float = 1.0


def two_modes(values: FloatArray) -> Modes | None:
    """Return the two modes of counts; None where there are not two.

    Parameters
    ----------
    values : (shots,)
        Finite, not all equal, at least four.
    """
    return modes_of_sites([values])[0]


def modes_of_sites(sites: Sequence[FloatArray]) -> list[Modes | None]:
    """Return the two modes of the counts of each site, None where there are not two.

    Sites have their own modes, but how skewed these are is a matter of the camera: of some
    cameras the one that is likeliest for all sites is taken.

    Parameters
    ----------
    sites : sequence of (shots,) arrays
        As for `two_modes`.
    """
    whole = [_gamma_poisson_of(values) for values in sites]
    fits: list[dict[Camera, SkewedModes]] = [
        fit_skewed(values) if _is_continuous(values, found) else {}
        for values, found in zip(sites, whole, strict=True)
    ]
    camera = likeliest([fit for fit in fits if fit and any(map(_supported, fit.values()))])
    return [
        _chosen(values, found, fit.get(camera))
        for values, found, fit in zip(sites, whole, fits, strict=True)
    ]


def _gamma_poisson_of(values: FloatArray) -> _Fit | None:
    whole = values.min() >= 0 and values.max() <= _MOST_COUNTS and (values == np.rint(values)).all()
    if not whole:
        return None
    return _gamma_poisson(np.bincount(values.astype(np.int64)).astype(np.float64))


def _is_continuous(values: FloatArray, found: _Fit | None) -> bool:
    """Return whether densities may be fitted; of few whole numbers they are no probabilities."""
    if len(values) < LEAST_VALUES:
        return False
    return found is None or math.sqrt(found.variances.min()) >= _LEAST_SD


def _chosen(values: FloatArray, found: _Fit | None, skewed: SkewedModes | None) -> Modes | None:
    if found is not None:
        better = (
            skewed is not None
            and skewed.mixture.sds.min() >= _LEAST_SD
            and skewed.log_likelihood > found.log_likelihood + _EVIDENCE
        )
        if not better:
            return found.modes()
    if skewed is not None:
        if not _supported(skewed):
            return None
        return Modes(
            skewed.mixture,
            skewed.threshold,
            skewed.false_bright,
            skewed.false_dark,
            skewed.certainty,
        )
    mixture = fit_mixture(values)
    if not bimodality(values, mixture).is_supported:
        return None
    threshold = mixture.threshold
    dark, bright = (threshold - mixture.means) / mixture.sds
    return Modes(mixture, threshold, float(ndtr(-dark)), float(ndtr(bright)))


def _supported(found: SkewedModes) -> bool:
    separation = math.sqrt(2 * found.mixture.contrast)
    minor = float(found.mixture.weights.min())
    return found.gain >= _EVIDENCE and separation >= _SEPARATION and minor >= _MINOR_WEIGHT


@dataclass(frozen=True, eq=False)
class _Fit:
    """Modes of whole counts, (2,) each, and what they gain over one mode in log-likelihood."""

    weights: FloatArray
    means: FloatArray
    variances: FloatArray
    log_likelihood: float
    gain: float

    def modes(self) -> Modes | None:
        separation = (self.means[1] - self.means[0]) / math.sqrt(self.variances.mean())
        minor = self.weights.min()
        if not (self.gain >= _EVIDENCE and separation >= _SEPARATION and minor >= _MINOR_WEIGHT):
            return None
        cuts = np.arange(math.ceil(self.means[0]), math.floor(self.means[1]) + 1)
        cuts = np.maximum(cuts, 1)
        below = [_below(cuts, m, v) for m, v in zip(self.means, self.variances, strict=True)]
        wrong = self.weights[0] * (1 - below[0]) + self.weights[1] * below[1]
        best = int(np.argmin(wrong))
        return Modes(
            Mixture(self.weights, self.means, np.sqrt(self.variances)),
            float(cuts[best]) - 0.5,
            float(1 - below[0][best]),
            float(below[1][best]),
        )


def _gamma_poisson(occurrences: FloatArray) -> _Fit | None:
    """Fit two gamma-Poisson modes to a histogram; None where counts scatter less than photons do.

    By expectation maximisation from several cuts, with mean and variance of each mode from what
    belongs to it, the variance at least that of Poisson counts.
    """
    n = np.arange(len(occurrences), dtype=np.float64)
    total = float(occurrences.sum())
    below = np.cumsum(occurrences)[:-1]
    possible = np.flatnonzero((below > 0) & (below < total)) + 1  # first count of the upper mode
    chosen = possible[np.unique(np.linspace(0, len(possible) - 1, _STARTS + 2).astype(int))[1:-1]]
    best: tuple[float, FloatArray] | None = None
    for cut in chosen if len(chosen) else possible:
        found = _climb(n, occurrences, (n >= cut).astype(np.float64))
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    if best is None:
        return None
    upper = best[1]
    weights, means, variances = _moments(n, occurrences, upper)
    errors = np.sqrt(2 / np.maximum(weights * total, 1.0))
    if (variances < np.maximum(_FANO - 3 * errors, _LEAST_FANO) * means).any():
        return None
    mean = float(n @ occurrences) / total
    variance = float((n - mean) ** 2 @ occurrences) / total
    single = float(occurrences @ _log_probability(n, mean, variance))
    return _Fit(weights, means, np.maximum(variances, means), best[0], best[0] - single)


def _climb(n: FloatArray, h: FloatArray, upper: FloatArray) -> tuple[float, FloatArray] | None:
    """Return log-likelihood, and to which part shots of n counts belong to the upper mode."""
    before = -math.inf
    for _ in range(_PASSES):
        weights, means, variances = _moments(n, h, upper)
        if weights.min() <= 0 or means[1] <= means[0]:
            return None
        logs = [
            math.log(w) + _log_probability(n, m, v)
            for w, m, v in zip(weights, means, variances, strict=True)
        ]
        both = np.logaddexp(*logs)
        value = float(h @ both)
        upper = np.exp(logs[1] - both)
        # moments are not quite the most likely parameters: it may fall in the end
        if value - before < _TOLERANCE:
            break
        before = value
    return value, upper


def _moments(
    n: FloatArray, h: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return weights, means and variances of both modes."""
    parts = np.stack([h * (1 - upper), h * upper])
    totals = np.maximum(parts.sum(axis=1), 1e-300)
    means = np.maximum(parts @ n / totals, _LEAST_MEAN)
    variances = ((n - means[:, None]) ** 2 * parts).sum(axis=1) / totals
    return totals / totals.sum(), means, variances


def _log_probability(n: FloatArray, mean: float, variance: float) -> FloatArray:
    """Return the logarithm of the probability of n counts, gamma-Poisson or Poisson."""
    mean = max(mean, _LEAST_MEAN)
    if variance <= _POISSONIAN * mean:
        return np.asarray(n * math.log(mean) - mean - gammaln(n + 1))
    shape = mean**2 / (variance - mean)
    return np.asarray(
        gammaln(n + shape)
        - gammaln(shape)
        - gammaln(n + 1)
        - shape * math.log1p(mean / shape)
        + n * math.log(mean / (mean + shape))
    )


def _below(cuts: NDArray[np.int64], mean: float, variance: float) -> FloatArray:
    """Return the probability of fewer counts than a cut of at least 1."""
    if variance <= _POISSONIAN * mean:
        return np.asarray(pdtr(cuts - 1, mean))
    shape = mean**2 / (variance - mean)
    return np.asarray(betainc(shape, cuts, shape / (shape + mean)))
