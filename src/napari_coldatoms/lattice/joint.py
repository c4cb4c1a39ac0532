"""What shots of one lattice share: regularisation, modes and prior found from all of them.

A few sites do not make a histogram with two modes; those of many shots together do. Here each shot
keeps its own background, bad pixels and misfit, but λ, mixture, occupancy, brightness and its
spread are those of the pool. Contrast is judged on the pool, too: a shot without atoms among
others is no riddle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.global_step import (
    GlobalStep,
    Known,
    first_regularisation,
    prior_of,
)
from napari_coldatoms.lattice.judging import Options, Prepared
from napari_coldatoms.lattice.linear import estimate_brightness, precondition, site_scale
from napari_coldatoms.lattice.local_step import local_step
from napari_coldatoms.lattice.misfit import NO_MISFIT, Misfit, find_misfit, fit_light
from napari_coldatoms.lattice.modes import FEWEST_SITES, differ, modes_of
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.preparation import MOST_UNCLEAR, adjust, refine
from napari_coldatoms.lattice.prior import SitePrior, likely_occupancy
from napari_coldatoms.lattice.refinement import adapt_spread, weigh_clusters
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]

_ROUNDS = 2
_RANGE = 30.0  # of λ around a first guess, either way
_SEARCH = {"xatol": 0.2, "maxiter": 12}  # in ln λ
_TRIAL_TOLERANCE = 0.001
_ENOUGH_SITES, _MOST_PIXELS = 4000, 4_000_000  # for a misfit common to all shots


@dataclass(frozen=True, eq=False)
class Pool:
    """What all shots share.

    Attributes
    ----------
    level : float
        Mean brightness of a site.
    regularisation : float
        λ of the most contrast over all shots.
    mixture : Mixture
        Modes of the global estimates of all shots.
    prior : SitePrior
        Occupancy, mean and variance of the brightness.
    has_contrast : bool
        Whether there are two modes.
    """

    level: float
    regularisation: float
    mixture: Mixture
    prior: SitePrior
    has_contrast: bool

    @cached_property
    def known(self) -> Known:
        """The pool's prior, as what is known of a shot before its image."""
        prior = self.prior
        parameters = ImagingParameters(
            prior.occupancy, prior.brightness, prior.variance**0.5, background=0.0
        )
        return Known(parameters, self.mixture)

    def estimate(
        self, shot: Shot, *, like: GlobalStep | None = None, tune: bool = True
    ) -> GlobalStep:
        """Return a shot's global estimate with the pool's modes, in place of `global_step`."""
        start = None if like is None else like.brightness
        brightness = _estimate(shot, self.level, self.regularisation, start)
        return GlobalStep(brightness, self.mixture, self.regularisation, self.has_contrast)


def prepare_together(setup: Setup, shots: Sequence[Shot], options: Options) -> list[Prepared]:
    """Return shots ready for the estimators, with what they share found from all of them.

    Parameters
    ----------
    setup : Setup
        Lattice, PSF and frame.
    shots : sequence of Shot
        With a first background each; all with light of sites on good pixels.
    options : Options
        Without imaging parameters.

    Raises
    ------
    ValueError
        If all shots together have fewer than four sites.
    """
    pool = pool_of(shots)
    for turn in range(_ROUNDS):
        shots = _refined(setup, shots, pool, options, find_bad=options.find_bad and turn == 0)
        pool = pool_of(shots, pool)
    misfits = [NO_MISFIT] * len(shots)
    if options.find_misfit and pool.has_contrast:
        shots, pool, common = _adjust_together(setup, shots, pool, options)
        adjusted = [
            adjust(
                setup,
                shot,
                pool.estimate(shot),
                find_background=options.find_background,
                known=pool.known,
                misfit=common,
                estimate=pool.estimate,
            )
            for shot in shots
        ]
        shots, misfits = [shot for shot, _, _ in adjusted], [misfit for _, _, misfit in adjusted]
        pool = pool_of(shots, pool)
    if options.method == "alternating" and pool.has_contrast:
        pool = replace(pool, prior=_adapted_prior(shots, pool))
    return [
        Prepared(shot, pool.known, pool.estimate(shot), misfit)
        for shot, misfit in zip(shots, misfits, strict=True)
    ]


def pool_of(shots: Sequence[Shot], like: Pool | None = None) -> Pool:
    """Return what shots share; `like` is that of the same shots with other backgrounds."""
    from scipy.optimize import minimize_scalar

    sites = np.array([shot.valid.sum() for shot in shots])
    if sites.sum() < FEWEST_SITES:
        raise ValueError(
            f"expected at least {FEWEST_SITES} sites in all images together or imaging "
            f"parameters, found {sites.sum()} sites"
        )
    level = float(np.average([shot.mean_brightness() for shot in shots], weights=sites))
    scales = [site_scale(shot.optics, shot.good) for shot in shots]
    rests = [shot.good * (shot.signal - shot.optics.image(_even(shot, level))) for shot in shots]
    rights = [shot.optics.collect(rest) for shot, rest in zip(shots, rests, strict=True)]
    found: list[FloatArray | None] = [None] * len(shots)

    def loss(log: float) -> float:
        for k, (shot, scale, right) in enumerate(zip(shots, scales, rights, strict=True)):
            found[k] = precondition(
                shot.optics,
                scale,
                right,
                start=found[k],
                shift=float(np.exp(log)),
                tolerance=_TRIAL_TOLERANCE,
            )
        values = _pooled(shots, found)
        return -fit_mixture(values).contrast if differ(values) else 0.0

    if like is None:
        first = [first_regularisation(*pair) for pair in zip(shots, rests, strict=True)]
        begin, reach = float(np.median(np.log(first))), np.log(_RANGE)
    else:
        begin, reach = np.log(like.regularisation), np.log(_RANGE) / 3
    bounds = (begin - reach, begin + reach)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options=_SEARCH)
    regularisation = float(np.exp(best.x))
    values = _pooled(shots, [_estimate(shot, level, regularisation) for shot in shots])
    mixture, modes = modes_of(values)
    prior = prior_of(values, mixture)
    return Pool(level, regularisation, mixture, prior, modes.is_supported)


def _even(shot: Shot, level: float) -> FloatArray:
    return np.full(len(shot.optics), level)


def _pooled(shots: Sequence[Shot], found: Sequence[FloatArray | None]) -> FloatArray:
    return np.concatenate(
        [x[shot.valid] for shot, x in zip(shots, found, strict=True) if x is not None]
    )


def _estimate(
    shot: Shot, level: float, regularisation: float, start: FloatArray | None = None
) -> FloatArray:
    return estimate_brightness(
        shot.optics,
        shot.signal,
        shot.good,
        _even(shot, level),
        np.full(len(shot.optics), 1 / regularisation),
        start=start,
        steps=3,
    )


def _refined(
    setup: Setup, shots: Sequence[Shot], pool: Pool, options: Options, *, find_bad: bool
) -> list[Shot]:
    return [
        refine(
            setup,
            shot,
            find_background=options.find_background,
            find_bad=find_bad,
            estimate=pool.estimate,
        )[0]
        for shot in shots
    ]


def _adjust_together(
    setup: Setup, shots: Sequence[Shot], pool: Pool, options: Options
) -> tuple[Sequence[Shot], Pool, Misfit]:
    """Adjust lattice and PSF alike for all shots, as long as that adds to the contrast."""
    total = NO_MISFIT
    for _ in range(_ROUNDS):
        more = _common_misfit(shots, pool, setup.psf.hwhm * total.width)
        if not more.is_there:
            break
        wanted = more.after(total)
        optics = setup.adjusted(wanted)
        others = [replace(shot, optics=optics) for shot in shots]
        others = _refined(setup, others, pool, options, find_bad=False)
        better = pool_of(others, pool)
        if better.mixture.contrast < pool.mixture.contrast:
            break
        shots, pool, total = others, better, wanted
    return shots, pool, total


def _common_misfit(shots: Sequence[Shot], pool: Pool, hwhm: float) -> Misfit:
    some = _enough(shots)
    local = [local_step(shot, pool.estimate(shot), pool.prior)[1] for shot in some]
    certain = _pooled(some, local)
    if np.minimum(certain, 1 - certain).mean() > MOST_UNCLEAR:
        return NO_MISFIT
    return find_misfit(*_stacked(some, local), hwhm)


def _adapted_prior(shots: Sequence[Shot], pool: Pool) -> SitePrior:
    """Return occupancy, brightness and spread anew, as `estimate_alternating` does for a shot."""
    some = _enough(shots)
    local = [local_step(shot, pool.estimate(shot), pool.prior) for shot in some]
    brightness, _ = fit_light(*_stacked(some, [probability for _, probability in local]))
    if not brightness > 0:
        return pool.prior
    chance = float(_pooled(some, [probability for _, probability in local]).mean())
    occupancy = likely_occupancy(chance, sum(int(shot.valid.sum()) for shot in some))
    prior = replace(pool.prior, occupancy=occupancy, brightness=brightness)
    found = [
        weigh_clusters(shot, prior, *first, adapt=False)
        for shot, first in zip(some, local, strict=True)
    ]
    probabilities = [probability for probability, _, _ in found]
    information = [
        site_scale(shot.optics, shot.weights(prior.mean(p))) ** 2 * shot.optics.strength
        for shot, p in zip(some, probabilities, strict=True)
    ]
    return adapt_spread(
        prior,
        _pooled(some, probabilities),
        _pooled(some, [own for _, own, _ in found]),
        _pooled(some, information),
    )


def _enough(shots: Sequence[Shot]) -> list[Shot]:
    """Return some shots, spread over all: what is common to all is known well enough then."""
    sites, pixels = len(shots[0].optics), shots[0].image.size
    most = max(1, min(_ENOUGH_SITES // sites, _MOST_PIXELS // pixels, len(shots)))
    return [shots[k] for k in np.linspace(0, len(shots) - 1, most).round().astype(int)]


def _stacked(
    shots: Sequence[Shot], probabilities: Sequence[FloatArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return signal, good pixels and light of the sites, each (shots, y, x)."""
    light = [shot.optics.image(p) for shot, p in zip(shots, probabilities, strict=True)]
    signal, good = [shot.signal for shot in shots], [shot.good for shot in shots]
    return np.stack(signal), np.stack(good), np.stack(light)
