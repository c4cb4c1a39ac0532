"""Which model describes counts: by information criteria."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_coldatoms.photons.control_setting import ControlMethod, loss_channels
from napari_coldatoms.photons.controls import ControlFit, fit_histograms
from napari_coldatoms.photons.histogram import (
    Counts,
    CountsByAtomNumber,
    control_histograms,
    histogram,
)
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.simplex import maximise

if TYPE_CHECKING:
    import pandas as pd

_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class ModelChoice:
    """Fits of several models to one set of controls.

    Attributes
    ----------
    fits : dict of str to ControlFit
        By the name of the model, the best by BIC first.
    best_aic, best_bic : str
        The model of the smallest Akaike's and Bayes' information criterion. Where they differ, that
        of AIC has more parameters: it predicts better, that of BIC is more probably the true one.
    """

    fits: dict[str, ControlFit] = field(repr=False)
    best_aic: str
    best_bic: str

    @property
    def best(self) -> ControlFit:
        """The best by BIC."""
        return self.fits[self.best_bic]

    def table(self) -> pd.DataFrame:
        """Return one row per model, the best by BIC first.

        Columns: model, log_likelihood, parameters, aic, bic (both less those of the best one),
        p_value (the smallest of all controls), remarks.
        """
        import pandas as pd

        least_aic = self.fits[self.best_aic].aic
        least_bic = self.fits[self.best_bic].bic
        return pd.DataFrame(
            {
                "model": name,
                "log_likelihood": fit.log_likelihood,
                "parameters": fit.parameters,
                "aic": fit.aic - least_aic,
                "bic": fit.bic - least_bic,
                "p_value": min((test.p_value for test in fit.goodness), default=math.nan),
                "remarks": "; ".join(fit.remarks),
            }
            for name, fit in self.fits.items()
        )


def choose_model(
    counts_by_atom_number: CountsByAtomNumber,
    exposure: float,
    candidates: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    method: ControlMethod = "joint",
) -> ModelChoice:
    """Fit several models to controls, and compare them by information criteria.

    Parameters
    ----------
    counts_by_atom_number, exposure
        As in `fit_controls`.
    candidates : mapping of str to mapping, optional
        Options of `fit_controls` (losses, brightness_sd) by the name of the model. By default, with
        a constant and with a varying brightness each: no losses, losses of one atom at a time, of
        one or two from two atoms on, and those with losses of single atoms as well.
    method : {"steps", "joint"}
        The criteria ask for the maximum of the likelihood, which is what "joint" finds.

    Returns
    -------
    ModelChoice
        Doubts about a fit are in its `remarks`; nothing is warned of.

    Raises
    ------
    ValueError
        As `fit_controls`; if there is no candidate, or one has other options.
    """
    histograms = control_histograms(counts_by_atom_number)
    options = default_candidates(len(histograms) - 1) if candidates is None else candidates
    if not options:
        raise ValueError("expected at least one candidate, found none")
    for name, option in options.items():
        unknown = set(option) - {"losses", "brightness_sd"}
        if unknown:
            raise ValueError(
                f"expected losses and brightness_sd as options of {name!r}, found "
                f"{', '.join(sorted(unknown))}"
            )
    fits = {
        name: fit_histograms(histograms, exposure, method=method, **option)
        for name, option in options.items()
    }
    fits = dict(sorted(fits.items(), key=lambda item: item[1].bic))
    return ModelChoice(fits, min(fits, key=lambda name: fits[name].aic), next(iter(fits)))


def default_candidates(most_atoms: int) -> dict[str, dict[str, Any]]:
    """Return the models that `choose_model` compares."""
    pairs = loss_channels(None, most_atoms)
    losses: dict[str, tuple[tuple[int, int], ...]] = {"no losses": ()}
    if pairs:
        losses["one atom lost at a time"] = tuple((i, i - 1) for i in range(2, most_atoms + 1))
        losses["one or two atoms lost"] = pairs
        losses["one or two atoms lost, single ones too"] = ((1, 0), *pairs)
    else:
        losses["single atoms lost"] = ((1, 0),)
    brightness: dict[str, Any] = {"": 0.0, ", brightness varies": "fit"}
    return {
        name + words: {"losses": channels, "brightness_sd": sd}
        for words, sd in brightness.items()
        for name, channels in losses.items()
    }


def atom_number_table(counts: Counts, model: LossModel) -> pd.DataFrame:
    """Compare how many atoms there are at most: fits with 0, 0 and 1, 0 to 2, ... atoms.

    Parameters
    ----------
    counts : counts
        Of shots of unknown atom numbers, see `histogram`.
    model : LossModel

    Returns
    -------
    DataFrame
        Columns: atoms (at most), log_likelihood, parameters, aic, bic (both less the smallest), and
        the fitted probabilities p0, p1, ... The smallest criterion tells the largest atom number
        that the counts call for.
    """
    import pandas as pd

    h = histogram(counts)
    components = np.maximum(model.distribution(h.max_count), _TINY)
    seen = np.flatnonzero(h.occurrences)
    rows = []
    for most in range(model.atoms + 1):
        weights, _, _ = maximise(h.occurrences[None].astype(np.float64), components[: most + 1])
        likelihood = float(h.occurrences[seen] @ np.log(weights[0] @ components[: most + 1, seen]))
        row: dict[str, float] = {
            "atoms": most,
            "log_likelihood": likelihood,
            "parameters": most,
            "aic": 2 * most - 2 * likelihood,
            "bic": math.log(h.total) * most - 2 * likelihood,
        }
        row |= {f"p{i}": float(weight) for i, weight in enumerate(weights[0])}
        rows.append(row)
    table = pd.DataFrame(rows).fillna(0.0)
    for name in ("aic", "bic"):
        table[name] -= table[name].min()
    return table
