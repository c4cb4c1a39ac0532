"""How many shots began with 0, 1, 2, ... atoms: the fit of a histogram of counts."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.event_basis import Rebin
from napari_coldatoms.photons.fit_setting import (
    Basis,
    EventSetting,
    Likelihood,
    ModelSetting,
    fit_setting,
)
from napari_coldatoms.photons.goodness import Goodness, p_words
from napari_coldatoms.photons.histogram import Counts, CountsByAtomNumber, Histogram, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import tell

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

__all__ = ["AtomNumberFit", "Basis", "Likelihood", "fit_atom_numbers"]

_FEW_SHOTS = 10


@dataclass(frozen=True, eq=False)
class AtomNumberFit:
    """Atom numbers that explain a histogram of counts.

    Attributes
    ----------
    probabilities : (atoms + 1,)
        Of 0, 1, 2, ... atoms at the beginning of the exposure; they sum to 1.
    log_likelihood : float
        ``Σ_n ln P(h_n)`` over the bins of the fit. For "least-squares" ``-½ Σ (h - µ)²``, which is
        no likelihood.
    optimality_gap : float
        No atom numbers have a log-likelihood larger by more than this. NaN for "effective", which
        is not concave.
    goodness : Goodness
        χ² over merged bins. That of event-based fits contains the noise of the controls.
    dropped_counts : (dropped,) int
        Counts of the shots that were left out, because no component gives them; sorted.
    expected : (max_count + 1,)
        Number of shots expected with n counts. Of event-based fits, spread evenly over each bin.
    components : (atoms + 1, max_count + 1)
        Probability of n counts for each number of atoms, on the same grid; those of event-based
        fits have the loss taken out, which may leave some below zero.
    likelihood : {"poisson", "effective", "least-squares"}
    basis : {"model", "events"}
    raw_probabilities : (atoms + 1,) or None
        Of event-based fits the proportions w' of the controls, with the loss they contain.
    bins : (bins,) int or None
        Of event-based fits the smallest number of counts of each bin; the last has no upper end.
    remarks : tuple of str
        Doubts; and how wide merged bins are.
    """

    probabilities: FloatArray
    log_likelihood: float
    optimality_gap: float
    goodness: Goodness
    dropped_counts: IntArray = field(repr=False)
    expected: FloatArray = field(repr=False)
    components: FloatArray = field(repr=False)
    likelihood: Likelihood
    basis: Literal["model", "events"]
    raw_probabilities: FloatArray | None = None
    bins: IntArray | None = field(default=None, repr=False)
    remarks: tuple[str, ...] = ()


def fit_atom_numbers(
    counts: Counts,
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber,
    *,
    single_atom_loss: float | None = None,
    likelihood: Likelihood = "poisson",
    basis: Basis = "auto",
    rebin: Rebin = "adaptive",
) -> AtomNumberFit:
    """Fit the probabilities of atom numbers to a histogram of counts.

    Of N shots, ``N Σ_i w_i p_i(n)`` are expected to have n counts (Eq. 5 of Weyland et al. 2025,
    arXiv 2412.17434), with distributions p_i of a model, or counted ones.

    Parameters
    ----------
    counts : Counts
        See `histogram`.
    model_or_controls : LossModel, ControlFit, or counts by atom number
        A model or a fit of controls make a model-based fit; counts of controls (see
        `control_histograms`) an event-based one.
    single_atom_loss : float, optional
        Probability that the controls lost an atom before the exposure, which is taken out of an
        event-based fit (Eqs. 10-12). By default that of a `ControlFit`, or none. Model-based fits
        contain no such loss: it does not change them.
    likelihood : {"poisson", "effective", "least-squares"}
        "effective" knows the statistics of counted controls (Eqs. 7-8) and makes an event-based
        fit. "least-squares" is there for comparison.
    basis : {"auto", "model", "events"}
        "events" takes the controls that a `ControlFit` was fitted to.
    rebin : {"adaptive", "none"} or int
        Bins of event-based fits, chosen from the controls alone: as wide as their number of shots
        asks for; single counts; or a fixed width. With the latter two, shots in bins that no
        control reaches are dropped.

    Returns
    -------
    AtomNumberFit

    Warns
    -----
    FitWarning
        For each doubt: no counts at all, counts that were dropped, a poor goodness of fit, controls
        of few shots or in a wrong order, a single shot, an optimum that is not certified.

    Raises
    ------
    ValueError
        If counts or controls are not usable, an option is unknown, a bare model is to make an
        event-based fit, or no shot can be explained at all.
    """
    data = histogram(counts)
    setting = fit_setting(
        model_or_controls,
        data.max_count,
        single_atom_loss=single_atom_loss,
        likelihood=likelihood,
        basis=basis,
        rebin=rebin,
    )
    result, doubts = fit_histogram(data, setting)
    tell(doubts)
    return result


def fit_histogram(
    data: Histogram, setting: ModelSetting | EventSetting
) -> tuple[AtomNumberFit, list[str]]:
    """Fit without a warning; return the doubts apart."""
    kept = kept_occurrences(data, setting)
    weights, value, gap = setting.maximise(kept[None])
    result, doubts = fit_result(data, setting, kept, weights[0], float(value[0]), float(gap[0]))
    if result.optimality_gap > setting.tolerance(data.total):
        doubts.append(f"the fit did not reach its optimum: {gap[0]:.1g} may be missing")
        result = replace(result, remarks=(*result.remarks, doubts[-1]))
    return result, doubts


def kept_occurrences(data: Histogram, setting: ModelSetting | EventSetting) -> FloatArray:
    """Return a histogram in the bins of the fit, less what nothing gives."""
    kept = setting.merge(data.occurrences)
    if kept.sum() == 0:
        some = _some(np.flatnonzero(data.occurrences))
        raise ValueError(
            f"expected counts that {setting.source} can give, found none: {some} counts"
        )
    return kept


def fit_result(
    data: Histogram,
    setting: ModelSetting | EventSetting,
    kept: FloatArray,
    weights: FloatArray,
    value: float,
    gap: float,
) -> tuple[AtomNumberFit, list[str]]:
    """Return what weights mean, and the doubts apart."""
    n = np.repeat(np.arange(data.max_count + 1), setting.unreachable(data.occurrences))
    goodness = setting.goodness(kept, weights)
    doubts = [*setting.doubts]
    if len(n):
        shots = "1 shot is" if len(n) == 1 else f"{len(n)} shots are"
        doubts.append(f"{shots} left out, which {setting.source} cannot give: {_some(n)} counts")
    if data.total < _FEW_SHOTS:
        doubts.append(f"atom numbers of {data.total} shot{'s' * (data.total > 1)} say little")
    if goodness.p_value < setting.unlikely:
        doubts.append(
            f"the fit does not describe the counts: χ² of {goodness.chi2:.4g} for "
            f"{goodness.dof} degree{'s' * (goodness.dof > 1)} of freedom, "
            f"{p_words(goodness.p_value)}"
        )
    elif data.max_count == 0:
        doubts.append("no shot has any count: did the counter see light?")
    expected, components = setting.curves(weights, kept.sum(), data.max_count)
    result = AtomNumberFit(
        probabilities=weights,
        log_likelihood=value,
        optimality_gap=gap,
        goodness=goodness,
        dropped_counts=n,
        expected=expected,
        components=components,
        likelihood=setting.likelihood,
        basis=setting.basis,
        raw_probabilities=setting.raw(weights),
        bins=setting.bins,
        remarks=(*setting.notes, *doubts),
    )
    return result, doubts


def _some(counts: IntArray, most: int = 5) -> str:
    """Return a few numbers in words."""
    different = np.unique(counts)
    words = ", ".join(map(str, different[:most]))
    return f"{words}, ... {different[-1]}" if len(different) > most else words
