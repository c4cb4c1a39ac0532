"""Outlines that people draw in other programs, as masks: boxes, ellipses, polygons, run lengths.

Their coordinates are x, y from the corner of the picture: the first pixel spans 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.annotation_rule import masks_by_rule
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.run_lengths import decode

__all__ = ["Boxes", "Outline", "box", "ellipse", "masks_of", "polygons", "run_lengths"]

Boxes = Literal["ellipse", "rule", "rectangle"]
"""What a box stands for: the ellipse in it, a cloud that is fitted, or all its pixels."""


@dataclass(frozen=True)
class Outline:
    """A cloud's outline: its pixels, or a box of which it is still open what they are.

    Attributes
    ----------
    label : str
        Class.
    mask : (ny, nx) array of bool, or None
        Its pixels.
    box : (float, float, float, float) or None
        Pixel edges ``y0, x0, y1, x1``.
    """

    label: str
    mask: NDArray[np.bool_] | None = None
    box: tuple[float, float, float, float] | None = None


def box(label: str, x: Any, y: Any, width: Any, height: Any) -> Outline:
    """Return the outline of a box.

    Raises
    ------
    ValueError
        It has no surface, or is none of numbers; so of the other functions.
    """
    left, top, wide, high = _finite([x, y, width, height])
    if not (wide > 0 and high > 0):
        raise ValueError(f"expected a box with a surface, found {wide:g} x {high:g}")
    return Outline(label, box=(top, left, top + high, left + wide))


def ellipse(
    label: str, shape: tuple[int, int], centre: Sequence[Any], radii: Sequence[Any], angle: Any = 0
) -> Outline:
    """Return the outline of an ellipse: centre x, y, radii along and across an angle (rad)."""
    x, y, along, across, theta = _finite([*centre, *radii, angle])
    if not (along > 0 and across > 0):
        raise ValueError(f"expected an ellipse with a surface, found radii {along:g}, {across:g}")
    return Outline(label, Gaussian2D(x - 0.5, y - 0.5, along, across, theta).mask(shape))


def polygons(label: str, shape: tuple[int, int], parts: Sequence[Sequence[Any]]) -> Outline:
    """Return the outline of polygons, each ``x, y, x, y, ...``: pixels with their centre inside."""
    from napari_coldatoms.images.shape_pixels import polygon_pixels

    mask = np.zeros(shape, dtype=bool)
    for part in parts:
        numbers = _finite(part)
        if len(numbers) < 6 or len(numbers) % 2:
            raise ValueError(
                f"expected polygons of three corners or more, found {len(numbers)} numbers"
            )
        corners = np.array(numbers).reshape(-1, 2)[:, ::-1] - 0.5
        mask.ravel()[polygon_pixels(corners, shape)] = True
    return Outline(label, mask)


def run_lengths(label: str, shape: tuple[int, int], runs: Mapping[str, Any]) -> Outline:
    """Return the outline of a mask as run lengths."""
    mask = decode(runs)
    if mask.shape != shape:
        raise ValueError(f"expected a mask of {_size(shape)} pixels, found {_size(mask.shape)}")
    return Outline(label, mask)


def masks_of(
    picture: NDArray[np.float32], outlines: Sequence[Outline], boxes: Boxes = "ellipse"
) -> tuple[NDArray[np.bool_], list[str]]:
    """Return the masks of outlines in a picture, (n, ny, nx), and what is to be told of them.

    Parameters
    ----------
    picture : (ny, nx) array
    outlines : sequence of Outline
    boxes : "ellipse", "rule" or "rectangle"
        What boxes stand for. By the rule of `masks_by_rule`; the ellipse in a box where that fails.
    """
    check_boxes(boxes)
    shape = picture.shape[0], picture.shape[1]
    masks = np.zeros((len(outlines), *shape), dtype=bool)
    notes = []
    open_boxes = []
    for n, outline in enumerate(outlines):
        if outline.mask is not None:
            masks[n] = outline.mask
        elif outline.box is not None and boxes == "rectangle":
            y0, x0, y1, x1 = (max(math.ceil(edge - 0.5), 0) for edge in outline.box)
            masks[n, y0:y1, x0:x1] = True
        elif outline.box is not None:
            masks[n] = Gaussian2D.in_box(outline.box).mask(shape)
            if masks[n].any():
                open_boxes.append(n)
    if boxes == "rule" and open_boxes:
        found = masks_by_rule(picture, [outlines[n].box for n in open_boxes])
        for n, result in zip(open_boxes, found, strict=True):
            if result.ok and result.mask.area:
                masks[n] = result.mask.on(shape)
            else:
                notes.append(f"cloud {n + 1} is the ellipse in its box: {result.message}")
    return masks, notes


def check_boxes(boxes: str) -> None:
    """Raise `ValueError` where boxes cannot stand for that."""
    if boxes not in get_args(Boxes):
        raise ValueError(f"expected boxes as {', '.join(get_args(Boxes))}, found {boxes!r}")


def _finite(numbers: Sequence[Any]) -> list[float]:
    try:
        found = [float(number) for number in numbers]
    except (TypeError, ValueError):
        raise ValueError(f"expected numbers, found {str(numbers)[:60]}") from None
    if not all(math.isfinite(number) for number in found):
        raise ValueError("expected finite numbers, found others")
    return found


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
