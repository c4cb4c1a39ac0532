"""Counts in parts of the exposure: the time at which the light drops tells of a loss.

Two atoms that lose one early leave as many counts as one atom; when they are counted in sub-bins,
the first ones still show two. The counts of a shot are a hidden Markov chain: between the edges of
the sub-bins the joint probability of counts and of atoms left is that of Eq. 2, kept apart by the
atom number in the end (`LossModel.transitions`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.photons.bootstrap import Intervals, draw_controls, intervals
from napari_coldatoms.photons.control_samples import refit
from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.histogram import FloatArray, Histogram, IntArray, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import tell
from napari_coldatoms.photons.simplex import TOLERANCE, maximise
from napari_coldatoms.statistics.bootstrap import resample


@dataclass(frozen=True, eq=False)
class TimeResolvedFit:
    """Atom numbers from counts in sub-bins, from `fit_time_resolved`.

    Attributes
    ----------
    probabilities : (atoms + 1,)
        Probability of 0, 1, 2, ... atoms at the beginning of the exposure.
    log_likelihood : float
        ``Σ ln Σ_i w_i P_i(n_1, n_2, ...)`` over the shots.
    optimality_gap : float
        No probabilities have a larger log-likelihood by more than this.
    posterior : (shots, atoms + 1)
        Probability of the atom number of each shot, given its counts and `probabilities`; NaN for
        shots that are impossible.
    impossible : (shots,) bool
        Shots that the model cannot give at all; they are left out.
    remarks : tuple of str
    """

    probabilities: FloatArray
    log_likelihood: float
    optimality_gap: float
    posterior: FloatArray = field(repr=False)
    impossible: np.ndarray = field(repr=False)
    remarks: tuple[str, ...]


def shot_log_likelihood(counts: ArrayLike, model: LossModel) -> FloatArray:
    """Return the log-likelihood of every shot for 0, 1, 2, ... atoms at its beginning.

    Parameters
    ----------
    counts : (shots, bins) or (shots,) int
        Counts of each shot in equal, consecutive parts of the exposure; or in all of it.
    model : LossModel
        Its exposure is that of all sub-bins together.

    Returns
    -------
    (shots, atoms + 1)
        Natural logarithm; -inf where the counts are impossible, or less likely by e⁷⁰⁰ than with
        another number of atoms.

    Raises
    ------
    ValueError
        If the counts are not whole numbers >= 0 in one or two dimensions.
    """
    table = sub_bins(counts)
    # shots with equal counts are computed once
    patterns, which = np.unique(table, axis=0, return_inverse=True)
    return _log_likelihood(patterns, model)[which.ravel()]


def sub_bins(counts: ArrayLike) -> IntArray:
    """Return counts as a checked table (shots, bins)."""
    if isinstance(counts, Histogram | Mapping):
        raise ValueError(
            "expected counts of each shot in sub-bins, (shots, bins), found a histogram"
        )
    try:
        table = np.asarray(counts)
    except ValueError as error:
        raise ValueError(
            "expected as many sub-bins in all shots, (shots, bins), found different numbers"
        ) from error
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or table.size == 0:
        raise ValueError(
            "expected counts of at least one shot in sub-bins, (shots, bins), found shape "
            f"{np.shape(counts)}"
        )
    flat = histogram(table.ravel(), "counts in sub-bins").in_order
    assert flat is not None
    return flat.reshape(table.shape)


def _log_likelihood(table: IntArray, model: LossModel) -> FloatArray:
    part = model.with_exposure(model.exposure / table.shape[1])
    most = int(table.max())
    if model.brightness_sd == 0:
        return _chain(table, part.transitions(most))
    # all parts of a shot share its brightness
    total = np.full((len(table), model.atoms + 1), -np.inf)
    for factor, weight in zip(*model.brightness_nodes(int(table.sum(axis=1).max())), strict=True):
        bright = LossModel(factor * np.asarray(part.rates), part.losses, part.exposure)
        chain = _chain(table, bright.transitions(most))
        total = np.logaddexp(total, math.log(weight) + chain)
    return total


def _chain(table: IntArray, transitions: FloatArray) -> FloatArray:
    """Return the log-likelihoods of counts, from the last sub-bin to the first."""
    shots, states = len(table), transitions.shape[0]
    later = np.ones((shots, states))
    scale = np.zeros(shots)
    # [n, begin, end], so that the counts of a shot choose a matrix
    matrices = np.ascontiguousarray(transitions.transpose(2, 1, 0))
    for n in table.T[::-1]:
        later = np.einsum("kse,ke->ks", matrices[n], later)
        top = later.max(axis=1)
        top[top == 0] = 1.0  # impossible for any atom number: stays so
        later /= top[:, None]
        scale += np.log(top)
    with np.errstate(divide="ignore"):
        return np.log(later) + scale[:, None]


def posterior(counts: ArrayLike, model: LossModel, probabilities: ArrayLike) -> FloatArray:
    """Return the probability of the initial atom number of single shots (Bayes' rule).

    Parameters
    ----------
    counts : (shots,) or (shots, bins) int
        As in `shot_log_likelihood`.
    model : LossModel
    probabilities : (atoms + 1,)
        Probability of each atom number before the shot, >= 0, such as a fit's; normalised here.

    Returns
    -------
    (shots, atoms + 1)
        Rows sum to 1; NaN where no atom number could give the counts.

    Raises
    ------
    ValueError
        If the counts are not usable, or the probabilities are not one for each atom number.
    """
    prior = np.asarray(probabilities, dtype=np.float64)
    if prior.shape != (model.atoms + 1,) or not (prior >= 0).all() or not prior.sum() > 0:
        raise ValueError(
            f"expected probabilities >= 0 of 0 to {model.atoms} atoms, found {prior.tolist()}"
        )
    return _posterior(shot_log_likelihood(counts, model), prior)


def _posterior(log_likelihood: FloatArray, prior: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        joint = log_likelihood + np.log(prior)
    top = joint.max(axis=1, keepdims=True)
    possible = np.isfinite(top)
    weight = np.exp(joint - np.where(possible, top, 0.0))
    total = weight.sum(axis=1, keepdims=True)
    return np.where(possible, weight / np.where(possible, total, 1.0), np.nan)


def fit_time_resolved(counts: ArrayLike, model: LossModel | ControlFit) -> TimeResolvedFit:
    """Fit the distribution of atom numbers to counts in sub-bins of the exposure.

    Parameters
    ----------
    counts : (shots, bins) int
        Counts of each shot in equal, consecutive parts of the exposure. One bin gives the fit of
        `fit_atom_numbers`.
    model : LossModel or ControlFit
        Its exposure is that of all sub-bins together.

    Returns
    -------
    TimeResolvedFit

    Raises
    ------
    ValueError
        If the counts are not usable, or no shot is possible under the model.
    """
    log_likelihood = shot_log_likelihood(counts, _model(model))
    top = log_likelihood.max(axis=1)
    impossible = ~np.isfinite(top)
    if impossible.all():
        raise ValueError("expected counts that the model can give, found none in any shot")
    remarks = []
    if impossible.any():
        remarks.append(
            f"{impossible.sum()} of {len(top)} shots have counts that the model cannot give; they "
            "are left out"
        )
    possible = log_likelihood[~impossible] - top[~impossible, None]
    weights, _, gap = maximise(np.ones((1, len(possible))), np.exp(possible).T)
    with np.errstate(divide="ignore"):
        value = float(np.logaddexp.reduce(possible + np.log(weights[0]), axis=1).sum())
    if not np.any(counts):
        remarks.append("no shot has any count: did the counter see light?")
    if gap[0] > TOLERANCE * max(1.0, 1e-3 * len(top)):
        remarks.append(f"the fit may lack {gap[0]:.1e} of the best log-likelihood")
    tell(remarks)
    return TimeResolvedFit(
        weights[0],
        value + float(top[~impossible].sum()),
        float(gap[0]),
        _posterior(log_likelihood, weights[0]),
        impossible,
        tuple(remarks),
    )


def bootstrap_time_resolved(
    counts: ArrayLike,
    model_or_controls: LossModel | ControlFit,
    *,
    resamples: int = 100,
    resample_controls: bool = True,
    level: float = 0.68,
    rng: np.random.Generator | int | None = None,
) -> Intervals:
    """Return intervals of the probabilities of `fit_time_resolved`, by the bootstrap.

    Parameters
    ----------
    counts : (shots, bins) int
    model_or_controls : LossModel or ControlFit
        Controls that were fitted are drawn and fitted again for each resample.
    resamples, resample_controls, level, rng
        As in `bootstrap`.

    Returns
    -------
    Intervals

    Raises
    ------
    ValueError
        As `fit_time_resolved`; if there are fewer than 2 resamples, or the level is not between 0
        and 1.
    """
    if resamples < 2:
        raise ValueError(f"expected at least 2 resamples, found {resamples}")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, found {level}")
    generator = np.random.default_rng(rng)
    fit = fit_time_resolved(counts, model_or_controls)
    kept = sub_bins(counts)[~fit.impossible]
    patterns, occurrences = np.unique(kept, axis=0, return_counts=True)
    drawn = resample(occurrences, len(kept), resamples, generator)
    if isinstance(model_or_controls, ControlFit) and resample_controls:
        again = draw_controls(model_or_controls.histograms, resamples, None, generator)
        models = refit(model_or_controls, again).models()
    else:
        models = [_model(model_or_controls)]
    components = np.empty((len(models), models[0].atoms + 1, len(patterns)))
    for out, model in zip(components, models, strict=True):
        value = _log_likelihood(patterns, model)
        top = value.max(axis=1, keepdims=True)
        out[:] = np.exp(value - np.where(np.isfinite(top), top, 0.0)).T
    samples, _, _ = maximise(drawn, components if len(models) > 1 else components[0])
    return intervals(samples, fit.probabilities, level, fit.remarks)


def _model(model_or_controls: LossModel | ControlFit) -> LossModel:
    if isinstance(model_or_controls, ControlFit):
        return model_or_controls.model
    if not isinstance(model_or_controls, LossModel):
        raise ValueError(
            "expected a LossModel or a ControlFit for counts in sub-bins, found "
            f"{model_or_controls!r:.60}"
        )
    return model_or_controls
