"""χ² of a mixture whose components come from a fit of controls, which is uncertain itself.

With a model from N_c control shots, N_e shots of a sample do not follow the fitted distributions,
but those of slightly different rates and losses. Without the covariance of what was fitted, χ²
calls one right fit out of 14 doubtful (p < 0.001) at N_c = N_e = 600, and one out of 3 at
N_c = 600, N_e = 3000.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.goodness import (
    LEAST_EXPECTED,
    Goodness,
    first_bins,
    free,
    goodness,
    p_value,
    pair,
)
from napari_coldatoms.photons.information import Parameters

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]

_STEP = 1e-3  # of a difference, relative to the standard deviation of the brightness


def component_errors(controls: ControlFit, max_count: int) -> FloatArray:
    """Return how the distributions of a fit of controls may be wrong, as independent modes.

    What is at its bound is taken as exact.

    Returns
    -------
    (modes, atoms + 1, max_count + 1)
        The distributions differ from the true ones by the sum of these, each times a number from
        the standard normal distribution.
    """
    model = controls.model
    parameters = Parameters(model)
    slopes = parameters.derivatives(lambda moved: moved.distribution(max_count))
    # rates and losses per second; the loss before the exposure, between them, is in no distribution
    covariance = np.nan_to_num(controls.covariance, nan=0.0)
    kept = np.delete(np.arange(len(covariance)), model.atoms + 1)
    covariance = covariance[np.ix_(kept, kept)]
    slopes *= model.exposure
    if model.brightness_sd > 0:
        more, less = (
            replace(model, brightness_sd=model.brightness_sd * (1 + step)).distribution(max_count)
            for step in (_STEP, -_STEP)
        )
        change = (more - less) / (2 * _STEP * model.brightness_sd)
        slopes = np.concatenate([slopes, change[None]])
    covariance = covariance[: len(slopes), : len(slopes)]
    values, vectors = np.linalg.eigh(covariance)
    some = values > 0
    modes = vectors[:, some] * np.sqrt(values[some])
    return np.tensordot(modes.T, slopes, axes=1)


def mixture_goodness(
    observed: FloatArray, weights: FloatArray, components: FloatArray, errors: FloatArray
) -> Goodness:
    """Return χ² of a fitted mixture with the errors of its components.

    The covariance of the residuals is that of the counts and of the errors, less what the fitted
    proportions make up for.

    Parameters
    ----------
    observed : (counts,)
    weights : (atoms + 1,)
    components : (atoms + 1, counts)
    errors : (modes, atoms + 1, counts)
        See `component_errors`.
    """
    total = observed.sum()
    found, wanted = pair(observed, total * (weights @ components))
    first = first_bins(wanted, LEAST_EXPECTED)
    some = free(weights)
    plain = goodness(observed, total * (weights @ components), int(some.sum()) - 1)
    if plain.dof <= 0 or not np.isfinite(plain.chi2) or not len(errors):
        return plain
    found, wanted = np.add.reduceat(found, first), np.add.reduceat(wanted, first)
    root = np.sqrt(wanted)
    residual = (found - wanted) / root
    fitted = total * np.add.reduceat(components[some], first, axis=1) / root
    wrong = total * np.add.reduceat(np.einsum("i,min->mn", weights, errors), first, axis=1) / root
    basis, _ = np.linalg.qr(fitted.T)
    wrong -= (wrong @ basis) @ basis.T
    # Woodbury: (1 + AᵀA)⁻¹ = 1 - Aᵀ (1 + A Aᵀ)⁻¹ A
    seen = wrong @ residual
    chi2 = plain.chi2 - float(seen @ np.linalg.solve(np.eye(len(wrong)) + wrong @ wrong.T, seen))
    return Goodness(chi2, plain.dof, p_value(chi2, plain.dof))
