"""Least-squares fit of a Gaussian to a cloud."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds import covariance, levenberg, quality
from napari_coldatoms.clouds.fit_result import Box, GaussianFit, failed_fit
from napari_coldatoms.clouds.gaussian import Gaussian2D, wrap_angle
from napari_coldatoms.clouds.moments import moments
from napari_coldatoms.clouds.noise import difference_noise
from napari_coldatoms.clouds.picture import Frame, frame_of, pixels_of

# relative step at which a fit has converged, and how often it may try
TOLERANCE = 1e-8
MAX_ITERATIONS = 100
# 1/e² radius in fitted (binned) pixels at which the minimisation gives up
NARROWEST = 0.35
# binning stops where the minor radius of the seed would become less than this many binned pixels
COARSEST = 1.5
# a region is drawn again where it is off by more than this factor from what the fit asks for
REDRAW = 1.25

# a fit that no detection and no seed stands behind must explain this part of the variance
_EXPLAINED = 0.5
# factor within which the white noise's variance is known
_UNCERTAIN = 1.1


@dataclass(frozen=True)
class _Attempt:
    """Fit of a region; whether other pixels may do better; its part of the structure there."""

    fit: GaussianFit
    misplaced: bool = False
    explained: float = 0.0


def fit_gaussian(
    picture: Any,
    seed: Any = None,
    *,
    roi_factor: float = 2.0,
    binning: int = 1,
    theta: float | None = None,
    noise: float | None = None,
    exclude: Any = None,
    redraw: int = 2,
) -> GaussianFit:
    """Fit a Gaussian (Eq. 1 of Hofer et al. 2021, arXiv:2011.10536) to a cloud by least squares.

    Only the pixels of the region of interest are looked at: the box of the seed's 1/e² ellipse,
    `roi_factor` times as wide, clipped to the frame. A picture with nothing to fit gives a result
    with ``success`` False and the reason, no error.

    Parameters
    ----------
    picture : (ny, nx) array or DataArray
        Not-finite pixels are left out.
    seed : Gaussian2D, Cloud or mask, optional
        Where the cloud is: centre, radii and angle; peak and background are not needed. A mask is
        an array of the picture's shape. By default the cloud is looked for in the picture.
    roi_factor : float
        Size of the region relative to the ellipse's box.
    binning : int
        Fit the means of blocks of ``binning × binning`` pixels: faster, and for clouds of many
        pixels no worse. The widening by the blocks is taken out again. Reduced where the seed's
        minor radius would get below 1.5 blocks.
    theta : float, optional
        Angle (rad) of the ``wx`` axis, kept fixed; the radii are then never swapped. By default
        the angle is fitted and ``wx >= wy``.
    noise : float, optional
        Standard deviation of a pixel's noise, for `GaussianFit.reduced_chi2`.
    exclude : (ny, nx) mask, optional
        Pixels to leave out, such as those of other clouds.
    redraw : int
        How often the region may be drawn again about the fitted ellipse where the seed was off by
        more than a quarter. 0: the seed's region counts.

    Returns
    -------
    GaussianFit

    Raises
    ------
    ValueError
        If the picture is no two-dimensional array of numbers, or a parameter is out of range.
    """
    pixels = pixels_of(picture)
    check_region(roi_factor, binning)
    if theta is not None and not math.isfinite(theta):
        raise ValueError(f"expected a finite angle theta (rad), found {theta}")
    if noise is not None and not noise > 0:
        raise ValueError(f"expected noise > 0, found {noise}")
    if exclude is not None:
        out = pixels_of(exclude)
        if out.shape != pixels.shape:
            raise ValueError(f"expected exclude of shape {pixels.shape}, found {out.shape}")
        pixels = np.where(out > 0, np.nan, pixels)
    frame = frame_of(picture)

    def fit_from(start: Gaussian2D) -> GaussianFit:
        return fit_pixels(
            pixels,
            start,
            roi_factor=roi_factor,
            binning=int(binning),
            theta=theta,
            noise=noise,
            redraw=redraw,
            frame=frame,
        )

    if seed is not None:
        return fit_from(as_seed(seed, pixels))
    from napari_coldatoms.clouds.seeds import seeds_of

    best: GaussianFit | None = None
    for guess, found in seeds_of(pixels):
        fit = fit_from(guess)
        if fit.success and not (found or _explained(fit, pixels) > _EXPLAINED):
            message = "no cloud found: what was fitted is one of several structures in the picture"
            fit = replace(fit, success=False, quality="failed", message=message)
        if fit.success:
            return fit
        if best is None:
            best = fit
    if best is None:
        shape = pixels.shape
        return failed_fit("the picture shows nothing to fit", (0, 0, shape[0], shape[1]))
    return best


def _explained(fit: GaussianFit, pixels: NDArray[np.float64]) -> float:
    """Return the part of a picture's variance, noise included, that a fit stands for."""
    model = fit.gaussian.image((pixels.shape[0], pixels.shape[1]))
    return float(1 - np.nanvar(pixels - model) / np.nanvar(pixels))


def check_region(roi_factor: float, binning: int) -> None:
    """Raise `ValueError` where a region cannot be of that size, or blocks of that many pixels."""
    if not roi_factor > 0:
        raise ValueError(f"expected roi_factor > 0, found {roi_factor}")
    if int(binning) != binning or binning < 1:
        raise ValueError(f"expected binning to be a whole number of at least 1, found {binning}")


def as_seed(seed: Any, pixels: NDArray[np.float64]) -> Gaussian2D:
    """Return the Gaussian of a seed: itself, that of a cloud, or the moments of a mask."""
    if isinstance(seed, Gaussian2D):
        gaussian = seed
    elif isinstance(getattr(seed, "gaussian", None), Gaussian2D):
        gaussian = seed.gaussian
    else:
        mask = pixels_of(seed)
        if mask.shape != pixels.shape:
            raise ValueError(
                f"expected a seed mask of the picture's shape {pixels.shape}, found {mask.shape}"
            )
        gaussian = moments(mask, kind="mask")
    numbers = (gaussian.x0, gaussian.y0, gaussian.wx, gaussian.wy, gaussian.theta)
    if not all(math.isfinite(value) for value in numbers):
        raise ValueError(f"expected a seed with finite centre, radii and angle, found {gaussian}")
    if gaussian.wx < 0 or gaussian.wy < 0:
        raise ValueError(f"expected a seed with positive radii, found {gaussian}")
    # a line or a point is no ellipse; the fit finds the width
    return replace(gaussian, wx=max(gaussian.wx, 1.0), wy=max(gaussian.wy, 1.0))


def fit_pixels(
    pixels: NDArray[np.float64],
    seed: Gaussian2D,
    *,
    roi_factor: float = 2.0,
    binning: int = 1,
    theta: float | None = None,
    noise: float | None = None,
    redraw: int = 2,
    frame: Frame | None = None,
    known: bool = False,
) -> GaussianFit:
    """Do the work of `fit_gaussian` with checked arguments; `known` as in `quality.judge`."""
    roi = region(seed, pixels.shape, roi_factor)
    attempt = _fit_region(pixels, seed, roi, binning, theta, noise, frame, known)
    strayed = False
    for _ in range(redraw):
        fit = attempt.fit
        if not (fit.success or attempt.misplaced):
            break
        wanted = region(fit.gaussian, pixels.shape, roi_factor)
        if attempt.misplaced:  # such a fit is no good guide: towards it, yet not all the way
            wanted = _limited(wanted, roi)
            strayed = True
        if not _differ(roi, wanted):
            break
        start = fit.gaussian if fit.success else seed
        again = _fit_region(pixels, start, wanted, binning, theta, noise, frame, known)
        if fit.success and not again.fit.success:
            break
        roi, attempt = wanted, again
    fit = attempt.fit
    if strayed and fit.success and attempt.explained < _EXPLAINED:
        message = "no cloud where the seed is: what was fitted is one of several structures around"
        return replace(fit, success=False, quality="failed", message=message)
    return fit


def _limited(wanted: Box, roi: Box) -> Box:
    """Return the part of a region that is within twice another one."""
    height, width = roi[2] - roi[0], roi[3] - roi[1]
    reach = (height + 1) // 2, (width + 1) // 2
    y0, x0 = max(wanted[0], roi[0] - reach[0]), max(wanted[1], roi[1] - reach[1])
    y1, x1 = min(wanted[2], roi[2] + reach[0]), min(wanted[3], roi[3] + reach[1])
    # it still holds what the seed pointed at
    return min(y0, roi[0]), min(x0, roi[1]), max(y1, roi[2]), max(x1, roi[3])


def region(gaussian: Gaussian2D, shape: tuple[int, ...], roi_factor: float) -> Box:
    """Return the pixels (y0, x0, y1, x1) of the scaled ellipse box, clipped to the frame."""
    # a subpixel ellipse still needs pixels around it
    wide = replace(gaussian, wx=max(gaussian.wx, 2.0), wy=max(gaussian.wy, 2.0))
    rows, columns = wide.window((shape[0], shape[1]), roi_factor)
    return rows.start, columns.start, rows.stop, columns.stop


def _differ(old: Box, new: Box) -> bool:
    """Whether two regions differ by more than `REDRAW` in size, or by as much in place."""
    for low in (0, 1):
        before, after = old[low + 2] - old[low], new[low + 2] - new[low]
        if max(before, after) > REDRAW * min(before, after) + 2:
            return True
        shift = abs(old[low + 2] + old[low] - new[low + 2] - new[low]) / 2
        if shift > (REDRAW - 1) * before / 2 + 1:
            return True
    return False


def _fit_region(
    pixels: NDArray[np.float64],
    seed: Gaussian2D,
    roi: Box,
    binning: int,
    theta: float | None,
    noise: float | None,
    frame: Frame | None,
    known: bool,
) -> _Attempt:
    """Return the fit of a region's pixels."""
    y0, x0, y1, x1 = roi
    crop = pixels[y0:y1, x0:x1]
    if crop.size == 0:
        return _Attempt(failed_fit("the seed lies outside the frame", roi))
    binning = int(max(1, min(binning, min(seed.wx, seed.wy) / COARSEST)))
    data, valid, offset, count = covariance.binned(crop, binning)
    if count < 12:
        return _Attempt(failed_fit("too few valid pixels to fit", roi))
    start = covariance.shape_of(
        seed.x0 - x0, seed.y0 - y0, *seed.covariance, binning=binning, theta=theta
    )
    all_valid = count == data.size
    angle = 0.0 if theta is None else theta
    shape, _, _, _, iterations, status = levenberg.minimise(
        data, valid, all_valid, start, theta is None, angle, NARROWEST, TOLERANCE, MAX_ITERATIONS
    )
    found = covariance.finish(data, valid, all_valid, shape, theta is None, angle)
    numbers, errors, residuals, rest, signal = found
    if not np.isfinite(numbers).all():
        return _Attempt(failed_fit("the pixels do not determine a Gaussian", roi))
    degrees = count - (7 if theta is None else 6)
    variance = rest / max(degrees, 1)
    parameters, matrix = covariance.radii(numbers, errors * variance, binning, theta is None, angle)
    parameters[0] += x0
    parameters[1] += y0
    parameters[6] += offset
    if theta is not None:
        parameters[4] = wrap_angle(theta)
    gaussian = Gaussian2D(*parameters.tolist())
    stderr = _stderr(matrix)
    white = difference_noise(crop) / binning if noise is None else noise / binning
    chi2 = variance / white**2 if white > 0 else math.nan
    verdict = quality.judge(
        gaussian, stderr, status, residuals, valid, roi, binning, variance, signal, known
    )
    fit = GaussianFit(
        gaussian,
        stderr,
        chi2,
        verdict.success,
        verdict.message,
        verdict.quality,
        roi,
        binning,
        iterations,
        covariance=matrix,
    )
    if frame is not None:
        fit = _with_units(fit, frame)
    # other structures in the region: what is left beyond the white noise and its uncertainty
    others = max(rest - _UNCERTAIN * count * white**2, 0.0) if white > 0 else rest
    total = signal + others
    return _Attempt(fit, verdict.misplaced, signal / total if total > 0 else 0.0)


def _stderr(matrix: NDArray[np.float64]) -> Gaussian2D:
    errors = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    errors[4] = min(errors[4], math.pi / math.sqrt(12))
    return Gaussian2D(*errors.tolist())


def _with_units(fit: GaussianFit, frame: Frame) -> GaussianFit:
    """Return the fit with its physical values; errors by the Jacobian of the change of units."""
    physical = fit.gaussian.scaled(frame.pixel_size, frame.origin)
    assert fit.covariance is not None
    jacobian = covariance.scaling_jacobian(fit.gaussian, frame.pixel_size)
    stderr = _stderr(jacobian @ fit.covariance @ jacobian.T)
    return replace(fit, physical=physical, physical_stderr=stderr, unit=frame.unit)
