"""Clouds painted by the program: from shapes, from other labels, and by the paper's rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.analyses.annotations import LabelPatch
from napari_coldatoms.clouds.annotation_rule import masks_by_rule
from napari_coldatoms.clouds.patch import Patch

__all__ = ["Ruled", "Seed", "add_seeds", "apply_rule", "seeds_of_labels"]

# a cloud of which more is painted already is that very cloud
_MOSTLY = 0.5


@dataclass(frozen=True)
class Seed:
    """A cloud that is to be painted.

    Attributes
    ----------
    mask : Patch
        Its pixels.
    label : str
        Its class according to where it comes from; empty where that says nothing.
    """

    mask: Patch
    label: str = ""


def seeds_of_labels(labels: NDArray[np.integer], label: str = "") -> list[Seed]:
    """Return the clouds of a label image (ny, nx), one value for each."""
    patch = LabelPatch.of(labels)
    if patch is None:
        return []
    y, x = patch.offset
    found = []
    for number in patch.numbers:
        mask = Patch.of(patch.pixels == number)
        found.append(Seed(Patch((mask.offset[0] + y, mask.offset[1] + x), mask.pixels), label))
    return found


def add_seeds(
    labels: Mapping[str, NDArray[np.integer]], seeds: Iterable[Seed], chosen: str
) -> tuple[dict[str, NDArray[np.integer]], int, int]:
    """Paint clouds where nothing is painted yet.

    Parameters
    ----------
    labels : mapping of str to (ny, nx) array
        What is painted, by class.
    seeds : iterable of Seed
        A seed whose label is one of the classes goes there, all others to the chosen class.
    chosen : str
        One of the classes.

    Returns
    -------
    labels : dict
        Copies with more clouds, of the classes that have got some.
    added, left_out : int
        Numbers of clouds; one is left out where half of it, or more, was painted in its class.
    """
    made: dict[str, NDArray[np.integer]] = {}
    new: set[tuple[str, int]] = set()
    seeds = list(seeds)
    # large ones first: of two that lie over each other, the small one shall be seen
    for seed in sorted(seeds, key=lambda each: -each.mask.area):
        name = seed.label if seed.label in labels else chosen
        before = labels[name]
        mask = _inside(seed.mask, before.shape)
        free = mask & (before == 0)
        if not mask.any() or np.count_nonzero(free) <= _MOSTLY * np.count_nonzero(mask):
            continue
        if name not in made:
            made[name] = before.copy()
        number = max(int(made[name].max()), 0) + 1
        made[name][free] = number
        new.add((name, number))
    added = sum(bool((made[name] == number).any()) for name, number in new)
    return made, added, len(seeds) - added


@dataclass(frozen=True)
class Ruled:
    """What the paper's rule made of painted clouds.

    Attributes
    ----------
    labels : dict of str to (ny, nx) array
        The classes of which a cloud has got another outline.
    fitted : int
        Number of clouds that were redrawn.
    failed : tuple of str
        Why others have stayed as they were.
    """

    labels: dict[str, NDArray[np.integer]]
    fitted: int
    failed: tuple[str, ...]


def apply_rule(picture: NDArray[np.floating], labels: Mapping[str, NDArray[np.integer]]) -> Ruled:
    """Redraw painted clouds by the rule of arXiv:2011.10536, sec. 2.2; see `masks_by_rule`.

    The box around what is painted begins; the cloud gets the pixels inside the 1/e² ellipse of its
    fit, and keeps its value.

    Parameters
    ----------
    picture : (ny, nx) array
        Optical depth or counts.
    labels : mapping of str to (ny, nx) array
        What is painted, by class.
    """
    clouds: list[tuple[str, int]] = []
    boxes: list[tuple[float, float, float, float]] = []
    for name, image in labels.items():
        for number in np.unique(image[image > 0]).tolist():
            rows = np.flatnonzero((image == number).any(axis=1))
            columns = np.flatnonzero((image == number).any(axis=0))
            clouds.append((name, number))
            boxes.append(
                (float(rows[0]), float(columns[0]), float(rows[-1]) + 1, float(columns[-1]) + 1)
            )
    if not clouds:
        return Ruled({}, 0, ())
    results = masks_by_rule(picture, np.array(boxes))
    good = [
        (name, number, result.mask)
        for (name, number), result in zip(clouds, results, strict=True)
        if result.ok and result.mask.area
    ]
    failed = tuple(
        f"{name} {number}: {result.message or 'the fit found no cloud'}"
        for (name, number), result in zip(clouds, results, strict=True)
        if not (result.ok and result.mask.area)
    )
    made: dict[str, NDArray[np.integer]] = {}
    for name, number, _ in good:
        image = made.setdefault(name, labels[name].copy())
        image[labels[name] == number] = 0
    kept = {name: image.copy() for name, image in made.items()}  # those that were not fitted
    for name, number, mask in sorted(good, key=lambda each: -each[2].area):
        where = _inside(mask, kept[name].shape) & (kept[name] == 0)
        made[name][where] = number
    return Ruled(made, len(good), failed)


def _inside(mask: Patch, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Return the part of a mask in the picture, on the whole of it."""
    whole = np.zeros((shape[0], shape[1]), dtype=bool)
    (y, x), (height, width) = mask.offset, mask.pixels.shape
    top, left = max(-y, 0), max(-x, 0)
    bottom, right = min(height, shape[0] - y), min(width, shape[1] - x)
    if top < bottom and left < right:
        whole[y + top : y + bottom, x + left : x + right] = mask.pixels[top:bottom, left:right]
    return whole
