"""Alternating between the linear estimate and the exact posteriors of clusters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from napari_coldatoms.lattice.clusters import cluster_posteriors
from napari_coldatoms.lattice.linear import collect_rest, estimate_brightness, site_scale
from napari_coldatoms.lattice.misfit import fit_light
from napari_coldatoms.lattice.prior import LEAST_SPREAD, MOST_SPREAD, SitePrior, likely_occupancy
from napari_coldatoms.lattice.shot import Shot

FloatArray = NDArray[np.float64]

_MOST_PASSES = 6
_FEWEST_CLEAR = 100  # sites of either kind, for their scatter to tell
_UNCERTAIN = 1e-3  # sites less certain than this are weighed again
_SETTLED = 0.1  # change of the probabilities in the last pass, over the expected errors


def adapt_mean(shot: Shot, prior: SitePrior, probability: FloatArray) -> SitePrior:
    """Return occupancy and mean brightness anew, from the local estimate's probabilities."""
    brightness, _ = fit_light(shot.signal, shot.good, shot.optics.image(probability))
    occupancy = likely_occupancy(float(probability[shot.valid].mean()), len(probability))
    if not brightness > 0:
        return prior
    return replace(prior, occupancy=occupancy, brightness=brightness)


def adapt_spread(
    prior: SitePrior, probability: FloatArray, own: FloatArray, information: FloatArray
) -> SitePrior:
    """Return the variance of the brightness anew, from the own light of sites that are clear.

    That of empty sites scatters by noise alone; what occupied ones scatter more is their spread.
    It comes out too small where many sites are unclear, and too large from the global estimate,
    where occupied sites have more noise: the geometric mean of both is taken.
    """
    empty = (information > 0) & (probability < _UNCERTAIN)
    occupied = (information > 0) & (probability > 1 - _UNCERTAIN)
    if min(empty.sum(), occupied.sum()) < _FEWEST_CLEAR:
        return prior
    noise = float(own[empty].var() * information[empty].mean())
    variance = float(own[occupied].var()) - noise * float((1 / information[occupied]).mean())
    least, most = ((part * prior.brightness) ** 2 for part in (LEAST_SPREAD, MOST_SPREAD))
    return replace(prior, variance=(min(max(variance, least), most) * prior.variance) ** 0.5)


def weigh_clusters(
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
    centres = optics.overlaps.cover
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
        rest = collect_rest(optics, shot.signal, weights, brightness)
        before = probability.copy()
        cluster_posteriors(optics, scale, prior, centres, brightness, rest, before, probability)
        information = scale**2 * optics.strength
        own = brightness + np.divide(
            rest, information, out=np.zeros_like(rest), where=information > 0
        )
        if turn == 0 and adapt:
            seen = shot.valid
            prior = adapt_spread(prior, probability[seen], own[seen], information[seen])
        change = np.abs(probability - before).sum()
        if turn and change < _SETTLED * np.minimum(probability, 1 - probability).sum():
            break
        unclear = np.minimum(probability, 1 - probability) > _UNCERTAIN
        centres = np.flatnonzero(unclear).astype(np.int32)
    return _sobered(probability, optics.overlaps.crowding), own, prior


def _sobered(probability: FloatArray, crowding: float) -> FloatArray:
    """Return probabilities whose log-odds are smaller, the more sites are not clear.

    Errors come in groups of more sites than a cluster has: where many sites that overlap are not
    clear, a cluster's surroundings look more certain than they are. By how much is read off
    simulated images of 10 to 16 dB, in which the log-odds divided by ``1 + 3 u^0.65``, u being the
    share of sites that are not clear, give the truth its largest likelihood. Sites that hardly
    overlap do not err together: the excess is multiplied by the square of their overlap, over 0.6.
    """
    unclear = float((np.minimum(probability, 1 - probability) > _UNCERTAIN).mean())
    excess = 3 * unclear**0.65 * min(crowding / 0.6, 1.0) ** 2
    return np.asarray(expit(logit(probability) / (1 + excess)))
