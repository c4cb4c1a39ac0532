"""What shots and controls tell about the proportions: the Fisher information, and what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.shares import (
    checked_loss,
    checked_probabilities,
    control_shares_of,
)
from napari_coldatoms.photons.single_atom_loss import thinning

FloatArray = NDArray[np.float64]

_STEP = 1e-4  # of central differences, relative to the parameter or to one count
_LEAST = 1e-12  # eigenvalues of an information below this share of the largest count as none
_NEVER = 1e-200  # counts less likely than that tell nothing
_MOST_SEQUENCES = 2_000_000  # sequences of counts in sub-bins that are summed over


@dataclass(frozen=True, eq=False)
class Precision:
    """How well proportions can be known from one shot, and from one control shot.

    Attributes
    ----------
    sample : (atoms + 1, atoms + 1) array
        Covariance of the proportions because of the sample, times its number of shots.
    controls : (atoms + 1, atoms + 1) array
        Covariance because rates and losses come from controls, times their number of shots.
    """

    sample: FloatArray
    controls: FloatArray

    def covariance(self, events: float, control_events: float | None = None) -> FloatArray:
        """Return the covariance (atoms + 1, atoms + 1) of proportions; None: rates are known."""
        result = self.sample / events
        return result if control_events is None else result + self.controls / control_events

    def errors(self, events: float, control_events: float | None = None) -> FloatArray:
        """Return the standard deviation (atoms + 1,) of each proportion."""
        variance = np.diagonal(self.covariance(events, control_events))
        return np.sqrt(np.maximum(variance, 0.0))


def precision(
    model: LossModel,
    probabilities: ArrayLike,
    *,
    control_shares: ArrayLike | None = None,
    single_atom_loss: float = 0.0,
    bins: int = 1,
) -> Precision:
    """Return how well proportions can be known.

    The sample: ``I_ij = Σ_n p_i p_j / f`` for the mixture f = Σ_i w_i p_i, on the proportions that
    sum to 1. The controls: their Fisher information about all rates, losses and the loss of single
    atoms before the exposure, and how the fitted proportions follow these parameters,
    ``dw/dθ = - I⁻¹ Σ_n p_i (∂f/∂θ) / f``.

    Parameters
    ----------
    model : LossModel
        `brightness_sd` is taken as known.
    probabilities : (atoms + 1,) array
        Proportions at the beginning of the exposure.
    control_shares : (atoms + 1,) array, optional
        Shares of the control shots; see `simulate_controls`.
    single_atom_loss : float
        Probability that an atom of a control is lost before the exposure.
    bins : int
        Equal parts of the exposure that are counted apart in the sample; controls are fitted to
        whole counts.

    Raises
    ------
    ValueError
        If an argument is out of its range, or there are too many bins to sum over.
    """
    classes = model.atoms + 1
    w = checked_probabilities(probabilities, classes)
    shares = control_shares_of(model, control_shares)
    loss = checked_loss(single_atom_loss)
    parameters = Parameters(model)
    limits = _largest_counts(model, bins)
    components = _sequences(model, bins, limits).reshape(classes, -1)
    mixture = w @ components
    seen = mixture > _NEVER
    scaled = components[:, seen] / mixture[seen]
    basis = _zero_sum_basis(classes)
    information = basis.T @ (scaled @ components[:, seen].T) @ basis
    sample = basis @ _inverse(information) @ basis.T
    slopes = parameters.derivatives(
        lambda moved: (w @ _sequences(moved, bins, limits).reshape(classes, -1))[seen]
    )
    response = sample @ (scaled @ slopes.T)
    covariance = _inverse(_control_information(model, parameters, shares, loss))
    # the loss before the exposure is no part of the model that the sample is fitted with
    known = covariance[:-1, :-1]
    return Precision(sample, response @ known @ response.T)


class Parameters:
    """The rates and losses of a model as one vector of numbers without units.

    Mean counts of each atom number, then losses per exposure, in the order of `model.losses`.
    """

    def __init__(self, model: LossModel) -> None:
        self.model = model
        self.keys = tuple(model.losses)
        losses = [model.losses[key] * model.exposure for key in self.keys]
        self.values = np.concatenate([model.mean_counts, losses])

    def moved(self, values: FloatArray) -> LossModel:
        """Return the model with other values."""
        means, losses = values[: self.model.atoms + 1], values[self.model.atoms + 1 :]
        exposure = self.model.exposure
        return replace(
            self.model,
            rates=tuple(means / exposure),
            losses=dict(zip(self.keys, losses / exposure, strict=True)),
        )

    def derivatives(self, function: Callable[[LossModel], FloatArray]) -> FloatArray:
        """Return the derivatives (parameters, ...) of something, by central differences."""
        rows = []
        for k, value in enumerate(self.values):
            step = _STEP * max(value, 1.0)
            low, high = self.values.copy(), self.values.copy()
            high[k] += step
            low[k] = max(value - step, 0.0)  # one-sided where there is nothing below
            rows.append((function(self.moved(high)) - function(self.moved(low))) / (high - low)[k])
        return np.array(rows)


def _control_information(
    model: LossModel, parameters: Parameters, shares: FloatArray, loss: float
) -> FloatArray:
    """Return the information (parameters + 1, ...) of one control shot, the loss at the end."""
    pure = model.distribution()
    largest = pure.shape[1] - 1
    left = thinning(model.atoms, loss)
    counted = left.T @ pure
    slopes = left.T @ parameters.derivatives(lambda moved: moved.distribution(largest))
    high, low = loss + _STEP, max(loss - _STEP, 0.0)
    change = thinning(model.atoms, high) - thinning(model.atoms, low)
    slopes = np.concatenate([slopes, (change.T @ pure / (high - low))[None]])
    weights = shares[:, None] / np.where(counted > _NEVER, counted, np.inf)
    return np.einsum("kin,lin,in->kl", slopes, slopes, weights, optimize=True)


def _largest_counts(model: LossModel, bins: int) -> int:
    if bins < 1:
        raise ValueError(f"expected at least one bin, found {bins}")
    if bins > 1 and model.brightness_sd > 0:
        raise ValueError(
            "expected a constant brightness for several bins, found brightness_sd "
            f"{model.brightness_sd:g}"
        )
    part = model.with_exposure(model.exposure / bins)
    largest = part.distribution().shape[1] - 1
    if (largest + 1) ** bins > _MOST_SEQUENCES:
        raise ValueError(
            f"expected at most {_MOST_SEQUENCES} sequences of counts, found {bins} bins with 0 to "
            f"{largest} counts"
        )
    return largest


def _sequences(model: LossModel, bins: int, largest: int) -> FloatArray:
    """Return the probability of counts in each bin, (atoms + 1, max_count + 1, ...)."""
    part = model.with_exposure(model.exposure / bins)
    result = part.distribution(largest)
    if bins > 1:
        first = part.transitions(largest)
        for _ in range(bins - 1):
            # begun with i: n counts and j atoms left, then what follows from j
            result = np.einsum("jin,j...->in...", first, result)
    return result


def _zero_sum_basis(classes: int) -> FloatArray:
    """Return orthonormal directions (classes, classes - 1) whose components sum to 0."""
    directions = np.column_stack([np.ones(classes), np.eye(classes)[:, 1:]])
    return np.linalg.qr(directions)[0][:, 1:]


def _inverse(information: FloatArray) -> FloatArray:
    """Return the inverse; directions about which nothing is known are left out.

    They are those that no count depends on, such as the rate of atoms that are lost at once.
    """
    scale = np.sqrt(np.diagonal(information))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    kept = values > _LEAST * values.max()
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse / np.outer(scale, scale)
