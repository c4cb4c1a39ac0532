"""The phase of a lattice to a fraction of a site, from the squares of a filtered image.

See `phase` for what they show, and `spectrum` for the filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_coldatoms.lattice.setup import Setup

FloatArray = NDArray[np.float64]
Pair = tuple[float, float]

_AROUND = np.array([-7, -5, -3, 0, 3, 5, 7])  # widths of a peak, where the noise is taken from
_GRID = 0.25  # px, of trial offsets of arbitrary positions
_FARTHEST = 8.0  # px


@dataclass(frozen=True)
class Coarse:
    """An offset (y, x) in px, its standard error, and the pattern's height over its noise."""

    offset: Pair
    stderr: Pair
    significance: float


def coarse_finder(setup: Setup) -> Periodic | Comb:
    """Return what finds the phase of the sites of a setup."""
    return Periodic(setup) if setup.lattice.is_regular else Comb(setup)


class Periodic:
    """Finds the phase of a regular lattice from two Fourier components.

    Attributes
    ----------
    vectors : (2, 2) array
        Lattice vectors, the shortest ones.
    """

    def __init__(self, setup: Setup) -> None:
        assert setup.lattice.vectors is not None
        self.vectors = reduced(setup.lattice.vectors)
        window = _window(setup)
        self._window = window
        origin = setup.lattice.origin
        assert origin is not None
        self._origin = np.array(origin)
        rows, columns = setup.image_shape
        used = window > 0.5 * window.max()
        # frequencies that differ by more than the width of a peak
        apart = [_AROUND / max(int(used.any(axis=1 - axis).sum()), 8) for axis in (0, 1)]
        self._waves = [
            (_waves(vector[0] + apart[0], rows), _waves(vector[1] + apart[1], columns).T)
            for vector in np.linalg.inv(self.vectors).T
        ]

    def __call__(self, squares: FloatArray, near: Pair) -> Coarse:
        """Return the offset near one that is expected."""
        pattern = self._window * (squares - np.average(squares, weights=self._window))
        parts, heights = np.empty(2), np.empty(2)
        for axis, (down, across) in enumerate(self._waves):
            # the Fourier components at and around a frequency
            found = down @ pattern @ across
            middle = len(_AROUND) // 2
            component = complex(found[middle, middle])
            around = np.delete(np.delete(found, middle, axis=0), middle, axis=1)
            noise = math.sqrt(0.5 * float((np.abs(around) ** 2).mean()))
            heights[axis] = abs(component) / max(noise, 1e-300)
            parts[axis] = -np.angle(component) / (2 * np.pi)
        place = parts @ self.vectors - self._origin
        offset = nearest_equivalent(place, self.vectors, near)
        errors = 1 / (2 * np.pi * np.maximum(heights, 0.3))
        stderr = np.sqrt(errors**2 @ self.vectors**2)
        return Coarse(as_pair(offset), as_pair(stderr), float(heights.min()))


def _waves(frequencies: FloatArray, count: int) -> NDArray[np.complex128]:
    """Return the waves of some frequencies at a number of pixels, (frequencies, pixels)."""
    return np.asarray(np.exp(-2j * np.pi * np.outer(frequencies, np.arange(count))))


class Comb:
    """Finds the offset of arbitrary positions, where the squares there are largest.

    Attributes
    ----------
    vectors : (2, 2) array
        Steps that lead away from it.
    """

    def __init__(self, setup: Setup) -> None:
        self._positions = setup.lattice.positions[setup.inside]
        area = setup.lattice.site_area
        reach = min(0.5 * math.sqrt(area), _FARTHEST) if math.isfinite(area) else _FARTHEST
        self.vectors = 2 * reach * np.eye(2)
        count = max(math.ceil(reach / _GRID), 2)
        self._steps = _GRID * np.arange(-count, count + 1)

    def __call__(self, squares: FloatArray, near: Pair) -> Coarse:
        """Return the offset near one that is expected."""
        grid = np.stack(np.meshgrid(self._steps, self._steps, indexing="ij"), axis=-1)
        places = self._positions[:, None, None] + grid + np.asarray(near)
        smooth = gaussian_filter(squares, 0.5)
        found = map_coordinates(smooth, np.moveaxis(places, -1, 0), order=1, mode="nearest")
        score = found.mean(axis=0)
        row, column = divmod(int(np.argmax(score)), score.shape[1])
        quiet = smooth[smooth <= np.quantile(smooth, 0.9)]
        noise = float(smooth.std()) / math.sqrt(len(self._positions))
        height = (float(score[row, column]) - float(quiet.mean())) / max(noise, 1e-300)
        offset = np.array([_peak(score[:, column], row), _peak(score[row], column)])
        offset = self._steps[0] + _GRID * offset + np.asarray(near)
        error = _GRID + 1 / max(height, 0.3)
        return Coarse(as_pair(offset), (error, error), height)


def _peak(values: FloatArray, top: int) -> float:
    """Return the place of a maximum between samples."""
    if not 0 < top < len(values) - 1:
        return float(top)
    low, high = values[top - 1], values[top + 1]
    bend = low - 2 * values[top] + high
    return float(top + (0.5 * (low - high) / bend if bend < 0 else 0.0))


def _window(setup: Setup) -> FloatArray:
    """Return where in the frame the sites are, without their own pattern."""
    light = setup.optics.even_light
    spacing = math.sqrt(min(setup.lattice.site_area, float(light.size)))
    smooth = gaussian_filter(light, spacing, mode="constant")
    return np.asarray(np.minimum(smooth / max(float(smooth.max()), 1e-300), 1.0))


def reduced(vectors: FloatArray) -> FloatArray:
    """Return the shortest two vectors of the same lattice (Gauss reduction), (2, 2)."""
    a, b = np.array(vectors, dtype=np.float64)
    while True:
        if a @ a > b @ b:
            a, b = b, a
        steps = round(float(a @ b) / float(a @ a))
        if steps == 0:
            return np.array([a, b])
        b = b - steps * a


def nearest_equivalent(place: FloatArray, vectors: FloatArray, near: ArrayLike) -> FloatArray:
    """Return a place plus those lattice steps that bring it nearest to another, (2,).

    Parameters
    ----------
    place, near : (2,) arrays
        (y, x) in px.
    vectors : (2, 2) array
        Reduced lattice vectors.
    """
    rest = np.asarray(place) - np.asarray(near)
    rest = rest - np.rint(rest @ np.linalg.inv(vectors)) @ vectors
    steps = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)]) @ vectors
    return np.asarray(near + min(rest + steps, key=lambda each: float(each @ each)))


def as_pair(values: ArrayLike) -> Pair:
    """Return two numbers (y, x)."""
    y, x = np.asarray(values, dtype=np.float64)
    return float(y), float(x)
