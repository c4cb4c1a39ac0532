"""How noisy a picture is, estimated from the picture itself."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

# median of |x| for a normal x of unit width
_MEDIAN = 0.6744897501960817
# norm of the second difference in x and y, [[1, -2, 1], [-2, 4, -2], [1, -2, 1]]
_DIFFERENCE_NORM = 6.0
# what rises above the background by more widths than this is no background
_CLIP = 3.0


@njit(cache=True, nogil=True)
def difference_noise(pixels: NDArray[np.float64], samples: int = 4096) -> float:
    """Return the standard deviation of the white noise of a region.

    From the median of the second differences in x and y, to which clouds and gradients hardly
    contribute (the mask of Immerkær 1996, doi:10.1006/cviu.1996.0060, with a robust mean).

    Parameters
    ----------
    pixels : (ny, nx)
        The region; NaN pixels are left out.
    samples : int
        Number of differences, spread over the region, at which to stop.

    Returns
    -------
    float
        NaN when no 3×3 neighbourhood is valid.
    """
    ny, nx = pixels.shape
    if ny < 3 or nx < 3:
        return np.nan
    total = (ny - 2) * (nx - 2)
    stride = max(1, total // samples)
    # a stride that divides the row length would sample few columns only
    while stride > 1 and (nx - 2) % stride == 0:
        stride += 1
    values = np.empty(total // stride + 1)
    n = 0
    for index in range(0, total, stride):
        j = index // (nx - 2) + 1
        i = index % (nx - 2) + 1
        value = (
            4 * pixels[j, i]
            - 2 * (pixels[j - 1, i] + pixels[j + 1, i] + pixels[j, i - 1] + pixels[j, i + 1])
            + pixels[j - 1, i - 1]
            + pixels[j - 1, i + 1]
            + pixels[j + 1, i - 1]
            + pixels[j + 1, i + 1]
        )
        if math.isfinite(value):
            values[n] = abs(value)
            n += 1
    if n == 0:
        return np.nan
    middle = np.median(values[:n])
    if middle == 0.0:  # quantised, or mostly constant: the mean still sees what there is
        return float(np.mean(values[:n]) * math.sqrt(math.pi / 2) / _DIFFERENCE_NORM)
    return float(middle / _MEDIAN / _DIFFERENCE_NORM)


def histogram_peak(values: NDArray[np.float64], most: int = 100_000) -> float:
    """Return the position of the peak of the histogram of ``values`` (any shape, NaN ignored).

    The background level ``I_b`` of Hofer et al. 2021 (arXiv:2011.10536), section 5. The histogram
    is smoothed by a Gaussian kernel about as wide as the peak itself, so that the position does not
    hang on the choice of bins.

    Parameters
    ----------
    values : array
        Pixels without clouds.
    most : int
        Of more pixels than this, evenly spread ones are taken.

    Raises
    ------
    ValueError
        If there is no finite value.
    """
    flat = thinned(values, most)
    flat = flat[np.isfinite(flat)]
    if flat.size == 0:
        raise ValueError("expected finite pixels outside the clouds for the background, found none")
    flat = np.sort(flat)
    centre, width, _ = lower_side(flat)
    # not wider than the numbers are exact: no bins fit in
    if width <= 1e3 * np.spacing(abs(centre)):
        return centre
    low = max(float(flat[0]), centre - 8 * width)
    high = min(float(flat[-1]), centre + 8 * width)
    bins = int(np.clip((high - low) / (0.1 * width), 8, 400))
    counts, edges = np.histogram(flat, bins=bins, range=(low, high))
    spacing = edges[1] - edges[0]
    reach = int(2 * width / spacing) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * spacing / (0.6 * width)) ** 2)
    peak = edges[0] + spacing * (0.5 + int(np.argmax(np.convolve(counts, kernel, mode="same"))))
    # mean shift with the same kernel on the values themselves removes the bins
    for _ in range(3):
        near = flat[np.abs(flat - peak) < 1.8 * width]
        weights = np.exp(-0.5 * ((near - peak) / (0.6 * width)) ** 2)
        if weights.sum() == 0:
            break
        peak = float(np.average(near, weights=weights))
    return float(peak)


def lower_side(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return a background's centre and the width of its lower side, seen at 1 and at 1.6 widths.

    Clouds are cut off above: what exceeds the centre by three widths is left out, until nothing
    more is.

    Parameters
    ----------
    values : (n,)
        Sorted.
    """
    for _ in range(10):
        low, centre = values[int(0.1587 * values.size)], values[values.size // 2]
        kept = int(np.searchsorted(values, centre + _CLIP * (centre - low), side="right"))
        if kept == values.size or kept < 10:
            break
        values = values[:kept]
    low, lowest, centre = (values[int(part * values.size)] for part in (0.1587, 0.05, 0.5))
    return float(centre), float(centre - low), float(centre - lowest) / 1.645


def grey_step(values: NDArray[np.float64]) -> float:
    """Return the smallest difference between the values that occur; about 0 for floats."""
    known = thinned(values, 8_000)
    steps = np.diff(np.unique(known[np.isfinite(known)]))
    return float(steps.min()) if steps.size else 0.0


def thinned(values: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Return about `most` of the values, evenly spread, as a flat array."""
    values = np.asarray(values, dtype=float)
    flat = values.ravel()
    step = -(-flat.size // most)
    # a step that divides the length of a row would take a few columns only
    while step > 1 and values.shape[-1] % step == 0:
        step += 1
    return flat[::step]
