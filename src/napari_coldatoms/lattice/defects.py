"""What real images have and the model has not: uneven background, hot and dead pixels, cosmic hits.

Bad pixels are given no weight, which takes their rows out of the projection matrix. The background
is what the image shows beside the light of the sites, smoothed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from napari_coldatoms.lattice.psf import PSF

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_CANDIDATE = 4.0  # standard deviations above the eight neighbours
_OUTLIER = 8.0  # standard deviations beyond what light through the PSF could be
_RESIDUAL = 6.0  # standard deviations of what the estimate leaves unexplained
_MOST_OUTLIERS = 0.005  # of all pixels: more are no defects, but a wrong model
_LEAST_SMOOTHING = 25.0  # px
_SPACINGS = 6.0
_BLOCK = 8  # pixels; a smooth map needs no more


def find_bad_pixels(
    image: FloatArray, psf: PSF, *, read_noise: float, excess_noise: float
) -> BoolArray:
    """Find pixels that no light through the PSF explains, and those that are not finite.

    A pixel is compared with the median of the 5×5 pixels around it, which a hit of a few pixels
    does not move. Light through the PSF is at most as sharp as the PSF centred on a pixel; what
    stands out by eight standard deviations more is bad, and so is what lies that far below the
    darkest parts of the image. Few counts have a longer tail, which is allowed for.

    Parameters
    ----------
    image : (y, x) array
        Counts.
    psf : PSF
        Point spread function.
    read_noise, excess_noise : float
        Of the camera.

    Returns
    -------
    (y, x) bool array
    """
    finite = np.isfinite(image)
    bad: BoolArray = ~finite
    if finite.sum() < 25:
        return bad
    base = dark_level(image[finite])
    usable = np.where(finite, image, base)

    def sd(level: FloatArray) -> FloatArray:
        return np.sqrt(excess_noise * np.maximum(level, 0.0) + read_noise**2 + 1e-12)

    around = (9 * uniform_filter(usable, 3, mode="reflect") - usable) / 8
    bad |= usable < base - _OUTLIER * float(sd(np.array(max(base, 0.0))))
    rows, columns = np.nonzero(usable - around > _CANDIDATE * sd(around))
    padded = np.pad(usable, 2, mode="reflect")
    window = np.arange(5)
    patch = padded[
        rows[:, None, None] + window[None, :, None], columns[:, None, None] + window[None, None, :]
    ].reshape(-1, 25)
    middle = np.median(np.delete(patch, 12, axis=1), axis=1)
    light = psf.integrate(np.zeros((1, 2)), 2).reshape(25)
    sharpness = np.median(np.delete(light, 12)) / light[12]
    most = base + np.maximum(middle - base, 0.0) / max(float(sharpness), 1e-6)
    outlying = patch[:, 12] > most + margin(sd(most) ** 2, _OUTLIER, excess_noise)
    bad[rows[outlying], columns[outlying]] = True
    return bad


def checked_mask(mask: ArrayLike, shape: tuple[int, int]) -> BoolArray:
    """Return a mask of bad pixels as an array, or raise.

    Raises
    ------
    TypeError
        If it is not boolean.
    ValueError
        If it has another shape than the image.
    """
    found = np.asarray(mask)
    if found.dtype != np.bool_:
        raise TypeError(f"expected a boolean mask of bad pixels, found {found.dtype}")
    if found.shape != shape:
        raise ValueError(f"expected a mask of bad pixels of shape {shape}, found {found.shape}")
    return found


def find_outliers(residual: FloatArray, weights: FloatArray, excess_noise: float) -> BoolArray:
    """Find pixels that an estimate leaves unexplained, as unlikely as six standard deviations.

    None, if there are more than 0.5 % of them: then the model is wrong, not the pixels.
    """
    variance = np.where(weights > 0, 1 / np.where(weights > 0, weights, 1.0), np.inf)
    outlying: BoolArray = residual > margin(variance, _RESIDUAL, excess_noise)
    outlying |= residual < -_RESIDUAL * np.sqrt(variance)
    return outlying if outlying.mean() <= _MOST_OUTLIERS else np.zeros_like(outlying)


def margin(variance: FloatArray, deviations: float, excess_noise: float) -> FloatArray:
    """Return by how much counts stand out as unlikely as at a number of standard deviations.

    Few counts have a longer tail than a normal distribution. By Bernstein's inequality t is
    exceeded with a probability below ``exp(-t² / 2 (v + F t / 3))``, which is that of z standard
    deviations at about ``t = z (F z / 6 + sqrt((F z / 6)² + v))``.
    """
    few = excess_noise * deviations / 6
    return np.asarray(deviations * (few + np.sqrt(few**2 + variance)))


def dark_level(values: FloatArray) -> float:
    """Return a level near the background: the 5 % quantile of the pixels."""
    return float(np.quantile(values, 0.05))


def fill_bad_pixels(image: FloatArray, bad: BoolArray) -> FloatArray:
    """Return the image with bad pixels replaced by the mean of good ones nearby.

    The mean over the smallest square that holds good pixels, of 3×3, 7×7, 15×15 pixels and so on.

    Raises
    ------
    ValueError
        If no pixel is good.
    """
    if not bad.any():
        return image
    if bad.all():
        raise ValueError("expected good pixels, found none")
    usable = np.where(bad, 0.0, image)
    good = np.where(bad, 0.0, 1.0)
    filled = usable.copy()
    missing = bad.copy()
    size = 3
    while missing.any():
        share = uniform_filter(good, size, mode="constant")
        mean = uniform_filter(usable, size, mode="constant")
        # a sum of rounding errors is no neighbour
        reached = missing & (share > 0.5 / size**2)
        filled[reached] = mean[reached] / share[reached]
        missing &= ~reached
        size = 2 * size + 1
    return filled


def smooth_map(residual: FloatArray, good: FloatArray, spacing: float) -> FloatArray:
    """Smooth what an estimate leaves over into a map of the background.

    A Gaussian of 25 px, or six spacings of the sites if that is more, over good pixels; it works
    on blocks of 8×8 pixels, and what lies between is interpolated.

    Parameters
    ----------
    residual, good : (y, x) arrays
        Counts, and 1 where a pixel is good.
    spacing : float
        Distance of neighbouring sites, in px.
    """
    return smoothed(residual, good, max(_LEAST_SMOOTHING, _SPACINGS * min(spacing, 1e3)))


def smoothed(image: FloatArray, good: FloatArray, sd: float) -> FloatArray:
    """Return an image smoothed by about a Gaussian of a standard deviation of many px.

    `good` is 1 where a pixel counts. Blocks of pixels are smoothed; in between it is interpolated.
    """
    sd = sd / _BLOCK
    # a block's weight keeps it from reaching into bad pixels; the border is continued evenly
    total = gaussian_filter(_blocks(image * good), sd, mode="nearest")
    count = gaussian_filter(_blocks(good), sd, mode="nearest")
    coarse = total / np.maximum(count, 1e-9)
    smooth = np.empty(image.shape)
    _interpolate(coarse, _BLOCK, smooth)
    return smooth


def _blocks(image: FloatArray) -> FloatArray:
    """Return the mean over blocks of pixels; the last ones may be larger."""
    ends = [np.arange(0, max(n - _BLOCK // 2, 1), _BLOCK) for n in image.shape]
    sums = np.add.reduceat(np.add.reduceat(image, ends[0], axis=0), ends[1], axis=1)
    sizes = [np.diff(np.append(end, n)) for end, n in zip(ends, image.shape, strict=True)]
    return np.asarray(sums / np.outer(*sizes))


@njit(cache=True, nogil=True)
def _interpolate(coarse: Any, block: int, out: Any) -> None:
    """Fill in an image of pixels, linearly interpolated between the middles of blocks."""
    rows, columns = out.shape
    blocks = coarse.shape[1]
    row = np.empty(blocks)
    for v in range(rows):
        low, part = _between(v, block, coarse.shape[0])
        high = min(low + 1, coarse.shape[0] - 1)
        for b in range(blocks):
            row[b] = (1 - part) * coarse[low, b] + part * coarse[high, b]
        for u in range(columns):
            low, part = _between(u, block, blocks)
            out[v, u] = (1 - part) * row[low] + part * row[min(low + 1, blocks - 1)]


@njit(cache=True, nogil=True)
def _between(pixel: int, block: int, blocks: int) -> tuple[int, float]:
    """Return the block before a pixel, and how far on the way to the next one it is."""
    place = min(max((pixel - 0.5 * (block - 1)) / block, 0.0), blocks - 1.0)
    low = min(int(place), max(blocks - 2, 0))
    return low, place - low
