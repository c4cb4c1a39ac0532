"""Simulated counts with a known truth: controls, and samples of mixed atom numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.shares import (
    checked_events,
    checked_loss,
    checked_probabilities,
    control_shares_of,
    shots_of_each,
)
from napari_coldatoms.photons.single_atom_loss import correct_single_atom_loss

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PAPER_MODEL = LossModel(
    rates=(1e3, 15e3, 29e3), losses={(2, 1): 0.8e3, (2, 0): 0.4e3}, exposure=1e-3
)
"""Two atoms as in Weyland et al. 2025, arXiv:2412.17434.

Mean counts 1, 15 and 29; 0.8 and 0.4 losses per exposure of two atoms to one and to none. The text
of the paper names neither the rates nor the exposure: these give the shapes of its Fig. 2, and the
exposure of 1 ms only sets the scale of time."""

PAPER_LOSS = 0.029
"""Probability that an atom is lost before the exposure, in the paper's Fig. 2."""


@dataclass(frozen=True, eq=False)
class SimulatedMixture:
    """Counts of shots with different atom numbers, and the truth.

    Attributes
    ----------
    counts : (shots,) int or (shots, bins) int
        Counts of each shot, in order.
    prepared : (shots,) int
        Number of atoms that were prepared.
    atom_numbers : (shots,) int
        Number of them that were there when the exposure began.
    probabilities : (atoms + 1,) array
        How likely each of these numbers was: the prepared ones, thinned by the loss of single
        atoms.
    """

    counts: IntArray
    prepared: IntArray
    atom_numbers: IntArray
    probabilities: FloatArray


def simulate_controls(
    model: LossModel,
    events: int,
    *,
    single_atom_loss: float = 0.0,
    shares: ArrayLike | None = None,
    fixed_numbers: bool = False,
    rng: np.random.Generator | int | None = None,
) -> tuple[IntArray, ...]:
    """Return simulated counts of control shots, for each prepared atom number.

    Every scattered photon and every loss of an atom is drawn (`LossModel.sample`).

    Parameters
    ----------
    model : LossModel
        Rates and losses during the exposure.
    events : int
        Number of shots of all controls together.
    single_atom_loss : float
        Probability that an atom is lost between preparation and exposure.
    shares : (atoms + 1,) array, optional
        Probability that a shot is one with 0, 1, ... prepared atoms; by default those of the paper
        for two atoms (6, 38 and 56 %), and equal ones otherwise.
    fixed_numbers : bool
        Take the shares exactly (rounded to shots) instead of drawing the number of shots of each
        control. Numbers are random where the loading of the tweezers is.
    rng : numpy.random.Generator or int, optional
        Random generator or seed.

    Returns
    -------
    tuple of (shots,) int arrays
        Counts for 0, 1, ... prepared atoms, as `fit_controls` takes them. A control that drew no
        shot is empty.

    Raises
    ------
    ValueError
        If there are no events, shares do not fit the model, or the loss is not in [0, 1).
    """
    rng = np.random.default_rng(rng)
    weights = control_shares_of(model, shares)
    loss = checked_loss(single_atom_loss)
    numbers = shots_of_each(weights, checked_events(events), fixed_numbers, rng)
    return tuple(
        model.sample(rng.binomial(prepared, 1 - loss, number), rng=rng)
        for prepared, number in enumerate(numbers)
    )


def simulate_mixture(
    model: LossModel,
    probabilities: ArrayLike,
    events: int,
    *,
    single_atom_loss: float = 0.0,
    fixed_numbers: bool = False,
    bins: int = 1,
    rng: np.random.Generator | int | None = None,
) -> SimulatedMixture:
    """Return simulated counts of shots with different atom numbers.

    Parameters
    ----------
    model : LossModel
        Rates and losses during the exposure.
    probabilities : (atoms + 1,) array
        Probability that a shot is one with 0, 1, ... prepared atoms.
    events : int
        Number of shots.
    single_atom_loss : float
        Probability that a prepared atom is lost before the exposure. With 0, the prepared atoms are
        those that are seen.
    fixed_numbers : bool
        Take the probabilities exactly (rounded to shots) instead of drawing the number of shots of
        each atom number. The order of the shots is random in both cases.
    bins : int
        Sub-bins of the exposure, see `LossModel.sample`.
    rng : numpy.random.Generator or int, optional
        Random generator or seed.

    Returns
    -------
    SimulatedMixture

    Raises
    ------
    ValueError
        If there are no events, probabilities do not fit the model, or the loss is not in [0, 1).
    """
    rng = np.random.default_rng(rng)
    weights = checked_probabilities(probabilities, model.atoms + 1)
    loss = checked_loss(single_atom_loss)
    numbers = shots_of_each(weights, checked_events(events), fixed_numbers, rng)
    prepared = rng.permutation(np.repeat(np.arange(len(numbers)), numbers))
    atoms = rng.binomial(prepared, 1 - loss)
    counts = model.sample(atoms, bins=bins, rng=rng)
    return SimulatedMixture(counts, prepared, atoms, correct_single_atom_loss(weights, loss))
