"""Exact posteriors of small clusters of sites within their surroundings.

A linear estimator knows two moments of a site's brightness, and cannot know that a site is either
empty or occupied. Here every one of the 2⁹ occupations of a cluster (a site and its eight nearest)
is weighed: the brightnesses of the occupied sites are integrated over their distribution, those of
the sites around over the normal distributions that the current estimate gives them.

With A = MᵀWM and the light that the estimate leaves unexplained, r = MᵀW (y - M x̂), the likelihood
of the brightnesses x of a cluster C is ``exp(h·x - x·Λx / 2)`` with

    Λ = A_CC - A_CS (A_SS + D)⁻¹ A_SC,   h = g_C - A_CS (A_SS + D)⁻¹ (g_S + D m_S),

where S are the neighbours, m and D⁻¹ their prior means and variances, and g = r + A x̂ restricted
to C and S; sites farther away keep their estimate. With ``a = Λ_kk + 1/σ²`` and
``t = h_k + µ/σ²`` an occupied site k adds ``-½ ln(σ² a) + t² / 2a - µ² / 2σ² + ln(p / (1 - p))`` to
the logarithm of the weight, and is then eliminated from Λ and h; an empty one is dropped.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_coldatoms.lattice.optics import Optics
from napari_coldatoms.lattice.prior import SitePrior

FloatArray = NDArray[np.float64]

# neighbours count as part of the surroundings from this part of the overlap of a site with itself
_LEAST_OVERLAP = 0.02
_MOST_AROUND = 192


def cluster_posteriors(
    optics: Optics,
    scale: FloatArray,
    prior: SitePrior,
    centres: NDArray[np.int32],
    brightness: FloatArray,
    unexplained: FloatArray,
    occupied: FloatArray,
    probability: FloatArray,
) -> None:
    """Weigh all occupations of the clusters around some sites.

    Parameters
    ----------
    optics : Optics
        n sites.
    scale : (n,) array
        c with ``MᵀWM ≈ c_i (MᵀM)_ij c_j``.
    prior : SitePrior
        Distribution of the brightness before the image.
    centres : (c,) int32 array
        The sites whose clusters are weighed, one after the other.
    brightness, unexplained : (n,) arrays
        Estimate x̂ and ``MᵀW (y - M x̂)``.
    occupied : (n,) array
        Probability that the sites around a cluster are occupied, which the estimate was made with.
    probability : (n,) array
        Filled in: the probability of each centre, and of the other sites of their clusters as far
        as those are no centres themselves.
    """
    central = np.zeros(len(optics), dtype=np.bool_)
    central[centres] = True
    odds = math.log(prior.occupancy / (1 - prior.occupancy))
    _weigh(
        optics.overlaps.ends,
        optics.overlaps.sites,
        optics.overlaps.values,
        scale,
        optics.strength,
        optics.overlaps.clusters,
        centres,
        central,
        prior.brightness,
        prior.variance,
        odds,
        brightness,
        unexplained,
        occupied,
        prior.spread(occupied),
        probability,
    )


@njit(cache=True, nogil=True, fastmath=True)
def _weigh(
    ends: Any,
    sites: Any,
    overlap: Any,
    scale: Any,
    strength: Any,
    clusters: Any,
    centres: Any,
    central: Any,
    mu: float,
    variance: float,
    odds: float,
    x: Any,
    r: Any,
    occupied: Any,
    spread: Any,
    probability: Any,
) -> None:
    most = clusters.shape[1]
    place = np.full(x.size, -1, dtype=np.int64)
    member = np.empty(most + _MOST_AROUND, dtype=np.int64)
    around = np.zeros((_MOST_AROUND, _MOST_AROUND))
    right = np.zeros((_MOST_AROUND, most + 1))
    inner = np.zeros((most, most))
    info = np.zeros(most)
    levels = np.zeros((most + 1, most, most))
    infos = np.zeros((most + 1, most))
    weight = np.zeros(most + 1)
    branch = np.zeros(most + 1, dtype=np.int64)
    evidence = np.zeros(1 << most)
    chance = np.zeros(most)
    for n in range(centres.size):
        size = np.int64(0)  # not the type of a constant, for which the kernels would be made, too
        for c in range(most):
            site = clusters[centres[n], c]
            if site >= 0:
                member[size] = site
                place[site] = size
                size += 1
        count = _surroundings(ends, sites, overlap, strength, spread, variance, member, place, size)
        _gather(
            ends,
            sites,
            overlap,
            scale,
            x,
            r,
            occupied,
            spread,
            mu,
            member,
            place,
            size,
            count,
            inner,
            info,
            around,
            right,
        )
        _eliminate(around, right, count - size, size, inner, info)
        _enumerate(inner, info, size, mu, variance, odds, levels, infos, weight, branch, evidence)
        best = 0
        for s in range(1 << size):
            if evidence[s] > evidence[best]:
                best = s
        total = 0.0
        chance[:] = 0.0
        for s in range(1 << size):
            apart = evidence[s] - evidence[best]
            if apart > -60.0:
                part = math.exp(apart)
                total += part
                for k in range(size):
                    if s >> k & 1:
                        chance[k] += part
        for k in range(size):
            if k == 0 or not central[member[k]]:
                probability[member[k]] = min(chance[k] / total, 1.0)
        for k in range(count):
            place[member[k]] = -1


@njit(cache=True, nogil=True, fastmath=True)
def _surroundings(
    ends: Any,
    sites: Any,
    overlap: Any,
    strength: Any,
    spread: Any,
    variance: float,
    member: Any,
    place: Any,
    size: int,
) -> int:
    """Add the neighbours of a cluster whose brightness is not certain; return how many in all."""
    count = size
    for k in range(size):
        i = member[k]
        for q in range(ends[i], ends[i + 1]):
            j = sites[q]
            if (
                place[j] < 0
                and overlap[q] > _LEAST_OVERLAP * strength[i]
                and spread[j] > 1e-3 * variance
                and count < member.size
                and count - size < _MOST_AROUND
            ):
                place[j] = count
                member[count] = j
                count += 1
    return count


@njit(cache=True, nogil=True, fastmath=True)
def _gather(
    ends: Any,
    sites: Any,
    overlap: Any,
    scale: Any,
    x: Any,
    r: Any,
    occupied: Any,
    spread: Any,
    mu: float,
    member: Any,
    place: Any,
    size: int,
    count: int,
    inner: Any,
    info: Any,
    around: Any,
    right: Any,
) -> None:
    """Fill in A_CC, g_C, A_SS + D and [A_SC | g_S + D m_S] of a cluster and its surroundings."""
    for a in range(size):
        for b in range(size):
            inner[a, b] = 0.0
    for a in range(count - size):
        for b in range(a + 1):
            around[a, b] = 0.0
        for b in range(size):
            right[a, b] = 0.0
    for a in range(count):
        i = member[a]
        g = r[i]
        for q in range(ends[i], ends[i + 1]):
            j = sites[q]
            b = place[j]
            if b >= 0:
                value = scale[i] * scale[j] * overlap[q]
                g += value * x[j]
                if a < size:
                    if b < size:
                        inner[a, b] = value
                elif b < size:
                    right[a - size, b] = value
                elif b <= a:
                    around[a - size, b - size] = value
        if a < size:
            info[a] = g
        else:
            around[a - size, a - size] += 1.0 / spread[i]
            right[a - size, size] = g + mu * occupied[i] / spread[i]


@njit(cache=True, nogil=True, fastmath=True)
def _eliminate(around: Any, right: Any, count: int, size: int, inner: Any, info: Any) -> None:
    """Integrate over the surroundings by Cholesky factors, in place."""
    for a in range(count):
        for b in range(a + 1):
            value = around[a, b]
            for k in range(b):
                value -= around[a, k] * around[b, k]
            if a == b:
                around[a, a] = math.sqrt(value)
            else:
                around[a, b] = value / around[b, b]
        for k in range(a):
            factor = around[a, k]
            for b in range(size + 1):
                right[a, b] -= factor * right[k, b]
        for b in range(size + 1):
            right[a, b] /= around[a, a]
    for k in range(count):
        for a in range(size):
            factor = right[k, a]
            for b in range(size):
                inner[a, b] -= factor * right[k, b]
            info[a] -= factor * right[k, size]


@njit(cache=True, nogil=True, fastmath=True)
def _enumerate(
    inner: Any,
    info: Any,
    size: int,
    mu: float,
    variance: float,
    odds: float,
    levels: Any,
    infos: Any,
    weight: Any,
    branch: Any,
    evidence: Any,
) -> None:
    """Fill in the log weight of each occupation; bit k says whether site k is occupied."""
    precision = 1.0 / variance
    constant = odds - 0.5 * math.log(variance) - 0.5 * mu * mu * precision
    for a in range(size):
        infos[0, a] = info[a]
        for b in range(a + 1):
            levels[0, a, b] = inner[a, b]
    weight[0] = 0.0
    branch[0] = 0
    depth = 0
    occupation = 0
    while depth >= 0:
        if depth == size:
            evidence[occupation] = weight[depth]
            depth -= 1
        elif branch[depth] == 0:  # empty: the site drops out
            branch[depth] = 1
            for a in range(depth + 1, size):
                infos[depth + 1, a] = infos[depth, a]
                for b in range(depth + 1, a + 1):
                    levels[depth + 1, a, b] = levels[depth, a, b]
            weight[depth + 1] = weight[depth]
            depth += 1
            branch[depth] = 0
        elif branch[depth] == 1:  # occupied: integrate over its brightness
            branch[depth] = 2
            occupation |= 1 << depth
            total = levels[depth, depth, depth] + precision
            toward = infos[depth, depth] + mu * precision
            weight[depth + 1] = (
                weight[depth] + constant - 0.5 * math.log(total) + 0.5 * toward * toward / total
            )
            for a in range(depth + 1, size):
                factor = levels[depth, a, depth] / total
                infos[depth + 1, a] = infos[depth, a] - factor * toward
                for b in range(depth + 1, a + 1):
                    levels[depth + 1, a, b] = levels[depth, a, b] - factor * levels[depth, b, depth]
            depth += 1
            branch[depth] = 0
        else:
            occupation &= ~(1 << depth)
            depth -= 1
