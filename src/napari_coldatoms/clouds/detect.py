"""Find the clouds of a picture, and fit them."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.cloud import Cloud
from napari_coldatoms.clouds.fit import check_region, fit_pixels, region
from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import amplitude
from napari_coldatoms.clouds.noise import histogram_peak
from napari_coldatoms.clouds.picture import Frame, frame_of, pixels_of
from napari_coldatoms.clouds.seeds import gaussian_of, seed_of
from napari_coldatoms.clouds.threshold import Region, ThresholdOptions, segment

METHODS = ("threshold",)
"""Names of the methods of `detect`."""

# a neighbour that leaves less than this part of its peak in a region does not matter there
_NEGLIGIBLE = 1e-3
# fits beside each other are repeated until none moves by more than this part of its error
_SETTLED = 0.03
_MAX_SWEEPS = 12


def detect(
    picture: Any,
    *,
    method: str = "threshold",
    fit: bool = True,
    roi_factor: float = 2.0,
    binning: int = 1,
    axes: Literal["cloud", "fixed"] = "cloud",
    angle: float = 0.0,
    **options: Any,
) -> list[Cloud]:
    """Find the clouds of a picture and fit a Gaussian to each.

    Parameters
    ----------
    picture : (ny, nx) array or DataArray
        Optical depth, fluorescence: clouds are brighter than the background. Not-finite pixels
        are left out.
    method : "threshold"
        How clouds are found.
    fit : bool
        Whether to fit them; else only masks and what follows from them.
    roi_factor, binning
        Of the fits, see `fit_gaussian`.
    axes : "cloud" or "fixed"
        Radii along the axes of each cloud (``wx >= wy``), or along fixed axes, never swapped: for
        time of flight and scans, where the aspect ratio inverts on the way.
    angle : float
        Angle (rad) of the fixed ``wx`` axis.
    **options
        Of the method: the fields of `ThresholdOptions`.

    Returns
    -------
    list of Cloud
        Highest score first. The score of a cloud of significance z is ``z / (z + z_min)``, one half
        at the detection threshold.

    Raises
    ------
    ValueError
        If the picture is not a single two-dimensional one, or the method or an option unknown.
    """
    if method not in METHODS:
        raise ValueError(f"expected method one of {', '.join(METHODS)}, found {method!r}")
    if axes not in ("cloud", "fixed"):
        raise ValueError(f"expected axes 'cloud' or 'fixed', found {axes!r}")
    check_region(roi_factor, binning)
    known = [f.name for f in fields(ThresholdOptions)]
    if unknown := [name for name in options if name not in known]:
        raise ValueError(
            f"expected options of method 'threshold' ({', '.join(known)}), found {unknown[0]!r}"
        )
    thresholds = ThresholdOptions(**options)
    pixels = pixels_of(picture)
    frame = frame_of(picture)
    theta = angle if axes == "fixed" else None
    regions, space = segment(pixels, thresholds)
    if space is None or not regions:
        return []
    shapes = [_along(gaussian_of(r), theta) for r in regions]
    outside = pixels[~_union(regions, pixels.shape)]
    background = histogram_peak(outside) if np.isfinite(outside).any() else float(space.background)
    gaussians = [amplitude(shape, pixels, background) for shape in shapes]
    fits: list[GaussianFit | None] = [None] * len(regions)
    if fit:
        fits = list(_fit_all(pixels, regions, roi_factor, int(binning), theta, frame))
    clouds = [
        _cloud(r, g, f, thresholds.significance, pixels.shape, frame)
        for r, g, f in zip(regions, gaussians, fits, strict=True)
    ]
    return sorted(clouds, key=lambda cloud: -cloud.score)


def _along(shape: Gaussian2D, theta: float | None) -> Gaussian2D:
    """Return the Gaussian with radii along a fixed angle: the extents of its covariance there."""
    if theta is None:
        return shape
    cxx, cxy, cyy = shape.covariance
    c, s = math.cos(theta), math.sin(theta)
    along = cxx * c * c + 2 * cxy * c * s + cyy * s * s
    across = cxx * s * s - 2 * cxy * c * s + cyy * c * c
    return replace(shape, wx=2 * math.sqrt(along), wy=2 * math.sqrt(across), theta=theta)


def _union(regions: list[Region], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    union = np.zeros(shape, dtype=bool)
    for r in regions:
        y, x = r.offset
        union[y : y + r.mask.shape[0], x : x + r.mask.shape[1]] |= r.mask
    return union


def _fit_all(
    pixels: NDArray[np.float64],
    regions: list[Region],
    roi_factor: float,
    binning: int,
    theta: float | None,
    frame: Frame | None,
) -> list[GaussianFit]:
    """Fit every region; neighbours first are left out, then their models are subtracted."""
    seeds = [seed_of(r) for r in regions]
    fits = []
    for index, seed in enumerate(seeds):
        others = [r for k, r in enumerate(regions) if k != index]
        cropped = _without(pixels, others, region(seed, pixels.shape, 2 * roi_factor))
        fits.append(
            fit_pixels(
                cropped, seed, roi_factor=roi_factor, binning=binning, theta=theta, frame=frame
            )
        )
    if len(fits) == 1:
        return fits
    for _ in range(_MAX_SWEEPS):
        moved = 0.0
        for index, before in enumerate(fits):
            models = [f.gaussian if f.success else None for f in fits]
            after = _beside(pixels, before, index, models, roi_factor, binning, theta, frame)
            if after is not before:
                moved = max(moved, _shift(before, after))
                fits[index] = after
        if moved < _SETTLED:
            break
    return fits


def _shift(before: GaussianFit, after: GaussianFit) -> float:
    """Return the largest change of centre and covariance matrix, in standard errors."""
    old, new, error = before.gaussian, after.gaussian, after.stderr
    widths = (old.wx + old.wy - new.wx - new.wy) / math.hypot(error.wx, error.wy)
    return max(abs(old.x0 - new.x0) / error.x0, abs(old.y0 - new.y0) / error.y0, abs(widths))


def _without(
    pixels: NDArray[np.float64], others: list[Region], box: tuple[int, int, int, int]
) -> NDArray[np.float64]:
    """Return the picture with other clouds' pixels NaN; itself where none are near the box."""
    out = pixels
    for other in others:
        y, x = other.offset
        height, width = other.mask.shape
        if y >= box[2] or x >= box[3] or y + height <= box[0] or x + width <= box[1]:
            continue
        if out is pixels:
            out = pixels.copy()
        out[y : y + height, x : x + width][other.mask] = np.nan
    return out


def _beside(
    pixels: NDArray[np.float64],
    fit: GaussianFit,
    index: int,
    models: list[Gaussian2D | None],
    roi_factor: float,
    binning: int,
    theta: float | None,
    frame: Frame | None,
) -> GaussianFit:
    """Return a fit repeated with the models of its neighbours subtracted from the picture."""
    if not fit.success:
        return fit
    y0, x0, y1, x1 = region(fit.gaussian, pixels.shape, 2 * roi_factor)
    rows, columns = np.arange(y0, y1)[:, None], np.arange(x0, x1)[None, :]
    rest: NDArray[np.float64] | None = None
    for k, model in enumerate(models):
        if k == index or model is None:
            continue
        profile = model.profile(rows, columns)
        if profile.size and profile.max() > _NEGLIGIBLE:
            if rest is None:
                rest = pixels.copy()
            rest[y0:y1, x0:x1] -= model.peak * profile
    if rest is None:
        return fit
    again = fit_pixels(
        rest,
        fit.gaussian,
        roi_factor=roi_factor,
        binning=binning,
        theta=theta,
        frame=frame,
    )
    return again if again.success else fit


def _cloud(
    found: Region,
    gaussian: Gaussian2D,
    fit: GaussianFit | None,
    least: float,
    shape: tuple[int, ...],
    frame: Frame | None,
) -> Cloud:
    best = fit.gaussian if fit is not None and fit.success else gaussian
    physical = None if frame is None else best.scaled(frame.pixel_size, frame.origin)
    return Cloud(
        label="cloud",
        score=found.significance / (found.significance + least),
        box=best.ellipse_box(),
        gaussian=gaussian,
        fit=fit,
        significance=found.significance,
        crop=found.mask,
        offset=found.offset,
        shape=(shape[0], shape[1]),
        physical=physical,
        unit=None if frame is None else frame.unit,
    )
