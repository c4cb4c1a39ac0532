"""From an image to the occupation of every site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.estimators import (
    Estimate,
    GlobalStep,
    Known,
    estimate_alternating,
    estimate_global,
    estimate_local,
    site_prior,
)
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.misfit import Misfit
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.preparation import (
    Background,
    BadPixels,
    adjust,
    make_shot,
    refine,
)
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.lattice.snr import Method

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_ESTIMATORS: dict[str, Callable[[Shot, Known | None, GlobalStep | None], Estimate]] = {
    "alternating": estimate_alternating,
    "local": estimate_local,
    "global": estimate_global,
}


def reconstruct(
    image: ArrayLike,
    lattice: Lattice,
    psf: PSF,
    *,
    method: Method = "alternating",
    background: Background = "auto",
    read_noise: float = 0.0,
    excess_noise: float = 1.0,
    parameters: ImagingParameters | None = None,
    bad_pixels: BadPixels = "auto",
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
        self._setup = Setup(lattice, psf, image_shape, relative_brightness)
        self.lattice = lattice
        self.psf = psf
        self.image_shape = self._setup.image_shape

    def reconstruct(
        self,
        image: ArrayLike,
        *,
        method: Method = "alternating",
        background: Background = "auto",
        read_noise: float = 0.0,
        excess_noise: float = 1.0,
        parameters: ImagingParameters | None = None,
        bad_pixels: BadPixels = "auto",
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
        if misfit not in ("auto", None):
            raise ValueError(f"expected misfit 'auto' or None, found {misfit!r}")
        shot = make_shot(
            self._setup,
            image,
            background=background,
            bad_pixels=bad_pixels,
            read_noise=read_noise,
            excess_noise=excess_noise,
            parameters=parameters,
        )
        step = known = None
        found = Misfit()
        if parameters is not None:
            known = Known(parameters, self._setup.signal_to_noise().mixture(parameters))
        else:
            find = isinstance(background, str)
            find_bad = isinstance(bad_pixels, str)
            shot, step = refine(self._setup, shot, find_background=find, find_bad=find_bad)
            if misfit is not None and method in ("local", "alternating"):
                shot, step, found = adjust(self._setup, shot, step, find_background=find)
        if method == "deconvolution":
            estimate = self._deconvolve(shot, known)
        else:
            estimate = _ESTIMATORS[method](shot, known, step)
        return self._result(shot, estimate, parameters, method, found)

    def _deconvolve(self, shot: Shot, known: Known | None) -> Estimate:
        found = self._setup.deconvolver.estimate(shot.signal, bad=shot.good == 0)
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
            snr_db=self._setup.signal_to_noise(misfit.width).decibel(found)
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
        outside = int((~self._setup.inside).sum())
        if outside:
            yield f"{outside} of {len(valid)} sites are outside the frame"
        hidden = int((self._setup.inside & ~valid).sum())
        if hidden:
            yield f"{hidden} sites are hidden by bad pixels"
