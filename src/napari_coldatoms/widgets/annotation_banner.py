"""The offer to bring back painting that was never saved."""

from __future__ import annotations

import time
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QLabel, QVBoxLayout

from napari_coldatoms.analyses.annotation_recovery import read_unsaved, set_aside
from napari_coldatoms.widgets.annotation_rescue import recover, unsaved_files
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.annotation_words import many
from napari_coldatoms.widgets.base import button, row


class RecoveryBanner(QFrame):
    """A box that is there only where there is something to recover."""

    recovered = Signal(object)
    """What was brought back, an `Unsaved`."""
    failed = Signal(object)
    """The exception."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("recovery")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._session: AnnotationSession | None = None
        self._found: Path | None = None
        self.words = QLabel("")
        self.words.setObjectName("recovery_words")
        self.words.setToolTip("painting on this image that never got into a dataset")
        self.words.setWordWrap(True)
        self.recover_button = button(
            "Recover", "recover", "bring back what was painted", self.recover
        )
        self.discard_button = button(
            "Discard",
            "discard",
            "do not offer it again; the file is kept for 30 days, with the ending .discarded",
            self.discard,
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self.words)
        layout.addLayout(row(self.recover_button, self.discard_button))
        self.hide()

    def look(self, session: AnnotationSession | None) -> None:
        """Look for painting on the image of a session, and offer the newest."""
        self._session, self._found = session, None
        if session is None:
            self.hide()
            return
        for path in unsaved_files(session):
            try:
                found = read_unsaved(path)
            except ValueError:
                continue  # of no use to anybody
            self._found = path
            when = time.strftime("%d %b, %H:%M", time.localtime(found.when))
            shots = many(len(found.notes), "shot")
            image = found.image
            where = "this image" if image == session.image else f"“{image.name}” of {image.source}"
            self.words.setText(f"Painting on {where} was never saved: {shots}, {when}")
            break
        self.setVisible(self._found is not None)

    def recover(self) -> None:
        """Bring back the newest painting on the image that was never saved."""
        session, path = self._session, self._found
        if session is None or path is None:
            return
        try:
            found = recover(session, path)
        except (ValueError, OSError) as error:
            self.failed.emit(error)
            return
        self.look(session)
        self.recovered.emit(found)

    def discard(self) -> None:
        """Do not offer the painting again; the file is kept for a while."""
        if self._found is None:
            return
        try:
            set_aside(self._found)
        except OSError as error:
            self.failed.emit(error)
        self.look(self._session)
