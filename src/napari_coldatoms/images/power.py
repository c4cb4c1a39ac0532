"""The power ratio: light of the atoms frame over light of the probe frame, where no atoms are."""

from __future__ import annotations

import numpy as np

# how many blocks the shorter side of the frame is divided into: enough to tell clean from
# covered parts of the frame, few enough to average noise and fringes
_BLOCKS = 24
# a block counts as lit if its probe light exceeds this part of the bright blocks' light
_LIT = 0.1
# how much the upper side may outweigh the lower: fringes cut by the border are not symmetric
_TOLERANCE = 0.1


def region_power_ratio(
    atoms: np.ndarray, probe: np.ndarray, usable: np.ndarray, region: tuple[int, int, int, int]
) -> float:
    """Return the ratio of the summed light in a region without atoms.

    Parameters
    ----------
    atoms, probe : array, shape (y, x)
        Frames with the dark frame subtracted, counts.
    usable : array of bool, shape (y, x)
        Pixels that are lit and not saturated.
    region : (y0, x0, y1, x1)
        Pixel edges, half-open, inside the frame.

    Returns
    -------
    float
        NaN if there is no light in the region.
    """
    y0, x0, y1, x1 = region
    inside = usable[y0:y1, x0:x1]
    light = float(probe[y0:y1, x0:x1][inside].sum())
    ratio = float(atoms[y0:y1, x0:x1][inside].sum()) / light if light > 0 else np.nan
    return ratio if ratio > 0 else np.nan


def robust_power_ratio(atoms: np.ndarray, probe: np.ndarray, usable: np.ndarray) -> float:
    """Estimate the power ratio from the whole frame, wherever the atoms are.

    Atoms only take light away, so the log-ratios of all parts of the frame are those of the clean
    parts, spread evenly about ln r by noise and fringes, and a tail below. The estimate is the
    lowest value that is not less than the median and about which no distance has more values
    above than below (within the counting error): the centre of the distribution where no atoms
    are, and close to its mode where they cover much of the frame.

    Parameters
    ----------
    atoms, probe : array, shape (y, x)
        Frames with the dark frame subtracted, counts.
    usable : array of bool, shape (y, x)
        Pixels that are lit and not saturated.

    Returns
    -------
    float
        Better than 1 % while a cloud's 1/e² ellipse covers up to about 30 % of the frame. NaN if
        nothing is lit.
    """
    size = max(1, round(min(atoms.shape) / _BLOCKS))
    # light is summed before the ratio is taken: a mean of logarithms is biased at low light
    light = _block_sums(np.where(usable, probe, 0.0), size)
    passed = _block_sums(np.where(usable, atoms, 0.0), size)
    lit = light > 0
    if not lit.any():
        return float("nan")
    lit &= light > _LIT * np.quantile(light[lit], 0.9)
    lit &= passed > 0
    if not lit.any():
        return float("nan")
    return float(np.exp(upper_centre(np.log(passed[lit] / light[lit]))))


def upper_centre(values: np.ndarray) -> float:
    """Return the centre of a symmetric distribution that is contaminated from below.

    Parameters
    ----------
    values : array, shape (n,)
        Finite numbers, less than half of them far below the rest.
    """
    values = np.sort(np.asarray(values, dtype=float))
    n = len(values)
    if n < 8:
        return float(np.median(values))
    low, high = float(np.median(values)), float(values[-1])
    # coarse, then fine: the first candidate about which the upper side nowhere outweighs the lower
    for _ in range(3):
        candidates = np.linspace(low, high, 33)
        # the last one, the largest value, has nothing above it
        first = next(
            i for i, centre in enumerate(candidates) if _upper_side_is_lighter(values, centre)
        )
        low, high = candidates[max(first - 1, 0)], candidates[first]
    return float(high)


def _upper_side_is_lighter(values: np.ndarray, centre: float) -> bool:
    split = int(np.searchsorted(values, centre))
    above = values[split:] - centre
    below = centre - values[:split][::-1]
    inner_below = np.searchsorted(below, above, side="right")
    inner_above = np.arange(1, len(above) + 1)
    excess = inner_above - inner_below
    return bool(np.all(excess <= _TOLERANCE * inner_above + np.sqrt(inner_above)))


def _block_sums(values: np.ndarray, size: int) -> np.ndarray:
    rows, columns = (max(1, length // size) for length in values.shape)
    size_y, size_x = min(size, values.shape[0]), min(size, values.shape[1])
    cut = values[: rows * size_y, : columns * size_x]
    return cut.reshape(rows, size_y, columns, size_x).sum(axis=(1, 3))
