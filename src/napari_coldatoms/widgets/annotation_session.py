"""One image that clouds are painted on: what is known of its shots, in its layers and in files.

A session lives as long as its layers do, also while the dock is closed: what is painted then is
kept as well.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_coldatoms.analyses.annotation_recovery import ImageKey, Unsaved
from napari_coldatoms.analyses.annotations import Annotations, Shot, ShotNotes, one_line
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets.annotation_autosave import Autosave
from napari_coldatoms.widgets.annotation_class_layers import ClassLayers
from napari_coldatoms.widgets.annotation_layers import (
    go_to_shot,
    image_shape,
    release,
    shown_shot,
    wrong_shape,
)

NOTE_DELAY = 150
"""Milliseconds after a stroke until its clouds are counted."""

REMOVE_DELAY = 100
"""Milliseconds until the layer of a class that is no more is removed."""


class AnnotationSession(QObject):
    """The clouds of an image, in layers that the user paints in.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    source : napari.layers.Image
        The image.
    classes : sequence of str
        Of clouds.
    """

    changed = Signal()
    """Something was painted or saved, or classes have changed."""
    told = Signal(str)
    """Something that the user may like to know."""
    complained = Signal(str)
    """Something that the user must know."""

    def __init__(self, viewer: Any, source: Layer, classes: Sequence[str]) -> None:
        super().__init__()
        self.viewer, self.source = viewer, source
        stack = from_layer(source)
        self.notes = Annotations(image_shape(source), classes)
        self.dataset = ""
        """Folder of the dataset that the shots belong to; empty where there is none."""
        self.image = ImageKey(
            str(source.name), self.notes.picture_shape, str(stack.attrs.get("source", ""))
        )
        self._noting = QTimer(self)
        self._noting.setSingleShot(True)
        self._noting.setInterval(NOTE_DELAY)
        self._noting.timeout.connect(self.note)
        self._autosave = Autosave(self.image, self._unsaved, self)
        self._autosave.failed.connect(self._on_not_written)
        self._autosave.mended.connect(self._on_written_again)
        self._layers = ClassLayers(
            viewer, source, self.notes, painted=self._on_painted, misfit=self._on_misfit
        )
        events = source.events
        for place in ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels"):
            getattr(events, place).connect(self._on_moved)
        events.data.connect(self._on_source_data)
        # before lists of layers to take from look at it
        viewer.layers.events.inserted.connect(self._on_inserted, position="first")
        viewer.layers.events.removed.connect(self._on_removed)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)
        atexit.register(_flush_weakly, weakref.ref(self))
        self.note()

    # what is shown

    def shown_shot(self) -> Shot | None:
        """Return the shot that the sliders show; None where that is outside of the image."""
        return shown_shot(self.viewer, self.source, self.notes.shape)

    def go_to(self, shot: Shot) -> None:
        """Move the sliders to a shot."""
        go_to_shot(self.viewer, self.source, shot)

    def layer(self, name: str) -> Labels | None:
        """Return the layer of a class, None where there is none."""
        return self._layers.get(name)

    def show_layer(self, name: str) -> Labels:
        """Return the layer of a class; where it is missing it comes with all that was painted."""
        layer = self.layer(name)
        if layer is not None:
            return layer
        self.note()
        return self._layers.add(name)

    def activate(self, name: str) -> Labels:
        """Make the layer of a class the active one, with the brush in hand and a new number."""
        layer = self.show_layer(name)
        self.viewer.layers.selection.active = layer
        self.new_cloud(layer)
        return layer

    def new_cloud(self, layer: Labels) -> None:
        """Take up the brush with a number that no cloud of the shot has."""
        shot = self.shown_shot()
        if shot is not None and self._layers.fits(layer):
            highest = int(np.max(np.asarray(layer.data)[shot]))
            layer.selected_label = max(highest, 0) + 1
        layer.mode = "paint"

    def paint(self, shot: Shot, labels: Mapping[str, Any], *, undoable: bool = True) -> None:
        """Put label images into the layers of their classes; Ctrl+Z takes it back if undoable.

        Raises
        ------
        ValueError
            The layer of a class has not the size of the image.
        """
        for name, image in labels.items():
            layer = self.show_layer(name)
            if not self._layers.fits(layer):
                raise ValueError(wrong_shape(layer.name, np.shape(layer.data), self.source))
            self._layers.paint(shot, name, image, undoable=undoable)
        self.note()

    # what is known

    def note(self) -> None:
        """Take note of what was painted, and see to it that it gets on disk."""
        self._noting.stop()
        if self._layers.take():
            self.keep()

    def note_all(self) -> None:
        """Take note of all that is in the layers, see `ClassLayers.mark_all`."""
        self._layers.mark_all()
        self.note()

    def set_empty(self, shot: Shot, empty: bool) -> None:
        """Say that there is no cloud in a shot, see `Annotations.set_empty`."""
        self.note()
        self.notes.set_empty(shot, empty)
        self.keep()

    def put(self, notes: Mapping[Shot, ShotNotes], *, saved: bool) -> None:
        """Take notes from a file, and show them."""
        self.note()
        for shot, each in notes.items():
            self.notes.put(shot, each, saved=saved)
        with_clouds = {name for each in notes.values() for name in each.clouds}
        active = self.viewer.layers.selection.active
        for name in self.notes.classes:
            if self.layer(name) is not None:
                self._layers.show(name, notes)
            elif name in with_clouds:
                self.show_layer(name)
        if active is not None:
            self.viewer.layers.selection.active = active  # the brush stays where it was
        self.keep()

    def keep(self) -> None:
        """Have what is unsaved written soon, and tell that something has changed."""
        self._autosave.soon()
        self.changed.emit()

    def add_class(self, name: str) -> None:
        """Add a class, see `Annotations.add_class`."""
        self.notes.add_class(name)
        self.changed.emit()

    def rename_class(self, old: str, new: str, *, saved: bool) -> None:
        """Give a class another name, see `Annotations.rename_class`."""
        self.note()
        self.notes.rename_class(old, new, saved=saved)
        self._layers.rename(old, one_line(new))
        self.keep()

    def remove_class(self, name: str) -> None:
        """Remove a class without clouds with its layer, see `Annotations.remove_class`."""
        self.note()
        self.notes.remove_class(name)
        layer = self._layers.forget(name)
        if layer is not None and layer in self.viewer.layers:
            release(layer)
            layer.mode = "pan_zoom"
            # not before the circle of the brush is drawn no more: a layer that was removed under
            # it has crashed OpenGL drivers at the next one that was added
            QTimer.singleShot(REMOVE_DELAY, partial(_remove, self.viewer, layer))
        self.changed.emit()

    # files

    def flush(self) -> bool:
        """Write what is unsaved, here and now; tell whether it is on disk."""
        return isalive(self) and self._autosave.flush()

    @property
    def file(self) -> Path:
        """Where unsaved painting is kept; it is there only while there is some."""
        return self._autosave.path

    def _unsaved(self) -> Unsaved:
        self.note()
        notes = self.notes.unsaved_notes()
        return Unsaved(self.image, self.notes.classes, notes, self.dataset)

    # what happens in the window

    def _on_painted(self) -> None:
        if isalive(self) and not self._noting.isActive():
            self._noting.start()

    def _on_misfit(self, layer: Labels) -> None:
        if isalive(self):
            self.complained.emit(wrong_shape(layer.name, np.shape(layer.data), self.source))

    def _on_not_written(self, error: Exception) -> None:
        self.complained.emit(f"what was painted is not on disk yet: {error}")

    def _on_written_again(self) -> None:
        self.told.emit("What was painted is on disk.")

    def _on_moved(self, event: Any = None) -> None:
        if isalive(self):
            self._layers.place()

    def _on_source_data(self, event: Any = None) -> None:
        """Follow an image that has got more shots."""
        if not isalive(self):
            return
        shape = image_shape(self.source)
        if shape == self.notes.shape:
            return
        self.note()
        if not self.notes.grow(shape):
            size, was = (" x ".join(map(str, each)) for each in (shape, self.notes.shape))
            self.complained.emit(
                f"“{self.source.name}” is {size} now, its labels {was}: they stay as they were"
            )
            return
        self._layers.resize()
        self.changed.emit()

    def _on_inserted(self, event: Any) -> None:
        if not isalive(self):
            return
        layer = event.value
        if not self._layers.take_in(layer):
            self.told.emit(
                f"“{layer.name}” is a layer of your own, which is not saved: choose it in the row "
                "“from” to take its clouds."
            )
        elif layer == self.source or self._layers.class_of(layer) is not None:
            self._autosave.go_on()

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        name = self._layers.class_of(event.value)
        if name is None and event.value != self.source:
            return
        self.flush()
        there = self.source in self.viewer.layers
        if not there and not list(self._layers.there()):
            self._autosave.end()
        if name is not None and there:
            self._layers.forget(name)
            if any(name in self.notes.notes(shot).clouds for shot in self.notes.shots()):
                self.told.emit(
                    f"The layer of “{name}” was removed. Its clouds are kept: a click on the "
                    "class brings them back."
                )


def _remove(viewer: Any, layer: Labels) -> None:
    if layer in viewer.layers:
        viewer.layers.remove(layer)


def _flush_weakly(session: weakref.ref[AnnotationSession]) -> None:
    alive = session()
    if alive is not None and isalive(alive):
        alive.flush()
