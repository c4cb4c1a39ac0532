from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.widgets.cuts import principal_cuts
from napari_coldatoms.widgets.plots import CutPlot, plot_colors


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_lines_and_text_stand_out_of_the_background(theme: str) -> None:
    colors = plot_colors(theme)
    background = luminance(colors.background)
    for color in (colors.text, colors.data, colors.model):
        bright, dim = sorted([luminance(color), background], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 4, (theme, color)
    # bars are larger than lines; the least that WCAG 2 asks for graphics
    for color in (colors.atom, colors.empty, colors.marked):
        bright, dim = sorted([luminance(color), background], reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 3, (theme, color)


def test_the_plot_shows_data_and_model(qtbot) -> None:
    cloud = Gaussian2D(30, 30, 10.0, 5.0, 0.3, 1.0, 0.0)
    cuts = principal_cuts(cloud.image((60, 60)), cloud, centre=(30, 30), radii=(10, 5), theta=0.3)
    plot = CutPlot("dark")
    qtbot.addWidget(plot)
    plot.resize(400, 200)
    plot.show()
    qtbot.wait(50)
    empty = plot.grab().toImage()
    plot.show_cuts(cuts, "optical depth")
    qtbot.wait(50)
    assert plot.cuts == cuts
    assert plot.grab().toImage() != empty
    assert plot.ci.getItem(0, 0).getAxis("left").labelText == "optical depth"
    assert plot.ci.getItem(0, 1).getAxis("bottom").labelText == f"{cuts[1].title} (px)"
    plot.clear_cuts()
    assert plot.cuts == ()


def test_the_theme_can_change(qtbot) -> None:
    plot = CutPlot("dark")
    qtbot.addWidget(plot)
    dark = plot.colors
    plot.set_theme("light")
    assert plot.colors != dark
    assert np.mean(plot.backgroundBrush().color().getRgb()[:3]) > 127


def test_the_wheel_zooms_with_ctrl_only(qtbot) -> None:
    cloud = Gaussian2D(30, 30, 10.0, 5.0, 0.3, 1.0, 0.0)
    plot = CutPlot("dark")
    qtbot.addWidget(plot)
    plot.resize(400, 200)
    plot.show_cuts(
        principal_cuts(cloud.image((60, 60)), cloud, centre=(30, 30), radii=(10, 5), theta=0.3)
    )
    plot.show()
    qtbot.wait(50)
    view = plot.axes[0].getViewBox()
    place = QPointF(plot.mapFromScene(view.sceneBoundingRect().center()))

    def turn(key: Qt.KeyboardModifier) -> float:
        no_button, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
        there = QPointF(plot.viewport().mapToGlobal(place.toPoint()))
        event = QWheelEvent(place, there, QPoint(), QPoint(0, 120), no_button, key, phase, False)
        QApplication.sendEvent(plot.viewport(), event)
        low, high = view.viewRange()[0]
        return high - low

    before = view.viewRange()[0][1] - view.viewRange()[0][0]
    assert turn(Qt.KeyboardModifier.NoModifier) == before
    assert turn(Qt.KeyboardModifier.ControlModifier) < before
