"""What a network finds in a picture, and which of it is one and the same cloud."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

MASK_SIZE = 28
"""Cells along each side of a network's mask."""

# of two clouds that share more of their area than this one is the other once more
_DUPLICATE = 0.55
# a cloud of which so much lies in one of higher score is a part of it
_NESTED = 0.75


@dataclass(frozen=True)
class Detection:
    """A cloud as a network finds it.

    Attributes
    ----------
    label : str
        Class.
    score : float
        Confidence, 0 to 1.
    box : (y0, x0, y1, x1)
        Pixel edges, half-open.
    mask : (28, 28) array of float32
        Probability of each cell of the box to belong to the cloud.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: NDArray[np.float32] = field(compare=False, repr=False)

    def soft_mask(self, shape: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.float32]]:
        """Return the mask on the pixels of a picture.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns of the picture.

        Returns
        -------
        offset : (row, column)
            Of the crop.
        crop : (ny, nx) array of float32
            Probabilities at the centres of the pixels, interpolated between the cells; the part
            of the box that is inside the picture, at least one pixel.
        """
        rows, along = _cells(self.box[0], self.box[2], shape[0], self.mask.shape[0])
        columns, across = _cells(self.box[1], self.box[3], shape[1], self.mask.shape[1])
        crop = along @ self.mask @ across.T
        return (rows, columns), np.ascontiguousarray(crop, dtype=np.float32)


def _cells(low: float, high: float, pixels: int, cells: int) -> tuple[int, NDArray[np.float32]]:
    """Return the first pixel of an interval, and the weights of its cells in its pixels."""
    first = min(max(math.floor(low), 0), pixels - 1)
    last = max(min(math.ceil(high), pixels), first + 1)
    places = (np.arange(first, last) + 0.5 - low) / max(high - low, 1e-6) * cells - 0.5
    # half a cell beyond the outermost centres the mask still holds
    places = np.where(
        (places > -0.5) & (places < cells - 0.5), np.clip(places, 0, cells - 1), places
    )
    distance = np.abs(places[:, None] - np.arange(cells)[None, :])
    return first, np.asarray(np.maximum(1 - distance, 0), dtype=np.float32)


def suppress(
    detections: Iterable[Detection],
    shape: tuple[int, int],
    *,
    duplicate: float = _DUPLICATE,
    nested: float = _NESTED,
) -> list[Detection]:
    """Return detections of different clouds, highest score first.

    Parameters
    ----------
    detections : iterable of Detection
        Of one picture.
    shape : (int, int)
        Rows and columns of the picture.
    duplicate : float
        Masks whose intersection is more than this part of their union are one cloud, whatever
        their classes.
    nested : float
        A cloud with more than this part of its mask inside one of higher score is a part of
        that one; one that holds most of another of higher score stays if it is of another class
        or its score is not less than half.
    """
    kept: list[tuple[Detection, _Mask]] = []
    for each in sorted(detections, key=lambda d: -d.score):
        mask = _Mask.of(each, shape)
        if mask.area == 0:
            continue
        if all(_apart(mask, other, duplicate, nested) for _, other in kept):
            kept.append((each, mask))
    return [each for each, _ in kept]


@dataclass(frozen=True)
class _Mask:
    offset: tuple[int, int]
    pixels: NDArray[np.bool_]
    area: int

    @classmethod
    def of(cls, detection: Detection, shape: tuple[int, int]) -> _Mask:
        offset, soft = detection.soft_mask(shape)
        pixels = soft >= 0.5
        return cls(offset, pixels, int(pixels.sum()))


def _apart(one: _Mask, other: _Mask, duplicate: float, nested: float) -> bool:
    shared = _shared(one, other)
    if shared > duplicate * (one.area + other.area - shared):
        return False
    return shared <= nested * one.area


def _shared(one: _Mask, other: _Mask) -> int:
    """Return the number of pixels in both masks."""
    low = [max(a, b) for a, b in zip(one.offset, other.offset, strict=True)]
    high = [
        min(a + n, b + m)
        for a, n, b, m in zip(
            one.offset, one.pixels.shape, other.offset, other.pixels.shape, strict=True
        )
    ]
    if low[0] >= high[0] or low[1] >= high[1]:
        return 0
    parts: Sequence[NDArray[np.bool_]] = [
        each.pixels[
            low[0] - each.offset[0] : high[0] - each.offset[0],
            low[1] - each.offset[1] : high[1] - each.offset[1],
        ]
        for each in (one, other)
    ]
    return int((parts[0] & parts[1]).sum())
