"""A region of interest: sites that the user has painted in a Labels layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.widgets.base import button
from napari_coldatoms.widgets.layer_combo import LayerCombo

BoolArray = NDArray[np.bool_]

_DELAY = 200  # ms after the last stroke


class RegionChooser(QWidget):
    """Chooses a Labels layer whose painted pixels make a region of interest.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    changed = Signal()
    """Another layer was chosen, or something painted."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.setObjectName("region")
        self._viewer = viewer
        self._followed: Any = None
        self.check = QCheckBox("region")
        self.check.setObjectName("region_given")
        self.check.setToolTip("read out only the sites whose middle is painted in a Labels layer")
        # a region that counts stays, whatever layer is added or clicked
        self.combo = LayerCombo(
            viewer, lambda layer: isinstance(layer, Labels), held=self.check.isChecked
        )
        self.combo.setObjectName("region_layer")
        self.combo.setToolTip(
            "the Labels layer with the region: painted by hand, or the cells of the sites with "
            "some erased"
        )
        self.paint_button = button(
            "Paint",
            "paint_region",
            "add an empty Labels layer over the image and paint the region with the brush",
            self.paint,
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.check)
        layout.addWidget(self.combo, 1)
        layout.addWidget(self.paint_button)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_DELAY)
        self._later.timeout.connect(self.changed)
        self.check.toggled.connect(self._on_chosen)
        self.combo.layer_changed.connect(self._on_chosen)
        self.source: Any = None
        """The image that a region is painted over."""

    @property
    def layer(self) -> Any:
        """The Labels layer with the region; None where all sites count."""
        return self.combo.layer if self.check.isChecked() else None

    def paint(self) -> None:
        """Add an empty Labels layer over the image, with the brush in hand."""
        source = self.source
        if source is None or source not in self._viewer.layers:
            return
        shape = (source.data[0] if getattr(source, "multiscale", False) else source.data).shape[-2:]
        made = self._viewer.add_labels(
            np.zeros(shape, dtype=np.uint8),
            name=f"{source.name} region",
            scale=source.scale[-2:],
            translate=source.translate[-2:],
            units=[str(unit) for unit in source.units[-2:]],
            axis_labels=source.axis_labels[-2:],
            opacity=0.4,
        )
        made.brush_size = max(shape) / 15
        made.mode = "paint"
        self.combo.select(made)
        self.check.setChecked(True)

    def sites(self, source: Any, calibration: Calibration) -> BoolArray | None:
        """Return which sites of a calibration, (n,) bool, are in the region.

        None where all sites count: without a region, and as long as it is empty.
        """
        layer = self.layer
        if layer is None or layer not in self._viewer.layers:
            return None
        positions = calibration.lattice.positions
        world = np.asarray(source.translate)[-2:] + np.asarray(source.scale)[-2:] * positions
        inside = (world - np.asarray(layer.translate)[-2:]) / np.asarray(layer.scale)[-2:]
        rows, columns = np.rint(inside).astype(int).T
        painted = np.asarray(layer.data)
        painted = painted.reshape(-1, *painted.shape[-2:]).max(axis=0)
        height, width = painted.shape
        there = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        chosen = np.zeros(len(positions), dtype=np.bool_)
        chosen[there] = painted[rows[there], columns[there]] > 0
        return chosen if chosen.any() else None

    def _on_chosen(self, *_: object) -> None:
        layer = self.layer
        if self._followed is not None and (layer is None or layer != self._followed):
            self._followed.events.paint.disconnect(self._on_painted)
            self._followed.events.data.disconnect(self._on_painted)
            self._followed = None
        if layer is not None and self._followed is None:
            layer.events.paint.connect(self._on_painted)
            layer.events.data.connect(self._on_painted)
            self._followed = layer
        self._on_painted()

    def _on_painted(self, event: object = None) -> None:
        if isalive(self):
            self._later.start()
