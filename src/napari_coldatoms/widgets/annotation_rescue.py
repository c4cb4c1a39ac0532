"""Painting that was never saved, brought back into the session of its image."""

from __future__ import annotations

from pathlib import Path

from napari_coldatoms.analyses.annotation_recovery import (
    Unsaved,
    find_unsaved,
    read_unsaved,
    set_aside,
)
from napari_coldatoms.widgets.annotation_autosave import unsaved_folder
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.annotation_sessions import sessions_going_on


def unsaved_files(session: AnnotationSession) -> list[Path]:
    """Return files with painting on an image that was never saved, the newest first."""
    going_on = [each.file for each in sessions_going_on()]
    return find_unsaved(unsaved_folder(), session.image, but=going_on)


def recover(session: AnnotationSession, path: Path) -> Unsaved:
    """Bring back what is in a file with unsaved painting.

    Shots that have been painted anew since keep what they have.

    Raises
    ------
    ValueError
        The file is damaged.
    OSError
        The painting cannot be kept in another file.
    """
    session.note()
    found = read_unsaved(path)
    notes = session.notes
    there = set(notes.shots())
    mine = {shot for shot in notes.unsaved if notes.notes(shot).done}
    for name in found.classes:
        if name not in notes.classes:
            notes.add_class(name)
    taken = {s: each for s, each in found.notes.items() if s in there and s not in mine}
    session.put(taken, saved=False)
    if session.flush():
        if len(taken) == len(found.notes):
            # all of it is in the file of this session
            path.unlink(missing_ok=True)
        else:
            set_aside(path)
    return found
