"""The dock widget "Raw frames → picture": which frame is what, and how to combine them."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
)

from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.images.roles import ROLES, assign_roles, guess_roles_from_count
from napari_coldatoms.images.stack import METADATA_KEY, from_layer, is_raw, to_layer
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import ImageWidget, button, is_source, row
from napari_coldatoms.widgets.form import ParameterForm
from napari_coldatoms.widgets.layer_combo import LayerCombo
from napari_coldatoms.widgets.pictures import draw_picture, is_raw_layer, show_picture
from napari_coldatoms.widgets.result_layers import mark_of

ANALYSIS = MakePicture.name
MOST_FRAMES = 64
"""Frames of one shot at most, in a layer that does not tell their roles."""
ROLE_WORDS = {
    "atoms": "light and atoms",
    "probe": "light, no atoms",
    "dark": "neither light nor atoms",
    "optical_depth": "optical depth, ready made",
    "fluorescence": "light that the atoms sent out",
    "background": "not known whether with light",
    "unknown": "not used",
}


def has_frames(layer: Any) -> bool:
    """Tell whether a layer can hold raw frames: one that does, or any with three dimensions."""
    return is_source(layer) and (is_raw_layer(layer) or (layer.ndim == 3 and not _is_made(layer)))


class RawFramesWidget(ImageWidget):
    """Show and change the roles of raw frames, and make the picture of them.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer):  # type: ignore[no-untyped-def]
        super().__init__(
            napari_viewer,
            title="Raw frames → picture",
            layer_tooltip="the raw frames of one or more shots",
            accept=has_frames,
        )
        self.setObjectName("raw_frames")
        self._stack: Any = None
        self.role_combos: list[QComboBox] = []

        self.table = QTableWidget(0, 2)
        self.table.setObjectName("roles")
        self.table.setToolTip("what each camera frame shows; change it where the guess is wrong")
        self.table.setHorizontalHeaderLabels(["frame", "role"])
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(
            0, QHeaderView.ResizeMode.ResizeToContents
        )
        self.table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.rows.addWidget(self.table)
        self.guess = QLabel()
        self.guess.setObjectName("guess")
        self.guess.setToolTip("where the roles come from")
        self.guess.setWordWrap(True)
        self.rows.addWidget(self.guess)

        self.form = ParameterForm(MakePicture, prefix="picture", exclude=["background_region"])
        self.form.set_values(memory.recall(ANALYSIS))
        self.rows.addWidget(self.form)

        self.dark_check = QCheckBox("subtract the dark frame")
        self.dark_check.setObjectName("subtract_dark")
        self.dark_check.setToolTip("not ticked: dark frames are not used, their counts taken as 0")
        self.dark_check.setChecked(True)
        self.rows.addWidget(self.dark_check)

        self.region_check = QCheckBox("background region:")
        self.region_check.setObjectName("use_region")
        self.region_check.setToolTip(
            "compare the probe's power in a region without atoms: a rectangle (px) you drew"
        )
        self.region_combo = LayerCombo(napari_viewer, _is_users_shapes)
        self.region_combo.setObjectName("region_layer")
        self.region_combo.setToolTip(
            "Shapes layer with the rectangle (px): the selected shape counts, else the last one"
        )
        self.rows.addLayout(row(self.region_check, self.region_combo))

        self.run_button = button("Make picture", "run", "make or update the picture", self.run)
        self.cancel_button = button("Cancel", "cancel", "stop", self.job.abandon)
        self.rows.addLayout(row(self.run_button, self.cancel_button))
        self.rows.addWidget(self.progress)
        self.rows.addWidget(self.status)
        self.rows.addStretch(1)

        self.layer_combo.layer_changed.connect(self._on_layer_changed)
        self._on_layer_changed(self.layer)
        raw = [layer for layer in self.layer_combo.layers if is_raw_layer(layer)]
        if raw and self.layer not in raw:
            self.layer_combo.select(raw[0])

    @property
    def roles(self) -> list[str]:
        """The roles as chosen."""
        return [combo.currentText() for combo in self.role_combos]

    def run(self) -> None:
        """Make the picture in the background; add its layer or update it."""
        if self.busy or self._stack is None:
            return
        try:
            region = self._region() if self.region_check.isChecked() else None
            maker = self.form.analysis(background_region=region)
            # taken anew: the user may have changed the layer's scale meanwhile
            stack = assign_roles(self._frames(from_layer(self.layer)), self.roles)
        except ValueError as error:
            self.complain(error)
            return
        memory.remember(ANALYSIS, self.form.values())
        raw = self.layer
        self._keep_roles(raw, stack)
        if not self.dark_check.isChecked():
            unused = ["unknown" if role == "dark" else role for role in self.roles]
            stack = assign_roles(stack, unused)

        def work(*, progress: Any, cancel: Any) -> LayerData:
            return draw_picture(maker(stack), str(raw.name))

        self.start(work, lambda made: self._show(raw, made), words="Making the picture …")

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self.run_button.setEnabled(not running and self._stack is not None)
        self.cancel_button.setEnabled(running)

    def _show(self, raw: Any, made: LayerData) -> None:
        if raw not in self.viewer.layers:
            self.say("Stopped: the layer was removed.")
            return
        layer = show_picture(self.viewer, raw, made)
        ours = layer.metadata[METADATA_KEY]["attrs"]
        counts = layer.metadata[METADATA_KEY]["coords"].get("invalid_count", {}).get("values")
        kind = str(ours["kind"]).replace("_", " ")
        words = [f"“{layer.name}” is up to date: {kind}."]
        if counts is not None and np.sum(counts):
            words.append(f"{int(np.sum(counts))} pixels could not be made (shown as empty).")
        if ours.get("note"):
            words.append(str(ours["note"]))
        self.say(" ".join(words))
        raw.visible = False
        layer.visible = True

    def _on_layer_changed(self, layer: Any = None) -> None:
        self._stack = None
        self.table.setRowCount(0)
        self.role_combos = []
        if layer is None:
            self.guess.setText("")
            self.say("No raw frames: drop a camera file, or choose a layer with three dimensions.")
        else:
            try:
                self._stack = self._frames(from_layer(layer))
            except ValueError as error:
                self.say(str(error))
            else:
                self._fill(self._stack)
                self.say("")
        self.set_running(self.busy)

    @staticmethod
    def _frames(stack: Any) -> Any:
        """Return a stack as raw frames: the shots of one without roles are taken as frames."""
        if is_raw(stack):
            return stack
        if "shot" not in stack.dims:
            raise ValueError(f"“{stack.name}” is a single picture: there are no frames to combine.")
        if stack.sizes["shot"] > MOST_FRAMES:
            raise ValueError(
                f"“{stack.name}” has {stack.sizes['shot']} frames and no roles: expected the raw "
                f"frames of one shot, {MOST_FRAMES} at most."
            )
        guess = guess_roles_from_count(stack.sizes["shot"])
        along = [name for name, coord in stack.coords.items() if "shot" in coord.dims]
        frames = stack.drop_vars(along).rename(shot="frame")
        frames = frames.assign_coords(frame=np.array(guess.roles))
        frames.attrs = {
            **stack.attrs,
            "roles_certain": guess.certain,
            "roles_reason": guess.reason,
        }
        return frames

    def _fill(self, stack: Any) -> None:
        roles = [str(role) for role in stack["frame"].values]
        self.table.setRowCount(len(roles))
        for number, role in enumerate(roles):
            item = QTableWidgetItem(f"{number + 1}")
            item.setToolTip(f"frame {number + 1} of {len(roles)} in its file")
            self.table.setItem(number, 0, item)
            combo = QComboBox()
            combo.setObjectName(f"role_{number}")
            combo.setToolTip("what this frame shows")
            combo.addItems(list(ROLES))
            for i, name in enumerate(ROLES):
                combo.setItemData(i, ROLE_WORDS[name], Qt.ItemDataRole.ToolTipRole)
            combo.setCurrentText(role)
            combo.currentTextChanged.connect(self._on_role_changed)
            self.table.setCellWidget(number, 1, combo)
            self.role_combos.append(combo)
        rows = min(len(roles), 8)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.verticalHeader().setDefaultSectionSize(26)
        self.table.setFixedHeight(header + 26 * rows + 6)
        reason = str(stack.attrs.get("roles_reason", ""))
        if stack.attrs.get("roles_certain", True):
            self.guess.setText(f"Roles: {reason}." if reason else "")
        else:
            self.guess.setText(f"⚠ Please check the roles: {reason}.")

    def _on_role_changed(self, *_: Any) -> None:
        self.guess.setText("Roles assigned by hand.")

    def _keep_roles(self, layer: Any, stack: Any) -> None:
        """Write the chosen roles into the raw layer, where everything else reads them."""
        _, kwargs, _ = to_layer(stack)
        ours = {**layer.metadata.get(METADATA_KEY, {}), **kwargs["metadata"][METADATA_KEY]}
        layer.metadata = {**layer.metadata, METADATA_KEY: ours}

    def _region(self) -> tuple[int, int, int, int]:
        """Return the chosen rectangle as pixel edges (y0, x0, y1, x1)."""
        shapes, image = self.region_combo.layer, self.layer
        if shapes is None or not len(shapes.data):
            raise ValueError("draw a rectangle without atoms into a Shapes layer first")
        chosen = sorted(shapes.selected_data) or [len(shapes.data) - 1]
        corners = [shapes.data_to_world(corner) for corner in shapes.data[chosen[0]]]
        padded = [np.r_[np.zeros(max(image.ndim - len(c), 0)), c][-image.ndim :] for c in corners]
        pixels = np.array([image.world_to_data(corner)[-2:] for corner in padded])
        low = np.clip(np.rint(pixels.min(axis=0) + 0.5).astype(int), 0, None)
        high = np.minimum(np.rint(pixels.max(axis=0) + 0.5).astype(int), image.data.shape[-2:])
        if np.any(high <= low):
            raise ValueError("the rectangle for the background region lies outside of the frames")
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _is_users_shapes(layer: Any) -> bool:
    return isinstance(layer, Shapes) and not mark_of(layer)


def _is_made(layer: Any) -> bool:
    """Tell whether a layer is a picture that was made of raw frames."""
    ours = layer.metadata.get(METADATA_KEY, {})
    return bool(ours.get("attrs", {}).get("picture"))
