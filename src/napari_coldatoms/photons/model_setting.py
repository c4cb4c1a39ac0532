"""Histograms fitted with the distributions of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.fit_goodness import component_errors, mixture_goodness
from napari_coldatoms.photons.goodness import Goodness, free, goodness
from napari_coldatoms.photons.likelihoods import Likelihood, objective
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.simplex import TOLERANCE, maximise

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# probabilities below are nothing
_LOG_NOTHING = -690.0


@dataclass(frozen=True, eq=False)
class ModelSetting:
    """Distributions of a model.

    Attributes
    ----------
    components : (atoms + 1, counts)
        Probability of n counts.
    likelihood : str
    """

    components: FloatArray
    likelihood: Likelihood
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    basis: Literal["model"] = "model"
    unlikely: float = 1e-3  # p-values below are told
    source: str = "the model"
    bins: None = None
    controls: ControlFit | None = None  # whose errors count in χ²

    @property
    def size(self) -> int:
        """Number of bins."""
        return self.components.shape[1]

    def bin_of(self, counts: IntArray) -> IntArray:
        """Return the bin of each shot, the one after the last where no component reaches."""
        inside = np.minimum(counts, self.size - 1)
        reached = (counts < self.size) & (self.components.max(axis=0) > 0)[inside]
        return np.where(reached, inside, self.size)

    def unreachable(self, occurrences: IntArray) -> IntArray:
        """Return how many shots with n counts no component gives."""
        return unreached(occurrences, self.components.max(axis=0) > 0)

    def merge(self, occurrences: NDArray) -> FloatArray:
        """Return occurrences (..., counts) in the bins of the components, less unreachable ones."""
        bins = self.components.shape[1]
        kept = np.zeros((*occurrences.shape[:-1], bins))
        common = min(bins, occurrences.shape[-1])
        kept[..., :common] = occurrences[..., :common]
        return np.where(self.components.max(axis=0) > 0, kept, 0.0)

    def bins_that_matter(self, occurrences: IntArray) -> IntArray:
        """Return the bins that a fit of draws from these occurrences needs."""
        if self.likelihood == "least-squares":  # where nothing was found matters too
            return np.arange(self.size)
        return np.flatnonzero(self.merge(occurrences))

    def maximise(
        self, occurrences: FloatArray, bins: IntArray | None = None, values: bool = True
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fit histograms (b, bins): weights, log-likelihood (if values are wanted), gap."""
        components = self.components if bins is None else self.components[:, bins]
        return maximise(occurrences, components, kind=objective(self.likelihood), values=values)

    def tolerance(self, shots: int) -> float:
        """Return the largest gap that is not told: the tolerance of the fit, or rounding."""
        rounding = shots**2 if self.likelihood == "least-squares" else shots
        return max(TOLERANCE, 4e-15 * rounding)

    def goodness(self, occurrences: FloatArray, weights: FloatArray) -> Goodness:
        """Return χ² of one histogram, with the errors of fitted controls."""
        if self.controls is None:
            expected = occurrences.sum() * (weights @ self.components)
            return goodness(occurrences, expected, int(free(weights).sum()) - 1)
        errors = component_errors(self.controls, self.size - 1)
        return mixture_goodness(occurrences, weights, self.components, errors)

    def curves(
        self, weights: FloatArray, shots: float, max_count: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return expected shots and components by the number of counts."""
        more = max(max_count + 1 - self.components.shape[1], 0)
        components = np.pad(self.components, ((0, 0), (0, more)))
        return shots * (weights @ components), components

    def raw(self, weights: FloatArray) -> None:
        """Return nothing: a model has no loss to correct."""


def unreached(occurrences: IntArray, reached: NDArray[np.bool_]) -> IntArray:
    """Return occurrences where nothing reaches; what is beyond is not reached."""
    beyond = max(len(occurrences) - len(reached), 0)
    reach = np.pad(reached, (0, beyond))[: len(occurrences)]
    return np.where(reach, 0, occurrences)


def model_components(model: LossModel, max_count: int) -> FloatArray:
    """Return distributions as far as the model or the counts reach, which is not to underflow."""
    components = model.distribution()
    if max_count >= components.shape[1]:
        components = model.distribution(min(max_count, most_counts(model)))
    return components


def most_counts(model: LossModel) -> int:
    """Return the largest number of counts that has a probability above 1e-300, about."""
    mean, shape = float(model.mean_counts.max()), model.shape

    def log_probability(n: int) -> float:
        if mean == 0:
            return 0.0 if n == 0 else -math.inf
        if math.isinf(shape):
            return n * math.log(mean) - mean - math.lgamma(n + 1)
        return (
            math.lgamma(n + shape)
            - math.lgamma(shape)
            - math.lgamma(n + 1)
            - shape * math.log1p(mean / shape)
            - n * math.log1p(shape / mean)
        )

    # beyond the largest mean, no loss makes more counts likely
    low, high = math.ceil(mean), math.ceil(mean) + 1
    while log_probability(high) > _LOG_NOTHING:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if log_probability(middle) > _LOG_NOTHING else (low, middle)
    return low
