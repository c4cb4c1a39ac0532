"""Atom numbers of single shots by thresholds, how often that is right, and shares corrected for it.

Where atoms are lost during the exposure the distributions overlap and thresholds are poor; a fit
to the whole histogram (`fit_atom_numbers`) is better, and this module says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons import simplex
from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.histogram import (
    Counts,
    CountsByAtomNumber,
    control_histograms,
    histogram,
    whole_numbers,
)
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.shares import checked_probabilities, equal_probabilities
from napari_coldatoms.statistics.intervals import ONE_SIGMA, Share, binomial_interval, share

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_TIE = 1e-12  # gains closer than that are equal: the cut goes into the middle of them


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Cuts between atom numbers, and how often they are right.

    Attributes
    ----------
    cuts : (k,) int
        From ``cuts[i]`` counts on, a shot is called one with at least i + 1 of k atoms. Two equal
        cuts leave out an atom number.
    confusion : (atoms + 1, atoms + 1) array
        ``confusion[called, true]``: probability that a shot with `true` atoms is called one with
        `called`. Columns sum to 1.
    confusion_low, confusion_high : (atoms + 1, atoms + 1) arrays
        Binomial intervals of it, where it was counted in controls; equal to it for a model.
    weights : (atoms + 1,) array
        Probabilities of the atom numbers for which the cuts are the best.
    events : (atoms + 1,) int or None
        Number of control shots of each atom number; None for a model.
    level : float
        Confidence of the intervals.
    """

    cuts: IntArray
    confusion: FloatArray
    confusion_low: FloatArray
    confusion_high: FloatArray
    weights: FloatArray
    events: IntArray | None
    level: float

    @property
    def fidelities(self) -> FloatArray:
        """Probability (atoms + 1,) that a shot with i atoms is called so."""
        return np.diagonal(self.confusion).copy()

    @property
    def errors(self) -> FloatArray:
        """Probability (atoms + 1,) that a shot with i atoms is called otherwise."""
        return 1.0 - self.fidelities

    @property
    def false_rates(self) -> FloatArray:
        """Share (atoms + 1,) of wrong ones among the shots called i, at the `weights`."""
        joint = self.confusion * self.weights
        called = joint.sum(axis=1)
        right = np.diagonal(joint)
        return np.where(called > 0, 1.0 - right / np.where(called > 0, called, 1.0), 0.0)

    @property
    def mean_fidelity(self) -> float:
        """Probability that a shot is called rightly, at the `weights`."""
        return float(self.weights @ self.fidelities)

    def classify(self, counts: ArrayLike) -> IntArray:
        """Return the atom number that each shot is called.

        Parameters
        ----------
        counts : array of any shape
            Counts of each shot.

        Raises
        ------
        ValueError
            If counts are negative, fractional, NaN or infinite, or no numbers.
        """
        values = np.asarray(counts)
        whole = whole_numbers(values.ravel(), "counts of each shot")
        called = np.searchsorted(self.cuts, whole, side="right").astype(np.int64)
        return called.reshape(values.shape)

    def called(self, counts: Counts) -> IntArray:
        """Return how many shots (atoms + 1,) are called each atom number."""
        occurrences = histogram(counts).occurrences
        edges = np.concatenate([[0], np.minimum(self.cuts, len(occurrences)), [len(occurrences)]])
        sums = np.concatenate([[0], np.cumsum(occurrences)])
        return np.diff(sums[edges]).astype(np.int64)

    def raw_probabilities(self, counts: Counts) -> FloatArray:
        """Return the share (atoms + 1,) of the shots that is called each atom number."""
        called = self.called(counts)
        return called / called.sum()

    def probabilities(self, counts: Counts) -> FloatArray:
        """Return the probabilities (atoms + 1,) that explain best what was called.

        The confusion matrix is inverted by likelihood, so that none is below 0: the most likely w
        with ``confusion @ w`` for the shares of the multinomial distribution.
        """
        called = self.called(counts)[None]
        weights, _, _ = simplex.maximise(called, np.ascontiguousarray(self.confusion.T))
        return weights[0]

    def at_least(self, counts: Counts, atoms: int = 1) -> Share:
        """Return the share of shots called at least so many atoms, such as the loading."""
        if not 1 <= atoms <= len(self.cuts):
            raise ValueError(f"expected atoms from 1 to {len(self.cuts)}, found {atoms}")
        called = self.called(counts)
        return share(called[atoms:].sum(), called.sum(), self.level)

    def survival(self, before: ArrayLike, after: ArrayLike, atoms: int = 1) -> Share:
        """Return how many shots called at least so many atoms are called so a second time.

        Parameters
        ----------
        before, after : (shots,) arrays
            Counts of two exposures of the same shots.
        atoms : int
            Number of atoms, from 1 on.
        """
        first, second = self.classify(before), self.classify(after)
        if first.shape != second.shape or first.ndim != 1:
            raise ValueError(
                f"expected counts before and after of the same shots, found shapes {first.shape} "
                f"and {second.shape}"
            )
        if not 1 <= atoms <= len(self.cuts):
            raise ValueError(f"expected atoms from 1 to {len(self.cuts)}, found {atoms}")
        there = first >= atoms
        return share((second[there] >= atoms).sum(), there.sum(), self.level)


def thresholds(
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber,
    probabilities: ArrayLike | None = None,
    *,
    level: float = ONE_SIGMA,
) -> Thresholds:
    """Return the cuts between atom numbers that call the most shots rightly.

    All cuts are found together, exactly: no other choice has a larger `mean_fidelity`.

    Parameters
    ----------
    model_or_controls : LossModel, ControlFit, or counts by atom number
        What the counts are like for 0, 1, ... atoms when the exposure begins: a model, the model of
        fitted controls (without the loss of single atoms before the exposure), or counts of control
        shots as they are, with what was lost in them. Cuts from few control shots look better on
        these than they are.
    probabilities : (atoms + 1,) array, optional
        How often each atom number occurs; by default all equally. The more often one occurs, the
        wider is the range of counts that is called so.
    level : float
        Confidence of the intervals, by default that of one standard deviation.

    Returns
    -------
    Thresholds

    Raises
    ------
    ValueError
        If the mean counts do not rise with the atom number, or probabilities do not fit.
    """
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, found {level}")
    occurrences: FloatArray | None = None
    if isinstance(model_or_controls, ControlFit):
        model_or_controls = model_or_controls.model
    if isinstance(model_or_controls, LossModel):
        distributions = model_or_controls.distribution()
    else:
        controls = control_histograms(model_or_controls)
        largest = max(control.max_count for control in controls)
        occurrences = np.array([control.padded(largest) for control in controls], dtype=np.float64)
        distributions = occurrences / occurrences.sum(axis=1, keepdims=True)
    classes, length = distributions.shape
    means = distributions @ np.arange(length)
    if (np.diff(means) <= 0).any():
        found = ", ".join(f"{mean:.3g}" for mean in means)
        raise ValueError(f"expected mean counts that rise with the atom number, found {found}")
    if probabilities is None:
        weights = equal_probabilities(classes)
    else:
        weights = checked_probabilities(probabilities, classes)
    cuts = best_cuts(distributions, weights)
    if occurrences is None:
        confusion = _called_shares(distributions, cuts)
        # what lies beyond the last count is called the last atom number, too
        confusion /= confusion.sum(axis=0)
        return Thresholds(cuts, confusion, confusion, confusion, weights, None, level)
    called = _called_shares(occurrences, cuts)
    events = called.sum(axis=0)
    low, high = binomial_interval(called, np.broadcast_to(events, called.shape), level)
    return Thresholds(
        cuts, called / events, low, high, weights, np.rint(events).astype(np.int64), level
    )


def best_cuts(distributions: FloatArray, weights: FloatArray) -> IntArray:
    """Return the cuts of the largest share of shots that is called rightly.

    With F_i(c) the probability of fewer than c counts, that share is a sum over the cuts of
    ``w_i F_i(c) - w_(i+1) F_(i+1)(c)``, plus a constant. Each cut has a gain of its own, but for
    their order, so that a running maximum over the cuts below finds the best ones together. In the
    middle of equally good ones, such as an empty gap between two modes, a cut is safest.
    """
    below = np.pad(np.cumsum(distributions, axis=1), ((0, 0), (1, 0))) * weights[:, None]
    gains = below[:-1] - below[1:]
    total = gains.copy()
    for i in range(1, len(total)):
        total[i] += np.maximum.accumulate(total[i - 1])
    cuts = np.zeros(len(total), dtype=np.int64)
    end = total.shape[1]
    for i in range(len(total) - 1, -1, -1):
        possible = total[i, :end]
        best = np.flatnonzero(possible >= possible.max() - _TIE)
        # the first run of neighbouring ones
        run = best[: int(np.argmax(np.diff(best, append=best[-1] + 2) > 1)) + 1]
        cuts[i] = run[len(run) // 2]
        end = int(cuts[i]) + 1
    return cuts


def _called_shares(distributions: FloatArray, cuts: IntArray) -> FloatArray:
    """Return how much of each distribution lies between the cuts, (called, true)."""
    sums = np.pad(np.cumsum(distributions, axis=1), ((0, 0), (1, 0)))
    edges = np.concatenate([[0], cuts, [distributions.shape[1]]])
    return np.ascontiguousarray(np.diff(sums[:, edges], axis=1).T)
