"""The global estimate: one prior for all sites, one noise for all pixels (Eqs. 32-36).

Equation numbers are those of Cheneau et al. 2025, arXiv:2502.08511.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.linear import estimate_brightness, precondition, site_scale
from napari_coldatoms.lattice.modes import FEWEST_SITES, differ, modes_of
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.prior import LEAST_SPREAD, MOST_SPREAD, SitePrior, likely_occupancy
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.lattice.sums import dot
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_RATIO = 3.0  # between trial values of the regularisation
_MOST_RATIOS = 4  # from where the search begins
_LIKELY_REGULARISATION = 1e-5, 1.0  # over the diagonal of MᵀM
# an unfinished solution is a regularised one, too: it would lead the search astray
_TRIAL_TOLERANCE = 0.001


@dataclass(frozen=True, eq=False)
class Known:
    """What is known before the image: imaging parameters, and the global estimate's modes."""

    parameters: ImagingParameters
    mixture: Mixture


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
    if count < FEWEST_SITES:
        raise ValueError(
            f"expected at least {FEWEST_SITES} sites in the frame or imaging parameters, found "
            f"{count} sites"
        )
    level = shot.mean_brightness()
    mean = np.full(len(optics), level)
    scale = site_scale(optics, shot.good)
    rest = shot.good * (shot.signal - level * optics.even_light)
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
    mixture, modes = modes_of(brightness[shot.valid])
    return GlobalStep(brightness, mixture, regularisation, has_contrast=modes.is_supported)


def first_regularisation(shot: Shot, rest: FloatArray) -> float:
    """Return about σn²/σx², from what the image has more variance than its noise."""
    noise = max(shot.noise_variance(), 1e-12)
    strength = shot.optics.strength * shot.optics.relative**2
    excess = dot(rest, rest) - noise * float(shot.good.sum())
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
    variance = min(variance, (MOST_SPREAD * mean) ** 2)
    return _within_limits(float(probability.mean()), mean, variance, len(values))


def _within_limits(occupancy: float, mean: float, variance: float, sites: int) -> SitePrior:
    return SitePrior(
        likely_occupancy(occupancy, sites), mean, max(variance, (LEAST_SPREAD * mean) ** 2)
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
            if differ(values):
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


def mixture_of(brightness: FloatArray, valid: BoolArray, otherwise: Mixture) -> Mixture:
    """Fit the two modes; where there are too few sites for that, return the other mixture."""
    values = brightness[valid]
    return fit_mixture(values, start=otherwise) if differ(values) else otherwise
