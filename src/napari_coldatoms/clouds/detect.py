"""Find the clouds of a picture, and fit them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.cloud import Cloud
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.fit import check_region
from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.fit_together import FitSettings, fit_together
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import amplitude
from napari_coldatoms.clouds.network_options import NetworkOptions
from napari_coldatoms.clouds.network_process import detect_with_network
from napari_coldatoms.clouds.network_regions import region_of
from napari_coldatoms.clouds.noise import histogram_peak
from napari_coldatoms.clouds.picture import frame_of, pixels_of
from napari_coldatoms.clouds.seeds import gaussian_of, seed_of
from napari_coldatoms.clouds.threshold import Region, ThresholdOptions, segment

OPTIONS: dict[str, type[ThresholdOptions] | type[NetworkOptions]] = {
    "threshold": ThresholdOptions,
    "mask-rcnn": NetworkOptions,
}
METHODS = tuple(OPTIONS)
"""Names of the methods of `detect`."""


@dataclass(frozen=True)
class _Found:
    """A cloud that was found: its pixels, its Gaussian without peak, where its fit begins."""

    label: str
    score: float
    significance: float
    region: Region
    shape: Gaussian2D
    seed: Gaussian2D


def detect(
    picture: Any,
    *,
    method: Literal["threshold", "mask-rcnn"] = "threshold",
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
    method : "threshold" or "mask-rcnn"
        How clouds are found: by what stands out of the noise, or by a neural network (Hofer et al.
        2021, arXiv:2011.10536) that tells classes apart and separates clouds that overlap. The
        network computes in a process of its own, which is started on first use.
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
        Of the method: the fields of `ThresholdOptions` or of `NetworkOptions`.

    Returns
    -------
    list of Cloud
        Highest score first. With thresholds the score of a cloud of significance z is
        ``z / (z + z_min)``, one half at the detection threshold; the network gives its own.

    Raises
    ------
    ValueError
        If the picture is not a single two-dimensional one, or the method or an option unknown, or
        the file of weights none (`WeightsError`).
    NetworkError
        If the network's process ended more than once.
    """
    if method not in METHODS:
        raise ValueError(f"expected method one of {', '.join(METHODS)}, found {method!r}")
    kind = OPTIONS[method]
    known = [f.name for f in fields(kind)]
    if unknown := [name for name in options if name not in known]:
        raise ValueError(
            f"expected options of method {method!r} ({', '.join(known)}), found {unknown[0]!r}"
        )
    chosen = kind(**options)
    settings = _settings(picture, roi_factor, binning, axes, angle)
    pixels = pixels_of(picture)
    if isinstance(chosen, NetworkOptions):
        (detections,) = detect_with_network(
            [pixels], weights=chosen.weights, device=chosen.device, least_score=chosen.score
        )
        return _clouds_of(pixels, detections, settings, fit=fit)
    found, level = _by_threshold(pixels, chosen)
    return _clouds(pixels, found, settings, fit=fit, level=level)


def clouds_of(
    picture: Any,
    detections: Iterable[Detection],
    *,
    fit: bool = True,
    roi_factor: float = 2.0,
    binning: int = 1,
    axes: Literal["cloud", "fixed"] = "cloud",
    angle: float = 0.0,
) -> list[Cloud]:
    """Return the clouds of a picture in which a network has found them already.

    What `detect` does with the network's detections: for those who ask it for many pictures at
    once with `detect_with_network`. Parameters and result are those of `detect`.

    Parameters
    ----------
    picture : (ny, nx) array or DataArray
    detections : iterable of Detection
        Of this picture.
    fit, roi_factor, binning, axes, angle
        See `detect`.
    """
    settings = _settings(picture, roi_factor, binning, axes, angle)
    pixels = pixels_of(picture)
    return _clouds_of(pixels, detections, settings, fit=fit)


def _clouds_of(
    pixels: NDArray[np.float64],
    detections: Iterable[Detection],
    settings: FitSettings,
    *,
    fit: bool,
) -> list[Cloud]:
    found = [_of_network(each, pixels) for each in detections]
    # the network has seen the whole cloud: what a fit finds elsewhere is another one
    return _clouds(pixels, found, replace(settings, stay=True), fit=fit)


def _settings(
    picture: Any, roi_factor: float, binning: int, axes: str, angle: float
) -> FitSettings:
    if axes not in ("cloud", "fixed"):
        raise ValueError(f"expected axes 'cloud' or 'fixed', found {axes!r}")
    check_region(roi_factor, binning)
    theta = angle if axes == "fixed" else None
    return FitSettings(roi_factor, int(binning), theta, frame_of(picture))


def _by_threshold(
    pixels: NDArray[np.float64], options: ThresholdOptions
) -> tuple[list[_Found], float | None]:
    """Return what stands out of the noise, and the level of the background."""
    regions, space = segment(pixels, options)
    least = options.significance
    found = [
        _Found(
            "cloud",
            each.significance / (each.significance + least),
            each.significance,
            each,
            gaussian_of(each),
            seed_of(each),
        )
        for each in regions
    ]
    return found, None if space is None else float(space.background)


def _of_network(detection: Detection, pixels: NDArray[np.float64]) -> _Found:
    found, shape = region_of(detection, (pixels.shape[0], pixels.shape[1]))
    return _Found(detection.label, detection.score, math.nan, found, shape, shape)


def _clouds(
    pixels: NDArray[np.float64],
    found: Sequence[_Found],
    settings: FitSettings,
    *,
    fit: bool,
    level: float | None = None,
) -> list[Cloud]:
    """Return the clouds that were found with peak, background and fit.

    `level` is the background of a picture that is all clouds, if it is known.
    """
    if not found or not np.isfinite(pixels).any():
        return []
    regions = [each.region for each in found]
    outside = pixels[~_union(regions, pixels.shape)]
    if np.isfinite(outside).any():
        level = histogram_peak(outside)
    elif level is None:
        level = histogram_peak(pixels)
    gaussians = [amplitude(_along(each.shape, settings.theta), pixels, level) for each in found]
    fits: list[GaussianFit | None] = [None] * len(found)
    if fit:
        fits = list(fit_together(pixels, regions, [each.seed for each in found], settings))
    clouds = [
        _cloud(each, gaussian, fitted, pixels.shape, settings)
        for each, gaussian, fitted in zip(found, gaussians, fits, strict=True)
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


def _union(regions: Sequence[Region], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    union = np.zeros(shape, dtype=bool)
    for r in regions:
        y, x = r.offset
        union[y : y + r.mask.shape[0], x : x + r.mask.shape[1]] |= r.mask
    return union


def _cloud(
    found: _Found,
    gaussian: Gaussian2D,
    fit: GaussianFit | None,
    shape: tuple[int, ...],
    settings: FitSettings,
) -> Cloud:
    best = fit.gaussian if fit is not None and fit.success else gaussian
    frame = settings.frame
    return Cloud(
        label=found.label,
        score=found.score,
        box=best.ellipse_box(),
        gaussian=gaussian,
        fit=fit,
        significance=found.significance,
        crop=found.region.mask,
        offset=found.region.offset,
        shape=(shape[0], shape[1]),
        physical=None if frame is None else best.scaled(frame.pixel_size, frame.origin),
        unit=None if frame is None else frame.unit,
    )
