"""A threshold for each site, from its brightness in many shots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.site_modes import fit_sites
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

FloatArray = NDArray[np.float64]

_OUTSIDE = 3.0  # distances of the modes, and 6 of their widths, beyond which values are left out


@dataclass(frozen=True, eq=False)
class SiteThresholds:
    """Thresholds of single sites, from `site_thresholds`.

    Attributes
    ----------
    threshold : (n,) array
        Brightness above which a site is more likely occupied than empty.
    means, sds : (n, 2) array
        Mean and standard deviation of the brightness of the empty and of the occupied site. The
        uncertainty of the mean is part of the standard deviation.
    occupancy : (n,) array
        Probability that a site is occupied.
    error_rate : (n,) array
        Share of the shots of a site that are on the wrong side of its threshold: the overlap of
        its two modes.
    shots : (n,) int array
        Number of shots that were used for each site. Sites without any have the common modes.
    """

    threshold: FloatArray
    means: FloatArray
    sds: FloatArray
    occupancy: FloatArray
    error_rate: FloatArray
    shots: NDArray[np.int64]


def site_thresholds(
    brightness: ArrayLike, valid: ArrayLike | None = None, *, mixture: Mixture | None = None
) -> SiteThresholds:
    """Return a threshold for each site from its brightness in many shots.

    Two normal modes are fitted to the values of each site. Its means, variances and occupancy are
    drawn towards those of all sites, the more so the fewer shots it has: the common mean counts as
    s²/τ² shots, and at least as 2, where s is the width of a mode within a site and τ the scatter
    between sites; the common occupancy and the common variances as many shots as their scatter
    between sites tells, from 2 or 10 to 1000. So a site that was always occupied, or always empty,
    has the other mode from the other sites. The darkest atoms that are looked for have a third of
    the common brightness.

    Parameters
    ----------
    brightness : (shots, n) array
        Brightness of each site, such as `Reconstruction.brightness` of many images, stacked. What
        is not finite is left out, and so are values far beyond the modes of all.
    valid : (shots, n) or (n,) bool array, optional
        Which of them count, such as `Reconstruction.valid`; default all.
    mixture : Mixture, optional
        The modes to begin with; by default those fitted to the values of all sites. Needed only
        where these do not show: few sites in few shots, or hardly any empty or occupied ones.

    Returns
    -------
    SiteThresholds
        The threshold lies where the two modes, weighted with the site's occupancy, are equally
        likely.

    Raises
    ------
    ValueError
        If the arrays are not as described, or there is nothing to fit: fewer than four values,
        or all equal.
    TypeError
        If `valid` is not boolean.
    """
    values = np.asarray(brightness, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"expected brightness of shape (shots, n), found {values.shape}")
    counted = np.isfinite(values) & _mask(valid, values.shape)
    start = mixture if mixture is not None else fit_mixture(values[counted])
    distance = float(start.means[1] - start.means[0])
    if not distance > 0:
        raise ValueError("expected brightnesses of two modes, found one")
    reach = _OUTSIDE * distance + 6 * start.sds
    low, high = start.means[0] - reach[0], start.means[1] + reach[1]
    with np.errstate(invalid="ignore"):
        counted &= (values >= low) & (values <= high)
    # in units of the modes' distance, so that squares of large offsets do not swamp the rest
    scaled = np.where(counted, (values - start.means[0]) / distance, 0.0)
    unit = start.transformed(1 / distance, -start.means[0] / distance)
    sites = fit_sites(scaled, counted.astype(np.float64), unit)
    means = start.means[0] + distance * sites.means
    sds = distance * np.sqrt(sites.predicted)
    modes = [
        Mixture(np.array([1 - p, p]), m, s)
        for p, m, s in zip(sites.occupancy, means, sds, strict=True)
    ]
    return SiteThresholds(
        threshold=np.array([mode.threshold for mode in modes]),
        means=means,
        sds=sds,
        occupancy=sites.occupancy,
        error_rate=np.array([mode.error_rate for mode in modes]),
        shots=counted.sum(axis=0),
    )


def _mask(valid: ArrayLike | None, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if valid is None:
        return np.ones(shape, dtype=np.bool_)
    mask = np.asarray(valid)
    if mask.dtype != np.bool_:
        raise TypeError(f"expected valid to be boolean, found {mask.dtype}")
    if mask.shape not in (shape, shape[1:]):
        raise ValueError(f"expected valid of the shape {shape} or {shape[1:]}, found {mask.shape}")
    return np.broadcast_to(mask, shape)
