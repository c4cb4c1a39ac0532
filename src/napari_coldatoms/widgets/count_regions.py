"""Counts from pictures: which layer, which regions, and how their light is added up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_coldatoms.photons.camera_gain import CameraGain
from napari_coldatoms.widgets.base import button, is_source, row
from napari_coldatoms.widgets.camera import VALUES, CameraPanel
from napari_coldatoms.widgets.controls import choice, number, text_label, whole
from napari_coldatoms.widgets.count_places import SAMPLE, Place, title_of
from napari_coldatoms.widgets.folds import fold
from napari_coldatoms.widgets.layer_combo import LayerCombo

SUM, LEARN = "sum", "learn"
NONE, RING, NUMBER = "none", "ring", "number"
MODES, CONTROLS = "modes", "controls"
AUTOMATIC, SITES = "automatic", "sites"
_POINT = 5.0  # px across, of a point that is placed anew
_PLACES = 4


def are_regions(layer: Any) -> bool:
    """Tell whether a layer can hold regions."""
    return isinstance(layer, Shapes | Points | Labels)


class RegionSource(QWidget):
    """Chooses a layer of pictures, one of regions, and what is counted in them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    count_asked = Signal()

    def __init__(self, viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("region_source")
        self._viewer = viewer
        self.image_combo = LayerCombo(viewer, is_source)
        self.image_combo.setObjectName("image_layer")
        self.image_combo.setToolTip("the pictures of all shots")
        self.region_combo = LayerCombo(viewer, are_regions)
        self.region_combo.setObjectName("region_layer")
        self.region_combo.setToolTip(
            "the regions whose light is counted: a layer of Shapes (rectangles, ellipses, "
            "polygons), of Points (discs as large as the points), or of Labels"
        )
        self.place_button = button(
            "Place",
            "place_regions",
            "add a layer of points, and click one on each tweezer",
            self.place_points,
        )
        self.weights = choice(
            "region_weights",
            "sum: every pixel of a region counts the same; learnt: weights that tell bright from "
            "dark shots best, learnt from the pictures",
            [("sum of the pixels", SUM), ("learnt weights", LEARN)],
        )
        self.background = choice(
            "region_background",
            "what is taken off each pixel: nothing, the mean of a ring around each region in each "
            "shot, or a number",
            [("none", NONE), ("ring around each", RING), ("a number", NUMBER)],
        )
        self.background_number = number(
            "region_background_number",
            "light of a pixel beside the atoms: photons where a camera is set, else counts",
            0.0,
            -1e6,
            1e9,
            decimals=3,
            typed=True,
        )
        self.thresholds = choice(
            "region_thresholds",
            "what tells bright from dark in the table of sites: for each site its own two modes, "
            "or for all of them the controls of the last fit, counted in the same way",
            [("two modes of each site", MODES), ("fitted controls", CONTROLS)],
        )
        self.images = whole(
            "region_images",
            "how many pictures in a row show the same atoms: with 2 the survival from the first to "
            "the second is told",
            1,
            1,
            100,
        )
        self.camera = CameraPanel()
        self.camera_words = text_label(
            "camera_words", "what the camera makes of light, as set in the fold “Camera” below"
        )
        self.camera_fold = fold("Camera", "camera_fold", self.camera)
        self.destination = choice(
            "region_destination",
            "where the counts go. automatic: those of a single region to the sample, those of "
            "several to the table of sites",
            [
                ("automatic", AUTOMATIC),
                ("table of sites", SITES),
                (title_of(SAMPLE), SAMPLE),
                *((title_of(i), str(i)) for i in range(_PLACES)),
            ],
        )
        self.count_button = button(
            "Count",
            "count_regions",
            "add up the light of each region in each shot",
            self.count_asked.emit,
        )
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("image", self.image_combo)
        form.addRow("regions", row(self.region_combo, self.place_button))
        form.addRow("weights", self.weights)
        form.addRow("background", row(self.background, self.background_number))
        form.addRow("thresholds", self.thresholds)
        form.addRow("images of a shot", self.images)
        form.addRow("camera", self.camera_words)
        form.addRow("counts go to", row(self.destination, self.count_button))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.camera_fold)
        self.background.currentIndexChanged.connect(self._enable)
        self.image_combo.layer_changed.connect(self._enable)
        self.region_combo.layer_changed.connect(self._enable)
        self.camera.changed.connect(self._tell_camera)
        self._tell_camera()
        self._running = False
        self._enable()

    @property
    def camera_gain(self) -> CameraGain | None:
        """The camera; None for an ideal one, whose counts are taken as they are.

        Raises
        ------
        ValueError
            If its numbers do not go together.
        """
        values = self.camera.values()
        return None if values == VALUES else CameraGain.of_profile(**values)

    @property
    def background_value(self) -> float | str | None:
        """What is taken off each pixel, as `photons.counts_from_stack` takes it."""
        kind = self.background.currentData()
        if kind == NUMBER:
            return float(self.background_number.value())
        return "ring" if kind == RING else None

    def place_of(self, regions: int) -> Place | None:
        """Return where the counts of so many regions go; None for the table of sites."""
        chosen = self.destination.currentData()
        if chosen == AUTOMATIC:
            return SAMPLE if regions == 1 and self.images.value() == 1 else None
        if chosen == SITES:
            return None
        return SAMPLE if chosen == SAMPLE else int(chosen)

    def values(self) -> dict[str, Any]:
        """Return the options, to be remembered."""
        return {
            "weights": self.weights.currentData(),
            "background": self.background.currentData(),
            "background_number": self.background_number.value(),
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show options; what is not known is passed over."""
        for name, combo in (("weights", self.weights), ("background", self.background)):
            at = combo.findData(values.get(name))
            if at >= 0:
                combo.setCurrentIndex(at)
        level = values.get("background_number")
        if isinstance(level, int | float):
            self.background_number.setValue(level)

    def place_points(self) -> None:
        """Add a layer of points over the image, ready to be placed."""
        source = self.image_combo.layer
        if source is None:
            return
        made = self._viewer.add_points(
            np.empty((0, 2)),
            ndim=2,
            name=f"{source.name} regions",
            size=_POINT,
            face_color="transparent",
            border_color="#e69f00",
            border_width=0.1,
            scale=source.scale[-2:],
            translate=source.translate[-2:],
            units=[str(unit) for unit in source.units[-2:]],
            axis_labels=source.axis_labels[-2:],
        )
        made.mode = "add"
        self.region_combo.select(made)

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self._running = running
        self._enable()

    def _tell_camera(self) -> None:
        values = self.camera.values()
        if values == VALUES:
            self.camera_words.setText("counts as they are")
            return
        words = f"offset {values['offset']:g}, {values['gain']:g} counts/e⁻"
        if values["excess_noise"] > 1:
            words += f", excess noise {values['excess_noise']:g}"
        self.camera_words.setText(words)

    def _enable(self, *_: object) -> None:
        image, regions = self.image_combo.layer, self.region_combo.layer
        self.background_number.setVisible(self.background.currentData() == NUMBER)
        self.place_button.setEnabled(image is not None)
        self.count_button.setEnabled(
            not self._running and image is not None and regions is not None
        )
