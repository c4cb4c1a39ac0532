"""Two normal components in one dimension: empty and occupied sites, zero and one photon, ...

The Gaussian mixture of Cheneau et al. 2025 (arXiv:2502.08511), Eq. 35, fitted by maximum
likelihood fast enough to be refitted for every trial value of a parameter that is being tuned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtr

from napari_coldatoms.statistics.binned import Binned, bin_values, keep_values, merge_bins, moments
from napari_coldatoms.statistics.likelihood import maximise
from napari_coldatoms.statistics.starts import find_start

FloatArray = NDArray[np.float64]

_COARSE_BINS = 64
_TOLERANCE = 1e-6  # in log-likelihood: a thousandth of a standard error, before Newton's last step
_PASSES = 300
_FARTHEST = 1e6  # standard deviations beyond which the posterior is taken as constant


@dataclass(frozen=True, eq=False)
class Mixture:
    """Two normal components; index 0 is the lower, index 1 the upper one.

    Parameters
    ----------
    weights : (2,) array
        Positive, of sum 1.
    means : (2,) array
        Ascending.
    sds : (2,) array
        Standard deviations, positive.

    Raises
    ------
    ValueError
        If the numbers are not as described.
    """

    weights: FloatArray
    means: FloatArray
    sds: FloatArray

    def __post_init__(self) -> None:
        for name in ("weights", "means", "sds"):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != (2,) or not np.isfinite(array).all():
                raise ValueError(f"expected two finite {name}, found {array.tolist()}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.weights.min() <= 0 or abs(self.weights.sum() - 1) > 1e-6:
            raise ValueError(f"expected positive weights of sum 1, found {self.weights.tolist()}")
        if self.sds.min() <= 0:
            raise ValueError(f"expected positive sds, found {self.sds.tolist()}")
        if self.means[0] > self.means[1]:
            raise ValueError(f"expected ascending means, found {self.means.tolist()}")

    @property
    def contrast(self) -> float:
        """Fisher's linear discriminant, ``(m1 - m0)² / (v0 + v1)`` (Eq. 36)."""
        return float((self.means[1] - self.means[0]) / math.hypot(*self.sds)) ** 2

    @property
    def threshold(self) -> float:
        """Value between the means where both components are equally likely.

        Where one component outweighs the other on the whole way from mean to mean, it is the mean
        of the lesser one.
        """
        # on the way from mean to mean the log odds rise, as a parabola a t² + b t + c
        (m0, m1), (s0, s1) = self.means.tolist(), self.sds.tolist()
        low, high = (float(odds) for odds in self._log_odds(self.means))
        if low >= 0:
            return m0
        if high <= 0:
            return m1
        u0, u1 = (m1 - m0) / s0, (m1 - m0) / s1
        a = 0.5 * (u0 - u1) * (u0 + u1)
        b = high - low - a
        root = math.sqrt(max(b * b - 4 * a * low, 0.0))
        # b + root > 0: the parabola rises from t = 0 to 1
        return m0 + (m1 - m0) * min(max(-2 * low / (b + root), 0.0), 1.0)

    @property
    def error_rate(self) -> float:
        """Part of the values on the wrong side of the threshold, if they follow the mixture."""
        z = (self.threshold - self.means) / self.sds
        return float(self.weights[0] * ndtr(-z[0]) + self.weights[1] * ndtr(z[1]))

    def probability(self, x: ArrayLike) -> FloatArray:
        """Return the probability that values belong to the upper component (Eq. 40).

        With unequal variances the plain posterior turns back far outside: the wider component wins
        on both sides. Here it stays from there on as it is at the turning point (below the lower
        mean where the upper component is wider, above the upper mean where it is narrower), so
        that a brighter value is never less likely to belong to the upper component.

        Parameters
        ----------
        x : array
            NaN gives NaN, infinite values the limits.

        Returns
        -------
        array of x's shape
        """
        return np.asarray(expit(self._log_odds(np.asarray(x, dtype=np.float64))))

    def _log_odds(self, x: FloatArray) -> FloatArray:
        (m0, m1), (s0, s1) = self.means.tolist(), self.sds.tolist()
        far = _FARTHEST * max(s0, s1)
        low, high = m0 - far, m1 + far
        # slope (x - m0)/v0 - (x - m1)/v1 = 0; both ways of writing it lie outside the means
        ratio = (s0 / s1) ** 2
        if ratio < 1:
            low = max(low, m0 - (m1 - m0) * ratio / (1 - ratio))
        elif ratio > 1:
            high = min(high, m1 + (m1 - m0) / (ratio - 1))
        x = np.clip(x, low, high)
        z0, z1 = (x - m0) / s0, (x - m1) / s1
        odds = math.log(self.weights[1] / self.weights[0]) + math.log(s0 / s1)
        return np.asarray(odds + 0.5 * (z0 - z1) * (z0 + z1))

    def density(self, x: ArrayLike) -> FloatArray:
        """Return the probability density at values x."""
        z = (np.asarray(x, dtype=np.float64)[..., None] - self.means) / self.sds
        return np.asarray(np.exp(-0.5 * z**2) @ (self.weights / self.sds) / math.sqrt(2 * math.pi))

    def transformed(self, scale: float, offset: float = 0.0) -> Mixture:
        """Return the mixture of the values ``scale * x + offset``; a positive scale."""
        if not (math.isfinite(scale) and scale > 0):
            raise ValueError(f"expected a positive scale, found {scale}")
        return Mixture(self.weights, scale * self.means + offset, scale * self.sds)


def fit_mixture(
    values: ArrayLike,
    *,
    start: Mixture | None = None,
    bins: int = 1024,
    polish: int = 0,
    weights: ArrayLike | None = None,
) -> Mixture:
    """Fit a mixture of two normal components by maximum likelihood.

    The values are binned first. Bins keep the mean and the scatter of their values, so that the
    result agrees with that of single values to 1e-4 of a standard deviation. Values far outside
    the rest (see `binned.robust_range`) are left out, and variances are kept from vanishing (see
    `likelihood`): no component collapses onto single values.

    Parameters
    ----------
    values : array
        Any shape; what is not finite is left out.
    start : Mixture, optional
        Where to start, such as the result for similar values. The maximum next to it is found; by
        default the best of several is.
    bins : int
        Number of bins, at least 64. Fewer values than that are not binned.
    polish : int
        Number of further steps on the single values.
    weights : array of the shape of values, optional
        How much each value counts, relative to the others; not negative.

    Returns
    -------
    Mixture
        Values of one mode give some mixture, too: see `bimodality`. Where even a local maximum of
        two components is missing, both lie at the mean.

    Raises
    ------
    ValueError
        If fewer than four values are finite (with a positive weight), or all are equal, or a
        parameter is out of its range.
    """
    if bins < _COARSE_BINS:
        raise ValueError(f"expected at least {_COARSE_BINS} bins, found {bins}")
    if polish < 0:
        raise ValueError(f"expected polish steps of at least 0, found {polish}")
    flat, counts = flat_values(values, weights)
    binned = bin_values(flat, counts, bins)
    exact = polish > 0 or binned.total <= bins
    mean, variance = moments(binned.mean, binned.count, binned.scatter)
    state = None
    best = -math.inf
    if start is not None:
        state = _state(start, binned)
        state, best = _climb(binned, state, variance)
    if state is None or best == -math.inf:
        coarse = merge_bins(binned.mean, binned.count, binned.scatter, _COARSE_BINS)
        state, best = find_start(*coarse, variance, binned.total)
        if best > -math.inf:
            state, best = _climb(binned, state, variance)
    if best == -math.inf:
        sd = math.sqrt(variance)
        state = np.array([0.0, mean, mean, 2 * math.log(sd), 2 * math.log(sd)])
    elif exact:
        single = keep_values(flat, counts, binned)
        passes = polish + 1 if polish else _PASSES  # the first pass only evaluates
        polished, value = maximise(
            *single, np.zeros_like(single[0]), state, variance, binned.total, 1e-9, passes
        )
        state = polished if value > -math.inf else state
    return _mixture(state, binned)


def flat_values(values: ArrayLike, weights: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Return values and weights as flat arrays, the latter empty where all count once.

    Raises
    ------
    ValueError
        If shapes differ or weights are negative or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    flat = np.ascontiguousarray(array).ravel()
    if weights is None:
        return flat, np.empty(0)
    counts = np.asarray(weights, dtype=np.float64)
    if counts.shape != array.shape:
        raise ValueError(f"expected weights of shape {array.shape}, found {counts.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("expected weights that are finite and not negative, found others")
    return flat, np.ascontiguousarray(counts).ravel()


def _climb(binned: Binned, state: FloatArray, variance: float) -> tuple[FloatArray, float]:
    return maximise(
        binned.mean,
        binned.count,
        binned.scatter,
        state,
        variance,
        binned.total,
        _TOLERANCE,
        _PASSES,
    )


def _state(mixture: Mixture, binned: Binned) -> FloatArray:
    """Return a mixture as the logs and scaled numbers that the likelihood works with."""
    odds = math.log(mixture.weights[1] / mixture.weights[0])
    means = (mixture.means - binned.low) / binned.width
    return np.array([odds, *means, *(2 * np.log(mixture.sds / binned.width))])


def _mixture(state: FloatArray, binned: Binned) -> Mixture:
    order = np.argsort(state[1:3], kind="stable")
    weights = expit(np.array([-state[0], state[0]]))
    means = binned.low + binned.width * state[1:3]
    sds = binned.width * np.exp(0.5 * state[3:])
    return Mixture((weights / weights.sum())[order], means[order], sds[order])
