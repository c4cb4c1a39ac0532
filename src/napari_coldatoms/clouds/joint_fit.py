"""One fit of several Gaussians that lie over each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from napari_coldatoms.clouds.fit_result import Box
from napari_coldatoms.clouds.gaussian import Gaussian2D

__all__ = ["joint_fit"]

# no more pixels than about this many are looked at
_ENOUGH = 6000
# of a radius at least so many pixels are looked at
_FINE = 3.0
# a radius may change by this factor, each way
_RANGE = 6.0
_MOST_CALLS = 60


def joint_fit(
    pixels: NDArray[np.float64], starts: Sequence[Gaussian2D], regions: Sequence[Box]
) -> list[Gaussian2D]:
    """Fit Gaussians and their common background to a picture, all at once.

    Peaks and background follow from the shapes by linear least squares; what is left is minimised
    over the shapes alone.

    Parameters
    ----------
    pixels : (ny, nx) array
        Not-finite pixels are left out.
    starts : sequence of Gaussian2D
        Centres stay inside their ellipses' boxes; peaks and background are not needed.
    regions : sequence of (int, int, int, int)
        ``y0, x0, y1, x1``: the pixels that any of them holds are looked at.

    Returns
    -------
    list of Gaussian2D
        In the order of the starts, which come back where there is too little to look at.
    """
    y, x = _places(pixels, starts, regions)
    if len(y) < 6 * len(starts) + 6:
        return list(starts)
    values = pixels[y, x]
    first = np.concatenate([_numbers(each) for each in starts])
    reach = np.concatenate(
        [[*each.half_widths, math.log(_RANGE), math.inf, math.log(_RANGE)] for each in starts]
    )
    steps = np.concatenate([_steps(each) for each in starts])

    def profiles(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = [np.ones(len(y))]
        for x0, y0, a, b, c in numbers.reshape(-1, 5):
            u = math.exp(a) * (x - x0) + b * (y - y0)
            v = math.exp(c) * (y - y0)
            columns.append(np.exp(-0.5 * (u * u + v * v)))
        return np.stack(columns, axis=1)

    def heights(model: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.linalg.lstsq(model, values, rcond=1e-9)[0])

    def misfit(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        model = profiles(numbers)
        return np.asarray(model @ heights(model) - values)

    found = least_squares(
        misfit, first, bounds=(first - reach, first + reach), x_scale=steps, max_nfev=_MOST_CALLS
    )
    background, *peaks = heights(profiles(found.x)).tolist()
    return [
        _gaussian(numbers, peak, background)
        for numbers, peak in zip(found.x.reshape(-1, 5), peaks, strict=True)
    ]


def _places(
    pixels: NDArray[np.float64], starts: Sequence[Gaussian2D], regions: Sequence[Box]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns of the pixels to look at: all, or every so many along both."""
    wanted = np.zeros(pixels.shape, dtype=bool)
    for y0, x0, y1, x1 in regions:
        wanted[y0:y1, x0:x1] = True
    wanted &= np.isfinite(pixels)
    narrowest = min(min(each.wx, each.wy) for each in starts)
    step = math.ceil(math.sqrt(np.count_nonzero(wanted) / _ENOUGH))
    step = max(1, min(step, int(narrowest / _FINE)))
    y, x = np.nonzero(wanted[::step, ::step])
    return y * step, x * step


def _numbers(gaussian: Gaussian2D) -> NDArray[np.float64]:
    """Return centre and shape: the inverse covariance matrix is that of ``u² + v²``."""
    cxx, cxy, cyy = gaussian.covariance
    along = math.sqrt(cyy / (cxx * cyy - cxy**2))
    return np.array(
        [gaussian.x0, gaussian.y0, math.log(along), -cxy / cyy * along, -math.log(cyy) / 2]
    )


def _steps(gaussian: Gaussian2D) -> NDArray[np.float64]:
    size = math.sqrt(gaussian.wx * gaussian.wy)
    return np.array([size, size, 1.0, 1 / size, 1.0])


def _gaussian(numbers: NDArray[np.float64], peak: float, background: float) -> Gaussian2D:
    x0, y0, a, b, c = numbers.tolist()
    inverse = np.array([[math.exp(a), b], [0.0, math.exp(c)]])
    cov = np.linalg.inv(inverse.T @ inverse)
    return Gaussian2D.from_covariance(
        x0, y0, float(cov[0, 0]), float(cov[0, 1]), float(cov[1, 1]), peak, background
    )
