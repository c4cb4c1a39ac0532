"""Pictures that were annotated in other programs become part of a dataset.

What cannot be used, such as a point, or an outline without a pixel in it, is left out and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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

__all__ = ["Foreign", "Found", "ReadPicture", "add_pictures", "picture_files", "refuse"]

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


@dataclass(frozen=True)
class Foreign:
    """Annotations of another program.

    Attributes
    ----------
    path : Path
        Their file.
    classes : tuple of str
        Of the clouds.
    pictures : tuple of Found
        Each with its clouds.
    """

    path: Path
    classes: tuple[str, ...]
    pictures: tuple[Found, ...]


def refuse(message: str) -> None:
    """Raise `DatasetError`: what is to be done with a bad entry where nothing else is said."""
    raise DatasetError(message)


def picture_files(annotations: Foreign, folder: str | Path | None = None) -> dict[str, Path]:
    """Return where the pictures are, by their names in the file; those that are missing are not.

    Parameters
    ----------
    annotations : Foreign
    folder : path, optional
        Of the pictures. By default that of the file, or one beside it that is named so.
    """
    beside = annotations.path.parent
    places = [beside, beside / PICTURES, beside / "images"] if folder is None else [Path(folder)]
    names = [each.file for each in annotations.pictures]
    last = [PurePosixPath(name.replace("\\", "/")).name for name in names]
    apart = len(set(last)) == len(set(names))
    found: dict[str, Path] = {}
    for name, short in zip(names, last, strict=True):
        # the folders that a name begins with may be those of another computer
        tried = [place / each for place in places for each in (name, *([short] if apart else []))]
        file = next((path for path in tried if short and path.is_file()), None)
        if file is not None:
            found[name] = file
    return found


def add_pictures(
    annotations: Foreign,
    folder: str | Path,
    pictures: str | Path | None,
    *,
    read_picture: ReadPicture,
    split: Split | None = None,
    boxes: Boxes = "ellipse",
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
    bad: Callable[[str], None] = refuse,
) -> AnnotatedSet:
    """Write pictures into a dataset, which is made if need be.

    Parameters
    ----------
    annotations : Foreign
    bad : callable
        Told of each picture that cannot be taken; where it returns, that one is left out. By
        default there are all pictures in the dataset, or none of them.
    folder, pictures, read_picture, split, boxes, progress, note
        See `import_coco`.

    Raises
    ------
    DatasetError
        There are no pictures that can be read. Nothing is changed then, nor after another error.
    """
    check_boxes(boxes)
    folder = Path(folder)
    files = picture_files(annotations, pictures)
    _check_found(annotations, files, pictures, bad)
    made = not (folder / INDEX).exists()
    names = _names([each.file for each in annotations.pictures])
    dataset = create_set(folder, annotations.classes) if made else open_set(folder)
    named = list(zip(names, annotations.pictures, strict=True))
    if there := [name for name in names if name in dataset]:
        bad(f"{folder}: expected no picture {there[0]!r} yet, found one{_more(there)}")
    chosen = [(n, each) for n, each in named if n not in dataset and each.file in files]

    def annotated() -> Iterator[Annotated]:
        reason, taken = "", 0
        for name, each in chosen:
            file = files[each.file]
            try:
                picture = _read(file, read_picture, each.shape)
            except DatasetError as error:
                reason = reason or str(error)
                bad(str(error))
                continue
            taken += 1
            yield _annotated(name, each, file, picture, boxes, tell, split)
        if chosen and not taken:
            raise DatasetError(reason)

    def tell(line: str) -> None:
        if note is not None:
            note(line)

    def count(done: int) -> None:
        if progress is not None:
            progress(done, len(chosen))

    new = [name for name in annotations.classes if name not in dataset.classes]
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


def _check_found(
    annotations: Foreign,
    files: Mapping[str, Path],
    pictures: str | Path | None,
    bad: Callable[[str], None],
) -> None:
    """Tell which pictures are missing; an error where all are."""
    place = annotations.path.parent if pictures is None else Path(pictures)
    missing = [str(place / each.file) for each in annotations.pictures if each.file not in files]
    if not missing:
        return
    message = (
        f"{annotations.path}: expected its pictures in {place}, found no {missing[0]}"
        f"{_more(missing)}"
    )
    if not files:
        raise DatasetError(message)
    bad(message)


def _annotated(
    name: str,
    found: Found,
    file: Path,
    picture: NDArray[np.float32],
    boxes: Boxes,
    tell: Callable[[str], None],
    split: Split | None,
) -> Annotated:
    """Return a picture with those of its clouds that can be used; the others are told."""
    usable = []
    for outline in found.outlines((picture.shape[0], picture.shape[1])):
        if isinstance(outline, Outline):
            usable.append(outline)
        else:
            tell(f"{found.file}, {outline}; left out")
    masks, notes = masks_of(picture, usable, boxes)
    for line in notes:
        tell(f"{found.file}, {line}")
    seen = np.array([mask.any() for mask in masks], dtype=bool)
    if not seen.all():
        tell(f"{found.file}: {np.count_nonzero(~seen)} clouds without a pixel; left out")
    return Annotated(
        name,
        picture,
        tuple(one.label for one, kept in zip(usable, seen, strict=True) if kept),
        masks[seen],
        found.source or str(file.absolute()),
        found.index,
        split or found.split,
    )


def _more(found: Sequence[str]) -> str:
    return f" and {len(found) - 1} more" if len(found) > 1 else ""


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
