"""A lattice a little displaced and a PSF a little too narrow or too wide: found in the image.

To first order an image of sites displaced by s, through a PSF blurred by a further variance 2 b
along each axis, is ``L - s·∇L + b ∇²L``, where L is the light that the model puts on the pixels.
The sites of one image are enough to find s and b by linear least squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.sums import dot

FloatArray = NDArray[np.float64]

_SIGNIFICANT = 4.0  # standard errors
_FARTHEST = 0.25  # part of the PSF's width beyond which first order is not enough
_HARMLESS, _HARMLESS_WIDTH = 0.05, 0.015  # px, and relative
_STEP, _WIDTH_STEP = 0.02, 0.005  # of adjustments, so that shots share them


@dataclass(frozen=True)
class Misfit:
    """How an image differs from what lattice and PSF predict.

    Attributes
    ----------
    offset : (float, float)
        Place (y, x) of the sites relative to where the lattice has them, in px.
    width : float
        Width of the PSF over that of the given one.
    """

    offset: tuple[float, float] = (0.0, 0.0)
    width: float = 1.0

    @property
    def is_there(self) -> bool:
        """Whether it is large enough to matter."""
        return max(map(abs, self.offset)) > _HARMLESS or abs(self.width - 1) > _HARMLESS_WIDTH

    def after(self, first: Misfit) -> Misfit:
        """Return this misfit and one that was found before, as one of round numbers."""
        y, x = (_rounded(a + b, _STEP) for a, b in zip(self.offset, first.offset, strict=True))
        return Misfit((y, x), _rounded(self.width * first.width, _WIDTH_STEP))


def _rounded(value: float, step: float) -> float:
    return round(round(value / step) * step, 6)


NO_MISFIT = Misfit()


def find_misfit(signal: FloatArray, good: FloatArray, light: FloatArray, hwhm: float) -> Misfit:
    """Find the misfit of an image whose occupation is about known.

    Parameters
    ----------
    signal : (..., y, x) array
        Image minus background; of one image, or of several with one misfit.
    good : (..., y, x) array
        1 where the pixel counts, 0 where it is bad.
    light : (..., y, x) array
        Light of the sites, each as bright as it is likely to be occupied.
    hwhm : float
        Half width at half maximum of the PSF, in px; limits the misfit.

    Returns
    -------
    Misfit
        What is not larger than four standard errors is left out.
    """
    columns = [light, np.ones_like(light), slope(light, -2), slope(light, -1), laplacian(light)]
    found, inverse, rest = _least_squares(columns, signal, good)
    brightness = float(found[0])
    if not brightness > 0:
        return Misfit()
    errors = np.sqrt(rest * np.maximum(np.diagonal(inverse), 0.0))[2:] / brightness
    values = np.array([-1.0, -1.0, 1.0]) * found[2:] / brightness
    values[np.abs(values) < _SIGNIFICANT * errors] = 0.0
    variance = hwhm**2 / (2 * math.log(2))
    y, x = np.clip(values[:2], -_FARTHEST * hwhm, _FARTHEST * hwhm).tolist()
    growth = float(np.clip(2 * values[2] / variance, -_FARTHEST, _FARTHEST))
    return Misfit((y, x), math.sqrt(1 + growth))


def fit_light(signal: FloatArray, good: FloatArray, light: FloatArray) -> tuple[float, float]:
    """Fit the brightness of an occupied site, and a level; parameters as for `find_misfit`."""
    found, _, _ = _least_squares([light, np.ones_like(light)], signal, good)
    return max(float(found[0]), 0.0), float(found[1])


def fit_shift(
    signal: FloatArray, good: FloatArray, light: FloatArray, reach: float
) -> tuple[FloatArray, FloatArray]:
    """Fit how far (y, x) the sites are from where their light was put, in px, and the errors.

    The errors are those of blocks of pixels, as sites that are brighter or darker than others
    leave residuals that hang together.

    Parameters
    ----------
    signal, good, light : (y, x) arrays
        As for `find_misfit`.
    reach : float
        Distance over which residuals hang together, in px.

    Returns
    -------
    shift, error : (2,) arrays
        NaN where there is no light.
    """
    columns, found, inverse, residual = _shifted(signal, good, light)
    if not found[0] > 0:
        return np.full(2, np.nan), np.full(2, np.nan)
    scores = np.array([_blocks(residual * column, reach) for column in columns])
    covariance = inverse @ (scores @ scores.T) @ inverse
    errors = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))[2:] / found[0]
    return -found[2:] / found[0], errors


def fit_shifted_light(
    signal: FloatArray, good: FloatArray, light: FloatArray
) -> tuple[float, FloatArray]:
    """Return the brightness of an occupied site and what a fit of light and shift leaves over.

    Parameters as for `fit_shift`; the residual is 0 at bad pixels.
    """
    _, found, _, residual = _shifted(signal, good, light)
    return float(found[0]), residual


def _shifted(
    signal: FloatArray, good: FloatArray, light: FloatArray
) -> tuple[list[FloatArray], FloatArray, FloatArray, FloatArray]:
    """Return columns, solution, inverse normal matrix and residual for sites a little displaced."""
    columns = [light, np.ones_like(light), slope(light, -2), slope(light, -1)]
    found, inverse, _ = _least_squares(columns, signal, good)
    fitted = sum(value * column for value, column in zip(found, columns, strict=True))
    return columns, found, inverse, good * (signal - fitted)


def _blocks(image: FloatArray, size: float) -> FloatArray:
    """Return the sums over square blocks of about a size in px, as one row."""
    step = max(round(size), 1)
    starts = [np.arange(0, n, step) for n in image.shape]
    return np.add.reduceat(np.add.reduceat(image, starts[0], 0), starts[1], 1).ravel()


def _least_squares(
    columns: list[FloatArray], signal: FloatArray, good: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return the solution, the inverse normal matrix and the variance of what is left."""
    weighted = [good * column for column in columns]
    normal = np.array([[dot(a, b) for b in columns] for a in weighted])
    right = np.array([dot(a, signal) for a in weighted])
    scale = np.sqrt(np.maximum(np.diagonal(normal), 1e-300))
    inverse = np.linalg.pinv(normal / np.outer(scale, scale)) / np.outer(scale, scale)
    found = inverse @ right
    rest = max(dot(good * signal, signal) - float(found @ right), 0.0)
    return found, inverse, rest / max(float(good.sum()) - len(columns), 1.0)


def slope(image: FloatArray, axis: int) -> FloatArray:
    """Return central differences; 0 at the border."""
    out = np.zeros_like(image)
    a, b = np.moveaxis(out, axis, 0), np.moveaxis(image, axis, 0)
    a[1:-1] = 0.5 * (b[2:] - b[:-2])
    return out


def laplacian(image: FloatArray) -> FloatArray:
    """Return the sum of the second differences; 0 at the border."""
    out = np.zeros_like(image)
    out[..., 1:-1, 1:-1] = (
        image[..., 2:, 1:-1] + image[..., :-2, 1:-1] + image[..., 1:-1, 2:] + image[..., 1:-1, :-2]
    ) - 4 * image[..., 1:-1, 1:-1]
    return out
