"""Masks that are kept as a crop of the frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


def extent(mask: NDArray[Any]) -> tuple[int, int, int, int]:
    """Return the pixel edges ``y0, x0, y1, x1`` of what is not zero; all 0 where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


@dataclass(frozen=True)
class Patch:
    """A mask, cropped.

    Attributes
    ----------
    offset : (row, column)
        Of the crop in the frame.
    pixels : (ny, nx) array of bool
        The crop.
    """

    offset: tuple[int, int]
    pixels: NDArray[np.bool_] = field(compare=False, repr=False)

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Patch:
        """Return the part of a mask on the whole frame that has pixels."""
        y0, x0, y1, x1 = extent(mask)
        return cls((y0, x0), mask[y0:y1, x0:x1])

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.pixels))

    def common(self, other: Patch) -> NDArray[np.bool_]:
        """Return which pixels belong to another mask, too; of the shape of this crop."""
        common = np.zeros(self.pixels.shape, dtype=bool)
        y, x = other.offset[0] - self.offset[0], other.offset[1] - self.offset[1]
        height, width = other.pixels.shape
        mine = common[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if mine.size:
            top, left = max(-y, 0), max(-x, 0)
            mine[:] = other.pixels[top : top + mine.shape[0], left : left + mine.shape[1]]
        return common & self.pixels

    def overlap(self, other: Patch) -> float:
        """Return intersection over union; 0 where both are empty."""
        shared = int(np.count_nonzero(self.common(other)))
        union = self.area + other.area - shared
        return shared / union if union else 0.0

    def paint(self, frame: NDArray[np.bool_]) -> None:
        """Set the mask's pixels on a frame."""
        y, x = self.offset
        frame[y : y + self.pixels.shape[0], x : x + self.pixels.shape[1]] |= self.pixels

    def on(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return the mask on a frame of a shape."""
        frame = np.zeros(shape, dtype=bool)
        self.paint(frame)
        return frame
