"""What counting atoms gave, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.analyses.counted_sites import SiteResult
from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.goodness import Goodness, p_words
from napari_coldatoms.widgets.count_places import title_of

_MARK = "⚠ "


def summary(result: CountResult) -> str:
    """Say in a line what was found."""
    shares = ", ".join(
        f"{title_of(atoms)} {100 * share:.1f} %" for atoms, share in enumerate(result.probabilities)
    )
    doubts = len(result.remarks)
    more = f"; {doubts} doubt{'s' * (doubts > 1)}, see below the table" if doubts else ""
    shots = result.sample.total
    return f"{shots} shot{'s' * (shots != 1)}: {shares}{more}."


def sites_summary(sites: SiteResult) -> str:
    """Say in a line what the thresholds of sites tell."""
    number, shots = sites.called.shape[:2]
    words = f"{number} region{'s' * (number != 1)}, {shots} shot{'s' * (shots != 1)}"
    known = int(np.isfinite(sites.threshold).sum())
    if not known:
        return f"{words}: no threshold is found in any of them."
    loading = float(np.nanmean(sites.loading[:, 0]))
    words += f": atoms in {100 * loading:.1f} %"
    if sites.survival is not None:
        words += f", survival {100 * float(np.nanmean(sites.survival[:, 0])):.1f} %"
    words += f", fidelity from {100 * float(np.nanmin(sites.fidelity)):.2f} %"
    return f"{words}; {number - known} without threshold." if known < number else f"{words}."


def control_summary(known: ControlFit) -> str:
    """Say in a line what controls alone gave."""
    shots = sum(each.total for each in known.histograms)
    atoms = len(known.histograms) - 1
    return (
        f"Fitted {shots} control shots of up to {title_of(atoms)}: add the sample for its atom "
        "numbers."
    )


def doubts(remarks: Sequence[str]) -> str:
    """Return doubts as lines; empty where there are none."""
    return "\n".join(_MARK + each for each in remarks)


def verdict(result: CountResult, remarks: Sequence[str] = ()) -> str:
    """Say whether fit and controls describe the counts, and what is doubtful.

    Parameters
    ----------
    result : CountResult
    remarks : sequence of str
        Doubts about how the counts were taken.
    """
    lines = [f"The fit of the sample: {goodness(result.fit.goodness)}."]
    controls = ", ".join(
        f"{title_of(atoms)} {p_words(test.p_value, 2)}"
        for atoms, test in enumerate(result.known.goodness)
    )
    lines.append(f"Controls: {controls}.")
    told = doubts([*result.remarks, *remarks])
    lines.append(told or "No doubts.")
    return "\n".join(lines)


def goodness(test: Goodness) -> str:
    """Return χ² and its probability."""
    return f"χ² {test.chi2:.4g} of {test.dof}, {p_words(test.p_value, 2)}"


def cuts_words(result: CountResult) -> str:
    """Say which thresholds are best, and how often they are right."""
    cuts = result.thresholds
    if cuts is None:
        return ""
    parts = [
        f"{title_of(atoms)}: {_range(cuts.cuts.tolist(), atoms)} ({100 * share:.1f} % right)"
        for atoms, share in enumerate(cuts.fidelities)
    ]
    return f"Single shots by thresholds: {', '.join(parts)}."


def _range(cuts: list[int], atoms: int) -> str:
    low = 0 if atoms == 0 else cuts[atoms - 1]
    return f"from {low}" if atoms == len(cuts) else f"{low} to {cuts[atoms] - 1}"
