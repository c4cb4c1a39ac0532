"""Gaussian parameters from the moments of a mask or of a picture, without a fit."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.noise import histogram_peak
from napari_coldatoms.clouds.picture import pixels_of

# part of a Gaussian's volume inside its 1/e² ellipse
_INSIDE = 1 - np.exp(-2.0)
# part of the sum of a soft mask that is in pixels of at least 0.5
_MASKED = 2 / 3


def moments(
    mask_or_picture: Any,
    *,
    picture: Any = None,
    background: float | Literal["histogram"] | None = "histogram",
    kind: Literal["auto", "mask", "picture"] = "auto",
) -> Gaussian2D:
    """Return the Gaussian that has the moments of a mask, or of a picture.

    **Mask** (the recipe of Hofer et al. 2021, arXiv:2011.10536, section 5): values below 0.5 are
    set to 0, the others stay as weights. The centre is the first moment, the 1/e² radii are
    ``2 sqrt(eigenvalue)`` of the second central moments, which is exact for a uniformly filled
    ellipse. Nothing is added for the extent of the pixels: averaged over where the centre falls
    within a pixel, the moments of the pixel centres inside an ellipse are those of the ellipse.
    Peak and background need a picture (`amplitude`); without one they are NaN.

    **Picture** (the conventional method): the moments of the pixels above the background. They
    need a region with one cloud; cutting off the wings makes the radii too small.

    Parameters
    ----------
    mask_or_picture : (ny, nx) array or DataArray
        A mask (boolean, or soft with values 0..1) or a picture. NaN pixels are left out.
    picture : (ny, nx) array or DataArray, optional
        With a mask: where peak and background come from.
    background : float, "histogram" or None
        Level subtracted from a picture; by default the peak of the histogram, None for 0. With a
        mask and a picture: the level outside the mask.
    kind : "auto", "mask" or "picture"
        What the first argument is. "auto" takes booleans for a mask, and values that all lie
        within 0..1 if most of their sum is in pixels of at least 0.5: a mask is steep, a Gaussian
        of any height has half of its sum or less there.

    Returns
    -------
    Gaussian2D
        With ``wx >= wy``.

    Raises
    ------
    ValueError
        If the array is not two-dimensional, or the mask is empty, or the picture has nothing
        above its background.
    """
    values = pixels_of(mask_or_picture)
    if kind == "auto":
        kind = "mask" if _looks_like_mask(values) else "picture"
    if kind == "picture":
        level = histogram_peak(values) if background == "histogram" else float(background or 0)
        weights = np.where(np.isfinite(values), values - level, 0.0)
        shape = _weighted(weights, "a picture with a cloud above its background")
        peak = weights.sum() * 2 / (np.pi * shape.wx * shape.wy)
        return Gaussian2D(shape.x0, shape.y0, shape.wx, shape.wy, shape.theta, float(peak), level)
    weights = np.where(values >= 0.5, values, 0.0)  # NaN fails the comparison
    shape = _weighted(weights, "a mask with pixels of at least 0.5")
    if picture is None:
        return Gaussian2D(
            shape.x0, shape.y0, shape.wx, shape.wy, shape.theta, float("nan"), float("nan")
        )
    image = pixels_of(picture)
    if image.shape != values.shape:
        raise ValueError(
            f"expected a picture of the mask's shape {values.shape}, found {image.shape}"
        )
    if background == "histogram":
        outside = image[weights == 0]
        level = histogram_peak(outside if np.isfinite(outside).any() else image)
    else:
        level = float(background or 0)
    return amplitude(shape, image, level)


def amplitude(shape: Gaussian2D, picture: NDArray[np.float64], background: float) -> Gaussian2D:
    """Return ``shape`` with the peak from the power inside its ellipse, Eq. 3 of Hofer et al. 2021.

    Eq. 3, ``I_0 = 2 / (1 - exp(-2)) * (P / (pi wx wy) - I_b)``, with the sum ``P`` over the pixels
    of the hard 1/e² ellipse, takes the ellipse's area and the integral of the profile over it for
    their sums over those pixels. Here the sums themselves are taken: the same for a cloud of many
    pixels, and right also for small ones, at the border, and with NaN pixels.

    Parameters
    ----------
    shape : Gaussian2D
        Centre, radii and angle.
    picture : (ny, nx) array
        NaN pixels are left out.
    background : float
        ``I_b``.

    Returns
    -------
    Gaussian2D
        Peak NaN if no valid pixel is inside the ellipse.
    """
    rows, columns = shape.window((picture.shape[0], picture.shape[1]))
    crop = picture[rows, columns]
    profile = shape.profile(
        np.arange(rows.start, rows.stop)[:, None], np.arange(columns.start, columns.stop)[None, :]
    )
    use = (profile >= np.exp(-2.0)) & np.isfinite(crop)
    expected = profile[use].sum()
    peak = float((crop[use] - background).sum() / expected) if expected > 0 else float("nan")
    return Gaussian2D(shape.x0, shape.y0, shape.wx, shape.wy, shape.theta, peak, float(background))


def _weighted(weights: NDArray[np.float64], expected: str) -> Gaussian2D:
    total = weights.sum()
    if not total > 0:
        raise ValueError(f"expected {expected}, found nothing to weigh")
    y = np.arange(weights.shape[0], dtype=float)
    x = np.arange(weights.shape[1], dtype=float)
    along_y, along_x = weights.sum(1), weights.sum(0)
    x0, y0 = float(along_x @ x / total), float(along_y @ y / total)
    dx, dy = x - x0, y - y0
    cxx = float(along_x @ dx**2 / total)
    cyy = float(along_y @ dy**2 / total)
    cxy = float(dy @ weights @ dx / total)
    if cxx * cyy - cxy * cxy < 0 or cxx < 0:
        raise ValueError(
            f"expected {expected}, found moments of no ellipse; noise far from the cloud counts "
            "most: crop the picture to the cloud"
        )
    return Gaussian2D.from_covariance(x0, y0, cxx, cxy, cyy)


def _looks_like_mask(values: NDArray[np.float64]) -> bool:
    finite = values[np.isfinite(values)]
    if finite.size == 0 or finite.min() < 0 or finite.max() > 1:
        return False
    return bool(finite[finite >= 0.5].sum() >= _MASKED * finite.sum())
