"""The dock widget "Detect clouds": choose a picture, press Run, read the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Shapes
from napari.utils.notifications import show_warning
from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QListWidget

from napari_coldatoms.analyses.detect_clouds import DetectClouds
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.backend.run import Run, frame_columns, leading_dims
from napari_coldatoms.images.stack import from_layer, is_raw
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import ImageWidget, button, row, shown_frame
from napari_coldatoms.widgets.cuts import Cut
from napari_coldatoms.widgets.detection import (
    Detected,
    beginning,
    cuts_of,
    detect_and_draw,
    summary,
)
from napari_coldatoms.widgets.export import FILTERS, export
from napari_coldatoms.widgets.form import ParameterForm
from napari_coldatoms.widgets.jobs import Job
from napari_coldatoms.widgets.pictures import draw_picture, picture_of, show_picture
from napari_coldatoms.widgets.plots import CutPlot
from napari_coldatoms.widgets.result_layers import remove, show, show_steps, shown
from napari_coldatoms.widgets.shape_selection import ShapeSelection
from napari_coldatoms.widgets.table import ResultTable

ANALYSIS = DetectClouds.name
ALL_FRAMES = "all frames"
THIS_FRAME = "this frame"
QUANTITIES = {
    "optical_depth": "optical depth",
    "fluorescence": "fluorescence (counts)",
    "counts": "counts",
}


class DetectCloudsWidget(ImageWidget):
    """Find the clouds in the pictures of a layer, and show boxes, ellipses, masks and numbers.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    # from a thread that waits for the network
    _restarted = Signal(str)

    def __init__(self, napari_viewer):  # type: ignore[no-untyped-def]
        super().__init__(
            napari_viewer,
            title="Detect clouds",
            layer_tooltip="the picture to search; of raw frames the picture is made first",
        )
        self.setObjectName("detect_clouds")
        self.result: Run | None = None
        """The last run, or None."""
        self._source: Any = None
        self._notice = ""

        self.scope = QComboBox()
        self.scope.setObjectName("scope")
        self.scope.addItems([ALL_FRAMES, THIS_FRAME])
        self.scope.setToolTip("search every frame of the layer, or only the one that is shown")
        self.head.addRow("search", self.scope)

        self.form = ParameterForm(DetectClouds, prefix="parameters")
        self.form.set_values(memory.recall(ANALYSIS))
        self.rows.addWidget(self.form)

        self.run_button = button("Run", "run", "find the clouds", self.run)
        self.cancel_button = button(
            "Cancel", "cancel", "stop; what was found until then is kept", self.cancel
        )
        self.cancel_button.setEnabled(False)
        self.defaults_button = button(
            "Defaults", "defaults", "set all parameters to their defaults", self.form.reset
        )
        self.rows.addLayout(row(self.run_button, self.cancel_button, self.defaults_button))
        self.rows.addWidget(self.progress)
        self.rows.addWidget(self.status)
        self.failures = QListWidget()
        self.failures.setObjectName("failures")
        self.failures.setToolTip("frames that could not be analysed, and why")
        self.failures.setMaximumHeight(70)
        self.failures.hide()
        self.rows.addWidget(self.failures)

        self.table = ResultTable()
        self.table.setObjectName("table")
        self.table.setToolTip(
            "one row per cloud, ± standard error; a click shows the cloud, Ctrl+C copies"
        )
        self.table.setMinimumHeight(110)
        self.table.row_selected.connect(self._on_row_selected)
        self.rows.addWidget(self.table, 1)

        self.model_check = self._check("show fitted model", "show_model", "the fitted Gaussians")
        self.residual_check = self._check(
            "show residual", "show_residual", "the picture less the fitted Gaussians"
        )
        self.rows.addLayout(row(self.model_check, self.residual_check))

        self.plot = CutPlot(napari_viewer.theme)
        self.plot.setObjectName("cuts")
        self.plot.setToolTip(
            "cuts through the selected cloud along its axes: dots are the picture, the line is the "
            "fit (dashed: only from the mask); Ctrl+wheel zooms"
        )
        self.plot.setMinimumHeight(150)
        self.rows.addWidget(self.plot, 1)
        self.export_button = button(
            "Export…", "export", "save the table (CSV, HDF5) or the recipe (YAML)", self.export
        )
        self.export_button.setEnabled(False)
        self.rows.addWidget(self.export_button)

        self._cut_job = Job(self)
        self._cut_job.succeeded.connect(self._on_cuts)
        self._cut_job.failed.connect(self.complain)
        self._restarted.connect(self._on_restarted)
        self.selection = ShapeSelection(self)
        self.selection.selected.connect(self.table.select)
        self.layer_combo.layer_changed.connect(self._on_layer_changed)
        napari_viewer.events.theme.connect(self._on_theme)
        self._on_layer_changed()

    def run(self) -> None:
        """Find the clouds in the chosen layer, in the background."""
        if self.busy or self.layer is None:
            return
        try:
            analysis = self.form.analysis()
            stack = from_layer(self.layer)
        except ValueError as error:
            self.complain(error)
            return
        memory.remember(ANALYSIS, self.form.values())
        if is_raw(stack):
            self._make_picture_first(stack)
            return
        frames = None
        if self.scope.currentText() == THIS_FRAME:
            here = shown_frame(self.viewer, self.layer, stack)
            if here is None:
                self.complain(f"the slider is outside of the layer “{self.layer.name}”")
                return
            frames = [here]
        source = self.layer
        with_models = self.model_check.isChecked() or self.residual_check.isChecked()

        def work(*, progress: Any, cancel: Any) -> Detected:
            return detect_and_draw(
                analysis,
                stack,
                frames,
                with_models,
                progress=progress,
                cancel=cancel,
                on_restart=self._restarted.emit,
            )

        def done(found: Detected) -> None:
            self._show(source, found)

        self.start(work, done, words=beginning(analysis, str(source.name)))

    def cancel(self) -> None:
        """Stop the run; what was found until then is kept."""
        self.job.cancel()

    def export(self) -> None:
        """Ask for a file and save the table or the recipe into it."""
        if self.result is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Export", "clouds.csv", FILTERS)
        if path:
            self.export_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Save the table (``.csv``, ``.h5``) or the recipe (``.yaml``) of the last run."""
        if self.result is None:
            return
        try:
            written = export(self.result, path)
        except (OSError, ValueError) as error:
            self.complain(error)
            return
        self.say(f"Saved {written[0]}.")

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self.run_button.setEnabled(not running and self.layer is not None)
        self.cancel_button.setEnabled(running)
        self.export_button.setEnabled(not running and self.result is not None)
        for check in (self.model_check, self.residual_check):
            check.setEnabled(not running)

    def _check(self, text: str, name: str, tooltip: str) -> QCheckBox:
        check = QCheckBox(text)
        check.setObjectName(name)
        check.setToolTip(f"{tooltip}, as an image layer")
        check.toggled.connect(self._on_models_toggled)
        return check

    def _make_picture_first(self, stack: Any) -> None:
        raw = self.layer
        picture = picture_of(self.viewer, raw)
        if picture is not None:
            self._notice = (
                f"“{raw.name}” holds raw frames: searched their picture “{picture.name}”."
            )
            self.layer_combo.select(picture)
            self.run()
            return

        def work(*, progress: Any, cancel: Any) -> LayerData:
            return draw_picture(MakePicture()(stack), str(raw.name))

        def done(made: LayerData) -> None:
            layer = show_picture(self.viewer, raw, made)
            self._notice = f"“{raw.name}” holds raw frames: made the picture “{layer.name}” first."
            self.layer_combo.select(layer)
            self.run()

        self.start(work, done, words=f"“{raw.name}” holds raw frames: making the picture …")

    def _show(self, source: Any, found: Detected) -> None:
        if source not in self.viewer.layers:
            self.say("Stopped: the layer was removed.")
            return
        self.result = found.run
        self._source = source
        # a single picture is always shot 0
        alone = [] if leading_dims(found.run.stack) else frame_columns(found.run.stack)
        self.table.set_table(found.run.table, hide=alone)
        self.plot.clear_cuts()
        # shapes that come and go are no choice of the user's
        self.selection.follow([], [])
        self._tell(found.run)
        self.one_by_one(
            [
                *show_steps(self.viewer, source, ANALYSIS, found.layers),
                self._follow_shapes,
                lambda: self._show_models(found.models),
                lambda: self._select_in_view(found.run),
            ]
        )

    def _follow_shapes(self) -> None:
        layers = shown(self.viewer, self._source, ANALYSIS, group="result")
        shapes = [layer for layer in layers if isinstance(layer, Shapes)]
        self.selection.follow(shapes, self._keys())

    def _tell(self, done: Run) -> None:
        failures = done.failures
        lines = [
            f"{', '.join(f'{n} {row[n]}' for n in frame_columns(done.stack))}: {row['error']}"
            for row in failures.to_dict("records")
        ]
        self.failures.clear()
        self.failures.addItems(lines)
        self.failures.setVisible(bool(lines))
        found = summary(len(done.table), len(done.frames), len(lines), done.cancelled)
        words = [f"“{self._source.name}”: {found}"]
        if self._notice:
            words.append(self._notice)
            self._notice = ""
        self.say(" ".join(words), "\n".join([*words, *lines[:20]]))
        if lines:
            self.notify(lines)

    def _show_models(self, models: list[LayerData]) -> None:
        if self._source is None:
            return
        for group, check in (("model", self.model_check), ("residual", self.residual_check)):
            wanted = [made for made in models if str(made[1]["name"]).endswith(group)]
            if not check.isChecked():
                remove(self.viewer, shown(self.viewer, self._source, ANALYSIS, group=group))
            elif wanted:
                show(self.viewer, self._source, ANALYSIS, wanted, group=group)

    def _on_models_toggled(self, checked: bool) -> None:
        result = self.result
        if result is None or self.busy or self._source not in self.viewer.layers:
            return
        if not checked:
            self._show_models([])
            return

        def work(*, progress: Any, cancel: Any) -> list[LayerData]:
            return result.analysis.model_layers(result)  # type: ignore[attr-defined]

        self.start(work, self._on_models, words=self.status.text())

    def _on_models(self, models: list[LayerData]) -> None:
        if self._source in self.viewer.layers:
            self._show_models(models)

    def _keys(self) -> list[str]:
        names = frame_columns(self.result.stack) if self.result is not None else []
        return [*names, "cloud"]

    def _index_of_row(self, number: int) -> tuple[int, ...]:
        assert self.result is not None
        names = [str(dim) for dim in leading_dims(self.result.stack)]
        values = self.result.table.iloc[number]
        return tuple(int(values[name]) for name in names)

    def _select_in_view(self, done: Run) -> None:
        """Select the first cloud of the frame that is shown; the slider stays where it is."""
        here = None
        if self._source == self.layer:
            here = shown_frame(self.viewer, self.layer, done.stack)
        if here is None:
            return
        for number in range(len(done.table)):
            if self._index_of_row(number) == here:
                self.table.select(number)
                return

    def _on_row_selected(self, number: int) -> None:
        result = self.result
        if result is None or self._source not in self.viewer.layers:
            return
        index = self._index_of_row(number)
        world = self._source.data_to_world((*index, 0, 0))
        first = self.viewer.dims.ndim - self._source.ndim
        for axis, value in enumerate(world[: len(index)]):
            self.viewer.dims.set_point(first + axis, value)
        self.selection.select(number, result.table)

        frame = next(f for f in result.good if f.index == index)
        cloud = frame.result[int(result.table.iloc[number]["cloud"]) - 1]

        def work(*, progress: Any, cancel: Any) -> tuple[Cut, Cut]:
            return cuts_of(result, index, cloud)

        self._cut_job.abandon()
        self._cut_job.start(work)

    def _on_cuts(self, cuts: tuple[Cut, Cut]) -> None:
        kind = self.result.stack.attrs.get("kind", "") if self.result is not None else ""
        self.plot.show_cuts(cuts, QUANTITIES.get(str(kind), str(kind)))

    def _on_layer_changed(self, layer: Any = None) -> None:
        self.set_running(self.busy)
        if self.layer is None:
            self.say("No image layer yet: drop a camera file into the window.")
        elif self.result is None and not self.busy:
            self.say("Press Run.")

    def _on_restarted(self, message: str) -> None:
        show_warning(f"{self.title}: {message}")

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):
            self.plot.set_theme(self.viewer.theme)
