from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from qtpy.QtWidgets import QWidget

from napari_coldatoms import photons
from napari_coldatoms.widgets.exposure_plot import ticks
from napari_coldatoms.widgets.jobs import Cancelled
from napari_coldatoms.widgets.latest_job import LatestJob
from napari_coldatoms.widgets.planning import Plan
from napari_coldatoms.widgets.planning_panel import PlanningPanel
from napari_coldatoms.widgets.plots import plot_colors

MODEL = photons.PAPER_MODEL
SHARES = np.array([0.3, 0.3, 0.4])


@pytest.fixture(scope="module")
def known():
    controls = photons.simulate_controls(MODEL, 2000, single_atom_loss=0.03, rng=1)
    return photons.fit_controls(controls, MODEL.exposure)


@pytest.fixture
def panel(qtbot):
    made = PlanningPanel("dark")
    qtbot.addWidget(made)
    made.resize(380, 360)
    made.show()
    return made


@pytest.fixture
def planned(qtbot):
    def wait(panel) -> None:
        qtbot.waitUntil(lambda: not panel.busy, timeout=30_000)

    return wait


def shares_of(known) -> np.ndarray:
    totals = np.array([h.total for h in known.histograms])
    return totals / totals.sum()


def test_numbers_are_those_of_the_headless_functions(panel, planned, known) -> None:
    panel.set_state(known, SHARES, MODEL.exposure)
    assert "Computing" in panel.needed_label.text()
    planned(panel)
    options = {
        "control_shares": shares_of(known),
        "single_atom_loss": known.single_atom_loss,
    }
    wanted = photons.events_needed(known.model, SHARES, 0.01, control_ratio=1, **options)
    assert panel.needed == wanted
    assert f"{wanted:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") in panel.needed_label.text()
    best = photons.best_exposure(
        known.model, SHARES, events=10_000, control_events=10_000, **options
    )
    # the minimum is flat, the search stops at different places
    assert panel.curve.best_exposure == pytest.approx(best.exposure, rel=0.01)
    assert panel.curve.best_error == pytest.approx(100 * photons.mean_error(best.errors), rel=1e-4)
    # with as many shots as are needed, the error is the wanted one
    assert panel.curve.error / math.sqrt(panel.needed) == pytest.approx(0.01, rel=1e-3)


def test_error_atoms_and_controls_change_the_numbers(panel, planned, known) -> None:
    panel.set_state(known, SHARES)
    planned(panel)
    first, curve = panel.needed, panel.curve
    panel.error_number.setValue(0.5)
    planned(panel)
    assert panel.needed == pytest.approx(4 * first, abs=4)
    # the curve is scaled, and not computed again
    assert panel.curve is curve
    panel.error_number.setValue(1.0)
    panel.ratio_number.setValue(0)
    planned(panel)
    assert panel.needed < first
    assert "control shots" not in panel.needed_label.text()
    panel.atoms_choice.setCurrentIndex(panel.atoms_choice.findData("0"))
    planned(panel)
    assert panel.needed == photons.events_needed(
        known.model,
        SHARES,
        0.01,
        atoms=0,
        control_shares=shares_of(known),
        single_atom_loss=known.single_atom_loss,
    )


def test_without_a_fit_nothing_is_planned(panel, planned, known) -> None:
    panel.set_state(None)
    assert "Fit the controls first" in panel.needed_label.text()
    assert not panel.plot.isVisible()
    panel.set_state(known)
    planned(panel)
    assert "equally frequent" in panel.needed_label.text()
    assert panel.plot.isVisible()
    assert [panel.atoms_choice.itemText(i) for i in range(4)] == [
        "of all",
        "of 0 atoms",
        "of 1 atom",
        "of 2 atoms",
    ]
    panel.set_state(None)
    assert panel.needed is None
    assert panel.curve is None


@pytest.mark.parametrize("last", ["events_needed", "predicted_errors"])
def test_what_is_impossible_is_said(panel, planned, known, monkeypatch, last) -> None:
    def refuse_after(seconds: float):
        def refuse(*_: object, **__: object) -> None:
            time.sleep(seconds)
            raise ValueError("expected an error that can be reached, found 0.01")

        return refuse

    for name in ("events_needed", "predicted_errors"):
        refuse = refuse_after(0.2 * (name == last))
        monkeypatch.setattr(f"napari_coldatoms.widgets.planning.{name}", refuse)
    panel.set_state(known, SHARES)
    planned(panel)
    assert "No number of shots is enough" in panel.needed_label.text()
    assert "No exposure" in panel.exposure_label.text()


def test_nothing_is_computed_while_hidden(qtbot, planned, known) -> None:
    panel = PlanningPanel()
    qtbot.addWidget(panel)
    panel.set_state(known, SHARES)
    assert not panel.busy
    panel.show()
    assert panel.busy
    planned(panel)
    assert panel.needed is not None


def test_colours_andticks(panel, planned, known) -> None:
    panel.set_state(known, SHARES)
    planned(panel)
    panel.set_theme("light")
    assert panel.plot._line.opts["pen"].color().name() == plot_colors("light").data
    assert [text for _, text in ticks(math.log10(0.09), math.log10(2.1))] == [
        "0.1",
        "0.2",
        "0.5",
        "1",
        "2",
    ]


def test_a_plan_can_be_stopped(known) -> None:
    plan = Plan(known, SHARES, MODEL.exposure, 1.0, None)
    with pytest.raises(Cancelled):
        plan.by_exposure(lambda: True)


def test_at_the_border_other_exposures_may_be_better(known) -> None:
    # most pairs are lost long before the end
    curve = Plan(known, SHARES, 10 * MODEL.exposure, 1.0, None).by_exposure()
    assert curve.best_exposure < curve.exposure
    assert curve.best_error < curve.error
    bright = Plan(known, SHARES, MODEL.exposure / 200, 1.0, None).by_exposure()
    assert bright.at_border == "longer"


def test_only_the_latest_result_is_told(qtbot) -> None:
    owner = QWidget()
    qtbot.addWidget(owner)
    latest, told, go = LatestJob(owner), [], threading.Event()
    latest.done.connect(told.append)

    def slow(cancel):
        go.wait(5)
        return "cancelled" if cancel() else "slow"

    latest.request(slow)
    latest.request(lambda cancel: "second")
    latest.request(lambda cancel: "third")
    assert latest.running
    go.set()
    qtbot.waitUntil(lambda: not latest.running)
    assert told == ["third"]
