"""Calibration in a real napari window, with real images of small lattices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_coldatoms import samples
from napari_coldatoms.analyses import load_calibration
from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.lattice import GaussianPSF, Lattice, simulate
from napari_coldatoms.widgets.base import ImageWidget, button
from napari_coldatoms.widgets.calibrate_panel import CalibratePanel

SITES = Lattice.square(5.0, (16, 18), origin=(14, 16), angle=0.03)
SHAPE = (104, 118)


class Host(ImageWidget):
    """A dock widget with the panel alone."""

    def __init__(self, viewer):
        super().__init__(viewer, title="Test", layer_tooltip="images")
        self.panel = CalibratePanel(self)
        self.rows.addWidget(self.panel)
        self.cancel_button = button("Cancel", "cancel", "stop", self.job.cancel)
        for each in (self.cancel_button, self.progress, self.status):
            self.rows.addWidget(each)
        self.rows.addStretch(1)
        self.layer_combo.layer_changed.connect(self.panel.on_layer_changed)

    def set_running(self, running: bool) -> None:
        self.panel.set_running(running)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """Return an empty napari window that draws nothing before it is shown."""
    return make_napari_viewer_proxy(show=False)


@pytest.fixture
def finished(qtbot):
    """Return a function that waits until a widget is idle; kernels may be compiled meanwhile."""

    def wait(widget) -> None:
        qtbot.waitUntil(lambda: not widget.busy, timeout=200_000)

    return wait


@pytest.fixture
def host(viewer):
    host = Host(viewer)
    viewer.window.add_dock_widget(host, name="Test")
    return host


@pytest.fixture(scope="module")
def stack():
    pictures = [
        simulate(
            SITES.shift((0.1 * k, -0.05 * k)),
            GaussianPSF(2.5),
            image_shape=SHAPE,
            occupancy=0.5,
            brightness=1500.0,
            brightness_sd=150.0,
            background=20.0,
            read_noise=2.0,
            rng=k,
        ).image
        for k in (1, 2, 3)
    ]
    counts = np.rint(pictures).astype(np.int32)
    attrs = {"kind": "fluorescence", "source": "/data/day"}
    return make_stack(counts, name="day", pixel_size=0.1, attrs=attrs)


@pytest.fixture(scope="module")
def known(stack):
    """The same calibration without a window."""
    return calibrate_lattice(stack, read_noise=2.0)


def press(qtbot, widget) -> None:
    assert widget.isEnabled()
    qtbot.mouseClick(widget, Qt.MouseButton.LeftButton)


def settle() -> None:
    for _ in range(3):
        QApplication.processEvents()


def errors() -> list[str]:
    return [str(n.message) for n in notification_manager.records if str(n.severity) == "error"]


def disturbed(corners: np.ndarray, spacing: float) -> np.ndarray:
    """Return corners moved by 0.3 spacings, turned by 2° and larger by 3 %."""
    turn = np.radians(2)
    matrix = 1.03 * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = corners.mean(axis=0)
    return (corners - middle) @ matrix.T + middle + (0.3 * spacing, 0)


def apart(found: Lattice, truth: Lattice) -> float:
    """Return how far the sites of a truth are from the nearest ones found, at most (px)."""
    from scipy.spatial import KDTree

    return float(KDTree(found.positions).query(truth.positions)[0].max())


def test_sites_are_found_shown_and_refined_from_a_grid_that_was_moved(
    qtbot, viewer, host, add, stack, known, finished, looked_at
) -> None:
    viewer.window.show()
    viewer.window.resize(1366, 768)
    panel = host.panel
    assert not panel.find_button.isEnabled()
    image = add(stack, colormap="magma")
    panel.camera.set_values({"read_noise": 2.0})
    with qtbot.waitSignal(panel.calibration_changed, timeout=200_000) as found:
        press(qtbot, panel.find_button)
        assert not panel.find_button.isEnabled()
    finished(host)
    calibration = panel.calibration
    assert found.args == [calibration]
    assert calibration.source == "/data/day"
    assert len(calibration.lattice) == len(SITES)
    np.testing.assert_allclose(calibration.lattice.positions, known.lattice.positions)
    assert panel.verdict.text() == "✓ trusted"
    assert host.status.text() == "“day”: 288 sites, ✓ trusted."
    assert panel.findChild(type(panel.verdict), "calibration_sites").text() == "288 (lattice)"

    outline, sites = viewer.layers["day grid"], viewer.layers["day grid sites"]
    np.testing.assert_allclose(sites.data, known.lattice.positions)
    assert panel.grid_check.isChecked()
    assert panel.grid_controls.rows.value() * panel.grid_controls.columns.value() == 288
    # the image is still the one the mouse works on
    assert viewer.layers.selection.active == image
    outline.data = [disturbed(outline.data[0], 5.0)]
    settle()
    assert apart(panel.grid.lattice, SITES) > 2
    assert panel.grid_controls.spacing.value() == pytest.approx(5.15, abs=0.01)
    looked_at(viewer, "calibrate-moved")
    press(qtbot, panel.refine_button)
    finished(host)
    assert panel.calibration is not calibration
    assert apart(panel.calibration.lattice, calibration.lattice) < 0.02
    # the mean of the shots is at (0.2, -0.1); far from the middle the spacing's error counts
    assert apart(panel.calibration.lattice, SITES.shift((0.2, -0.1))) < 0.12
    np.testing.assert_allclose(sites.data, panel.calibration.lattice.positions)
    assert len(viewer.layers) == 3
    assert errors() == []


def test_a_grid_is_placed_and_follows_its_numbers(qtbot, viewer, host, add, stack) -> None:
    panel, controls = host.panel, host.panel.grid_controls
    add(stack)
    assert controls.rows.value() % 2 == 0
    assert not panel.refine_button.isEnabled()
    press(qtbot, panel.place_button)
    assert viewer.layers.selection.active == viewer.layers["day grid"]
    grid, sites = panel.grid, viewer.layers["day grid sites"]
    middle = (np.array(SHAPE) - 1) / 2
    np.testing.assert_allclose(sites.data.mean(axis=0), middle)
    assert panel.refine_button.isEnabled()
    controls.rows.setValue(7)
    controls.columns.setValue(9)
    controls.spacing.setValue(6.5)
    controls.angle.setValue(10)
    expected = Lattice.square(6.5, (7, 9), angle=np.radians(10))
    np.testing.assert_allclose(grid.lattice.vectors, expected.vectors)
    np.testing.assert_allclose(sites.data.mean(axis=0), middle)
    assert len(sites.data) == 63
    controls.kind.setCurrentText("triangular")
    controls.kind.activated.emit(1)
    expected = Lattice.triangular(6.5, (7, 9), angle=np.radians(10))
    np.testing.assert_allclose(grid.lattice.vectors, expected.vectors)
    # what the numbers do not say is kept
    outline = viewer.layers["day grid"]
    outline.data = [outline.data[0] * (1.0, 1.01)]
    settle()
    before = grid.lattice.vectors
    controls.rows.setValue(8)
    np.testing.assert_array_equal(grid.lattice.vectors, before)

    panel.grid_check.click()
    assert not grid.visible
    assert not panel.refine_button.isEnabled()
    panel.grid_check.click()
    np.testing.assert_array_equal(grid.lattice.vectors, before)
    assert panel.grid_check.isChecked()
    viewer.layers.remove(sites)
    settle()
    assert not panel.grid_check.isChecked()
    viewer.layers.remove("day")
    settle()
    assert panel.grid is None
    assert not panel.place_button.isEnabled()


def test_this_frame_alone(qtbot, viewer, host, add, stack, finished) -> None:
    panel = host.panel
    add(stack)
    panel.frames.setCurrentText("this frame")
    panel.camera.set_values({"read_noise": 2.0})
    viewer.dims.set_point(0, 2)
    press(qtbot, panel.find_button)
    finished(host)
    assert panel.calibration.quality.shots == 1
    assert apart(panel.calibration.lattice, SITES.shift((0.3, -0.15))) < 0.2
    assert "single shot" in panel.notes.text()
    viewer.dims.set_point(0, 2)
    viewer.add_image(np.zeros((20, 8, 8)))
    host.layer_combo.select(viewer.layers["day"])
    viewer.dims.set_point(0, 9)
    press(qtbot, panel.find_button)
    assert host.status.text() == "the slider is outside of the layer “day”"


def test_what_the_controls_say_goes_to_the_calibration(
    qtbot, viewer, host, add, known, finished, monkeypatch
) -> None:
    panel = host.panel
    asked = []

    def found(stack, **options):
        asked.append((stack, options))
        return known

    monkeypatch.setattr("napari_coldatoms.widgets.calibrate_panel.calibrate_lattice", found)
    pairs = samples.survival_pair()[:3]
    add(pairs)
    panel.camera.set_values({"offset": 100, "gain": 2, "read_noise": 1.5, "excess_noise": 2})
    panel.arrangement.setCurrentText("tweezers")
    panel.pairs_check.setChecked(True)
    panel.sites_check.setChecked(True)
    panel.frames.setCurrentText("this frame")
    # both frames of the shot that is shown: in the layer, frames come before shots
    viewer.dims.set_point([0, 1], [1, 2])
    panel.find()
    finished(host)
    stack, options = asked.pop()
    np.testing.assert_array_equal(stack, pairs[2])
    assert stack.dims == ("frame", "y", "x")
    options.pop("progress")
    camera = {"offset": 100, "gain": 2, "read_noise": 1.5, "excess_noise": 2}
    expected = {"arrangement": "positions", "pairs": True, "sites": True, **camera}
    assert options == {"guess": None, **expected}
    # a widget that is opened again has the same
    again = Host(viewer)
    assert again.panel.arrangement.currentText() == "tweezers"
    # a calibration tells of its camera, but for the read noise
    told = {"offset": 0, "gain": 1, "read_noise": 1.5, "excess_noise": 1}
    assert again.panel.camera.values() == panel.camera.values() == told
    assert panel.camera_given() == dict.fromkeys(told)
    panel.camera.set_values({"gain": 3})
    assert panel.camera_given() == {**dict.fromkeys(told), "gain": 3}
    again.close()

    panel.frames.setCurrentText("all frames")
    panel.place_grid()
    panel.refine()
    finished(host)
    stack, options = asked.pop()
    assert stack.shape == pairs.shape
    assert options["arrangement"] == "auto"
    assert options["guess"].is_regular


def test_cancel_keeps_the_calibration_before(
    qtbot, host, add, stack, known, finished, monkeypatch
) -> None:
    panel = host.panel
    add(stack)
    panel.take(known)

    def endless(*_, progress, **__):
        for done in range(10_000):
            qtbot.wait(5)
            progress(done, 10_000)

    monkeypatch.setattr("napari_coldatoms.widgets.calibrate_panel.calibrate_lattice", endless)
    press(qtbot, panel.find_button)
    qtbot.waitUntil(lambda: host.progress.value() > 1)
    press(qtbot, host.cancel_button)
    finished(host)
    assert host.status.text() == "Cancelled."
    assert panel.calibration is known
    assert errors() == []


def test_a_calibration_is_saved_loaded_and_forgotten(
    viewer, host, add, stack, known, tmp_path
) -> None:
    panel = host.panel
    changes = []
    panel.calibration_changed.connect(changes.append)
    add(stack)
    panel.take(known)
    assert len(viewer.layers) == 1
    panel.save(tmp_path / "sites")
    assert host.status.text() == "Saved sites.yaml and sites.npz."
    panel.forget()
    assert panel.calibration is None
    assert panel.verdict.text() == "no calibration yet"
    assert not panel.save_button.isEnabled()
    panel.load(tmp_path / "sites.yaml")
    np.testing.assert_array_equal(panel.calibration.lattice.positions, known.lattice.positions)
    np.testing.assert_array_equal(viewer.layers["day grid sites"].data, known.lattice.positions)
    assert changes == [known, None, panel.calibration]

    panel.save(tmp_path / "gone" / "sites.yaml")
    panel.load(tmp_path / "no.yaml")
    assert "no.yaml: expected a calibration, found" in host.status.text()
    assert len(errors()) == 2
    assert len(changes) == 3
    panel.take(replace(known, image_shape=(9, 9)))
    panel.save(tmp_path / "other.yaml")
    panel.load(tmp_path / "other.yaml")
    assert load_calibration(tmp_path / "other.yaml").image_shape == (9, 9)
    assert "for images of 9 × 9 pixels, this one has 104 × 118" in host.status.text()


def test_doubts_are_told_with_a_sign(host, known) -> None:
    doubtful = replace(known.quality, trusted=False, remarks=("few atoms", "too wide"))
    host.panel.take(replace(known, quality=doubtful))
    assert host.panel.verdict.text() == "! not trusted: few atoms; too wide"
    assert host.panel.notes.text() == ""


def test_what_cannot_be_calibrated_is_told_in_one_line(qtbot, viewer, host, add, finished) -> None:
    panel = host.panel
    flat = viewer.add_image(np.full((2, 60, 60), 7.0), name="flat")
    colour = viewer.add_image(np.zeros((30, 30, 3), np.uint8), rgb=True, name="colour")
    many = viewer.add_image(np.zeros((2, 2, 2, 30, 30)), name="five")
    raw = add(samples.single_cloud())
    for layer, words in (
        (flat, "expected images that show a lattice or single sites"),
        (colour, "expected one value per pixel"),
        (many, "expected the dimensions (y, x) or (shot, y, x)"),
        (raw, ""),
    ):
        viewer.layers.selection.active = layer
        assert host.layer == layer
        notification_manager.records.clear()
        press(qtbot, panel.find_button)
        finished(host)
        assert panel.calibration is None
        assert words in host.status.text()
        (told,) = errors()
        assert "\n" not in told


def test_frames_of_the_same_atoms_are_only_asked_of_raw_frames(host, add, stack) -> None:
    panel = host.panel
    add(stack)
    assert panel.pairs_check.isHidden()
    pairs = samples.survival_pair()[:2]
    add(pairs)
    assert not panel.pairs_check.isHidden()
    viewer = host.viewer
    viewer.layers.selection.active = viewer.layers["day"]
    assert panel.pairs_check.isHidden()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["lattice_image", "triangular_lattice", "tweezer_array", "drifting_lattice", "survival_pair"],
)
def test_every_sample_is_found_and_refined(
    qtbot, viewer, host, add, finished, looked_at, name
) -> None:
    viewer.window.show()
    viewer.window.resize(1366, 768)
    panel = host.panel
    image = add(getattr(samples, name)(), colormap="magma")
    panel.camera.set_values({"read_noise": 2.0})
    press(qtbot, panel.find_button)
    finished(host)
    first = panel.calibration
    assert panel.verdict.text() == "✓ trusted"
    looked_at(viewer, f"calibrate-{name}")
    outline = viewer.layers[f"{image.name} grid"]
    spacing = np.sqrt(first.lattice.site_area)
    outline.data = [disturbed(outline.data[0], spacing)]
    settle()
    press(qtbot, panel.refine_button)
    finished(host)
    assert panel.verdict.text() == "✓ trusted"
    np.testing.assert_array_equal(panel.calibration.lattice.labels, first.lattice.labels)
    difference = panel.calibration.lattice.positions - first.lattice.positions
    assert np.abs(difference).max() < 0.1
