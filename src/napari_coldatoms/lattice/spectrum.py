"""The power spectrum of images of the sites, and images filtered with it.

Sites that are occupied at random have a white spectrum, and the point spread function shapes it:
with its transfer function H, the power at the spatial frequency f is ``P = S |H|² + N``, where
``S = (p (1 - p) µ² + p σ²) / area`` and N is the variance of a pixel's noise (Eqs. 15 and 16 of
Cheneau et al. 2025, arXiv:2502.08511). Images filtered with ``H / P`` are the best linear guess of
where the atoms are that no lattice tells; their squares show the lattice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter

from napari_coldatoms.lattice.defects import smoothed
from napari_coldatoms.lattice.psf import PSF, GaussianPSF

FloatArray = NDArray[np.float64]

_RINGS = 60
_FIRST_WIDTHS = (0.7, 1.4, 2.8, 5.6)  # px, where the search for the PSF's width begins
_PIXEL = 1 / 12  # variance of the light over a pixel, px²
_NARROWEST = 0.1  # px
_FEWEST_FOR_MEAN = 4  # images
_SMOOTH = 12.0  # px
_EDGE = 8  # px over which images fade out at the border
_STEPS = 4
_FEWEST_FREQUENCIES = 20
_LEAST_GAIN = 12.0  # of the logarithm of the likelihood, over that of white noise
_WIDEST = 0.05  # standard deviation of the PSF over the frame's shorter side
_SEARCH = {"maxiter": 2000, "xatol": 1e-4, "fatol": 1e-3}
_LEAST = 1e-3  # of the power of signal or noise relative to the other


@dataclass(frozen=True)
class Spectrum:
    """Power ``S |H|² + N`` of images of the sites.

    Attributes
    ----------
    signal, noise : float
        S and N, in counts² per pixel.
    """

    signal: float
    noise: float


def fluctuations(images: FloatArray) -> FloatArray:
    """Return images without what all of them share, or what varies slowly.

    The mean image takes along background, envelope of the cloud and static defects; the variance
    is restored. Of fewer than four images a smooth map is taken away instead.

    Parameters
    ----------
    images : (shots, y, x) array
        Counts, finite.
    """
    count = len(images)
    if count >= _FEWEST_FOR_MEAN:
        rest = (images - images.mean(axis=0)) * math.sqrt(count / (count - 1))
    else:
        rest = images - gaussian_filter(images, (0, _SMOOTH, _SMOOTH), mode="nearest")
    return np.asarray(rest * _fading(images.shape[1:]))


def quick_fluctuations(image: FloatArray) -> FloatArray:
    """Return `fluctuations` of a single image (y, x), with about the same smooth map."""
    rest = image - smoothed(image, np.ones_like(image), _SMOOTH)
    return np.asarray(rest * _fading(image.shape))


def transfer_function(psf: PSF, image_shape: tuple[int, int]) -> FloatArray:
    """Return the real part of a PSF's transfer function, pixels included, as `rfft2` orders it."""
    half = min(math.ceil(psf.cutoff) + 1, (min(image_shape) - 1) // 2)
    light = psf.integrate(np.zeros((1, 2)), half)[0]
    frame = np.zeros(image_shape)
    frame[: 2 * half + 1, : 2 * half + 1] = light / light.sum()
    return np.asarray(fft.rfft2(np.roll(frame, (-half, -half), axis=(0, 1))).real)


def fit_power(images: FloatArray, transfer: FloatArray) -> Spectrum:
    """Fit signal and noise to the power of images whose transfer function is known.

    Parameters
    ----------
    images : (shots, y, x) array
        Fluctuations.
    transfer : (y, x // 2 + 1) array
        See `transfer_function`.
    """
    return _fit_power(mean_power(images), transfer, (images.shape[1], images.shape[2]))


def sharpened(image: FloatArray, transfer: FloatArray) -> FloatArray:
    """Return an image (y, x) filtered with what `fit_power` finds in it, see `filtered`."""
    transform = fft.rfft2(image)
    spectrum = _fit_power(np.abs(transform) ** 2 / image.size, transfer, image.shape)
    kernel = transfer / (spectrum.signal * transfer**2 + spectrum.noise)
    sharp = fft.irfft2(transform * kernel, image.shape)
    return np.asarray(sharp / max(math.sqrt(float((sharp**2).mean())), 1e-300))


def _fit_power(power: FloatArray, transfer: FloatArray, shape: tuple[int, ...]) -> Spectrum:
    counts = frequencies((shape[0], shape[1])) > 3 / min(shape)
    squared, power = transfer[counts] ** 2, power[counts]
    model = np.full(power.shape, float(power.mean()))
    signal, noise = 0.0, float(model[0])
    for _ in range(_STEPS):
        # a power scatters as much as it is large
        weights = 1 / model**2
        a, b, c = (float((weights * squared**k).sum()) for k in (2, 1, 0))
        u, v = float((weights * squared * power).sum()), float((weights * power).sum())
        determinant = max(a * c - b * b, 1e-12 * a * c)
        signal, noise = (c * u - b * v) / determinant, (a * v - b * u) / determinant
        total = max(signal, noise, 1e-12)
        signal, noise = max(signal, _LEAST * total), max(noise, _LEAST * total)
        model = signal * squared + noise
    return Spectrum(signal, noise)


def find_psf(images: FloatArray) -> tuple[GaussianPSF, Spectrum] | None:
    """Find the width of a Gaussian PSF in the power spectrum of images, and signal and noise.

    The most likely ones, given that the power at each frequency is exponentially distributed
    (Whittle's likelihood). No lattice is needed.

    Parameters
    ----------
    images : (shots, y, x) array
        Fluctuations, see `fluctuations`.

    Returns
    -------
    (GaussianPSF, Spectrum) or None
        None where the images show nothing but white noise, or no light as sharp as that of sites.
    """
    from scipy.optimize import minimize

    shape = (images.shape[1], images.shape[2])
    frequency = frequencies(shape)
    used = (frequency > 3 / min(shape)) & (frequency <= 0.5)
    if used.sum() < _FEWEST_FREQUENCIES or not np.ptp(images) > 0:
        return None
    ring = np.minimum((2 * _RINGS * frequency[used]).astype(int), _RINGS - 1)
    count = np.bincount(ring, minlength=_RINGS)
    filled = count > 0
    number = count[filled]
    power = np.bincount(ring, mean_power(images)[used], minlength=_RINGS)[filled] / number
    middle = np.bincount(ring, frequency[used], minlength=_RINGS)[filled] / number
    noise = float(np.median(power[-max(len(power) // 6, 1) :]))
    noise = max(noise, 1e-12)
    signal = max(float(power.max()) - noise, _LEAST * noise)

    def model(logs: FloatArray) -> FloatArray:
        s, n, width = np.exp(np.clip(logs, -50.0, 50.0))
        return np.asarray(s * np.exp(-((2 * np.pi * width * middle) ** 2)) + n)

    def loss(logs: FloatArray) -> float:
        expected = model(logs)
        return float((number * (power / expected + np.log(expected))).sum())

    tries = (
        minimize(loss, np.log([signal, noise, first]), method="Nelder-Mead", options=_SEARCH)
        for first in _FIRST_WIDTHS
    )
    best = min(tries, key=lambda found: found.fun)
    signal, noise, width = np.exp(best.x).tolist()
    level = float((number * power).sum() / number.sum())
    white = float((number * (power / level + np.log(level))).sum())
    if white - best.fun < _LEAST_GAIN or width > _WIDEST * min(shape):
        return None
    sigma = math.sqrt(max(width**2 - _PIXEL, _NARROWEST**2))
    return GaussianPSF(sigma * math.sqrt(2 * math.log(2))), Spectrum(signal, noise)


def filtered(images: FloatArray, transfer: FloatArray, spectrum: Spectrum) -> FloatArray:
    """Return images filtered with ``H / P``, in units of the standard deviation of each."""
    kernel = transfer / (spectrum.signal * transfer**2 + spectrum.noise)
    sharp = fft.irfft2(fft.rfft2(images) * kernel, images.shape[-2:])
    scale = np.sqrt((sharp**2).mean(axis=(-2, -1), keepdims=True))
    return np.asarray(sharp / np.maximum(scale, 1e-300))


def doubled(images: FloatArray) -> FloatArray:
    """Return images with twice as many pixels each way, of the same frequencies.

    The pixels between the given ones are half a pixel from these.
    """
    from scipy.signal import resample

    finer = resample(images, 2 * images.shape[-2], axis=-2)
    return np.asarray(resample(finer, 2 * images.shape[-1], axis=-1))


def mean_power(images: FloatArray) -> FloatArray:
    """Return the power of images (shots, y, x) per pixel, their mean, as `rfft2` orders it."""
    power = np.zeros((images.shape[1], images.shape[2] // 2 + 1))
    for image in images:
        power += np.abs(fft.rfft2(image)) ** 2
    return power / images.size


@lru_cache(maxsize=4)
def frequencies(shape: tuple[int, int]) -> FloatArray:
    """Return the absolute spatial frequencies, in px⁻¹, as `rfft2` orders them; read-only."""
    found = np.hypot(fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :])
    found.setflags(write=False)
    return found


@lru_cache(maxsize=4)
def _fading(shape: tuple[int, ...]) -> FloatArray:
    """Return a window that fades out at the border, so that opposite sides meet at 0."""
    sides = []
    for n in shape:
        reach = min(_EDGE, max(n // 8, 1))
        from_edge = np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5
        sides.append(np.sin(0.5 * np.pi * np.minimum(from_edge / reach, 1.0)) ** 2)
    return np.outer(sides[0], sides[1])
