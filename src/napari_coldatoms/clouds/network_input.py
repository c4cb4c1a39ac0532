"""How a picture of any size, unit and type becomes what a network sees.

The same for training and for detection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_coldatoms.clouds.noise import lower_side, thinned

LEAST, MOST = 256, 384
"""Longest side of what the network sees, in its pixels: pictures between the two keep theirs."""

# the smoothing that shows faint clouds, in network pixels
_SMOOTH = 2.0
# smoothed noise of any kind has more than this, in widths of the background: less is rounding
_LEAST_WIDTH = 0.01
# sums of more pixels than this part of the longest side add nothing to the background's level
_SAMPLES = 20_000


@dataclass(frozen=True)
class NetworkInput:
    """A picture as a network sees it.

    Attributes
    ----------
    channels : (3, y, x) array of float32
        Height above the background in widths of the background, compressed (arcsinh); the same
        of the smoothed picture; and the smoothed picture as a part of its highest.
    scale : (float, float)
        Network pixels per pixel of the picture, along y and x.
    shape : (int, int)
        Rows and columns of the picture.
    """

    channels: NDArray[np.float32]
    scale: tuple[float, float]
    shape: tuple[int, int]


def network_shape(shape: tuple[int, int], longest: float | None = None) -> tuple[int, int]:
    """Return rows and columns of the network's view of a picture of a shape."""
    side = float(np.clip(max(shape), LEAST, MOST)) if longest is None else longest
    factor = side / max(shape)
    return max(8, round(shape[0] * factor)), max(8, round(shape[1] * factor))


def network_input(picture: NDArray[np.floating], longest: float | None = None) -> NetworkInput:
    """Return what a network sees of a picture.

    Parameters
    ----------
    picture : (ny, nx) array
        Any unit; pixels that are not finite are taken for background.
    longest : float, optional
        Longest side in network pixels; default the picture's own between `LEAST` and `MOST`.
    """
    shape = picture.shape[0], picture.shape[1]
    target = network_shape(shape, longest)
    values = np.asarray(picture, dtype=np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        level = float(np.median(values[finite])) if finite.any() else 0.0
        values = np.where(finite, values, np.float32(level))
    small = resized(values, target)
    scale = target[0] / shape[0], target[1] / shape[1]
    return NetworkInput(normalised(small), scale, shape)


def normalised(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the channels of a picture that has the network's size, shape (3, y, x)."""
    centre, width = _level(picture)
    heights = (picture - centre) / width
    smooth = ndimage.gaussian_filter(heights, _SMOOTH, mode="nearest")
    smooth_centre, smooth_width = _level(smooth)
    smooth -= smooth_centre
    smooth_width = max(smooth_width, _LEAST_WIDTH)
    highest = max(float(np.partition(smooth, -9, axis=None)[-9]), 6 * smooth_width)
    channels = np.stack(
        [
            np.arcsinh(heights / 2) / 2,
            np.arcsinh(smooth / (2 * smooth_width)) / 2,
            np.clip(smooth / highest, -1, 2),
        ]
    )
    return np.asarray(channels, dtype=np.float32)


def _level(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return level and width of the background, clouds left out."""
    centre, width, _ = lower_side(np.sort(thinned(values.astype(np.float64), _SAMPLES)))
    # single precision is no noise
    least = max(1e-6 * float(np.ptp(values)), 1e-5 * abs(centre)) or 1.0
    return centre, max(width, least)


def resized(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture at another size, averaged over the pixels that become one."""
    if values.shape == shape:
        return np.array(values)
    return np.asarray(
        _matrix(values.shape[0], shape[0]) @ (values @ _matrix(values.shape[1], shape[1]).T),
        dtype=np.float32,
    )


def _matrix(before: int, after: int) -> NDArray[np.float32]:
    """Return the weights of old pixels in new ones: a triangle as wide as the wider of the two."""
    factor = before / after
    reach = max(factor, 1.0)
    centres = (np.arange(after) + 0.5) * factor
    distance = np.abs(np.arange(before)[None, :] + 0.5 - centres[:, None]) / reach
    weights = np.maximum(1 - distance, 0)
    return np.asarray(weights / weights.sum(1, keepdims=True), dtype=np.float32)
