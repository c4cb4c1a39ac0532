"""The dock widget "Annotate clouds": paint clouds, and save them as a dataset to train with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from napari_coldatoms.analyses.annotation_recovery import Unsaved
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.annotation_banner import RecoveryBanner
from napari_coldatoms.widgets.annotation_classes import ClassActions
from napari_coldatoms.widgets.annotation_host import AnnotationHost
from napari_coldatoms.widgets.annotation_importing import ImportActions
from napari_coldatoms.widgets.annotation_layers import annotates, identity
from napari_coldatoms.widgets.annotation_painting import PaintingActions
from napari_coldatoms.widgets.annotation_saving import DatasetActions
from napari_coldatoms.widgets.annotation_session import AnnotationSession
from napari_coldatoms.widgets.annotation_sessions import session_of
from napari_coldatoms.widgets.annotation_shot import (
    EMPTY_KEY,
    NEXT_KEY,
    PREVIOUS_KEY,
    ShotPanel,
)
from napari_coldatoms.widgets.annotation_words import many
from napari_coldatoms.widgets.base import button, is_source, row
from napari_coldatoms.widgets.class_list import ClassList
from napari_coldatoms.widgets.pictures import is_raw_layer

MEMORY = "annotate"
FIRST_CLASSES = ("cloud",)

_SHOWN_DELAY = 40  # ms after the slider has moved


class AnnotateWidget(AnnotationHost):
    """Paint clouds of an image into layers, one for each class, and save them as a dataset.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    progress_of = "shots"

    def __init__(self, napari_viewer):  # type: ignore[no-untyped-def]
        super().__init__(
            napari_viewer,
            title="Annotate clouds",
            layer_tooltip="the picture to paint on; of raw frames make the picture first",
            accept=lambda layer: is_source(layer) and not is_raw_layer(layer),
        )
        self.setObjectName("annotate")
        self.session = None
        self._sessions: dict[str, AnnotationSession] = {}

        self.classes = ClassList()
        self.class_actions = ClassActions(self)
        self.painting = PaintingActions(self)
        self.dataset = DatasetActions(self)
        self.importing = ImportActions(self, self.dataset)
        self.banner = RecoveryBanner()
        self.shot = ShotPanel()
        self.cancel_button = button(
            "Cancel", "cancel", "stop; what was saved until then is kept", self.job.cancel
        )
        self.cancel_button.setEnabled(False)
        self._lay_out()
        self._connect()
        self.dataset.folder.value = memory.recall(MEMORY).get("dataset")
        self._on_layer_changed()

    def _lay_out(self) -> None:
        painting, dataset = self.painting, self.dataset
        self.head.addRow("dataset", dataset.folder)
        self.head.addRow("classes", self.classes)
        self.head.addRow("from", row(painting.layer, painting.scope, painting.take_button))
        self.rows.addWidget(self.banner)
        self.rows.addLayout(row(painting.new_button, painting.rule_button))
        self.rows.addWidget(self.shot)
        self.rows.addLayout(row(dataset.save_button, self.importing.button, self.cancel_button))
        self.rows.addWidget(dataset.export_button)
        self.rows.addWidget(self.progress)
        self.rows.addWidget(self.status)
        self.rows.addStretch(1)

    def _connect(self) -> None:
        self._showing = QTimer(self)
        self._showing.setSingleShot(True)
        self._showing.setInterval(_SHOWN_DELAY)
        self._showing.timeout.connect(self.show_session)
        self.classes.chosen.connect(self._on_class_chosen)
        self.banner.recovered.connect(self._on_recovered)
        self.banner.failed.connect(self.complain)
        self.shot.step_asked.connect(self.go_on)
        self.shot.empty_asked.connect(self.set_empty)
        self.layer_combo.layer_changed.connect(self._on_layer_changed)
        self.painting.layer.layer_changed.connect(self._show_later)
        self.viewer.dims.events.point.connect(self._show_later)
        self.viewer.layers.selection.events.active.connect(self._on_active)
        self._bind_keys()

    # from shot to shot

    def go_on(self, step: int = 1) -> None:
        """Go to the next shot without annotation, or to the one before."""
        session = self.session
        if session is None:
            return
        session.note()
        here = session.shown_shot()
        shot = session.notes.next_open(here if here is not None else (-1,), step)
        if shot is None:
            self.say("No other shot is open: all have clouds, or the word that there are none.")
            return
        session.go_to(shot)
        active = self.viewer.layers.selection.active
        layer = session.layer(self.classes.current)
        if layer is not None and active is not None and active == layer:
            session.new_cloud(layer)

    def set_empty(self, empty: bool) -> None:
        """Say that there is no cloud in the shot that is shown, or take that back."""
        session = self.session
        shot = session.shown_shot() if session is not None else None
        if session is not None and shot is not None:
            self.attempt(lambda: session.set_empty(shot, empty))
        self.show_session()

    # what the widget shows

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        ready = not running and self.session is not None
        self.painting.set_ready(ready)
        self.dataset.set_ready(ready)
        self.importing.button.setEnabled(not running)
        self.banner.setEnabled(ready)
        self.cancel_button.setEnabled(running)

    def show_session(self) -> None:
        """Show how far the painting is."""
        session = self.session
        if session is not None and session.source not in self.viewer.layers:
            session = None
        self.classes.setEnabled(session is not None)
        self.painting.new_button.setEnabled(session is not None)
        self.shot.show_shot(
            session.notes if session is not None else None,
            session.shown_shot() if session is not None else None,
        )
        if session is not None:
            self.classes.show_classes(session.notes.classes)
        self.set_running(self.busy)

    def remember(self) -> None:
        """Keep folder and classes for the next time."""
        if self.session is not None:
            classes = list(self.session.notes.classes)
            memory.remember(MEMORY, {"dataset": self.dataset.folder.value, "classes": classes})

    def _show_later(self, event: Any = None) -> None:
        if isalive(self) and not self._showing.isActive():
            self._showing.start()

    def _on_layer_changed(self, layer: Any = None) -> None:
        session: AnnotationSession | None = None
        reason = "No picture yet: drop a camera file into the window."
        if self.layer is not None:
            known = memory.recall(MEMORY).get("classes")
            try:
                session = session_of(self.viewer, self.layer, _class_names(known))
            except ValueError as error:  # no fault: the user may have chosen it for something else
                reason = str(error)
        if self.session is not None and self.session is not session:
            self.session.changed.disconnect(self._show_later)
            self.session.told.disconnect(self.say)
            self.session.complained.disconnect(self._on_complaint)
        if session is not None and self.session is not session:
            session.changed.connect(self._show_later)
            session.told.connect(self.say)
            session.complained.connect(self._on_complaint)
            self._sessions[identity(self.layer)] = session
        self.session = session
        self.banner.look(session)
        self.show_session()
        if session is None:
            self.say(reason)
        elif not self.busy:
            self.say("Choose a class and paint, or take clouds from another layer.")
        if session is not None and self.dataset.folder.value:
            self.dataset.open_soon()

    def _on_active(self, event: Any = None) -> None:
        """Go along when the user takes up another class in napari's list of layers."""
        if not isalive(self):
            return
        active = self.viewer.layers.selection.active
        mark = annotates(active) if active is not None else None
        if mark is None:
            return
        for layer in self.layer_combo.layers:
            if identity(layer) == mark[0]:
                self.layer_combo.select(layer)
                self.show_session()  # the class may be new
                self.classes.select(mark[1])

    def _on_class_chosen(self, name: str) -> None:
        self.classes.select(name)
        self.painting.new_cloud()

    def _on_recovered(self, found: Unsaved) -> None:
        if found.dataset and not self.dataset.folder.value:
            self.dataset.folder.value = found.dataset
        self.say(f"Recovered {many(len(found.notes), 'shot')}. Save puts them into a dataset.")

    def _on_complaint(self, message: str) -> None:
        self.say(message)
        show_warning(f"{self.title}: {message}")

    # the rest

    def _bind_keys(self) -> None:
        def bound(action: Callable[[], Any]) -> Callable[[Any], None]:
            def call(viewer: Any) -> None:
                if isalive(self):
                    action()

            return call

        self._keys = {
            NEXT_KEY: bound(lambda: self.go_on(1)),
            PREVIOUS_KEY: bound(lambda: self.go_on(-1)),
            EMPTY_KEY: bound(self._toggle_empty),
        }
        for key, call in self._keys.items():
            self.viewer.bind_key(key, call, overwrite=True)

    def _toggle_empty(self) -> None:
        if self.shot.empty_check.isEnabled():
            self.set_empty(not self.shot.empty_check.isChecked())

    def _give_up(self) -> None:
        for session in self._sessions.values():
            session.flush()
        for key, call in self._keys.items():
            # another dock may have bound them since
            if call in self.viewer.keymap.values():
                self.viewer.bind_key(key, None)
        super()._give_up()


def _class_names(known: Any) -> tuple[str, ...]:
    """Return names of classes from a file that anybody may have changed."""
    if not isinstance(known, list):
        return FIRST_CLASSES
    names = dict.fromkeys(str(name).strip() for name in known)
    return tuple(name for name in names if name) or FIRST_CLASSES
