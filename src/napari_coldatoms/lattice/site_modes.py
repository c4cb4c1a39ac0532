"""Two modes of brightness for each of many sites, which resemble each other.

Atoms of one site may be brighter than those of another: the light is uneven, the traps differ. Each
site has a mixture of two normal modes of its own, but few shots do not show it. So the sites' means
are taken as scattered normally about common ones (and their variances and occupancies in the
conjugate ways), with a scatter that is found from all sites: empirical Bayes, by expectation and
maximisation over all sites at once (Gelman et al., *Bayesian Data Analysis*, 3rd ed., chapters 5
and 22).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.statistics.mixture import Mixture

FloatArray = NDArray[np.float64]

_FEWEST_SHOTS, _MOST_SHOTS = 2.0, 1000.0  # that the common occupancy may count as
_FEWEST_WIDTHS, _MOST_WIDTHS = 10.0, 1000.0  # shots that the common variances may count as
_LITTLE = 1e-3  # shots
_RAREST = 1e-6  # occupancy
_LEAST_SCATTER = 1e-3  # of the sites' means, in the standard deviation of a mode
_SHARPEST = 1e-6  # width of a mode over the distance of the two
_DIMMEST = 1 / 3  # place of the darkest occupied mode between the common ones
_ODD = 2.5  # scatters; a site farther away counts as if it were there
_DOUBT = 0.1  # of the variance of a mode of all sites
_LEAST_PRIOR = 2.0  # shots that the common means count as at least
_FIRST_PRIOR = 20.0  # shots, to begin with
_FIRST_PASSES = 10
_PASSES = 300
_TOLERANCE = 1e-3  # in standard deviations of a mode


@dataclass(frozen=True, eq=False)
class _Common:
    """What the sites have in common; each (2,) for the two modes, but the occupancy.

    The means of the sites scatter by `scatter` (a variance) about `means`; within a site values
    have the variance `variances`; `total` is that of the values of all sites. The occupancy counts
    as `shots` shots, the variances as `variance_shots` of their mode.
    """

    means: FloatArray
    scatter: FloatArray
    variances: FloatArray
    total: FloatArray
    occupancy: float
    shots: float
    variance_shots: FloatArray


@dataclass(frozen=True, eq=False)
class SiteModes:
    """The modes of all sites: (n, 2), and the occupancy (n,)."""

    means: FloatArray
    errors: FloatArray  # variances of the means
    variances: FloatArray
    occupancy: FloatArray

    @property
    def predicted(self) -> FloatArray:
        """Variance of a further value."""
        return self.variances + self.errors


def fit_sites(values: FloatArray, counted: FloatArray, start: Mixture) -> SiteModes:
    """Return the modes of the sites.

    Parameters
    ----------
    values : (shots, n) array
        Brightnesses, scaled so that the modes of `start` are about 1 apart; 0 where not counted.
    counted : (shots, n) array
        1 where a value counts, 0 elsewhere.
    start : Mixture
        The modes of the values of all sites.
    """
    n = values.shape[1]
    powers = (np.ones_like(values), values, values**2)
    # begun with sites that hardly differ, and with the occupancies alone: sites that are always
    # empty or always occupied would break their one mode into two if its shape were free before
    # the other mode is known to be rare there
    variances = start.sds**2
    common = _Common(
        means=start.means,
        scatter=variances / _FIRST_PRIOR,
        variances=variances,
        total=variances,
        occupancy=float(start.weights[1]),
        shots=_FIRST_PRIOR,
        variance_shots=np.full(2, _FIRST_PRIOR),
    )
    sites = SiteModes(
        means=np.tile(start.means, (n, 1)),
        errors=np.zeros((n, 2)),
        variances=np.tile(variances, (n, 1)),
        occupancy=np.full(n, common.occupancy),
    )
    for k in range(_PASSES):
        before = sites
        occupied = counted * _probability(values, sites)
        parts = (counted - occupied, occupied)
        sums = [
            np.column_stack([np.einsum("ti,ti->i", part, power) for part in parts])
            for power in powers
        ]
        if k < _FIRST_PASSES:
            sites, common = _only_occupancy(sites, common, sums[0])
            continue
        sites, common = _maximise(common, *sums)
        width = np.sqrt(common.variances)
        moved = np.abs(sites.means - before.means) / width
        widened = np.abs(np.sqrt(sites.predicted) - np.sqrt(before.predicted)) / width
        if max(moved.max(), widened.max()) < _TOLERANCE:
            break
    # where there are no two modes, a site may lose their order
    lost = ~(sites.means[:, 1] > sites.means[:, 0])
    sites.means[lost] = start.means
    sites.variances[lost] = start.sds**2
    sites.errors[lost] = 0.0
    return sites


def _probability(values: FloatArray, sites: SiteModes) -> FloatArray:
    """Return the probability of the upper mode, as in `Mixture.probability`, (shots, n)."""
    from scipy.special import expit, logit

    m0, m1 = sites.means.T
    v0, v1 = sites.predicted.T
    gap = np.maximum(m1 - m0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # beyond these the wider mode would win on both sides
        low = np.where(v0 < v1, m0 - gap * v0 / (v1 - v0), -np.inf)
        high = np.where(v0 > v1, m1 + gap * v1 / (v0 - v1), np.inf)
    odds = np.clip(values, low, high)
    lower = (odds - m0) ** 2
    odds -= m1
    np.square(odds, out=odds)
    odds *= -0.5 / v1
    lower *= 0.5 / v0
    odds += lower
    odds += logit(sites.occupancy) + 0.5 * np.log(v0 / v1)
    return np.asarray(expit(odds, out=odds))


def _only_occupancy(
    sites: SiteModes, common: _Common, weight: FloatArray
) -> tuple[SiteModes, _Common]:
    shots = weight.sum(axis=1)
    share, counts_as = _common_occupancy(weight[:, 1], shots, common)
    occupancy = (weight[:, 1] + counts_as * share) / (shots + counts_as)
    return (
        replace(sites, occupancy=occupancy),
        replace(common, occupancy=share, shots=counts_as),
    )


def _maximise(
    common: _Common, weight: FloatArray, first: FloatArray, second: FloatArray
) -> tuple[SiteModes, _Common]:
    """Return better sites and what they have in common.

    `weight`, `first` and `second` are the sums of the probabilities of each mode, and those of the
    values and their squares so weighted, (n, 2).
    """
    # in shots; few of them would otherwise follow the noise where the scatter is overestimated
    prior = np.maximum(common.variances / common.scatter, _LEAST_PRIOR)
    means = (first + prior * common.means) / (weight + prior)
    # where one mode is missing, the other one may not take its place
    fence = common.means[0] + _DIMMEST * (common.means[1] - common.means[0])
    means = np.column_stack([np.minimum(means[:, 0], fence), np.maximum(means[:, 1], fence)])
    errors = common.variances / (weight + prior)
    # expected sum of (value - mean)²
    squares = np.maximum(second - 2 * means * first + weight * means**2, 0.0) + weight * errors
    variances = squares + common.variance_shots * common.variances
    variances /= weight + common.variance_shots
    all_shots = weight.sum(axis=1)
    occupancy = (weight[:, 1] + common.shots * common.occupancy) / (all_shots + common.shots)
    # a little of what was known before, for modes without any value
    within = (squares.sum(axis=0) + _LITTLE * common.variances) / (weight.sum(axis=0) + _LITTLE)
    within = np.maximum(within, _SHARPEST**2)
    # a single odd site does not tell how all scatter
    away = np.minimum((means - common.means) ** 2, _ODD**2 * common.scatter)
    between = np.mean(away + errors, axis=0)
    # the values of all sites scatter by both; what is left is not known to a few per cent of all
    between = np.minimum(between, np.maximum(common.total - within, _DOUBT * common.total))
    between = np.maximum(between, _LEAST_SCATTER**2 * within)
    # the mean of a site's values has the variance between + within / weight
    spread = within + weight * between
    known = _LITTLE / (within + between)
    centre = (first / spread).sum(axis=0) + known * common.means
    centre /= (weight / spread).sum(axis=0) + known
    share, counts_as = _common_occupancy(weight[:, 1], all_shots, common)
    # variances from N values scatter by 2/N of their squares, and those of the sites by about
    # 2 / (ν - 4) if their mean counts as ν shots
    more = (squares - weight * within) ** 2 / np.maximum(weight, 1.0) / within**2 - 2 * (weight > 1)
    excess = more.sum(axis=0) / np.maximum(weight.sum(axis=0), 1.0)
    widths = 4 + 2 / np.maximum(excess, 2 / _MOST_WIDTHS)
    return (
        SiteModes(means, errors, variances, occupancy),
        replace(
            common,
            means=centre,
            scatter=between,
            variances=within,
            occupancy=share,
            shots=counts_as,
            variance_shots=np.clip(widths, _FEWEST_WIDTHS, _MOST_WIDTHS),
        ),
    )


def _common_occupancy(
    occupied: FloatArray, shots: FloatArray, common: _Common
) -> tuple[float, float]:
    """Return the common occupancy, and as how many shots it counts, from its scatter."""
    share = (float(occupied.sum()) + _LITTLE * common.occupancy) / (float(shots.sum()) + _LITTLE)
    share = min(max(share, _RAREST), 1 - _RAREST)
    seen = shots > 0
    if not seen.any():
        return share, common.shots
    # a Beta distribution of the occupancy that counts as k shots: the counted shares have the
    # variance share (1 - share) (1/shots + (1 - 1/shots) / (k + 1))
    most = share * (1 - share)
    counted = float(np.mean((occupied[seen] / shots[seen] - share) ** 2 - most / shots[seen]))
    possible = most * float(np.mean(1 - 1 / shots[seen]))
    if counted * (_MOST_SHOTS + 1) <= possible:
        return share, _MOST_SHOTS
    return share, max(possible / counted - 1, _FEWEST_SHOTS)
