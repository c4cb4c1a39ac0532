"""Rates and losses from shots of known atom number: the fit of controls."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_errors import ControlErrors, control_errors, covariance
from napari_coldatoms.photons.control_kernels import share
from napari_coldatoms.photons.control_remarks import fit_remarks, histogram_remarks
from napari_coldatoms.photons.control_samples import ControlSamples, refit
from napari_coldatoms.photons.control_setting import (
    Channel,
    ControlMethod,
    ControlSetting,
    bins_for,
    loss_channels,
    occurrences_of,
)
from napari_coldatoms.photons.control_starts import joint, stepwise
from napari_coldatoms.photons.goodness import Goodness, goodness
from napari_coldatoms.photons.histogram import CountsByAtomNumber, Histogram, control_histograms
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import tell

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

MOST_CONTROL_COUNTS = 10_000
"""Largest number of counts in a control shot that is fitted."""

MOST_CHAIN_COUNTS = 2_000
"""The same where a shot can have several losses, which takes longer."""


_NOTHING = 1e-10

__all__ = ["ControlErrors", "ControlFit", "ControlSamples", "fit_controls", "refit"]


@dataclass(frozen=True, eq=False)
class ControlFit:
    """What shots of known atom number tell about rates and losses.

    Attributes
    ----------
    model : LossModel
        Rates and losses.
    single_atom_loss : float
        ε, the probability of losing each single atom before the counting begins.
    stderr : ControlErrors
        Standard errors, in the units of the model.
    goodness : tuple of Goodness
        χ² of each control, less the parameters that it brings: one for the dark counts, two for one
        atom, ...
    log_likelihood : float
        Σ over controls and counts of occurrences times the logarithm of the probability.
    aic, bic : float
        Akaike's and Bayes' information criterion: smaller is better.
    histograms : tuple of Histogram
        The controls, by atom number.
    setting : ControlSetting
        What was fitted, and how.
    covariance : (parameters, parameters)
        Of the parameters in the order of `parameter_names`: rates (1/s), ε, losses (1/s), relative
        standard deviation of the brightness.
    remarks : tuple of str
        Doubts.
    """

    model: LossModel
    single_atom_loss: float
    stderr: ControlErrors
    goodness: tuple[Goodness, ...]
    log_likelihood: float
    aic: float
    bic: float
    histograms: tuple[Histogram, ...]
    setting: ControlSetting
    covariance: FloatArray = field(repr=False)
    remarks: tuple[str, ...]

    @property
    def method(self) -> ControlMethod:
        """How it was fitted: "steps" or "joint"."""
        return self.setting.method

    @property
    def parameters(self) -> int:
        """Number of fitted parameters."""
        return len(self.setting.fitted)

    @property
    def parameter_names(self) -> list[str]:
        """What the rows of `covariance` are."""
        return self.setting.names()

    def expected(self, prepared: int, max_count: int | None = None) -> FloatArray:
        """Return the probability of n counts in a control, atoms lost beforehand included.

        Parameters
        ----------
        prepared : int
            Atom number of the control.
        max_count : int, optional
            Largest number of counts; by default as in `LossModel.distribution`.

        Returns
        -------
        (max_count + 1,)

        Raises
        ------
        ValueError
            If there is no such control.
        """
        if not 0 <= prepared <= self.model.atoms:
            raise ValueError(f"expected 0 to {self.model.atoms} atoms, found {prepared}")
        return _with_loss(self.model.distribution(max_count), prepared, self.single_atom_loss)

    def table(self) -> pd.DataFrame:
        """Return fitted parameters and their standard errors as a table.

        Columns: parameter, value, error, unit.
        """
        import pandas as pd

        setting, model = self.setting, self.model
        values = [
            *model.rates,
            self.single_atom_loss,
            *(model.losses[channel] for channel in setting.channels),
            model.brightness_sd,
        ]
        errors = [
            *self.stderr.rates,
            self.stderr.single_atom_loss,
            *self.stderr.losses.values(),
            self.stderr.brightness_sd,
        ]
        units = ["1/s"] * setting.size
        units[setting.single_loss] = units[-1] = ""
        table = pd.DataFrame(
            {"parameter": setting.names(), "value": values, "error": errors, "unit": units}
        )
        return table.iloc[setting.fitted].reset_index(drop=True)


def fit_controls(
    counts_by_atom_number: CountsByAtomNumber,
    exposure: float,
    *,
    method: ControlMethod = "steps",
    losses: Iterable[Channel] | None = None,
    brightness_sd: float | Literal["fit"] = 0.0,
) -> ControlFit:
    """Fit rates and losses to shots of known atom number.

    By maximum likelihood (Sec. IV.2 of Weyland et al. 2025, arXiv 2412.17434). A control of i atoms
    is the mixture of the distributions p_j of j ≤ i atoms that are left if each was lost with the
    probability ε before the counting, such as (1-ε)² p_2 + 2ε (1-ε) p_1 + ε² p_0.

    Parameters
    ----------
    counts_by_atom_number : sequence or mapping
        Counts of shots with 0, 1, 2, ... atoms, see `histogram.control_histograms`.
    exposure : float
        s.
    method : {"steps", "joint"}
        "steps", as in the paper: the dark counts give the rate without atoms, those of one atom the
        rate with one and ε, those of more atoms their rate and losses; what came before is taken as
        it is. "joint" maximises the likelihood of all controls in all parameters.
    losses : iterable of (int, int), optional
        Losses during the exposure, from, to. By default of one and of two atoms at a time, where
        at least two are there. Ask for (1, 0) if single atoms leave during the exposure too.
    brightness_sd : float or "fit"
        Relative standard deviation of a brightness that varies from shot to shot, see `LossModel`;
        "fit" finds it as well, in steps from the control of one atom.

    Returns
    -------
    ControlFit
        Parameters that may be zero are: an error of one at its bound is NaN. Errors of "joint" are
        those of the expected (Fisher) information; those of "steps" contain what carries over from
        the earlier steps.

    Warns
    -----
    FitWarning
        For each of the result's `remarks`: a rate or a loss at its bound, mean counts that do not
        rise with the atom number, few shots, counts that do not look like the model.

    Raises
    ------
    ValueError
        If counts are not usable or a control is missing, no shot has any count, there are too many
        counts, the exposure is not above zero, or an option is not one of those above.
    """
    histograms = control_histograms(counts_by_atom_number)
    result = fit_histograms(
        histograms, exposure, method=method, losses=losses, brightness_sd=brightness_sd
    )
    tell(result.remarks)
    return result


def fit_histograms(
    histograms: tuple[Histogram, ...],
    exposure: float,
    *,
    method: ControlMethod = "steps",
    losses: Iterable[Channel] | None = None,
    brightness_sd: float | Literal["fit"] = 0.0,
) -> ControlFit:
    """Fit as `fit_controls` does, without a warning."""
    most_atoms = len(histograms) - 1
    fixed_sd = _fixed(brightness_sd)
    setting = ControlSetting(
        most_atoms,
        loss_channels(losses, most_atoms),
        exposure,
        method,
        fits_brightness=brightness_sd == "fit",
    )
    max_count = _max_count(setting, histograms)
    occurrences = occurrences_of(histograms, bins_for(max_count))
    theta, ended = stepwise(setting, occurrences, fixed_sd)
    if method == "joint":
        theta, ended = joint(setting, occurrences, theta)
    # what is as good as nothing is nothing
    theta[(theta < _NOTHING) & (np.arange(setting.size) > setting.atoms)] = 0.0
    return _result(setting, theta, histograms, max_count, ended=ended)


def _fixed(brightness_sd: float | str) -> float:
    if brightness_sd == "fit":
        return 0.0
    if isinstance(brightness_sd, str) or not 0 <= brightness_sd <= 2:
        raise ValueError(
            'expected a standard deviation of the brightness from 0 to 2, or "fit", found '
            f"{brightness_sd!r}"
        )
    return float(brightness_sd)


def _max_count(setting: ControlSetting, histograms: tuple[Histogram, ...]) -> int:
    max_count = max(h.max_count for h in histograms)
    if max_count == 0:
        raise ValueError("expected counts in the controls, found none in any shot")
    limit = MOST_CHAIN_COUNTS if setting.chain else MOST_CONTROL_COUNTS
    if max_count > limit:
        several = " where a shot can have several losses" if setting.chain else ""
        raise ValueError(
            f"expected controls with up to {limit} counts in a shot{several}, found {max_count}"
        )
    return max_count


def _result(
    setting: ControlSetting,
    theta: FloatArray,
    histograms: tuple[Histogram, ...],
    max_count: int,
    *,
    ended: bool,
) -> ControlFit:
    totals = np.array([float(h.total) for h in histograms])
    upper = setting.upper(max_count)
    errors = covariance(setting, theta, totals, upper)
    model, loss = setting.model(theta), float(theta[setting.single_loss])
    pure = model.distribution(bins_for(max_count) - 1)
    expected = [_with_loss(pure, i, loss) for i in range(len(histograms))]
    likelihood = 0.0
    tests = []
    for i, (h, p) in enumerate(zip(histograms, expected, strict=True)):
        seen = np.flatnonzero(h.occurrences)
        likelihood += float(h.occurrences[seen] @ np.log(np.maximum(p[seen], 1e-300)))
        tests.append(goodness(h.occurrences, h.total * p, len(setting.own(i))))
    number = len(setting.fitted)
    scale = setting.scale(theta)
    if not setting.fits_brightness:
        scale[-1] = 0.0
    remarks = histogram_remarks(histograms) + fit_remarks(
        setting, theta, upper, errors, tests, histograms, expected, ended=ended
    )
    return ControlFit(
        model,
        loss,
        control_errors(setting, theta, errors),
        tuple(tests),
        likelihood,
        2 * number - 2 * likelihood,
        number * math.log(totals.sum()) - 2 * likelihood,
        histograms,
        setting,
        errors * np.outer(scale, scale),
        tuple(remarks),
    )


def _with_loss(pure: FloatArray, prepared: int, loss: float) -> FloatArray:
    """Return the distribution of a control whose atoms may be lost one by one beforehand."""
    result = np.zeros(pure.shape[1])
    for left in range(prepared + 1):
        result += share(left, prepared, loss)[0] * pure[left]
    return result
