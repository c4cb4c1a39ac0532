"""Masks from boxes that were drawn by hand, by the rule of Hofer et al. 2021 (arXiv:2011.10536).

A box is drawn around a cloud, twice as large unless it would then touch others, and a Gaussian is
fitted to the pixels in it. The box is drawn again at the 1/e² radii of the fit, and all is repeated
once. The mask is what lies inside the 1/e² contour of the last fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.fit import fit_pixels, region
from napari_coldatoms.clouds.fit_result import Box, GaussianFit
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.joint_fit import joint_fit
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.clouds.picture import pixels_of

__all__ = ["RuleResult", "expansions", "masks_by_rule"]

# how much larger a box is made, unless others are in the way
_EXPANSION = 2.0
# a cloud that leaves less than this part of its peak in a region does not matter there
_NEGLIGIBLE = 1e-3
# a fit of so many times the area that was drawn, or its inverse, is that of something else
_UNLIKE = 6.0


@dataclass(frozen=True)
class RuleResult:
    """What the rule makes of a box.

    Attributes
    ----------
    box : (float, float, float, float)
        Pixel edges ``y0, x0, y1, x1`` at the 1/e² radii of the fit; where it failed, those given.
    gaussian : Gaussian2D
        The fitted one; where the fit failed, the ellipse in the box, its peak NaN.
    fit : GaussianFit
        The last fit.
    mask : Patch
        Pixels of the frame inside the 1/e² ellipse of `gaussian`.
    ok : bool
        Whether a Gaussian was fitted to what is in the box.
    message : str
        What went wrong, or how the fit ended.
    """

    box: tuple[float, float, float, float]
    gaussian: Gaussian2D
    fit: GaussianFit
    mask: Patch
    ok: bool
    message: str


def masks_by_rule(picture: Any, boxes: Any, *, rounds: int = 2) -> list[RuleResult]:
    """Return masks, boxes and Gaussians of clouds around which boxes were drawn.

    Parameters
    ----------
    picture : (ny, nx) array or DataArray
        Not-finite pixels are left out.
    boxes : (n, 4) array
        Pixel edges ``y0, x0, y1, x1`` of each, half-open. They may overlap: clouds are fitted
        beside each other, each with the light of the others subtracted.
    rounds : int
        How often Gaussians are fitted; from the second time on to boxes drawn at 1/e².

    Returns
    -------
    list of RuleResult
        In the order of the boxes.

    Raises
    ------
    ValueError
        No picture, no boxes of that shape, one outside of the picture, or no round.
    """
    pixels = pixels_of(picture)
    given = _checked(boxes, pixels.shape)
    if rounds < 1:
        raise ValueError(f"expected at least one round, found {rounds}")
    drawn = [replace(Gaussian2D.in_box(box), peak=math.nan, background=math.nan) for box in given]
    shapes = list(drawn)
    fits: list[GaussianFit] = []
    for _ in range(rounds):
        factors = expansions([shape.ellipse_box() for shape in shapes])
        fits = _fitted(pixels, shapes, drawn, factors)
        shapes = [
            fit.gaussian if fit.success else shape for fit, shape in zip(fits, drawn, strict=True)
        ]
    frame = pixels.shape[0], pixels.shape[1]
    return [_result(*each, frame) for each in zip(given, drawn, fits, strict=True)]


def expansions(boxes: Sequence[Sequence[float]] | NDArray[np.float64]) -> list[float]:
    """Return how much larger each box may be made: twice, or less where two would then overlap.

    1 where they overlap already.
    """
    edges = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    middle, half = (edges[:, 2:] + edges[:, :2]) / 2, (edges[:, 2:] - edges[:, :2]) / 2
    factors = []
    for n in range(len(edges)):
        apart = np.abs(middle - middle[n]) / (half + half[n])
        apart[n] = math.inf
        # boxes are apart if they are along one of the axes
        factors.append(float(np.clip(apart.max(axis=1).min(), 1.0, _EXPANSION)))
    return factors


def _checked(boxes: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    found = np.asarray(boxes, dtype=np.float64)
    if found.size == 0:
        found = found.reshape(-1, 4)
    if found.ndim != 2 or found.shape[1] != 4 or not np.isfinite(found).all():
        raise ValueError(f"expected boxes (n, 4) of finite edges, found shape {found.shape}")
    if not (found[:, :2] < found[:, 2:]).all():
        raise ValueError("expected boxes y0, x0, y1, x1 with y0 < y1 and x0 < x1, found others")
    inside = (found[:, 2:] > 0).all(axis=1) & (found[:, :2] < shape).all(axis=1)
    if not inside.all():
        wrong = found[int(np.argmin(inside))].tolist()
        raise ValueError(f"expected boxes in a picture of {shape[0]} x {shape[1]}, found {wrong}")
    return found


def _fitted(
    pixels: NDArray[np.float64],
    shapes: Sequence[Gaussian2D],
    drawn: Sequence[Gaussian2D],
    factors: Sequence[float],
) -> list[GaussianFit]:
    """Return the fit of each cloud in its box, with the light of the others subtracted.

    What the others are, a fit of all clouds together tells whose boxes are in each other's way.
    """
    boxes = [
        region(each, pixels.shape, factor) for each, factor in zip(shapes, factors, strict=True)
    ]
    models = list(shapes)
    for group in _groups([region(each, pixels.shape, _EXPANSION) for each in shapes]):
        if len(group) > 1:
            found = joint_fit(pixels, [shapes[n] for n in group], [boxes[n] for n in group])
            for n, model in zip(group, found, strict=True):
                models[n] = model
    fits: list[GaussianFit] = []
    for n, (factor, own) in enumerate(zip(factors, drawn, strict=True)):
        rest = _alone(pixels, models, n, boxes[n])
        # somebody has seen a cloud there
        fit = fit_pixels(rest, models[n], roi_factor=factor, redraw=0, known=True)
        fits.append(_staying(fit, own))
    return fits


def _groups(boxes: Sequence[Box]) -> list[list[int]]:
    """Return the numbers of boxes that overlap, directly or by others."""
    groups: list[list[int]] = []
    for n, (y0, x0, y1, x1) in enumerate(boxes):
        touched = [
            group
            for group in groups
            if any(
                boxes[k][0] < y1 and y0 < boxes[k][2] and boxes[k][1] < x1 and x0 < boxes[k][3]
                for k in group
            )
        ]
        groups = [group for group in groups if group not in touched]
        groups.append([*(k for group in touched for k in group), n])
    return groups


def _alone(
    pixels: NDArray[np.float64], models: Sequence[Gaussian2D], own: int, box: Box
) -> NDArray[np.float64]:
    """Return the picture without the light of the other clouds in the box of one."""
    y0, x0, y1, x1 = box
    rows, columns = np.arange(y0, y1)[:, None], np.arange(x0, x1)[None, :]
    out = pixels
    for n, model in enumerate(models):
        if n == own or not model.peak > 0 or not rows.size or not columns.size:
            continue
        light = model.profile(rows, columns)
        if light.max() < _NEGLIGIBLE:
            continue
        if out is pixels:
            out = pixels.copy()
        out[y0:y1, x0:x1] -= model.peak * light
    return out


def _staying(fit: GaussianFit, drawn: Gaussian2D) -> GaussianFit:
    """Return the fit; as failed if it is that of something else than what was drawn around."""
    if not fit.success:
        return fit
    found = fit.gaussian
    near = abs(found.x0 - drawn.x0) <= drawn.wx and abs(found.y0 - drawn.y0) <= drawn.wy
    ratio = found.wx * found.wy / (drawn.wx * drawn.wy)
    if near and 1 / _UNLIKE <= ratio <= _UNLIKE:
        return fit
    message = "the fit left the box for another structure"
    return replace(fit, success=False, quality="failed", message=message)


def _result(
    box: NDArray[np.float64],
    drawn: Gaussian2D,
    fit: GaussianFit,
    frame: tuple[int, int],
) -> RuleResult:
    gaussian = fit.gaussian if fit.success else drawn
    y0, x0, y1, x1 = gaussian.ellipse_box() if fit.success else box.tolist()
    mask = Patch.of(gaussian.mask(frame))
    return RuleResult((y0, x0, y1, x1), gaussian, fit, mask, fit.success, fit.message)
