"""Whether counts look like others that were taken before: a χ² test (Sec. VIII.2)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_errors import covariance
from napari_coldatoms.photons.control_kernels import control_counts, pure_counts
from napari_coldatoms.photons.control_setting import atoms, bins_for
from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.goodness import (
    LEAST_EXPECTED,
    Goodness,
    first_bins,
    from_bins,
    goodness,
    p_value,
    pair,
)
from napari_coldatoms.photons.histogram import Counts, CountsByAtomNumber, Histogram, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.quadrature import legendre

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """χ² of counts against what was fitted to others.

    Attributes
    ----------
    chi2 : float
    dof : int
        Degrees of freedom: merged bins, less one for the total of each control.
    p_value : float
        Probability of a χ² at least as large if nothing has changed.
    per_control : tuple of Goodness
        The same for each control alone.
    atom_numbers : tuple of int
        Which controls these are.
    """

    chi2: float
    dof: int
    p_value: float
    per_control: tuple[Goodness, ...]
    atom_numbers: tuple[int, ...]

    @property
    def reduced(self) -> float:
        """χ² per degree of freedom; NaN where there is none."""
        return self.chi2 / self.dof if self.dof > 0 else math.nan


def compare(
    counts_by_atom_number: CountsByAtomNumber | Counts,
    controls: ControlFit | LossModel,
    *,
    atom_number: int | None = None,
    fit_errors: bool = False,
) -> Comparison:
    """Test whether counts follow the distributions that were fitted to other ones.

    For instance counts of hot atoms against the model of cold ones (Sec. VIII.2 of Weyland et al.
    2025, arXiv 2412.17434). Neighbouring bins are merged until each expects 5 shots.

    Parameters
    ----------
    counts_by_atom_number : sequence or mapping, or counts
        Counts (see `histogram`) for 0, 1, 2, ... atoms, or by atom number, of which some may lack;
        or, with `atom_number`, the counts of one atom number.
    controls : ControlFit or LossModel
        Fit of the other counts, with their single-atom loss; or rates and losses that are known,
        without any such loss.
    atom_number : int, optional
        Number of atoms where the counts are those of one.
    fit_errors : bool
        Without it, as in the paper, the fitted distributions are taken as exact: good where they
        come from many more shots than are compared, else χ² is too large. With it the covariance of
        what was fitted adds to that of the counts. A bare model has no such errors.

    Returns
    -------
    Comparison
        No parameter is subtracted from the degrees of freedom: none was fitted to these counts.

    Raises
    ------
    ValueError
        If counts are not usable, or there are more atoms than in the controls.
    """
    if not isinstance(controls, ControlFit | LossModel):
        raise ValueError(
            f"expected a ControlFit or a LossModel to compare with, found {controls!r:.60}"
        )
    if isinstance(controls, LossModel):
        histograms = _histograms(counts_by_atom_number, atom_number, controls.atoms)
        known = controls.distribution(bins_for(max(h.max_count for h in histograms.values())) - 1)
        alone = tuple(goodness(h.occurrences, h.total * known[i]) for i, h in histograms.items())
        chi2, dof = sum(test.chi2 for test in alone), sum(test.dof for test in alone)
        return Comparison(chi2, dof, p_value(chi2, dof), alone, tuple(histograms))
    histograms = _histograms(counts_by_atom_number, atom_number, controls.model.atoms)
    tests, differences, variances, slopes = [], [], [], []
    for number, found in histograms.items():
        test, difference, variance, slope = _difference(found, controls, number, fit_errors)
        tests.append(test)
        differences.append(difference)
        variances.append(variance)
        slopes.append(slope)
    dof = sum(test.dof for test in tests)
    chi2 = sum(test.chi2 for test in tests)
    if fit_errors:
        # what was fitted is common to all controls
        from scipy.linalg import block_diag

        slope = np.concatenate(slopes)
        errors = _covariance(controls)
        chi2 = _weighted(
            np.concatenate(differences), block_diag(*variances) + slope @ errors @ slope.T
        )
        tests = [
            Goodness(value, test.dof, p_value(value, test.dof))
            for value, test in zip(
                (
                    _weighted(d, v + s @ errors @ s.T)
                    for d, v, s in zip(differences, variances, slopes, strict=True)
                ),
                tests,
                strict=True,
            )
        ]
    return Comparison(chi2, dof, p_value(chi2, dof), tuple(tests), tuple(histograms))


def _histograms(
    counts: CountsByAtomNumber | Counts, atom_number: int | None, most: int
) -> dict[int, Histogram]:
    """Return histograms by atom number."""
    if atom_number is not None:
        result = {atom_number: histogram(cast(Counts, counts), f"counts with {atoms(atom_number)}")}
    elif isinstance(counts, Mapping):
        by_number = cast(Mapping[int, Counts], counts)
        result = {
            number: histogram(by_number[number], f"counts with {atoms(number)}")
            for number in sorted(by_number)
        }
    else:
        result = {
            number: histogram(one, f"counts with {atoms(number)}")
            for number, one in enumerate(cast(Sequence[Counts], counts))
        }
    if not result:
        raise ValueError("expected counts to compare, found none")
    for number in result:
        if not 0 <= number <= most:
            raise ValueError(f"expected 0 to {most} atoms, as in the controls, found {number}")
    return result


def _difference(
    found: Histogram, controls: ControlFit, number: int, fit_errors: bool
) -> tuple[Goodness, FloatArray, FloatArray, FloatArray]:
    """Return χ² alone; difference, its covariance, slope by parameters: of all merged bins but one.

    The last bin follows from the total.
    """
    most = max(found.max_count, max(h.max_count for h in controls.histograms))
    expected = controls.expected(number, bins_for(most) - 1)
    observed, wanted = pair(found.occurrences, found.total * expected)
    first = first_bins(wanted, LEAST_EXPECTED)
    observed, wanted = np.add.reduceat(observed, first), np.add.reduceat(wanted, first)
    test = from_bins(observed, wanted, 0)
    if not fit_errors:
        return test, np.empty(0), np.empty((0, 0)), np.empty((0, 0))
    slope = np.add.reduceat(_slopes(controls, number, len(expected)), first, axis=1)
    share = wanted[:-1] / found.total
    variance = found.total * (np.diag(share) - np.outer(share, share))
    return test, (observed - wanted)[:-1], variance, found.total * slope[:, :-1].T


def _slopes(controls: ControlFit, number: int, bins: int) -> FloatArray:
    """Return the derivatives of a control's distribution by all parameters (parameters, bins)."""
    setting = controls.setting
    theta = setting.theta(controls.model, controls.single_atom_loss)
    nodes, weights = legendre(
        float(theta[: setting.atoms + 1].max()), float(theta[setting.atoms + 2 : -1].sum())
    )
    p = np.zeros((setting.atoms + 1, bins))
    dp = np.zeros((setting.size, setting.atoms + 1, bins))
    wanted = np.ones(setting.size, dtype=np.bool_)
    pure_counts(
        theta,
        setting.atoms,
        setting.channel_array,
        setting.chain,
        nodes,
        weights,
        0,
        setting.atoms,
        wanted,
        p,
        dp,
    )
    c, dc = np.zeros(bins), np.zeros((setting.size, bins))
    control_counts(theta, setting.atoms, number, np.arange(setting.size), p, dp, c, dc)
    return dc


def _covariance(controls: ControlFit) -> FloatArray:
    """Return the covariance of the parameters; those at a bound are taken as exact."""
    setting = controls.setting
    theta = setting.theta(controls.model, controls.single_atom_loss)
    totals = np.array([float(h.total) for h in controls.histograms])
    upper = setting.upper(max(h.max_count for h in controls.histograms))
    return np.nan_to_num(covariance(setting, theta, totals, upper), nan=0.0)


def _weighted(difference: FloatArray, variance: FloatArray) -> float:
    """Return the χ² of a difference with this covariance."""
    return float(difference @ np.linalg.solve(variance, difference)) if difference.size else 0.0
