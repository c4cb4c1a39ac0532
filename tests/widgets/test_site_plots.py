from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_coldatoms.widgets.series_plot import SeriesPlot
from napari_coldatoms.widgets.series_values import (
    axis_of,
    parameters_of,
    points_of,
    quantities_of,
)
from napari_coldatoms.widgets.site_bins import count, limits, mode_curves, site_bins
from napari_coldatoms.widgets.site_plots import HistogramPlot


def mouse(plot, kind, x, y, buttons=Qt.MouseButton.LeftButton, modifiers=None) -> None:
    """Send a mouse event at a place of the plot, as Qt would."""
    view = plot.axes[0].getViewBox()
    place = QPointF(plot.mapFromScene(view.mapViewToScene(QPointF(x, y))))
    button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else Qt.MouseButton.LeftButton
    held = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else buttons
    none = Qt.KeyboardModifier.NoModifier
    there = QPointF(plot.viewport().mapToGlobal(place.toPoint()))
    event = QMouseEvent(kind, place, there, button, held, modifiers or none)
    QApplication.sendEvent(plot.viewport(), event)
    QTest.qWait(12)  # pyqtgraph passes over moves that follow each other at once


def drag(plot, begin, end, steps=6, modifiers=None) -> None:
    """Press at (x, y), move and release."""
    path = np.linspace(begin, end, steps)
    mouse(plot, QEvent.Type.MouseMove, *begin, Qt.MouseButton.NoButton)
    mouse(plot, QEvent.Type.MouseButtonPress, *begin, modifiers=modifiers)
    for x, y in path[1:]:
        mouse(plot, QEvent.Type.MouseMove, x, y, modifiers=modifiers)
    mouse(plot, QEvent.Type.MouseButtonRelease, *end, modifiers=modifiers)


def click(plot, x, y, modifiers=None) -> None:
    drag(plot, (x, y), (x, y), steps=1, modifiers=modifiers)


@pytest.fixture
def histogram(qtbot, site_image):
    plot = HistogramPlot("dark")
    qtbot.addWidget(plot)
    plot.resize(360, 180)
    plot.show()
    plot.show_image(site_image())
    qtbot.wait(20)
    return plot


def test_bins_hold_all_sites_and_are_those_of_the_parts(site_image) -> None:
    found = site_image().found
    edges = site_bins(found)
    assert np.allclose(np.diff(edges), edges[1] - edges[0])
    assert count(found.brightness, edges).sum() == found.valid.sum()
    first = np.arange(len(found.valid)) % 3 == 0
    parts = [count(found.brightness[part], edges) for part in (first, ~first)]
    assert np.array_equal(sum(parts), count(found.brightness, edges))
    # by the rule of Scott for 1498 sites: 3.49 * 60 / 1498**(1/3) = 18.3, rounded up to 20
    assert edges[1] - edges[0] == 20


def test_curves_are_as_large_as_the_bars(site_image) -> None:
    found = site_image((100, 100)).found
    edges = site_bins(found)
    every = np.ones(len(found.valid), dtype=bool)
    middle = (edges[1:] + edges[:-1]) / 2
    curve = mode_curves(found, every, edges[1] - edges[0], middle).sum(axis=0)
    bars = count(found.brightness, edges)
    some = curve > 10
    # the bars scatter around the curve as counts do
    assert np.mean((bars - curve)[some] ** 2 / curve[some]) == pytest.approx(1, abs=0.4)


def test_what_is_far_outside_belongs_to_the_last_bar(site_image) -> None:
    image = site_image()
    values = image.found.brightness
    values[10] = 1e6
    edges = site_bins(image.found)
    assert edges[-1] < 3000
    last = len(edges) - 2
    assert count(values, edges)[last] >= 1
    assert limits(last - 1, last, edges, values[3:]) == (edges[last - 1], np.inf)
    assert limits(0, 1, edges, values[3:]) == (edges[0], edges[2])


@pytest.mark.parametrize("values", [[5.0, 5.0, 5.0], [7.0], [0.0, 0.0], [np.nan, 3.0]])
def test_bins_of_few_values(site_image, values: list[float]) -> None:
    image = site_image((2, 3), contrast=False)
    image.found.brightness[:] = np.nan
    image.found.brightness[-len(values) :] = values
    edges = site_bins(image.found)
    assert count(np.array(values), edges).sum() == np.isfinite(values).sum()


def test_the_line_is_dragged(histogram, site_image, qtbot) -> None:
    moving, let_go = [], []
    histogram.threshold_moving.connect(moving.append)
    histogram.threshold_set.connect(let_go.append)
    drag(histogram, (histogram.threshold, 40), (700, 40), steps=30)
    qtbot.wait(60)
    assert let_go == [pytest.approx(700, abs=15)]
    # at most 30 a second, and none after it was let go
    assert 1 <= len(moving) < 20
    assert histogram.threshold == let_go[0]
    assert histogram.selected is None
    # judged again, it stays where it is, and so do the bars
    before = histogram.edges
    histogram.show_image(site_image().with_threshold(let_go[0]))
    assert histogram.threshold == let_go[0]
    assert histogram.edges is before


def test_bars_are_selected(histogram, site_image, qtbot) -> None:
    seen = []
    histogram.range_selected.connect(seen.append)
    click(histogram, 5, 3)
    assert seen[-1] == (0, 20)
    qtbot.wait(QApplication.doubleClickInterval() + 10)
    click(histogram, 45, 3, Qt.KeyboardModifier.ShiftModifier)
    assert seen[-1] == (0, 60)
    qtbot.keyClick(histogram, Qt.Key.Key_Escape)
    assert seen[-1] is None
    drag(histogram, (900, 30), (1050, 60))
    assert seen[-1] == pytest.approx((900, 1060), abs=20)
    top = histogram.axes[0].getViewBox().viewRange()[1][1]
    qtbot.wait(QApplication.doubleClickInterval() + 10)
    click(histogram, 1000, 0.98 * top)
    assert seen[-1] is None
    # the next image shows the same brightnesses
    click(histogram, 5, 3)
    histogram.show_image(site_image(seed=2))
    assert histogram.selected == seen[-1] == (0, 20)
    assert histogram.marked == 0


def test_bars_of_all_and_of_marked_sites(histogram, site_image) -> None:
    image = site_image()
    found = image.found

    def heights(bars) -> float:
        return float(np.sum(bars.opts["y1"]) - np.sum(bars.opts["y0"]))

    drawn = [heights(bars) for bars in histogram._bars]
    sure = ~image.uncertain
    assert drawn[0] == (found.valid & ~found.occupied & sure).sum()
    assert drawn[3] == (found.occupied & sure).sum()
    assert sum(drawn) == found.valid.sum()
    marked = np.zeros(len(found.valid), dtype=bool)
    marked[100:200] = True
    histogram.mark_sites(marked)
    assert heights(histogram._part) == 100
    histogram.show_image(image, chosen=~marked)
    assert sum(heights(bars) for bars in histogram._bars) == found.valid.sum() - 100
    histogram.set_log(True)
    histogram.set_theme("light")
    histogram.show_image(None)
    assert histogram.threshold is None


def test_without_contrast_there_are_no_decisions(histogram, site_image) -> None:
    image = site_image(contrast=False)
    histogram.show_image(image, judged=False)
    assert not histogram.has_curves
    assert np.sum(histogram._bars[0].opts["y1"]) == image.found.valid.sum()
    assert not len(histogram._bars[3].opts["y1"])


@pytest.fixture
def shots() -> pd.DataFrame:
    n = 12
    table = pd.DataFrame(
        {
            "shot": np.arange(n),
            "time": pd.Timestamp("2026-01-01") + pd.to_timedelta(30.0 * np.arange(n), unit="s"),
            "hold": np.repeat([1.0, 2.0, 5.0], 4),
            "constant": 1.0,
            "source": "file.h5",
            "sites": 100,
            "atoms": np.arange(40, 40 + n),
            "filling": np.arange(40, 40 + n) / 100,
            "offset_y": np.linspace(0, 1, n),
            "offset_x": np.linspace(1, 0, n),
            "offset_y_stderr": 0.02,
            "offset_x_stderr": 0.03,
            "trusted": np.arange(n) != 5,
            "snr_db": np.nan,
        }
    )
    table.attrs["units"] = {"offset_y": "px", "hold": "ms"}
    return table


def test_what_a_table_can_show(shots) -> None:
    assert [q.key for q in quantities_of(shots)] == ["drift", "filling", "atoms"]
    assert parameters_of(shots) == ["image", "time", "hold"]
    assert axis_of(shots, "hold")[1] == "hold (ms)"
    x, title = axis_of(shots, "time")
    assert (x[3], title) == (90, "time since the first (s)")
    drift, filling, _ = quantities_of(shots)
    y, _ = points_of(shots, drift)
    assert np.flatnonzero(~y.filled).tolist() == [5]
    assert y.high - y.value == pytest.approx(np.full(12, 0.02))
    (share,) = points_of(shots, filling)
    assert share.value[0] == pytest.approx(40)
    # Wilson's interval of 40 of 100 at one standard deviation
    assert (share.low[0], share.high[0]) == pytest.approx((35.2, 45.0), abs=0.1)


def test_two_images_have_one_survival() -> None:
    table = pd.DataFrame(
        {"shot": [0, 0, 1, 1], "image": [0, 1, 0, 1], "survival": [0.9] * 2 + [0.8] * 2}
    )
    table = table.assign(survival_low=table["survival"] - 0.1, survival_high=1.0)
    (quantity,) = quantities_of(table)
    (points,) = points_of(table, quantity)
    assert points.number.tolist() == [0, 2]
    assert parameters_of(table) == ["image", "shot"]


def test_a_point_is_clicked(qtbot, shots) -> None:
    series = SeriesPlot("dark")
    qtbot.addWidget(series)
    series.resize(360, 260)
    series.show_shots(shots)
    series.mark_image(3)
    series.show()
    qtbot.wait(50)
    seen = []
    series.image_selected.connect(seen.append)
    click(series.plot, 5, shots["offset_x"][5])
    click(series.plot, 1.5, 0.5)
    assert seen == [5]
    assert "hollow" in series.caption.text()
    series.parameter_combo.setCurrentText("hold")
    series.quantity_combo.setCurrentText("filling")
    assert "hollow" not in series.caption.text()
    assert series.plot.axes[0].getAxis("left").labelText == "filling (%)"
    # another table keeps what was chosen
    series.show_shots(shots.iloc[:4])
    assert series.quantity_combo.currentText() == "filling"
    series.set_theme("light")
    series.show_shots(pd.DataFrame())
    assert series.caption.text() == ""
