"""The shots of an image as pictures of a dataset, and back."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PureWindowsPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_coldatoms.analyses.annotations import LabelPatch, Shot, ShotNotes
from napari_coldatoms.atomic import replacing
from napari_coldatoms.clouds.annotation_files import INDEX, file_name
from napari_coldatoms.clouds.annotations import (
    Annotated,
    AnnotatedSet,
    create_set,
    export_labels,
    labels_to_masks,
    open_set,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Origin",
    "annotated",
    "export_tiff",
    "load_notes",
    "notes_of",
    "open_dataset",
    "origins",
    "save_notes",
]

Progress = Callable[[int, int], None] | None

_LONGEST = 40


@dataclass(frozen=True)
class Origin:
    """Where the picture of a shot comes from; the same whenever the image is opened again.

    Attributes
    ----------
    name : str
        Of the picture in a dataset.
    source : str
        File or folder, or else the name of the image.
    index : tuple of int or None
        Place among the pictures from there; None for the only one.
    """

    name: str
    source: str
    index: tuple[int, ...] | None


def origins(stack: xr.DataArray) -> dict[Shot, Origin]:
    """Return where the picture of each shot comes from.

    A shot with a file of its own (coordinate ``source``) is known by that, so that it stays the
    same picture when the folder has got more files.

    Parameters
    ----------
    stack : DataArray
        Pictures, dims (y, x) or (shot, y, x), see the image model.
    """
    whole = str(stack.attrs.get("source") or stack.name or "")
    shots: list[Shot] = list(np.ndindex(*stack.shape[:-2]))
    files = _sources(stack, len(shots))
    if files is None:
        files = [whole] * len(shots)
    times, seen = Counter(files), Counter[str]()
    found: dict[Shot, Origin] = {}
    for shot, file in zip(shots, files, strict=True):
        file = file or whole
        # a single picture has no place among others
        index = (seen[file],) if times[file] > 1 else None
        seen[file] += 1
        found[shot] = Origin(_name(file, index), file, index)
    return found


def annotated(stack: xr.DataArray, shot: Shot, origin: Origin, notes: ShotNotes) -> Annotated:
    """Return a shot and its clouds, as a dataset takes it."""
    dims = stack.dims[: len(shot)]
    picture = np.asarray(stack.isel(dict(zip(dims, shot, strict=True))).values, dtype=np.float32)
    shape = (picture.shape[0], picture.shape[1])
    labels: tuple[str, ...] = ()
    masks = np.zeros((0, *shape), dtype=bool)
    if notes.clouds:
        labels, masks = labels_to_masks(
            {name: patch.on(shape) for name, patch in notes.clouds.items()}
        )
    return Annotated(origin.name, picture, labels, masks, origin.source, origin.index)


def notes_of(found: Annotated) -> ShotNotes:
    """Return what a dataset says about a shot; a picture without clouds is one that has none."""
    patches = {name: LabelPatch.of(labels) for name, labels in export_labels(found).items()}
    clouds = {name: patch for name, patch in patches.items() if patch is not None}
    return ShotNotes(MappingProxyType(clouds), empty=not clouds)


def load_notes(dataset: AnnotatedSet, stack: xr.DataArray) -> dict[Shot, ShotNotes]:
    """Return what a dataset says about the shots of an image; shots it has not are left out.

    Raises
    ------
    DatasetError
        A mask of the dataset is damaged.
    """
    names = _names(dataset)
    found: dict[Shot, ShotNotes] = {}
    for shot, origin in origins(stack).items():
        name = names.get((origin.source, origin.index))
        if name is None:
            continue
        entry = dataset.entry(name)
        if entry.shape == stack.shape[-2:]:  # else another picture from there
            # the picture itself is in the viewer
            blank = np.zeros(entry.shape, np.float32)
            found[shot] = notes_of(Annotated(name, blank, entry.labels, entry.masks()))
    return found


def open_dataset(folder: Path, classes: Iterable[str] = (), *, create: bool) -> AnnotatedSet | None:
    """Return the dataset in a folder; a new one where there is none, or None.

    Raises
    ------
    DatasetError
        What is in the folder is damaged, or something else.
    OSError
        The folder cannot be made.
    """
    folder = Path(folder)
    if (folder / INDEX).exists():
        return open_set(folder)
    return create_set(folder, tuple(classes)) if create else None


def save_notes(
    folder: Path,
    classes: Iterable[str],
    stack: xr.DataArray,
    notes: Mapping[Shot, ShotNotes],
    *,
    progress: Progress = None,
    cancel: Callable[[], bool] | None = None,
) -> dict[Shot, ShotNotes]:
    """Write shots into a dataset, which is made where there is none.

    Shots with clouds, and those that are said to have none, are added or replaced, all together;
    the others are taken out of it.

    Returns
    -------
    dict
        The shots that were written before ``cancel``.

    Raises
    ------
    DatasetError
        What is in the folder is damaged, or something else.
    OSError
        A file cannot be written.
    """
    dataset = open_dataset(folder, classes, create=True)
    assert dataset is not None
    for name in classes:
        dataset.add_class(name)
    known, names = origins(stack), _names(dataset)
    done: dict[Shot, ShotNotes] = {}

    def pictures() -> Iterator[Annotated]:
        for shot, each in notes.items():
            if cancel is not None and cancel():
                return
            if each.done and shot in known:
                origin = known[shot]
                name = names.get((origin.source, origin.index), origin.name)
                yield annotated(stack, shot, replace(origin, name=name), each)
                done[shot] = each

    def report(written: int) -> None:
        if progress is not None:
            progress(written, len(notes))

    dataset.put_all(pictures(), progress=report)
    for shot, each in notes.items():
        # a shot beyond those that the image has now stays in the dataset
        if not each.done and shot in known:
            name = names.get((known[shot].source, known[shot].index), "")
            if name:
                dataset.remove(name)
            done[shot] = each
    return done


def export_tiff(
    folder: Path,
    name: str,
    classes: Iterable[str],
    shape: tuple[int, ...],
    notes: Callable[[Shot], ShotNotes],
    *,
    progress: Progress = None,
) -> list[Path]:
    """Write the label images of each class into a TIFF file, a page for each shot.

    Parameters
    ----------
    folder : Path
        For the files, ``<name>.<class>.tif``, uint16; with a number where classes differ in
        nothing but what a file name cannot have.
    name : str
        Of the image.
    classes : iterable of str
        Each has a file, also without clouds.
    shape : tuple of int
        Of the image: leading axes, rows, columns.
    notes : callable
        Takes a shot, returns what is known about it.
    progress : callable, optional
        Takes numbers of pages: those that are done, and all.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    import tifffile

    classes = list(classes)
    shots: list[Shot] = list(np.ndindex(*shape[:-2]))
    size = (shape[-2], shape[-1])
    written: list[Path] = []

    def pages(number: int, label: str) -> Any:
        for at, shot in enumerate(shots):
            yield notes(shot).labels(label, size)
            if progress is not None:
                progress(number * len(shots) + at + 1, len(classes) * len(shots))

    taken: list[str] = []
    for number, label in enumerate(classes):
        taken.append(file_name(f"{_plain(name)}.{_plain(label)}", taken))
        path = Path(folder) / taken[-1]
        with replacing(path) as new:
            tifffile.imwrite(
                new,
                pages(number, label),
                shape=shape,
                dtype=np.uint16,
                compression="zlib",
                photometric="minisblack",
                metadata={"axes": "QYX"[-len(shape) :]} if len(shape) <= 3 else None,
            )
        written.append(path)
    return written


def _names(dataset: AnnotatedSet) -> dict[tuple[str, tuple[int, ...] | None], str]:
    """Return the names of a dataset's pictures by where they come from."""
    entries = (dataset.entry(name) for name in dataset.names)
    return {(entry.source, entry.index): entry.name for entry in entries if entry.source}


def _sources(stack: xr.DataArray, shots: int) -> list[str] | None:
    if "source" not in stack.coords:
        return None
    values = np.atleast_1d(stack["source"].values)
    return [str(value) for value in values] if len(values) == shots else None


def _name(source: str, index: tuple[int, ...] | None) -> str:
    """Return a name that tells people the picture, and that no other picture has."""
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    place = "" if index is None else "_" + "_".join(f"{n:04d}" for n in index)
    return f"{_plain(PureWindowsPath(source).stem)}{place}_{digest}"


def _plain(name: str) -> str:
    """Return a name of letters that a file name may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:_LONGEST] or "picture"
