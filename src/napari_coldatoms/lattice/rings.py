"""Means over rings around a centre."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.occupations import read_shots
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.statistics.intervals import ONE_SIGMA, binomial_interval

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RadialProfile:
    """Means over rings, from the centre outwards, (m,) arrays.

    Attributes
    ----------
    radius : (m,) array
        Mean distance of the ring's sites from the centre, in px.
    mean : (m,) array
        Mean of the values.
    low, high : (m,) arrays
        Confidence interval of the mean; NaN where one value does not tell it.
    sites : (m,) int array
        Sites with a value.
    centre : (float, float)
        The centre (y, x), in px.
    """

    radius: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    sites: NDArray[np.intp]
    centre: tuple[float, float]

    def table(self) -> pd.DataFrame:
        """Return one row per ring; ``attrs["units"]`` has the units."""
        import pandas as pd

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        centre = columns.pop("centre")
        table = pd.DataFrame(columns)
        table.attrs["units"] = {"radius": "px"}
        table.attrs["centre"] = centre
        return table


def azimuthal_average(
    values: Reconstruction | Iterable[Reconstruction] | ArrayLike,
    lattice: Lattice,
    centre: ArrayLike | None = None,
    width: float | None = None,
    *,
    confidence: float = ONE_SIGMA,
) -> RadialProfile:
    """Return the mean of the occupation, or of any value of the sites, over rings.

    Parameters
    ----------
    values : Reconstruction, sequence of Reconstruction, or array (n,) or (shots, n)
        Occupations: reconstructions, whose probabilities are taken, or booleans. Or numbers; those
        that are NaN do not count. Several shots are averaged.
    lattice : Lattice
        The n sites.
    centre : (float, float), optional
        Centre (y, x) of the rings, in px; by default the centre of mass.
    width : float, optional
        Width of the rings, in px, the first of them a disc of this radius; by default the square
        root of the area per site.
    confidence : float
        Of the intervals: that of a counted share for occupations, of sites independent of each
        other; for numbers normal, from the scatter of the sites in a ring.

    Returns
    -------
    RadialProfile
        Rings without sites are left out.

    Raises
    ------
    ValueError
        If there is another number of sites, no value, negative values without a centre, or the
        width is not positive.
    """
    sums, counts, occupations = _per_site(values, len(lattice))
    here = counts > 0
    if not here.any():
        raise ValueError("expected values of sites, found none")
    mean = sums[here] / counts[here]
    positions = lattice.positions[here]
    middle = _centre_of_mass(positions, mean) if centre is None else np.asarray(centre, dtype=float)
    if middle.shape != (2,) or not np.isfinite(middle).all():
        raise ValueError(f"expected a centre (y, x), found {centre!r}")
    step = lattice.site_area**0.5 if width is None else width
    if not step > 0 or math.isnan(step):
        raise ValueError(f"expected a positive width, found {width}")
    radius = np.hypot(*(positions - middle).T)
    _, ring = np.unique(np.floor(radius / step), return_inverse=True)
    sites = np.bincount(ring)
    if occupations:
        trials = np.bincount(ring, counts[here])
        successes = np.bincount(ring, sums[here])
        level = successes / trials
        low, high = binomial_interval(np.clip(successes, 0, trials), trials, confidence)
    else:
        level = np.bincount(ring, mean) / sites
        half = _normal_half_width(mean - level[ring], ring, sites, confidence)
        low, high = level - half, level + half
    return RadialProfile(
        radius=np.bincount(ring, radius) / sites,
        mean=level,
        low=low,
        high=high,
        sites=sites,
        centre=(float(middle[0]), float(middle[1])),
    )


def _per_site(
    values: Reconstruction | Iterable[Reconstruction] | ArrayLike, sites: int
) -> tuple[FloatArray, FloatArray, bool]:
    """Return sum and number of each site's values, and whether these are occupations."""
    taken: Any = values
    if not isinstance(taken, Reconstruction) and not hasattr(taken, "__array__"):
        taken = list(taken)
    first = taken[0] if isinstance(taken, list) and taken else taken
    occupations = isinstance(first, Reconstruction)
    if occupations:
        array = read_shots(taken).probability
    else:
        given = np.asarray(taken)
        occupations = given.dtype == np.bool_
        array = given.astype(np.float64)
    assert array is not None
    array = np.atleast_2d(array)
    if array.ndim != 2 or array.shape[1] != sites:
        raise ValueError(
            f"expected values of {sites} sites, (n,) or (shots, n), found shape {array.shape}"
        )
    finite = np.isfinite(array)
    return np.where(finite, array, 0.0).sum(axis=0), finite.sum(axis=0).astype(float), occupations


def _centre_of_mass(positions: FloatArray, mass: FloatArray) -> FloatArray:
    if mass.min() < 0:
        raise ValueError("expected a centre for values of which some are negative, found none")
    if not mass.sum() > 0:
        return positions.mean(axis=0)
    return np.asarray(mass @ positions / mass.sum())


def _normal_half_width(
    residual: FloatArray, ring: NDArray[np.intp], sites: NDArray[np.intp], confidence: float
) -> FloatArray:
    from scipy.special import ndtri

    several = np.maximum(sites - 1, 1)
    variance = np.bincount(ring, residual**2) / several / sites
    error = np.where(sites > 1, np.sqrt(variance), np.nan)
    return np.asarray(float(ndtri((1 + confidence) / 2)) * error)
