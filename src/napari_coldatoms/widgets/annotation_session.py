"""One image that clouds are painted on: its layers, what is in them, and the file that keeps it.

A session lives as long as its layers do, also while the dock is closed: what is painted then is
kept as well.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels, Layer
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_coldatoms.analyses.annotation_recovery import (
    ImageKey,
    RecoveryFile,
    Unsaved,
    find_unsaved,
    read_unsaved,
    set_aside,
)
from napari_coldatoms.analyses.annotations import Annotations, Shot, ShotNotes
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.widgets.annotation_layers import (
    add_label_layer,
    annotates,
    empty_labels,
    identity,
    image_shape,
    label_layers,
    layer_place,
    rename_label_layer,
    wrong_shape,
)
from napari_coldatoms.widgets.jobs import Job
from napari_coldatoms.widgets.memory import parameter_file

NOTE_DELAY = 150
"""Milliseconds after a stroke until its clouds are counted."""
WRITE_DELAY = 1500
"""Milliseconds after a change until it is on disk, at most."""

# pixels that can be looked through in some tenths of a second
_LARGE = 1e8
# pixels that are looked through after each stroke
_SMALL = 3e6

_sessions: weakref.WeakValueDictionary[str, AnnotationSession] = weakref.WeakValueDictionary()


def unsaved_folder() -> Path:
    """Return where unsaved painting is kept."""
    return parameter_file().parent / "unsaved"


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
        self._layers: dict[str, Labels] = {}
        self._connected: dict[str, list[tuple[Any, Callable[..., None]]]] = {}
        self._dirty: set[tuple[str, Shot]] = set()
        self._touched: set[tuple[str, Shot]] = set()
        self._shown: dict[str, Shot | None] = {}
        self._number = 0
        self._over = False
        self._file = RecoveryFile(unsaved_folder(), self.image)
        self._job = Job(self)
        self._job.failed.connect(self._on_not_written)
        self._noting = self._timer(NOTE_DELAY, self.note)
        self._writing = self._timer(WRITE_DELAY, self._write)
        for name, layer in label_layers(viewer, source).items():
            if name not in self.notes.classes:
                self.notes.add_class(name)
            self._follow(name, layer)
            self._dirty |= {(name, shot) for shot in self.notes.shots()}
        events = source.events
        for place in ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels"):
            getattr(events, place).connect(self._on_moved)
        events.data.connect(self._on_source_data)
        viewer.layers.events.removed.connect(self._on_removed)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)
        atexit.register(_flush_weakly, weakref.ref(self))
        self.note()

    # what is shown

    def shown_shot(self) -> Shot | None:
        """Return the shot that the sliders show; None where that is outside of the image."""
        point = np.asarray(self.viewer.dims.point)[-self.source.ndim :]
        if len(point) < self.source.ndim:
            return None
        place = np.rint(np.asarray(self.source.world_to_data(point))[:-2]).astype(int).tolist()
        shape = self.notes.shape[:-2]
        inside = all(0 <= i < n for i, n in zip(place, shape, strict=True))
        return tuple(place) if inside else None

    def go_to(self, shot: Shot) -> None:
        """Move the sliders to a shot."""
        world = self.source.data_to_world((*shot, 0, 0))
        first = self.viewer.dims.ndim - self.source.ndim
        for axis, value in enumerate(world[: len(shot)]):
            self.viewer.dims.set_point(first + axis, value)

    def layer(self, name: str) -> Labels | None:
        """Return the layer of a class, None where there is none."""
        layer = self._layers.get(name)
        return layer if layer is not None and layer in self.viewer.layers else None

    def show_layer(self, name: str) -> Labels:
        """Return the layer of a class; where it is missing it comes with all that was painted."""
        layer = self.layer(name)
        if layer is not None:
            return layer
        self.note()
        data = empty_labels(self.notes.shape)
        for shot in self.notes.shots():
            patch = self.notes.notes(shot).clouds.get(name)
            if patch is not None:
                data[shot] = patch.on(self.notes.picture_shape)
        made = add_label_layer(self.viewer, self.source, name, data)
        self._follow(name, made)
        return made

    def activate(self, name: str) -> Labels:
        """Make the layer of a class the active one, with the brush in hand and a new number."""
        layer = self.show_layer(name)
        self.viewer.layers.selection.active = layer
        self.new_cloud(layer)
        return layer

    def new_cloud(self, layer: Labels) -> None:
        """Take up the brush with a number that no cloud of the shot has."""
        shot = self.shown_shot()
        if shot is not None and self._fits(layer):
            highest = int(np.max(np.asarray(layer.data)[shot]))
            layer.selected_label = max(highest, 0) + 1
        layer.mode = "paint"

    def labels(self, shot: Shot) -> dict[str, Any]:
        """Return what is painted in a shot, a label image for each class."""
        self.note()
        clouds, shape = self.notes.notes(shot).clouds, self.notes.picture_shape
        return {
            name: clouds[name].on(shape) if name in clouds else np.zeros(shape, np.uint16)
            for name in self.notes.classes
        }

    def paint(self, shot: Shot, labels: Mapping[str, Any], *, undoable: bool = True) -> None:
        """Put label images into the layers of their classes; Ctrl+Z takes it back if undoable."""
        for name, image in labels.items():
            layer = self.show_layer(name)
            if not self._fits(layer):
                raise ValueError(wrong_shape(layer.name, np.shape(layer.data), self.source))
            before = np.asarray(layer.data[shot])
            rows, columns = np.nonzero(before != image)
            if not rows.size:
                continue
            if undoable:
                leading = tuple(np.full(rows.size, n) for n in shot)
                layer.data_setitem((*leading, rows, columns), image[rows, columns])
            else:
                layer.data[shot] = image
                layer.refresh()
            self._dirty.add((name, shot))
        self.note()

    # what is known

    def note(self) -> None:
        """Take note of what was painted, and see to it that it gets on disk."""
        self._noting.stop()
        dirty, self._dirty = self._dirty, set()
        new = False
        for name, shot in sorted(dirty):
            layer = self._layers.get(name)
            if layer is None or not self._fits(layer) or name not in self.notes.classes:
                continue
            new |= self.notes.paint(shot, name, layer.data[shot])
        if new:
            self.keep()

    def note_all(self) -> None:
        """Take note of all that is in the layers, also of what no event has told.

        Of a very large image, of which that would hold up the window, only the shot that is shown.
        """
        shot = self.shown_shot()
        large = np.prod(self.notes.shape, dtype=float) > _LARGE
        for name, layer in self._layers.items():
            if large and shot is not None:
                self._dirty.add((name, shot))
            elif not large and self._fits(layer):
                self._dirty |= {(name, shot) for shot in self.notes.shots()}
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
        for name in self.notes.classes:
            layer = self.layer(name)
            if layer is None:
                if name in with_clouds:
                    self.show_layer(name)
            elif self._fits(layer):
                for shot, each in notes.items():
                    patch = each.clouds.get(name)
                    layer.data[shot] = 0 if patch is None else patch.on(self.notes.picture_shape)
                layer.refresh()
        self.keep()

    def keep(self) -> None:
        """Have what is unsaved written soon, and tell that something has changed."""
        if not self._writing.isActive():
            self._writing.start()
        self.changed.emit()

    def add_class(self, name: str) -> None:
        """Add a class, see `Annotations.add_class`."""
        self.notes.add_class(name)
        self.changed.emit()

    def rename_class(self, old: str, new: str, *, saved: bool) -> None:
        """Give a class another name, see `Annotations.rename_class`."""
        self.note()
        self.notes.rename_class(old, new, saved=saved)
        new = new.strip()
        layer = self._layers.pop(old, None)
        if layer is not None:
            self._forget(old, layer)
            rename_label_layer(layer, self.source, old, new)
            self._follow(new, layer)
        self.keep()

    def remove_class(self, name: str) -> None:
        """Remove a class without clouds with its layer, see `Annotations.remove_class`."""
        self.note()
        self.notes.remove_class(name)
        layer = self._layers.pop(name, None)
        if layer is not None:
            self._forget(name, layer)
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self.changed.emit()

    def unsaved_files(self) -> list[Path]:
        """Return files with painting on this image that was never saved, the newest first."""
        going_on = [
            each._file.path
            for each in list(_sessions.values())
            if isalive(each) and each.source in each.viewer.layers
        ]
        return find_unsaved(unsaved_folder(), self.image, but=going_on)

    def recover(self, path: Path) -> Unsaved:
        """Bring back what is in a file with unsaved painting.

        Shots that have been painted anew since keep what they have.

        Raises
        ------
        ValueError
            The file is damaged.
        OSError
            The painting cannot be kept in another file.
        """
        self.note()
        found = read_unsaved(path)
        there = set(self.notes.shots())
        mine = {shot for shot in self.notes.unsaved if self.notes.notes(shot).done}
        for name in found.classes:
            if name not in self.notes.classes:
                self.notes.add_class(name)
        taken = {s: each for s, each in found.notes.items() if s in there and s not in mine}
        self.put(taken, saved=False)
        if self.flush():
            if len(taken) == len(found.notes):
                # all of it is in the file of this session
                path.unlink(missing_ok=True)
            else:
                set_aside(path)
        return found

    # to disk

    def flush(self) -> bool:
        """Write what is unsaved, here and now; tell whether it is on disk."""
        if not isalive(self) or self._over:
            return False
        self.note()
        self._writing.stop()
        if not self._number and not self.notes.unsaved:
            return True  # nothing was ever painted
        try:
            self._file.write(self._unsaved(), self._next())
        except OSError as error:
            self._on_not_written(error)
            return False
        return True

    def _write(self) -> None:
        if self._over:
            return
        self.note()
        self._writing.stop()
        if self._job.running:
            self._writing.start()
            return
        unsaved, number, file = self._unsaved(), self._next(), self._file

        def work(*, progress: Any, cancel: Any) -> bool:
            return file.write(unsaved, number)

        self._job.start(work)

    def _unsaved(self) -> Unsaved:
        notes = self.notes.unsaved_notes()
        return Unsaved(self.image, self.notes.classes, notes, self.dataset)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _on_not_written(self, error: Exception) -> None:
        self.complained.emit(f"what was painted is not on disk yet: {error}")
        if isalive(self):
            self._writing.start(10 * WRITE_DELAY)

    # what happens in the window

    def _timer(self, delay: int, call: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(delay)
        timer.timeout.connect(call)
        return timer

    def _follow(self, name: str, layer: Labels) -> None:
        # napari keeps plain functions, but not methods: as long as the layer is there, so is its
        # session, and what is painted is kept
        def painted(event: Any = None) -> None:
            self._on_painted(name, layer)

        def redrawn(event: Any = None) -> None:
            self._on_redrawn(name, layer)

        def replaced(event: Any = None) -> None:
            self._on_data(name, layer)

        pairs = [
            (layer.events.paint, painted),
            (layer.events.labels_update, painted),  # in the middle of a stroke
            (layer.events.set_data, redrawn),  # after undo, and when the slider moves
            (layer.events.data, replaced),
        ]
        for emitter, callback in pairs:
            emitter.connect(callback)
        self._layers[name] = layer
        self._connected[identity(layer)] = pairs

    def _forget(self, name: str, layer: Labels) -> None:
        for emitter, callback in self._connected.pop(identity(layer), []):
            emitter.disconnect(callback)
        self._dirty = {each for each in self._dirty if each[0] != name}
        self._touched = {each for each in self._touched if each[0] != name}

    def _on_painted(self, name: str, layer: Labels) -> None:
        if not isalive(self):
            return
        shot = self.shown_shot()
        flat = tuple(self.viewer.dims.displayed[-2:]) == tuple(
            range(self.viewer.dims.ndim - 2, self.viewer.dims.ndim)
        )
        several = not flat or layer.n_edit_dimensions > 2 or self.viewer.dims.ndisplay > 2
        if shot is None or several or self._small:
            self._mark(name, self.notes.shots())
        else:
            self._touched.add((name, shot))
            self._mark(name, [shot])

    def _on_redrawn(self, name: str, layer: Labels) -> None:
        if not isalive(self):
            return
        shot, before = self.shown_shot(), self._shown.get(name)
        self._shown[name] = shot
        if shot is not None and shot == before:
            # not the slider: something has changed, such as by undo, which may be of another shot
            touched = (each for cls, each in self._touched if cls == name)
            self._mark(name, self.notes.shots() if self._small else [shot, *touched])

    def _on_data(self, name: str, layer: Labels) -> None:
        if not isalive(self):
            return
        if self._fits(layer):
            self._mark(name, self.notes.shots())
        else:
            self.complained.emit(wrong_shape(layer.name, np.shape(layer.data), self.source))

    def _mark(self, name: str, shots: Iterable[Shot]) -> None:
        self._dirty |= {(name, shot) for shot in shots}
        if not self._noting.isActive():
            self._noting.start()

    @property
    def _small(self) -> bool:
        """Whether all shots are looked through after each stroke: a script may paint anywhere."""
        return bool(np.prod(self.notes.shape, dtype=float) < _SMALL)

    def _fits(self, layer: Any) -> bool:
        return bool(np.shape(layer.data) == self.notes.shape)

    def _on_moved(self, event: Any = None) -> None:
        if not isalive(self):
            return
        for layer in self._layers.values():
            if layer not in self.viewer.layers:
                continue
            for key, value in layer_place(self.source, layer.ndim).items():
                setattr(layer, key, value)

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
        for layer in self._layers.values():
            data = empty_labels(shape)
            mark = annotates(layer)
            for shot in self.notes.shots():
                patch = self.notes.notes(shot).clouds.get(mark[1]) if mark else None
                if patch is not None:
                    data[shot] = patch.on(self.notes.picture_shape)
            layer.data = data
        self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        if not isalive(self):
            return
        mark = annotates(event.value)
        ours = mark is not None and mark[0] == identity(self.source)
        if ours or event.value == self.source:
            self.flush()
            there = self.viewer.layers
            # its file is offered when the image is opened again
            self._over = self.source not in there and not any(
                layer in there for layer in self._layers.values()
            )
        if ours and mark is not None and self.source in self.viewer.layers:
            self._layers.pop(mark[1], None)
            self._forget(mark[1], event.value)
            if any(mark[1] in self.notes.notes(shot).clouds for shot in self.notes.shots()):
                self.told.emit(
                    f"The layer of “{mark[1]}” was removed. Its clouds are kept: a click on the "
                    "class brings them back."
                )


def _flush_weakly(session: weakref.ref[AnnotationSession]) -> None:
    alive = session()
    if alive is not None and isalive(alive):
        alive.flush()
