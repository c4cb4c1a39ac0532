"""What a network finds in a picture, and which of it is one and the same cloud."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.patch import Patch

MASK_SIZE = 28
"""Cells along each side of a network's mask."""

# from this probability on a pixel belongs to the cloud
_INSIDE = 0.5
# masks that share more than this part of their union are one cloud; of two classes, of the same
_ALIKE = (0.7, 0.55)
# a mask of which more than this lies in one of higher score is a part of it; likewise
_PART = (1.0, 0.8)


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
    double : bool
        It is one of higher score once more, or a part of it: see `mark_doubles`.
    """

    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: NDArray[np.float32] = field(compare=False, repr=False)
    double: bool = False

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

    def patch(self, shape: tuple[int, int]) -> Patch:
        """Return the pixels of a picture that rather belong to the cloud than not."""
        offset, soft = self.soft_mask(shape)
        return Patch(offset, soft >= _INSIDE)


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


def mark_doubles(detections: Iterable[Detection], shape: tuple[int, int]) -> list[Detection]:
    """Return detections, highest score first, with those marked that are no clouds of their own.

    A network decides on each class by itself: it may find one cloud as a MOT and, less surely, as
    an ODT, and the peak of a bimodal cloud, or a piece of a ring, as one more. Such a double has
    most of its mask in common with, or inside of, that of a higher score. Between classes more
    must be in common: the trap inside of a MOT is a cloud.

    Parameters
    ----------
    detections : iterable of Detection
        Of one picture.
    shape : (int, int)
        Rows and columns of the picture.
    """
    kept: list[tuple[Detection, Patch]] = []
    marked = []
    for each in sorted(detections, key=lambda d: -d.score):
        mask = each.patch(shape)
        double = mask.area == 0 or any(_doubles(each, mask, *other) for other in kept)
        if not double:
            kept.append((each, mask))
        marked.append(replace(each, double=double))
    return marked


def _doubles(one: Detection, mask: Patch, other: Detection, others: Patch) -> bool:
    same = one.label == other.label
    shared = int(np.count_nonzero(mask.common(others)))
    if shared > _ALIKE[same] * (mask.area + others.area - shared):
        return True
    return shared > _PART[same] * mask.area
