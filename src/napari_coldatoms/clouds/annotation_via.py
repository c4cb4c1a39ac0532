"""Datasets from files of the VGG Image Annotator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.annotated import DatasetError, Split
from napari_coldatoms.clouds.annotated_set import AnnotatedSet
from napari_coldatoms.clouds.annotation_files import read_json
from napari_coldatoms.clouds.annotation_imports import (
    Foreign,
    Found,
    ReadPicture,
    add_pictures,
    refuse,
)
from napari_coldatoms.clouds.annotation_outlines import Boxes, Outline, box, ellipse, polygons

__all__ = ["ClassAttributeError", "import_via", "read_via"]


def import_via(
    json_path: str | Path,
    folder: str | Path,
    pictures: str | Path | None = None,
    class_attribute: str | None = None,
    *,
    read_picture: ReadPicture,
    split: Split | None = None,
    boxes: Boxes = "ellipse",
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> AnnotatedSet:
    """Make a dataset of a file of the VGG Image Annotator, version 2, or add it to one.

    A project or its exported annotations (JSON): regions of the shapes rect, circle, ellipse and
    polygon.

    Parameters
    ----------
    json_path : path
    class_attribute : str, optional
        The region attribute that holds the class. By default the only one that there is; without
        any, the class is ``"cloud"``.
    folder, pictures, read_picture, split, boxes, progress, note
        See `import_coco`.

    Raises
    ------
    DatasetError
        As `import_coco`; or there is no such attribute, or a region without a class.
    """
    path = Path(json_path)
    return add_pictures(
        read_via(path, read_json(path), class_attribute), folder, pictures,
        read_picture=read_picture, split=split, boxes=boxes, progress=progress, note=note,
    )  # fmt: skip


class ClassAttributeError(DatasetError):
    """Regions have several attributes, and nobody has said which of them is the class.

    Parameters
    ----------
    path : Path
        Of the annotations.
    names : sequence of str
        The attributes.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        super().__init__(
            f"{path}: expected the region attribute that holds the class to be chosen, found "
            f"{', '.join(names)}"
        )
        self.names = tuple(names)


def read_via(
    path: Path,
    content: Mapping[str, Any],
    class_attribute: str | None = None,
    bad: Callable[[str], None] = refuse,
) -> Foreign:
    """Return the annotations in a file of the VGG Image Annotator, version 2.

    Parameters
    ----------
    path : Path
    content : mapping
        What is in it.
    class_attribute : str, optional
        See `import_via`.
    bad : callable
        Told of each region that cannot be used; where it returns, that one is left out.

    Raises
    ------
    DatasetError
        It is another file; a `ClassAttributeError` where the class is to be chosen.
    """
    images = content.get("_via_img_metadata", content)
    regions: dict[str, list[Mapping[str, Any]]] = {}
    try:
        for each in images.values():
            if "filename" in each:
                regions.setdefault(str(each["filename"]), []).extend(
                    _listed(each.get("regions", []))
                )
        attributes = {
            name
            for each in regions.values()
            for region in each
            for name in region.get("region_attributes", {})
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: expected annotations of VIA 2, found another file "
            f"({type(error).__name__}: {error})"
        ) from None
    if not regions:
        raise DatasetError(f"{path}: expected annotations of VIA 2, found no pictures")
    chosen = _attribute(path, class_attribute, attributes)
    found, classes = [], set()
    for file, own in regions.items():
        good, labels = [], []
        for n, region in enumerate(own, 1):
            try:
                labels.append(_class(f"{path}: {file}, region {n}", region, chosen))
            except DatasetError as error:
                bad(str(error))
            else:
                good.append((n, region))
        found.append(_via_picture(file, good, labels))
        classes |= set(labels)
    return Foreign(path, tuple(sorted(classes)) or ("cloud",), tuple(found))


def _via_picture(
    file: str, regions: Sequence[tuple[int, Mapping[str, Any]]], labels: Sequence[str]
) -> Found:
    def outlines(shape: tuple[int, int]) -> Iterator[Outline | str]:
        for (number, region), label in zip(regions, labels, strict=True):
            try:
                yield _via_outline(label, shape, region["shape_attributes"])
            except (ValueError, KeyError, TypeError) as error:
                yield f"region {number}: {error}"

    return Found(file, outlines)


def _via_outline(label: str, shape: tuple[int, int], drawn: Mapping[str, Any]) -> Outline:
    kind = drawn["name"]
    if kind == "rect":
        return box(label, drawn["x"], drawn["y"], drawn["width"], drawn["height"])
    if kind == "circle":
        return ellipse(label, shape, (drawn["cx"], drawn["cy"]), (drawn["r"], drawn["r"]))
    if kind == "ellipse":
        radii = drawn["rx"], drawn["ry"]
        return ellipse(label, shape, (drawn["cx"], drawn["cy"]), radii, drawn.get("theta", 0))
    if kind == "polygon":
        corners = zip(drawn["all_points_x"], drawn["all_points_y"], strict=True)
        return polygons(label, shape, [[n for corner in corners for n in corner]])
    raise ValueError(f"expected a rect, circle, ellipse or polygon, found a {kind}")


def _attribute(path: Path, wanted: str | None, known: Iterable[str]) -> str | None:
    names = sorted(known)
    if wanted is None and len(names) > 1:
        raise ClassAttributeError(path, names)
    if wanted is not None and wanted not in names:
        raise DatasetError(
            f"{path}: expected a region attribute {wanted!r}, found {', '.join(names) or 'none'}"
        )
    return wanted or next(iter(names), None)


def _class(where: str, region: Mapping[str, Any], attribute: str | None) -> str:
    if attribute is None:
        return "cloud"
    value = region.get("region_attributes", {}).get(attribute)
    if isinstance(value, Mapping):  # boxes to tick
        ticked = [name for name, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    if not isinstance(value, str) or not value.strip():
        raise DatasetError(f"{where}: expected one class in {attribute!r}, found {value!r}")
    return " ".join(value.split())


def _listed(regions: Any) -> list[Mapping[str, Any]]:
    # earlier versions number them
    return list(regions.values() if isinstance(regions, Mapping) else regions)
