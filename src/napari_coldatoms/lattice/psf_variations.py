"""A point spread function and the ways in which it may differ, as light on the pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.lattice.misfit import laplacian, slope
from napari_coldatoms.lattice.psf import PSF
from napari_coldatoms.lattice.radial import RadialBasis

FloatArray = NDArray[np.float64]
Window = tuple[slice, slice]

_PHASES = 18.0  # places within a half width of the PSF that are told apart
_SMALL = 0.02  # half widths of the PSF, over which slopes are taken
_NO_CHANGE = 1e-3  # of the brightness, and of the place in half widths
_OVERSAMPLING, _PER_WIDTH = 4, 6  # samples per px, at least, and per half width
_FINER = 3  # samples of the given PSF, so that they are points


class PSFVariations:
    """A given PSF and the functions that it may differ by, sampled and on pixels.

    Parameters
    ----------
    psf : PSF
        The given one.

    Attributes
    ----------
    basis : RadialBasis
        The k functions, in units of the given PSF's peak.
    reach : float
        Radius out to which they are sampled, in px.
    half : int
        Pixels that they reach from a site's own.
    oversampling : int
        Samples per px.
    start : (P, P) array
        The given PSF, light per px² at points.
    inside : (P, P) bool array
        Points within the reach.
    peak : float
        The value of `start` in the middle.
    """

    def __init__(self, psf: PSF) -> None:
        self.psf = psf
        self.basis = RadialBasis(psf.hwhm)
        self.reach = max(self.basis.reach, psf.cutoff)
        self.half = math.ceil(self.reach + 0.5)
        self._places = max(2 * round(_PHASES / psf.hwhm / 2), 2)
        self.oversampling = max(_OVERSAMPLING, math.ceil(_PER_WIDTH / psf.hwhm))
        self.start = self._sampled()
        middle = len(self.start) // 2
        self.peak = float(self.start[middle, middle])
        grid = np.arange(-middle, middle + 1) / self.oversampling
        self._grid = grid[:, None], grid[None, :]
        self.inside = np.hypot(*self._grid) <= self.reach
        self._table = self._on_pixels()

    def _on_pixels(self) -> FloatArray:
        """Return the light in the pixels around a site, by the place of the site in its pixel.

        (place y, place x, pixel y, pixel x, function); first are the given PSF and its slopes.
        """
        psf, n = self.psf, self._places
        places = (np.arange(n) - n // 2) / n
        offsets = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
        size = 2 * self.half + 1
        table = np.empty((n, n, size, size, 3 + len(self.basis)))
        table[..., 0] = psf.integrate(offsets, self.half).reshape(n, n, size, size)
        for axis in (0, 1):
            change = _slopes(psf, offsets, self.half, axis)
            table[..., 1 + axis] = change.reshape(n, n, size, size)
        fine = self.peak * self.basis.in_pixels(self.half + 1, n)
        for a in range(n):
            for b in range(n):
                # a site further down is seen by pixels that are further up from it
                down = slice(n // 2 + n - a, None, n)
                across = slice(n // 2 + n - b, None, n)
                table[a, b, ..., 3:] = fine[down, across][:size, :size]
        return table

    def _sampled(self) -> FloatArray:
        """Return the given PSF, light per px² at points."""
        half = math.ceil(self.reach * self.oversampling) + 1
        factor = self.oversampling * _FINER
        wide = self.psf.scaled(factor).integrate(np.zeros((1, 2)), half * _FINER)[0]
        if getattr(self.psf, "pixel_integrated", False):
            # it is blurred by a pixel of the camera; to first order that is a further variance
            wide = wide - laplacian(wide) * factor**2 / 24
        start: FloatArray = wide[::_FINER, ::_FINER] * factor**2
        return start

    def ridge(self) -> FloatArray:
        """Return the inverse covariance of the coefficients to be expected, (k, k).

        Next to nothing of the functions may be a change of brightness or place, for each window has
        its own.
        """
        shape = self.samples()
        ridge = self.basis.ridge.copy()
        slopes = [slope(self.start, axis) * self.oversampling * self.psf.hwhm for axis in (0, 1)]
        for own in (self.start, *slopes):
            part = np.einsum("yx,yxi->i", own, shape) / float((own**2).sum()) / _NO_CHANGE
            ridge += np.outer(part, part)
        return ridge

    def samples(self) -> FloatArray:
        """Return the functions, light per px² at the points of the given PSF, (P, P, k)."""
        return self.peak * self.basis.at(*self._grid)

    def columns(self, positions: FloatArray, brightness: FloatArray, window: Window) -> FloatArray:
        """Return the light of the sites on a window of the image, through each function.

        Parameters
        ----------
        positions : (n, 2) array
            (y, x) in px.
        brightness : (n,) array
            Not negative.
        window : (slice, slice)
            Rows and columns of the image.

        Returns
        -------
        (y, x, 3 + k) array
            Through the given PSF, its derivatives with the place along y and x, the k functions.
        """
        n, size = self._places, self._table.shape[2]
        fine = np.rint(positions * n).astype(np.int64)
        centre = (fine + n // 2) // n
        corner = centre - self.half - [window[0].start, window[1].start]
        rows, columns = (part.stop - part.start for part in window)
        near = brightness > 0
        near &= ((corner > -size) & (corner < [rows, columns])).all(axis=1)
        kind = fine - centre * n + n // 2
        light = np.zeros((rows, columns, self._table.shape[-1]))
        _spread(self._table, kind[near], corner[near], brightness[near], light)
        return light


def _slopes(psf: PSF, offsets: FloatArray, half: int, axis: int) -> FloatArray:
    """Return how the light in each pixel changes with the place of the site, along an axis."""
    step = _SMALL * psf.hwhm * np.eye(2)[axis]
    # the places of sites within their pixel end at half a pixel
    up, down = np.minimum(offsets + step, 0.5), np.maximum(offsets - step, -0.5)
    change = psf.integrate(up, half) - psf.integrate(down, half)
    slopes: FloatArray = change / (up - down)[:, axis, None, None]
    return slopes


@njit(cache=True, nogil=True, fastmath=True)
def _spread(table: Any, kind: Any, corner: Any, brightness: Any, light: Any) -> None:
    """Add the light of all sites, seen through each function, to a window."""
    size, count = table.shape[2], table.shape[4]
    rows, columns, _ = light.shape
    for site in range(kind.shape[0]):
        x = brightness[site]
        patch = table[kind[site, 0], kind[site, 1]]
        top, left = corner[site, 0], corner[site, 1]
        for v in range(max(0, -top), min(size, rows - top)):
            for u in range(max(0, -left), min(size, columns - left)):
                pixel, part = light[top + v, left + u], patch[v, u]
                for k in range(count):
                    pixel[k] += x * part[k]
