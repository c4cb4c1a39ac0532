"""Probabilities that were counted, and their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntervalMethod = Literal["wilson", "clopper-pearson", "jeffreys"]

ONE_SIGMA = 0.6827
"""Confidence of one standard deviation of a normal distribution."""

_FEWEST = 1e-6  # expected counts; fewer are none


@dataclass(frozen=True, eq=False)
class Share:
    """A part of something counted, with its confidence interval.

    Attributes
    ----------
    value : float or (n,) array
        The estimate; NaN where nothing was counted.
    low, high : float or (n,) arrays
        Limits of the confidence interval (Wilson); 0 and 1 where nothing was counted.
    trials : float or (n,) array
        What it is a part of. With corrected counts, how many certain ones would tell as much.
    """

    value: float | FloatArray
    low: float | FloatArray
    high: float | FloatArray
    trials: float | FloatArray

    def __repr__(self) -> str:
        if np.ndim(self.value):
            return f"Share(<{len(np.asarray(self.value))} values>)"
        return f"Share({self.value:.4g}, {self.low:.4g} to {self.high:.4g})"


def share(
    count: ArrayLike,
    of: ArrayLike,
    confidence: float = ONE_SIGMA,
    *,
    trials: ArrayLike | None = None,
) -> Share:
    """Return a share with its interval.

    Parameters
    ----------
    count, of : float or (n,) array
        The part, and the whole. They need not be integers.
    confidence : float
        Between 0 and 1; by default that of one standard deviation.
    trials : float or (n,) array, optional
        How many certain ones tell as much as the whole does; by default the whole.
    """
    part, whole = np.asarray(count, dtype=np.float64), np.asarray(of, dtype=np.float64)
    some = whole > _FEWEST
    enough = np.where(some, np.asarray(of if trials is None else trials, dtype=np.float64), 0.0)
    value = np.clip(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=some), 0, 1)
    low, high = binomial_interval(np.nan_to_num(value) * enough, enough, confidence)
    if whole.ndim:
        return Share(value, low, high, enough)
    return Share(float(value), float(low), float(high), float(enough))


def binomial_interval(
    successes: ArrayLike,
    trials: ArrayLike,
    confidence: float = ONE_SIGMA,
    method: IntervalMethod = "wilson",
) -> tuple[FloatArray, FloatArray]:
    """Return the confidence interval of a probability, from counts.

    Parameters
    ----------
    successes, trials : array
        Counts k and n, of shapes that broadcast. They need not be integers: expected or effective
        counts will do. Where there are no trials, nothing is known: the interval is [0, 1].
    confidence : float
        Between 0 and 1; by default that of one standard deviation.
    method : {"wilson", "clopper-pearson", "jeffreys"}
        - "wilson": where the normal test does not reject, ``|k/n - q| <= z √(q (1 - q) / n)``
          (Wilson 1927). Covers the truth as often as it says on average over the truth.
        - "clopper-pearson": where neither exact one-sided test does (1934). Never covers less often
          than it says, often more.
        - "jeffreys": quantiles of the posterior for the prior Beta(1/2, 1/2), down to 0 where
          k = 0 and up to 1 where k = n (Brown, Cai and DasGupta 2001).

    Returns
    -------
    low, high : arrays
        Of the shape of the counts.

    Raises
    ------
    ValueError
        If the counts are not finite, not ``0 <= successes <= trials``, or do not broadcast; if the
        confidence is not between 0 and 1, or the method unknown.
    """
    k, n = _counts(successes, trials)
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, found {confidence}")
    if method not in get_args(IntervalMethod):
        names = ", ".join(get_args(IntervalMethod))
        raise ValueError(f"expected a method of {names}, found {method!r}")
    if method == "wilson":
        low, high = _wilson(k, n, confidence)
    else:
        low, high = _beta_quantiles(k, n, confidence, 0.5 if method == "jeffreys" else 0.0)
    # rounding shall not leave the estimate outside
    share = k / np.where(n > 0, n, 1.0)
    low = np.where((n > 0) & (k > 0), np.minimum(low, share), 0.0)
    high = np.where((n > 0) & (k < n), np.maximum(high, share), 1.0)
    return low, high


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[FloatArray, FloatArray]:
    k = np.asarray(successes, dtype=np.float64)
    n = np.asarray(trials, dtype=np.float64)
    try:
        k, n = np.broadcast_arrays(k, n)
    except ValueError as error:
        raise ValueError(
            f"expected successes and trials of shapes that broadcast, found {k.shape} and {n.shape}"
        ) from error
    if not (np.isfinite(k).all() and np.isfinite(n).all()):
        raise ValueError("expected finite counts, found some that are not")
    if not ((k >= 0) & (k <= n)).all():
        wrong = int(np.argmax(~((k >= 0) & (k <= n))))
        raise ValueError(
            f"expected 0 <= successes <= trials, found {k.flat[wrong]} of {n.flat[wrong]}"
        )
    return k, n


def _wilson(k: FloatArray, n: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    from scipy.special import ndtri

    z2 = float(ndtri((1 + confidence) / 2)) ** 2
    # in a form that stays exact for few successes of many trials
    middle = (k + z2 / 2) / (n + z2)
    half = np.sqrt(z2 * (k * (n - k) / np.where(n > 0, n, 1.0) + z2 / 4)) / (n + z2)
    return middle - half, middle + half


def _beta_quantiles(
    k: FloatArray, n: FloatArray, confidence: float, prior: float
) -> tuple[FloatArray, FloatArray]:
    """Return quantiles of Beta(k + prior, n - k + 1 - prior) and Beta(k + 1 - prior, ...)."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    # at the ends, where a parameter may be 0, the caller knows the limits
    low = betaincinv(np.maximum(k + prior, 1e-9), n - k + 1 - prior, tail)
    high = betaincinv(k + 1 - prior, np.maximum(n - k + prior, 1e-9), 1 - tail)
    return low, high
