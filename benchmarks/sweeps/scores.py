"""How good an estimate is: squared residuals and detection errors (Eqs. 2 and 3)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice import Reconstruction, Simulation

FloatArray = NDArray[np.float64]


def squared_residuals(found: Reconstruction, truth: Simulation) -> float:
    """Return the mean squared error of the brightness (Eq. 2 over N), in counts².

    Brightnesses from deconvolution get the best affine map first, as in App. C.
    """
    brightness = found.brightness
    if found.method == "deconvolution":
        brightness = best_affine(brightness, truth.brightness)
    return float(np.mean((brightness - truth.brightness) ** 2))


def best_affine(brightness: FloatArray, truth: FloatArray) -> FloatArray:
    """Return brightnesses after the affine map of the least squared error."""
    return np.asarray(np.polyval(np.polyfit(brightness, truth, 1), brightness))


def errors(found: Reconstruction, truth: Simulation) -> int:
    """Return the number of sites judged wrong (Eq. 3) as they are reported."""
    return int(np.count_nonzero(found.occupied != truth.occupied))


def least_errors(found: Reconstruction, truth: Simulation) -> int:
    """Return the number of errors of the threshold with the fewest, which needs the truth."""
    return fewest_errors(found.brightness, truth.occupied)


def fewest_errors(brightness: FloatArray, occupied: NDArray[np.bool_]) -> int:
    """Return the number of errors of the best threshold for some brightnesses."""
    ordered = occupied[np.argsort(brightness, kind="stable")]
    below = np.concatenate([[0], np.cumsum(ordered)])
    above = np.concatenate([[0], np.cumsum(~ordered)])
    return int((below + above[-1] - above).min())
