"""Histograms of photon counts as bars, with what a fit expects: what the plots of counts draw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.fit import AtomNumberFit
from napari_coldatoms.photons.histogram import Histogram

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_MOST, _FEWEST = 200, 60  # bars
_SHOTS = 4  # a bar, on average, where there would be more than the fewest bars
_STEPS = (1, 2, 5, 10)
_LEAST_EXPECTED = 5.0  # shots of a residual, as in the χ² of fits


@dataclass(frozen=True, eq=False)
class CountBars:
    """A histogram in bars of one width.

    Attributes
    ----------
    edges : (bars + 1,)
        A bar of n counts alone spans n - 0.5 to n + 0.5.
    shots : (bars,)
    expected : (bars,) or None
        Shots that a fit expects.
    components : (atoms + 1, bars) or None
        Those of each atom number, none below zero.
    residual_edges : (residuals + 1,)
        Neighbouring bars are taken together until they expect enough shots.
    residuals : (residuals,)
        Shots less expected ones, in standard deviations of Poisson's distribution.
    stepped : bool
        What is expected is the same over some neighbouring bars: so it is drawn as steps.
    """

    edges: FloatArray
    shots: FloatArray
    expected: FloatArray | None
    components: FloatArray | None
    residual_edges: FloatArray
    residuals: FloatArray
    stepped: bool = False

    @property
    def width(self) -> int:
        """Different numbers of counts in one bar."""
        return round(self.edges[1] - self.edges[0])

    @property
    def middle(self) -> FloatArray:
        """Middle (bars,) of each bar."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    def curve(self, heights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the points of a curve with a height at each bar, from the first edge to the last.

        With steps these are the corners of the bars.
        """
        if self.stepped:
            return outline(self.edges, heights)
        x = np.concatenate([self.edges[:1], self.middle, self.edges[-1:]])
        return x, np.concatenate([heights[:1], heights, heights[-1:]])

    def bar_of(self, n: float) -> int | None:
        """Return the bar at a number of counts; None beside all."""
        if not self.edges[0] <= n < self.edges[-1]:
            return None
        return int((n - self.edges[0]) // self.width)

    def counts_of(self, bar: int) -> tuple[int, int]:
        """Return the smallest and the largest number of counts of a bar."""
        first = round(self.edges[bar] + 0.5)
        return first, first + self.width - 1


def count_bars(histogram: Histogram, fit: AtomNumberFit | None = None) -> CountBars:
    """Put a histogram, and a fit to it, into bars.

    Parameters
    ----------
    histogram : Histogram
    fit : AtomNumberFit, optional
        Shots that it left out are in the bars, but in no residual.
    """
    edges = bar_edges((histogram,))
    shots = binned(histogram.occurrences, edges)
    if fit is None:
        return CountBars(edges, shots, None, None, np.empty(0), np.empty(0))
    kept = histogram.total - len(fit.dropped_counts)
    # the components of counted controls may be below zero
    parts = kept * np.maximum(fit.probabilities[:, None] * fit.components, 0.0)
    residual_edges, residuals = _residuals(histogram, fit, edges)
    return CountBars(
        edges,
        shots,
        binned(fit.expected, edges),
        np.array([binned(part, edges) for part in parts]),
        residual_edges,
        residuals,
        stepped=fit.bins is not None,
    )


def bar_edges(histograms: tuple[Histogram, ...]) -> FloatArray:
    """Return the edges of bars for several histograms together.

    Bars are of single counts if there are not too many, or 2, 5, 10, 20, ... wide. They begin at 0
    unless all counts are far from it.
    """
    low = min(int(np.flatnonzero(h.occurrences)[0]) for h in histograms)
    high = max(h.max_count for h in histograms)
    if low < 0.4 * high:
        low = 0
    shots = max(h.total for h in histograms)
    most = min(_MOST, max(_FEWEST, shots // _SHOTS))
    width = _round_up((high - low + 1) / most)
    first = low // width
    bars = (high // width) - first + 1
    edges: FloatArray = np.arange(first, first + bars + 1, dtype=np.float64) * width - 0.5
    return edges


def binned(values: NDArray, edges: FloatArray) -> FloatArray:
    """Return the sums of values, given for 0, 1, 2, ... counts, in each bar."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    places = np.clip(np.rint(edges + 0.5).astype(np.int64), 0, len(values))
    return np.diff(sums[places])


def outline(edges: FloatArray, heights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the corners of bars that touch each other."""
    return np.repeat(edges, 2)[1:-1], np.repeat(heights, 2)


def counts_text(first: int, last: int) -> str:
    """Return a bar's numbers of counts in words."""
    return f"{first} to {last} counts" if last > first else f"{first} count{'s' * (first != 1)}"


def expected_text(shots: float) -> str:
    """Return how many shots are expected, in three digits at most."""
    return f"{shots:.0f}" if shots >= 100 else f"{shots:.3g}" if shots >= 0.01 else "none"


def _residuals(
    histogram: Histogram, fit: AtomNumberFit, edges: FloatArray
) -> tuple[FloatArray, FloatArray]:
    kept = histogram.occurrences.astype(np.float64)
    inside = fit.dropped_counts[fit.dropped_counts <= histogram.max_count]
    np.subtract.at(kept, inside, 1.0)
    if fit.bins is not None:
        # within a bin of an event-based fit the expectation is spread evenly, and means nothing
        starts = fit.bins[fit.bins <= histogram.max_count].astype(np.float64)
        edges = np.append(starts, histogram.max_count + 1.0) - 0.5
    shots, expected = binned(kept, edges), binned(fit.expected, edges)
    first = _merged(expected)
    if not len(first):
        return np.empty(0), np.empty(0)
    shots, expected = np.add.reduceat(shots, first), np.add.reduceat(expected, first)
    return np.append(edges[first], edges[-1]), (shots - expected) / np.sqrt(expected)


def _merged(expected: FloatArray) -> IntArray:
    """Return where bars begin that are taken together; the rest at the end goes to the last."""
    first, begin, total = [], 0, 0.0
    for bar, value in enumerate(expected.tolist()):
        total += value
        if total >= _LEAST_EXPECTED:
            first.append(begin)
            begin, total = bar + 1, 0.0
    if not first and total > 0:
        first = [0]
    return np.array(first, dtype=np.int64)


def _round_up(width: float) -> int:
    """Return the next whole number of those that begin with 1, 2 or 5."""
    if width <= 1:
        return 1
    power = 10 ** math.floor(math.log10(width))
    return next(step * power for step in _STEPS if step * power >= width)
