"""What is known of every site before its own light is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LEAST_SPREAD, MOST_SPREAD = 0.02, 0.5  # σ/µ, where it is taken from an image


def likely_occupancy(share: float, sites: int) -> float:
    """Return an occupancy that n sites, a share of them occupied, do not rule out.

    It is at least 1 / (n + 2) away from 0 and 1: with no prior knowledge, that is the expected
    occupancy after n empty sites (Laplace's rule of succession).
    """
    least = 1 / (sites + 2)
    return min(max(share, least), 1 - least)


@dataclass(frozen=True)
class SitePrior:
    """What is known of every site before the image: occupancy p, mean µ and variance σ²."""

    occupancy: float
    brightness: float
    variance: float

    def mean(self, probability: FloatArray) -> FloatArray:
        """Return the mean brightness of sites occupied with some probability (Eq. 38)."""
        return self.brightness * probability

    def spread(self, probability: FloatArray) -> FloatArray:
        """Return the variance of their brightness (Eq. 39)."""
        between = probability * (1 - probability) * self.brightness**2
        return between + probability * self.variance
