from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_coldatoms import photons
from napari_coldatoms.widgets.count_bars import bar_edges, binned, count_bars
from napari_coldatoms.widgets.count_plots import ControlsPlot, RunChart, SamplePlot
from napari_coldatoms.widgets.plots import plot_colors

MODEL = photons.PAPER_MODEL
SHARES = [0.3, 0.3, 0.4]


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    return photons.simulate_mixture(MODEL, SHARES, 1000, rng=2).counts


@pytest.fixture(scope="module")
def fit(counts):
    return photons.fit_atom_numbers(counts, MODEL)


@pytest.fixture
def plot(qtbot, counts, fit):
    made = SamplePlot("dark")
    qtbot.addWidget(made)
    made.resize(380, 360)
    made.show()
    made.show_sample(photons.histogram(counts), fit, photons.thresholds(MODEL))
    qtbot.wait(20)
    return made


def mouse(plot, kind, x, button=Qt.MouseButton.NoButton) -> None:
    view = plot.axes[0].getViewBox()
    place = QPointF(plot.mapFromScene(view.mapViewToScene(QPointF(x, 5))))
    there = QPointF(plot.viewport().mapToGlobal(place.toPoint()))
    event = QMouseEvent(kind, place, there, button, button, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(plot.viewport(), event)
    QTest.qWait(12)  # pyqtgraph passes over moves that follow each other at once


def click(plot, x) -> None:
    mouse(plot, QEvent.Type.MouseMove, x)
    mouse(plot, QEvent.Type.MouseButtonPress, x, Qt.MouseButton.LeftButton)
    mouse(plot, QEvent.Type.MouseButtonRelease, x, Qt.MouseButton.LeftButton)


def test_bars_of_single_counts_hold_all_shots(counts, fit) -> None:
    h = photons.histogram(counts)
    bars = count_bars(h, fit)
    assert bars.width == 1
    assert np.array_equal(bars.shots, h.occurrences)
    assert bars.expected == pytest.approx(fit.expected[: len(bars.shots)])
    assert bars.components.sum(axis=0) == pytest.approx(bars.expected)
    # what is expected beyond the largest count is not drawn
    assert bars.components.sum(axis=1) == pytest.approx(1000 * fit.probabilities, abs=1.5)
    assert bars.bar_of(17) == 17
    assert bars.counts_of(17) == (17, 17)
    assert bars.bar_of(-1) is None
    assert bars.bar_of(h.max_count + 1) is None


def test_residuals_are_those_of_the_chi2(counts, fit) -> None:
    bars = count_bars(photons.histogram(counts), fit)
    # the χ² of the fit adds the expectation beyond the last count to its last bin
    assert (bars.residuals**2).sum() == pytest.approx(fit.goodness.chi2, rel=0.01)
    assert len(bars.residual_edges) == len(bars.residuals) + 1


def test_wide_bars_keep_sums() -> None:
    rng = np.random.default_rng(1)
    h = photons.histogram(np.concatenate([rng.poisson(2000, 3000), rng.poisson(2600, 4000)]))
    bars = count_bars(h)
    assert bars.width == 5
    assert 60 <= len(bars.shots) <= 200
    assert bars.shots.sum() == 7000
    bar = bars.bar_of(2000)
    first, last = bars.counts_of(bar)
    assert first <= 2000 <= last
    assert bars.shots[bar] == h.occurrences[first : last + 1].sum()
    # all counts are far from 0
    assert bars.edges[0] > 1000


def test_edges_of_several_histograms() -> None:
    few, many = photons.histogram([0, 1, 2]), photons.histogram({50: 10, 90: 5})
    edges = bar_edges((few, many))
    assert (edges[0], edges[-1]) == (-0.5, 91.5)
    assert binned(np.arange(91), np.array([-0.5, 89.5, 99.5])).tolist() == [4005, 90]
    one = count_bars(photons.histogram([7]))
    assert one.shots.sum() == 1


def test_steps_and_residuals_of_events(counts) -> None:
    controls = photons.simulate_controls(MODEL, 2000, single_atom_loss=0.03, rng=1)
    fit = photons.fit_atom_numbers(counts, controls, single_atom_loss=0.03)
    bars = count_bars(photons.histogram(counts), fit)
    assert bars.stepped
    assert (bars.components >= 0).all()
    # within the bins of the fit nothing is compared
    assert set(bars.residual_edges[:-1] + 0.5) <= set(fit.bins.tolist())


def test_shots_that_were_left_out_are_in_no_residual() -> None:
    controls = [[0] * 50 + [1] * 50, [5] * 50 + [6] * 50]
    counts = [0] * 30 + [1] * 25 + [5] * 40 + [30]
    with pytest.warns(photons.FitWarning):
        fit = photons.fit_atom_numbers(counts, controls, rebin="none")
    bars = count_bars(photons.histogram(counts), fit)
    assert bars.shots[30] == 1
    assert np.abs(bars.residuals).max() < 6
    assert np.isfinite(bars.residuals).all()


def test_words_at_the_pointer(plot, counts, fit) -> None:
    n = np.arange(counts.max() + 1)
    posterior = photons.posterior(n, MODEL, fit.probabilities)
    plot.set_posterior(posterior)
    seen = []
    plot.plot.hovered.connect(seen.append)
    mouse(plot.plot, QEvent.Type.MouseMove, 17.2)
    assert seen[-1] == pytest.approx(17.2, abs=0.3)
    words = plot.readout.text()
    assert f"<b>17 counts</b>: {(counts == 17).sum()} shots" in words
    assert f"{100 * posterior[17, 1]:.1f}&nbsp;%" in words
    QApplication.sendEvent(plot.plot, QEvent(QEvent.Type.Leave))
    assert plot.readout.text() == ""
    posterior[17] = np.nan
    plot.set_posterior(posterior)
    assert "no atom number" in plot.words_at(17)
    with pytest.raises(ValueError, match="two dimensions"):
        plot.set_posterior(posterior[0])


def test_a_count_is_picked(plot, qtbot) -> None:
    with qtbot.waitSignal(plot.count_picked) as told:
        click(plot.plot, 24.1)
    assert told.args == [24]


def test_what_is_drawn_follows_sample_theme_and_scale(plot, counts, fit) -> None:
    drawn = plot.plot
    assert [line.value() + 0.5 for line in drawn._lines] == photons.thresholds(MODEL).cuts.tolist()
    assert drawn._parts[1].opts["pen"].color().name() == plot_colors("dark").of_atoms(1)
    plot.set_theme("light")
    assert drawn._parts[1].opts["pen"].color().name() == plot_colors("light").of_atoms(1)
    plot.set_log(True)
    assert drawn._data.yData.max() == pytest.approx(np.log10(np.bincount(counts).max()))
    assert plot.log_check.isChecked()
    plot.log_check.setChecked(False)
    assert drawn._data.yData.max() == np.bincount(counts).max()
    # a sample without a fit has no strip of residuals
    before = drawn.axes[0].getViewBox().height()
    plot.show_sample(photons.histogram(counts))
    QTest.qWait(20)
    assert drawn.axes[0].getViewBox().height() > before + 30
    assert not len(drawn._parts[0].xData)
    plot.show_sample(None)
    assert plot.bars is None
    assert plot.legend.text() == ""


def test_the_view_stays_for_the_same_sample(plot, counts, fit) -> None:
    view = plot.plot.axes[0].getViewBox()
    view.setXRange(10, 20, padding=0)
    plot.show_sample(photons.histogram(counts), fit)
    assert view.viewRange()[0] == pytest.approx([10, 20])
    plot.plot.show_all()
    assert view.viewRange()[0][1] > counts.max()


@pytest.fixture(scope="module")
def known():
    controls = photons.simulate_controls(MODEL, 2000, single_atom_loss=0.03, rng=1)
    return photons.fit_controls(controls, MODEL.exposure)


@pytest.fixture
def controls(qtbot, known):
    made = ControlsPlot("dark")
    qtbot.addWidget(made)
    made.show_controls(known.histograms, known)
    made.resize(made.sizeHint())
    made.show()
    qtbot.wait(20)
    return made


def test_controls_with_their_fits_one_below_another(controls, known) -> None:
    drawn = controls.plot
    assert len(drawn.axes) == 3
    for atoms, (control, h) in enumerate(zip(drawn.controls, known.histograms, strict=True)):
        assert control.shots.sum() == h.total
        assert control.expected.sum() == pytest.approx(h.total, rel=1e-3)
        # of each single atom the loss is independent of the others'
        lost = 0 if control.lost is None else control.lost.sum()
        share = 1 - (1 - known.single_atom_loss) ** atoms
        assert lost == pytest.approx(h.total * share, rel=1e-3)
        assert f"{h.total} shots, mean {h.mean:.3g}" in control.words
    assert drawn.axes[0].getViewBox().viewRange()[0] == drawn.axes[2].getViewBox().viewRange()[0]
    assert "fit" in controls.readout.text()


def test_numbers_of_all_controls_at_the_pointer(controls, known) -> None:
    mouse(controls.plot, QEvent.Type.MouseMove, 15.2)
    words = controls.readout.text()
    assert "15 counts" in words
    for atoms in (1, 2):
        assert f"{atoms}:&nbsp;{known.histograms[atoms].occurrences[15]}" in words
    assert controls.words_at(10_000) == ""


def test_a_control_that_is_missing_leaves_its_place(controls, known, qtbot) -> None:
    first, _, third = known.histograms
    controls.show_controls((first, None, third))
    assert controls.plot.controls[1] is None
    assert controls.readout.text() == ""
    assert not len(controls.plot._items[2][1].xData)
    controls.show_controls(known.histograms[:2], known)
    assert len(controls.plot.axes) == 2
    controls.set_theme("light")
    assert controls.plot._items[1][0].opts["pen"].color().name() == plot_colors("light").of_atoms(1)
    controls.show_controls(())
    assert controls.plot.axes == []
    controls.set_theme("dark")
    controls.show_controls(known.histograms, known)
    qtbot.wait(10)
    low, high = controls.plot.axes[0].getViewBox().viewRange()[0]
    assert low < 0
    assert high > max(h.max_count for h in known.histograms)


@pytest.fixture
def run_chart(qtbot):
    made = RunChart("dark")
    qtbot.addWidget(made)
    made.resize(380, 300)
    made.show()
    return made


def test_means_outside_the_limits(run_chart, qtbot) -> None:
    rng = np.random.default_rng(3)
    drifting = rng.poisson(15 * (1 + 0.15 * np.linspace(-1, 1, 3000)))
    groups = photons.check_counts(drifting).run_chart()
    run_chart.show_run(drifting, groups)
    qtbot.wait(10)
    outside = int(groups["outside"].sum())
    assert outside > 5
    assert len(run_chart.plot._bad.getData()[0]) == outside
    assert f"{outside} of 20 means" in run_chart.readout.text()
    # not more points than can be told apart
    assert run_chart.plot.drawn <= 2000
    mouse(run_chart.plot, QEvent.Type.MouseMove, 1222)
    words = run_chart.readout.text()
    assert "mean" in words
    assert run_chart.words_at(1222).startswith(f"shot <b>1222</b>: {drifting[1222]} counts")
    assert run_chart.words_at(3000) == ""
    run_chart.set_theme("light")
    assert run_chart.plot._bad.opts["brush"].color().name() == plot_colors("light").model


def test_counts_without_groups_or_without_order(run_chart, qtbot) -> None:
    run_chart.show_run([3, 4, 5])
    qtbot.wait(10)
    assert not run_chart.plot.axes[1].isVisible()
    low, high = run_chart.plot.axes[0].getViewBox().viewRange()[0]
    assert (low, high) == pytest.approx((-0.5, 2.5), abs=0.2)
    run_chart.show_run(None)
    assert "not known" in run_chart.readout.text()
    assert run_chart.plot.drawn == 0
