"""Errors of whole simulated measurements, to check what is predicted and to compare ways to fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.controls import ControlFit, fit_histograms
from napari_coldatoms.photons.fit import fit_histogram
from napari_coldatoms.photons.fit_setting import Basis, Likelihood, fit_setting
from napari_coldatoms.photons.histogram import control_histograms, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.shares import checked_events, checked_probabilities
from napari_coldatoms.photons.simulate import simulate_controls, simulate_mixture
from napari_coldatoms.photons.time_resolved import fit_time_resolved

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SimulatedErrors:
    """Errors of fits to simulated measurements, from `simulated_errors`.

    Attributes
    ----------
    errors : (atoms + 1,) array
        Root mean square of estimate - truth.
    bias : (atoms + 1,) array
        Mean of estimate - truth.
    estimates : (repeats, atoms + 1) array
        All estimates.
    truth : (atoms + 1,) array
        The proportions at the beginning of the exposure.
    """

    errors: FloatArray
    bias: FloatArray
    estimates: FloatArray = field(repr=False)
    truth: FloatArray


def simulated_errors(
    model: LossModel,
    probabilities: ArrayLike,
    events: int,
    control_events: int | None = None,
    *,
    repeats: int = 200,
    likelihood: Likelihood = "poisson",
    basis: Basis = "auto",
    control_shares: ArrayLike | None = None,
    single_atom_loss: float = 0.0,
    fixed_numbers: bool = False,
    bins: int = 1,
    rng: np.random.Generator | int | None = None,
) -> SimulatedErrors:
    """Return the errors of whole simulated measurements: controls, their fit, sample, its fit.

    Parameters
    ----------
    model, probabilities, events, control_events, control_shares, single_atom_loss
        As in `predicted_errors`. The fits know `brightness_sd`, and without `control_events` the
        rates and losses, too.
    repeats : int
        Number of measurements. The errors of n repeats are themselves uncertain by 1 / √(2n).
    likelihood, basis
        As in `fit_atom_numbers`; event-based fits need controls.
    fixed_numbers : bool
        Whether shots of the controls, and of each atom number in the sample, are just as many as
        their share, instead of drawn.
    bins : int
        Equal parts of the exposure that are counted apart in the sample, which is then fitted by
        `fit_time_resolved`; controls are fitted to whole counts.
    rng : numpy.random.Generator or int, optional
        Random generator or seed.

    Returns
    -------
    SimulatedErrors

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """
    if bins > 1 and (likelihood != "poisson" or basis == "events"):
        raise ValueError(
            'expected likelihood "poisson" and the model for several bins, found '
            f'likelihood "{likelihood}" and basis "{basis}"'
        )
    rng = np.random.default_rng(rng)
    truth = checked_probabilities(probabilities, model.atoms + 1)
    estimates = np.empty((checked_events(repeats, "repeats"), model.atoms + 1))
    known: LossModel | ControlFit = model
    for estimate in estimates:
        if control_events is not None:
            controls = simulate_controls(
                model,
                control_events,
                single_atom_loss=single_atom_loss,
                shares=control_shares,
                fixed_numbers=fixed_numbers,
                rng=rng,
            )
            known = fit_histograms(
                control_histograms(controls),
                model.exposure,
                losses=tuple(model.losses),
                brightness_sd=model.brightness_sd,
            )
        counts = simulate_mixture(
            model, truth, events, fixed_numbers=fixed_numbers, bins=bins, rng=rng
        ).counts
        if bins > 1:
            fitted = known.model if isinstance(known, ControlFit) else known
            estimate[:] = fit_time_resolved(counts, fitted).probabilities
            continue
        sample = histogram(counts)
        setting = fit_setting(known, sample.max_count, likelihood=likelihood, basis=basis)
        # without a warning: one of many measurements may well be a bad one
        estimate[:] = fit_histogram(sample, setting)[0].probabilities
    wrong = estimates - truth
    return SimulatedErrors(np.sqrt((wrong**2).mean(axis=0)), wrong.mean(axis=0), estimates, truth)
