"""Annotations of other programs come into the dataset of "Annotate clouds"."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_coldatoms.analyses.annotation_import import (
    ClassAttributeError,
    Import,
    Imported,
    import_annotations,
    look_into,
)
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets.annotation_dataset import adopt
from napari_coldatoms.widgets.annotation_host import AnnotationHost
from napari_coldatoms.widgets.annotation_jobs import Opened, read_dataset
from napari_coldatoms.widgets.annotation_saving import DatasetActions
from napari_coldatoms.widgets.annotation_words import imported
from napari_coldatoms.widgets.base import button
from napari_coldatoms.widgets.jobs import Cancelled

FILTER = "annotations (*.json)"
# of what was left out so much is seen in a tooltip
_MOST_LINES = 30


class ImportActions:
    """A button that takes a file of annotations, and asks for what that leaves open.

    Parameters
    ----------
    host : AnnotationHost
    dataset : DatasetActions
        Where the annotations go.
    """

    def __init__(self, host: AnnotationHost, dataset: DatasetActions) -> None:
        self._host, self._dataset = host, dataset
        self.button = button(
            "Import…",
            "import_annotations",
            "take pictures and clouds that were annotated in another program into the dataset "
            "(JSON of COCO or of the VGG Image Annotator); a box becomes the ellipse in it",
            self.ask,
        )

    def ask(self) -> None:
        """Ask for a file, and take it into the dataset."""
        if self._host.busy or self._dataset.chosen() is None:
            return
        path, _ = QFileDialog.getOpenFileName(self._host, "Annotations", "", FILTER)
        if path:
            self.import_file(Path(path))

    def import_file(
        self, path: Path, pictures: str = "", class_attribute: str | None = None
    ) -> None:
        """Take a file into the dataset, in the background.

        Parameters
        ----------
        path : Path
        pictures : str
            Folder of the pictures; asked for where they do not lie beside the file.
        class_attribute : str, optional
            Of VIA: what holds the class; asked for where there are several.
        """
        host, folder = self._host, self._dataset.chosen()
        if folder is None or host.busy:
            return

        def work(*, progress: Any, cancel: Any) -> Import | ClassAttributeError:
            try:
                return look_into(path, pictures, class_attribute)
            except ClassAttributeError as error:
                return error

        def done(found: Import | ClassAttributeError) -> None:
            if isinstance(found, ClassAttributeError):
                self._soon(lambda: self._ask_attribute(path, pictures, found))
            elif not found.files and found.annotations.pictures and not pictures:
                self._soon(lambda: self._ask_pictures(path, class_attribute))
            else:
                self._take(found, folder)

        host.start_job(work, done, words=f"Reading “{path.name}” …")

    def _soon(self, ask: Any) -> None:
        """Ask once the job is over: a dialog holds up whatever has opened it."""
        QTimer.singleShot(0, lambda: ask() if isalive(self._host) else None)

    def _ask_attribute(self, path: Path, pictures: str, found: ClassAttributeError) -> None:
        name, chosen = QInputDialog.getItem(
            self._host,
            "Import",
            "Attribute of the regions that holds the class:",
            found.names,
            editable=False,
        )
        if chosen:
            self.import_file(path, pictures, name)
        else:
            self._host.say("Nothing was imported: no attribute was chosen.")

    def _ask_pictures(self, path: Path, class_attribute: str | None) -> None:
        title = f"Folder of the pictures that “{path.name}” is about"
        folder = QFileDialog.getExistingDirectory(self._host, title, str(path.parent))
        if folder:
            self.import_file(path, folder, class_attribute)
        else:
            self._host.say("Nothing was imported: the pictures do not lie beside the file.")

    def _take(self, wanted: Import, folder: str) -> None:
        host, session = self._host, self._host.session
        stack = from_layer(session.source) if session is not None else None

        def work(*, progress: Any, cancel: Any) -> tuple[Imported, Opened | None]:
            def report(done: int, total: int) -> None:
                if cancel():
                    raise Cancelled("Cancelled: nothing was imported.")
                progress(done, total)

            found = import_annotations(wanted, Path(folder), progress=report)
            return found, None if stack is None else read_dataset(folder, stack)

        def done(outcome: tuple[Imported, Opened | None]) -> None:
            found, opened = outcome
            shown = kept = 0
            if session is not None and opened is not None:
                adopt(session, folder, opened)
                shown, kept = len(opened.notes), len(opened.notes.keys() & session.notes.unsaved)
            host.remember()
            said = imported(found, Path(folder).name, shown, kept)
            host.say(said, "\n".join([said, *found.notes[:_MOST_LINES]]))

        words = f"Importing “{wanted.annotations.path.name}” …"
        host.start_job(work, done, words=words)
