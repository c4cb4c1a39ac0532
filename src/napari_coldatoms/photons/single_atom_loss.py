"""Atoms that are lost one by one between their preparation and the exposure.

Each atom is lost with the probability ε, whatever the others do: of i prepared atoms, a binomial
number is left. Shots prepared with i atoms then contain, in the share ``T[j, i]``, j atoms.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def thinning(atoms: int, loss: float) -> FloatArray:
    """Return the probability that j of i atoms are left, ``C(i, j) (1-ε)^j ε^(i-j)`` at ``[j, i]``.

    Parameters
    ----------
    atoms : int
        Largest number of atoms.
    loss : float
        Probability ε that an atom is lost.

    Returns
    -------
    (atoms + 1, atoms + 1)
        Columns sum to 1.

    Raises
    ------
    ValueError
        If the loss is not from 0 to below 1.
    """
    if not 0 <= loss < 1:
        raise ValueError(f"expected a single-atom loss from 0 to below 1, found {loss}")
    matrix = np.zeros((atoms + 1, atoms + 1))
    for i in range(atoms + 1):
        for j in range(i + 1):
            matrix[j, i] = math.comb(i, j) * (1 - loss) ** j * loss ** (i - j)
    return matrix


def unthinning(atoms: int, loss: float) -> FloatArray:
    """Return the inverse of `thinning`, exactly: that of the loss ``-ε/(1-ε)``."""
    thinning(atoms, loss)  # checks
    matrix = np.zeros((atoms + 1, atoms + 1))
    for i in range(atoms + 1):
        for j in range(i + 1):
            matrix[j, i] = math.comb(i, j) * (-loss) ** (i - j) / (1 - loss) ** i
    return matrix


def correct_single_atom_loss(probabilities: ArrayLike, loss: float) -> FloatArray:
    """Return the atom numbers at the exposure, of a fit to controls that lost atoms before it.

    Histograms of controls contain the loss of atoms between preparation and exposure. Proportions
    w' of such histograms in another one mean ``w_j = Σ_i C(i, j) (1-ε)^j ε^(i-j) w'_i`` shots with
    j atoms at the beginning of the exposure: Eqs. 10-12 of Weyland et al. 2025 (arXiv 2412.17434),
    for any number of atoms.

    Parameters
    ----------
    probabilities : (..., atoms + 1)
        Proportions w' of the controls for 0, 1, 2, ... atoms; they may be negative where the data
        have less loss than the controls.
    loss : float
        Probability ε that an atom is lost.

    Returns
    -------
    (..., atoms + 1)
        Of the same sum.

    Raises
    ------
    ValueError
        If the loss is not from 0 to below 1, or probabilities are not finite.
    """
    raw = np.asarray(probabilities, dtype=np.float64)
    if raw.ndim == 0 or raw.shape[-1] == 0:
        raise ValueError(f"expected probabilities (..., atoms + 1), found shape {raw.shape}")
    if not np.isfinite(raw).all():
        raise ValueError("expected finite probabilities, found some that are not")
    return raw @ thinning(raw.shape[-1] - 1, loss).T
