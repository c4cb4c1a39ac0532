"""A grid over an image, moved by its outline, in a real napari window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Points, Shapes
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.lattice import Lattice
from napari_coldatoms.widgets.base import is_source
from napari_coldatoms.widgets.lattice_grid import LatticeGrid, affine_map, outline

SITES = Lattice.triangular(6.0, (8, 10), origin=(25, 20), angle=0.1)
TURN = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """Return an empty napari window that draws nothing before it is shown."""
    return make_napari_viewer_proxy(show=False)


@pytest.fixture
def image(add):
    pictures = np.random.default_rng(3).normal(100, 10, (3, 80, 120))
    return add(make_stack(pictures, pixel_size=0.5, name="shots"), translate=(0, 7, -3))


@pytest.fixture
def grid(viewer, image, qapp):
    grid = LatticeGrid(viewer, image, qapp)
    yield grid
    if isalive(grid):
        grid.deleteLater()


def layers_of(viewer) -> tuple[Shapes, Points]:
    return viewer.layers["shots grid"], viewer.layers["shots grid sites"]


def settle() -> None:
    for _ in range(3):
        QApplication.processEvents()


def test_the_outline_of_a_lattice_holds_half_a_cell_around_its_sites() -> None:
    mask = np.zeros((8, 10), dtype=bool)
    mask[2:5, 3:9] = True
    part = Lattice(SITES.vectors, SITES.origin, (8, 10), mask=mask)
    shoulders = [(1.5, 2.5), (1.5, 8.5), (4.5, 8.5), (4.5, 2.5)]
    expected = [SITES.origin + np.array(at) @ SITES.vectors for at in shoulders]
    np.testing.assert_allclose(outline(part), expected)
    places = Lattice.from_positions([[10, 10], [10, 18], [20, 14.0]])
    low, high = outline(places)[[0, 2]]
    np.testing.assert_allclose(low + high, (30, 28))
    assert (low < 10).all()
    matrix, offset = affine_map(outline(part), outline(part) @ TURN.T + (3, 4))
    np.testing.assert_allclose(matrix, TURN)
    np.testing.assert_allclose(offset, (3, 4))


def test_the_grid_lies_on_the_image_and_is_found_again(viewer, image, grid) -> None:
    viewer.layers.selection.active = image
    grid.show(SITES)
    assert viewer.layers.selection.active == image
    shape, points = layers_of(viewer)
    for layer in (shape, points):
        assert layer.ndim == 2
        np.testing.assert_allclose(layer.scale, (0.5, 0.5))
        np.testing.assert_allclose(layer.translate, (7, -3))
        assert layer.units == image.units[1:]
        assert layer.axis_labels == ("y", "x")
        assert not is_source(layer)
    np.testing.assert_allclose(points.data, SITES.positions)
    assert shape.mode == "select"
    assert set(shape.selected_data) == {0}

    image.name, image.scale = "renamed", (1, 0.25, 0.25)
    other = LatticeGrid(viewer, image, grid)  # as of a widget that was opened again
    other.show(SITES.shift((1, 1)), grab=True)
    assert len(viewer.layers) == 3
    assert [layer.name for layer in viewer.layers] == [
        "renamed",
        "renamed grid sites",
        "renamed grid",
    ]
    assert viewer.layers.selection.active == shape
    np.testing.assert_allclose(points.data, SITES.positions + 1)
    np.testing.assert_allclose(points.scale, (0.25, 0.25))


def test_an_outline_turned_and_stretched_takes_the_lattice_along(viewer, grid) -> None:
    grid.show(SITES, grab=True)
    shape, points = layers_of(viewer)
    seen = []
    grid.moved.connect(seen.append)
    stretch = np.array([[1.05, 0.0], [0.0, 0.9]])
    for matrix in (TURN, stretch):
        before = grid.lattice.positions
        shape.data = [shape.data[0] @ matrix.T + (0.4, -2)]
        settle()
        np.testing.assert_allclose(grid.lattice.positions, before @ matrix.T + (0.4, -2))
        np.testing.assert_allclose(points.data, grid.lattice.positions)
    assert len(seen) == 2
    # a corner alone: a parallelogram as near to it as can be
    corners = shape.data[0].copy()
    corners[0] += (4.0, 0.0)
    shape.data = [corners]
    settle()
    now = shape.data[0]
    np.testing.assert_allclose(now[0] + now[2], now[1] + now[3])
    np.testing.assert_allclose(now, outline(grid.lattice))


def test_an_outline_that_is_spoiled_is_put_back(viewer, grid) -> None:
    grid.show(SITES)
    shape, points = layers_of(viewer)
    told = []
    grid.mended.connect(told.append)

    def add_corner() -> None:
        shape.data = [np.vstack([shape.data[0], [0.0, 0.0]])]

    def flatten() -> None:
        shape.data = [shape.data[0] * (1, 0)]

    def second() -> None:
        shape.add_rectangles([[(0, 0), (9, 9)]])

    def delete() -> None:
        shape.selected_data = {0}
        shape.remove_selected()

    for spoil in (add_corner, flatten, second, delete):
        spoil()
        settle()
        assert len(shape.data) == 1, spoil
        np.testing.assert_allclose(shape.data[0], outline(SITES))
        np.testing.assert_allclose(points.data, SITES.positions)
        assert set(shape.selected_data) == {0}
    assert len(told) == 4
    assert "four corners" in told[0]


def test_the_grid_is_turned_off_and_on(viewer, image, grid) -> None:
    seen = []
    grid.toggled.connect(seen.append)
    grid.show(SITES)
    shape, points = layers_of(viewer)
    grid.hide()
    assert not shape.visible
    assert not points.visible
    grid.show()
    assert shape.mode == "select"
    assert set(shape.selected_data) == {0}
    # the eyes in the list of layers do the same
    shape.visible = False
    assert grid.visible
    points.visible = False
    assert not grid.visible
    grid.show()
    assert seen == [True, False, True, True, False, True]

    # a layer that the user deletes is made again
    viewer.layers.remove(points)
    settle()
    assert not grid.visible
    assert not shape.visible
    assert seen[-1] is False
    grid.show()
    assert len(viewer.layers) == 3
    assert shape.visible
    np.testing.assert_allclose(layers_of(viewer)[1].data, SITES.positions)
    # without the image there is no grid
    viewer.layers.remove(image)
    settle()
    assert len(viewer.layers) == 0


def test_the_outline_of_a_removed_image_waits_for_the_next(viewer, image, grid) -> None:
    grid.show(SITES)
    shape, _ = layers_of(viewer)
    other = viewer.add_image(np.zeros((3, 50, 60)), name="other", scale=(1, 2, 2))
    viewer.layers.remove(image)
    settle()
    assert list(viewer.layers) == [shape, other]  # drivers crash where Shapes come and go
    assert not shape.visible
    assert len(shape.data) == 0
    small = Lattice.square(4.0, (5, 6), origin=(8.0, 9.0))
    another = LatticeGrid(viewer, other)
    another.show(small)
    assert len(viewer.layers) == 3
    assert shape.visible
    assert shape.name == "other grid"
    assert viewer.layers.index(shape) > viewer.layers.index(other)
    np.testing.assert_allclose(shape.scale, (2, 2))
    np.testing.assert_allclose(shape.data[0], outline(small))
    another.close()


def test_the_sites_follow_the_mouse(qtbot, viewer, grid) -> None:
    """A drag of the outline with real events: the sites go along before it ends."""
    viewer.window.show()
    grid.show(SITES, grab=True)
    shape, points = layers_of(viewer)
    viewer.reset_view()
    qtbot.wait(50)
    # the window's canvas: tests may look behind the public face of the viewer
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native
    middle = QPointF(canvas.width() / 2, canvas.height() / 2)
    step = QPointF(15, 10)
    zoom = viewer.scene.camera.zoom * 0.5  # canvas pixels per camera pixel

    def send(kind: QEvent.Type, at: QPointF, held: Qt.MouseButton) -> None:
        button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else held
        buttons = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseButtonRelease else held
        event = QMouseEvent(
            kind,
            at,
            QPointF(canvas.mapToGlobal(at.toPoint())),
            button,
            buttons,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, event)
        qtbot.wait(20)  # events in quick succession are left out

    left = Qt.MouseButton.LeftButton
    # "transform" moves the layer instead of its shape
    for mode in ("select", "transform"):
        shape.mode = mode
        before = grid.lattice
        send(QEvent.Type.MouseMove, middle, Qt.MouseButton.NoButton)
        send(QEvent.Type.MouseButtonPress, middle, left)
        for times in (1, 2, 3):
            send(QEvent.Type.MouseMove, middle + times * step, left)
            moved = times * np.array([step.y(), step.x()]) / zoom
            if times > 1 or mode == "select":  # one event late
                late = times if mode == "select" else times - 1
                expected = before.positions + moved * late / times
                np.testing.assert_allclose(points.data, expected, rtol=2e-3)
            assert grid.lattice is before
        send(QEvent.Type.MouseButtonRelease, middle + 3 * step, left)
        settle()
        np.testing.assert_allclose(grid.lattice.positions, before.positions + moved, rtol=1e-3)
        np.testing.assert_allclose(points.data, grid.lattice.positions)
        np.testing.assert_allclose(shape.data[0], outline(grid.lattice))
        np.testing.assert_array_equal(shape.affine.affine_matrix, np.eye(3))
