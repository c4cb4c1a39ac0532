"""The vectors of an unknown lattice, from the periodicity of images of its sites.

The squares of filtered images (see `spectrum` and `phase`) have the period of the lattice. Their
Fourier power, averaged over shots, does not depend on where the lattice is in each; it has peaks at
the reciprocal vectors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, maximum_filter

from napari_coldatoms.lattice.coarse_phase import reduced
from napari_coldatoms.lattice.spectrum import frequencies, mean_power

FloatArray = NDArray[np.float64]

_RINGS = 40
_WEAKEST = 1e-3  # of the power of the strongest ring; where there is less, no peak is looked for
_FALSE_ALARM = 1e-4  # probability that noise makes a peak
_SLOWEST = 5.0  # periods in the frame
_MOST_PEAKS = 10
_SMALLEST_ANGLE = 0.3  # sine of the angle between reciprocal vectors
_SMOOTH = 6.0  # px


@dataclass(frozen=True, eq=False)
class Periods:
    """Vectors of a lattice found in images.

    Attributes
    ----------
    vectors : (2, 2) array
        The shortest ones, each (y, x) in px: the second is the one nearest to +x, the first is
        nearest to +y, or the one of two at the acute angle.
    heights : (2,) array
        Of the peaks of their reciprocal vectors, over the noise around them.
    """

    vectors: FloatArray
    heights: FloatArray


def find_periods(squares: FloatArray) -> Periods | None:
    """Find the vectors of the lattice whose sites images show.

    Parameters
    ----------
    squares : (shots, y, x) array
        Squares of filtered images.

    Returns
    -------
    Periods or None
        None where no two periods stand out.
    """
    from scipy.stats import gamma

    shape = (squares.shape[1], squares.shape[2])
    # the cloud's own shape has a wide spectrum, too
    rest = squares - gaussian_filter(squares.mean(axis=0), _SMOOTH)
    power = mean_power(rest)
    level = _noise_level(power, shape)
    over = power / level
    shots = len(squares)
    chance = _FALSE_ALARM / power.size
    least = float(gamma.isf(chance, shots) / gamma.median(shots))
    places, heights = _peaks(over, shape, least)
    pair = _basis(places)
    if pair is None:
        return None
    reciprocal = np.array([_refined(rest, places[k], level) for k in pair])
    vectors = np.linalg.inv(reciprocal).T
    return Periods(ordered(vectors), heights[list(pair)])


def ordered(vectors: FloatArray) -> FloatArray:
    """Return the shortest vectors of a lattice in the usual order and directions, (2, 2)."""
    a, b = reduced(vectors)
    # all shortest ones: of a triangular lattice there are three pairs of opposite ones
    steps = [a, b, a - b, a + b]
    longest = 1.02 * max(float(a @ a), float(b @ b))
    near = [v for v in steps if v @ v <= longest]
    near += [-v for v in near]
    along = max(near, key=lambda v: (round(float(v[1] / np.hypot(*v)), 6), -v[0]))
    others = [
        v for v in near if abs(along[0] * v[1] - along[1] * v[0]) > 1e-6 * float(along @ along)
    ]
    return np.array([max(others, key=lambda v: _preference(v, along)), along])


def _preference(vector: FloatArray, along: FloatArray) -> tuple[bool, bool, float]:
    """Prefer right-handed pairs, then acute angles, then short vectors."""
    turn = along[1] * vector[0] - along[0] * vector[1]
    acute = float(vector @ along) > -1e-3 * float(along @ along)
    return bool(turn > 0), acute, -float(vector @ vector)


def _noise_level(power: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Return the median power at about the same frequency; infinite where there is hardly any."""
    frequency = frequencies(shape)
    ring = np.minimum((frequency / math.sqrt(0.5) * _RINGS).astype(int), _RINGS - 1)
    order = np.argsort(ring, axis=None, kind="stable")
    ends = np.searchsorted(ring.ravel()[order], np.arange(_RINGS + 1))
    values = power.ravel()[order]
    level = np.array([np.median(values[a:b]) if b > a else np.inf for a, b in pairwise(ends)])
    level[level < _WEAKEST * level[np.isfinite(level)].max()] = np.inf
    # between the middles of the rings, so that a steep slope is no peak
    middle = (np.arange(_RINGS) + 0.5) / _RINGS * math.sqrt(0.5)
    found = np.isfinite(level) & (level > 0)
    logs = np.interp(frequency, middle[found], np.log(level[found]))
    return np.where(np.isfinite(level[ring]), np.exp(logs), np.inf)


def _peaks(over: FloatArray, shape: tuple[int, int], least: float) -> tuple[FloatArray, FloatArray]:
    """Return frequencies (k, 2) and heights (k,) of the highest peaks of one half plane."""
    usable = np.where(frequencies(shape) > _SLOWEST / min(shape), over, 0.0)
    tops = (usable == maximum_filter(usable, 5, mode=("wrap", "nearest"))) & (usable > least)
    rows, columns = np.nonzero(tops)
    # of the column without frequency along x, one half says it all
    once = (columns > 0) | (rows <= shape[0] // 2)
    rows, columns = rows[once], columns[once]
    order = np.argsort(-usable[rows, columns])[:_MOST_PEAKS]
    rows, columns = rows[order], columns[order]
    places = np.column_stack([fft.fftfreq(shape[0])[rows], fft.rfftfreq(shape[1])[columns]])
    return places, usable[rows, columns]


def _basis(places: FloatArray) -> tuple[int, int] | None:
    """Return the two highest peaks in different directions."""
    for i, j in combinations(range(len(places)), 2):
        a, b = places[i], places[j]
        area = abs(float(a[0] * b[1] - a[1] * b[0]))
        if area > _SMALLEST_ANGLE * math.hypot(*a) * math.hypot(*b):
            return i, j
    return None


def _refined(rest: FloatArray, place: FloatArray, level: FloatArray) -> FloatArray:
    """Return the frequency (y, x) of most power near a peak, between the frequency steps.

    Power over that of the noise, whose slope would move the peak.
    """
    from scipy.optimize import minimize

    shape = rest.shape[1:]
    y, x = np.arange(shape[0]) - shape[0] / 2, np.arange(shape[1]) - shape[1] / 2
    step = 1 / np.array(shape)
    inner, outer = (
        _level_at(level, factor * math.hypot(*place), place, shape) for factor in (0.93, 1.07)
    )
    slope = math.log(outer / inner) / (0.14 * math.hypot(*place))

    def power(frequency: FloatArray) -> float:
        down = np.exp(-2j * np.pi * frequency[0] * y)
        across = np.exp(-2j * np.pi * frequency[1] * x)
        component = np.einsum("tyx,x->ty", rest, across) @ down
        higher = math.hypot(*frequency) - math.hypot(*place)
        return float((np.abs(component) ** 2).sum()) * math.exp(-slope * higher)

    scale = max(power(place), 1e-300)
    simplex = np.array([[0.0, 0.0], [0.4, 0.0], [0.0, 0.4]])
    options = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-6, "maxiter": 120}
    found = minimize(
        lambda moved: -power(place + moved * step) / scale,
        np.zeros(2),
        method="Nelder-Mead",
        options=options,
    )
    return np.asarray(place + found.x * step)


def _level_at(
    level: FloatArray, frequency: float, place: FloatArray, shape: tuple[int, ...]
) -> float:
    y, x = place * frequency / math.hypot(*place) * np.array(shape)
    column = min(round(abs(x)), level.shape[1] - 1)
    found = float(level[round(y) % shape[0], column])
    return found if math.isfinite(found) else 1.0
