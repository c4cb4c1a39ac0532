"""From an image to the occupation of every site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.deconvolution import Deconvolver
from napari_coldatoms.lattice.defects import (
    dark_level,
    fill_bad_pixels,
    find_bad_pixels,
    find_outliers,
    smooth_map,
)
from napari_coldatoms.lattice.estimators import (
    Estimate,
    GlobalStep,
    Known,
    estimate_alternating,
    estimate_global,
    estimate_local,
    global_step,
    local_step,
    site_prior,
)
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.misfit import Misfit, find_misfit, fit_light
from napari_coldatoms.lattice.optics import Optics, make_optics
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.lattice.snr import Method, SignalToNoise

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_ESTIMATORS: dict[str, Callable[[Shot, Known | None, GlobalStep | None], Estimate]] = {
    "alternating": estimate_alternating,
    "local": estimate_local,
    "global": estimate_global,
}
_LEAST_LIGHT = 0.05  # of a site's light in the frame, squared and summed, for it to count
_ROUNDS = 4
_SETTLED = 0.01  # change of the signal on a site's area, in brightnesses
_MOST_ADJUSTMENTS = 4


def reconstruct(
    image: ArrayLike,
    lattice: Lattice,
    psf: PSF,
    *,
    method: Method = "alternating",
    background: Literal["auto"] | float | ArrayLike = "auto",
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    parameters: ImagingParameters | None = None,
    bad_pixels: Literal["auto"] | ArrayLike | None = "auto",
    misfit: Literal["auto"] | None = "auto",
) -> Reconstruction:
    """Judge every site of a lattice in one image.

    For many images of one lattice make a `Reconstructor`, which keeps what they share.

    Parameters
    ----------
    image : (y, x) array or DataArray
        Counts.
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function.
    method, background, read_noise, excess_noise, parameters, bad_pixels, misfit
        See `Reconstructor.reconstruct`.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ValueError
        See `Reconstructor.reconstruct`.
    """
    shape = np.shape(image)
    if len(shape) != 2:
        raise ValueError(f"expected an image of shape (y, x), found shape {shape}")
    return Reconstructor(lattice, psf, image_shape=(shape[0], shape[1])).reconstruct(
        image,
        method=method,
        background=background,
        read_noise=read_noise,
        excess_noise=excess_noise,
        parameters=parameters,
        bad_pixels=bad_pixels,
        misfit=misfit,
    )


class Reconstructor:
    """Reconstructs images of one lattice; keeps all that depends on the geometry alone.

    Parameters
    ----------
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function.
    image_shape : (int, int)
        Rows and columns of the images.
    relative_brightness : (n,) array, optional
        Brightness of each site relative to the mean: a brightness map.

    Raises
    ------
    ValueError
        If no site is in the frame.
    """

    def __init__(
        self,
        lattice: Lattice,
        psf: PSF,
        *,
        image_shape: tuple[int, int],
        relative_brightness: ArrayLike | None = None,
    ) -> None:
        self.lattice = lattice
        self.psf = psf
        self.optics = make_optics(lattice, psf, image_shape)
        if relative_brightness is not None:
            self.optics = self.optics.with_relative_brightness(relative_brightness)
        self.image_shape = self.optics.image_shape
        self._adjustments: dict[Misfit, Optics] = {}
        self._ratios: dict[float, SignalToNoise] = {}
        strength = self.optics.strength
        self._inside = lattice.inside(self.image_shape)
        self._inside &= strength > _LEAST_LIGHT * strength.max()
        if not self._inside.any():
            raise ValueError(
                f"expected sites within a frame of {self.image_shape} pixels, found none: they lie "
                f"from {lattice.positions.min(axis=0)} to {lattice.positions.max(axis=0)} (y, x)"
            )

    @cached_property
    def _deconvolver(self) -> Deconvolver:
        return Deconvolver(self.lattice, self.psf, self.image_shape)

    def _signal_to_noise(self, width: float = 1.0) -> SignalToNoise:
        """Return the signal-to-noise ratio for a PSF wider by a factor; keeps the last ones."""
        if width not in self._ratios:
            while len(self._ratios) >= _MOST_ADJUSTMENTS:
                self._ratios.pop(next(iter(self._ratios)))
            self._ratios[width] = SignalToNoise(self.lattice, self.psf.scaled(width))
        return self._ratios[width]

    def reconstruct(
        self,
        image: ArrayLike,
        *,
        method: Method = "alternating",
        background: Literal["auto"] | float | ArrayLike = "auto",
        read_noise: float = 0.0,
        excess_noise: float = 1.0,
        parameters: ImagingParameters | None = None,
        bad_pixels: Literal["auto"] | ArrayLike | None = "auto",
        misfit: Literal["auto"] | None = "auto",
    ) -> Reconstruction:
        """Judge every site in one image.

        Parameters
        ----------
        image : (y, x) array or DataArray
            Counts. Pixels that are not finite are left out.
        method : {"alternating", "local", "global", "deconvolution"}
            The estimator; the first is the most accurate, the others are faster.
        background : "auto", float or (y, x) array
            Counts per pixel without light of the sites. "auto" takes it from the parameters, if
            there are any, and otherwise finds a smooth map.
        read_noise : float
            Standard deviation of the camera's read noise, in counts.
        excess_noise : float
            Factor on the variance of the shot noise, 2 for a camera with electron multiplication.
        parameters : ImagingParameters, optional
            What is known of brightness, occupancy, background and camera; its read noise and
            excess noise replace the arguments. By default all is found in the image.
        bad_pixels : "auto", None or (y, x) bool array
            Pixels to leave out. "auto" finds hot and dead pixels and cosmic hits.
        misfit : "auto" or None
            "auto" adjusts the lattice's place, by a fraction of a site, and the PSF's width to the
            image, for "alternating" and "local" where no imaging parameters are given.

        Returns
        -------
        Reconstruction

        Raises
        ------
        ValueError
            If the image has another shape or no finite pixel, a parameter is out of its range, or
            fewer than four sites are in the frame and no parameters are given.
        TypeError
            If the mask of bad pixels is not boolean.
        """
        if method not in get_args(Method):
            raise ValueError(f"expected one of the methods {get_args(Method)}, found {method!r}")
        if parameters is not None:
            read_noise, excess_noise = parameters.read_noise, parameters.excess_noise
        if misfit not in ("auto", None):
            raise ValueError(f"expected misfit 'auto' or None, found {misfit!r}")
        _check_at_least("read_noise", read_noise, 0.0)
        _check_at_least("excess_noise", excess_noise, 1.0)
        pixels = self._pixels(image)
        bad = self._bad_pixels(pixels, bad_pixels, read_noise, excess_noise)
        shot = self._shot(pixels, bad, read_noise, excess_noise)
        shot = shot.with_background(self._background(shot, background, parameters))
        step = known = None
        found = Misfit()
        if parameters is not None:
            known = Known(parameters, self._signal_to_noise().mixture(parameters))
        else:
            shot, step = self._refine(
                shot,
                find_background=isinstance(background, str),
                find_bad=isinstance(bad_pixels, str),
            )
            if misfit is not None and method in ("local", "alternating"):
                shot, step, found = self._fit(
                    shot, step, find_background=isinstance(background, str)
                )
        if method == "deconvolution":
            estimate = self._deconvolve(shot, known)
        else:
            estimate = _ESTIMATORS[method](shot, known, step)
        return self._result(shot, estimate, parameters, method, found)

    def _pixels(self, image: ArrayLike) -> FloatArray:
        pixels = np.array(image, dtype=np.float64)
        if pixels.shape != self.image_shape:
            raise ValueError(
                f"expected an image of shape {self.image_shape}, found shape {pixels.shape}"
            )
        if not np.isfinite(pixels).any():
            raise ValueError("expected an image with finite pixels, found none")
        return pixels

    def _bad_pixels(
        self,
        pixels: FloatArray,
        bad_pixels: Literal["auto"] | ArrayLike | None,
        read_noise: float,
        excess_noise: float,
    ) -> BoolArray:
        unusable: BoolArray = ~np.isfinite(pixels)
        if bad_pixels is None:
            return unusable
        if isinstance(bad_pixels, str):
            if bad_pixels != "auto":
                raise ValueError(
                    f"expected bad_pixels 'auto', None or a mask, found {bad_pixels!r}"
                )
            return find_bad_pixels(
                pixels, self.psf, read_noise=read_noise, excess_noise=excess_noise
            )
        mask = np.asarray(bad_pixels)
        if mask.dtype != np.bool_:
            raise TypeError(f"expected a boolean mask of bad pixels, found {mask.dtype}")
        if mask.shape != self.image_shape:
            raise ValueError(
                f"expected a mask of bad pixels of shape {self.image_shape}, found {mask.shape}"
            )
        return unusable | mask

    def _shot(
        self, pixels: FloatArray, bad: BoolArray, read_noise: float, excess_noise: float
    ) -> Shot:
        good = np.where(bad, 0.0, 1.0)
        valid = self._inside
        if bad.any():
            if bad.all():
                raise ValueError("expected an image with good pixels, found none")
            valid = valid & (self.optics.site_weights(good) > _LEAST_LIGHT)
        return Shot(
            self.optics,
            fill_bad_pixels(pixels, bad),
            good,
            np.zeros(self.image_shape),
            read_noise,
            excess_noise,
            valid,
        )

    def _background(
        self,
        shot: Shot,
        background: Literal["auto"] | float | ArrayLike,
        parameters: ImagingParameters | None,
    ) -> FloatArray:
        if isinstance(background, str):
            if background != "auto":
                raise ValueError(
                    f"expected a background 'auto', a number or an array, found {background!r}"
                )
            level = parameters.background if parameters else self._dark_level(shot)
            return np.full(self.image_shape, level)
        given = np.asarray(background, dtype=np.float64)
        if given.shape not in ((), self.image_shape):
            raise ValueError(
                f"expected a background for each of {self.image_shape} pixels or one for all, "
                f"found an array of shape {given.shape}"
            )
        if not np.isfinite(given).all():
            raise ValueError("expected a finite background, found NaN or infinite values")
        return np.broadcast_to(given, self.image_shape).astype(np.float64)

    @cached_property
    def _dark_pixels(self) -> BoolArray:
        """Pixels that the sites' light does not reach."""
        light = self.optics.image(np.ones(len(self.optics)))
        dark: BoolArray = light < 1e-3 * light.max()
        return dark

    def _dark_level(self, shot: Shot) -> float:
        dark = self._dark_pixels & (shot.good > 0)
        if dark.sum() >= max(100, 0.01 * dark.size):
            return float(np.median(shot.image[dark]))
        return dark_level(shot.image[shot.good > 0])

    def _refine(
        self, shot: Shot, *, find_background: bool, find_bad: bool
    ) -> tuple[Shot, GlobalStep]:
        """Find the background map, and pixels that the global estimate cannot explain.

        Returns the shot with these and its global estimate.
        """
        step = global_step(shot)
        if find_bad:
            weights = shot.weights(np.maximum(step.brightness, 0.0))
            residual = shot.signal - self.optics.image(step.brightness)
            outlying = find_outliers(residual, weights)
            if outlying.any():
                bad, background = (shot.good == 0) | outlying, shot.background
                shot = self._shot(shot.image, bad, shot.read_noise, shot.excess_noise)
                shot = shot.with_background(background)
                step = global_step(shot, like=step, tune=False)
        return self._with_background_map(shot, step) if find_background else (shot, step)

    def _with_background_map(self, shot: Shot, step: GlobalStep) -> tuple[Shot, GlobalStep]:
        """Find the background map; return the shot with it and its global estimate."""
        area = min(self.lattice.site_area, float(shot.image.size))
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
            step = global_step(shot, like=step, tune=False)
        return shot, global_step(shot, like=step) if changed else step

    def _fit(
        self, shot: Shot, step: GlobalStep, *, find_background: bool
    ) -> tuple[Shot, GlobalStep, Misfit]:
        """Adjust lattice and PSF to the image, as long as that adds to its contrast.

        Returns the shot with the optics adjusted, its global estimate that holds the local one,
        and what was adjusted.
        """
        total = Misfit()
        for turn in range(_ROUNDS):
            if not step.has_contrast:
                return shot, step, total
            local = local_step(shot, step, site_prior(step, shot))
            step = replace(step, local=local)
            if turn == _ROUNDS - 1:
                break
            light = shot.optics.image(local[1])
            hwhm = self.psf.hwhm * total.width
            more = find_misfit(shot.signal, shot.good, light, hwhm)
            if not more.is_there:
                break
            wanted = more.after(total)
            other = replace(shot, optics=self._adjusted(wanted))
            better = global_step(other, like=step)
            if find_background:
                other, better = self._with_background_map(other, better)
            if better.mixture.contrast < step.mixture.contrast:
                break
            shot, step, total = other, better, wanted
        return shot, step, total

    def _adjusted(self, misfit: Misfit) -> Optics:
        """Return the optics of the lattice and the PSF adjusted to a misfit; keeps a few."""
        if misfit not in self._adjustments:
            while len(self._adjustments) >= _MOST_ADJUSTMENTS:
                self._adjustments.pop(next(iter(self._adjustments)))
            lattice, psf = self.lattice.shift(misfit.offset), self.psf.scaled(misfit.width)
            optics = make_optics(lattice, psf, self.image_shape)
            relative = self.optics.relative
            self._adjustments[misfit] = optics.with_relative_brightness(relative)
        return self._adjustments[misfit]

    def _deconvolve(self, shot: Shot, known: Known | None) -> Estimate:
        found = self._deconvolver.estimate(shot.signal, bad=shot.good == 0)
        clear = found.bimodality.is_supported
        seen = replace(shot, valid=shot.valid & np.isfinite(found.brightness))
        step = GlobalStep(found.brightness, found.mixture, found.regularisation, clear)
        return Estimate(
            found.brightness,
            found.mixture.probability(found.brightness),
            found.mixture.threshold,
            found.mixture,
            site_prior(step, seen, known),
            clear,
        )

    def _result(
        self,
        shot: Shot,
        estimate: Estimate,
        parameters: ImagingParameters | None,
        method: str,
        misfit: Misfit,
    ) -> Reconstruction:
        valid = shot.valid & np.isfinite(estimate.brightness)
        probability = np.where(valid & estimate.has_contrast, estimate.probability, np.nan)
        judged = probability[valid]
        background = shot.background
        prior = estimate.prior
        found = parameters or ImagingParameters(
            occupancy=prior.occupancy,
            brightness=prior.brightness,
            brightness_sd=prior.variance**0.5,
            background=max(float(background.mean()), 0.0),
            read_noise=shot.read_noise,
            excess_noise=shot.excess_noise,
        )
        return Reconstruction(
            brightness=np.where(valid, estimate.brightness, np.nan),
            occupied=probability > 0.5,
            probability=probability,
            threshold=estimate.threshold,
            mixture=estimate.mixture,
            predicted_error_rate=float(np.minimum(judged, 1 - judged).mean())
            if len(judged)
            else np.nan,
            snr_db=self._signal_to_noise(misfit.width).decibel(found)
            if estimate.has_contrast
            else np.nan,
            background=background,
            parameters=found,
            valid=valid,
            bad_pixels=shot.good == 0,
            has_contrast=estimate.has_contrast,
            remarks=tuple(self._remarks(valid, estimate)),
            method=method,
            offset=misfit.offset,
            psf_width=misfit.width,
        )

    def _remarks(self, valid: BoolArray, estimate: Estimate) -> Iterator[str]:
        if not estimate.has_contrast:
            yield (
                "no contrast: the brightnesses form one mode, all sites may be empty or all "
                "occupied; imaging parameters of other images would tell"
            )
        outside = int((~self._inside).sum())
        if outside:
            yield f"{outside} of {len(valid)} sites are outside the frame"
        hidden = int((self._inside & ~valid).sum())
        if hidden:
            yield f"{hidden} sites are hidden by bad pixels"


def _background_change(shot: Shot, probability: FloatArray) -> FloatArray:
    """Return what the image shows beside sites of the mean brightness, smoothed."""
    light = shot.optics.image(probability)
    brightness, _ = fit_light(shot.signal, shot.good, light)
    spacing = (shot.image.size / len(probability)) ** 0.5
    return smooth_map(shot.signal - brightness * light, shot.good, spacing)


def _check_at_least(name: str, value: float, least: float) -> None:
    if not (np.isfinite(value) and value >= least):
        raise ValueError(f"expected {name} to be finite and at least {least}, found {value}")
