"""Histograms fitted with counted controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.effective_fit import maximise_effective
from napari_coldatoms.photons.event_basis import EventBasis
from napari_coldatoms.photons.goodness import LEAST_EXPECTED, Goodness, first_bins, free, from_bins
from napari_coldatoms.photons.likelihoods import Likelihood, objective
from napari_coldatoms.photons.model_setting import unreached
from napari_coldatoms.photons.simplex import maximise

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class EventSetting:
    """Counted controls.

    Attributes
    ----------
    events : EventBasis
    largest : int
        Largest number of counts of the controls.
    likelihood : str
    """

    events: EventBasis
    largest: int
    likelihood: Likelihood
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    basis: Literal["events"] = "events"
    # with the noise of the controls, χ² is not quite distributed like χ²
    unlikely: float = 1e-4
    source: str = "the controls"

    @property
    def bins(self) -> IntArray:
        """Smallest number of counts of each bin."""
        return self.events.first

    @property
    def _reached(self) -> NDArray[np.bool_]:
        return self.events.counts.max(axis=0) > 0

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.events.first)

    def bin_of(self, counts: IntArray) -> IntArray:
        """Return the bin of each shot, the one after the last where no control reaches."""
        inside = np.searchsorted(self.events.first, counts, side="right") - 1
        return np.where(self._reached[inside], inside, self.size)

    def unreachable(self, occurrences: IntArray) -> IntArray:
        """Return how many shots with n counts are in bins that no control reaches."""
        bin_ = np.searchsorted(self.events.first, np.arange(len(occurrences)), side="right") - 1
        return unreached(occurrences, self._reached[bin_])

    def merge(self, occurrences: NDArray) -> FloatArray:
        """Return occurrences (..., counts) in the bins of the fit, less unreachable ones."""
        return np.where(self._reached, self.events.merge(occurrences), 0.0)

    def bins_that_matter(self, occurrences: IntArray) -> IntArray:
        """Return the bins that a fit of draws from these occurrences needs: all of them."""
        return np.arange(self.size)

    def maximise(
        self, occurrences: FloatArray, bins: IntArray | None = None, values: bool = True
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fit histograms (b, bins): weights, log-likelihood (if values are wanted), gap."""
        events = self.events
        return fit_events(
            occurrences,
            events.counts[None],
            events.totals[None],
            events.unmix[None],
            events.start[None],
            self.likelihood,
            values,
        )

    def tolerance(self, shots: int) -> float:
        """Return the largest gap that is not told: bounds on bins are less exact than weights."""
        if self.likelihood == "least-squares":
            return max(1e-7, 1e-9 * shots**2)
        return max(1e-7, 1e-12 * shots)

    def goodness(self, occurrences: FloatArray, weights: FloatArray) -> Goodness:
        """Return χ² of one histogram, with the noise of the controls."""
        events = self.events
        scale = occurrences.sum() * (events.unmix @ weights) / events.totals
        mean = np.maximum(scale @ events.counts, 0.0)
        variance = scale**2 @ events.counts
        # bins with few control shots do not know how uncertain they are
        first = first_bins(np.minimum(mean, events.counts.sum(axis=0)), LEAST_EXPECTED)
        found, wanted, noise = (
            np.add.reduceat(x, first) for x in (occurrences, mean, mean + variance)
        )
        # as if fewer shots were expected, whose noise is as large in relation to them
        share = np.divide(wanted, noise, out=np.ones_like(wanted), where=noise > 0)
        shifted = wanted * share + (found - wanted) * share
        return from_bins(shifted, wanted * share, int(free(weights).sum()) - 1)

    def curves(
        self, weights: FloatArray, shots: float, max_count: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return expected shots and components by the number of counts, even over each bin."""
        counts = max(max_count, self.largest) + 1
        n = np.arange(counts)
        bin_ = np.searchsorted(self.events.first, n, side="right") - 1
        widths = np.bincount(bin_, minlength=len(self.events.first))
        components = (self.events.components / np.maximum(widths, 1))[:, bin_]
        return np.maximum(shots * (weights @ components), 0.0), components

    def raw(self, weights: FloatArray) -> FloatArray:
        """Return the proportions of the controls."""
        return self.events.unmix @ weights


def fit_events(
    occurrences: FloatArray,
    counts: FloatArray,
    totals: FloatArray,
    unmix: FloatArray,
    start: FloatArray,
    likelihood: Likelihood,
    values: bool = True,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fit histograms with counted controls: the same for all, or one set for each.

    Parameters
    ----------
    occurrences : (b, bins)
    counts : (1 or b, atoms + 1, bins), totals : (1 or b, atoms + 1)
        Of the controls.
    unmix : (1 or b, atoms + 1, atoms + 1), start : (1 or b, atoms + 1)
        See `EventBasis`.
    likelihood : str
    values : bool
        Whether log-likelihoods are wanted.

    Returns
    -------
    weights : (b, atoms + 1), log_likelihood : (b,) or empty, gap : (b,)
    """
    components = np.swapaxes(unmix, 1, 2) @ (counts / totals[..., None])
    if len(components) == 1:
        components = components[0]
    weights, value, gap = maximise(
        occurrences,
        components,
        start=start,
        kind=objective(likelihood),
        keep_positive=True,
        values=values,
    )
    if likelihood == "effective":
        weights, value = maximise_effective(occurrences, counts, totals, unmix, start, weights)
        gap = np.full(len(weights), np.nan)
    return weights, value, gap
