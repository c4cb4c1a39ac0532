"""What counting atoms gave: probabilities, parameters, checks, and all of it as plain values."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms import __version__
from napari_coldatoms.analyses.count_remarks import remarks_of
from napari_coldatoms.backend.analysis import to_dict
from napari_coldatoms.photons.time_resolved import posterior

if TYPE_CHECKING:
    import pandas as pd

    from napari_coldatoms.analyses.count_atoms import CountAtoms
    from napari_coldatoms.photons.bootstrap import Intervals
    from napari_coldatoms.photons.checks import CountChecks
    from napari_coldatoms.photons.controls import ControlFit
    from napari_coldatoms.photons.fit import AtomNumberFit
    from napari_coldatoms.photons.histogram import Histogram
    from napari_coldatoms.photons.thresholds import Thresholds

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CountResult:
    """How often there were 0, 1, 2, ... atoms, and what that rests on.

    Attributes
    ----------
    analysis : CountAtoms
        The parameters.
    known : ControlFit
        Rates and losses from the controls.
    sample : Histogram
        The counts with unknown atom numbers.
    fit : AtomNumberFit
    intervals : Intervals
    thresholds : Thresholds or None
        The best cuts where all atom numbers are equally frequent: of the model, or of the counted
        controls with the basis "events". None where mean counts do not rise with the atom number.
    control_checks : tuple of CountChecks
        Of each control, against its fitted distribution.
    sample_check : CountChecks
        Of the sample, against the fit.
    sources : dict of str
        Where the counts are from: "sample", "controls".
    """

    analysis: CountAtoms
    known: ControlFit
    sample: Histogram
    fit: AtomNumberFit
    intervals: Intervals
    thresholds: Thresholds | None
    control_checks: tuple[CountChecks, ...]
    sample_check: CountChecks
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def probabilities(self) -> FloatArray:
        """Of 0, 1, 2, ... atoms when the exposure began, (atoms + 1,)."""
        return self.fit.probabilities

    @property
    def remarks(self) -> tuple[str, ...]:
        """All doubts, each once, in plain words."""
        return remarks_of(self)

    def table(self) -> pd.DataFrame:
        """Return the probabilities: columns atoms, probability, low, high.

        `low` and `high` are the ends of the intervals; their ``level`` is in the table's ``attrs``.
        """
        import pandas as pd

        table = pd.DataFrame(
            {
                "atoms": np.arange(len(self.probabilities)),
                "probability": self.probabilities,
                "low": self.intervals.low,
                "high": self.intervals.high,
            }
        )
        table.attrs.update(self._attrs())
        return table

    def parameters(self) -> pd.DataFrame:
        """Return what was fitted to the controls: columns parameter, value, error, unit.

        Rates of counts, losses, the loss of single atoms before the exposure. An error is NaN where
        the parameter lies at its bound.
        """
        table = self.known.table()
        table.attrs.update(self._attrs())
        return table

    def posterior_by_count(self, max_count: int | None = None) -> FloatArray:
        """Return the probability of each atom number for a shot with n counts.

        By Bayes' rule, from the distributions of the fitted model and the `probabilities` of the
        sample.

        Parameters
        ----------
        max_count : int, optional
            By default that of the sample.

        Returns
        -------
        (max_count + 1, atoms + 1)
            NaN where no atom number gives so many counts.
        """
        last = self.sample.max_count if max_count is None else max_count
        return posterior(np.arange(last + 1), self.known.model, self.probabilities)

    def shots(self, counts: ArrayLike | None = None) -> pd.DataFrame:
        """Return what single shots say.

        Columns: shot, counts, called (the atom number by the thresholds; -1 where there are none),
        posterior_0, posterior_1, ... (see `posterior_by_count`).

        Parameters
        ----------
        counts : (shots,) int, optional
            By default those of the sample.

        Raises
        ------
        ValueError
            If the sample is known as a histogram only, or the counts are not usable.
        """
        import pandas as pd

        from napari_coldatoms.photons.histogram import histogram

        data = self.sample if counts is None else histogram(counts)
        if data.in_order is None:
            raise ValueError("expected the counts of each shot, found a histogram")
        values = data.in_order
        cuts = self.thresholds
        called = np.full(len(values), -1) if cuts is None else cuts.classify(values)
        likely = self.posterior_by_count(data.max_count)[values]
        table = pd.DataFrame(
            {
                "shot": np.arange(len(values)),
                "counts": values,
                "called": called,
                **{f"posterior_{i}": column for i, column in enumerate(likely.T)},
            }
        )
        table.attrs.update(self._attrs())
        return table

    def to_dict(self) -> dict[str, Any]:
        """Return parameters, results, checks, version, seed and sources as plain values.

        What is not a number is None.
        """
        fit, known, cuts = self.fit, self.known, self.thresholds
        return plain(
            {
                "napari-coldatoms": __version__,
                "analysis": self.analysis.name,
                "parameters": to_dict(self.analysis),
                "sources": self.sources,
                "shots": self.sample.total,
                "control_shots": [h.total for h in known.histograms],
                "probabilities": self.table().to_dict("records"),
                "level": self.intervals.level,
                "resamples": len(self.intervals.samples),
                "fit": {
                    "basis": fit.basis,
                    "likelihood": fit.likelihood,
                    "log_likelihood": fit.log_likelihood,
                    "optimality_gap": fit.optimality_gap,
                    "goodness": _goodness(fit.goodness),
                    "dropped_counts": fit.dropped_counts,
                    "bins": fit.bins,
                },
                "controls": {
                    "method": known.method,
                    "exposure_s": known.model.exposure,
                    "parameters": known.table().to_dict("records"),
                    "goodness": [_goodness(test) for test in known.goodness],
                    "checks": [_check(check) for check in self.control_checks],
                },
                "sample_check": _check(self.sample_check),
                "thresholds": None
                if cuts is None
                else {
                    "from": "model" if cuts.events is None else "counted controls",
                    "cuts": cuts.cuts,
                    "fidelities": cuts.fidelities,
                    "confusion": cuts.confusion,
                },
                "remarks": self.remarks,
            }
        )

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def _attrs(self) -> dict[str, Any]:
        return {
            "units": {},
            "level": self.intervals.level,
            "version": __version__,
            "source": self.sources.get("sample"),
        }


def _goodness(test: Any) -> dict[str, Any]:
    return {"chi2": test.chi2, "dof": test.dof, "p_value": test.p_value}


def _check(check: CountChecks) -> dict[str, Any]:
    names = ("shots", "mean", "variance", "fano", "fano_stderr", "fano_p", "correlation")
    more = ("correlation_p", "drift", "drift_p", "groups_p", "block")
    return {name: getattr(check, name) for name in (*names, *more)}


def plain(value: Any) -> Any:
    """Return values that JSON knows; None for what is no finite number."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
