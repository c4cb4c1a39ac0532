"""A smooth surface through samples, integrated over whole pixels without error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

_PLACES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Surface:
    """A tensor-product spline of light per area; zero outside of its range."""

    coefficients: FloatArray
    knots_y: FloatArray
    knots_x: FloatArray
    degree: int = 3

    @classmethod
    def through(cls, samples: FloatArray, step: float, degree: int = 3) -> Surface:
        """Return the spline through samples on a grid around 0."""
        from scipy.interpolate import make_interp_spline

        grid = [step * (np.arange(n) - (n - 1) / 2) for n in samples.shape]
        down = make_interp_spline(grid[0], samples, k=degree)
        across = make_interp_spline(grid[1], down.c.T, k=degree)
        return cls(np.ascontiguousarray(across.c.T), down.t, across.t, degree)

    def in_pixels(self, offsets: ArrayLike, half: int) -> FloatArray:
        """Return the exact integral of the spline over each pixel, (k, P, P)."""
        y, x = pixel_edges(offsets, half)
        light = np.empty((len(y), 2 * half + 1, 2 * half + 1))
        for start in range(0, len(y), _PLACES_AT_ONCE):
            part = slice(start, start + _PLACES_AT_ONCE)
            down = np.diff(self._integrals(self.knots_y, y[part]), axis=1)
            across = np.diff(self._integrals(self.knots_x, x[part]), axis=1)
            light[part] = down @ self.coefficients @ across.transpose(0, 2, 1)
        return light

    def at_pixels(self, offsets: ArrayLike, half: int) -> FloatArray:
        """Return the spline at the centre of each pixel, (k, P, P)."""
        y, x = (edges[:, :-1] + 0.5 for edges in pixel_edges(offsets, half))
        at = np.broadcast_arrays(y[:, :, None], x[:, None, :])
        ends_y, ends_x = self._range(self.knots_y), self._range(self.knots_x)
        inside = (at[0] >= ends_y[0]) & (at[0] <= ends_y[1])
        inside &= (at[1] >= ends_x[0]) & (at[1] <= ends_x[1])
        light = np.zeros(inside.shape)
        light[inside] = self._values(at[0][inside], at[1][inside])
        return light

    def total(self) -> float:
        """Return the integral over all of the range."""
        everywhere = np.array([-np.inf, np.inf])
        down = np.diff(self._integrals(self.knots_y, everywhere), axis=0)[0]
        across = np.diff(self._integrals(self.knots_x, everywhere), axis=0)[0]
        return float(down @ self.coefficients @ across)

    def half_width(self, reach: float) -> float:
        """Return where the mean over all directions first falls to half of its central value."""
        radius = np.linspace(0, reach, 2001)
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        profile = self._values(
            np.outer(radius, np.sin(angle)), np.outer(radius, np.cos(angle))
        ).mean(axis=1)
        below = np.flatnonzero(profile < profile[0] / 2)
        if profile[0] <= 0 or not below.size:
            raise ValueError(
                "expected a PSF that is brightest in the middle of the array and falls to less "
                "than half of that within it"
            )
        i = int(below[0])
        part = (profile[i - 1] - profile[0] / 2) / (profile[i - 1] - profile[i])
        return float(radius[i - 1] + part * (radius[i] - radius[i - 1]))

    def _values(self, y: FloatArray, x: FloatArray) -> FloatArray:
        from scipy.interpolate import NdBSpline

        spline = NdBSpline((self.knots_y, self.knots_x), self.coefficients, self.degree)
        values: FloatArray = spline(np.stack([y, x], axis=-1))
        return values

    def _integrals(self, knots: FloatArray, at: FloatArray) -> FloatArray:
        """Return the integrals of all basis splines from far left up to `at`, (..., splines)."""
        from scipy.interpolate import BSpline

        count = len(knots) - self.degree - 1
        basis: Any = BSpline(knots, np.eye(count), self.degree).antiderivative()
        integrals: FloatArray = basis(np.clip(at, *self._range(knots)))
        return integrals

    def _range(self, knots: FloatArray) -> tuple[float, float]:
        """Return the first and the last sample's place."""
        return float(knots[self.degree]), float(knots[-self.degree - 1])


def pixel_edges(offsets: ArrayLike, half: int) -> tuple[FloatArray, FloatArray]:
    """Return the edges of the pixels from each site, along y and along x, each (k, P + 1)."""
    place = np.asarray(offsets, dtype=np.float64)
    if place.ndim != 2 or place.shape[1] != 2:
        raise ValueError(f"expected offsets of shape (k, 2), found {place.shape}")
    if half < 0:
        raise ValueError(f"expected half of at least 0, found {half}")
    edges = np.arange(-half, half + 2) - 0.5
    return edges - place[:, :1], edges - place[:, 1:]
