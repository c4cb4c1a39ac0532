"""Doubts about controls and about what was fitted to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.control_setting import ControlSetting, atoms
from napari_coldatoms.photons.goodness import Goodness, p_value, p_words
from napari_coldatoms.photons.histogram import Histogram

FloatArray = NDArray[np.float64]

FEW_SHOTS = 20
"""Controls with fewer shots are remarked."""

DOUBTFUL = 1e-3
"""Probabilities below it are remarked."""

# losses that happen so often within the exposure that the higher rate is hardly seen
_FAST_LOSS = 50.0
_MUCH_SINGLE_LOSS = 0.5
# relative error of a rate that is remarked
_HARDLY = 0.5
# variances beyond the model's that call for a hint
_WIDER = 1.3


def histogram_remarks(histograms: Sequence[Histogram]) -> list[str]:
    """Return doubts about the controls themselves: their order, their number."""
    remarks = [
        f"only {h.total} shots with {atoms(i)}: expected at least {FEW_SHOTS}"
        for i, h in enumerate(histograms)
        if h.total < FEW_SHOTS
    ]
    means = [h.mean for h in histograms]
    if any(after <= before for before, after in pairwise(means)):
        listed = ", ".join(f"{mean:.3g}" for mean in means)
        remarks.append(
            f"expected mean counts that rise with the atom number, found {listed} for 0, 1, ... "
            "atoms: are the controls in the wrong order?"
        )
    return remarks


def fit_remarks(
    setting: ControlSetting,
    theta: FloatArray,
    upper: FloatArray,
    covariance: FloatArray,
    tests: Sequence[Goodness],
    histograms: Sequence[Histogram],
    expected: Sequence[FloatArray],
    *,
    ended: bool,
) -> list[str]:
    """Return doubts about a fit: parameters at bounds, counts that do not look like the model."""
    remarks = []
    if not ended:
        remarks.append("the fit of the controls did not come to its end")
    names = setting.names()
    for k in setting.fitted:
        if k in (setting.single_loss, setting.size - 1):
            continue  # none lost, or all alike, is nothing to wonder about
        if theta[k] <= 0:
            remarks.append(f"the {names[k]} is at its bound, 0: no error can be given")
        elif theta[k] >= upper[k]:
            remarks.append(
                f"the {names[k]} is at its bound, {theta[k] / setting.exposure:.3g}/s: the counts "
                "do not determine it"
            )
        elif k > setting.single_loss and theta[k] > _FAST_LOSS:
            remarks.append(
                f"the {names[k]} is {theta[k]:.3g} per exposure: too fast to be told from atoms "
                "that were lost before"
            )
    unknown = [
        names[k] for k in setting.fitted if math.isnan(covariance[k, k]) and 0 < theta[k] < upper[k]
    ]
    if unknown:
        remarks.append(f"the counts do not determine: {', '.join(unknown)}")
    rates = theta[: setting.atoms + 1]
    remarks += [
        f"the controls hardly determine the {names[k]}"
        for k in range(1, setting.atoms + 1)
        if math.sqrt(covariance[k, k]) > _HARDLY * theta[k] > 0
    ]
    if (np.diff(rates) <= 0).any():
        listed = ", ".join(f"{rate / setting.exposure:.4g}" for rate in rates)
        remarks.append(
            f"expected rates that rise with the atom number, found {listed} per second for 0, 1, "
            "... atoms"
        )
    if theta[setting.single_loss] > _MUCH_SINGLE_LOSS:
        remarks.append(
            f"{theta[setting.single_loss]:.0%} of single atoms are lost before the counting: are "
            "these controls of 1 atom?"
        )
    if theta[-1] == 0:
        remarks += _dispersion(histograms[0])
    for i, test in enumerate(tests):
        if test.p_value < DOUBTFUL:
            remarks.append(
                f"the counts with {atoms(i)} do not follow the model: χ² per degree of freedom "
                f"{test.reduced:.3g}, {p_words(test.p_value)}" + _wider(histograms[i], expected[i])
            )
    return remarks


def _wider(found: Histogram, p: FloatArray) -> str:
    """Return a hint if counts vary more than a model says."""
    n = np.arange(len(p))
    mean = n @ p / p.sum()
    ratio = found.variance / float((n - mean) ** 2 @ p / p.sum())
    if ratio < _WIDER:
        return ""
    return (
        f"; they vary {ratio:.2g} times as much: look at check_counts, or fit with "
        'brightness_sd="fit"'
    )


def _dispersion(dark: Histogram) -> list[str]:
    """Return a remark if dark counts vary more than Poissonian ones: the index of dispersion."""
    if dark.total < 2 or dark.mean == 0:
        return []
    ratio = dark.variance / dark.mean
    if p_value(ratio * (dark.total - 1), dark.total - 1) >= DOUBTFUL:
        return []
    return [
        f"counts with 0 atoms vary {ratio:.2g} times as much as Poissonian counts do: look at "
        'check_counts, or fit with brightness_sd="fit"'
    ]
