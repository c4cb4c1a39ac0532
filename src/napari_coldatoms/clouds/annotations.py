"""Annotated pictures: datasets of one's own to train on. Loads neither torch nor napari.

A dataset is a folder with ``dataset.json`` (COCO: classes, pictures, clouds with their masks as run
lengths) and ``pictures``, one TIFF of 32-bit floats each.
"""

from __future__ import annotations

from napari_coldatoms.clouds.annotated import (
    Annotated,
    DatasetError,
    Split,
    export_labels,
    labels_to_masks,
)
from napari_coldatoms.clouds.annotated_set import (
    AnnotatedSamples,
    AnnotatedSet,
    create_set,
    open_set,
)
from napari_coldatoms.clouds.annotation_coco import import_coco
from napari_coldatoms.clouds.annotation_via import import_via

__all__ = [
    "Annotated",
    "AnnotatedSamples",
    "AnnotatedSet",
    "DatasetError",
    "Split",
    "create_set",
    "export_labels",
    "import_coco",
    "import_via",
    "labels_to_masks",
    "open_set",
]
