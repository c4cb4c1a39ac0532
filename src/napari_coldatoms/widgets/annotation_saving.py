"""The dataset of "Annotate clouds": opened, saved into, and labels written to files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from napari_coldatoms.analyses.annotation_shots import export_tiff, save_notes
from napari_coldatoms.analyses.annotations import Shot, ShotNotes
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets.annotation_dataset import adopt, turn_to
from napari_coldatoms.widgets.annotation_host import AnnotationHost
from napari_coldatoms.widgets.annotation_jobs import Opened, read_dataset
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.annotation_words import many
from napari_coldatoms.widgets.base import button
from napari_coldatoms.widgets.path_edit import PathEdit

_OPEN_DELAY = 500  # ms after the last letter of the folder


class DatasetActions:
    """Folder and buttons of the dataset, for the host to place, and what they do."""

    def __init__(self, host: AnnotationHost) -> None:
        self._host = host
        self.folder = PathEdit(
            "Dataset",
            placeholder="a new folder, or one with a dataset",
            name="dataset",
            tooltip="folder of the dataset: pictures and their clouds (COCO)",
            folder=True,
        )
        self.save_button = button(
            "Save",
            "save",
            "write the shots with clouds, and those without any, into the dataset (Ctrl+S is "
            "napari's own)",
            self.save,
        )
        self.export_button = button(
            "Export labels…",
            "export_labels",
            "write the labels of all shots as TIFF files, one for each class",
            self.export_labels,
        )
        self._opening = QTimer(host)
        self._opening.setSingleShot(True)
        self._opening.setInterval(_OPEN_DELAY)
        self._opening.timeout.connect(self.open)
        self.folder.changed.connect(lambda _: self.open_soon())

    def set_ready(self, ready: bool) -> None:
        """Enable what can be used."""
        for each in (self.save_button, self.export_button):
            each.setEnabled(ready)

    def open_soon(self) -> None:
        """Open the dataset once no letter of its folder has been typed for a while."""
        self._opening.start()

    def chosen(self) -> str | None:
        """Return the folder, which is asked for where there is none; None without any."""
        if not self.folder.value:
            self.folder.button.click()
        if not self.folder.value:
            self._host.say("Choose a folder for the dataset first.")
            return None
        self._opening.stop()
        return self.folder.value

    def open(self) -> None:
        """Show what the dataset in the chosen folder says about the image, in the background."""
        host, folder = self._host, self.folder.value
        session = host.session
        self._opening.stop()
        if session is None or folder is None or folder == session.dataset:
            return
        if host.busy:
            self.open_soon()
            return
        stack = from_layer(session.source)

        def work(*, progress: Any, cancel: Any) -> Opened | None:
            return read_dataset(folder, stack)

        host.start(work, partial(self._on_opened, session, folder), words="Opening the dataset …")

    def _on_opened(self, session: AnnotationSession, folder: str, found: Opened | None) -> None:
        self._host.say(adopt(session, folder, found))
        self._host.remember()

    def save(self) -> None:
        """Write what is not saved into the dataset, in the background."""
        host = self._host
        session, _ = host.ready(shot_needed=False)
        if session is None:
            return
        session.note_all()
        folder = self.chosen()
        if folder is None:
            return
        turn_to(session, folder)
        unsaved = session.notes.unsaved_notes()
        if not unsaved:
            host.say("All is saved.")
            return
        stack, classes = from_layer(session.source), session.notes.classes

        def work(*, progress: Any, cancel: Any) -> dict[Shot, ShotNotes]:
            return save_notes(
                Path(folder), classes, stack, unsaved, progress=progress, cancel=cancel
            )

        def done(saved: dict[Shot, ShotNotes]) -> None:
            session.note()
            session.notes.saved(saved)
            session.keep()
            host.remember()
            more = "" if len(saved) == len(unsaved) else f" of {len(unsaved)}"
            shots = "the picture" if not unsaved or () in unsaved else many(len(saved), "shot")
            host.say(f"Saved {shots}{more} into “{Path(folder).name}”.")

        host.start(work, done, words=f"Saving into “{Path(folder).name}” …")

    def export_labels(self) -> None:
        """Ask for a folder and write the labels into it."""
        if self._host.session is None:
            return
        folder = QFileDialog.getExistingDirectory(self._host, "Folder for the labels")
        if folder:
            self.export_labels_to(Path(folder))

    def export_labels_to(self, folder: Path) -> None:
        """Write the labels of all shots into a folder, as TIFF, in the background."""
        host = self._host
        session, _ = host.ready(shot_needed=False)
        if session is None:
            return
        session.note_all()
        notes, name = session.notes, str(session.source.name)
        kept = {shot: notes.notes(shot) for shot in notes.shots()}

        def work(*, progress: Any, cancel: Any) -> list[Path]:
            return export_tiff(
                folder, name, notes.classes, notes.shape, kept.__getitem__, progress=progress
            )

        def done(written: list[Path]) -> None:
            host.say(
                f"Wrote {', '.join(path.name for path in written)}.", "\n".join(map(str, written))
            )

        host.start(work, done, words="Writing the labels …")
