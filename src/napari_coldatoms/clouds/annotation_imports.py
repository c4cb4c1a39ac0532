"""Pictures that were annotated in other programs become part of a dataset.

What cannot be used, such as a point, or an outline without a pixel in it, is left out and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.annotated import Annotated, DatasetError, Split
from napari_coldatoms.clouds.annotated_set import AnnotatedSet, create_set, open_set
from napari_coldatoms.clouds.annotation_files import INDEX, PICTURES
from napari_coldatoms.clouds.annotation_outlines import Boxes, Outline, check_boxes, masks_of

__all__ = ["Found", "ReadPicture", "add_pictures"]

ReadPicture = Callable[[Path], Any]
"""Reads a camera file as one picture, (ny, nx)."""


@dataclass(frozen=True)
class Found:
    """A picture of another program's file.

    Attributes
    ----------
    file : str
        Name of its own file.
    outlines : callable
        Gives its clouds once the size of the picture is known; a text for one that cannot be used.
    shape : (int, int) or None
        Its size, where that is told.
    split, source, index
        See `Annotated`.
    """

    file: str
    outlines: Callable[[tuple[int, int]], Iterator[Outline | str]]
    shape: tuple[int, int] | None = None
    split: Split | None = None
    source: str = ""
    index: tuple[int, ...] | None = None


def add_pictures(
    path: Path,
    folder: str | Path,
    pictures: str | Path | None,
    classes: Sequence[str],
    found: Sequence[Found],
    read_picture: ReadPicture,
    split: Split | None,
    boxes: Boxes,
    progress: Callable[[int, int], None] | None,
    note: Callable[[str], None] | None,
) -> AnnotatedSet:
    """Write pictures into a dataset, which is made if need be: all or none of them.

    The arguments are those of `import_coco`.
    """
    check_boxes(boxes)
    folder, place = Path(folder), path.parent if pictures is None else Path(pictures)
    files = [place / each.file for each in found]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DatasetError(f"{path}: expected its pictures in {place}, found no {missing[0]}{more}")
    names = _names([each.file for each in found])
    made = not (folder / INDEX).exists()
    dataset = create_set(folder, classes) if made else open_set(folder)
    if there := [name for name in names if name in dataset]:
        raise DatasetError(f"{folder}: expected no picture {there[0]!r} yet, found one")

    def annotated() -> Iterator[Annotated]:
        for name, file, each in zip(names, files, found, strict=True):
            picture = _read(file, read_picture, each.shape)
            usable = []
            for outline in each.outlines((picture.shape[0], picture.shape[1])):
                if isinstance(outline, Outline):
                    usable.append(outline)
                else:
                    tell(f"{each.file}, {outline}; left out")
            masks, notes = masks_of(picture, usable, boxes)
            for line in notes:
                tell(f"{each.file}, {line}")
            seen = np.array([mask.any() for mask in masks], dtype=bool)
            if not seen.all():
                tell(f"{each.file}: {np.count_nonzero(~seen)} clouds without a pixel; left out")
            yield Annotated(
                name,
                picture,
                tuple(one.label for one, kept in zip(usable, seen, strict=True) if kept),
                masks[seen],
                each.source or str(file.absolute()),
                each.index,
                split or each.split,
            )

    def tell(line: str) -> None:
        if note is not None:
            note(line)

    def count(done: int) -> None:
        if progress is not None:
            progress(done, len(found))

    new = [name for name in classes if name not in dataset.classes]
    try:
        for name in new:
            dataset.add_class(name)
        dataset.put_all(annotated(), progress=count)
    except BaseException:
        if made:
            with suppress(OSError):
                (folder / INDEX).unlink()
                (folder / PICTURES).rmdir()
                folder.rmdir()
        for name in new:
            dataset.remove_class(name)
        raise
    return dataset


def _names(files: Sequence[str]) -> list[str]:
    """Return names of pictures: their files' without endings, where these do not matter."""
    short = [str(PurePosixPath(file).with_suffix("")) for file in files]
    return short if len(set(short)) == len(short) else list(files)


def _read(
    file: Path, read_picture: ReadPicture, shape: tuple[int, int] | None
) -> NDArray[np.float32]:
    try:
        picture = np.asarray(read_picture(file))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(f"{file}: expected a picture, found: {reason}") from error
    if picture.ndim != 2 or shape not in (None, picture.shape):
        wanted = "(ny, nx)" if shape is None else f"{shape[0]} x {shape[1]}"
        raise DatasetError(f"{file}: expected a picture {wanted}, found {picture.shape}")
    return picture.astype(np.float32)
