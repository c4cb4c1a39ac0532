"""A picture smoothed to octaves of scale, in units of the noise of each place and scale.

At every scale the pixels are averaged with weights that are the inverse of their local noise, so
that invalid pixels drop out and noisy parts of a chip count little. What white noise leaves there
is known; fringes and other structure add to it, by a factor that is measured at each scale from the
side below the background, where no clouds are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.clouds.noise import grey_step, histogram_peak, lower_side, thinned
from napari_coldatoms.clouds.slope import slope

# pixels across the window of the local noise: 2 * 12 + 1; and differences it must hold
_NOISE_REACH = 12
_FEWEST = 9
# relative difference of the local noise that counts as none
_SAME = 0.2
# the coarsest level still has this many cells across the frame
_SMALLEST_LEVEL = 10
_KERNEL_REACH = 3
# from this excess over white noise on, a level has stripes; and their part left at the border
# where the smoothing cancels them (a Gaussian kernel cut in half leaves 0.8 / (k sigma))
_STRIPED = 1.2
_LEFT_AT_BORDER = 0.3
# the deepest place of a level widens its noise up to this factor
_DEEPEST = 2.0
# least noise of a camera with few grey levels, in such levels
_QUANTISED = 0.4


@dataclass(frozen=True)
class Level:
    """One octave of scale.

    Attributes
    ----------
    size : int
        Pixels per cell, ``2**k``.
    sigma : float
        Standard deviation (px) of the smoothing.
    amplitude : (ny, nx)
        Smoothed picture above the background.
    noise : (ny, nx)
        Its standard deviation, structure of the background included; inf where nothing is valid.
    significance : (ny, nx)
        Their ratio.
    """

    size: int
    sigma: float
    amplitude: NDArray[np.float64]
    noise: NDArray[np.float64]
    significance: NDArray[np.float64]


@dataclass(frozen=True)
class ScaleSpace:
    """All levels of a picture, fine to coarse, with what they were made of."""

    levels: tuple[Level, ...]
    background: float
    noise: float
    pixels: NDArray[np.float64]


def scale_space(pixels: NDArray[np.float64]) -> ScaleSpace | None:
    """Return the levels of a picture, or None if it is constant or has no valid pixels.

    Parameters
    ----------
    pixels : (ny, nx)
        Not-finite pixels are invalid.
    """
    ny, nx = pixels.shape
    finite = np.isfinite(pixels)
    if ny < 5 or nx < 5 or np.count_nonzero(finite) < 25:
        return None
    # a camera cannot show less noise than its grey levels make
    least = _QUANTISED * grey_step(pixels)
    pixels = pixels - slope(pixels)
    local, typical = local_noise(pixels)
    if not math.isfinite(typical):
        return None
    local, typical = np.maximum(local, least), max(typical, least)
    if typical == 0:
        spread = np.ptp(pixels[finite])
        if spread == 0:
            return None
        typical = 1e-3 * float(spread)
    # within what the window can tell the noise is the same everywhere; and where the camera shows
    # a constant the differences vanish, yet the weight must not grow without limit
    local[np.abs(local - typical) < _SAME * typical] = typical
    local = np.maximum(local, 0.5 * typical)
    background = histogram_peak(pixels, 20_000)
    clean = without_hot_pixels(pixels, local, background)
    weight = np.where(finite, 1 / local**2, 0.0)
    weighted = np.where(finite, (clean - background) * weight, 0.0)
    levels = []
    size = 1
    stripes = 0.0
    while True:
        level, stripes = _level(weighted, weight, size, stripes)
        levels.append(level)
        if min(weight.shape) // 2 < _SMALLEST_LEVEL:
            break
        weighted, weight = halved(weighted), halved(weight)
        size *= 2
    return ScaleSpace(tuple(levels), background, typical, clean)


def _level(
    weighted: NDArray[np.float64], weight: NDArray[np.float64], size: int, stripes: float
) -> tuple[Level, float]:
    """Return a level, and the largest amplitude (rms) of stripes up to it."""
    kernel = np.exp(-0.5 * np.arange(-_KERNEL_REACH, _KERNEL_REACH + 1) ** 2)
    kernel /= kernel.sum()
    amplitude, noise = ratio(
        smoothed(weighted, kernel), smoothed(weight, kernel), smoothed(weight, kernel**2)
    )
    known = np.isfinite(noise)
    # the level of the background as this scale sees it: fringes make the histogram's peak an edge
    noises = noise[known]
    quiet = amplitude[known][noises <= 2 * np.median(noises)] if noises.size else noises
    centre, _ = _background(quiet)
    amplitude -= centre
    significance = amplitude / noise
    centre, spread = _background(significance[known])
    spread = max(spread, 1.0)
    here = float(np.median(noises)) * math.sqrt(max(spread**2 - _STRIPED**2, 0.0))
    noise *= spread
    # at the border the kernel's cut end leaves of finer stripes what cancels everywhere else
    border = np.ones(noise.shape, dtype=bool)
    border[2:-2, 2:-2] = False
    noise[border] = np.hypot(noise[border], _LEFT_AT_BORDER * stripes)
    significance = amplitude / noise
    sigma = math.sqrt(size**2 + (size**2 - 1) / 12)
    return Level(size, sigma, amplitude, noise, significance), max(stripes, here)


def _background(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return centre and width of the background's distribution, the latter from below the centre.

    (The most frequent value would be no centre: one strong fringe system makes it an edge.)
    """
    sample = np.sort(thinned(values, 8_000))
    if sample.size < 10:
        return 0.0, 1.0
    # two places: the first alone would not see a few strong stripes
    centre, *widths = lower_side(sample)
    width = max(widths)
    # as deep as the background falls it may also rise, where fringes end at the border or beat;
    # a negative ghost of a cloud must not hide others, hence the limit
    usual = math.sqrt(2 * math.log(values.size)) + 0.3
    deepest = float(centre - values.min()) / usual
    return centre, min(max(width, deepest), _DEEPEST * width)


@njit(cache=True, nogil=True)
def local_noise(pixels: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Return the white noise around each pixel, and the frame's median of it.

    From the mean size of the second differences in x and y within 25×25 pixels; where invalid
    pixels leave few of those, of the differences along rows if that is larger; infinite where
    these are few, too.
    """
    ny, nx = pixels.shape
    second = np.full((ny, nx), np.nan)
    for j in range(1, ny - 1):
        for i in range(1, nx - 1):
            second[j, i] = abs(
                4 * pixels[j, i]
                - 2 * (pixels[j - 1, i] + pixels[j + 1, i] + pixels[j, i - 1] + pixels[j, i + 1])
                + pixels[j - 1, i - 1]
                + pixels[j - 1, i + 1]
                + pixels[j + 1, i - 1]
                + pixels[j + 1, i + 1]
            )
    out, known = window_mean(second, _NOISE_REACH)
    factor = math.sqrt(math.pi / 2) / 6
    few = False
    for j in range(ny):
        height = min(j + _NOISE_REACH, ny - 2) - max(j - _NOISE_REACH, 1) + 1
        for i in range(nx):
            width = min(i + _NOISE_REACH, nx - 2) - max(i - _NOISE_REACH, 1) + 1
            out[j, i] = out[j, i] * factor if known[j, i] >= _FEWEST else np.inf
            # what is known may lie in the quieter part of the window
            if known[j, i] < 0.5 * height * width:
                few = True
                known[j, i] = -1.0
    if few:
        for j in range(ny):
            for i in range(nx - 1):
                second[j, i] = abs(pixels[j, i + 1] - pixels[j, i])
            second[j, nx - 1] = np.nan
        other, count = window_mean(second, _NOISE_REACH)
        factor = math.sqrt(math.pi) / 2
        for j in range(ny):
            for i in range(nx):
                if known[j, i] >= 0:
                    continue
                if count[j, i] < _FEWEST:
                    out[j, i] = np.inf
                elif not out[j, i] > factor * other[j, i] or math.isinf(out[j, i]):
                    out[j, i] = factor * other[j, i]
    step = max(1, (ny * nx) // 10_000)
    sample = np.empty((ny * nx) // step + 1)
    n = 0
    for index in range(0, ny * nx, step):
        value = out[index // nx, index % nx]
        if math.isfinite(value) and math.isfinite(pixels[index // nx, index % nx]):
            sample[n] = value
            n += 1
    return out, np.median(sample[:n]) if n else np.nan


@njit(cache=True, nogil=True)
def window_mean(
    values: NDArray[np.float64], reach: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of the finite values within a square about each place, and their number."""
    ny, nx = values.shape
    mean, number = np.zeros((ny, nx)), np.zeros((ny, nx))
    column, known = np.zeros(nx), np.zeros(nx)
    for j in range(-reach, ny):
        # running sums: a row comes in below, one goes out above
        if j + reach < ny:
            for i in range(nx):
                if math.isfinite(values[j + reach, i]):
                    column[i] += values[j + reach, i]
                    known[i] += 1
        if j < 0:
            continue
        if j - reach - 1 >= 0:
            for i in range(nx):
                if math.isfinite(values[j - reach - 1, i]):
                    column[i] -= values[j - reach - 1, i]
                    known[i] -= 1
        total = count = 0.0
        for i in range(-reach, nx):
            if i + reach < nx:
                total += column[i + reach]
                count += known[i + reach]
            if i < 0:
                continue
            if i - reach - 1 >= 0:
                total -= column[i - reach - 1]
                count -= known[i - reach - 1]
            number[j, i] = count
            if count > 0:
                mean[j, i] = max(total, 0.0) / count
    return mean, number


@njit(cache=True, nogil=True)
def without_hot_pixels(
    pixels: NDArray[np.float64], noise: NDArray[np.float64], background: float
) -> NDArray[np.float64]:
    """Return the picture with single outstanding pixels replaced by their neighbours' median."""
    ny, nx = pixels.shape
    out = pixels.copy()
    near = np.empty(8)
    for j in range(ny):
        for i in range(nx):
            value = pixels[j, i]
            if not value - background > 5 * noise[j, i]:
                continue
            n = 0
            for v in range(max(j - 1, 0), min(j + 2, ny)):
                for u in range(max(i - 1, 0), min(i + 2, nx)):
                    if (v != j or u != i) and math.isfinite(pixels[v, u]):
                        near[n] = pixels[v, u]
                        n += 1
            if n < 3:
                continue
            around = np.sort(near[:n])
            middle, second = np.median(around), around[n - 2]
            # a cloud's peak stands out from its neighbours by less than these from the background
            if value - second > max(5 * noise[j, i], 1.5 * (middle - background)):
                out[j, i] = middle
    return out


@njit(cache=True, nogil=True)
def halved(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of 2×2 cells; an odd last row or column joins the one before it."""
    ny, nx = values.shape
    out = np.zeros((ny // 2, nx // 2))
    for j in range(ny):
        v = min(j // 2, ny // 2 - 1)
        for i in range(nx - nx % 2):
            out[v, i // 2] += values[j, i]
        if nx % 2:
            out[v, nx // 2 - 1] += values[j, nx - 1]
    return out


@njit(cache=True, nogil=True, fastmath=True)
def smoothed(values: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the separable convolution with ``kernel``, with zeros outside the frame."""
    ny, nx = values.shape
    n = kernel.size
    reach = n // 2
    along = np.zeros((ny, nx))
    for j in range(ny):
        for k in range(n):
            v = j + k - reach
            if 0 <= v < ny:
                factor = kernel[k]
                for i in range(nx):
                    along[j, i] += factor * values[v, i]
    out = np.zeros((ny, nx))
    for j in range(ny):
        for k in range(n):
            shift = k - reach
            factor = kernel[k]
            first, last = max(0, -shift), min(nx, nx - shift)
            for i in range(first, last):
                out[j, i] += factor * along[j, i + shift]
    return out


@njit(cache=True, nogil=True)
def ratio(
    weighted: NDArray[np.float64], weight: NDArray[np.float64], square: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return amplitude and its noise; 0 and inf where there is no weight."""
    ny, nx = weighted.shape
    amplitude = np.zeros((ny, nx))
    noise = np.full((ny, nx), np.inf)
    for j in range(ny):
        for i in range(nx):
            if weight[j, i] > 0:
                amplitude[j, i] = weighted[j, i] / weight[j, i]
                noise[j, i] = math.sqrt(square[j, i]) / weight[j, i]
    return amplitude, noise
