"""The fold "Result": probabilities, doubts in words, and tabs of plots and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHeaderView, QTabWidget, QVBoxLayout, QWidget

from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.analyses.counted_sites import SiteResult
from napari_coldatoms.photons.checks import CountChecks
from napari_coldatoms.widgets.base import button, row
from napari_coldatoms.widgets.control_plots import ControlsPlot
from napari_coldatoms.widgets.controls import choice, text_label
from napari_coldatoms.widgets.count_jobs import CountedRegions, Fitted
from napari_coldatoms.widgets.count_places import SAMPLE, CountEntry, Place, joined, title_of
from napari_coldatoms.widgets.count_plots import SamplePlot
from napari_coldatoms.widgets.count_words import cuts_words, doubts, verdict
from napari_coldatoms.widgets.planning_panel import PlanningPanel
from napari_coldatoms.widgets.probability_table import ProbabilityTable
from napari_coldatoms.widgets.run_chart import RunChart
from napari_coldatoms.widgets.shot_table import ShotTable
from napari_coldatoms.widgets.site_table import SiteTable
from napari_coldatoms.widgets.table import ResultTable

_CONTROLS = 4
_SITES_TAB = 4
_ALL, _COUNTS = "all", "counts "


class ResultPanel(QWidget):
    """Shows the counts there are, and what a fit made of them.

    Parameters
    ----------
    theme_id : str
        napari's theme, such as ``"dark"``.
    """

    place_asked = Signal(object, object)
    """A place, and the counts of sites that shall go there."""

    export_asked = Signal()
    """The table of sites shall be saved."""

    def __init__(self, theme_id: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("results")
        self._entries: Mapping[Place, CountEntry] = {}
        self._fitted: Fitted | None = None
        self._sites: CountedRegions | None = None
        self._running = False
        self.probabilities = ProbabilityTable(theme_id)
        self.verdict = text_label("verdict", "whether fit and controls describe the counts")
        self.sample = SamplePlot(theme_id)
        self.controls = ControlsPlot(theme_id)
        self.parameters = ResultTable()
        self.parameters.setObjectName("control_parameters")
        self.parameters.setToolTip(
            "what was fitted to the controls: rates of counts, losses during the exposure, and the "
            "loss of each single atom before it"
        )
        self.order = choice("order_of", "which counts are shown in their order", [])
        self.order_words = text_label("order_words", "what the order of the shots tells")
        self.chart = RunChart(theme_id)
        self.cuts = text_label("cuts", "the best thresholds of single shots")
        self.called = choice("called", "which shots are listed", [])
        self.shots = ShotTable()
        self.shots.setToolTip(
            "single shots: counts, the atom number by thresholds, and the probability of each atom "
            "number given the counts"
        )
        self.site_words = text_label("site_words", "doubts about the sites")
        self.sites = SiteTable()
        self.site_place = choice(
            "site_place",
            "where the counts of the selected site go; of all sites together if none is selected",
            [(title_of(SAMPLE), SAMPLE), *((title_of(i), str(i)) for i in range(_CONTROLS))],
        )
        self.site_button = button(
            "Take",
            "take_site",
            "take the counts of the selected site, or of all together, for a fit",
            self._take_sites,
        )
        self.site_export = button(
            "Export sites…",
            "export_sites",
            "save the table of sites (CSV, with every shot beside it, or JSON)",
            self.export_asked.emit,
        )
        self.planning = PlanningPanel(theme_id)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("result_tabs")
        self.tabs.setUsesScrollButtons(True)
        self._add("Sample", "the histogram of the sample with its fit", self.sample)
        self._add("Controls", "the controls with their fits", self.controls, self.parameters)
        self._add(
            "Order",
            "the counts in the order of the shots",
            self.order,
            self.chart,
            self.order_words,
        )
        self._add("Shots", "single shots", self.cuts, self.called, self.shots)
        self._add("Sites", "regions in pictures, each alone", self.sites, self.site_words)
        self._add("Plan", "how many shots are needed, and how long to expose", self.planning)
        page = self.tabs.widget(_SITES_TAB)
        assert page is not None
        page.layout().addLayout(row(self.site_place, self.site_button, self.site_export))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.probabilities)
        layout.addWidget(self.verdict)
        layout.addWidget(self.tabs, 1)
        self.order.currentIndexChanged.connect(self._show_order)
        self.called.currentIndexChanged.connect(self._show_shots)
        self.sample.count_picked.connect(self._on_picked)
        self.show_counts({})
        self._enable_sites()

    def show_counts(self, entries: Mapping[Place, CountEntry]) -> None:
        """Show counts that nothing was fitted to yet."""
        self._entries = dict(entries)
        self._fitted = None
        for step in self._steps():
            step()

    def fit_steps(self, fitted: Fitted) -> list[Callable[[], None]]:
        """Take what was fitted to the counts that were shown last; return the steps that show it.

        All at once they would hold up the window, if there are very many shots.
        """
        self._fitted = fitted
        return self._steps()

    def show_sites(self, found: CountedRegions) -> None:
        """Show regions in pictures, each judged by a threshold."""
        self._sites = found
        if found.sites is not None:
            self.sites.show_sites(found.sites.table())
        self.site_words.setText(doubts(found.remarks))
        self.tabs.setCurrentIndex(_SITES_TAB)
        self._enable_sites()

    @property
    def sites_found(self) -> SiteResult | None:
        """The sites that are shown."""
        return None if self._sites is None else self._sites.sites

    def set_running(self, running: bool) -> None:
        """Enable what can be used."""
        self._running = running
        self._enable_sites()

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        for each in (self.probabilities, self.sample, self.controls, self.chart, self.planning):
            each.set_theme(theme_id)

    def _add(self, title: str, tooltip: str, *parts: QWidget) -> None:
        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(2, 4, 2, 2)
        layout.setSpacing(4)
        for part in parts:
            layout.addWidget(part)
        at = self.tabs.addTab(page, title)
        self.tabs.setTabToolTip(at, tooltip)

    def _steps(self) -> list[Callable[[], None]]:
        return [
            self._show_sample,
            self._show_verdict,
            self._show_controls,
            self._fill_choices,
            self._show_order,
            self._show_shots,
            self._show_plan,
        ]

    @property
    def _result(self) -> CountResult | None:
        return None if self._fitted is None else self._fitted.result

    def _show_sample(self) -> None:
        sample, result = self._entries.get(SAMPLE), self._result
        histogram = None if sample is None else sample.histogram
        if self._fitted is None or result is None:
            self.sample.show_sample(histogram)
        else:
            self.sample.show_sample(histogram, result.fit, result.thresholds)
            self.sample.set_posterior(self._fitted.posterior)

    def _show_verdict(self) -> None:
        fitted, result = self._fitted, self._result
        if result is None:
            self.verdict.setText("" if fitted is None else doubts(fitted.known.remarks))
        else:
            remarks = [
                f"{title_of(place)}: {remark}"
                for place, entry in sorted(self._entries.items(), key=_sample_first)
                for remark in entry.remarks
            ]
            self.verdict.setText(verdict(result, remarks))
        self.verdict.setVisible(bool(self.verdict.text()))
        self.probabilities.show_table(None if result is None else result.table())
        self.probabilities.setVisible(result is not None)
        self.cuts.setText("" if result is None else cuts_words(result))

    def _show_plan(self) -> None:
        known, result = None if self._fitted is None else self._fitted.known, self._result
        self.planning.set_state(
            known,
            None if result is None else result.probabilities,
            None if known is None else known.model.exposure,
        )

    def _show_controls(self) -> None:
        known = None if self._fitted is None else self._fitted.known
        there = {n: each for n, each in self._entries.items() if isinstance(n, int)}
        histograms = [
            there[n].histogram if n in there else None for n in range(max(there, default=-1) + 1)
        ]
        self.controls.show_controls(histograms, known)
        table = pd.DataFrame()
        if known is not None:
            table = known.table().rename(columns={"error": "value_stderr"})
        self.parameters.set_table(table)
        if known is not None:
            header = self.parameters.horizontalHeader()
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.parameters.setVisible(known is not None)

    def _fill_choices(self) -> None:
        ordered = [
            (title_of(place), str(place))
            for place, each in sorted(self._entries.items(), key=_sample_first)
            if each.histogram.in_order is not None
        ]
        _fill(self.order, ordered)
        shots = None if self._fitted is None else self._fitted.shots
        kinds = [("all shots", _ALL)]
        if shots is not None:
            atoms = sum(str(name).startswith("posterior_") for name in shots.columns)
            kinds += [(f"shots called {title_of(n)}", str(n)) for n in range(atoms)]
        _fill(self.called, kinds)

    def _show_order(self, *_: object) -> None:
        chosen = self.order.currentData()
        place: Place | None = chosen if chosen in (None, SAMPLE) else int(chosen)
        entry = None if place is None else self._entries.get(place)
        checks = None if place is None else self._checks(place)
        groups = None
        if checks is not None and checks.groups is not None:
            groups = checks.run_chart()
        self.chart.show_run(None if entry is None else entry.histogram.in_order, groups)
        words = "" if checks is None else doubts(checks.remarks) or "No drift, no correlations."
        self.order_words.setText(words)

    def _checks(self, place: Place) -> CountChecks | None:
        result = self._result
        if result is None:
            return None
        return result.sample_check if isinstance(place, str) else result.control_checks[place]

    def _show_shots(self, *_: object) -> None:
        shots = None if self._fitted is None else self._fitted.shots
        chosen = self.called.currentData()
        if shots is None:
            self.shots.show_shots(pd.DataFrame())
        elif chosen in (None, _ALL):
            self.shots.show_shots(shots)
        elif chosen.startswith(_COUNTS):
            self.shots.show_shots(shots[shots["counts"] == int(chosen.removeprefix(_COUNTS))])
        else:
            self.shots.show_shots(shots[shots["called"] == int(chosen)])

    def _on_picked(self, n: int) -> None:
        """List the shots with the counts of a bar that was clicked."""
        if self._fitted is None or self._fitted.shots is None:
            return
        for at in reversed(range(self.called.count())):
            if str(self.called.itemData(at)).startswith(_COUNTS):
                self.called.removeItem(at)
        self.called.addItem(f"shots with {n} counts", f"{_COUNTS}{n}")
        self.called.setCurrentIndex(self.called.count() - 1)

    def _take_sites(self) -> None:
        found = self._sites
        if found is None:
            return
        chosen = self.sites.selected_row()
        entries = found.entries if chosen is None else [found.entries[chosen]]
        place = self.site_place.currentData()
        self.place_asked.emit(SAMPLE if place == SAMPLE else int(place), joined(entries))

    def _enable_sites(self) -> None:
        for each in (self.site_button, self.site_export):
            each.setEnabled(self._sites is not None and not self._running)


def _sample_first(item: tuple[Place, Any]) -> tuple[int, int]:
    return (0, 0) if isinstance(item[0], str) else (1, item[0])


def _fill(combo: QComboBox, options: list[tuple[str, str]]) -> None:
    """Offer other choices; that which was made stays where it can."""
    chosen = combo.currentData()
    combo.blockSignals(True)
    combo.clear()
    for text, value in options:
        combo.addItem(text, value)
    combo.setCurrentIndex(max(combo.findData(chosen), 0))
    combo.blockSignals(False)
