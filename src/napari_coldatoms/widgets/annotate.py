"""The dock widget "Annotate clouds": paint clouds, and save them as a dataset to train with."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_warning
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QFileDialog

from napari_coldatoms.analyses.annotation_recovery import Unsaved
from napari_coldatoms.analyses.annotation_seeds import Ruled
from napari_coldatoms.analyses.annotation_shots import export_tiff, save_notes
from napari_coldatoms.analyses.annotations import Shot, ShotNotes
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.annotation_banner import RecoveryBanner
from napari_coldatoms.widgets.annotation_dataset import (
    adopt,
    remove_class,
    rename_class,
    turn_to,
)
from napari_coldatoms.widgets.annotation_jobs import (
    Opened,
    Seeded,
    fit_outlines,
    label_images,
    read_dataset,
    take_seeds,
)
from napari_coldatoms.widgets.annotation_layers import annotates, can_be_imported, identity
from napari_coldatoms.widgets.annotation_session import AnnotationSession, session_of
from napari_coldatoms.widgets.annotation_shot import (
    EMPTY_KEY,
    NEXT_KEY,
    PREVIOUS_KEY,
    ShotPanel,
)
from napari_coldatoms.widgets.base import ImageWidget, button, is_source, row
from napari_coldatoms.widgets.class_list import ClassList
from napari_coldatoms.widgets.layer_combo import LayerCombo
from napari_coldatoms.widgets.path_edit import PathEdit
from napari_coldatoms.widgets.pictures import is_raw_layer

MEMORY = "annotate"
FIRST_CLASSES = ("cloud",)
THIS_SHOT, ALL_SHOTS = "this shot", "all shots"

_SHOWN_DELAY = 40  # ms after the slider has moved
_OPEN_DELAY = 500  # ms after the last letter of the folder


class AnnotateWidget(ImageWidget):
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
        self.session: AnnotationSession | None = None
        """What is painted on the chosen image, or None."""
        self._sessions: dict[str, AnnotationSession] = {}

        self.folder = PathEdit(
            "Dataset",
            placeholder="a new folder, or one with a dataset",
            name="dataset",
            tooltip="folder of the dataset: pictures and their clouds (COCO)",
            folder=True,
        )
        self.head.addRow("dataset", self.folder)
        self.banner = RecoveryBanner()
        self.rows.addWidget(self.banner)
        self.classes = ClassList()
        self.head.addRow("classes", self.classes)
        self._add_painting()
        self.shot = ShotPanel()
        self.rows.addWidget(self.shot)
        self._add_saving()
        self.rows.addStretch(1)
        self._connect()
        self.folder.value = memory.recall(MEMORY).get("dataset")
        self._on_layer_changed()

    def _add_painting(self) -> None:
        self.paint_button = button(
            "New cloud",
            "new_cloud",
            "take up the brush with a number of its own for the next cloud of the class (key M in "
            "the image); napari's controls at the left change its size",
            self.new_cloud,
        )
        self.rule_button = button(
            "Fit outlines",
            "fit_outlines",
            "fit a Gaussian to each cloud that is painted in this shot, and paint the pixels "
            "inside its 1/e² ellipse instead (rule of arXiv:2011.10536); a rough outline or a "
            "filled box will do; Ctrl+Z takes it back, layer by layer",
            self.fit_outlines,
        )
        self.rows.addLayout(row(self.paint_button, self.rule_button))
        self.import_layer = LayerCombo(self.viewer, can_be_imported)
        self.import_layer.setObjectName("import_layer")
        self.import_layer.setPlaceholderText("none")
        self.import_layer.setToolTip(
            "a layer of shapes (rectangles, ellipses, polygons) or labels, such as what “Detect "
            "clouds” has found"
        )
        self.import_scope = QComboBox()
        self.import_scope.setObjectName("import_scope")
        self.import_scope.addItems([THIS_SHOT, ALL_SHOTS])
        self.import_scope.setToolTip("take the clouds of the shot that is shown, or of all shots")
        self.import_button = button(
            "Take",
            "import",
            "paint the clouds of that layer: of those with the name of a class into this class, "
            "of all others into the chosen one; what is painted already stays",
            self.take_seeds,
        )
        self.head.addRow("from", row(self.import_layer, self.import_scope, self.import_button))

    def _add_saving(self) -> None:
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
        self.cancel_button = button(
            "Cancel", "cancel", "stop; what was saved until then is kept", self.job.cancel
        )
        self.cancel_button.setEnabled(False)
        self.rows.addLayout(row(self.save_button, self.export_button, self.cancel_button))
        self.rows.addWidget(self.progress)
        self.rows.addWidget(self.status)

    def _connect(self) -> None:
        self._showing = QTimer(self)
        self._showing.setSingleShot(True)
        self._showing.setInterval(_SHOWN_DELAY)
        self._showing.timeout.connect(self._show)
        self._opening = QTimer(self)
        self._opening.setSingleShot(True)
        self._opening.setInterval(_OPEN_DELAY)
        self._opening.timeout.connect(self.open_dataset)
        self.folder.changed.connect(lambda _: self._opening.start())
        self.classes.chosen.connect(self._on_class_chosen)
        self.classes.added.connect(self._on_class_added)
        self.classes.renamed.connect(self._on_class_renamed)
        self.classes.removed.connect(self._on_class_removed)
        self.banner.recovered.connect(self._on_recovered)
        self.banner.failed.connect(self.complain)
        self.shot.step_asked.connect(self.go_on)
        self.shot.empty_asked.connect(self.set_empty)
        self.layer_combo.layer_changed.connect(self._on_layer_changed)
        self.import_layer.layer_changed.connect(self._show_later)
        self.viewer.dims.events.point.connect(self._show_later)
        self.viewer.layers.selection.events.active.connect(self._on_active)
        self._bind_keys()

    # painting

    def new_cloud(self) -> None:
        """Take up the brush for the next cloud of the chosen class."""
        session, name = self.session, self.classes.current
        if session is not None and name:
            self._try(lambda: session.activate(name))

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
            self._try(lambda: session.set_empty(shot, empty))
        self._show()

    def fit_outlines(self) -> None:
        """Redraw the clouds of the shot that is shown by the paper's rule, in the background."""
        session, shot = self._ready()
        if session is None or shot is None:
            return
        known = session.notes.notes(shot)
        if not known.clouds:
            self.complain("expected clouds painted in this shot, roughly, found none")
            return
        stack = from_layer(session.source)
        labels = label_images(session.notes, known)

        def work(*, progress: Any, cancel: Any) -> Ruled:
            picture = stack.isel(dict(zip(stack.dims, shot, strict=False))).values
            return fit_outlines(picture, labels, cancel=cancel)

        def done(ruled: Ruled) -> None:
            session.note()
            if session.notes.notes(shot) is not known:
                self.say("You have painted meanwhile: nothing was fitted, press again.")
                return
            session.paint(shot, ruled.labels)
            said = f"Drew {_many(ruled.fitted, 'outline')} at 1/e² of the fit."
            if ruled.failed:
                said += f" {_many(len(ruled.failed), 'cloud')} as before: {ruled.failed[0]}."
            self.say(said, "\n".join([said, *ruled.failed]))

        self.start(work, done, words="Fitting the clouds of this shot …")

    def take_seeds(self) -> None:
        """Take the clouds of another layer, in the background."""
        session, here = self._ready()
        layer, chosen = self.import_layer.layer, self.classes.current
        if session is None or layer is None or not chosen:
            return
        everywhere = self.import_scope.currentText() == ALL_SHOTS
        shots = list(session.notes.shots()) if everywhere else [] if here is None else [here]

        def work(*, progress: Any, cancel: Any) -> Seeded:
            return take_seeds(
                layer,
                session.source,
                shots,
                here,
                session.notes,
                chosen,
                progress=progress,
                cancel=cancel,
            )

        def done(seeded: Seeded) -> None:
            self.one_by_one(
                [
                    *(
                        partial(self._paint, session, shot, labels, seeded.before[shot], everywhere)
                        for shot, labels in seeded.labels.items()
                    ),
                    lambda: self.say(_taken(seeded, str(layer.name))),
                ]
            )

        self.start(work, done, words=f"Taking the clouds of “{layer.name}” …")

    def _paint(
        self,
        session: AnnotationSession,
        shot: Shot,
        labels: dict[str, Any],
        before: ShotNotes,
        everywhere: bool,
    ) -> None:
        session.note()
        if session.notes.notes(shot) is before:  # else it was painted in meanwhile
            session.paint(shot, labels, undoable=not everywhere)

    # the dataset

    def open_dataset(self) -> None:
        """Show what the dataset in the chosen folder says about the image, in the background."""
        session, folder = self.session, self.folder.value
        self._opening.stop()
        if session is None or folder is None or folder == session.dataset:
            return
        if self.busy:
            self._opening.start()
            return
        stack = from_layer(session.source)

        def work(*, progress: Any, cancel: Any) -> Opened | None:
            return read_dataset(folder, stack)

        self.start(work, partial(self._on_opened, session, folder), words="Opening the dataset …")

    def _on_opened(self, session: AnnotationSession, folder: str, found: Opened | None) -> None:
        self.say(adopt(session, folder, found))
        self._remember()

    def save(self) -> None:
        """Write what is not saved into the dataset, in the background."""
        session, _ = self._ready(shot_needed=False)
        if session is None:
            return
        session.note_all()
        if not self.folder.value:
            self.folder.button.click()  # asks for the folder
        folder = self.folder.value
        if not folder:
            self.say("Choose a folder for the dataset first.")
            return
        self._opening.stop()
        turn_to(session, folder)
        unsaved = session.notes.unsaved_notes()
        if not unsaved:
            self.say("All is saved.")
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
            self._remember()
            more = "" if len(saved) == len(unsaved) else f" of {len(unsaved)}"
            shots = "the picture" if not unsaved or () in unsaved else _many(len(saved), "shot")
            self.say(f"Saved {shots}{more} into “{Path(folder).name}”.")

        self.start(work, done, words=f"Saving into “{Path(folder).name}” …")

    def export_labels(self) -> None:
        """Ask for a folder and write the labels into it."""
        if self.session is None:
            return
        folder = QFileDialog.getExistingDirectory(self, "Folder for the labels")
        if folder:
            self.export_labels_to(Path(folder))

    def export_labels_to(self, folder: Path) -> None:
        """Write the labels of all shots into a folder, as TIFF, in the background."""
        session, _ = self._ready(shot_needed=False)
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
            self.say(
                f"Wrote {', '.join(path.name for path in written)}.", "\n".join(map(str, written))
            )

        self.start(work, done, words="Writing the labels …")

    def _on_recovered(self, found: Unsaved) -> None:
        if found.dataset and not self.folder.value:
            self.folder.value = found.dataset
        self.say(f"Recovered {_many(len(found.notes), 'shot')}. Save puts them into a dataset.")

    # what the widget shows

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        ready = not running and self.session is not None
        for each in (
            self.rule_button,
            self.save_button,
            self.export_button,
            self.banner,
        ):
            each.setEnabled(ready)
        self.import_button.setEnabled(ready and self.import_layer.layer is not None)
        self.cancel_button.setEnabled(running)

    def _show_later(self, event: Any = None) -> None:
        if isalive(self) and not self._showing.isActive():
            self._showing.start()

    def _show(self) -> None:
        session = self.session
        if session is not None and session.source not in self.viewer.layers:
            session = None
        self.classes.setEnabled(session is not None)
        self.paint_button.setEnabled(session is not None)
        self.shot.show_shot(
            session.notes if session is not None else None,
            session.shown_shot() if session is not None else None,
        )
        if session is not None:
            self.classes.show_classes(session.notes.classes)
        self.set_running(self.busy)

    def _on_layer_changed(self, layer: Any = None) -> None:
        session: AnnotationSession | None = None
        if self.layer is not None:
            known = memory.recall(MEMORY).get("classes")
            try:
                session = session_of(self.viewer, self.layer, _class_names(known))
            except ValueError as error:
                self.complain(error)
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
        self._show()
        if session is None:
            if self.layer is None:
                self.say("No picture yet: drop a camera file into the window.")
        elif not self.busy:
            self.say("Choose a class and paint, or take clouds from another layer.")
        if session is not None and self.folder.value:
            self._opening.start()

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
                self._show()  # the class may be new
                self.classes.select(mark[1])

    def _on_complaint(self, message: str) -> None:
        self.say(message)
        show_warning(f"{self.title}: {message}")

    # classes

    def _on_class_chosen(self, name: str) -> None:
        self.classes.select(name)
        self.new_cloud()

    def _on_class_added(self) -> None:
        session = self.session
        if session is None:
            return
        names = session.notes.classes
        new = next(n for i in range(1, 1000) if (n := f"class {len(names) + i}") not in names)
        session.add_class(new)
        self._show()
        self._remember()
        self.classes.rename(new)

    def _on_class_renamed(self, old: str, new: str) -> None:
        session = self.session
        if session is not None:
            self._try(lambda: rename_class(session, old, new))
        self._remember()
        self._show()
        self.classes.select(new)

    def _on_class_removed(self, name: str) -> None:
        session = self.session
        if session is not None:
            self._try(lambda: remove_class(session, name))
        self._remember()
        self._show()

    # the rest

    def _ready(self, *, shot_needed: bool = True) -> tuple[AnnotationSession | None, Shot | None]:
        """Return session and shot if something can be begun."""
        session = self.session
        if session is None or self.busy or session.source not in self.viewer.layers:
            return None, None
        session.note()
        shot = session.shown_shot()
        if shot is None and shot_needed:
            self.complain(f"the slider is outside of the layer “{session.source.name}”")
        return session, shot

    def _try(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except (ValueError, OSError) as error:
            self.complain(error)

    def _remember(self) -> None:
        if self.session is not None:
            values = {"dataset": self.folder.value, "classes": list(self.session.notes.classes)}
            memory.remember(MEMORY, values)

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


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _taken(seeded: Seeded, name: str) -> str:
    said = f"Took {_many(seeded.added, 'cloud')} from “{name}”."
    if seeded.left_out:
        said += f" {_many(seeded.left_out, 'cloud')} left out: painted already."
    elif not seeded.added:
        said = f"“{name}” has no clouds there."
    return said
