"""The Labels layers of an image's classes, and where they were painted in since somebody looked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from napari.layers import Labels, Layer

from napari_coldatoms.analyses.annotations import Annotations, Shot
from napari_coldatoms.widgets.annotation_layers import (
    add_label_layer,
    annotates,
    empty_labels,
    identity,
    label_layers,
    layer_place,
    release,
    rename_label_layer,
    shown_shot,
)

# pixels that can be looked through in some tenths of a second
_LARGE = 1e8
# pixels that are looked through after each stroke
_SMALL = 3e6


class ClassLayers:
    """The layers that the clouds of an image are painted in, by class.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    source : napari.layers.Image
        The image.
    notes : Annotations
        What is known of its shots; layers show it, and are not looked at to change it.
    painted : callable
        Called when something was painted, or taken back.
    misfit : callable
        Called with a layer that was given data of another size than the image's.

    Notes
    -----
    napari keeps plain functions, but not methods: what owns the callbacks stays as long as one of
    the layers does.
    """

    def __init__(
        self,
        viewer: Any,
        source: Layer,
        notes: Annotations,
        *,
        painted: Callable[[], None],
        misfit: Callable[[Labels], None],
    ) -> None:
        self._viewer, self._source, self._notes = viewer, source, notes
        self._painted, self._misfit = painted, misfit
        self._layers: dict[str, Labels] = {}
        self._connected: dict[str, list[tuple[Any, Callable[..., None]]]] = {}
        self._dirty: set[tuple[str, Shot]] = set()
        self._touched: set[tuple[str, Shot]] = set()
        self._shown: dict[str, Shot | None] = {}
        self._adding = False
        for name, layer in label_layers(viewer, source).items():
            if name not in notes.classes:
                notes.add_class(name)
            self._follow(name, layer)
            self.mark(name, notes.shots())

    def there(self) -> Iterator[Labels]:
        """Iterate over the layers that are in the window."""
        yield from (layer for layer in self._layers.values() if layer in self._viewer.layers)

    def get(self, name: str) -> Labels | None:
        """Return the layer of a class, None where there is none."""
        layer = self._layers.get(name)
        return layer if layer is not None and layer in self._viewer.layers else None

    def class_of(self, layer: Any) -> str | None:
        """Return the class of a layer, None of one that is not among them."""
        return next((name for name, each in self._layers.items() if each == layer), None)

    def add(self, name: str) -> Labels:
        """Add the layer of a class, with all that was painted."""
        data = self._drawn(name)
        self._adding = True
        try:
            made = add_label_layer(self._viewer, self._source, name, data)
        finally:
            self._adding = False
        self._follow(name, made)
        return made

    def take_in(self, layer: Labels) -> bool:
        """Follow a layer that has come into the window, if it is of a class of the image.

        A second layer of a class, such as a copy of the first, is the user's own: then tell so.
        """
        mark = annotates(layer)
        if self._adding or mark is None or mark[0] != identity(self._source):
            return True
        name = mark[1]
        if self.get(name) is not None:
            release(layer)
            return False
        self.forget(name)  # one that is not in the window any more
        if name not in self._notes.classes:
            self._notes.add_class(name)
        self._follow(name, layer)
        if self.fits(layer):
            self.mark(name, self._notes.shots())
            self._painted()
        else:
            self._misfit(layer)
        return True

    def show(self, name: str, shots: Iterable[Shot]) -> None:
        """Have the layer of a class, if it is there, show what is known of shots."""
        layer = self.get(name)
        if layer is None or not self.fits(layer):
            return
        for shot in shots:
            layer.data[shot] = self._notes.notes(shot).labels(name, self._notes.picture_shape)
        layer.refresh()

    def paint(self, shot: Shot, name: str, image: Any, *, undoable: bool) -> None:
        """Put a label image into the layer of a class; Ctrl+Z takes it back if undoable."""
        layer = self._layers[name]
        rows, columns = np.nonzero(np.asarray(layer.data[shot]) != image)
        if not rows.size:
            return
        if undoable:
            leading = tuple(np.full(rows.size, n) for n in shot)
            layer.data_setitem((*leading, rows, columns), image[rows, columns])
        else:
            layer.data[shot] = image
            if shot == shown_shot(self._viewer, self._source, self._notes.shape):
                layer.refresh()
        self.mark(name, [shot])

    def rename(self, old: str, new: str) -> None:
        """Make the layer of a class that of another name."""
        layer = self.forget(old)
        if layer is not None:
            rename_label_layer(layer, self._source, old, new)
            self._follow(new, layer)

    def forget(self, name: str) -> Labels | None:
        """Look at the layer of a class no more; return it."""
        layer = self._layers.pop(name, None)
        if layer is None:
            return None
        for emitter, callback in self._connected.pop(identity(layer), []):
            emitter.disconnect(callback)
        self._dirty = {each for each in self._dirty if each[0] != name}
        self._touched = {each for each in self._touched if each[0] != name}
        return layer

    def place(self) -> None:
        """Put all layers where the image lies now."""
        for layer in self.there():
            for key, value in layer_place(self._source, layer.ndim).items():
                setattr(layer, key, value)

    def resize(self) -> None:
        """Give all layers the size that the image has now."""
        for name, layer in self._layers.items():
            layer.data = self._drawn(name)

    def fits(self, layer: Any) -> bool:
        """Tell whether a layer has the size of the image."""
        return bool(np.shape(layer.data) == self._notes.shape)

    # what was painted

    def mark(self, name: str, shots: Iterable[Shot]) -> None:
        """Have shots of a class looked at."""
        self._dirty |= {(name, shot) for shot in shots}

    def mark_all(self) -> None:
        """Have all looked at, also what no event has told.

        Of a very large image, of which that would hold up the window, only the shot that is shown.
        """
        shot = shown_shot(self._viewer, self._source, self._notes.shape)
        large = np.prod(self._notes.shape, dtype=float) > _LARGE
        for name, layer in self._layers.items():
            if large and shot is not None:
                self.mark(name, [shot])
            elif not large and self.fits(layer):
                self.mark(name, self._notes.shots())

    def take(self) -> bool:
        """Take note of what was painted; tell whether any of it is new."""
        dirty, self._dirty = self._dirty, set()
        new = False
        for name, shot in sorted(dirty):
            layer = self._layers.get(name)
            if layer is None or not self.fits(layer) or name not in self._notes.classes:
                continue
            new |= self._notes.paint(shot, name, layer.data[shot])
        return new

    def _drawn(self, name: str) -> Any:
        data = empty_labels(self._notes.shape)
        for shot in self._notes.shots():
            patch = self._notes.notes(shot).clouds.get(name)
            if patch is not None:
                patch.draw(data[shot])
        return data

    def _follow(self, name: str, layer: Labels) -> None:
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

    def _on_painted(self, name: str, layer: Labels) -> None:
        dims = self._viewer.dims
        shot = shown_shot(self._viewer, self._source, self._notes.shape)
        flat = tuple(dims.displayed[-2:]) == tuple(range(dims.ndim - 2, dims.ndim))
        several = not flat or layer.n_edit_dimensions > 2 or dims.ndisplay > 2
        if shot is None or several or self._small:
            self.mark(name, self._notes.shots())
        else:
            self._touched.add((name, shot))
            self.mark(name, [shot])
        self._painted()

    def _on_redrawn(self, name: str, layer: Labels) -> None:
        shot = shown_shot(self._viewer, self._source, self._notes.shape)
        before, self._shown[name] = self._shown.get(name), shot
        if shot is not None and shot == before:
            # not the slider: something has changed, such as by undo, which may be of another shot
            touched = (each for cls, each in self._touched if cls == name)
            self.mark(name, self._notes.shots() if self._small else [shot, *touched])
            self._painted()

    def _on_data(self, name: str, layer: Labels) -> None:
        if self.fits(layer):
            self.mark(name, self._notes.shots())
            self._painted()
        else:
            self._misfit(layer)

    @property
    def _small(self) -> bool:
        """Whether all shots are looked through after each stroke: a script may paint anywhere."""
        return bool(np.prod(self._notes.shape, dtype=float) < _SMALL)
