"""A combo box of the viewer's layers that keeps up with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

Accept = Callable[[Any], bool]


class LayerCombo(QComboBox):
    """The layers of a viewer that a function accepts, topmost first.

    It follows insertion, removal, order and names, and goes along when the user makes another
    accepted layer the active one. Layers are napari's own or proxies of them: they compare equal,
    but are not identical.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    accept : callable
        Takes a layer, tells whether to offer it.
    held : callable, optional
        Tells whether the choice stays when another layer becomes active.
    """

    layer_changed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        accept: Accept,
        parent: QWidget | None = None,
        *,
        held: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._accept = accept
        self._held = held
        self._layers: list[Any] = []
        self._current: Any = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.currentIndexChanged.connect(self._on_index_changed)
        # napari keeps weak references to methods: a widget that is gone is forgotten
        events = viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered, events.renamed):
            emitter.connect(self._refresh)
        viewer.layers.selection.events.active.connect(self._follow_active)
        self._refresh()
        self._follow_active()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None where there is none."""
        return self._current

    @property
    def layers(self) -> list[Any]:
        """The layers on offer."""
        return list(self._layers)

    def select(self, layer: Any) -> None:
        """Choose a layer; one that is not on offer changes nothing."""
        if layer in self._layers:
            self.setCurrentIndex(self._layers.index(layer))

    def _refresh(self, event: object = None) -> None:
        if not isalive(self):  # closed, but not yet collected
            return
        layers = [layer for layer in reversed(list(self._viewer.layers)) if self._accept(layer)]
        names = [str(layer.name) for layer in layers]
        if layers == self._layers and names == [self.itemText(i) for i in range(self.count())]:
            return
        self.blockSignals(True)
        self._layers = layers
        self.clear()
        self.addItems(names)
        for i, name in enumerate(names):
            # long names are cut in the box
            self.setItemData(i, name, Qt.ItemDataRole.ToolTipRole)
        if self._current in layers:
            self.setCurrentIndex(layers.index(self._current))
        self.blockSignals(False)
        self._on_index_changed(self.currentIndex())

    def _follow_active(self, event: object = None) -> None:
        if not isalive(self):
            return
        active = self._viewer.layers.selection.active
        if active is not None and not (self._held is not None and self._held()):
            self.select(active)

    def _on_index_changed(self, index: int) -> None:
        layer = self._layers[index] if 0 <= index < len(self._layers) else None
        if layer is None and self._current is None:
            return
        if layer is None or self._current is None or layer != self._current:
            self._current = layer
            self.layer_changed.emit(layer)
