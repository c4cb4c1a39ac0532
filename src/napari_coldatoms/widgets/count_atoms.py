"""The dock widget "Count atoms": counts of photons in, probabilities of atom numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QFormLayout, QScrollArea, QVBoxLayout, QWidget

from napari_coldatoms.analyses.count_atoms import CountAtoms
from napari_coldatoms.analyses.count_export import export
from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.analyses.counted_sites import SiteResult
from napari_coldatoms.backend.analysis import to_dict
from napari_coldatoms.photons.histogram import (
    Counts,
    CountsByAtomNumber,
    control_histograms,
    histogram,
)
from napari_coldatoms.widgets import memory
from napari_coldatoms.widgets.base import JobWidget, button, row
from napari_coldatoms.widgets.control_rows import local_files
from napari_coldatoms.widgets.controls import number
from napari_coldatoms.widgets.count_features import select_region, write_features
from napari_coldatoms.widgets.count_jobs import (
    CountedRegions,
    Fitted,
    compiled_first,
    fit,
    must_compile,
    warm_up,
)
from napari_coldatoms.widgets.count_places import SAMPLE, CountEntry
from napari_coldatoms.widgets.count_results import ResultPanel
from napari_coldatoms.widgets.count_source import CountSource
from napari_coldatoms.widgets.count_words import control_summary, summary
from napari_coldatoms.widgets.folds import fold
from napari_coldatoms.widgets.form import ParameterForm

ANALYSIS = CountAtoms.name
_MS = 1e3  # in a second
_LAID_OUT = (0, 100, 300)  # ms after which a fold that was opened may have its place
PLUGIN, TITLE = "napari-coldatoms", "Count atoms"
_REGIONS = f"{ANALYSIS}_regions"
FILTERS = (
    "Table as CSV (*.csv);;Everything as JSON (*.json);;Picture (*.png *.svg);;"
    "Recipe as YAML (*.yaml *.yml)"
)


SITE_FILTERS = "Table as CSV (*.csv);;Everything as JSON (*.json)"


def open_dock(viewer: Any) -> CountAtomsWidget:
    """Return the dock of a viewer's window; it is added where there is none yet."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, TITLE)
    dock.show()
    dock.raise_()
    found: CountAtomsWidget = widget
    return found


class CountAtomsWidget(JobWidget):
    """Tell how often there were 0, 1, 2, ... atoms from counts of photons.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
    """

    progress_of = "steps"

    def __init__(self, napari_viewer):  # type: ignore[no-untyped-def]
        super().__init__(napari_viewer, title=TITLE)
        self.setObjectName(ANALYSIS)
        self.setAcceptDrops(True)
        self.fitted: Fitted | None = None
        self._region_layer: Any = None

        # in ms: a form's number has too few digits for short exposures in s
        self.exposure = number(
            "exposure",
            "how long photons are counted in each shot (ms); rates are told per second, "
            "probabilities do not depend on it",
            1.0,
            1e-4,
            1e9,
            decimals=4,
            suffix=" ms",
            typed=True,
        )
        self.form = ParameterForm(CountAtoms, prefix="parameters", exclude=("exposure",))
        self.source = CountSource(
            self,
            level=lambda: self.analysis().level,
            known=lambda: None if self.fitted is None else self.fitted.known,
        )
        self._recall()
        self.source.regions.set_values(memory.recall(_REGIONS))
        self.run_button = button(
            "Run", "run", "fit the controls, then the sample, with intervals", self.run
        )
        self.cancel_button = button("Cancel", "cancel", "stop; nothing is changed", self.cancel)
        self.defaults_button = button(
            "Defaults", "defaults", "set all parameters to their defaults", self.reset
        )
        self.results = ResultPanel(napari_viewer.theme)
        self.export_button = button(
            "Export…",
            "export",
            "save the probabilities (CSV), everything (JSON), the picture (PNG, SVG) or the "
            "recipe (YAML)",
            self.export,
        )
        self._lay_out()

        self.form.changed.connect(self._on_parameters)
        self.exposure.valueChanged.connect(self._on_parameters)
        self.source.changed.connect(self._on_counts)
        self.source.counted.connect(self._on_counted)
        self.results.place_asked.connect(self._on_place_asked)
        self.results.export_asked.connect(self.export_sites)
        self.results.sites.site_selected.connect(self._on_site)
        napari_viewer.events.theme.connect(self._on_theme)
        self.set_running(False)
        self.say("Drop files of counts here, or count in pictures.")
        warm_up()

    @property
    def sites(self) -> SiteResult | None:
        """What was counted in pictures last, each region alone; or None."""
        return self.results.sites_found

    @property
    def result(self) -> CountResult | None:
        """What the last run found for the counts that are there; or None."""
        return None if self.fitted is None else self.fitted.result

    def open_files(self, paths: Iterable[Path]) -> None:
        """Read files of counts, and take them where they belong; what is open is asked for."""
        self.source.open_files(paths)

    def set_controls(self, controls: CountsByAtomNumber, source: str = "given") -> None:
        """Take counts of control shots, for 0, 1, 2, ... atoms or by atom number.

        Raises
        ------
        ValueError
            If counts are not usable or a control is missing.
        """
        found = control_histograms(controls)
        self.source.replace_controls(
            {number: CountEntry(each, source) for number, each in enumerate(found)}
        )

    def set_sample(self, counts: Counts, source: str = "given") -> None:
        """Take counts of shots with unknown atom numbers.

        Raises
        ------
        ValueError
            If counts are not usable.
        """
        self.source.put({SAMPLE: CountEntry(histogram(counts), source)})

    def run(self) -> None:
        """Fit controls and sample in the background."""
        if self.busy:
            return
        entries = self.source.entries
        try:
            analysis = self.analysis()
            if not any(isinstance(place, int) for place in entries):
                raise ValueError(
                    "expected counts of controls with 0 and 1 atoms at least, found none"
                )
        except ValueError as error:
            self.complain(error)
            return
        memory.remember(ANALYSIS, to_dict(analysis))

        def work(*, progress: Any, cancel: Any) -> Fitted:
            return fit(analysis, entries, progress=progress, cancel=cancel)

        def done(fitted: Fitted) -> None:
            if self.source.entries is entries:
                self._take(fitted)
            else:
                self.say("The counts have changed meanwhile: run again.")

        words = "Fitting …"
        if must_compile():
            words += " (compiling first, once after an installation: about a minute)"
        self.start_job(compiled_first(work), done, words=words)

    def analysis(self) -> CountAtoms:
        """Return the analysis as the controls say.

        Raises
        ------
        ValueError
            If the values do not go together.
        """
        made: CountAtoms = self.form.analysis(exposure=self.exposure.value() / _MS)
        return made

    def reset(self) -> None:
        """Set all parameters to their defaults."""
        self.form.reset()
        self.exposure.setValue(1.0)

    def cancel(self) -> None:
        """Stop what is done in the background; what was there stays."""
        self.job.cancel()

    def export(self) -> None:
        """Ask for a file and save the result into it."""
        if self.result is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Export", "atoms.csv", FILTERS)
        if path:
            self.export_to(Path(path))

    def export_sites(self) -> None:
        """Ask for a file and save the table of sites into it."""
        if self.sites is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Export sites", "sites.csv", SITE_FILTERS)
        if path:
            self.export_sites_to(Path(path))

    def export_to(self, path: Path) -> None:
        """Save the result, in the form that the name of the file tells."""
        self._save(self.result, path)

    def export_sites_to(self, path: Path) -> None:
        """Save the table of sites, in the form that the name of the file tells."""
        self._save(self.sites, path)

    def _save(self, result: CountResult | SiteResult | None, path: Path) -> None:
        if result is None or self.busy:
            return
        path = Path(path)
        path = path if path.suffix else path.with_suffix(".csv")

        def work(*, progress: Any, cancel: Any) -> list[Path]:
            return list(export(result, path))

        def done(written: list[Path]) -> None:
            self.say(f"Saved {', '.join(each.name for each in written)}.")

        self.start_job(work, done, words="Saving …")

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        there = any(isinstance(place, int) for place in self.source.entries)
        self.run_button.setEnabled(not running and there)
        self.cancel_button.setVisible(running)
        self.export_button.setEnabled(not running and self.result is not None)
        self.source.set_running(running)
        self.results.set_running(running)

    def dragEnterEvent(self, event: Any) -> None:
        """Take files."""
        if local_files(event):
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """Open the files."""
        paths = local_files(event)
        if paths:
            event.acceptProposedAction()
            self.open_files(paths)

    def _lay_out(self) -> None:
        self.folds = {"counts": fold("Counts", "counts_fold", self.source)}
        fitting = QWidget()
        rows = QVBoxLayout(fitting)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        first = QFormLayout()
        first.setContentsMargins(0, 0, 0, 0)
        first.addRow("exposure", self.exposure)
        rows.addLayout(first)
        rows.addWidget(self.form)
        rows.addLayout(row(self.run_button, self.defaults_button))
        self.folds["fit"] = fold("Fit", "fit_fold", fitting)
        reading = QWidget()
        rows = QVBoxLayout(reading)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.results)
        rows.addWidget(self.export_button)
        self.folds["result"] = fold("Result", "result_fold", reading)
        for each in self.folds.values():
            self.rows.addWidget(each)
        self.rows.addStretch(1)
        # seen whatever part of the dock is
        self.footer.addLayout(row(self.progress, self.cancel_button))
        self.footer.addWidget(self.status)
        for name in ("counts", "fit"):
            self.folds[name].expand(animate=False)

    def _recall(self) -> None:
        remembered = memory.recall(ANALYSIS)
        self.form.set_values(remembered)
        exposure = remembered.get("exposure")
        if isinstance(exposure, int | float) and math.isfinite(exposure):
            self.exposure.setValue(exposure * _MS)

    def _on_finished(self) -> None:
        super()._on_finished()
        if not self.busy:
            self.source.go_on()

    def _on_parameters(self, *_: object) -> None:
        """Say that what is shown was fitted with other parameters."""
        if self.fitted is not None and not self.busy:
            self.say("The parameters have changed: run again.")

    def _on_counts(self) -> None:
        """Show other counts; what was fitted is not of them."""
        if self.fitted is not None and not self.busy:
            self.say("The counts have changed: run again.")
        self.fitted = None
        self.results.show_counts(self.source.entries)
        if self.source.entries:
            self.folds["result"].expand(animate=False)
        self.set_running(self.busy)

    def _on_counted(self, layer: Any, found: CountedRegions) -> None:
        memory.remember(_REGIONS, self.source.regions.values())
        if found.sites is None:
            return
        self._region_layer = layer
        self.results.show_sites(found)
        self._show_result()
        if layer in self.viewer.layers:
            try:
                write_features(layer, found.sites.features(), found.counts.numbers)
            except ValueError as error:
                self.complain(error)

    def _on_site(self, row: int) -> None:
        """Select the region of a row of the table of sites."""
        sites, layer = self.sites, self._region_layer
        if sites is not None and layer in self.viewer.layers:
            select_region(layer, int(sites.site_counts.numbers[row]))

    def _on_place_asked(self, place: Any, entry: CountEntry) -> None:
        self.source.put({place: entry})

    def _take(self, fitted: Fitted) -> None:
        self.fitted = fitted
        self.one_by_one([*self.results.fit_steps(fitted), self._show_result])
        if fitted.result is None:
            self.say(control_summary(fitted.known), "\n".join(fitted.known.remarks))
        else:
            self.say(summary(fitted.result), "\n".join(fitted.result.remarks))

    def _show_result(self) -> None:
        self.folds["result"].expand(animate=False)
        for delay in _LAID_OUT:
            QTimer.singleShot(delay, self._scroll_to_result)

    def _scroll_to_result(self) -> None:
        area = self.findChild(QScrollArea, "scroll_area") if isalive(self) else None
        if area is not None:
            area.verticalScrollBar().setValue(self.folds["result"].y())

    def _on_theme(self, event: Any = None) -> None:
        if isalive(self):
            self.results.set_theme(self.viewer.theme)
