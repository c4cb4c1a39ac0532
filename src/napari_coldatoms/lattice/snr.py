"""The signal-to-noise ratio of an image of the sites, and the detection errors it predicts.

Cheneau et al. 2025, arXiv:2502.08511, Eqs. 12-16 and Sec. V. The ratio tells from the imaging
parameters alone how difficult the reconstruction is: no image is needed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.projection import patches
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.statistics.mixture import Mixture

FloatArray = NDArray[np.float64]
Method = Literal["deconvolution", "global", "local", "alternating"]

_SHARPEST = 1e-9  # width of a mode over the distance of the two
_RAREST = 1e-6  # occupancy, for a mixture
_PATCH = 30  # sites along each side of the patch that stands for the lattice

# The simulated images: a square lattice of 4 px spacing, HWHM 3.94, 3.64, 3.35, 3.16, 3, 2.84,
# 2.69, 2.56 and 2.43 px; nothing but the read noise known.
_SIMULATED = ImagingParameters(
    occupancy=0.5, brightness=1000.0, brightness_sd=100.0, background=50.0, read_noise=2.0
)
_RATIOS = (10.0, 11.07, 12.47, 13.66, 14.82, 16.16, 17.55, 18.78, 20.01)
# Their detection error rates, by SNR in dB: 10 to 10000 errors each, from 1e5 to 1e6 sites.
SIMULATED_ERROR_RATES: dict[str, dict[float, float]] = {
    "deconvolution": dict(
        zip(
            _RATIOS,
            (0.134, 0.0855, 0.0468, 0.0267, 0.0148, 0.00669, 0.00227, 6.5e-4, 1.8e-4),
            strict=True,
        )
    ),
    "local": dict(
        zip(
            _RATIOS,
            (0.0948, 0.041, 0.0106, 0.00335, 0.00107, 3.0e-4, 9.0e-5, 3.3e-5, 1.25e-5),
            strict=True,
        )
    ),
    "alternating": dict(
        zip(_RATIOS[:7], (0.083, 0.021, 0.00163, 2.8e-4, 4.8e-5, 2.0e-5, 8e-6), strict=True)
    ),
}


def snr(lattice: Lattice, psf: PSF, parameters: ImagingParameters) -> float:
    """Return the signal-to-noise ratio of an image of the sites, in dB.

    ``10 log10(µ² / (tr[(Σx⁻¹ + MᵀΣn⁻¹M)⁻¹] / N))``, with Σx = σx² and Σn = σn² the same for all
    sites and pixels (Eqs. 12-16). The trace over N is the mean squared error of the best linear
    estimate of a site's brightness; µ is the mean brightness of the occupied sites.

    A regular lattice without mask is represented by a patch of at most 30 × 30 sites, surrounded
    by nothing; other lattices by those of their sites, at most 900, that are nearest to the
    middle. The frame is taken to hold all of the light.

    Parameters
    ----------
    lattice : Lattice
        The sites.
    psf : PSF
        Point spread function.
    parameters : ImagingParameters
        Occupation, brightness, background and camera.

    Returns
    -------
    float
        In dB; infinite where the brightness is known beforehand or there is no noise.
    """
    return SignalToNoise(lattice, psf).decibel(parameters)


class SignalToNoise:
    """The signal-to-noise ratio of one lattice and PSF, for any imaging parameters.

    Keeps the eigenvalues e of MᵀM: the trace over N is the mean of ``1 / (1/σx² + e/σn²)``.

    Parameters
    ----------
    lattice : Lattice
        The sites, represented as in `snr`.
    psf : PSF
        Point spread function.
    """

    def __init__(self, lattice: Lattice, psf: PSF) -> None:
        self._lattice = lattice
        self._psf = psf

    @cached_property
    def _spectrum(self) -> FloatArray:
        return self._spectrum_and_diagonal[0]

    @cached_property
    def _spectrum_and_diagonal(self) -> tuple[FloatArray, FloatArray]:
        from scipy.linalg import eigh
        from threadpoolctl import threadpool_limits

        overlap = _overlap(_representative(self._lattice), self._psf)
        diagonal = overlap.diagonal().copy()
        # on a busy machine several threads wait for each other a hundred times as long
        with threadpool_limits(1, user_api="blas"):
            spectrum = eigh(overlap, eigvals_only=True, overwrite_a=True)
        return np.maximum(spectrum, 0.0), diagonal

    def mean_squared_error(self, parameters: ImagingParameters) -> float:
        """Return the mean squared error of the best linear estimate of a site, in counts²."""
        prior, noise = _variances(self._lattice, parameters)
        if prior == 0 or noise == 0:
            return 0.0
        return float(np.mean(prior / (1 + prior / noise * self._spectrum)))

    def decibel(self, parameters: ImagingParameters) -> float:
        """Return the signal-to-noise ratio in dB, see `snr`."""
        error = self.mean_squared_error(parameters)
        return _decibel(parameters.brightness**2 / error) if error > 0 else math.inf

    def decibel_without_overlap(self, parameters: ImagingParameters) -> float:
        """Return the ratio for sites far apart, in dB, see `snr_without_overlap`."""
        sharpness = self._spectrum_and_diagonal[1]
        return _decibel_of_single_sites(self._lattice, sharpness, parameters)

    def predicted_error_rate(
        self, parameters: ImagingParameters, *, method: Method = "alternating"
    ) -> float:
        """Return the share of errors of a method, see `predicted_error_rate`."""
        rate = error_rate_at(self.decibel(parameters), parameters, method=method)
        return max(rate, self.least_error_rate(parameters))

    def least_error_rate(self, parameters: ImagingParameters) -> float:
        """Return the share of errors if the other sites were known, see `least_error_rate`."""
        p, mean, spread = parameters.occupancy, parameters.brightness, parameters.brightness_sd
        guess = min(p, 1 - p)
        if guess == 0:
            return 0.0
        noise = max(parameters.noise_variance(self._lattice.site_area), (_SHARPEST * mean) ** 2)
        eigenvalues = self._spectrum / noise
        scatter = max(p * spread**2, 1e-6 / float(eigenvalues.mean()))
        information = 1 / float(np.mean(1 / (1 / scatter + eigenvalues))) - 1 / scatter
        width = max(1 / math.sqrt(information) / mean, _SHARPEST)
        return min(guess, _best_split(p, width, math.hypot(width, spread / mean)))

    def mixture(self, parameters: ImagingParameters) -> Mixture:
        """Return the modes that the best linear estimate has for these parameters.

        With the mean squared error (1 - α) σx² it keeps the part α of a site's distance from the
        mean brightness; the error's other part, of variance α (1 - α) σx², is not correlated with
        the site's own brightness.
        """
        p = min(max(parameters.occupancy, _RAREST), 1 - _RAREST)
        prior = replace(parameters, occupancy=p).site_variance
        kept = 1 - min(self.mean_squared_error(parameters) / prior, 1 - _SHARPEST)
        level = (1 - kept) * p * parameters.brightness
        least = (_SHARPEST * parameters.brightness) ** 2
        empty = max(kept * (1 - kept) * prior, least)
        occupied = empty + (kept * parameters.brightness_sd) ** 2
        return Mixture(
            np.array([1 - p, p]),
            np.array([level, level + kept * parameters.brightness]),
            np.sqrt([empty, occupied]),
        )


def snr_without_overlap(lattice: Lattice, psf: PSF | None, parameters: ImagingParameters) -> float:
    """Return the signal-to-noise ratio if no two sites had light on the same pixel, in dB.

    ``10 log10(µ² (1/σx² + g/σn²))``, where g is the sum of the squares of a site's light in the
    pixels: the diagonal of MᵀM. This is what is left of `snr` for sites far apart. The short
    formula after Eq. 16 is this one with g = 1, as if all light of a site fell on one pixel: it
    is far too optimistic for a PSF of several pixels.

    Parameters
    ----------
    lattice : Lattice
        The sites, whose area counts for the noise.
    psf : PSF or None
        Point spread function, or None for g = 1.
    parameters : ImagingParameters
        Occupation, brightness, background and camera.
    """
    sharpness = np.ones(1)
    if psf is not None:
        sharpness = _overlap(_representative(lattice), psf).diagonal()
    return _decibel_of_single_sites(lattice, sharpness, parameters)


def predicted_error_rate(
    lattice: Lattice,
    psf: PSF,
    parameters: ImagingParameters,
    *,
    method: Method = "alternating",
) -> float:
    """Return the share of sites whose occupation a method gets wrong, as predicted from the SNR.

    It is no less than `least_error_rate`. See `error_rate_at` for how it is found, and how closely
    it agrees with simulations.

    Parameters
    ----------
    lattice, psf, parameters
        As for `snr`.
    method : {"alternating", "local", "global", "deconvolution"}
        The estimator.

    Raises
    ------
    ValueError
        If the method is not known.
    """
    return SignalToNoise(lattice, psf).predicted_error_rate(parameters, method=method)


def least_error_rate(lattice: Lattice, psf: PSF, parameters: ImagingParameters) -> float:
    """Return the share of errors if it were known which of the other sites are occupied.

    What is left to a site's brightness is the noise, and the light of its neighbours as far as
    their own brightness scatters: with ``D = 1 / pσ²`` and C the mean diagonal of
    ``(D + MᵀM / σn²)⁻¹`` it has the variance ``1 / (1/C - D)``. The threshold is the best one
    between 0 and µ. No method makes fewer errors. Where sites hardly overlap they make no more,
    and the ratio alone would promise too much: its curve is that of images whose errors come from
    the overlap.
    """
    return SignalToNoise(lattice, psf).least_error_rate(parameters)


def error_rate_at(
    decibel: float, parameters: ImagingParameters, *, method: Method = "alternating"
) -> float:
    """Return the share of sites that a method gets wrong at a signal-to-noise ratio.

    The error of the linear estimate, rescaled so that its mean is right for empty and for occupied
    sites, has the variance v with ``1/v = 1/mse - 1/σx²``.

    - ``"global"``: this error is taken as normal, so that a site's estimate has the variance v if
      it is empty and v + σ² if it is occupied; the threshold is the best one between 0 and µ.
      Simulated images of occupancies from 0.5 to 0.8 have 0 to 25 % more errors than that, those
      of occupancy 0.2 up to twice as many, for more of their noise comes from few sites.
    - The others are not linear; their rates are read off simulated images
      (`SIMULATED_ERROR_RATES`), at the ratio that gives the same v with the occupancy of those.
      The normal quantile of the rate is interpolated linearly in dB, from a guess where the image
      tells nothing, and goes on beyond the last ratio. The occupancy enters through a best
      threshold. Occupied sites darker than µ/2, which no ratio mends, are added. Between 11 and
      14 dB, simulations with occupancies from 0.2 to 0.8 and spreads σ/µ from 0.05 to 0.15 agree
      within 30 % for ``"local"`` and mostly within a factor of 2.5 for ``"alternating"``.

    Parameters
    ----------
    decibel : float
        From `snr`.
    parameters : ImagingParameters
        Occupation and brightness.
    method : {"alternating", "local", "global", "deconvolution"}
        The estimator.

    Returns
    -------
    float
        No more than without an image: the smaller one of p and 1 - p.

    Raises
    ------
    ValueError
        If the method is not known, or the ratio is not a number.
    """
    from scipy.special import ndtr, ndtri

    if method not in get_args(Method):
        raise ValueError(f"expected one of the methods {get_args(Method)}, found {method!r}")
    if math.isnan(decibel):
        raise ValueError("expected a signal-to-noise ratio in dB, found NaN")
    p, mean, spread = parameters.occupancy, parameters.brightness, parameters.brightness_sd
    guess = min(p, 1 - p)
    # µ²/v
    information = 10 ** (decibel / 10) - _least_ratio(parameters)
    if guess == 0 or not information > 0:
        return guess
    if method == "global":
        noise = max(1 / math.sqrt(information), _SHARPEST)
        return min(guess, _best_split(p, noise, math.hypot(noise, spread / mean)))
    darkest = p * float(ndtr(-mean / (2 * spread))) if spread > 0 else 0.0
    if math.isinf(information):
        return min(guess, darkest)
    nothing = _least_ratio(_SIMULATED)
    curve = {_decibel(nothing): 0.5, **SIMULATED_ERROR_RATES[method]}
    ratios, quantiles = np.array(list(curve)), -ndtri(np.array(list(curve.values())))
    half_distance = _line(_decibel(information + nothing), ratios, quantiles)
    if half_distance <= 0:  # the image tells nothing
        return guess
    noise = 1 / (2 * half_distance)
    return min(guess, _best_split(p, noise, noise) + darkest)


def _least_ratio(parameters: ImagingParameters) -> float:
    """Return µ²/σx², the ratio where the image tells nothing."""
    prior = parameters.site_variance
    return parameters.brightness**2 / prior if prior > 0 else math.inf


def _line(at: float, x: FloatArray, y: FloatArray) -> float:
    """Return the broken line through the points; its last piece goes on."""
    if at > x[-1]:
        return float(y[-1] + (at - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2]))
    return float(np.interp(at, x, y))


def _best_split(p: float, empty: float, occupied: float) -> float:
    """Return the least error of a threshold between normal modes at 0 and 1 of given widths."""
    from scipy.special import ndtr

    threshold = np.linspace(0, 1, 4001)
    errors = (1 - p) * ndtr(-threshold / empty) + p * ndtr((threshold - 1) / occupied)
    return float(errors.min())


def _decibel(ratio: float) -> float:
    return 10 * math.log10(ratio)


def _decibel_of_single_sites(
    lattice: Lattice, sharpness: FloatArray, parameters: ImagingParameters
) -> float:
    """Return the ratio of sites without neighbours; their squared light sums up to `sharpness`."""
    prior, noise = _variances(lattice, parameters)
    if prior == 0 or noise == 0:
        return math.inf
    error = float(np.mean(1 / (1 / prior + sharpness / noise)))
    return _decibel(parameters.brightness**2 / error)


def _variances(lattice: Lattice, parameters: ImagingParameters) -> tuple[float, float]:
    """Return σx² and σn²."""
    return parameters.site_variance, parameters.noise_variance(lattice.site_area)


def _representative(lattice: Lattice) -> Lattice:
    """Return a lattice of at most 30 × 30 sites that stands for all."""
    if lattice.vectors is not None and lattice.mask is None:
        assert lattice.origin is not None
        assert lattice.shape is not None
        shape = (min(lattice.shape[0], _PATCH), min(lattice.shape[1], _PATCH))
        return Lattice(lattice.vectors, lattice.origin, shape)
    if len(lattice) <= _PATCH**2:
        return lattice
    from_middle = ((lattice.positions - lattice.positions.mean(axis=0)) ** 2).sum(axis=1)
    nearest = np.zeros(len(lattice), dtype=bool)
    nearest[np.argsort(from_middle, kind="stable")[: _PATCH**2]] = True
    return lattice.select(nearest)


def _overlap(lattice: Lattice, psf: PSF) -> FloatArray:
    """Return MᵀM, (n, n), on pixels without end."""
    from scipy.sparse import csr_array

    spread = patches(lattice, psf, (1, 1))  # not clipped, whatever the image
    size = spread.values.shape[1]
    pixel = np.arange(size)
    rows = spread.corner[:, 0, None].astype(np.int64) + pixel
    columns = spread.corner[:, 1, None].astype(np.int64) + pixel
    columns -= columns.min()
    number = rows[:, :, None] * (columns.max() + 1) + columns[:, None, :]
    values = spread.values[spread.kind].ravel()
    lit = values != 0
    used, at = np.unique(number.ravel()[lit], return_inverse=True)
    site = np.repeat(np.arange(len(lattice)), size**2)[lit]
    light = csr_array((values[lit], (site, at)), shape=(len(lattice), len(used)))
    overlap: FloatArray = (light @ light.T).toarray()
    return overlap
