"""The estimators: from an image above its background to brightness and occupation of every site.

One function per method, all with one signature: ``(shot, known, step) -> Estimate``. Where no
imaging parameters are known, each finds what it needs in the image itself. All begin with the
global estimate; where the caller has it already, it is passed on as `step`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from napari_coldatoms.lattice.clusters import SitePrior, cluster_posteriors
from napari_coldatoms.lattice.linear import estimate_brightness, precondition, site_scale
from napari_coldatoms.lattice.misfit import fit_light
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.statistics.bimodality import bimodality
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_FEWEST_SITES = 4  # for a mixture of two modes
_LEAST_SPREAD, _MOST_SPREAD = 0.02, 0.5  # σ/µ, where it is taken from an image
_RATIO = 3.0  # between trial values of the regularisation
_MOST_RATIOS = 4  # from where the search begins
_LIKELY_REGULARISATION = 1e-5, 1.0  # over the diagonal of MᵀM
# an unfinished solution is a regularised one, too: it would lead the search astray
_TRIAL_TOLERANCE = 0.001
_LOCAL_PASSES = 2
# part of the global estimate's probability in the local one's: as many errors as simulated images
# of 12 to 19 dB have
_FIRST_OPINION = 0.05
_BETWEEN = 0.3  # distance from µ/2, in µ, of the sites that lie between the modes
_TAIL_BINS = 15
_TAIL_RATES = np.geomspace(2.0, 60.0, 40)
_TAIL_LEANS = np.linspace(-2.0, 2.0, 33)
_MOST_PASSES = 6
_FEWEST_CLEAR = 100  # sites of either kind, for their scatter to tell
_UNCERTAIN = 1e-3  # sites less certain than this are weighed again
_SETTLED = 0.1  # change of the probabilities in the last pass, over the expected errors


@dataclass(frozen=True, eq=False)
class Known:
    """What is known before the image: imaging parameters, and the global estimate's modes."""

    parameters: ImagingParameters
    mixture: Mixture


@dataclass(frozen=True, eq=False)
class Estimate:
    """What an estimator finds.

    Attributes
    ----------
    brightness : (n,) array
        In counts.
    probability : (n,) array
        That the site is occupied.
    threshold : float
        Brightness between empty and occupied, in counts.
    mixture : Mixture
        The two modes of the brightness.
    prior : SitePrior
        Occupancy, mean and variance of the brightness of an occupied site.
    has_contrast : bool
        Whether the image shows two modes, or what they are is known.
    """

    brightness: FloatArray
    probability: FloatArray
    threshold: float
    mixture: Mixture
    prior: SitePrior
    has_contrast: bool


@dataclass(frozen=True, eq=False)
class GlobalStep:
    """The global estimate, its mixture, and the regularisation λ that it was made with.

    `local` holds brightness and probability of the local estimate, where that has been made, too.
    """

    brightness: FloatArray
    mixture: Mixture
    regularisation: float
    has_contrast: bool
    local: tuple[FloatArray, FloatArray] | None = None


def estimate_global(
    shot: Shot, known: Known | None = None, step: GlobalStep | None = None
) -> Estimate:
    """Estimate with the same prior for all sites and the same noise for all pixels.

    Eqs. 32-36. Only the ratio λ = σn²/σx² matters; without parameters it maximises the contrast of
    the estimated brightnesses. The probability is the mixture's.
    """
    step = step or global_step(shot, known)
    return _as_it_is(step, site_prior(step, shot, known))


def _as_it_is(step: GlobalStep, prior: SitePrior) -> Estimate:
    probability = step.mixture.probability(step.brightness)
    threshold = step.mixture.threshold
    return Estimate(step.brightness, probability, threshold, step.mixture, prior, step.has_contrast)


def estimate_local(
    shot: Shot, known: Known | None = None, step: GlobalStep | None = None
) -> Estimate:
    """Estimate with what the global estimate says about each site as its prior.

    Eqs. 37-42: the mean and the variance of each site's brightness and the noise of each pixel
    follow from the probability that the site is occupied. This is done twice: the second time with
    the probabilities of the first local estimate, which halves the errors. The threshold is µ/2.

    A wrong prior pulls a site to the wrong mode, where the brightness looks certain. The
    probability therefore keeps a small part of the global estimate's.
    """
    step = step or global_step(shot, known)
    prior = site_prior(step, shot, known)
    if not step.has_contrast:
        return _as_it_is(step, prior)
    brightness, probability = local_step(shot, step, prior)
    first = step.mixture.probability(step.brightness)
    probability = (1 - _FIRST_OPINION) * probability + _FIRST_OPINION * first
    mixture = _mixture_of(brightness, shot.valid, step.mixture)
    return Estimate(brightness, probability, 0.5 * prior.brightness, mixture, prior, True)


def estimate_alternating(
    shot: Shot, known: Known | None = None, step: GlobalStep | None = None
) -> Estimate:
    """Alternate between the linear estimate and the exact posteriors of small clusters.

    Starts from the local estimate. In each turn the probabilities of the last one give the prior of
    the linear estimate, and this gives the surroundings in which every occupation of a cluster of
    sites is weighed (`clusters`): all clusters at first, then those that are not yet clear.

    The brightness is each site's own light: what is left where that of its neighbours is taken
    away, without a prior of its own.
    """
    step = step or global_step(shot, known)
    prior = site_prior(step, shot, known)
    if not step.has_contrast:
        return _as_it_is(step, prior)
    brightness, probability = local_step(shot, step, prior)
    if known is None:
        prior = _adapt_mean(shot, prior, probability)
    probability, own, prior = _weigh_clusters(
        shot, prior, brightness, probability, adapt=known is None
    )
    mixture = _mixture_of(own, shot.valid, step.mixture)
    return Estimate(own, probability, 0.5 * prior.brightness, mixture, prior, True)


def global_step(
    shot: Shot,
    known: Known | None = None,
    *,
    like: GlobalStep | None = None,
    tune: bool = True,
) -> GlobalStep:
    """Return the global estimate.

    Parameters
    ----------
    shot : Shot
        The image.
    known : Known, optional
        What is known before the image.
    like : GlobalStep, optional
        That of the same image with another background, where the search for λ begins.
    tune : bool
        Whether to search for λ at all, or keep that of `like`.

    Raises
    ------
    ValueError
        If fewer than four sites are in the frame, and no parameters are known.
    """
    optics = shot.optics
    if known is not None:
        prior = known.parameters
        variance = max(prior.site_variance, 1e-12 * prior.brightness**2)
        noise = max(shot.expected_noise(prior), 1e-12)
        mean = np.full(len(optics), prior.occupancy * prior.brightness)
        brightness = estimate_brightness(
            optics, shot.signal, shot.good / noise, mean, np.full(len(optics), variance), steps=4
        )
        return GlobalStep(brightness, known.mixture, noise / variance, has_contrast=True)
    count = int(shot.valid.sum())
    if count < _FEWEST_SITES:
        raise ValueError(
            f"expected at least {_FEWEST_SITES} sites in the frame or imaging parameters, found "
            f"{count} sites"
        )
    level = shot.mean_brightness()
    mean = np.full(len(optics), level)
    scale = site_scale(optics, shot.good)
    rest = shot.good * (shot.signal - optics.image(mean))
    right = optics.collect(rest)
    if like is None:
        begin, first = first_regularisation(shot, rest), np.zeros(len(optics))
    else:
        begin, first = like.regularisation, like.brightness - mean
    if tune or like is None:
        regularisation, brightness = _most_contrast(shot, scale, right, begin, first)
    else:
        regularisation, brightness = begin, first
    brightness = estimate_brightness(
        optics,
        shot.signal,
        shot.good,
        mean,
        np.full(len(optics), 1 / regularisation),
        start=mean + brightness,
        steps=1 if tune else 2,
        scale=scale,
    )
    values = brightness[shot.valid]
    if not np.ptp(values) > 0:
        modes = Mixture(np.full(2, 0.5), np.full(2, values[0]), np.ones(2))
        return GlobalStep(brightness, modes, regularisation, has_contrast=False)
    mixture = fit_mixture(values)
    supported = bimodality(values, mixture).is_supported
    return GlobalStep(brightness, mixture, regularisation, has_contrast=supported)


def first_regularisation(shot: Shot, rest: FloatArray) -> float:
    """Return about σn²/σx², from what the image has more variance than its noise."""
    noise = max(shot.noise_variance(), 1e-12)
    strength = shot.optics.strength * shot.optics.relative**2
    excess = float(np.einsum("ij,ij", rest, rest)) - noise * float(shot.good.sum())
    least, most = (part * float(strength.max()) for part in _LIKELY_REGULARISATION)
    return min(max(noise * float(strength.sum()) / max(excess, 1e-12), least), most)


def site_prior(step: GlobalStep, shot: Shot, known: Known | None = None) -> SitePrior:
    """Return occupancy, mean and variance of the brightness: known, or of the global estimate.

    ``µ = Σx̂ / Σp`` and ``σ² = v1 - v0`` (Eqs. 41-42), σ kept between 2 and 50 % of µ.
    """
    if known is None:
        return prior_of(step.brightness[shot.valid], step.mixture)
    given = known.parameters
    return _within_limits(
        given.occupancy, given.brightness, given.brightness_sd**2, len(shot.optics)
    )


def prior_of(values: FloatArray, mixture: Mixture) -> SitePrior:
    """Return `site_prior` for the estimated brightnesses of some sites and their mixture."""
    probability = mixture.probability(values)
    # an offset of the background may take the sum of a dim image below what its modes tell
    distance = float(mixture.means[1] - mixture.means[0])
    mean = max(float(values.sum() / probability.sum()), distance, 1e-9)
    variance = float(mixture.sds[1] ** 2 - mixture.sds[0] ** 2)
    variance = min(variance, (_MOST_SPREAD * mean) ** 2)
    return _within_limits(float(probability.mean()), mean, variance, len(values))


def _within_limits(occupancy: float, mean: float, variance: float, sites: int) -> SitePrior:
    least = 1 / (sites + 2)
    return SitePrior(
        min(max(occupancy, least), 1 - least), mean, max(variance, (_LEAST_SPREAD * mean) ** 2)
    )


def _most_contrast(
    shot: Shot, scale: FloatArray, right: FloatArray, begin: float, first: FloatArray
) -> tuple[float, FloatArray]:
    """Return λ of the most contrast (Eqs. 34-36) and the estimate there, less its mean."""
    tried: dict[int, float] = {}
    estimate = {0: first}
    mixture: Mixture | None = None

    def contrast(k: int) -> float:
        nonlocal mixture
        if k not in tried:
            near = min(estimate, key=lambda other: abs(other - k))
            shift = begin * _RATIO**k
            found = precondition(
                shot.optics,
                scale,
                right,
                start=estimate[near],
                shift=shift,
                tolerance=_TRIAL_TOLERANCE,
            )
            estimate[k] = found
            values = found[shot.valid]
            if np.ptp(values) > 0:
                mixture = fit_mixture(values, start=mixture)
                tried[k] = mixture.contrast
            else:
                tried[k] = 0.0
        return tried[k]

    best = max((0, -1, 1), key=contrast)
    while abs(best) < _MOST_RATIOS:
        side = max((best - 1, best + 1), key=contrast)
        if contrast(side) <= contrast(best):
            break
        best = side
    low, top, high = (contrast(best + k) for k in (-1, 0, 1))
    bend = low - 2 * top + high
    shift = 0.5 * (low - high) / bend if bend < 0 else 0.0
    regularisation = begin * _RATIO ** (best + min(max(shift, -0.5), 0.5))
    found = precondition(
        shot.optics,
        scale,
        right,
        start=estimate[best],
        shift=regularisation,
        tolerance=_TRIAL_TOLERANCE,
    )
    return regularisation, found


def _mixture_of(brightness: FloatArray, valid: BoolArray, otherwise: Mixture) -> Mixture:
    """Fit the two modes; where there are too few sites for that, return the other mixture."""
    values = brightness[valid]
    if len(values) < _FEWEST_SITES or not np.ptp(values) > 0:
        return otherwise
    return fit_mixture(values, start=otherwise)


def local_step(shot: Shot, step: GlobalStep, prior: SitePrior) -> tuple[FloatArray, FloatArray]:
    """Return brightness and probability of the local estimate."""
    if step.local is not None:
        return step.local
    brightness: FloatArray | None = (
        None  # the prior mean is a better start than the global estimate
    )
    probability = step.mixture.probability(step.brightness)
    for _ in range(_LOCAL_PASSES):
        brightness = _conditional(shot, prior, probability, start=brightness)
        probability = _tail_probability(brightness, prior.brightness, shot.valid)
    assert brightness is not None
    return brightness, probability


def _conditional(
    shot: Shot,
    prior: SitePrior,
    probability: FloatArray,
    *,
    start: FloatArray | None = None,
) -> FloatArray:
    """Return the linear estimate for sites occupied with given probabilities (Eqs. 37-39)."""
    mean = prior.mean(probability)
    return estimate_brightness(
        shot.optics,
        shot.signal,
        shot.weights(mean),
        mean,
        prior.spread(probability),
        start=start,
    )


def _tail_probability(brightness: FloatArray, mean: float, valid: BoolArray) -> FloatArray:
    """Return how likely sites are occupied, from how many lie between the modes.

    The tails of both modes of the local estimate fall off exponentially towards µ/2: a density
    ``cosh(r t + c)`` of the distance t from there, in units of µ, and a probability of
    ``1 / (1 + exp(-2 (r t + c)))``. The most likely r and c are taken.
    """
    t = brightness / mean - 0.5
    edges = np.linspace(-_BETWEEN, _BETWEEN, 2 * _TAIL_BINS + 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    counts, _ = np.histogram(t[valid], edges)
    rate = _TAIL_RATES[:, None]
    lean = _TAIL_LEANS[None, :]
    # usual values where there are few sites: r about 14, c about 0
    likelihood = -np.log((rate - 14) ** 2 + 100) - 0.5 * (lean / 0.5) ** 2
    likelihood -= counts.sum() * np.log(np.sinh(rate * _BETWEEN) * np.cosh(lean) / rate)
    likelihood += np.log(np.cosh(rate[..., None] * middle + lean[..., None])) @ counts
    r, c = np.unravel_index(int(np.argmax(likelihood)), likelihood.shape)
    return np.asarray(expit(2 * (_TAIL_RATES[r] * t + _TAIL_LEANS[c])))


def _adapt_mean(shot: Shot, prior: SitePrior, probability: FloatArray) -> SitePrior:
    """Return occupancy and mean brightness anew, from the local estimate's probabilities."""
    brightness, _ = fit_light(shot.signal, shot.good, shot.optics.image(probability))
    least = 1 / (len(probability) + 2)
    occupancy = min(max(float(probability[shot.valid].mean()), least), 1 - least)
    if not brightness > 0:
        return prior
    return replace(prior, occupancy=occupancy, brightness=brightness)


def _adapt_spread(
    shot: Shot,
    prior: SitePrior,
    probability: FloatArray,
    own: FloatArray,
    information: FloatArray,
) -> SitePrior:
    """Return the variance of the brightness anew, from the own light of sites that are clear.

    That of empty sites scatters by noise alone; what occupied ones scatter more is their spread.
    It comes out too small where many sites are unclear, and too large from the global estimate,
    where occupied sites have more noise: the geometric mean of both is taken.
    """
    seen = shot.valid & (information > 0)
    empty = seen & (probability < _UNCERTAIN)
    occupied = seen & (probability > 1 - _UNCERTAIN)
    if min(empty.sum(), occupied.sum()) < _FEWEST_CLEAR:
        return prior
    noise = float(own[empty].var() * information[empty].mean())
    variance = float(own[occupied].var()) - noise * float((1 / information[occupied]).mean())
    least, most = ((part * prior.brightness) ** 2 for part in (_LEAST_SPREAD, _MOST_SPREAD))
    return replace(prior, variance=(min(max(variance, least), most) * prior.variance) ** 0.5)


def _weigh_clusters(
    shot: Shot,
    prior: SitePrior,
    brightness: FloatArray,
    probability: FloatArray,
    *,
    adapt: bool,
) -> tuple[FloatArray, FloatArray, SitePrior]:
    """Alternate between estimate and exact cluster posteriors until no site changes its mind.

    Returns probabilities, each site's own light, and the prior that was used last; `adapt` says
    whether that may be found in the image.
    """
    optics = shot.optics
    probability = probability.copy()
    centres = optics.cover
    for turn in range(_MOST_PASSES):
        mean = prior.mean(probability)
        weights = shot.weights(mean)
        scale = site_scale(optics, weights)
        brightness = estimate_brightness(
            optics,
            shot.signal,
            weights,
            mean,
            prior.spread(probability),
            start=brightness,
            scale=scale,
        )
        left = optics.image(brightness)
        np.subtract(shot.signal, left, out=left)
        left *= weights
        rest = optics.collect(left)
        before = probability.copy()
        cluster_posteriors(optics, scale, prior, centres, brightness, rest, before, probability)
        information = scale**2 * optics.strength
        own = brightness + np.divide(
            rest, information, out=np.zeros_like(rest), where=information > 0
        )
        if turn == 0 and adapt:
            prior = _adapt_spread(shot, prior, probability, own, information)
        change = np.abs(probability - before).sum()
        if turn and change < _SETTLED * np.minimum(probability, 1 - probability).sum():
            break
        unclear = np.minimum(probability, 1 - probability) > _UNCERTAIN
        centres = np.flatnonzero(unclear).astype(np.int32)
    return probability, own, prior
