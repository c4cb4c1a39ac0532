"""Whether a dataset of annotated pictures is whole, and fit to train on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from napari_coldatoms.clouds.annotated import SPLITS, Annotated, DatasetError, Split
from napari_coldatoms.clouds.annotated_set import AnnotatedSet
from napari_coldatoms.clouds.annotation_files import PICTURES
from napari_coldatoms.clouds.patch import Patch

__all__ = ["SetCheck", "check_set"]

# clouds of fewer pixels are slips of the brush
_SMALL = 12
# two clouds of one picture that have this much in common (intersection over union) are one
_SAME = 0.9


@dataclass(frozen=True)
class SetCheck:
    """What there is in a dataset.

    Attributes
    ----------
    pictures : mapping of str to int
        How many there are of each split.
    empty : mapping of str to int
        How many of them show no cloud.
    clouds : mapping of str to mapping of str to int
        For each class how many there are in the pictures of each split.
    problems : tuple of str
        What keeps it from being used, one line each.
    notes : tuple of str
        What may be a slip.
    """

    pictures: Mapping[Split, int]
    empty: Mapping[Split, int]
    clouds: Mapping[str, Mapping[Split, int]]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_set(
    dataset: AnnotatedSet, *, progress: Callable[[int, int], None] | None = None
) -> SetCheck:
    """Read all pictures and masks of a dataset, and tell what is there.

    Parameters
    ----------
    dataset : AnnotatedSet
    progress : callable, optional
        Called with the number of pictures read, and of all.
    """
    entries = [dataset.entry(name) for name in dataset.names]
    pictures = {split: sum(each.split == split for each in entries) for split in SPLITS}
    empty = {
        split: sum(each.split == split and not each.clouds for each in entries) for split in SPLITS
    }
    clouds = {
        label: {
            split: sum(each.labels.count(label) for each in entries if each.split == split)
            for split in SPLITS
        }
        for label in dataset.classes
    }
    problems: list[str] = []
    notes: list[str] = []
    for done, entry in enumerate(entries, 1):
        try:
            notes += _slips(dataset.read(entry.name))
        except DatasetError as error:
            problems.append(str(error))
        except ValueError as error:
            problems.append(f"{entry.name}: {error}")
        if progress is not None:
            progress(done, len(entries))
    problems += [
        f"expected pictures for {'training' if split == 'train' else split}, found none"
        for split in SPLITS
        if not pictures[split]
    ]
    for label, counts in clouds.items():
        notes += [
            f"no {label} among the pictures for {each}" for each in SPLITS if not counts[each]
        ]
    known = {each.file for each in entries}
    folder = dataset.folder / PICTURES
    others = sorted(path.name for path in folder.glob("*") if path.name not in known)
    notes += [f"{PICTURES}/{name} belongs to no picture of the dataset" for name in others]
    return SetCheck(pictures, empty, clouds, tuple(problems), tuple(notes))


def _slips(found: Annotated) -> Iterator[str]:
    if not np.isfinite(found.picture).any():
        yield f"{found.name}: no pixel of the picture is a number"
    patches = [Patch.of(mask) for mask in found.masks]
    for n, patch in enumerate(patches, 1):
        if patch.area < _SMALL:
            yield f"{found.name}: cloud {n} has {patch.area} pixels"
    for (n, one), (m, other) in combinations(enumerate(patches, 1), 2):
        if one.overlap(other) > _SAME:
            yield f"{found.name}: clouds {n} and {m} are nearly the same"
