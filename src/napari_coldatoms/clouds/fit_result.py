"""What a fit found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.gaussian import Gaussian2D

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class GaussianFit:
    """What a fit of `Gaussian2D` found.

    Attributes
    ----------
    gaussian : Gaussian2D
        The fit in pixels; ``wx >= wy`` unless the axes were fixed. NaN where there was nothing to
        fit.
    stderr : Gaussian2D
        Standard errors of the seven numbers, from the covariance matrix times the variance of the
        residuals. They hold for noise that is independent from pixel to pixel; fringes make the
        true errors larger. The error of the angle of a (nearly) round cloud is limited to
        pi/sqrt(12), that of an angle of which nothing is known. With fixed axes it is 0.
    covariance : (7, 7) array or None
        Covariance matrix in the order x0, y0, wx, wy, theta, peak, background.
    reduced_chi2 : float
        Variance of the residuals over that of the picture's white noise, which is estimated from
        differences of neighbouring pixels, or was given.
    success : bool
        Whether the fit converged to a minimum that may be a cloud: widths and centre within what
        the fitted pixels can tell, and a peak that noise does not make.
    quality : "good", "poor" or "failed"
        "poor": a cloud, but no Gaussian one: the residuals are structured. "failed": no success.
    message : str
        Why, in words.
    roi : (y0, x0, y1, x1)
        The fitted pixels, half-open.
    binning : int
        Pixels of the fitted block means were this many pixels wide.
    iterations : int
        Passes over the pixels.
    physical, physical_stderr : Gaussian2D or None
        Fit and standard errors in the picture's own coordinates, where it knows its pixel size.
    unit : str or None
        Unit of `physical`.
    """

    gaussian: Gaussian2D
    stderr: Gaussian2D
    reduced_chi2: float
    success: bool
    message: str
    quality: Literal["good", "poor", "failed"]
    roi: Box
    binning: int = 1
    iterations: int = 0
    physical: Gaussian2D | None = None
    physical_stderr: Gaussian2D | None = None
    unit: str | None = None
    covariance: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)


def failed_fit(message: str, roi: Box) -> GaussianFit:
    """Return the result of a fit that had nothing to work on."""
    unknown = Gaussian2D(*([math.nan] * 7))
    return GaussianFit(unknown, unknown, math.nan, False, message, "failed", roi)
