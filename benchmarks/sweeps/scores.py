"""How good an estimate is: squared residuals and detection errors (Eqs. 2 and 3)."""

from __future__ import annotations

import numpy as np

from napari_coldatoms.lattice import Reconstruction, Simulation


def squared_residuals(found: Reconstruction, truth: Simulation) -> float:
    """Return the mean squared error of the brightness (Eq. 2 over N), in counts².

    Brightnesses from deconvolution get the best affine map first, as in App. C.
    """
    brightness = found.brightness
    if found.method == "deconvolution":
        brightness = np.polyval(np.polyfit(brightness, truth.brightness, 1), brightness)
    return float(np.mean((brightness - truth.brightness) ** 2))


def errors(found: Reconstruction, truth: Simulation) -> int:
    """Return the number of sites judged wrong (Eq. 3) as they are reported."""
    return int(np.count_nonzero(found.occupied != truth.occupied))


def least_errors(found: Reconstruction, truth: Simulation) -> int:
    """Return the number of errors of the threshold with the fewest, which needs the truth."""
    order = np.argsort(found.brightness, kind="stable")
    occupied = truth.occupied[order]
    below = np.concatenate([[0], np.cumsum(occupied)])
    above = np.concatenate([[0], np.cumsum(~occupied)])
    return int((below + above[-1] - above).min())
