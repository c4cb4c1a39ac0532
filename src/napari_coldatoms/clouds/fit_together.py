"""Fits of the clouds of one picture, each beside the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.fit import fit_pixels, region
from napari_coldatoms.clouds.fit_result import Box, GaussianFit
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.clouds.picture import Frame
from napari_coldatoms.clouds.threshold import Region

# a neighbour that leaves less than this part of its peak in a region does not matter there
_NEGLIGIBLE = 1e-3
# fits beside each other are repeated until none moves by more than this part of its error
_SETTLED = 0.03
_MAX_SWEEPS = 12
# at least this part of a cloud's pixels is kept where another one lies over it
_KEPT = 0.5
# how far a fit may go from a seed that is known to be right: its centre in radii of the seed, its
# area as a factor (a Gaussian fitted to a cloud of two parts may be much smaller than its outline)
_FAR = 1.5
_UNLIKE = 5.0
_STRAYED = "the fit left the cloud for another structure: its mask tells more"


@dataclass(frozen=True)
class FitSettings:
    """How each cloud is fitted, see `fit_gaussian`.

    With `stay`, the seeds are known to be right, and a fit that leaves its seed has failed, while
    one beside fringes nearly as high has not.
    """

    roi_factor: float = 2.0
    binning: int = 1
    theta: float | None = None
    frame: Frame | None = None
    stay: bool = False


def fit_together(
    pixels: NDArray[np.float64],
    regions: Sequence[Region],
    seeds: Sequence[Gaussian2D],
    settings: FitSettings,
) -> list[GaussianFit]:
    """Fit every region; neighbours first are left out, then their models are subtracted.

    Parameters
    ----------
    pixels : (ny, nx)
        Not-finite pixels are left out.
    regions : sequence of Region
        They may overlap: then the largest is fitted first, and its model subtracted for the others.
    seeds : sequence of Gaussian2D
        Where each fit begins.
    settings : FitSettings

    Returns
    -------
    list of GaussianFit
        In the order of the regions.
    """
    fits = _one_by_one(pixels, regions, seeds, settings)
    if len(fits) == 1:
        return fits
    for _ in range(_MAX_SWEEPS):
        moved = 0.0
        for index, before in enumerate(fits):
            after = _beside(pixels, regions, fits, index, settings)
            if settings.stay:
                after = _staying(after, seeds[index])
            if after is not before:
                moved = max(moved, _shift(before, after) if after.success else math.inf)
                fits[index] = after
        if moved < _SETTLED:
            break
    return fits


def _one_by_one(
    pixels: NDArray[np.float64],
    regions: Sequence[Region],
    seeds: Sequence[Gaussian2D],
    settings: FitSettings,
) -> list[GaussianFit]:
    """Return the first fit of each region, the largest first."""
    done: dict[int, GaussianFit] = {}
    for index in sorted(range(len(regions)), key=lambda k: -np.count_nonzero(regions[k].mask)):
        box = region(seeds[index], pixels.shape, 2 * settings.roi_factor)
        view = _without_others(pixels, regions, index, done, box)
        done[index] = _fit(view, seeds[index], settings)
        if settings.stay:
            done[index] = _staying(done[index], seeds[index])
    return [done[index] for index in range(len(regions))]


def _fit(pixels: NDArray[np.float64], seed: Gaussian2D, settings: FitSettings) -> GaussianFit:
    return fit_pixels(
        pixels,
        seed,
        roi_factor=settings.roi_factor,
        binning=settings.binning,
        theta=settings.theta,
        frame=settings.frame,
        known=settings.stay,
    )


def _staying(fit: GaussianFit, seed: Gaussian2D) -> GaussianFit:
    """Return the fit; as failed if it is that of something else than the seed."""
    found = fit.gaussian
    if not fit.success:
        return fit
    # the profile falls to exp(-2 r²) at r radii
    near = float(seed.profile(found.y0, found.x0)) >= math.exp(-2 * _FAR**2)
    like = abs(math.log(found.wx * found.wy / (seed.wx * seed.wy))) <= math.log(_UNLIKE)
    if near and like:
        return fit
    return replace(fit, success=False, quality="failed", message=_STRAYED)


def _without_others(
    pixels: NDArray[np.float64],
    regions: Sequence[Region],
    index: int,
    done: dict[int, GaussianFit],
    box: Box,
) -> NDArray[np.float64]:
    """Return the picture without the other clouds; itself where none are near the box.

    Their pixels are NaN. Of a cloud that lies over this one the model is subtracted, if it is known
    already; else the pixels of both stay where most of this one's would be lost.
    """
    own = regions[index]
    out = pixels
    for k, other in enumerate(regions):
        y, x = other.offset
        height, width = other.mask.shape
        if k == index or y >= box[2] or x >= box[3] or y + height <= box[0] or x + width <= box[1]:
            continue
        if out is pixels:
            out = pixels.copy()
        shared = _shared(other, own)
        lost = np.count_nonzero(shared)
        fit = done.get(k)
        if lost and fit is not None and fit.success:
            out[box[0] : box[2], box[1] : box[3]] -= fit.gaussian.peak * _light(fit.gaussian, box)
            continue
        left_out = other.mask
        if lost > (1 - _KEPT) * np.count_nonzero(own.mask):
            left_out = other.mask & ~shared
        out[y : y + height, x : x + width][left_out] = np.nan
    return out


def _shared(one: Region, other: Region) -> NDArray[np.bool_]:
    """Return which pixels of a region belong to another one, too; of the shape of its mask."""
    return Patch(one.offset, one.mask).common(Patch(other.offset, other.mask))


def _light(model: Gaussian2D, box: Box) -> NDArray[np.float64]:
    """Return a cloud without its background, as a part of its peak, on the pixels in a box."""
    y0, x0, y1, x1 = box
    return model.profile(np.arange(y0, y1)[:, None], np.arange(x0, x1)[None, :])


def _beside(
    pixels: NDArray[np.float64],
    regions: Sequence[Region],
    fits: Sequence[GaussianFit],
    index: int,
    settings: FitSettings,
) -> GaussianFit:
    """Return a fit repeated with the models of its neighbours subtracted from the picture."""
    fit = fits[index]
    if not fit.success:
        return fit
    box = region(fit.gaussian, pixels.shape, 2 * settings.roi_factor)
    others = (other.gaussian for k, other in enumerate(fits) if k != index and other.success)
    lights = ((model.peak, _light(model, box)) for model in others)
    near = [(peak, light) for peak, light in lights if light.size and light.max() > _NEGLIGIBLE]
    if not near:
        return fit
    rest = pixels.copy()
    for k, other in enumerate(fits):
        if not other.success:
            _leave_out(rest, regions[k], regions[index])
    for peak, light in near:
        rest[box[0] : box[2], box[1] : box[3]] -= peak * light
    again = _fit(rest, fit.gaussian, settings)
    return again if again.success else fit


def _leave_out(pixels: NDArray[np.float64], other: Region, own: Region) -> None:
    """Make the pixels of another cloud NaN, but those of both."""
    y, x = other.offset
    height, width = other.mask.shape
    pixels[y : y + height, x : x + width][other.mask & ~_shared(other, own)] = np.nan


def _shift(before: GaussianFit, after: GaussianFit) -> float:
    """Return the largest change of centre and covariance matrix, in standard errors."""
    old, new, error = before.gaussian, after.gaussian, after.stderr
    widths = (old.wx + old.wy - new.wx - new.wy) / math.hypot(error.wx, error.wy)
    return max(abs(old.x0 - new.x0) / error.x0, abs(old.y0 - new.y0) / error.y0, abs(widths))
