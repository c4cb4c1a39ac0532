"""The dock widget "Reconstruct lattice": calibrate by eye, judge every site, read the numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtWidgets import QCheckBox, QFileDialog, QListWidget, QVBoxLayout, QWidget

from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.analyses.site_layers import calibration_in, cells_layer
from napari_coldatoms.images.stack import from_layer
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.compiled import is_compiled
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import ImageWidget, button, row
from napari_coldatoms.widgets.calibrate_panel import CalibratePanel
from napari_coldatoms.widgets.controls import choice
from napari_coldatoms.widgets.export import FILTERS, export
from napari_coldatoms.widgets.folds import fold
from napari_coldatoms.widgets.form import ParameterForm
from napari_coldatoms.widgets.judged_layer import JudgedLayer, shot_shown
from napari_coldatoms.widgets.judged_view import JudgedView
from napari_coldatoms.widgets.readout import ReadoutPanel
from napari_coldatoms.widgets.reconstruction import (
    Reconstructed,
    compiled_first,
    failure_lines,
    prepared,
    reconstruct,
    summary,
    to_reconstruct,
)
from napari_coldatoms.widgets.region import RegionChooser
from napari_coldatoms.widgets.result_layers import remove, show_steps, shown
from napari_coldatoms.widgets.site_preview import SitePreview

ANALYSIS = ReconstructLattice.name
ALL_FRAMES, THIS_FRAME = "all frames", "this frame"
# the calibration fold asks for these
_ELSEWHERE = ("calibration", "arrangement", "pairs", "offset", "gain", "read_noise", "excess_noise")


class ReconstructLatticeWidget(ImageWidget):
    """Find the sites of a lattice or of tweezers, and judge which of them hold an atom.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    def __init__(self, napari_viewer):  # type: ignore[no-untyped-def]
        super().__init__(
            napari_viewer,
            title="Reconstruct lattice",
            layer_tooltip="the fluorescence pictures of a lattice or of tweezers, one or many",
        )
        self.setObjectName("reconstruct_lattice")

        self.calibrate = CalibratePanel(self)
        self.scope = choice(
            "scope",
            "judge every frame of the layer, or only the one that is shown",
            [(text, text) for text in (ALL_FRAMES, THIS_FRAME)],
        )
        self.form = ParameterForm(ReconstructLattice, prefix="parameters", exclude=_ELSEWHERE)
        self.form.set_values({**memory.recall(ANALYSIS), "threshold": None})
        self.run_button = button("Run", "run", "judge the sites", self.run)
        self.cancel_button = button(
            "Cancel", "cancel", "stop; shots that were judged until then are kept", self.cancel
        )
        self.defaults_button = button(
            "Defaults", "defaults", "set all parameters to their defaults", self.form.reset
        )
        self.preview_check = QCheckBox("live preview")
        self.preview_check.setObjectName("live_preview")
        self.preview_check.setToolTip(
            "judge the frame that is shown at once when a slider, a parameter or the calibration "
            "changes; needs a calibration"
        )
        self.failures = QListWidget()
        self.failures.setObjectName("failures")
        self.failures.setToolTip("shots that could not be judged, and why")
        self.failures.setMaximumHeight(70)
        self.failures.hide()
        self.readout = ReadoutPanel(napari_viewer.theme)
        self.region = RegionChooser(napari_viewer)
        self.export_button = button(
            "Export…",
            "export",
            "save the tables of sites and shots (CSV, HDF5) or the recipe (YAML), with the "
            "calibration beside it",
            self.export,
        )
        self._lay_out()

        self.judged = JudgedView(self, self.form, self.readout, self.region)
        self.judged.moved.connect(self._ask_preview)
        self.preview = SitePreview(self, self._analysis, self.judged.of)
        self.preview.made.connect(self._on_preview)
        self.calibrate.calibration_changed.connect(self._ask_preview)
        self.calibrate.camera.changed.connect(self._ask_preview)
        self.preview_check.toggled.connect(self._ask_preview)
        self.form.changed.connect(self._ask_preview)
        self.layer_combo.layer_changed.connect(self._on_layer_changed)
        napari_viewer.events.theme.connect(self._on_theme)
        napari_viewer.layers.events.removed.connect(self._forget)
        self._on_layer_changed()

    def start(
        self, function: Callable[..., Any], done: Callable[[Any], None], *, words: str
    ) -> None:
        """Call a function in the background, see `ImageWidget.start`; kernels are compiled first.

        Compiling holds the interpreter: in a thread it would freeze the window.
        """
        if not is_compiled():
            words += " (compiling first, once after an installation: about a minute)"
        super().start(compiled_first(function), done, words=words)

    def run(self) -> None:
        """Judge the sites in the chosen layer, in the background."""
        if self.busy or self.layer is None:
            return
        source, known = self.layer, self.calibrate.calibration
        try:
            stack = from_layer(source)
            analysis = self._analysis()
            pictures = to_reconstruct(analysis, stack)
        except ValueError as error:
            self.complain(error)
            return
        memory.remember(ANALYSIS, self.form.values())
        frames = None
        if self.scope.currentData() == THIS_FRAME:
            here = shot_shown(self.viewer, source, stack, analysis)
            if here is None:
                self.complain(f"the slider is outside of the layer “{source.name}”")
                return
            frames = [here[0]]

        def work(*, progress: Any, cancel: Any) -> Reconstructed:
            context = prepared(analysis, pictures, known, frames, progress=progress, cancel=cancel)
            return reconstruct(
                analysis, pictures, context, frames, progress=progress, cancel=cancel
            )

        def done(found: Reconstructed) -> None:
            self._take(JudgedLayer(source, stack), found)

        words = "Judging" if known is not None else "Finding and judging"
        self.preview.stop()
        self.start(work, done, words=f"{words} the sites of “{source.name}” …")

    def cancel(self) -> None:
        """Stop; shots that were judged until then are kept."""
        self.job.cancel()

    def export(self) -> None:
        """Ask for a file and save tables or recipe into it."""
        if self.result is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Export", "sites.csv", FILTERS)
        if path:
            self.export_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Save the tables (``.csv``, ``.h5``) or the recipe (``.yaml``) of the last run."""
        if self.result is None or self.busy:
            return
        result = self.result

        def work(*, progress: Any, cancel: Any) -> list[Path]:
            return export(result.run, path)

        def done(written: list[Path]) -> None:
            self.say(f"Saved {', '.join(each.name for each in written)}.")

        self.start(work, done, words="Saving …")

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self.run_button.setEnabled(not running and self.layer is not None)
        self.cancel_button.setVisible(running)
        self.export_button.setEnabled(not running and self.result is not None)
        self.calibrate.set_running(running)

    def _lay_out(self) -> None:
        self.folds = {"calibrate": fold("Calibrate", "calibrate_fold", self.calibrate)}
        reconstructing = QWidget()
        rows = QVBoxLayout(reconstructing)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addLayout(row(self.scope, self.preview_check))
        rows.addWidget(self.form)
        rows.addLayout(row(self.run_button, self.defaults_button))
        self.folds["reconstruct"] = fold("Reconstruct", "reconstruct_fold", reconstructing)
        reading = QWidget()
        rows = QVBoxLayout(reading)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.readout)
        rows.addWidget(self.region)
        rows.addWidget(self.export_button)
        self.folds["readout"] = fold("Read-out", "readout_fold", reading)
        self.rows.addWidget(self.folds["calibrate"])
        self.rows.addWidget(self.folds["reconstruct"])
        self.rows.addWidget(self.folds["readout"])
        self.rows.addStretch(1)
        # seen whatever part of the dock is
        self.footer.addLayout(row(self.progress, self.cancel_button))
        for each in (self.status, self.failures):
            self.footer.addWidget(each)
        for name in ("calibrate", "reconstruct"):
            self.folds[name].expand(animate=False)

    def _analysis(self) -> ReconstructLattice:
        """Return the analysis as the controls say, but for the threshold, which comes after it."""
        analysis: ReconstructLattice = self.form.analysis(
            **self.calibrate.camera_given(),
            arrangement=self.calibrate.arrangement.currentData(),
            pairs=self.calibrate.pairs_check.isChecked(),
            threshold=None,
        )
        return analysis

    @property
    def result(self) -> Reconstructed | None:
        """The last run of the chosen layer with its tables, judged as it is shown; or None."""
        return self.judged.result

    def _take(self, judged: JudgedLayer, found: Reconstructed) -> None:
        source = judged.source
        if source not in self.viewer.layers:
            self.say("Stopped: the layer was removed.")
            return
        if not found.run.frames:
            self.calibrate.take(found.calibration, "Cancelled before the first shot was judged.")
            return
        judged.automatic = found.run
        judged.take(found)
        self.judged.keep(judged)
        known, chosen = self.calibrate.calibration, source == self.layer
        if known is not found.calibration and (chosen or known is None):
            self.calibrate.take(found.calibration)
        self._tell(source, found)
        image, _ = judged.image(self.viewer)
        if chosen:
            self.judged.show_series()
            self.folds["readout"].expand(animate=False)
            if self.calibrate.grid is not None:
                self.calibrate.grid.hide()  # the sites stand there now
        steps = self.judged.sites.show_steps(source, found.run, image, chosen=chosen)
        steps.append(self.judged.show_image)
        if found.run.analysis.cells:  # type: ignore[attr-defined]
            layers = [cells_layer(found.run)]
            steps += show_steps(
                self.viewer,
                source,
                ANALYSIS,
                layers,
                group="cells",
                picture=str(found.run.stack.name),
            )
        else:
            remove(self.viewer, shown(self.viewer, source, ANALYSIS, group="cells"))
        self.one_by_one(steps)
        self.judged.judge_again()

    def _tell(self, source: Any, found: Reconstructed) -> None:
        lines = failure_lines(found.run)
        self.failures.clear()
        self.failures.addItems(lines)
        self.failures.setVisible(bool(lines))
        words = f"“{source.name}”: {summary(found)}"
        self.say(words, "\n".join([words, *lines[:20]]))
        if lines:
            self.notify(lines)

    def _ask_preview(self, *_: object) -> None:
        if self.preview_check.isChecked():
            self.preview.ask()

    def _on_preview(self, source: Any, stack: Any, found: Reconstructed) -> None:
        judged = self.judged.of(source) or JudgedLayer(source, stack)
        judged.preview = found
        self.judged.keep(judged)
        for line in failure_lines(found.run):
            self.say(f"Preview: {line}")
        self.folds["readout"].expand(animate=False)
        self.judged.show_image(make=True)

    def _on_data(self, event: Any) -> None:
        """Forget what was judged of a layer that has other data now."""
        if not isalive(self):
            return
        layer = event.source
        if self.job.running and self._job_layer == layer:
            self.job.abandon()
            self.say(f"Stopped: the data of “{layer.name}” have changed.")
        elif self.judged.of(layer) is not None:
            self.say(f"The data of “{layer.name}” have changed: run again.")
        self._forget_layer(layer)
        if self.layer == layer:
            self.calibrate.on_layer_changed(layer)
            self.preview.stop()
            self._ask_preview()

    def _forget(self, event: Any) -> None:
        if isalive(self):
            event.value.events.data.disconnect(self._on_data)
            self._forget_layer(event.value)

    def _forget_layer(self, layer: Any) -> None:
        if self.judged.forget(layer):
            self.set_running(self.busy)

    def _on_layer_changed(self, layer: Any = None) -> None:
        self.calibrate.on_layer_changed(self.layer)
        self.region.source = self.layer
        if self.layer is None:
            self.say("No image layer yet: drop a camera file into the window.")
        else:
            self.layer.events.data.connect(self._on_data)  # once, however often it is asked for
            if not self.calibrate.fits:
                self._recall_calibration()
        self.judged.turn()
        self.set_running(self.busy)
        self._ask_preview()

    def _recall_calibration(self) -> None:
        """Take up the calibration that travels with results of the layer, if there are any."""
        for made in shown(self.viewer, self.layer, ANALYSIS):
            found: Calibration | None = calibration_in(made.metadata)
            if found is not None:
                self.calibrate.take(found, f"The calibration of “{self.layer.name}” is used.")
                return
        if self.busy:
            return
        known = self.calibrate.calibration
        if known is not None and not self.layer.rgb:
            there = " × ".join(map(str, known.image_shape))
            self.say(
                f"The calibration is for images of {there} pixels, not for “{self.layer.name}”: "
                "find the sites there, or load another one."
            )
        elif known is None:
            self.say("Press “Find sites”, or place a grid on the atoms and press “Refine”.")

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):
            self.readout.set_theme(self.viewer.theme)
