"""A session of painting and the dataset that its shots belong to."""

from __future__ import annotations

from pathlib import Path

from napari_coldatoms.analyses.annotation_shots import open_dataset
from napari_coldatoms.analyses.annotations import one_line
from napari_coldatoms.clouds.annotation_files import INDEX
from napari_coldatoms.clouds.annotations import AnnotatedSet
from napari_coldatoms.widgets.annotation_jobs import Opened
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.annotation_words import many


def turn_to(session: AnnotationSession, folder: str) -> None:
    """Have a session belong to a dataset; what was saved elsewhere, or is gone, is not in it."""
    notes = session.notes
    if session.dataset and (session.dataset != folder or not (Path(folder) / INDEX).exists()):
        notes.changed(shot for shot in notes.shots() if notes.notes(shot).done)
    session.dataset = folder


def adopt(session: AnnotationSession, folder: str, found: Opened | None) -> str:
    """Take what a dataset says about the image, other than of shots painted since; say so."""
    session.note()
    turn_to(session, folder)
    if found is None:
        if Path(folder).is_dir():
            return f"No dataset in {Path(folder).name} yet: Save makes one."
        return "Save makes the folder, and a dataset in it."
    notes = session.notes
    fresh = not any(notes.notes(shot).clouds for shot in notes.shots())
    for name in found.classes:
        if name not in notes.classes:
            session.add_class(name)
    for name in notes.classes if fresh else ():
        if name not in found.classes:
            session.remove_class(name)
    notes.saved(found.notes)  # what is painted there may be what the dataset says
    unsaved = set(notes.unsaved)
    session.put({s: n for s, n in found.notes.items() if s not in unsaved}, saved=True)
    pictures = many(found.pictures, "picture")
    return f"“{Path(folder).name}” has {pictures}, {len(found.notes)} of this image."


def rename_class(session: AnnotationSession, old: str, new: str) -> None:
    """Give a class another name, in the dataset as well.

    Raises
    ------
    ValueError
        There is one of this name, or the dataset is damaged.
    """
    dataset = _dataset_with(session, old)
    new = one_line(new)
    if dataset is not None and new and new not in session.notes.classes:
        dataset.rename_class(old, new)
    session.rename_class(old, new, saved=dataset is not None)


def remove_class(session: AnnotationSession, name: str) -> None:
    """Remove a class without clouds, from the dataset as well.

    Raises
    ------
    ValueError
        There are clouds of it, here or in the dataset, or it is the only one.
    """
    session.note()
    notes = session.notes
    used = any(name in notes.notes(shot).clouds for shot in notes.shots())
    dataset = _dataset_with(session, name)
    if dataset is not None and not used and len(notes.classes) > 1:
        dataset.remove_class(name)
    session.remove_class(name)


def _dataset_with(session: AnnotationSession, name: str) -> AnnotatedSet | None:
    if not session.dataset:
        return None
    dataset = open_dataset(Path(session.dataset), create=False)
    return dataset if dataset is not None and name in dataset.classes else None
