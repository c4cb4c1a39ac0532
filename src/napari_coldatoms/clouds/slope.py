"""The slope of a picture's background: stray light, a probe that moved between the frames."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.noise import lower_side

# blocks across the shorter side of the frame
_BLOCKS = 24
_FEWEST = 25
# blocks within so many widths of the plane belong to the background
_REACH = 2.0
# there is a slope if the background becomes narrower by this factor without it
_NARROWER = 0.6


def slope(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the plane that lies under a picture, 0 at its middle.

    It is fitted to the medians of blocks, of which those far from it are left out step by step.
    It is 0 everywhere unless it explains most of the background's width: a cloud, fringes or a
    vignette are no slope.

    Parameters
    ----------
    pixels : (ny, nx)
        Not-finite pixels are invalid.

    Returns
    -------
    (ny, nx) or (1, 1) array
        The latter without a slope.
    """
    none = np.zeros((1, 1))
    ny, nx = pixels.shape
    size = max(1, min(ny, nx) // _BLOCKS)
    rows, columns = ny // size, nx // size
    blocks = pixels[: rows * size, : columns * size].reshape(rows, size, columns, size)
    step = max(1, size // 8)  # enough of a block for its median
    blocks = blocks[:, ::step, :, ::step]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # blocks without a valid pixel
        values = np.nanmedian(blocks.swapaxes(1, 2).reshape(rows, columns, -1), axis=2)
    known = np.isfinite(values)
    if np.count_nonzero(known) < _FEWEST:
        return none
    y = (np.arange(rows) + 0.5) * size - ny / 2
    x = (np.arange(columns) + 0.5) * size - nx / 2
    shown = np.broadcast_arrays(1.0, x, y[:, None], values)
    design, values = np.stack([each[known] for each in shown[:3]], axis=1), values[known]
    _, before, _ = lower_side(np.sort(values))
    keep = np.ones(values.size, dtype=bool)
    for _ in range(20):
        plane = np.linalg.lstsq(design[keep], values[keep])[0]
        rest = values - design @ plane
        centre, width, _ = lower_side(np.sort(rest))
        kept = np.abs(rest - centre) <= _REACH * width
        if np.count_nonzero(kept) < _FEWEST // 2 or np.array_equal(kept, keep):
            break
        keep = kept
    if not width < _NARROWER * before:
        return none
    return (
        plane[1] * (np.arange(nx) + 0.5 - nx / 2)
        + plane[2] * (np.arange(ny) + 0.5 - ny / 2)[:, None]
    )
