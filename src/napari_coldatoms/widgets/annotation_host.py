"""What the parts of "Annotate clouds" need of the dock that they are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_coldatoms.analyses.annotations import Shot
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.base import ImageWidget
from napari_coldatoms.widgets.class_list import ClassList


class AnnotationHost(ImageWidget):
    """A dock with an image, what is painted on it, and the classes of clouds."""

    session: AnnotationSession | None
    """What is painted on the chosen image, or None."""
    classes: ClassList

    def show_session(self) -> None:
        """Show how far the painting is."""
        raise NotImplementedError

    def remember(self) -> None:
        """Keep folder and classes for the next time."""
        raise NotImplementedError

    def ready(self, *, shot_needed: bool = True) -> tuple[AnnotationSession | None, Shot | None]:
        """Return session and shot if something can be begun."""
        session = self.session
        if session is None or self.busy or session.source not in self.viewer.layers:
            return None, None
        session.note()
        shot = session.shown_shot()
        if shot is None and shot_needed:
            self.complain(f"the slider is outside of the layer “{session.source.name}”")
        return session, shot

    def attempt(self, action: Callable[[], Any]) -> None:
        """Call a function; what it cannot do is told."""
        try:
            action()
        except (ValueError, OSError) as error:
            self.complain(error)
