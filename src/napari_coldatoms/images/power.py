"""The power ratio: light of the atoms frame over light of the probe frame, where no atoms are."""

from __future__ import annotations

import numpy as np

# how many blocks the shorter side of the frame is divided into: enough to tell clean from
# covered parts of the frame, few enough to average noise and fringes
_BLOCKS = 24
# a block counts as lit if its probe light exceeds this part of the bright blocks' light
_LIT = 0.1
# blocks: fringes shall not look like atoms
_SMOOTHING = 1.5
# a block counts as clean down to so many times the spread above the centre
_SPREADS = 1.5
# how much the upper side may outweigh the lower: fringes cut by the border are not symmetric
_TOLERANCE = 0.1


def region_power_ratio(
    atoms: np.ndarray, probe: np.ndarray, usable: np.ndarray, region: tuple[int, int, int, int]
) -> float:
    """Return the ratio of the summed light in a region without atoms.

    Parameters
    ----------
    atoms, probe : (y, x) arrays
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

    Atoms only take light away: the log-ratios of all parts of the frame are those of the clean
    parts, spread evenly about ln r by noise and fringes, and a tail below. The log-ratios of blocks
    are smoothed, their `upper_centre` is a first estimate, and the ratio of the summed light
    of all blocks that do not fall below it by more than the spread above it is the result.

    Parameters
    ----------
    atoms, probe : (y, x) arrays
        Frames with the dark frame subtracted, counts.
    usable : array of bool, shape (y, x)
        Pixels that are lit and not saturated.

    Returns
    -------
    float
        Better than 1 % while a cloud's 1/e² ellipse covers up to about 30 % of the frame, with
        mild fringes. NaN if nothing is lit.
    """
    from scipy.ndimage import gaussian_filter

    size = max(1, round(min(atoms.shape) / _BLOCKS))
    # light is summed before the ratio is taken: a mean of logarithms is biased at low light
    light = _block_sums(np.where(usable, probe, 0.0), size)
    passed = _block_sums(np.where(usable, atoms, 0.0), size)
    lit = light > 0
    if not lit.any():
        return float("nan")
    lit &= (light > _LIT * np.quantile(light[lit], 0.9)) & (passed > 0)
    if not lit.any():
        return float("nan")
    ratios = np.zeros(light.shape)
    ratios[lit] = np.log(passed[lit] / light[lit])
    weights = gaussian_filter(lit.astype(float), _SMOOTHING)
    smooth = gaussian_filter(ratios, _SMOOTHING)[lit] / weights[lit]
    centre = upper_centre(smooth)
    above = smooth[smooth > centre] - centre
    spread = float(np.sqrt(np.mean(above**2))) if above.size else 0.0
    clean = smooth >= centre - _SPREADS * spread
    return float(passed[lit][clean].sum() / light[lit][clean].sum())


def upper_centre(values: np.ndarray) -> float:
    """Return the centre of a symmetric distribution that is contaminated from below.

    It is the lowest value, not less than the median, about which no distance has clearly more
    values above than below: the median of a clean distribution, and close to the mode of one that
    is mostly tail.

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
    split = int(np.searchsorted(values, centre, side="right"))
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
