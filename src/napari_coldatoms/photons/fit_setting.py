"""What a histogram is fitted with: distributions of a model, or counted controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.photons.effective_fit import maximise_effective
from napari_coldatoms.photons.event_basis import EventBasis, Rebin, event_basis
from napari_coldatoms.photons.fit_goodness import component_errors, mixture_goodness
from napari_coldatoms.photons.goodness import Goodness, first_bins, from_bins, goodness
from napari_coldatoms.photons.histogram import CountsByAtomNumber, Histogram, control_histograms
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.simplex import TOLERANCE, maximise

if TYPE_CHECKING:
    from napari_coldatoms.photons.controls import ControlFit

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Likelihood = Literal["poisson", "effective", "least-squares"]
Basis = Literal["auto", "model", "events"]

FEW_CONTROLS = 20
"""Controls of fewer shots are told."""

_LEAST_EXPECTED = 5.0
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
        return _unreached(occurrences, self.components.max(axis=0) > 0)

    def merge(self, occurrences: NDArray) -> FloatArray:
        """Return occurrences (..., counts) in the bins of the components, less unreachable ones."""
        bins = self.components.shape[1]
        kept = np.zeros((*occurrences.shape[:-1], bins))
        common = min(bins, occurrences.shape[-1])
        kept[..., :common] = occurrences[..., :common]
        return np.where(self.components.max(axis=0) > 0, kept, 0.0)

    def maximise(self, occurrences: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fit histograms (b, bins): weights, log-likelihood, gap."""
        kind: Literal["poisson", "least-squares"] = (
            "least-squares" if self.likelihood == "least-squares" else "poisson"
        )
        return maximise(occurrences, self.components, kind=kind)

    def tolerance(self, shots: int) -> float:
        """Return the largest gap that is not told."""
        return largest_gap(self.likelihood, shots)

    def goodness(self, occurrences: FloatArray, weights: FloatArray) -> Goodness:
        """Return χ² of one histogram, with the errors of fitted controls."""
        if self.controls is None:
            expected = occurrences.sum() * (weights @ self.components)
            return goodness(occurrences, expected, len(weights) - 1)
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
    notes: tuple[str, ...] = field(default=())
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
        return _unreached(occurrences, self._reached[bin_])

    def merge(self, occurrences: NDArray) -> FloatArray:
        """Return occurrences (..., counts) in the bins of the fit, less unreachable ones."""
        return np.where(self._reached, self.events.merge(occurrences), 0.0)

    def maximise(self, occurrences: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Fit histograms (b, bins): weights, log-likelihood, gap."""
        events = self.events
        return fit_events(
            occurrences,
            events.counts[None],
            events.totals[None],
            events.unmix[None],
            events.start[None],
            self.likelihood,
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
        first = first_bins(np.minimum(mean, events.counts.sum(axis=0)), _LEAST_EXPECTED)
        found, wanted, noise = (
            np.add.reduceat(x, first) for x in (occurrences, mean, mean + variance)
        )
        # as if fewer shots were expected, whose noise is as large in relation to them
        share = np.divide(wanted, noise, out=np.ones_like(wanted), where=noise > 0)
        shifted = wanted * share + (found - wanted) * share
        return from_bins(shifted, wanted * share, len(weights) - 1)

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

    Returns
    -------
    weights : (b, atoms + 1), log_likelihood : (b,), gap : (b,)
    """
    components = np.swapaxes(unmix, 1, 2) @ (counts / totals[..., None])
    if len(components) == 1:
        components = components[0]
    kind: Literal["poisson", "least-squares"] = (
        "least-squares" if likelihood == "least-squares" else "poisson"
    )
    weights, value, gap = maximise(
        occurrences, components, start=start, kind=kind, keep_positive=True
    )
    if likelihood == "effective":
        weights, value = maximise_effective(occurrences, counts, totals, unmix, start, weights)
        gap = np.full(len(value), np.nan)
    return weights, value, gap


def fit_setting(
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber,
    max_count: int,
    *,
    single_atom_loss: float | None = None,
    likelihood: Likelihood = "poisson",
    basis: Basis = "auto",
    rebin: Rebin = "adaptive",
) -> ModelSetting | EventSetting:
    """Return what to fit histograms with, of up to `max_count` counts; see `fit_atom_numbers`."""
    _check(likelihood, Likelihood, "a likelihood")
    _check(basis, Basis, "a basis")
    if basis == "model" and likelihood == "effective":
        raise ValueError(
            'expected "poisson" or "least-squares" for a model-based fit, found "effective", '
            "which is about counted controls"
        )
    model, controls, loss = parts_of(model_or_controls, single_atom_loss)
    if basis == "auto":
        basis = "model" if model is not None and likelihood != "effective" else "events"
    if basis == "model":
        if model is None:
            raise ValueError(
                "expected a LossModel or a ControlFit for a model-based fit, found counts of "
                "controls"
            )
        return ModelSetting(
            model_components(model, max_count),
            likelihood,
            _order(model.mean_counts, "rates"),
            controls=(
                None
                if isinstance(model_or_controls, LossModel)
                else cast("ControlFit", model_or_controls)
            ),
        )
    if controls is None:
        raise ValueError(
            "expected counts of controls or a ControlFit for an event-based fit, found a model"
        )
    events = event_basis(controls, loss, rebin)
    notes = (
        (f"bins of {events.width} counts",) if events.width is not None and events.width > 1 else ()
    )
    return EventSetting(
        events,
        max(control.max_count for control in controls),
        likelihood,
        (*_order([control.mean for control in controls], "mean counts"), *_few(controls)),
        notes,
    )


def parts_of(
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber, loss: float | None
) -> tuple[LossModel | None, tuple[Histogram, ...] | None, float]:
    """Return model, controls and loss, as far as they are known."""
    if isinstance(model_or_controls, LossModel):
        return model_or_controls, None, 0.0
    if hasattr(model_or_controls, "histograms"):
        fitted: ControlFit = model_or_controls  # type: ignore[assignment]
        return fitted.model, fitted.histograms, fitted.single_atom_loss if loss is None else loss
    return None, control_histograms(model_or_controls), loss or 0.0


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


def largest_gap(likelihood: Likelihood, shots: float) -> float:
    """Return the gap that an optimum may have: the tolerance, or rounding."""
    rounding = shots**2 if likelihood == "least-squares" else shots
    return max(TOLERANCE, 4e-15 * rounding)


def _unreached(occurrences: IntArray, reached: NDArray[np.bool_]) -> IntArray:
    """Return occurrences where nothing reaches; what is beyond is not reached."""
    beyond = max(len(occurrences) - len(reached), 0)
    reach = np.pad(reached, (0, beyond))[: len(occurrences)]
    return np.where(reach, 0, occurrences)


def _order(means: Sequence[float] | FloatArray, name: str) -> tuple[str, ...]:
    falls = np.flatnonzero(np.diff(np.asarray(means)) <= 0)
    if not len(falls):
        return ()
    i = int(falls[0])
    return (
        f"{name} do not rise with the atom number: {means[i]:.4g} for {i}, {means[i + 1]:.4g} for "
        f"{i + 1} atom{'s' * (i > 0)} (controls in a wrong order?)",
    )


def _few(controls: Sequence[Histogram]) -> list[str]:
    return [
        f"controls for {i} atom{'s' * (i != 1)} have {control.total} shot"
        f"{'s' * (control.total > 1)} only"
        for i, control in enumerate(controls)
        if control.total < FEW_CONTROLS
    ]


def _check(value: str, choices: object, name: str) -> None:
    if value not in get_args(choices):
        names = ", ".join(get_args(choices))
        raise ValueError(f"expected {name} of {names}, found {value!r}")
