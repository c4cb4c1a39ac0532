"""What is wrong with a lattice's vectors and a PSF's width, found in many shots together.

To first order an image of sites displaced by ``s(r) = s₀ + A (r - c)``, through a PSF whose
variance is larger by 2 b, is ``L - s·∇L + b ∇²L``, where L is the light that the model puts on the
pixels (see `misfit`). Each shot has a displacement s₀ of its own, and a background and a brightness
that vary smoothly over the frame; the matrix A (stretch, shear, rotation) and b are common to all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.misfit import laplacian, slope
from napari_coldatoms.lattice.phase import Fit
from napari_coldatoms.lattice.shot import Shot

FloatArray = NDArray[np.float64]

_LARGEST_GROWTH = 0.3  # of the PSF's variance at once
_FARTHEST = 0.5  # half widths of the PSF that the lattice may move at the frame's edge


@dataclass(frozen=True, eq=False)
class Registration:
    """How lattice and PSF differ from the images.

    Attributes
    ----------
    strain : (2, 2) array
        A: a lattice vector v, as (y, x), becomes ``v + A v``.
    strain_error : (2, 2) array
        Standard errors.
    width : float
        Width of the PSF over that of the given one.
    width_error : float
        Standard error.
    """

    strain: FloatArray
    strain_error: FloatArray
    width: float
    width_error: float


def register(fits: Iterable[Fit], hwhm: float) -> Registration:
    """Find what lattice vectors and width of the PSF suit many shots best.

    Parameters
    ----------
    fits : iterable of Fit
        Shots with their occupation, see `phase.PhaseFinder.fit`. Taken one at a time.
    hwhm : float
        Half width at half maximum of the PSF, in px.

    Raises
    ------
    ValueError
        If there are no shots, or none with light.
    """
    normal, right = np.zeros((5, 5)), np.zeros(5)
    scores: list[FloatArray] = []
    extent = 1.0
    for fit in fits:
        shot = fit.shot
        extent = max(shot.image.shape) / 2
        weights = shot.good
        columns = _columns(shot, fit.probability, extent)
        if columns is None:
            continue
        own, common = columns
        # what the shot's own columns explain of the common ones does not count
        values = np.concatenate([common, shot.signal[None]])
        without = values - np.einsum("ij,jyx->iyx", _solve(own, weights, values), own)
        rest, left = without[:-1], without[-1]
        weighted = weights * rest
        normal += np.einsum("iyx,jyx->ij", weighted, common)
        score = np.einsum("iyx,yx->i", weighted, left)
        right += score
        scores.append(score)
    if not scores:
        raise ValueError("expected shots with light of the sites, found none")
    scale = np.sqrt(np.maximum(np.diagonal(normal), 1e-300))
    inverse = np.linalg.pinv(normal / np.outer(scale, scale)) / np.outer(scale, scale)
    found = inverse @ right
    # shots scatter by what is left of each one's score; a single one tells nothing of that
    spread = np.array(scores) - np.mean(scores, axis=0)
    factor = len(scores) / max(len(scores) - 1, 1)
    covariance = inverse @ (factor * spread.T @ spread) @ inverse
    errors = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    if len(scores) < 2:
        errors = np.full(5, np.inf)
    reach = _FARTHEST * hwhm / extent
    strain = np.clip(-found[:4].reshape(2, 2) / extent, -reach, reach)
    variance = hwhm**2 / (2 * math.log(2))
    growth = float(np.clip(2 * found[4] / variance, -_LARGEST_GROWTH, _LARGEST_GROWTH))
    width = math.sqrt(1 + growth)
    return Registration(
        strain,
        errors[:4].reshape(2, 2) / extent,
        width,
        float(errors[4]) / variance / width,
    )


def _columns(
    shot: Shot, probability: FloatArray, extent: float
) -> tuple[FloatArray, FloatArray] | None:
    """Return the columns of a shot's own unknowns, and of the common ones; None without light."""
    rows, columns = shot.image.shape
    middle = (np.array([rows, columns]) - 1) / 2
    y = ((np.arange(rows) - middle[0]) / extent)[:, None]
    x = ((np.arange(columns) - middle[1]) / extent)[None, :]
    # sites that are brighter in the middle of the frame would look like ones drawn together
    patches = shot.optics.patches
    places = (patches.corner + 0.5 * (np.array(patches.values.shape[1:]) - 1) - middle) / extent
    light = np.array(
        [shot.optics.image(probability * shape) for shape in _smooth(places[:, 0], places[:, 1])]
    )
    mine = np.concatenate([light, _smooth(y, x)])
    (found,) = _solve(mine, shot.good, shot.signal[None])
    bright = np.einsum("i,iyx->yx", found[: len(light)], light)
    if not float((bright * light[0]).sum()) > 0:
        return None
    down, across = slope(bright, -2), slope(bright, -1)
    common = np.array([y * down, x * down, y * across, x * across, laplacian(bright)])
    return np.concatenate([mine, [down, across]]), common


def _smooth(y: FloatArray, x: FloatArray) -> FloatArray:
    """Return what varies slowly: the polynomials of second degree."""
    return np.array(np.broadcast_arrays(1.0 + 0 * y, y, x, y * y, y * x, x * x))


def _solve(columns: FloatArray, weights: FloatArray, values: FloatArray) -> FloatArray:
    """Return how much of each column is in each of the values (k, y, x), (k, columns)."""
    weighted = weights * columns
    normal = np.einsum("iyx,jyx->ij", weighted, columns)
    right = np.einsum("kyx,iyx->ki", values, weighted)
    scale = np.sqrt(np.maximum(np.diagonal(normal), 1e-300))
    inverse = np.linalg.pinv(normal / np.outer(scale, scale))
    return np.asarray((right / scale) @ inverse.T / scale)
