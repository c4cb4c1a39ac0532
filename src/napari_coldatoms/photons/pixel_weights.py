"""Weights of a site's pixels that tell bright shots from dark ones better than their plain sum.

The best linear weights for two classes with the mean difference δ and the covariance Σ within the
classes are ``w = Σ⁻¹ δ`` (Fisher's linear discriminant). Which shots are bright follows from the
sums themselves, by a mixture that is improved in turn with the weights. What few shots do not tell
is taken from the plain sum: all estimates are shrunk towards it by as much as they are uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.histogram import FloatArray
from napari_coldatoms.statistics.bimodality import bimodality
from napari_coldatoms.statistics.binned import extent, robust_range
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

_FOLDS = 5
_PASSES = 5  # weights change by less than their errors afterwards
_LEAST_SHOTS = 40  # fewer gain nothing, by trial
_LEAST_OF_MODE = 12  # bright or dark shots, likewise
_LEAST_OF_CLASS = 3.0  # shots that means are taken from, as sums of probabilities
# what two modes must show for weights to be learnt, against one mode; less than to be sure of two,
# because weights that are learnt from one mode come out plain
_EVIDENCE, _SEPARATION = 2, 1.5
# times 1/sqrt(shots): by how much larger, in part, an error may come out by chance
_TOLERANCE = 4.0
_ALIKE = 0.02  # relative scatter of weights that are as good as plain
# a variance is not taken for less than this part of the median pixel's
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True, eq=False)
class LearntWeights:
    """Weights of a site's pixels.

    Attributes
    ----------
    weights : (k,)
        Scaled so that bright minus dark shots have the plain sum's difference.
    learnt : bool
        Whether they are other than plain.
    reason : str
        Why they are plain; empty where they are not.
    error_rates : (float, float)
        Part of the shots on the wrong side of the best cut, by a mixture of two normal modes: of
        the plain sum, and of weights applied to shots that they were not learnt from. NaN where
        there was no mixture.
    """

    weights: FloatArray
    learnt: bool
    reason: str = ""
    error_rates: tuple[float, float] = (np.nan, np.nan)


def learn_weights(frames: FloatArray, plain: FloatArray) -> LearntWeights:
    """Learn the weights of a site's pixels from bright and dark shots.

    The weights are tried out on shots that they were not learnt from (five folds). Where they tell
    bright from dark worse there, or two modes are not to be seen, they are plain.

    Parameters
    ----------
    frames : (shots, k) array
        The site's pixels, their background taken off where it varies. Shots with NaN are left out.
    plain : (k,) array
        Weights of the plain sum, not zero.
    """
    usable = _usable(frames @ plain)
    x = frames[usable] * plain
    x -= x.mean(axis=0)  # differences alone matter, and small numbers keep their digits
    shots = len(x)
    if shots < _LEAST_SHOTS:
        return _plain(plain, f"only {shots} usable shots")
    sums = x.sum(axis=1)
    if not sums.max() > sums.min():
        return _plain(plain, "all shots alike")
    start = fit_mixture(sums)
    fold = np.arange(shots) % _FOLDS
    scores = np.empty(shots)
    tried = []
    for number in range(_FOLDS):
        out = fold == number
        weights, level = _climb(x[~out], start)
        scores[out] = x[out] @ weights - level
        tried.append(weights)
    mixture = fit_mixture(scores) if scores.max() > scores.min() else start
    rates = (_error(start), _error(mixture))
    modes = bimodality(scores, mixture)
    if modes.evidence < _EVIDENCE or modes.separation < _SEPARATION:
        return _plain(plain, "bright and dark shots are not told apart", rates)
    if modes.minor_weight * shots < _LEAST_OF_MODE:
        return _plain(plain, "too few shots are bright, or dark", rates)
    if rates[1] > rates[0] * (1 + _TOLERANCE / np.sqrt(shots)):
        return _plain(plain, "learnt weights tell bright from dark worse", rates)
    weights, _ = _climb(x, start)
    # in the shots they were learnt from, weights see a larger difference than in others
    weights = weights * _correction(x, mixture.probability(scores), tried, fold)
    if np.std(weights) < _ALIKE * np.mean(weights):
        return _plain(plain, "all pixels tell as much", rates)
    return LearntWeights(weights * plain, True, error_rates=rates)


def learn_shared_weights(sites: Sequence[FloatArray], plain: FloatArray) -> LearntWeights:
    """Learn one set of weights for sites whose pixels lie alike.

    Parameters
    ----------
    sites : sequence of (shots, k) arrays
        The pixels of each site in the same order, see `learn_weights`.
    plain : (k,) array
        Weights of the plain sum.
    """
    centred = []
    for frames in sites:
        sums = frames @ plain
        usable = _usable(sums)
        values = sums[usable]
        if len(values) < _LEAST_SHOTS or not values.max() > values.min():
            continue
        dark = 1 - fit_mixture(values).probability(values)
        # sites of one's own light level would add to the scatter
        if dark.sum() > _LEAST_OF_CLASS:
            centred.append(frames[usable] - _mean(frames[usable], dark))
    if not centred:
        return _plain(plain, "too few usable shots")
    return learn_weights(np.concatenate(centred), plain)


def _correction(
    x: FloatArray, bright: FloatArray, tried: Sequence[FloatArray], fold: NDArray[np.intp]
) -> float:
    """Return by how much weights (k,) of each fold have too small a difference in the fold."""
    kept = expected = 0.0
    for number, weights in enumerate(tried):
        share, pixels = bright[fold == number], x[fold == number]
        total = share.sum(), (1 - share).sum()
        if min(total) < _LEAST_OF_CLASS / 2:
            continue
        difference = _mean(pixels, share) - _mean(pixels, 1 - share)
        kept += min(total) * float(weights @ difference)
        expected += min(total) * float(difference.sum())
    return min(max(expected / kept, 0.8), 1.25) if kept > 0 and expected > 0 else 1.0


def _plain(
    plain: FloatArray, reason: str, rates: tuple[float, float] = (np.nan, np.nan)
) -> LearntWeights:
    return LearntWeights(plain.copy(), False, reason, rates)


def _usable(sums: FloatArray) -> NDArray[np.bool_]:
    """Return which sums are finite and no outliers, such as cosmic rays."""
    finite = np.isfinite(sums)
    if finite.sum() < _LEAST_SHOTS:
        return finite
    values = np.ascontiguousarray(sums, dtype=np.float64)
    low, high = robust_range(values, np.empty(0), *extent(values, np.empty(0)))
    return np.asarray(finite & (sums >= low) & (sums <= high))


def _climb(x: FloatArray, start: Mixture) -> tuple[FloatArray, float]:
    """Return weights and the dark shots' mean score, beginning with the plain sum's mixture."""
    weights = np.ones(x.shape[1])
    mixture = start
    scores = x.sum(axis=1)
    level = float(start.means[0])
    for _ in range(_PASSES):
        bright = mixture.probability(scores)
        dark = 1 - bright
        if min(bright.sum(), dark.sum()) < _LEAST_OF_CLASS:
            break
        found = _discriminant(x, bright, dark)
        means = np.array([_mean(x, dark), _mean(x, bright)])
        difference = means[1] - means[0]
        contrast = float(found @ difference)
        if not contrast > 0 or not difference.sum() > 0:
            break
        weights = found * (difference.sum() / contrast)
        scores = x @ weights
        places = means @ weights
        sds = np.sqrt(
            [
                _mean((scores - place) ** 2, share)
                for place, share in zip(places, (dark, bright), strict=True)
            ]
        )
        if sds.min() <= 0:
            break
        part = bright.mean()
        mixture = Mixture(np.array([1 - part, part]), places, sds)
        level = float(places[0])
    return weights, level


def _discriminant(x: FloatArray, bright: FloatArray, dark: FloatArray) -> FloatArray:
    """Return Σ⁻¹ δ of pixels (shots, k), each part shrunk by its uncertainty; not scaled.

    Towards the plain sum: w = 1 for all pixels is what δ proportional to the variances gives, so
    the ratio of both is shrunk to one value for all (as James and Stein do), variances to their
    mean, and correlations to none (as Schäfer and Strimmer 2005 do).
    """
    number = x.shape[1]
    shares = (dark / dark.sum(), bright / bright.sum())
    means = [share @ x for share in shares]
    squares = [(x - mean) ** 2 for mean in means]
    of_class = [share @ square for share, square in zip(shares, squares, strict=True)]
    variance = (of_class[0] + of_class[1]) / 2
    noise = sum(
        float((share**2 @ (square - mean) ** 2).sum()) / 4
        for share, square, mean in zip(shares, squares, of_class, strict=True)
    )
    floor = _LEAST_VARIANCE * max(float(np.median(variance)), float(variance.mean()))
    if floor <= 0:
        return np.ones(number)
    smooth = np.maximum(_shrunk(variance, noise, 1.0), floor)

    errors = sum(mean * float(share @ share) for share, mean in zip(shares, of_class, strict=True))
    ratio = _shrunk(
        (means[1] - means[0]) / smooth, (1 - 1 / number) * float(np.sum(errors / smooth)), smooth
    )

    both = shares[0] + shares[1]
    products = (x * both[:, None]).T @ x - sum(np.outer(mean, mean) for mean in means)
    sd = np.sqrt(2 * np.maximum(variance, floor))
    correlation = products / np.outer(sd, sd)
    off = ~np.eye(number, dtype=np.bool_)
    total = float((correlation[off] ** 2).sum())
    chance = number * (number - 1) * sum(float(share @ share) for share in shares) / 4
    # twice: correlations count only where they are clearly more than chance
    kept = max(1 - 2 * chance / total, 0.0) if total > 0 else 0.0
    if kept == 0:
        return ratio
    root = np.sqrt(smooth)
    matrix = np.where(off, kept * correlation, 1.0)
    return np.asarray(np.linalg.solve(matrix, ratio * root) / root)


def _shrunk(values: FloatArray, noise: float, weight: FloatArray | float) -> FloatArray:
    """Return values moved to their weighted mean; `noise` is the summed weighted variance of it."""
    weight = np.broadcast_to(weight, values.shape)
    middle = float(weight @ values / weight.sum())
    scatter = float(weight @ (values - middle) ** 2)
    return middle + (1 - min(1.0, noise / scatter) if scatter > 0 else 0.0) * (values - middle)


def _mean(x: FloatArray, share: FloatArray) -> FloatArray:
    return np.asarray(share @ x / share.sum())


def _error(mixture: Mixture) -> float:
    """Return the mean error of both classes at the best cut, whatever their weights are."""
    return Mixture(np.array([0.5, 0.5]), mixture.means, mixture.sds).error_rate
