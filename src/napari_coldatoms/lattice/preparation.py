"""An image made ready for the estimators: bad pixels, background, adjustments to the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.defects import (
    checked_mask,
    dark_level,
    fill_bad_pixels,
    find_bad_pixels,
    find_outliers,
    smooth_map,
)
from napari_coldatoms.lattice.global_step import GlobalStep, Known, global_step, site_prior
from napari_coldatoms.lattice.local_step import local_step
from napari_coldatoms.lattice.misfit import NO_MISFIT, Misfit, find_misfit, fit_light, fit_shift
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.setup import LEAST_LIGHT, Setup
from napari_coldatoms.lattice.shot import Shot

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

BadPixels = Literal["auto"] | ArrayLike | None
Background = Literal["auto"] | float | ArrayLike
# as `global_step`: of the shot, that of a similar one, and whether to search for λ
GlobalEstimator = Callable[..., GlobalStep]

_ROUNDS = 4
_CAPPED = 0.995  # mean of the square of a standard normal number, at most 9
_FITTED = 0.7  # degrees of freedom that the global estimate takes for a site
_MOST_EXCESS = 0.1
_DARK_QUANTILE = 0.998  # brighter dark pixels may be hits that are not known to be bad
MOST_UNCLEAR = 0.06  # expected errors beyond which nothing else can be told from them
_SETTLED = 0.01  # change of the signal on a site's area, in brightnesses
_SIGNIFICANT = 4.0  # standard errors
_UNCLEAR = 20.0  # how much larger errors are for each expected error of the occupation


def make_shot(
    setup: Setup,
    image: ArrayLike,
    *,
    background: Background,
    bad_pixels: BadPixels,
    read_noise: float,
    excess_noise: float,
    parameters: ImagingParameters | None,
) -> Shot:
    """Return an image with its bad pixels and a first background; parameters as checked below.

    Raises
    ------
    ValueError, TypeError
        See `Reconstructor.reconstruct`.
    """
    if parameters is not None:
        read_noise, excess_noise = parameters.read_noise, parameters.excess_noise
    _check_at_least("read_noise", read_noise, 0.0)
    _check_at_least("excess_noise", excess_noise, 1.0)
    pixels = _pixels(image)
    if pixels.shape != setup.image_shape:
        raise ValueError(
            f"expected an image of shape {setup.image_shape}, found shape {pixels.shape}"
        )
    bad = _bad_pixels(setup, pixels, bad_pixels, read_noise, excess_noise)
    if bad.all():
        raise ValueError("expected an image with good pixels, found none")
    nothing = np.zeros(setup.image_shape)
    shot = Shot(setup.optics, pixels, nothing, nothing, read_noise, excess_noise, setup.inside)
    shot = _without(shot, bad)
    return shot.with_background(_first_background(setup, shot, background, parameters))


def refine(
    setup: Setup,
    shot: Shot,
    *,
    find_background: bool,
    find_bad: bool,
    estimate: GlobalEstimator = global_step,
) -> tuple[Shot, GlobalStep]:
    """Find the background map, noise beyond the camera's, and pixels that nothing explains.

    Returns the shot with these and its global estimate.
    """
    step = estimate(shot)
    weights = shot.weights(np.maximum(step.brightness, 0.0))
    residual = shot.signal - shot.optics.image(step.brightness)
    more = _unexplained_variance(shot, residual, weights)
    if more > 0:
        shot = replace(shot, read_noise=(shot.read_noise**2 + more) ** 0.5)
        weights = shot.weights(np.maximum(step.brightness, 0.0))
    if find_bad:
        outlying = find_outliers(residual, weights, shot.excess_noise)
        if outlying.any():
            shot = _without(shot, (shot.good == 0) | outlying)
            step = estimate(shot, like=step, tune=False)
    return with_background_map(setup, shot, step, estimate) if find_background else (shot, step)


def refine_known(setup: Setup, shot: Shot, known: Known) -> tuple[Shot, GlobalStep | None]:
    """Return a shot of known imaging parameters with the background map found.

    A background that is a tenth too high or too low would make atoms of it, or hide them. Where
    the occupation is not clear enough to tell, it stays as it is.

    The global estimate, which holds the local one, comes with it if it is that of the final map.
    """
    brightness = known.parameters.brightness
    area = min(setup.lattice.site_area, float(shot.image.size))
    for _ in range(_ROUNDS):
        step = global_step(shot, known)
        local = local_step(shot, step, site_prior(step, shot, known))
        step = replace(step, local=local)
        probability = local[1]
        unclear = np.minimum(probability, 1 - probability)[shot.valid]
        if unclear.sum() > MOST_UNCLEAR * len(unclear):
            return shot, step
        rest = shot.signal - brightness * shot.optics.image(probability)
        change = smooth_map(rest, shot.good, _mean_spacing(shot))
        if np.abs(change).max() * area < _SETTLED * brightness:
            return shot, step
        shot = shot.with_background(shot.background + change)
    return shot, None


def adjust(
    setup: Setup,
    shot: Shot,
    step: GlobalStep,
    *,
    find_background: bool,
    known: Known | None = None,
    misfit: Misfit = NO_MISFIT,
    estimate: GlobalEstimator = global_step,
) -> tuple[Shot, GlobalStep, Misfit]:
    """Adjust lattice and PSF to the image, as long as that adds to its contrast.

    `misfit` is what the shot's optics are adjusted to already. Returns the shot with the optics
    adjusted, its global estimate that holds the local one, and what was adjusted.
    """
    total = misfit
    for turn in range(_ROUNDS):
        if not step.has_contrast:
            break
        local = local_step(shot, step, site_prior(step, shot, known))
        step = replace(step, local=local)
        light = shot.optics.image(local[1])
        more = find_misfit(shot.signal, shot.good, light, setup.psf.hwhm * total.width)
        unclear = float(np.minimum(local[1], 1 - local[1])[shot.valid].mean())
        if turn == _ROUNDS - 1 or unclear > MOST_UNCLEAR or not more.is_there:
            break
        wanted = more.after(total)
        other = replace(shot, optics=setup.adjusted(wanted))
        # not from the last λ: that of a wrong PSF may be far from that of the right one
        better = estimate(other)
        if find_background:
            other, better = with_background_map(setup, other, better, estimate)
        if better.mixture.contrast < step.mixture.contrast:
            break
        shot, step, total = other, better, wanted
    return shot, step, total


def measure_shift(
    setup: Setup, shot: Shot, probability: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return how far (y, x) the sites are from where the shot's optics have them, and the errors.

    Both are NaN without light. The more sites are unclear, the larger are the errors.
    """
    light = shot.optics.image(probability)
    shift, error = fit_shift(shot.signal, shot.good, light, 2 * setup.psf.hwhm)
    unclear = np.minimum(probability, 1 - probability)[shot.valid].mean()
    return shift, error * (1 + _UNCLEAR * unclear)


def _pixels(image: ArrayLike) -> FloatArray:
    """Return a copy of an image in which masked pixels are NaN."""
    if np.iscomplexobj(image):
        raise TypeError("expected an image of real numbers, found complex ones")
    if isinstance(image, np.ma.MaskedArray):
        return np.ma.filled(image.astype(np.float64), np.nan)
    return np.array(image, dtype=np.float64)


def _bad_pixels(
    setup: Setup,
    pixels: FloatArray,
    bad_pixels: BadPixels,
    read_noise: float,
    excess_noise: float,
) -> BoolArray:
    unusable: BoolArray = ~np.isfinite(pixels)
    if bad_pixels is None:
        return unusable
    if isinstance(bad_pixels, str):
        if bad_pixels != "auto":
            raise ValueError(f"expected bad_pixels 'auto', None or a mask, found {bad_pixels!r}")
        return find_bad_pixels(pixels, setup.psf, read_noise=read_noise, excess_noise=excess_noise)
    return unusable | checked_mask(bad_pixels, setup.image_shape)


def _unexplained_variance(shot: Shot, residual: FloatArray, weights: FloatArray) -> float:
    """Return how much more the pixels scatter about the estimate than their noise tells.

    As variance per pixel; 0 up to an excess of a tenth. Bad pixels count as three standard
    deviations at most.
    """
    used = weights > 0
    scatter = float(np.minimum(weights[used] * residual[used] ** 2, 9.0).mean()) / _CAPPED
    free = 1 - _FITTED * min(len(shot.optics) / float(used.sum()), 1.0)
    excess = scatter / free - 1
    return excess * float(np.mean(1 / weights[used])) if excess > _MOST_EXCESS else 0.0


def _without(shot: Shot, bad: BoolArray) -> Shot:
    """Return the shot without some bad pixels, and without the sites that these hide."""
    if not bad.any():
        return replace(shot, good=np.ones(bad.shape))
    good = np.where(bad, 0.0, 1.0)
    seen = shot.optics.site_weights(good) > LEAST_LIGHT
    image = fill_bad_pixels(shot.image, bad)
    return replace(shot, image=image, good=good, valid=shot.valid & seen)


def _first_background(
    setup: Setup,
    shot: Shot,
    background: Background,
    parameters: ImagingParameters | None,
) -> FloatArray:
    if isinstance(background, str):
        if background != "auto":
            raise ValueError(
                f"expected a background 'auto', a number or an array, found {background!r}"
            )
        return np.full(setup.image_shape, _first_level(setup, shot, parameters))
    given = np.asarray(background, dtype=np.float64)
    if given.shape not in ((), setup.image_shape):
        raise ValueError(
            f"expected a background for each of {setup.image_shape} pixels or one for all, "
            f"found an array of shape {given.shape}"
        )
    if not np.isfinite(given).all():
        raise ValueError("expected a finite background, found NaN or infinite values")
    return np.broadcast_to(given, setup.image_shape).astype(np.float64)


def _first_level(setup: Setup, shot: Shot, parameters: ImagingParameters | None) -> float:
    """Return the level of the pixels without light, or the known one unless they deny it."""
    dark = setup.dark_pixels & (shot.good > 0)
    if dark.sum() < max(100, 0.01 * dark.size):
        return parameters.background if parameters else dark_level(shot.image[shot.good > 0])
    # not the median, which is 0 where there is less than a count per pixel
    values = shot.image[dark]
    values = values[values <= np.quantile(values, _DARK_QUANTILE)]
    level = float(values.mean())
    if parameters is not None:
        error = float(values.std()) / len(values) ** 0.5
        if abs(level - parameters.background) < _SIGNIFICANT * error:
            return parameters.background
    return level


def with_background_map(
    setup: Setup, shot: Shot, step: GlobalStep, estimate: GlobalEstimator
) -> tuple[Shot, GlobalStep]:
    """Find the background map; return the shot with it and its global estimate."""
    area = min(setup.lattice.site_area, float(shot.image.size))
    changed = False
    for _ in range(_ROUNDS):
        if not step.has_contrast:
            break
        change = _background_change(shot, step.mixture.probability(step.brightness))
        distance = float(step.mixture.means[1] - step.mixture.means[0])
        if np.abs(change).max() * area < _SETTLED * distance:
            break
        changed = True
        shot = shot.with_background(shot.background + change)
        step = estimate(shot, like=step, tune=False)
    return shot, estimate(shot, like=step) if changed else step


def _background_change(shot: Shot, probability: FloatArray) -> FloatArray:
    """Return what the image shows beside sites of the mean brightness, smoothed."""
    light = shot.optics.image(probability)
    brightness, _ = fit_light(shot.signal, shot.good, light)
    return smooth_map(shot.signal - brightness * light, shot.good, _mean_spacing(shot))


def _mean_spacing(shot: Shot) -> float:
    return float((shot.image.size / len(shot.optics)) ** 0.5)


def _check_at_least(name: str, value: float, least: float) -> None:
    if not (np.isfinite(value) and value >= least):
        raise ValueError(f"expected {name} to be finite and at least {least}, found {value}")
