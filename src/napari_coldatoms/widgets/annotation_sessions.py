"""The sessions of painting that there are: one for each image, as long as its layers live."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from napari.layers import Layer
from qtpy.compat import isalive

from napari_coldatoms.widgets.annotation_layers import identity
from napari_coldatoms.widgets.annotation_session import AnnotationSession

_sessions: weakref.WeakValueDictionary[str, AnnotationSession] = weakref.WeakValueDictionary()


def session_of(viewer: Any, source: Layer, classes: Sequence[str]) -> AnnotationSession:
    """Return the session of an image; a new one, with these classes, where there is none.

    Raises
    ------
    StackError
        The layer is no picture that clouds can be painted on.
    """
    known = _sessions.get(identity(source))
    if known is not None and isalive(known):
        return known
    made = AnnotationSession(viewer, source, classes)
    _sessions[identity(source)] = made
    return made


def sessions_going_on() -> list[AnnotationSession]:
    """Return the sessions whose image is in a window."""
    alive = [each for each in list(_sessions.values()) if isalive(each)]
    return [each for each in alive if each.source in each.viewer.layers]
