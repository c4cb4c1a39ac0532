"""Occupations of many shots as plain arrays, from reconstructions or as given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.reconstruction import Reconstruction

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Occupations = Reconstruction | Iterable[Reconstruction] | ArrayLike


@dataclass(frozen=True, eq=False)
class Shots:
    """What is known of the sites in several shots.

    Attributes
    ----------
    occupied, valid : (shots, n) bool arrays
        Sites judged occupied, and sites that were judged at all.
    probability : (shots, n) array or None
        Probability of occupation, NaN where not valid; None where only decisions are known.
    occupancy : (shots,) array or None
        Probability of occupation before the image was looked at, likewise.
    """

    occupied: BoolArray
    valid: BoolArray
    probability: FloatArray | None = None
    occupancy: FloatArray | None = None


def read_shots(occupied: Occupations) -> Shots:
    """Return the shots in reconstructions, or in a bool array (n,) or (shots, n).

    Raises
    ------
    TypeError
        If there is something else than reconstructions, or an array that is not boolean.
    ValueError
        If there is no shot, or they differ in their number of sites.
    """
    if isinstance(occupied, Reconstruction):
        return _reconstructed([occupied])
    if not isinstance(occupied, np.ndarray) and not hasattr(occupied, "__array__"):
        listed: list[Any] = list(occupied)  # type: ignore[arg-type]
        if not listed:
            raise ValueError("expected the occupations of a shot or more, found none")
        if isinstance(listed[0], Reconstruction):
            return _reconstructed(listed)
        occupied = listed
    try:
        array = np.atleast_2d(np.asarray(occupied))
    except ValueError as error:
        raise ValueError(f"expected shots of equally many sites, found others: {error}") from error
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"expected occupations (n,) or (shots, n), found shape {array.shape}")
    if array.dtype != np.bool_:
        raise TypeError(f"expected reconstructions or a boolean array, found {array.dtype}")
    return Shots(array.copy(), np.ones(array.shape, dtype=np.bool_))


def _reconstructed(results: list[Any]) -> Shots:
    for result in results:
        if not isinstance(result, Reconstruction):
            raise TypeError(f"expected only reconstructions, found {type(result).__name__}")
    sizes = {len(result.valid) for result in results}
    if len(sizes) > 1:
        raise ValueError(f"expected shots of equally many sites, found {sorted(sizes)}")
    probability = np.array([result.probability for result in results])
    valid = np.array([result.valid for result in results]) & np.isfinite(probability)
    return Shots(
        occupied=np.array([result.occupied for result in results]) & valid,
        valid=valid,
        probability=np.where(valid, probability, np.nan),
        occupancy=np.array([result.parameters.occupancy for result in results]),
    )


def check_sites(shots: Shots, sites: int) -> None:
    """Raise `ValueError` where the shots do not have so many sites."""
    if shots.valid.shape[1] != sites:
        raise ValueError(
            f"expected the occupation of {sites} sites, found {shots.valid.shape[1]} in a shot"
        )
