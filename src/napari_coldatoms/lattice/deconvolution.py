"""Wiener deconvolution: site brightnesses from a sharpened image, the customary baseline.

Cheneau et al. 2025 (arXiv:2502.08511), Appendix C. The image is filtered in Fourier space by
``h* / (|h|² + κ)`` (Eq. 43, regularised by the identity), convolved with a disc of radius r, and
interpolated linearly at the sites. κ and r maximise the contrast between empty and occupied sites.

The disc holds whole pixels, so that only some radii differ. One filtered image per κ gives the
brightnesses for all of them: the pixels around a site are added from the inside to the outside.

Before the filter, the image of uniformly bright sites takes the place of the mean of the pixels in
Eq. 44. What is left has no step at the border of the lattice, where sites have fewer neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from napari_coldatoms.lattice.defects import checked_mask, fill_bad_pixels
from napari_coldatoms.lattice.discs import distinct_radii, sum_discs
from napari_coldatoms.lattice.geometry import Lattice, checked_image_shape
from napari_coldatoms.lattice.modes import FEWEST_SITES, modes_of
from napari_coldatoms.lattice.projection import patches
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.sums import dot
from napari_coldatoms.lattice.tuning import Trial, best_trial, tune
from napari_coldatoms.statistics import Bimodality, Mixture

FloatArray = NDArray[np.float64]

_LARGEST_RADIUS = 0.75  # in spacings of the sites
_LARGEST_IN_HWHM = 1.5
_LEAST_GOOD = 0.5  # part of the pixels around a site


@dataclass(frozen=True, eq=False)
class Deconvolution:
    """Site brightnesses from a deconvolved image.

    Attributes
    ----------
    brightness : (n,) array
        In counts, see `Deconvolver.estimate`; NaN where a site lies outside the frame, or most
        pixels within a half width at half maximum are bad.
    mixture : Mixture
        Of the brightnesses; its threshold tells occupied from empty sites.
    bimodality : Bimodality
        Whether there are empty and occupied sites at all; not, if all have one brightness, or
        bad pixels leave fewer than four.
    regularisation : float
        κ; the transform of the PSF is 1 at zero frequency.
    radius : float
        Radius of the disc, in px.
    """

    brightness: FloatArray
    mixture: Mixture
    bimodality: Bimodality
    regularisation: float
    radius: float


class Deconvolver:
    """What deconvolution needs of sites and PSF; made once for images of one geometry.

    Parameters
    ----------
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function, cut off as in `projection`.
    image_shape : (int, int)
        Rows and columns of the images.

    Raises
    ------
    ValueError
        If no site lies within the frame.
    """

    def __init__(self, lattice: Lattice, psf: PSF, image_shape: tuple[int, int]) -> None:
        self.image_shape = checked_image_shape(image_shape)
        self._inside = lattice.inside(self.image_shape)
        if not self._inside.any():
            raise ValueError(
                f"expected sites within a frame of {self.image_shape} pixels, found none"
            )
        places = lattice.positions[self._inside]
        corner = np.floor(places)
        self._corner = corner.astype(np.int32)
        self._fraction = np.ascontiguousarray(places - corner)
        self._hwhm = psf.hwhm
        self._uniform = patches(lattice, psf, self.image_shape).image(1.0)
        longest = min(_LARGEST_RADIUS * math.sqrt(lattice.site_area), _LARGEST_IN_HWHM * psf.hwhm)
        self.radii = distinct_radii(max(longest, 1.0))
        half = int(psf.cutoff) + 1
        pad = half + math.ceil(self.radii[-1]) + 1
        self._padded = tuple(fft.next_fast_len(n + pad, real=True) for n in self.image_shape)
        centred = Lattice.from_positions([[half, half]])
        spread = np.zeros(self._padded)
        size = 2 * half + 1
        _add_wrapped(spread, patches(centred, psf, (size, size)).image(1.0), half)
        self._conjugate = np.conj(fft.rfft2(spread))
        self._power = self._conjugate.real**2 + self._conjugate.imag**2

    def estimate(
        self,
        image: ArrayLike,
        *,
        regularisation: float | None = None,
        radius: float | None = None,
        bad: ArrayLike | None = None,
    ) -> Deconvolution:
        """Return the brightness of every site.

        Brightnesses are scaled without knowledge of the truth: the mean of the empty mode is 0,
        and the total is that of the light in the image, namely n times the uniform brightness
        that fits the image best. Where two modes are not supported, the total is the same, but
        differences are divided by the filter's response to a single site instead.

        Parameters
        ----------
        image : (y, x) array
            Counts above the background. Pixels that are not finite count as bad.
        regularisation : float, optional
            κ, positive; by default the one of highest contrast between 1e-5 and 10.
        radius : float, optional
            Radius (px) of the disc, at least 0; by default the one of highest contrast.
        bad : (y, x) bool array, optional
            Pixels to be replaced by the mean of their neighbours.

        Raises
        ------
        ValueError
            If the image or the mask has another shape, no pixel is good, a parameter is out of
            its range, or fewer than four sites lie within the frame.
        TypeError
            If the mask is not boolean.
        """
        if regularisation is not None and not 0 < regularisation < math.inf:
            raise ValueError(f"expected a positive regularisation, found {regularisation}")
        if radius is not None and not 0 <= radius <= min(self.image_shape) / 2:
            raise ValueError(
                f"expected a radius of 0 to half the image's size (px), found {radius}"
            )
        if len(self._corner) < FEWEST_SITES:
            raise ValueError(
                f"expected at least {FEWEST_SITES} sites within the frame, found "
                f"{len(self._corner)}"
            )
        pixels, good = self._checked(image, bad)
        mean = self._mean_brightness(pixels, good)
        rest = pixels - mean * self._uniform
        known = np.ones(len(self._corner), dtype=bool)
        if not good.all():
            rest = fill_bad_pixels(rest, ~good)
            known = self._known(good)
        spectrum = fft.rfft2(self._embedded(rest - rest.mean())) * self._conjugate

        def values(power: float, radii: list[float]) -> FloatArray:
            image = fft.irfft2(spectrum / (self._power + 10.0**power), s=self._padded)
            return sum_discs(image, self._corner, self._fraction, radii)[:, known]

        def attempt(power: float, radii: list[float]) -> list[Trial]:
            trials = []
            for distance, found in zip(radii, values(power, radii), strict=True):
                trials.append(Trial(power, distance, *modes_of(found)))
            return trials

        radii = self.radii if radius is None else [float(radius)]
        if regularisation is None:
            best = tune(attempt, radii)
        else:
            best = best_trial(attempt(math.log10(regularisation), radii))
        found = values(best.power, [best.radius])[0]
        middle = float(found.mean()) if known.any() else 0.0
        scale, offset = self._affine(best, middle, mean)
        brightness = np.full(self._inside.shape, np.nan)
        brightness[np.flatnonzero(self._inside)[known]] = scale * found + offset
        return Deconvolution(
            brightness=brightness,
            mixture=best.mixture.transformed(scale, offset),
            bimodality=best.bimodality,
            regularisation=10.0**best.power,
            radius=best.radius,
        )

    def _checked(
        self, image: ArrayLike, bad: ArrayLike | None
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return pixels and which of them are good, or raise."""
        pixels = np.asarray(image, dtype=np.float64)
        if pixels.shape != self.image_shape:
            raise ValueError(f"expected an image of shape {self.image_shape}, found {pixels.shape}")
        good = np.isfinite(pixels)
        if bad is not None:
            good &= ~checked_mask(bad, self.image_shape)
        if not good.any():
            raise ValueError("expected good pixels, found none")
        return pixels, good

    def _mean_brightness(self, pixels: FloatArray, good: NDArray[np.bool_]) -> float:
        """Return the uniform brightness of all sites that fits the good pixels best."""
        light = self._uniform[good]
        power = dot(light, light)
        return dot(light, pixels[good]) / power if power > 0 else 0.0

    def _embedded(self, image: FloatArray) -> FloatArray:
        """Return the image continued by zeros."""
        data = np.zeros(self._padded)
        data[: image.shape[0], : image.shape[1]] = image
        return data

    def _known(self, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which of the sites within the frame have enough good pixels around them."""
        frame = np.ones(self.image_shape)
        number, there = (
            sum_discs(self._embedded(part), self._corner, self._fraction, [self._hwhm])[0]
            for part in (good.astype(np.float64), frame)
        )
        return np.asarray(number >= _LEAST_GOOD * there)

    def _affine(self, trial: Trial, middle: float, mean: float) -> tuple[float, float]:
        """Return scale and offset from the filter's scale to counts, from its mean to theirs."""
        empty = float(trial.mixture.means[0])
        if trial.bimodality.is_supported and mean > 0 and middle > empty:
            scale = mean / (middle - empty)
            return scale, -scale * empty
        spectrum = (self._power / (self._power + 10.0**trial.power)).astype(np.complex128)
        point = fft.irfft2(spectrum, s=self._padded)
        origin = np.zeros((1, 2))
        response = sum_discs(point, origin.astype(np.int32), origin, [trial.radius])
        scale = 1 / float(response[0, 0])
        return scale, mean - scale * middle


def deconvolve(
    image: ArrayLike,
    lattice: Lattice,
    psf: PSF,
    *,
    regularisation: float | None = None,
    radius: float | None = None,
    bad: ArrayLike | None = None,
) -> Deconvolution:
    """Return the brightness of every site by Wiener deconvolution.

    For several images of one geometry make a `Deconvolver`.

    Parameters
    ----------
    image : (y, x) array
        Counts above the background. Pixels that are not finite count as bad.
    lattice : Lattice
        The n sites.
    psf : PSF
        Point spread function.
    regularisation, radius, bad
        See `Deconvolver.estimate`, also for what is raised.
    """
    shape = np.shape(image)
    if len(shape) != 2:
        raise ValueError(f"expected an image of shape (y, x), found {shape}")
    prepared = Deconvolver(lattice, psf, (shape[0], shape[1]))
    return prepared.estimate(image, regularisation=regularisation, radius=radius, bad=bad)


def _add_wrapped(target: FloatArray, patch: FloatArray, half: int) -> None:
    """Put the middle of a patch at pixel (0, 0) of a periodic image."""
    rows, columns = (np.arange(-half, half + 1) % n for n in target.shape)
    np.add.at(target, (rows[:, None], columns[None, :]), patch)
