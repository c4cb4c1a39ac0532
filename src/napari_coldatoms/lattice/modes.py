"""Empty and occupied sites as two modes of the brightness, where an image shows two.

Brightnesses that are all equal, or too few, have no two modes: neither is an error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.statistics.bimodality import Bimodality, bimodality
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]

FEWEST_SITES = 4  # for a mixture of two modes
_ROUNDING = 1e-11  # part of brightnesses by which they differ for rounding alone


def differ(values: FloatArray) -> bool:
    """Return whether there are enough brightnesses that differ for two modes to be fitted."""
    if len(values) < FEWEST_SITES:
        return False
    return float(np.ptp(values)) > _ROUNDING * float(np.abs(values).max())


def modes_of(values: FloatArray) -> tuple[Mixture, Bimodality]:
    """Return the two modes of brightnesses, and whether there are two at all.

    Both are one and the same where the brightnesses do not differ.
    """
    if not differ(values):
        level = float(values.mean()) if len(values) else 0.0
        one = Mixture(np.full(2, 0.5), np.full(2, level), np.ones(2))
        return one, Bimodality(evidence=0.0, separation=0.0, minor_weight=0.5)
    mixture = fit_mixture(values)
    return mixture, bimodality(values, mixture)
