"""Sites at arbitrary positions, such as optical tweezers: found in the mean image, then refined."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, grey_opening, map_coordinates, maximum_filter

from napari_coldatoms.lattice.misfit import fit_shifted_light, slope
from napari_coldatoms.lattice.phase import Fit
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.spectrum import transfer_function

FloatArray = NDArray[np.float64]

_SIGNIFICANT = 7.0  # standard deviations above the darkest places around
_DIMMEST = 0.15  # of the height of the brighter peaks
_BRIGHT = 0.75  # quantile of the peaks
_CLOSEST = 1.5  # half widths of the PSF between peaks that are told apart
_WIDE = 4.0  # half widths of the PSF within which it is dark somewhere
_AROUND = 2.5  # half widths of the PSF
_PLANES = 4  # rounds
_DARK = 0.1  # quantile of the pixels
_DARKNESS = 0.4  # light around a single site over its own
_MOSTLY = 0.7  # of the sites
_FARTHEST = 0.5  # half widths of the PSF that a position may move at once


def find_positions(mean: FloatArray, psf: PSF, noise: float) -> FloatArray:
    """Return the positions of single sites in a mean image.

    Parameters
    ----------
    mean : (y, x) array
        Mean over shots, finite.
    psf : PSF
        Point spread function.
    noise : float
        Variance of the noise of a pixel of the mean, in counts².

    Returns
    -------
    (n, 2) array
        (y, x) in px, row by row; empty where nothing stands out.
    """
    # what is around a single peak: the darkest places near it
    flat = _without_slope(mean)
    smooth = gaussian_filter(flat, psf.hwhm / math.sqrt(2 * math.log(2)))
    reach = 2 * round(_WIDE * psf.hwhm) + 1
    level = gaussian_filter(grey_opening(smooth, reach, mode="nearest"), psf.hwhm, mode="nearest")
    # beyond the frame there is nothing: pixels repeated there would repeat their noise
    margin = math.ceil(psf.cutoff) + 1
    above = np.pad(flat - level, margin)
    kernel = transfer_function(psf, above.shape)
    matched = fft.irfft2(fft.rfft2(above) * kernel, above.shape)
    height = matched[margin:-margin, margin:-margin]
    size = 2 * max(round(_CLOSEST * psf.hwhm), 1) + 1
    least = _SIGNIFICANT * math.sqrt(noise * float((kernel**2).mean()))
    tops = (height == maximum_filter(height, size)) & (height > least)
    rows, columns = np.nonzero(tops)
    if not len(rows):
        return np.zeros((0, 2))
    bright = float(np.quantile(height[rows, columns], _BRIGHT))
    kept = height[rows, columns] > _DIMMEST * bright
    rows, columns = rows[kept], columns[kept]
    places = np.column_stack(
        [
            rows + _between(height, rows, columns, 0),
            columns + _between(height, rows, columns, 1),
        ]
    )
    return places[in_rows(places, 2 * psf.hwhm)]


def are_single(mean: FloatArray, places: FloatArray, psf: PSF) -> bool:
    """Return whether peaks of a mean image stand alone, with darkness around most of them.

    Parameters
    ----------
    mean : (y, x) array
        Mean over shots, finite.
    places : (n, 2) array
        Of the peaks, see `find_positions`.
    psf : PSF
        Point spread function.
    """
    if not len(places):
        return False
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = _AROUND * psf.hwhm * np.column_stack([np.sin(angle), np.cos(angle)])
    flat = _without_slope(mean)
    above = flat - np.quantile(flat, _DARK)
    at = map_coordinates(above, places.T, order=1, mode="nearest")
    around = map_coordinates(
        above, np.moveaxis(places[:, None] + ring, -1, 0), order=1, mode="nearest"
    ).mean(axis=1)
    return bool((around < _DARKNESS * at).mean() > _MOSTLY)


def in_rows(places: FloatArray, apart: float) -> NDArray[np.intp]:
    """Return the order of places row by row; gaps of `apart` px along y divide rows."""
    order = np.argsort(places[:, 0], kind="stable")
    row = np.cumsum(np.diff(places[order, 0], prepend=places[order[:1], 0]) > apart)
    return order[np.lexsort((places[order, 1], row))]


def refine_positions(fits: Iterable[Fit], positions: FloatArray, psf: PSF) -> FloatArray:
    """Return by how much each position is off, (n, 2) in px.

    Least squares for each site, given the occupation of all: over all shots that see it occupied.

    Parameters
    ----------
    fits : iterable of Fit
        Shots with their occupation, see `phase.PhaseFinder.fit`. What the shots have in common,
        their offsets, is not part of the result.
    positions : (n, 2) array
        (y, x) in px.
    psf : PSF
        Point spread function.
    """
    moved, weight = np.zeros((len(positions), 2)), np.zeros(len(positions))
    for fit in fits:
        shot = fit.shot
        light = shot.optics.image(fit.probability)
        brightness, rest = fit_shifted_light(shot.signal, shot.good, light)
        if not brightness > 0:
            continue
        seen = np.where(shot.valid, fit.probability, 0.0)
        for axis in (0, 1):
            moved[:, axis] += brightness * seen * shot.optics.collect(slope(rest, axis - 2))
        weight += (brightness * seen) ** 2
    # Σ (∂h)² along either direction, of a PSF in the middle of a pixel
    half = math.ceil(psf.cutoff) + 1
    patch = psf.integrate(np.zeros((1, 2)), half)[0]
    steep = 0.5 * float((slope(patch, -1) ** 2 + slope(patch, -2) ** 2).sum())
    shift = moved / np.maximum(weight * steep, 1e-300)[:, None]
    shift[weight <= 0] = 0.0
    reach = _FARTHEST * psf.hwhm
    return np.clip(shift, -reach, reach)


def _without_slope(image: FloatArray) -> FloatArray:
    """Return an image above the plane through its darker pixels."""
    y, x = (np.linspace(-1, 1, n) for n in image.shape)
    plane = np.zeros(3)
    terms = np.stack([np.ones(image.size), np.repeat(y, len(x)), np.tile(x, len(y))], axis=-1)
    for _ in range(_PLANES):
        rest = image.ravel() - terms @ plane
        dark = rest <= np.median(rest)
        plane = plane + np.linalg.lstsq(terms[dark], rest[dark], rcond=None)[0]
    return np.asarray((image.ravel() - terms @ plane).reshape(image.shape))


def _between(height: FloatArray, rows: FloatArray, columns: FloatArray, axis: int) -> FloatArray:
    """Return where parabolas through three pixels have their maxima, from the middle one."""
    values = np.pad(np.moveaxis(height, axis, 0), ((1, 1), (0, 0)), mode="edge")
    along, across = (rows, columns) if axis == 0 else (columns, rows)
    low, top, high = (values[along + k, across] for k in (0, 1, 2))
    bend = low - 2 * top + high
    shift = np.divide(0.5 * (low - high), bend, out=np.zeros(len(top)), where=bend < 0)
    return np.clip(shift, -0.5, 0.5)
