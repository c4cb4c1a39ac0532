"""What a fit is worth: whether it found a cloud, and whether a Gaussian describes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.clouds import levenberg
from napari_coldatoms.clouds.gaussian import Gaussian2D

# 1/e² radius in fitted pixels below which a cloud cannot be told from a hot pixel
NARROWEST = 0.75
# signal/noise of the whole Gaussian below which noise may have made it: among the thousands of
# places and shapes a fit can choose from, white noise reaches 5
MIN_SIGNIFICANCE = 7.0
# a peak below this times the (rms) structure of the background is a fringe like the others
MIN_PROMINENCE = 4.0
# the same where a cloud is known to be: its fit is poor up to `MIN_PROMINENCE`
KNOWN_PROMINENCE = 2.0
# structured residuals (rms, part of the peak) above which a Gaussian does not describe a cloud
MAX_STRUCTURE = 0.035
_STRUCTURE_SIGNIFICANCE = 4.0
_STRUCTURE_PIXELS = 20_000
# and above which it describes nothing
HOPELESS_STRUCTURE = 0.35


_ELSEWHERE = "the centre lies outside the fitted pixels"
_WIDER = "the cloud is wider than the fitted pixels can tell"
_BEYOND = "the width grows far beyond the fitted pixels"


@dataclass(frozen=True)
class Verdict:
    """Whether a fit succeeded, how good it is, and why."""

    success: bool
    quality: Literal["good", "poor", "failed"]
    message: str

    @property
    def misplaced(self) -> bool:
        """Whether other pixels may do better."""
        return self.message in (_ELSEWHERE, _WIDER, _BEYOND)


@njit(cache=True, nogil=True)
def structure(
    residuals: NDArray[np.float64],
    valid: NDArray[np.float64],
    x0: float,
    y0: float,
    a: float,
    b: float,
    c: float,
    lag: int,
) -> tuple[float, float, float, float]:
    """Return the mean product of residuals `lag` pixels apart, and its error, inside and outside.

    Inside: within 1.3 radii. Independent noise, however unequal, has no mean product; smooth
    structure has that of its mean square.
    """
    ny, nx = residuals.shape
    stride = 1 + ny * nx // _STRUCTURE_PIXELS  # of the rows; enough to judge large regions by
    total = np.zeros(2)
    square = np.zeros(2)
    count = np.zeros(2)
    for j in range(0, ny, stride):
        for i in range(nx):
            if valid[j, i] == 0:
                continue
            dx, dy = i - x0, j - y0
            where = 0 if a * dx * dx + 2 * b * dx * dy + c * dy * dy < 2 * 1.3**2 else 1
            if i + lag < nx and valid[j, i + lag] > 0:
                product = residuals[j, i] * residuals[j, i + lag]
                total[where] += product
                square[where] += product * product
                count[where] += 1
            if j + lag < ny and valid[j + lag, i] > 0:
                product = residuals[j, i] * residuals[j + lag, i]
                total[where] += product
                square[where] += product * product
                count[where] += 1
    mean = np.zeros(2)
    error = np.zeros(2)
    for where in range(2):
        if count[where] > 0:
            mean[where] = total[where] / count[where]
            error[where] = math.sqrt(square[where]) / count[where]
    return mean[0], error[0], mean[1], error[1]


def judge(
    gaussian: Gaussian2D,
    stderr: Gaussian2D,
    status: int,
    residuals: NDArray[np.float64],
    valid: NDArray[np.float64],
    roi: tuple[int, int, int, int],
    binning: int,
    variance: float,
    signal: float,
    known: bool = False,
) -> Verdict:
    """Judge a fit.

    Parameters
    ----------
    gaussian, stderr : Gaussian2D
        In pixels of the frame.
    status : int
        How the minimisation ended.
    residuals, valid : (ny, nx)
        Of the (binned) region.
    roi : (y0, x0, y1, x1)
        The region.
    binning : int
        Pixels per block.
    variance : float
        Of the residuals.
    signal : float
        By how much the peak reduced the sum of squares.
    known : bool
        There is a cloud: structure of the background that is nearly as high makes its fit poor.
    """
    reason = _failure(gaussian, stderr, status, residuals, valid, roi, binning, variance, signal)
    if reason:
        return Verdict(False, "failed", reason)
    cxx, cxy, cyy = gaussian.covariance
    determinant = cxx * cyy - cxy * cxy
    half = (binning - 1) / 2
    lag = 2 if min(gaussian.wx, gaussian.wy) >= 6 * binning else 1
    k2 = binning * binning
    inside, inside_error, outside, outside_error = structure(
        residuals,
        valid,
        (gaussian.x0 - roi[1] - half) / binning,
        (gaussian.y0 - roi[0] - half) / binning,
        k2 * cyy / (2 * determinant),
        -k2 * cxy / (2 * determinant),
        k2 * cxx / (2 * determinant),
        lag,
    )
    stripes = math.sqrt(max(outside, 0.0))
    if outside > 3 * outside_error and gaussian.peak < MIN_PROMINENCE * stripes:
        ratio = gaussian.peak / stripes
        message = f"the peak is only {ratio:.1f} times the structure of the background"
        if not known or gaussian.peak < KNOWN_PROMINENCE * stripes:
            return Verdict(False, "failed", message)
        return Verdict(True, "poor", f"converged, but {message}")
    excess = inside - max(outside, 0.0)
    error = math.hypot(inside_error, outside_error if outside > 0 else 0.0)
    part = math.sqrt(max(excess, 0.0)) / abs(gaussian.peak)
    if part > MAX_STRUCTURE and excess > _STRUCTURE_SIGNIFICANCE * error:
        if part > HOPELESS_STRUCTURE:
            message = f"no Gaussian: structured residuals of {100 * part:.0f} % of the peak"
            return Verdict(False, "failed", message)
        message = (
            f"converged, but the cloud is not Gaussian: "
            f"structured residuals of {100 * part:.0f} % of the peak"
        )
        return Verdict(True, "poor", message)
    return Verdict(True, "good", "converged")


def _failure(
    gaussian: Gaussian2D,
    stderr: Gaussian2D,
    status: int,
    residuals: NDArray[np.float64],
    valid: NDArray[np.float64],
    roi: tuple[int, int, int, int],
    binning: int,
    variance: float,
    signal: float,
) -> str:
    """Return why a fit found no cloud, or an empty string."""
    if status == levenberg.ITERATION_LIMIT:
        return "not converged within the limit of iterations"
    if status == levenberg.TOO_NARROW or min(gaussian.wx, gaussian.wy) < NARROWEST * binning:
        return "narrower than what the pixels resolve: a single pixel or noise"
    if status == levenberg.TOO_WIDE:
        return _BEYOND
    if status == levenberg.SINGULAR:
        return "the pixels do not determine a Gaussian"
    height, width = roi[2] - roi[0], roi[3] - roi[1]
    hx, hy = gaussian.half_widths
    x, y = gaussian.x0 + 0.5, gaussian.y0 + 0.5
    if not (
        roi[1] - min(hx, width) / 2 <= x <= roi[3] + min(hx, width) / 2
        and roi[0] - min(hy, height) / 2 <= y <= roi[2] + min(hy, height) / 2
    ):
        return _ELSEWHERE
    if hx > width or hy > height:
        return _WIDER
    if not gaussian.peak > 0:
        return "the peak is negative"
    if not np.isfinite(stderr.to_array()).all():
        return "the pixels do not determine all parameters"
    if signal < MIN_SIGNIFICANCE**2 * variance:
        return (
            f"the peak is not significant: signal/noise {math.sqrt(signal / variance):.1f}, "
            f"below {MIN_SIGNIFICANCE:g}"
        )
    if gaussian.peak < 3 * stderr.peak:
        return "the peak is not determined: its error is more than a third of it"
    return ""
