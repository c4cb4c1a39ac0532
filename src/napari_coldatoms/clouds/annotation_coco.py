"""Datasets from COCO files of other programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.annotated import SPLITS, DatasetError, Split
from napari_coldatoms.clouds.annotated_set import AnnotatedSet
from napari_coldatoms.clouds.annotation_files import read_json
from napari_coldatoms.clouds.annotation_imports import (
    Foreign,
    Found,
    ReadPicture,
    add_pictures,
    refuse,
)
from napari_coldatoms.clouds.annotation_outlines import Boxes, Outline, box, polygons, run_lengths

__all__ = ["import_coco", "read_coco"]

_DAMAGED = (KeyError, TypeError, ValueError, AttributeError)


def import_coco(
    json_path: str | Path,
    folder: str | Path,
    pictures: str | Path | None = None,
    *,
    read_picture: ReadPicture,
    split: Split | None = None,
    boxes: Boxes = "ellipse",
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> AnnotatedSet:
    """Make a dataset of a COCO file, or add it to one.

    Parameters
    ----------
    json_path : path
        Masks as run lengths (of both kinds) or polygons; an annotation with neither has its box.
    folder : path
        Of the dataset, which is made if need be.
    pictures : path, optional
        Folder of the pictures; default that of the file.
    read_picture : callable
        Reads a camera file as one picture, (ny, nx).
    split : "train" or "validation", optional
        What all of them are for; by default what the file says, or about every fifth is for
        validation.
    boxes : "ellipse", "rule" or "rectangle"
        What a box stands for: the ellipse in it, the cloud that is fitted to it by the rule of
        Hofer et al. 2021, see `annotation_rule`, or all its pixels.
    progress : callable, optional
        Called with the number of pictures written, and of all.
    note : callable, optional
        Told what was left out, one line each.

    Raises
    ------
    DatasetError
        The file is damaged or none, a picture is missing or of another size, or the dataset has
        one of that name. Nothing is changed then.
    """
    path = Path(json_path)
    return add_pictures(
        read_coco(path, read_json(path)), folder, pictures, read_picture=read_picture, split=split,
        boxes=boxes, progress=progress, note=note,
    )  # fmt: skip


def read_coco(
    path: Path, content: Mapping[str, Any], bad: Callable[[str], None] = refuse
) -> Foreign:
    """Return the annotations in a COCO file.

    Parameters
    ----------
    path : Path
    content : mapping
        What is in it.
    bad : callable
        Told of each entry that cannot be used; where it returns, that one is left out.

    Raises
    ------
    DatasetError
        It is no COCO file.
    """
    try:
        names = {
            int(each["id"]): " ".join(str(each["name"]).split()) for each in content["categories"]
        }
        images, annotations = list(content["images"]), list(content.get("annotations", []))
    except _DAMAGED as error:
        raise DatasetError(
            f"{path}: expected COCO with images, annotations and categories, found another file "
            f"({type(error).__name__}: {error})"
        ) from None
    clouds: dict[int, list[Mapping[str, Any]]] = {}
    for number, each in enumerate(annotations, 1):
        try:
            image, category = int(each["image_id"]), int(each["category_id"])
        except _DAMAGED:
            bad(f"{path}: expected annotations of an image and a class, found no. {number}")
            continue
        if category in names:
            clouds.setdefault(image, []).append(each)
        else:
            bad(f"{path}: expected a class with id in {sorted(names)}, found {category}")
    files: dict[str, tuple[Mapping[str, Any], list[Mapping[str, Any]]]] = {}
    for number, each in enumerate(images, 1):
        try:
            own = clouds.pop(int(each["id"]), [])
            _coco_picture(each, own, names)
        except _DAMAGED:
            bad(f"{path}: expected images with id, file_name, height and width, found no. {number}")
            continue
        # some programs list a picture again for each of its clouds
        files.setdefault(str(each["file_name"]), (each, []))[1].extend(own)
    found = [_coco_picture(each, own, names) for each, own in files.values()]
    for image in clouds:
        bad(f"{path}: expected annotations of its images, found some of image {image}")
    classes = dict.fromkeys(names[number] for number in sorted(names))
    return Foreign(path, tuple(classes), tuple(found))


def _coco_picture(
    image: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], names: Mapping[int, str]
) -> Found:
    def outlines(shape: tuple[int, int]) -> Iterator[Outline | str]:
        for number, each in enumerate(annotations, 1):
            label, drawn = names[int(each["category_id"])], each.get("segmentation")
            try:
                if isinstance(drawn, Mapping):
                    yield run_lengths(label, shape, drawn)
                elif drawn:
                    yield polygons(label, shape, drawn)
                else:
                    yield box(label, *each["bbox"])
            except (ValueError, KeyError, TypeError) as error:
                yield f"annotation {number}: {error}"

    index = image.get("index")
    return Found(
        str(image["file_name"]),
        outlines,
        (int(image["height"]), int(image["width"])),
        next((split for split in SPLITS if split == image.get("split")), None),
        str(image.get("source") or ""),
        None if index is None else tuple(int(n) for n in index),
    )
