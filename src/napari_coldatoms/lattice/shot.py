"""One image on its way through the estimators: light above the background, and how noisy it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.lattice.optics import Optics
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.sums import dot

FloatArray = NDArray[np.float64]

_LEAST_VARIANCE = 0.02  # of the mean variance: dark pixels are not infinitely certain


@dataclass(frozen=True, eq=False)
class Shot:
    """An image, its background and its camera.

    Attributes
    ----------
    optics : Optics
        The n sites in this frame.
    image : (y, x) array
        Counts; finite also at bad pixels.
    good : (y, x) array
        1 where the pixel counts, 0 where it is bad.
    background : (y, x) array
        In counts.
    read_noise : float
        Standard deviation, in counts.
    excess_noise : float
        Factor on the variance of the shot noise.
    valid : (n,) bool array
        The sites that the frame shows.
    """

    optics: Optics
    image: FloatArray
    good: FloatArray
    background: FloatArray
    read_noise: float
    excess_noise: float
    valid: NDArray[np.bool_]

    @cached_property
    def signal(self) -> FloatArray:
        """Image minus background, in counts."""
        return self.image - self.background

    def with_background(self, background: FloatArray) -> Shot:
        """Return the same shot above another background."""
        return replace(self, background=background)

    def weights(self, brightness: FloatArray) -> FloatArray:
        """Return the inverse variance of each pixel's noise, given mean brightnesses (Eq. 37).

        With excess noise F it is ``1 / (F (M x̄ + k) + σr²)``; 0 at bad pixels.
        """
        weights = self.optics.image(brightness)
        _invert_noise(weights, self.background, self.good, self.excess_noise, self.read_noise**2)
        return weights

    def noise_variance(self) -> float:
        """Return the mean variance of a pixel's noise, taken from the image itself."""
        count = max(float(self.good.sum()), 1.0)
        mean = float((self.good * self.image).sum()) / count
        return max(self.excess_noise * mean, 0.0) + self.read_noise**2

    def expected_noise(self, parameters: ImagingParameters) -> float:
        """Return the mean variance of a pixel's noise for known parameters (Eq. 16)."""
        light = parameters.occupancy * parameters.brightness * len(self.optics) / self.good.size
        shot = self.excess_noise * max(light + float(self.background.mean()), 0.0)
        return shot + self.read_noise**2

    def mean_brightness(self) -> float:
        """Return the mean light of a site: the even brightness that fits the good pixels best.

        Eq. 33 has all light over all sites; a background a little too low adds all its pixels to
        that, also those between sites far apart, where there is no light.

        Raises
        ------
        ValueError
            If no light of the sites falls on good pixels.
        """
        light = self.good * self.optics.even_light
        power = dot(light, light)
        if not power > 0:
            raise ValueError("expected sites with light on good pixels, found none")
        return dot(light, self.signal) / power


@njit(cache=True, nogil=True)
def _invert_noise(
    light: Any, background: Any, good: Any, excess_noise: float, read_variance: float
) -> None:
    """Replace the light of the sites by the inverse variance of each pixel, in place."""
    rows, columns = light.shape
    total = 0.0
    for v in range(rows):
        for u in range(columns):
            level = light[v, u] + background[v, u]
            light[v, u] = excess_noise * max(level, 0.0) + read_variance
            total += light[v, u]
    least = _LEAST_VARIANCE * max(total / (rows * columns), 1e-12)
    for v in range(rows):
        for u in range(columns):
            light[v, u] = good[v, u] / max(light[v, u], least)
