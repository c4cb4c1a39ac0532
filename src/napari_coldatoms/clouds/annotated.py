"""A picture and the clouds that somebody has painted in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.dataset import Sample
from napari_coldatoms.clouds.patch import extent

__all__ = ["Annotated", "DatasetError", "Split", "export_labels", "labels_to_masks"]

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")


class DatasetError(ValueError):
    """A folder or file of annotated pictures that cannot be used."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """A picture and the clouds in it.

    Attributes
    ----------
    name : str
        Of the picture; the only one of this name in its dataset.
    picture : (ny, nx) array of float32
        Optical depth or counts; NaN where nothing is known. Other numbers are converted.
    labels : tuple of str
        Class of each cloud.
    masks : (n, ny, nx) array of bool
        Pixels of each cloud, at least one; clouds may overlap.
    source : str
        Where the picture comes from, such as a file.
    index : tuple of int or None
        Place of the picture along the leading axes of a stack from there.
    split : "train", "validation" or None
        What the picture is for; None leaves that to the dataset.

    Raises
    ------
    ValueError
        Picture, labels and masks do not fit each other, a mask is empty, or a name is missing.
    """

    name: str
    picture: NDArray[np.float32]
    labels: tuple[str, ...]
    masks: NDArray[np.bool_]
    source: str = ""
    index: tuple[int, ...] | None = None
    split: Split | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"expected a picture's name, found {self.name!r}")
        picture = np.asarray(self.picture)
        if picture.ndim != 2 or min(picture.shape) < 1 or picture.dtype.kind not in "buif":
            raise ValueError(
                f"{self.name}: expected a picture (ny, nx) of real numbers, found shape "
                f"{picture.shape} of {picture.dtype}"
            )
        masks = np.asarray(self.masks)
        n = len(self.labels)
        if masks.shape != (n, *picture.shape) or masks.dtype != np.bool_:
            raise ValueError(
                f"{self.name}: expected masks of bool of shape {(n, *picture.shape)}, found "
                f"{masks.shape} of {masks.dtype}"
            )
        if n and not masks.any(axis=(1, 2)).all():
            raise ValueError(f"{self.name}: expected clouds with pixels, found one without")
        if self.split not in (None, *SPLITS):
            raise ValueError(
                f"{self.name}: expected split train or validation, found {self.split!r}"
            )
        object.__setattr__(self, "picture", picture.astype(np.float32, copy=False))
        object.__setattr__(self, "masks", masks)
        object.__setattr__(self, "labels", tuple(str(label) for label in self.labels))
        if self.index is not None:
            object.__setattr__(self, "index", tuple(int(n) for n in self.index))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.picture.shape[0], self.picture.shape[1]

    def sample(self) -> Sample:
        """Return what a network is trained with; a cloud's box is the extent of its mask."""
        boxes = np.array([extent(mask) for mask in self.masks], dtype=np.float64).reshape(-1, 4)
        return Sample(self.picture, boxes, self.labels, self.masks)


def export_labels(annotated: Annotated) -> dict[str, NDArray[np.uint16]]:
    """Return a label image for each class: 1, 2, ... for its clouds in their order, else 0.

    Where clouds of a class overlap, a pixel is the smaller one's.
    """
    found: dict[str, NDArray[np.uint16]] = {
        label: np.zeros(annotated.shape, dtype=np.uint16) for label in annotated.labels
    }
    numbers: dict[str, int] = {}
    values = []
    for label in annotated.labels:
        numbers[label] = numbers.get(label, 0) + 1
        values.append(numbers[label])
    areas = np.count_nonzero(annotated.masks, axis=(1, 2))
    for n in sorted(range(len(values)), key=lambda k: -areas[k]):
        found[annotated.labels[n]][annotated.masks[n]] = values[n]
    return found


def labels_to_masks(
    labels_by_class: Mapping[str, Any],
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Return class and mask of each cloud in label images.

    Parameters
    ----------
    labels_by_class : mapping of str to (ny, nx) array of int
        For each class one value per cloud, 0 for none.

    Returns
    -------
    labels : tuple of str
        Class by class, in the order of the values.
    masks : (n, ny, nx) array of bool

    Raises
    ------
    ValueError
        Label images of several sizes, or none, or of other numbers than whole ones.
    """
    images = {name: np.asarray(image) for name, image in labels_by_class.items()}
    shapes = sorted({image.shape for image in images.values()})
    if len(shapes) != 1 or len(shapes[0]) != 2:
        raise ValueError(f"expected label images (ny, nx) of one size, found shapes {shapes}")
    labels: list[str] = []
    masks: list[NDArray[np.bool_]] = []
    for name, image in images.items():
        if image.dtype.kind not in "bui":
            raise ValueError(f"{name}: expected labels as whole numbers, found {image.dtype}")
        for value in np.unique(image):
            if value:
                labels.append(name)
                masks.append(image == value)
    return tuple(labels), np.array(masks, dtype=bool).reshape(-1, *shapes[0])
