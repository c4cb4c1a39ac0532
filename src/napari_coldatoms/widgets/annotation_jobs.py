"""What "Annotate clouds" does in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.analyses.annotation_seeds import Ruled, add_seeds, apply_rule
from napari_coldatoms.analyses.annotation_shots import load_notes, open_dataset
from napari_coldatoms.analyses.annotations import Annotations, Shot, ShotNotes
from napari_coldatoms.clouds.compiled import compile_elsewhere, is_compiled
from napari_coldatoms.widgets.annotation_layers import seeds_in
from napari_coldatoms.widgets.jobs import Cancelled


@dataclass(frozen=True, eq=False)
class Opened:
    """A dataset, as far as it is about an image.

    Attributes
    ----------
    classes : tuple of str
        Of the dataset.
    pictures : int
        How many it has.
    notes : dict
        What it says about the image's shots.
    """

    classes: tuple[str, ...]
    pictures: int
    notes: dict[Shot, ShotNotes]


@dataclass(frozen=True, eq=False)
class Seeded:
    """Clouds that were taken from another layer.

    Attributes
    ----------
    labels : dict
        By shot and class the new label images.
    before : dict
        What was known about these shots when they were made.
    added, left_out : int
        Numbers of clouds.
    """

    labels: dict[Shot, dict[str, Any]]
    before: dict[Shot, ShotNotes]
    added: int
    left_out: int


def read_dataset(folder: str, stack: Any) -> Opened | None:
    """Return what a dataset says about an image; None where there is no dataset in the folder."""
    dataset = open_dataset(Path(folder), create=False)
    if dataset is None:
        return None
    return Opened(dataset.classes, len(dataset), load_notes(dataset, stack))


def take_seeds(
    layer: Any,
    source: Any,
    shots: Sequence[Shot],
    shown: Shot | None,
    notes: Annotations,
    chosen: str,
    *,
    progress: Callable[[int, int], None],
    cancel: Callable[[], bool],
) -> Seeded:
    """Take clouds of a layer of labels or shapes into shots of an image, see `add_seeds`."""
    labels: dict[Shot, dict[str, Any]] = {}
    before: dict[Shot, ShotNotes] = {}
    added = left_out = 0
    every = seeds_in(layer, source, shots, shown)
    for number, (shot, seeds) in enumerate(zip(shots, every, strict=True)):
        if cancel():
            raise Cancelled("Cancelled.")
        if seeds:
            known = notes.notes(shot)
            made, new, old = add_seeds(label_images(notes, known), seeds, chosen)
            added, left_out = added + new, left_out + old
            if made:
                labels[shot], before[shot] = made, known
        progress(number + 1, len(shots))
    return Seeded(labels, before, added, left_out)


def fit_outlines(picture: Any, labels: Mapping[str, Any], *, cancel: Callable[[], bool]) -> Ruled:
    """Redraw painted clouds by the paper's rule, see `apply_rule`."""
    if not is_compiled():
        compile_elsewhere(cancel)
    if cancel():
        raise Cancelled("Cancelled.")
    return apply_rule(np.asarray(picture), labels)


def label_images(notes: Annotations, known: ShotNotes) -> dict[str, Any]:
    """Return what is painted in a shot, a label image for each class."""
    return {name: known.labels(name, notes.picture_shape) for name in notes.classes}
