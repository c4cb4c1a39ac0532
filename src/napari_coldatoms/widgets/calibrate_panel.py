"""Where the sites of a lattice are: found in the images, with a grid laid over them as a guess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QFrame, QLabel, QVBoxLayout, QWidget

from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.analyses.calibration_file import load_calibration, save_calibration
from napari_coldatoms.analyses.calibration_words import numbers, verdict
from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import ImageWidget, button, row, shown_frame
from napari_coldatoms.widgets.camera import CameraPanel
from napari_coldatoms.widgets.controls import check, choice, text_label
from napari_coldatoms.widgets.grid_controls import GridControls
from napari_coldatoms.widgets.jobs import stopping
from napari_coldatoms.widgets.lattice_grid import LatticeGrid
from napari_coldatoms.widgets.pictures import is_raw_layer
from napari_coldatoms.widgets.reconstruction import to_reconstruct

MEMORY = "calibrate_lattice"
ALL_FRAMES, THIS_FRAME = "all frames", "this frame"
FILTER = "calibrations (*.yaml *.yml)"
_TOOLTIPS = {
    "sites": "how many sites there are, and whether two vectors give their places",
    "spacing": "distance of neighbouring sites along i and along j, ± standard error (px)",
    "angle": "directions of i and of j from +x (right) towards +y (down), ± standard error (°)",
    "PSF HWHM": "half width at half maximum of the light of one atom, ± standard error (px)",
    "SNR": "how far the light of occupied sites is above that of empty ones (dB)",
    "expected errors": "share of wrong decisions to be expected of the best estimator (%)",
    "shots": "images that were looked at, and those that show the sites clearly",
}


class CalibratePanel(QWidget):
    """Find the sites in the images of the host's layer, by one button or with a grid as a guess.

    Parameters
    ----------
    host : ImageWidget
        Whose layer is calibrated, in whose job, and who tells what came out.
    """

    calibration_changed = Signal(object)
    """The calibration that was found or loaded; None when it was forgotten."""

    def __init__(self, host: ImageWidget) -> None:
        super().__init__()
        self.setObjectName("calibrate")
        self.host = host
        self.calibration: Calibration | None = None
        self._grids: dict[str, LatticeGrid] = {}
        self._running = False
        self._camera_then: dict[str, float] = {}  # with the calibration
        remembered = memory.recall(MEMORY)

        self.frames = choice(
            "calibrate_frames",
            "calibrate with every image of the layer, or only the one that is shown; of several "
            "frames in each shot, with those of the shot that is shown",
            [(text, text) for text in (ALL_FRAMES, THIS_FRAME)],
        )
        self.arrangement = choice(
            "arrangement",
            "whether the sites form a lattice with two vectors, or are anywhere but apart, as "
            "tweezers are; auto: the images tell",
            [("auto", "auto"), ("lattice", "regular"), ("tweezers", "positions")],
        )
        self.camera = CameraPanel()
        self.pairs_check = check(
            "all frames show the same atoms",
            "pairs",
            "each frame of a shot is an image of the same atoms, whatever role it has",
        )
        self.sites_check = check(
            "learn each site's brightness",
            "learn_sites",
            "also find how bright each site is and what divides empty from occupied there: "
            "for uneven light, with many shots",
        )
        self.find_button = button(
            "Find sites", "find_sites", "calibrate with these images, without a guess", self.find
        )
        self.grid_controls = GridControls()
        self.place_button = button(
            "Place grid",
            "place_grid",
            "put a grid with these numbers over the image: drag it, or its corners and the handle "
            "above it, until it lies on the atoms; then Refine",
            self.place_grid,
        )
        self.refine_button = button(
            "Refine", "refine", "calibrate with the grid as it lies as the guess", self.refine
        )
        self.grid_check = check(
            "show grid",
            "show_grid",
            "the calibrated sites, or the grid that was placed, over the image",
        )
        self.verdict = text_label(
            "verdict", "whether the calibration can be relied upon, and why not"
        )
        self.notes = text_label("calibration_notes", "what else to know of the calibration")
        self.numbers = QWidget()
        self.numbers.setObjectName("calibration_numbers")
        self.load_button = button("Load…", "load", "use a calibration from a file", self._ask_load)
        self.save_button = button(
            "Save…",
            "save",
            "write the calibration to a file (YAML, arrays beside it)",
            self._ask_save,
        )
        self.forget_button = button("Forget", "forget", "use no calibration any more", self.forget)
        self._lay_out()

        self._choose(self.arrangement, remembered.get("arrangement"))
        self.sites_check.setChecked(remembered.get("sites") is True)
        self.pairs_check.setChecked(remembered.get("pairs") is True)
        self.camera.changed.connect(self._tell_notes)
        self.grid_controls.changed.connect(self._on_controls)
        self.grid_check.clicked.connect(self._on_grid_clicked)
        host.viewer.layers.events.removed.connect(self._on_layer_removed)
        self._tell()
        self.on_layer_changed(host.layer)

    @property
    def grid(self) -> LatticeGrid | None:
        """The grid over the host's layer; None where none was shown yet."""
        layer = self.host.layer
        return None if layer is None else self._grids.get(layer.unique_id)

    @property
    def fits(self) -> bool:
        """Whether there is a calibration for images of the size of the host's layer."""
        known = self.calibration
        return known is not None and known.image_shape == self._image_shape()

    def find(self) -> None:
        """Calibrate without a guess, in the background."""
        self._start(None)

    def refine(self) -> None:
        """Calibrate with the grid as it lies as the guess, in the background."""
        grid = self.grid
        if grid is not None and grid.lattice is not None:
            self._start(grid.lattice)

    def place_grid(self) -> None:
        """Put a grid with the numbers of the controls over the middle of the image."""
        shape = self._image_shape()
        if shape is None:
            return
        lattice = self.grid_controls.lattice(shape)
        known = self.calibration
        if known is not None and known.image_shape == shape:
            same = self.grid_controls.changed_lattice(known.lattice)
            if same is not None and np.array_equal(same.positions, known.lattice.positions):
                lattice = known.lattice
        self._show_grid(lattice, grab=True)
        self.host.say(
            "Drag the grid onto the atoms, turn and scale it by its handles; then press Refine."
        )

    def load(self, path: str | Path) -> None:
        """Use the calibration of a file."""
        try:
            calibration = load_calibration(path)
        except (OSError, ValueError) as error:
            self.host.complain(error)
            return
        words = f"Loaded {Path(path).name}."
        shape = self._image_shape()
        if shape is not None and shape != calibration.image_shape:
            there, here = (" × ".join(map(str, size)) for size in (calibration.image_shape, shape))
            words += f" It is for images of {there} pixels, this one has {here}."
        self.take(calibration, words)
        self._show_calibrated()

    def save(self, path: str | Path) -> None:
        """Write the calibration to a file."""
        if self.calibration is None:
            return
        path = Path(path)
        try:
            written = save_calibration(
                self.calibration, path if path.suffix else path.with_suffix(".yaml")
            )
        except (OSError, ValueError) as error:
            self.host.complain(error)
            return
        self.host.say(f"Saved {' and '.join(each.name for each in written)}.")

    def forget(self) -> None:
        """Use no calibration any more."""
        self.take(None, "No calibration.")

    def take(self, calibration: Calibration | None, words: str = "") -> None:
        """Use a calibration, wherever it is from, or none; and say so."""
        self.calibration = calibration
        if calibration is not None:
            self.camera.set_values(_camera_of(calibration))
        self._camera_then = self.camera.values()
        self._tell()
        grid = self.grid
        if calibration is not None and (grid is None or not grid.visible):
            self.grid_controls.show_lattice(calibration.lattice)
        self._enable()
        if words:
            self.host.say(words)
        self.calibration_changed.emit(calibration)

    def camera_given(self) -> dict[str, float | None]:
        """Return the camera's numbers; None for those that are as they were with the calibration.

        An analysis then takes that of the calibration, with all its digits.
        """
        then = {} if self.calibration is None else self._camera_then
        now = self.camera.values()
        return {name: None if then.get(name) == value else value for name, value in now.items()}

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self._running = running
        free = not running and self.host.layer is not None
        grid = self.grid
        self.find_button.setEnabled(free)
        self.place_button.setEnabled(free)
        self.refine_button.setEnabled(free and grid is not None and grid.visible)
        self.grid_check.setEnabled(self.host.layer is not None)
        self.load_button.setEnabled(not running)
        for each in (self.save_button, self.forget_button):
            each.setEnabled(not running and self.calibration is not None)

    def on_layer_changed(self, layer: Any = None) -> None:
        """Follow the host to another layer."""
        layer = self.host.layer
        self.pairs_check.setVisible(layer is not None and is_raw_layer(layer))
        grid = self.grid
        shape = self._image_shape()
        if grid is not None and grid.lattice is not None:
            self.grid_controls.show_lattice(grid.lattice)
        elif self.calibration is not None:
            self.grid_controls.show_lattice(self.calibration.lattice)
        elif shape is not None:
            self.grid_controls.suggest(shape)
        self._enable()

    def _start(self, guess: Lattice | None) -> None:
        host = self.host
        if host.busy or host.layer is None:
            return
        layer = host.layer
        try:
            stack = from_layer(layer)
        except ValueError as error:
            host.complain(error)
            return
        if self.frames.currentData() == THIS_FRAME:
            here = shown_frame(host.viewer, layer, stack)
            if here is None:
                host.complain(f"the slider is outside of the layer “{layer.name}”")
                return
            place = dict(zip(stack.dims[:-2], here, strict=True))
            stack = stack.isel({dim: at for dim, at in place.items() if dim != "frame"})
        options = {
            "arrangement": self.arrangement.currentData(),
            "pairs": self.pairs_check.isChecked(),
            "sites": self.sites_check.isChecked(),
        }
        memory.remember(MEMORY, options)
        options |= self.camera.values()
        if guess is not None:
            options["arrangement"] = "auto"  # the guess tells
            options["extent"] = "found"  # a grid laid by eye may have some rows more or less

        def work(*, progress: Any, cancel: Any) -> Calibration:
            report = stopping(progress, cancel)
            pictures = to_reconstruct(ReconstructLattice(pairs=options["pairs"]), stack)
            found = calibrate_lattice(pictures, guess=guess, progress=report, **options)
            report(1, 1)
            return found

        def done(found: Calibration) -> None:
            self.take(found, f"“{layer.name}”: {len(found.lattice)} sites, {verdict(found)}.")
            if host.layer == layer:
                self._show_calibrated()

        words = "Finding the sites" if guess is None else "Refining the grid"
        host.start(work, done, words=f"{words} in “{layer.name}” …")

    def _tell(self) -> None:
        """Say in words and numbers what the calibration is worth."""
        known = self.calibration
        self.verdict.setText("no calibration yet" if known is None else verdict(known))
        self._tell_notes()
        rows = self._numbers
        while rows.rowCount():
            rows.removeRow(0)
        for name, text in numbers(known) if known is not None else ():
            label, value = (
                QLabel(name),
                text_label(f"calibration_{name.replace(' ', '_').lower()}", ""),
            )
            value.setText(text.replace(", ", ",\n") if "±" in text else text)
            for each in (label, value):
                each.setToolTip(_TOOLTIPS.get(name, name))
            rows.addRow(label, value)
        self.numbers.setVisible(known is not None)

    def _tell_notes(self) -> None:
        known = self.calibration
        notes = list(known.quality.remarks) if known is not None and known.quality.trusted else []
        if known is not None and self.camera.values() != self._camera_then:
            notes.append("the camera was changed since: find the sites again")
        self.notes.setText("; ".join(notes))
        self.notes.setVisible(bool(notes))

    def _show_calibrated(self) -> bool:
        """Show the calibrated sites; tell whether there are any for images like these."""
        known = self.calibration
        if known is None or not self.fits:
            return False
        self._show_grid(known.lattice)
        return True

    def _show_grid(self, lattice: Lattice | None, *, grab: bool = False) -> None:
        layer = self.host.layer
        if layer is None:
            return
        grid = self._grids.get(layer.unique_id)
        if grid is None:
            grid = LatticeGrid(self.host.viewer, layer, self)
            grid.moved.connect(self.grid_controls.show_lattice)
            grid.toggled.connect(self._enable)
            grid.mended.connect(self.host.say)
            self._grids[layer.unique_id] = grid
        grid.show(lattice, grab=grab)
        if grid.lattice is not None:
            self.grid_controls.show_lattice(grid.lattice)
        self._enable()

    def _on_grid_clicked(self, checked: bool) -> None:
        grid = self.grid
        if not checked:
            if grid is not None:
                grid.hide()
            self._enable()
        elif self._show_calibrated():
            return
        elif grid is not None:
            self._show_grid(None, grab=True)
        else:
            self.place_grid()

    def _on_controls(self) -> None:
        """Let the grid follow the controls."""
        grid = self.grid
        if grid is None or not grid.visible or grid.lattice is None:
            return
        lattice = self.grid_controls.changed_lattice(grid.lattice)
        if lattice is not None:
            grid.show(lattice)

    def _on_layer_removed(self, event: Any) -> None:
        self._grids.pop(event.value.unique_id, None)  # it closes itself

    def _image_shape(self) -> tuple[int, int] | None:
        layer = self.host.layer
        if layer is None or layer.ndim < 2 or getattr(layer, "rgb", False):
            return None
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        return int(data.shape[-2]), int(data.shape[-1])

    def _enable(self, *_: Any) -> None:
        grid = self.grid
        self.grid_check.setChecked(grid is not None and grid.visible)
        self.set_running(self._running)

    def _choose(self, combo: Any, value: Any) -> None:
        combo.setCurrentIndex(max(combo.findData(value), 0))

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a calibration", "", FILTER)
        if path:
            self.load(path)

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save", "calibration.yaml", FILTER)
        if path:
            self.save(path)

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        head = row(_named("from", self.frames), self.frames)
        head.addWidget(_named("sites are", self.arrangement))
        head.addWidget(self.arrangement)
        rows.addLayout(head)
        rows.addWidget(self.camera)
        rows.addWidget(self.pairs_check)
        rows.addWidget(self.sites_check)
        rows.addWidget(self.find_button)
        rows.addWidget(_line())
        rows.addWidget(self.grid_controls)
        rows.addLayout(row(self.place_button, self.refine_button, self.grid_check))
        rows.addWidget(_line())
        rows.addWidget(self.verdict)
        rows.addWidget(self.notes)
        self._numbers = QFormLayout(self.numbers)
        self._numbers.setContentsMargins(0, 0, 0, 0)
        self._numbers.setVerticalSpacing(2)
        rows.addWidget(self.numbers)
        rows.addLayout(row(self.load_button, self.save_button, self.forget_button))


def _named(text: str, control: QWidget) -> QLabel:
    label = QLabel(text)
    label.setToolTip(control.toolTip())
    label.setBuddy(control)
    return label


def _camera_of(calibration: Calibration) -> dict[str, float]:
    """Return what a calibration tells of the camera; its read noise holds other noise, too."""
    found = {"offset": calibration.offset, "gain": calibration.gain}
    if calibration.parameters is not None:
        found["excess_noise"] = calibration.parameters.excess_noise
    return found


def _line() -> QFrame:
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    return line
