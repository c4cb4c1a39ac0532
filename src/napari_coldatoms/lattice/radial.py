"""Smooth functions of the radius times harmonics of the angle: how a PSF may differ."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

_REACH = 4.5  # half widths of the PSF
_RADII, _HARMONIC_RADII = 12, 8  # functions of the radius, without and with an angle
_HARMONICS = 3
# expected deviations: near the middle, over the value of the PSF, and anywhere, over its peak
_NEAR, _FAR = 0.1, 0.01
_SMOOTH = 0.6  # half widths over which they hang together; diffraction allows nothing finer
_ROUGH = 1e-3  # of their variance that need not


class RadialBasis:
    """Cubic B-splines of the radius times ``1, cos φ, sin φ, cos 2φ, ...``, smooth at 0.

    The splines are even in the radius. With the harmonic m goes the factor
    ``(r / sqrt(r² + w²))^m``, w the distance of the knots, without which it had no value at 0.

    Parameters
    ----------
    hwhm : float
        Half width at half maximum of the PSF, in px.

    Attributes
    ----------
    reach : float
        Radius beyond which all functions are 0, in px.
    ridge : (k, k) array
        Inverse of the covariance to be expected of the coefficients.
    """

    def __init__(self, hwhm: float) -> None:
        self.reach = _REACH * hwhm
        counts = [_RADII] + 2 * _HARMONICS * [_HARMONIC_RADII]
        self.ridge = np.zeros((sum(counts), sum(counts)))
        first = 0
        for count in counts:
            part = slice(first, first + count)
            self.ridge[part, part] = np.linalg.inv(_covariance(_REACH / (count + 1), count))
            first += count

    def __len__(self) -> int:
        """Return the number of functions."""
        return len(self.ridge)

    def at(self, y: FloatArray, x: FloatArray) -> FloatArray:
        """Return all functions at places, in px from the centre, (..., k)."""
        radius, angle = np.hypot(y, x), np.arctan2(y, x)
        parts = [_splines(radius, self.reach, _RADII)]
        splines = _splines(radius, self.reach, _HARMONIC_RADII)
        rise = radius / np.hypot(radius, self.reach / (_HARMONIC_RADII + 1))
        for m in range(1, _HARMONICS + 1):
            for turned in (np.cos(m * angle), np.sin(m * angle)):
                parts.append(splines * (rise**m * turned)[..., None])
        return np.concatenate(parts, axis=-1)

    def in_pixels(self, half: int, fineness: int) -> FloatArray:
        """Return all functions integrated over pixels, by the place of the pixels' centres.

        Parameters
        ----------
        half : int
            The places reach from -half to half px.
        fineness : int
            Number of places per px, and of points per pixel along each axis.

        Returns
        -------
        (P, P, k) array
            With ``P = 2 * half * fineness + 1``.
        """
        points = 2 * half * fineness + fineness
        grid = (np.arange(points) - (points - 1) / 2) / fineness
        values = self.at(grid[:, None], grid[None, :])
        for axis in (0, 1):
            sums = np.cumsum(np.moveaxis(values, axis, 0), axis=0)
            sums = np.concatenate([np.zeros_like(sums[:1]), sums])
            values = np.moveaxis(sums[fineness:] - sums[:-fineness], 0, axis) / fineness
        return values


def _covariance(step: float, count: int) -> FloatArray:
    """Return the covariance to be expected of the coefficients of even splines, a step apart."""
    centre = step * np.arange(count)
    size = _NEAR * np.exp2(-(centre**2)) + _FAR
    distance, mirrored = np.subtract.outer(centre, centre), np.add.outer(centre, centre)
    alike = np.exp(-0.5 * (distance / _SMOOTH) ** 2) + np.exp(-0.5 * (mirrored / _SMOOTH) ** 2)
    covariance: FloatArray = np.outer(size, size) * (alike + _ROUGH * np.eye(count))
    return covariance


def _splines(radius: FloatArray, reach: float, count: int) -> FloatArray:
    """Return even B-splines of the radius that end at a reach, (..., count)."""
    steps = radius[..., None] * ((count + 1) / reach)
    centres = np.arange(count)
    splines = _bump(steps - centres)
    splines[..., 1:] += _bump(steps + centres[1:])
    return splines


def _bump(at: FloatArray) -> FloatArray:
    """Return the cubic B-spline on the integers, with its maximum 2/3 at 0."""
    far = np.maximum(2 - np.abs(at), 0.0)
    near = np.maximum(1 - np.abs(at), 0.0)
    return cast(FloatArray, (far**3 - 4 * near**3) / 6)
