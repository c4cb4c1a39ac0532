"""The pixels of regions: of discs, ellipses, polygons, labels and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.images.shape_pixels import (
    FloatArray,
    IntArray,
    ellipse_pixels,
    polygon_pixels,
)

Found = tuple[IntArray, FloatArray, FloatArray | None, bool]
"""Pixels, their values, the position unless it is the mean of the pixels, and whether cut off."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Some regions of an image and their pixels.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    pixels : tuple of (k,) int arrays
        The pixels of each region, as ascending flat indices, ``y * columns + x``.
    values : tuple of (k,) arrays
        What each pixel counts: 1, or the value of a mask.
    numbers : (sites,) int
        Which region it was: the label, or the index among the shapes, points, masks.
    positions : (sites, 2)
        y and x in pixels of the image: the middle of a disc or an ellipse, the mean of the pixels
        of others.
    clipped : tuple of str
        The regions that reach beyond the image's edge.
    """

    shape: tuple[int, int]
    pixels: tuple[IntArray, ...]
    values: tuple[FloatArray, ...]
    numbers: IntArray
    positions: FloatArray
    clipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def sizes(self) -> IntArray:
        """Number of pixels of each region, (sites,)."""
        return np.array([len(pixels) for pixels in self.pixels], dtype=np.int64)

    @property
    def masks(self) -> FloatArray:
        """What each pixel counts in each region, (sites, y, x); 0 outside."""
        masks = np.zeros((len(self), self.shape[0] * self.shape[1]))
        for mask, pixels, values in zip(masks, self.pixels, self.values, strict=True):
            mask[pixels] = values
        return masks.reshape(len(self), *self.shape)

    @property
    def any(self) -> NDArray[np.bool_]:
        """Which pixels belong to a region, (y, x)."""
        mask = np.zeros(self.shape[0] * self.shape[1], dtype=np.bool_)
        for pixels in self.pixels:
            mask[pixels] = True
        return mask.reshape(self.shape)


def from_masks(masks: NDArray, shape: tuple[int, int]) -> Regions:
    """Return one region for each mask, (sites, y, x), of the pixels that are not zero."""
    check_shape(masks.shape[1:], shape, "masks")
    if not np.isfinite(masks).all():
        raise ValueError("expected masks of finite values, found others")
    flat = masks.reshape(len(masks), -1).astype(np.float64)
    found = [(pixels := np.flatnonzero(mask), mask[pixels], None, False) for mask in flat]
    return collected(found, "mask", shape)


def from_labels(labels: NDArray, shape: tuple[int, int], wanted: NDArray) -> Regions:
    """Return the regions of a label image; an error where a label that was wanted is not in it."""
    numbers = wanted[wanted > 0].astype(np.int64)
    if wanted.size and wanted.min() < 0:
        raise ValueError(f"expected labels not below 0, found {wanted.min()}")
    flat = labels.ravel()
    there = np.flatnonzero(flat)
    order = there[np.argsort(flat[there], kind="stable")]
    ends = np.searchsorted(flat[order], numbers, side="right")
    starts = np.searchsorted(flat[order], numbers, side="left")
    found = [
        (order[start:end].astype(np.int64), np.ones(end - start), None, False)
        for start, end in zip(starts, ends, strict=True)
    ]
    return collected(found, "label", shape, numbers)


def discs(
    centres: FloatArray, sizes: FloatArray, shape: tuple[int, int], move: FloatArray, kind: str
) -> Regions:
    """Return discs around centres (n, 2); `move` (3, 3) takes them to pixels of the image."""
    linear = move[:2, :2]
    if not (np.isfinite(centres).all() and np.isfinite(sizes).all()):
        raise ValueError(f"expected finite places of each {kind}, found others")
    found = []
    for centre, size in zip(moved(centres, move), sizes, strict=True):
        found.append(_oval(centre, linear * (size / 2), shape))
    return collected(found, kind, shape)


def boxed_ellipse(corners: FloatArray, shape: tuple[int, int]) -> Found:
    """Return the ellipse in a box of four corners, as napari keeps it."""
    axes = np.column_stack([corners[1] - corners[0], corners[3] - corners[0]]) / 2
    return _oval(corners.mean(axis=0), axes, shape)


def _oval(centre: FloatArray, axes: FloatArray, shape: tuple[int, int]) -> Found:
    pixels = ellipse_pixels(centre, axes, shape)
    reach = np.sqrt((axes**2).sum(axis=1))
    return pixels, np.ones(len(pixels)), centre, _is_cut(centre - reach, centre + reach, shape)


def polygon(corners: FloatArray, shape: tuple[int, int]) -> Found:
    """Return the pixels of a polygon with corners (v, 2), in pixels."""
    pixels = polygon_pixels(corners, shape)
    cut = _is_cut(corners.min(axis=0), corners.max(axis=0), shape)
    return pixels, np.ones(len(pixels)), None, cut


def _is_cut(low: FloatArray, high: FloatArray, shape: tuple[int, int]) -> bool:
    """Return whether centres of pixels that are not there would lie between low and high."""
    return bool(np.any(low <= -1) or np.any(high - shape > 1e-6))


def collected(
    found: Sequence[Found], kind: str, shape: tuple[int, int], numbers: IntArray | None = None
) -> Regions:
    """Return the regions that were found, or tell which ones are empty."""
    if not found:
        raise ValueError("expected at least one region, found none")
    known = np.arange(len(found)) if numbers is None else numbers
    empty = [str(number) for number, each in zip(known, found, strict=True) if not len(each[0])]
    if empty:
        names = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
        raise ValueError(
            f"expected the centre of at least one of the image's {shape[0]} x {shape[1]} pixels "
            f"in every region, found none in {kind} {names}: outside the image, or empty"
        )
    positions = np.array(
        [
            np.mean(np.unravel_index(pixels, shape), axis=1) if centre is None else centre
            for pixels, _, centre, _ in found
        ]
    )
    return Regions(
        shape,
        tuple(np.asarray(each[0], dtype=np.int64) for each in found),
        tuple(each[1] for each in found),
        np.asarray(known, dtype=np.int64),
        positions,
        tuple(f"{kind} {number}" for number, each in zip(known, found, strict=True) if each[3]),
    )


def check_shape(found: Sequence[int], expected: tuple[int, int], what: str) -> None:
    """Raise `ValueError` where an array does not suit the image."""
    if tuple(found) != expected:
        raise ValueError(
            f"expected {what} of {expected[0]} x {expected[1]} pixels, found shape {tuple(found)}"
        )


def moved(points: FloatArray, move: FloatArray) -> FloatArray:
    """Return points (n, 2) in the coordinates that the matrix (3, 3) takes them to."""
    return points @ move[:2, :2].T + move[:2, 2]
