"""A lattice drawn over an image, which the user moves, turns and stretches by its outline."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_coldatoms.analyses.lattice_series import spacing_of
from napari_coldatoms.backend.layers import PALETTE
from napari_coldatoms.images.geometry import orientation_of, unit_name
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.widgets.result_layers import (
    cannot_draw,
    mark_of,
    show_one,
    shown,
    take_away,
)

FloatArray = NDArray[np.float64]

ANALYSIS = "reconstruct_lattice"
GROUP = "grid"
OUTLINE, SITES = "outline", "sites"

_RING = 0.5  # spacings, its diameter
_LEAST_AREA = 0.25  # px² per site that an outline must leave
_COLOUR = PALETTE[1]
_NO_COLOUR = "#00000000"
_FREE = "none"  # in place of the source of an outline whose image is gone


def outline(lattice: Lattice) -> FloatArray:
    """Return four corners (y, x) around all sites with half a spacing around them.

    Of a regular lattice a parallelogram along its vectors, of other positions a rectangle.
    """
    if lattice.vectors is None:
        half = spacing_of(lattice) / 2
        (y0, x0), (y1, x1) = (
            lattice.positions.min(axis=0) - half,
            lattice.positions.max(axis=0) + half,
        )
        return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
    (i0, j0), (i1, j1) = lattice.labels.min(axis=0) - 0.5, lattice.labels.max(axis=0) + 0.5
    labels = np.array([(i0, j0), (i0, j1), (i1, j1), (i1, j0)])
    return np.asarray(lattice.origin) + labels @ lattice.vectors


def affine_map(before: FloatArray, after: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the matrix and the offset that take points (n, 2) nearest to others."""
    design = np.column_stack([before, np.ones(len(before))])
    found = np.asarray(np.linalg.lstsq(design, after, rcond=None)[0], dtype=np.float64)
    return found[:2].T, found[2]


class LatticeGrid(QObject):
    """A lattice over an image: its outline as a Shapes layer, its sites as a Points layer.

    The outline is moved, turned and stretched by napari's own handles; the sites follow while the
    mouse drags. An outline that no longer shows a lattice is put back.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    source : napari.layers.Image
        The image; the grid lies over its last two axes, at every place of the sliders.
    parent : QObject, optional
    """

    moved = Signal(object)
    """The lattice as it lies, also while the mouse drags."""
    toggled = Signal(bool)
    """Whether it is seen now; also by the eyes in napari's list of layers."""
    mended = Signal(str)
    """The outline was put back, and why."""

    def __init__(self, viewer: Any, source: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._source = source
        self._lattice: Lattice | None = None  # with the outline that its layer had last
        self._corners = np.zeros((4, 2))
        self._outline: Any = None
        self._sites: Any = None
        self._busy = False
        self._following = _following(self)
        # napari keeps weak references to methods
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.ndisplay.connect(self._on_view)
        for emitter in (source.events.scale, source.events.translate, source.events.units):
            emitter.connect(self._place)

    @property
    def lattice(self) -> Lattice | None:
        """The lattice where it was left; None where none was shown yet."""
        return self._lattice

    @property
    def visible(self) -> bool:
        """Whether some of it is seen."""
        return any(layer.visible for layer in self._layers())

    def show(self, lattice: Lattice | None = None, *, grab: bool = False) -> None:
        """Show a lattice, or that which was shown last.

        Parameters
        ----------
        lattice : Lattice, optional
        grab : bool
            Make the outline the active layer, so that the mouse moves it.
        """
        if self._source not in self._viewer.layers:
            return
        if lattice is not None:
            self._lattice, self._corners = lattice, outline(lattice)
        if self._lattice is None:
            return
        before = self.visible
        active = self._viewer.layers.selection.active
        if grab:
            self._viewer.dims.ndisplay = 2  # only there the mouse moves it
        self._sites = self._layer(self._sites, SITES)
        self._outline = self._layer(self._outline, OUTLINE)
        self._redraw()
        self._place()
        self._see(True)
        # of a layer that cannot be seen napari takes the mode away
        if self._outline.mode not in ("select", "direct"):
            self._outline.mode = "select"
        callbacks = self._outline.mouse_drag_callbacks
        if self._following in callbacks:
            callbacks.remove(self._following)
        # after napari's own callback for this mode, so that the outline has moved already
        callbacks.append(self._following)
        self._outline.selected_data = {0}
        if grab:
            self._viewer.layers.selection.active = self._outline
        elif active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active
        if not before:
            self.toggled.emit(True)

    def hide(self) -> None:
        """Let it not be seen; the lattice is kept.

        The layers stay: OpenGL drivers have crashed where Shapes layers came and went.
        """
        before = self.visible
        self._see(False)
        if before:
            self.toggled.emit(False)

    def close(self) -> None:
        """Take the layers away for good; an outline that has to stay waits for the next image."""
        if not isalive(self):
            return
        layers, self._outline, self._sites = self._layers(), None, None
        for layer in layers:
            if layer in self._viewer.layers and not take_away(self._viewer, layer):
                layer.visible = False
                mark_of(layer)["source"] = _FREE
        self.deleteLater()

    def follow(self) -> None:
        """Let the sites follow the outline, as far as it shows a lattice."""
        found = self._dragged()
        if found is not None:
            self._draw_sites(found[0])
            self.moved.emit(found[0])

    def let_go(self) -> None:
        """Take over where the outline was dragged to, once napari is done with it."""
        QTimer.singleShot(0, self._take)

    def _layer(self, layer: Any, role: str) -> Any:
        """Return one of the two layers: that which is there, or a new one."""
        name = f"{self._source.name} grid" + (" sites" if role == SITES else "")
        if layer is None:  # perhaps another widget has made it
            before = shown(self._viewer, self._source, ANALYSIS, group=GROUP)
            layer = next((each for each in before if mark_of(each)["role"] == role), None)
            if layer is None and role == OUTLINE:
                layer = self._left_over()
            if layer is not None:
                self._listen(layer, role)
        if layer is not None:
            mark = mark_of(layer)
            if layer.name == mark.get("named") and layer.name != name:  # the image was renamed
                layer.name = name
                mark["named"] = layer.name
            return layer
        assert self._lattice is not None
        kwargs: dict[str, Any] = {"name": name, "opacity": 0.9, **self._image_place()}
        data: Any = self._lattice.positions
        kind = "points"
        if role == OUTLINE:
            data, kind = [self._corners], "shapes"
            kwargs |= {"shape_type": "polygon", "edge_width": self._width()}
            kwargs["edge_color"] = _COLOUR
            kwargs |= {"face_color": _NO_COLOUR}
        else:
            kwargs |= {"face_color": _NO_COLOUR, "border_color": _COLOUR, "border_width": 0.12}
            kwargs |= {"size": _RING * spacing_of(self._lattice), "symbol": "disc"}
        mark = {
            "source": self._source.unique_id,
            "analysis": ANALYSIS,
            "group": GROUP,
            "role": role,
        }
        layer = show_one(self._viewer, None, (data, kwargs, kind), mark)
        mark_of(layer)["named"] = layer.name
        self._listen(layer, role)
        return layer

    def _left_over(self) -> Any:
        """Return the outline of an image that is gone, as that of this image; None without one."""
        for layer in shown(self._viewer, None, ANALYSIS, group=GROUP):
            mark = mark_of(layer)
            if mark["source"] == _FREE:
                mark["source"] = self._source.unique_id
                mark["named"] = layer.name
                layer.current_edge_width = self._width()
                layers = self._viewer.layers
                layers.move(layers.index(layer), len(layers))  # above the image
                return layer
        return None

    def _width(self) -> float:
        return float(np.ptp(self._corners, axis=0).max()) / 150

    def _listen(self, layer: Any, role: str) -> None:
        layer.events.visible.connect(self._on_visible)
        if role == OUTLINE:
            layer.events.data.connect(self._on_data)
        else:
            layer.mode = "pan_zoom"
            layer.editable = False

    def _redraw(self) -> None:
        """Draw the lattice as it is known."""
        if self._lattice is None or self._outline is None or self._sites is None:
            return
        self._draw_sites(self._lattice)
        ring = _RING * spacing_of(self._lattice)
        if not np.all(np.isclose(self._sites.size, ring)):
            self._sites.size = ring
        if not self._is_drawn() and not cannot_draw(self._viewer, self._outline):
            self._busy = True
            try:
                if self._outline.nshapes == 1 and self._outline.shape_type == ["polygon"]:
                    self._outline.data = [self._corners]
                else:
                    looks = {"edge_width": self._outline.current_edge_width}
                    self._outline.data = []
                    self._outline.add_polygons(
                        [self._corners], edge_color=_COLOUR, face_color=_NO_COLOUR, **looks
                    )
            finally:
                self._busy = False
        self._outline.selected_data = {0}

    def _draw_sites(self, lattice: Lattice) -> None:
        if self._sites is not None and not np.array_equal(self._sites.data, lattice.positions):
            self._sites.data = lattice.positions

    def _is_drawn(self) -> bool:
        now = self._corners_now()
        return now is not None and np.array_equal(now, self._corners)

    def _place(self, event: Any = None) -> None:
        """Put the layers where the image is."""
        if not isalive(self):
            return
        for layer in self._layers():
            # napari works out the extent of all layers anew at each of these
            if _place_of(layer) != _place_of(self._source):
                for name, value in self._image_place().items():
                    setattr(layer, name, value)

    def _image_place(self) -> dict[str, Any]:
        """Return where the last two axes of the image lie."""
        place: dict[str, Any] = {"rotate": np.eye(2), "shear": np.eye(2), "affine": np.eye(3)}
        place |= {key: np.array(matrix) for key, matrix in orientation_of(self._source).items()}
        return place | {
            "scale": tuple(float(step) for step in self._source.scale[-2:]),
            "translate": tuple(float(start) for start in self._source.translate[-2:]),
            "units": tuple(str(unit) for unit in self._source.units[-2:]),
            "axis_labels": tuple(self._source.axis_labels[-2:]),
        }

    def _corners_now(self) -> FloatArray | None:
        """Return the outline as it is drawn; None where that is not one shape of four corners."""
        shapes = self._outline.data if self._outline is not None else []
        if len(shapes) != 1 or np.shape(shapes[0]) != (4, 2):
            return None
        corners = np.array(shapes[0], dtype=np.float64)
        if self._sites is not None and _place_of(self._outline) != _place_of(self._sites):
            # the layer itself was moved, in napari's mode "transform"
            there = [self._outline.data_to_world(corner) for corner in corners]
            corners = np.array([self._sites.world_to_data(at) for at in there])
        return corners if np.isfinite(corners).all() else None

    def _dragged(self) -> tuple[Lattice, FloatArray] | None:
        """Return lattice and corners as the outline lies; None where it shows no lattice."""
        corners = self._corners_now()
        if corners is None or self._lattice is None:
            return None
        matrix, offset = affine_map(self._corners, corners)
        area = self._lattice.site_area * abs(float(np.linalg.det(matrix)))
        try:
            lattice = self._lattice.transform(matrix, offset)
        except ValueError:  # all on a line
            return None
        return (lattice, self._corners @ matrix.T + offset) if area > _LEAST_AREA else None

    def _on_data(self, event: Any) -> None:
        # what is about to happen counts when it has happened
        if isalive(self) and not self._busy and not str(event.action).endswith("ing"):
            self.let_go()  # not within napari's own change

    def _take(self) -> None:
        """Take over what the user has made of the outline, or put it back."""
        if not isalive(self) or self._outline is None or self._outline not in self._viewer.layers:
            return
        found = self._dragged()
        if found is None:
            self._place()
            self._redraw()
            self.mended.emit(
                "The grid's outline needs four corners that are not on a line: put back as it was."
            )
            return
        if self._is_drawn():
            return
        self._lattice, self._corners = found
        self._place()
        self._redraw()  # a corner alone was moved: a parallelogram all the same
        self.moved.emit(self._lattice)

    def _layers(self) -> list[Any]:
        return [layer for layer in (self._outline, self._sites) if layer is not None]

    def _see(self, visible: bool) -> None:
        self._busy = True
        try:
            for layer in self._layers():
                layer.visible = visible
        finally:
            self._busy = False

    def _on_visible(self, event: Any) -> None:
        if isalive(self) and not self._busy:
            self.toggled.emit(self.visible)

    def _on_removed(self, event: Any) -> None:
        if not isalive(self) or not self._layers():
            return
        # not within napari's own change
        if event.value == self._source:
            QTimer.singleShot(0, self.close)
        elif self._outline is not None and event.value == self._outline:
            self._outline = None
            QTimer.singleShot(0, self._turn_off)
        elif self._sites is not None and event.value == self._sites:
            self._sites = None
            QTimer.singleShot(0, self._turn_off)

    def _on_view(self, event: Any = None) -> None:
        # not within napari's own change
        if isalive(self) and self._viewer.dims.ndisplay == 2 and self._layers():
            QTimer.singleShot(0, self._redraw_seen)

    def _redraw_seen(self) -> None:
        if isalive(self) and self.visible:
            self._redraw()

    def _turn_off(self) -> None:
        """Hide what the user has left of the grid."""
        if not isalive(self):
            return
        self._see(False)
        self.toggled.emit(False)


def _place_of(layer: Any) -> tuple[Any, ...]:
    """Return where the last two axes of a layer lie, as something that can be compared."""
    return (
        np.asarray(layer.scale)[-2:].tolist(),
        np.asarray(layer.translate)[-2:].tolist(),
        [unit_name(unit) for unit in layer.units[-2:]],
        tuple(layer.axis_labels[-2:]),
        orientation_of(layer),
    )


def _following(grid: LatticeGrid) -> Callable[[Any, Any], Iterator[None]]:
    """Return a callback that lets the sites follow while the mouse drags.

    It lives in the layer, and does not keep the grid alive.
    """
    reference = weakref.ref(grid)

    def follow(layer: Any, event: Any) -> Iterator[None]:
        yield
        while event.type == "mouse_move":
            followed = reference()
            if followed is not None and isalive(followed):
                followed.follow()
            del followed
            yield
        followed = reference()
        if followed is not None and isalive(followed):
            followed.let_go()

    return follow
