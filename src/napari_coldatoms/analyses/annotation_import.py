"""Annotations of other programs, taken into a dataset: what cannot be used is left out and told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_coldatoms.analyses.single_picture import picture_reader
from napari_coldatoms.clouds.annotation_coco import read_coco
from napari_coldatoms.clouds.annotation_files import INDEX, read_json
from napari_coldatoms.clouds.annotation_imports import Foreign, add_pictures, picture_files
from napari_coldatoms.clouds.annotation_via import ClassAttributeError, read_via
from napari_coldatoms.clouds.annotations import DatasetError, open_set

__all__ = ["ClassAttributeError", "Import", "Imported", "import_annotations", "look_into"]


@dataclass(frozen=True)
class Import:
    """A file of annotations, as far as it can be understood.

    Attributes
    ----------
    annotations : Foreign
        Classes and pictures.
    pictures : str
        Folder of the pictures; empty where they lie beside the file, as most do.
    files : int
        How many of the pictures are there.
    left_out : tuple of str
        What cannot be used, a line each.
    """

    annotations: Foreign
    pictures: str
    files: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Imported:
    """What has come into a dataset.

    Attributes
    ----------
    pictures, clouds : int
        How many.
    classes : tuple of str
        Of these clouds.
    notes : tuple of str
        What was left out or is not as it was drawn, a line each.
    """

    pictures: int
    clouds: int
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def look_into(path: Path, pictures: str = "", class_attribute: str | None = None) -> Import:
    """Return what is in a file of COCO or of the VGG Image Annotator, version 2.

    Parameters
    ----------
    path : Path
    pictures : str
        Folder of the pictures; by default that of the file, or one beside it that is named so.
    class_attribute : str, optional
        Of VIA: the region attribute that holds the class, where there are several.

    Raises
    ------
    ClassAttributeError
        There are several, and none was named.
    DatasetError
        It is another file, or damaged.
    """
    path = Path(path)
    content = read_json(path)
    left_out: list[str] = []
    if "images" in content and "categories" in content:
        found = read_coco(path, content, left_out.append)
    elif "images" in content or "annotations" in content:
        raise DatasetError(
            f"{path}: expected COCO with images, annotations and categories, found "
            f"{', '.join(map(str, content))[:60]}"
        )
    else:
        found = read_via(path, content, class_attribute, left_out.append)
    for what, there in (("pictures", found.pictures), ("classes", found.classes)):
        if not there:
            raise DatasetError(f"{path}: expected {what}, found none")
    files = picture_files(found, pictures or None)
    return Import(found, pictures, len(files), tuple(left_out))


def import_annotations(
    wanted: Import,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Take annotations into the dataset in a folder, which is made where there is none.

    Boxes become the ellipses in them. What raises in `progress` leaves the dataset as it was.

    Raises
    ------
    DatasetError
        No picture can be read, or the folder holds something else.
    OSError
        A file cannot be written.
    """
    notes = list(wanted.left_out)
    folder = Path(folder)
    before = set(open_set(folder).names) if (folder / INDEX).exists() else set()
    dataset = add_pictures(
        wanted.annotations,
        folder,
        wanted.pictures or None,
        read_picture=picture_reader(),
        progress=progress,
        note=notes.append,
        bad=notes.append,
    )
    labels = [label for n in dataset.names if n not in before for label in dataset.entry(n).labels]
    classes = tuple(name for name in dataset.classes if name in set(labels))
    return Imported(len(set(dataset.names) - before), len(labels), classes, tuple(notes))
