"""The list of classes in "Annotate clouds": what is done there happens to session and dataset."""

from __future__ import annotations

from napari_coldatoms.widgets.annotation_dataset import remove_class, rename_class
from napari_coldatoms.widgets.annotation_host import AnnotationHost


class ClassActions:
    """Adds, renames and removes classes as the list of the host asks for it."""

    def __init__(self, host: AnnotationHost) -> None:
        self._host = host
        host.classes.added.connect(self.add)
        host.classes.renamed.connect(self.rename)
        host.classes.removed.connect(self.remove)

    def add(self) -> None:
        """Add a class, and let the user type its name."""
        host, session = self._host, self._host.session
        if session is None:
            return
        names = session.notes.classes
        new = next(n for i in range(1, 1000) if (n := f"class {len(names) + i}") not in names)
        session.add_class(new)
        host.show_session()
        host.remember()
        host.classes.rename(new)

    def rename(self, old: str, new: str) -> None:
        """Give a class another name, in the dataset as well."""
        host, session = self._host, self._host.session
        if session is not None:
            host.attempt(lambda: rename_class(session, old, new))
        host.remember()
        host.show_session()
        host.classes.select(new)

    def remove(self, name: str) -> None:
        """Remove a class without clouds, from the dataset as well."""
        host, session = self._host, self._host.session
        if session is not None:
            host.attempt(lambda: remove_class(session, name))
        host.remember()
        host.show_session()
