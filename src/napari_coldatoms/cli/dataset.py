"""The commands ``dataset ...``: annotated pictures to train on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.cli import DONE, NOTHING, PARTLY
from napari_coldatoms.cli.flags import build, flags
from napari_coldatoms.cli.names import check_output
from napari_coldatoms.cli.report import progress_bar, tell_failure

if TYPE_CHECKING:
    from napari_coldatoms.clouds.annotation_check import SetCheck
    from napari_coldatoms.clouds.annotations import AnnotatedSet

    _PictureFlags: TypeAlias = Any
else:
    _PictureFlags = flags(MakePicture, "Picture")

_File = Annotated[Path, Parameter(help="the annotations (JSON)")]
_Quiet = Annotated[bool, Parameter(alias="-q", negative=(), help="no progress, no notes")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class _Importing:
    """What is asked of every import."""

    output: Annotated[
        Path,
        Parameter(alias="-o", help="folder of the dataset; one that is there gets more pictures"),
    ]
    pictures: Annotated[
        Path | None, Parameter(help="folder of the pictures; by default that of the annotations")
    ] = None
    split: Annotated[
        Literal["train", "validation"] | None,
        Parameter(help="what they are all for; by default about every fifth is for validation"),
    ] = None
    boxes: Annotated[
        Literal["ellipse", "rule", "rectangle"],
        Parameter(
            help="what a box stands for: the ellipse in it, the cloud that is fitted to it by the "
            "rule of Hofer et al. 2021, or all its pixels"
        ),
    ] = "ellipse"
    quiet: _Quiet = False
    picture: Annotated[_PictureFlags, Parameter(name="picture")] = field(
        default_factory=_PictureFlags
    )


def import_coco(file: _File, /, *, importing: _Importing) -> int:
    """Make a dataset of pictures with a COCO file: masks as run lengths, polygons, boxes."""
    from napari_coldatoms.clouds.annotations import import_coco

    return _imported(partial(import_coco, file), importing)


def import_via(
    file: _File,
    /,
    *,
    importing: _Importing,
    class_attribute: Annotated[
        str | None,
        Parameter(help="region attribute with the class; by default the only one that there is"),
    ] = None,
) -> int:
    """Make a dataset of pictures with a file of the VGG Image Annotator, version 2."""
    from napari_coldatoms.clouds.annotations import import_via

    return _imported(partial(import_via, file, class_attribute=class_attribute), importing)


def check(
    folder: Annotated[Path, Parameter(help="folder of the dataset")],
    /,
    *,
    quiet: _Quiet = False,
) -> int:
    """Tell what is in a dataset, and whether a network can be trained on it."""
    from napari_coldatoms.clouds.annotation_check import check_set
    from napari_coldatoms.clouds.annotations import DatasetError, open_set

    try:
        with progress_bar(quiet, "pictures") as progress:
            dataset = open_set(folder)
            found = check_set(dataset, progress=progress)
    except DatasetError as error:
        tell_failure(error)
        return NOTHING
    _show(dataset, found)
    for line in found.problems:
        print(f"problem: {line}", file=sys.stderr)
    if not quiet:
        for line in found.notes:
            print(f"note: {line}", file=sys.stderr)
    return PARTLY if found.problems else DONE


def _imported(way: Callable[..., AnnotatedSet], importing: _Importing) -> int:
    from napari_coldatoms.analyses.single_picture import picture_reader
    from napari_coldatoms.clouds.annotations import DatasetError

    make_picture = build(MakePicture, importing.picture, "picture.")
    check_output(importing.output)
    notes: list[str] = []
    try:
        with progress_bar(importing.quiet, "pictures") as progress:
            dataset = way(
                folder=importing.output,
                pictures=importing.pictures,
                split=importing.split,
                boxes=importing.boxes,
                read_picture=picture_reader(make_picture),
                progress=progress,
                note=notes.append,
            )
    except (DatasetError, OSError) as error:
        tell_failure(error)
        return NOTHING
    if not importing.quiet:
        for line in notes:
            print(f"note: {line}", file=sys.stderr)
        print(
            f"{importing.output}: {len(dataset)} pictures, classes {', '.join(dataset.classes)}",
            file=sys.stderr,
        )
    return DONE


def _show(dataset: AnnotatedSet, found: SetCheck) -> None:
    names = ["pictures", "without clouds", *found.clouds]
    width = max(map(len, names))
    print(f"{dataset.folder}: {len(dataset)} pictures")
    print(f"{'':{width}} {'train':>10} {'validation':>10}")
    for name, counts in zip(
        names, [found.pictures, found.empty, *found.clouds.values()], strict=True
    ):
        print(f"{name:{width}} {counts['train']:>10} {counts['validation']:>10}")
