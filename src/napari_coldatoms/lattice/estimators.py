"""The estimators: from an image above its background to brightness and occupation of every site.

One function per method, all with one signature: ``(shot, known, step) -> Estimate``. Where no
imaging parameters are known, each finds what it needs in the image itself. All begin with the
global estimate; where the caller has it already, it is passed on as `step`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.global_step import (
    GlobalStep,
    Known,
    global_step,
    mixture_of,
    site_prior,
)
from napari_coldatoms.lattice.local_step import local_step
from napari_coldatoms.lattice.prior import SitePrior
from napari_coldatoms.lattice.refinement import adapt_mean, weigh_clusters
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.statistics.mixture import Mixture

FloatArray = NDArray[np.float64]

# part of the global estimate's probability in the local one's: as many errors as simulated images
# of 12 to 19 dB have
_FIRST_OPINION = 0.05


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


def estimate_global(
    shot: Shot, known: Known | None = None, step: GlobalStep | None = None
) -> Estimate:
    """Estimate with the same prior for all sites and the same noise for all pixels.

    Eqs. 32-36. Only the ratio λ = σn²/σx² matters; without parameters it maximises the contrast of
    the estimated brightnesses. The probability is the mixture's.
    """
    step = step or global_step(shot, known)
    return _as_it_is(step, site_prior(step, shot, known))


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
    mixture = mixture_of(brightness, shot.valid, step.mixture)
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
        prior = adapt_mean(shot, prior, probability)
    probability, own, prior = weigh_clusters(
        shot, prior, brightness, probability, adapt=known is None
    )
    mixture = mixture_of(own, shot.valid, step.mixture)
    return Estimate(own, probability, 0.5 * prior.brightness, mixture, prior, True)


def _as_it_is(step: GlobalStep, prior: SitePrior) -> Estimate:
    probability = step.mixture.probability(step.brightness)
    threshold = step.mixture.threshold
    return Estimate(step.brightness, probability, threshold, step.mixture, prior, step.has_contrast)
