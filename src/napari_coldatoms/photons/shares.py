"""Probabilities of atom numbers: checked, and made into numbers of shots."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.loss_model import LossModel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ROUNDING = 1e-6  # how far from 1 a sum of probabilities may be that were written down rounded


def checked_probabilities(
    probabilities: ArrayLike, classes: int, name: str = "probabilities"
) -> FloatArray:
    """Return probabilities of 0, 1, ... atoms that sum to 1, or say what else was found."""
    values = np.asarray(probabilities, dtype=np.float64)
    if values.shape != (classes,):
        raise ValueError(
            f"expected {name} of {', '.join(map(str, range(classes)))} atoms "
            f"({classes} numbers), found shape {values.shape}"
        )
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"expected {name} not below 0, found {values.tolist()}")
    total = float(values.sum())
    if abs(total - 1) > _ROUNDING:
        raise ValueError(f"expected {name} that sum to 1, found a sum of {total:g}")
    return values / total


PAPER_SHARES = (0.06, 0.38, 0.56)
"""Shares of control shots with 0, 1 and 2 atoms in Weyland et al. 2025: two tweezers, loaded to
75 % each."""


def control_shares_of(model: LossModel, shares: ArrayLike | None) -> FloatArray:
    """Return the shares of controls: given, or the paper's for two atoms, or equal ones."""
    if shares is None:
        shares = PAPER_SHARES if model.atoms == 2 else equal_probabilities(model.atoms + 1)
    return checked_probabilities(shares, model.atoms + 1, "shares")


def equal_probabilities(classes: int) -> FloatArray:
    """Return the same probability for each class."""
    return np.full(classes, 1 / classes)


def checked_events(events: int, name: str = "events") -> int:
    """Return a number of shots, a whole number above 0."""
    if isinstance(events, bool) or events != int(events) or events < 1:
        raise ValueError(f"expected {name} as a whole number above 0, found {events!r}")
    return int(events)


def checked_loss(single_atom_loss: float) -> float:
    """Return the probability that an atom is lost before the exposure."""
    loss = float(single_atom_loss)
    if not 0 <= loss < 1:
        raise ValueError(f"expected a single-atom loss from 0 to below 1, found {loss:g}")
    return loss


def shots_of_each(
    probabilities: FloatArray, events: int, fixed_numbers: bool, rng: np.random.Generator
) -> IntArray:
    """Return how many shots each class has, which sum to `events`.

    Drawn from the multinomial distribution, or as close to ``events * probabilities`` as whole
    numbers are.
    """
    if not fixed_numbers:
        return rng.multinomial(events, probabilities).astype(np.int64)
    wanted = events * probabilities
    numbers = np.floor(wanted + 1e-9).astype(np.int64)
    # the largest remainders are rounded up
    order = np.argsort(numbers - wanted, kind="stable")
    numbers[order[: events - int(numbers.sum())]] += 1
    return numbers
