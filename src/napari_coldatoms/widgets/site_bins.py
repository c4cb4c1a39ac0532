"""Brightnesses of sites counted in bins: what the histogram of an image shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.lattice.reconstruction import Reconstruction

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

_FEWEST, _MOST = 12, 80  # bins
# tails of this part, and how far beyond them values still belong to the rest, in their distances
_TAIL, _REACH = 0.005, 0.5
_SCOTT = 3.49  # bin widths of least squared error, for normally distributed values
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def site_bins(found: Reconstruction) -> FloatArray:
    """Return the edges of bins for the brightnesses of all valid sites, round numbers.

    As wide as the narrower mode asks for, by the rule of Scott (1979), or the values as a whole
    where there is one mode, by that of Freedman and Diaconis (1981). Single values far outside the
    rest lie beyond the outermost edges.

    Returns
    -------
    (bins + 1,) array
        Empty where no site is valid.
    """
    values = _finite(found.brightness[found.valid])
    if not len(values):
        return np.empty(0)
    q = np.quantile(values, [_TAIL, 0.25, 0.75, 1 - _TAIL])
    reach = _REACH * (q[3] - q[0])
    near = values[(values >= q[0] - reach) & (values <= q[3] + reach)]
    low, high = float(near.min()), float(near.max())
    if not high > low:
        half = 0.5 * max(abs(low), 1.0) / _FEWEST
        low, high = low - half, high + half
    if shows_modes(found):
        sites = np.maximum(found.mixture.weights * len(values), 1.0)
        width = float((_SCOTT * found.mixture.sds * sites ** (-1 / 3)).min())
    else:
        width = float(2 * (q[2] - q[1])) * len(values) ** (-1 / 3)
    span = high - low
    width = _round_up(min(max(width, span / _MOST), span / _FEWEST))
    first, last = math.floor(low / width), math.floor(high / width) + 1
    return width * np.arange(first, last + 1, dtype=np.float64)


def shows_modes(found: Reconstruction) -> bool:
    """Return whether the two modes are those of empty and occupied sites.

    An image that was judged with the brightness of others may have no sites of one kind; the
    mixture fitted to it then splits the other kind.
    """
    means = found.mixture.means
    return found.has_contrast and bool(means[1] - means[0] > 0.5 * found.parameters.brightness)


def bin_of(values: FloatArray, edges: FloatArray) -> NDArray[np.intp]:
    """Return the bin of each value; what is beyond the edges goes to the outermost bins."""
    places = np.searchsorted(edges, values, side="right") - 1
    return np.clip(places, 0, max(len(edges) - 2, 0))


def count(values: FloatArray, edges: FloatArray) -> NDArray[np.intp]:
    """Return how many values are in each bin; what is not finite is in none."""
    return np.bincount(bin_of(_finite(values), edges), minlength=max(len(edges) - 1, 0))


def outside(values: FloatArray, edges: FloatArray) -> tuple[int, int]:
    """Return how many values are below the first edge, and above the last one."""
    return int((values < edges[0]).sum()), int((values >= edges[-1]).sum())


def band_of(limits: tuple[float, float], edges: FloatArray) -> tuple[float, float]:
    """Return the part of the bins between two brightnesses, which may be infinite."""
    low, high = np.clip(limits, edges[0], edges[-1])
    return float(low), float(high)


def limits(first: int, last: int, edges: FloatArray, values: FloatArray) -> tuple[float, float]:
    """Return the brightnesses of the bins from `first` to `last`.

    Those of the outermost bins have no limit where there are values beyond the edges.
    """
    below, above = outside(values, edges)
    low, high = float(edges[first]), float(edges[last + 1])
    return (
        -math.inf if first == 0 and below else low,
        math.inf if last == len(edges) - 2 and above else high,
    )


def mode_curves(
    found: Reconstruction, chosen: BoolArray, width: float, x: FloatArray
) -> FloatArray:
    """Return the two modes as counts in bins of a width.

    Parameters
    ----------
    found : Reconstruction
    chosen : (n,) bool array
        The sites counted. Each mode is as large as their probabilities say.
    width : float
    x : (k,) array

    Returns
    -------
    (2, k) array
    """
    upper = found.probability[chosen & found.valid]
    sizes = np.array([np.nansum(1 - upper), np.nansum(upper)])[:, None]
    means, sds = found.mixture.means[:, None], found.mixture.sds[:, None]
    z = (x - means) / sds
    return np.asarray(sizes * width * np.exp(-0.5 * z**2) / (math.sqrt(2 * math.pi) * sds))


def _finite(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _round_up(width: float) -> float:
    """Return the next round number, of those that begin with 1, 2, 2.5 or 5."""
    power = 10.0 ** math.floor(math.log10(width))
    return next((step * power for step in _STEPS if step * power >= width * 0.999), 10 * power)
