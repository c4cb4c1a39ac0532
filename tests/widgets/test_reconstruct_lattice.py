"""The widget in a real napari window: calibrate, judge all shots, read the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from napari.layers import Labels, Points, Shapes
from qtpy.QtCore import Qt

from napari_coldatoms import lattice, samples
from napari_coldatoms.analyses import ReconstructLattice, load_calibration, save_calibration
from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.backend import run
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.images.stack import make_stack

PLUGIN = "napari-coldatoms"
SITES = lattice.Lattice.square(4.0, (22, 23), origin=(13.0, 14.0))
PSF = lattice.GaussianPSF(2.7)
DRIFT = np.array([(0.0, 0.1), (0.8, -0.3), (1.7, -0.7), (2.6, -1.1), (2.1, -1.4), (1.2, -1.0)])
SHOTS = len(DRIFT)


def image_of(sites, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return an image of sites, every second of which holds an atom."""
    return lattice.simulate(
        sites,
        PSF,
        image_shape=shape,
        occupancy=0.5,
        brightness=1000,
        brightness_sd=100,
        background=50,
        read_noise=2,
        rng=rng,
    ).image


def pictures(shots: int, *, seed: int = 0):
    """Return pictures of a drifting lattice, 0.25 um pixels, dims (shot, y, x)."""
    rng = np.random.default_rng(seed)
    images = [image_of(SITES.shift(DRIFT[k % len(DRIFT)]), (112, 116), rng) for k in range(shots)]
    return make_stack(
        np.rint(images).astype(np.uint16),
        name="shots",
        pixel_size=0.25,
        coords={"hold": np.arange(float(shots))},
        attrs={"kind": "fluorescence", "source": "/data/day"},
    )


@pytest.fixture(scope="module")
def stack():
    return pictures(SHOTS)


@pytest.fixture(scope="module")
def known(stack):
    return calibrate_lattice(stack, read_noise=2.0)


@pytest.fixture
def widget(viewer):
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Reconstruct lattice")
    return widget


@pytest.fixture
def judged(viewer, add, stack, known, widget, finished):
    """Return the widget with all shots judged, and the first one shown."""
    add(stack)
    viewer.dims.set_current_step(0, 0)
    widget.calibrate.camera.set_values({"read_noise": 2.0})
    widget.calibrate.take(known)
    widget.run()
    finished(widget)
    return widget


def layer_of(viewer, kind, name):
    return next(each for each in viewer.layers if isinstance(each, kind) and name in each.name)


def test_from_pictures_to_atoms_by_two_buttons(
    qtbot, viewer, add, stack, widget, finished, looked_at, tmp_path
) -> None:
    source = add(stack)
    qtbot.mouseClick(widget.calibrate.find_button, Qt.MouseButton.LeftButton)
    finished(widget)
    assert "trusted" in widget.calibrate.verdict.text()
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    finished(widget)

    # the same headless, by way of files
    save_calibration(widget.calibrate.calibration, tmp_path / "sites.yaml")
    headless = run(ReconstructLattice(calibration=tmp_path / "sites.yaml"), stack)
    pd.testing.assert_frame_equal(widget.result.run.table, headless.table)

    points, outline = (
        layer_of(viewer, Points, "shots sites"),
        layer_of(viewer, Shapes, "shots outline"),
    )
    for layer in (points, outline):
        assert layer.ndim == 2
        np.testing.assert_allclose(layer.scale, (0.25, 0.25))
        assert layer.units == source.units[-2:]
        assert layer.axis_labels == ("y", "x")
        assert layer.metadata["napari_coldatoms"]["recipe"]["analysis"] == "reconstruct_lattice"
    table = headless.table
    for shot in (0, 2, 5):
        viewer.dims.set_current_step(0, shot)
        here = table[table["shot"] == shot]
        qtbot.waitUntil(lambda here=here: np.allclose(points.data, here[["y", "x"]]))
        assert list(points.features.columns) == [
            *("i", "j", "brightness", "probability", "occupied", "uncertain")
        ]
        np.testing.assert_array_equal(points.features["occupied"], here["occupied"])
        assert ((points.face_color[:, 3] > 0) == here["occupied"]).all()
    assert widget.readout.values["atoms"].text().startswith(str(here["occupied"].sum()))
    looked_at(viewer, "lattice")
    layers = len(viewer.layers)
    widget.run()
    finished(widget)
    assert len(viewer.layers) == layers


def test_this_frame_alone_and_then_all(qtbot, viewer, judged, finished) -> None:
    everything = judged.result.run.table
    viewer.dims.set_current_step(0, 2)
    judged.scope.setCurrentText("this frame")
    judged.run()
    finished(judged)
    table = judged.result.run.table
    assert set(table["shot"]) == {2}
    here = everything[everything["shot"] == 2].reset_index(drop=True)
    np.testing.assert_array_equal(table["occupied"], here["occupied"])
    viewer.dims.set_current_step(0, 1)
    points = layer_of(viewer, Points, "sites")
    qtbot.waitUntil(lambda: len(points.data) == 0)


def test_a_threshold_by_hand_counts_in_all_shots_and_in_the_recipe(
    qtbot, viewer, judged, tmp_path, finished
) -> None:
    points = layer_of(viewer, Points, "sites")
    automatic = judged.result.run.table["occupied"].to_numpy()
    judged.readout.threshold_moving.emit(900.0)
    bright = judged.result.run.table["brightness"].to_numpy()
    here = bright[: len(SITES)]
    qtbot.waitUntil(lambda: points.features["occupied"].sum() == (here > 900).sum())
    assert (judged.result.run.table["occupied"] == automatic).all()  # not let go yet
    judged.readout.threshold_set.emit(900.0)
    qtbot.waitUntil(lambda: judged.result.threshold == 900)
    table = judged.result.run.table
    np.testing.assert_array_equal(table["occupied"], bright > 900)
    assert judged.form.values()["threshold"] == 900
    judged.export_to(tmp_path / "day.yaml")
    finished(judged)
    again = Recipe.load(tmp_path / "day.yaml").parameters
    assert again["threshold"] == 900
    assert load_calibration(again["calibration"]).lattice.shape == SITES.shape
    judged.readout.threshold_set.emit(None)
    qtbot.waitUntil(lambda: judged.result.threshold is None)
    assert (judged.result.run.table["occupied"] == automatic).all()


def test_bars_select_sites_and_sites_their_bars(qtbot, viewer, judged) -> None:
    points = layer_of(viewer, Points, "sites")
    judged.readout.brightness_selected.emit((900.0, 1100.0))
    bright = points.features["brightness"].to_numpy()
    wanted = set(np.flatnonzero((bright >= 900) & (bright < 1100)))
    assert set(points.selected_data) == wanted
    viewer.dims.set_current_step(0, 1)  # the range stays, the sites are others
    qtbot.waitUntil(lambda: not np.array_equal(points.features["brightness"], bright))
    bright = points.features["brightness"].to_numpy()
    assert set(points.selected_data) == set(np.flatnonzero((bright >= 900) & (bright < 1100)))
    judged.readout.brightness_selected.emit(None)
    assert not points.selected_data
    with qtbot.waitSignal(judged.judged.sites.selected) as told:
        points.selected_data = {3, 5}
    assert list(np.flatnonzero(told.args[0])) == [3, 5]


def test_a_click_into_the_series_moves_the_slider(qtbot, viewer, judged) -> None:
    judged.readout.image_selected.emit(3)
    assert viewer.dims.current_step[0] == 3
    assert judged.result.shots["offset_y"][3] > judged.result.shots["offset_y"][0] + 2


def test_a_painted_region_restricts_the_numbers(qtbot, viewer, judged, known) -> None:
    judged.region.paint_button.click()
    region = layer_of(viewer, Labels, "region")
    np.testing.assert_allclose(region.scale, (0.25, 0.25))
    painted = region.data.copy()
    painted[:56] = 1
    region.data = painted
    upper = known.lattice.positions[:, 0] < 55.5
    qtbot.waitUntil(lambda: judged.result.shots["sites"].iloc[0] == upper.sum())
    table = judged.result.run.table
    first = table[table["shot"] == 0]
    assert judged.result.shots["atoms"][0] == first["occupied"].to_numpy()[upper].sum()
    assert len(table) == SHOTS * len(SITES)  # the table has all sites
    judged.region.check.setChecked(False)
    qtbot.waitUntil(lambda: judged.result.shots["sites"].iloc[0] == len(SITES))


def test_cells_are_labels_whose_value_is_the_site(viewer, judged, known, finished) -> None:
    judged.form.set_values({"cells": True})
    judged.run()
    finished(judged)
    cells = layer_of(viewer, Labels, "cells")
    row, column = np.rint(known.lattice.positions[17]).astype(int)
    assert cells.data[row, column] == 18
    judged.form.set_values({"cells": False})
    judged.run()
    finished(judged)
    assert not [each for each in viewer.layers if "cells" in each.name]


def test_the_preview_follows_slider_and_parameters(
    qtbot, viewer, add, known, widget, finished
) -> None:
    add(pictures(3, seed=1))
    widget.calibrate.take(known)
    widget.preview_check.setChecked(True)
    qtbot.waitUntil(lambda: any("sites" in each.name for each in viewer.layers), timeout=20_000)
    points = layer_of(viewer, Points, "shots sites")
    assert widget.result is None
    before = points.data.copy()
    viewer.dims.set_current_step(0, 2)
    qtbot.waitUntil(
        lambda: len(points.data) and not np.array_equal(points.data, before), timeout=20_000
    )
    bright = points.features["brightness"].to_numpy()
    widget.form.set_values({"method": "global"})
    qtbot.waitUntil(
        lambda: not np.array_equal(points.features["brightness"], bright), timeout=20_000
    )


def test_the_calibration_is_taken_up_again_by_a_new_widget(viewer, judged) -> None:
    layer = layer_of(viewer, Points, "sites")
    found = layer.metadata["napari_coldatoms"]["calibration"]
    assert found["values"]["lattice"]["sites"] == len(SITES)
    _, other = viewer.window.add_plugin_dock_widget(PLUGIN, "Reconstruct lattice")
    other.calibrate.forget()
    other._on_layer_changed()
    assert other.calibrate.calibration is not None
    np.testing.assert_array_equal(
        other.calibrate.calibration.lattice.positions,
        judged.calibrate.calibration.lattice.positions,
    )


def test_tables_and_recipe_are_saved_with_the_calibration(judged, tmp_path, finished) -> None:
    judged.export_to(tmp_path / "day.csv")
    finished(judged)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"day.csv", "day.shots.csv", "day.recipe.yaml", "day.calibration.yaml"}
    assert len(pd.read_csv(tmp_path / "day.csv")) == SHOTS * len(SITES)
    assert len(pd.read_csv(tmp_path / "day.shots.csv")) == SHOTS
    assert "Saved day.csv" in judged.status.text()


def test_pairs_tell_survival(qtbot, viewer, widget, finished) -> None:
    viewer.open_sample(PLUGIN, "survival_pair")
    widget.scope.setCurrentText("this frame")
    truth = samples.survival_pair().attrs["truth"]
    origin, vectors = truth["origin_px"], truth["vectors_px"]
    guess = lattice.Lattice(vectors, origin, tuple(truth["shape"]))
    two = samples.survival_pair()[:1]
    widget.calibrate.take(calibrate_lattice(two, guess=guess, read_noise=2.0))
    widget.run()
    finished(widget)
    assert widget.result.comparison.survival.value == pytest.approx(0.95, abs=0.04)
    everywhere = widget.result.comparison.atoms
    widget.region.paint_button.click()
    region = layer_of(viewer, Labels, "region")
    half = region.data.copy()
    half[: half.shape[0] // 2] = 1
    region.data = half
    qtbot.waitUntil(lambda: widget.result.comparison.atoms < 0.7 * everywhere)
    widget.region.check.setChecked(False)
    points = layer_of(viewer, Points, "sites")
    atoms = points.features["occupied"].sum()
    viewer.dims.set_current_step(0, 1)  # the second image of the same shot
    qtbot.waitUntil(lambda: points.features["occupied"].sum() != atoms)


def test_what_cannot_be_judged_is_told_in_one_line(viewer, widget, finished, known) -> None:
    noise = np.random.default_rng(0).poisson(50, (3, 60, 60)).astype(np.uint16)
    viewer.add_image(noise, name="noise")
    widget.run()
    finished(widget)
    assert "expected images that show" in widget.status.text()
    widget.calibrate.take(known)
    widget.run()
    finished(widget)
    assert "expected images of 112 × 116 pixels as in the calibration" in widget.status.text()
    assert widget.result is None


def test_cancel_keeps_what_is_done(qtbot, viewer, add, known, widget, finished) -> None:
    add(pictures(40, seed=2))
    widget.calibrate.take(known)
    widget.run()
    qtbot.waitUntil(lambda: widget.progress.maximum() > 1, timeout=20_000)
    widget.cancel()
    finished(widget)
    assert "ancelled" in widget.status.text()


def test_a_closed_widget_and_a_removed_layer_stop_the_work(
    qtbot, viewer, add, known, widget, finished
) -> None:
    source = add(pictures(20, seed=3))
    widget.calibrate.take(known)
    widget.run()
    viewer.layers.remove(source)
    finished(widget)
    assert "removed" in widget.status.text()


def test_controls_have_names_and_tooltips(widget) -> None:
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox

    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox):
        for control in widget.findChildren(kind):
            if control.objectName().startswith("qt_"):
                continue
            assert control.toolTip(), control.objectName() or control
    for name in ("find_sites", "refine", "run", "cancel", "export", "live_preview", "scope"):
        assert widget.findChild(object, name) is not None or widget.findChildren(
            QAbstractButton, name
        )


def smaller(shots: int):
    """Return pictures of another lattice, in a smaller frame, and their calibration."""
    sites = lattice.Lattice.square(4.0, (15, 16), origin=(11.0, 12.0))
    rng = np.random.default_rng(5)
    images = [image_of(sites, (84, 88), rng) for _ in range(shots)]
    stack = make_stack(np.rint(images).astype(np.uint16), name="small")
    return stack, calibrate_lattice(stack, guess=sites, read_noise=2.0)


def test_each_layer_keeps_what_was_judged_of_it(qtbot, viewer, add, judged, finished) -> None:
    first, run = judged.layer, judged.result.run
    small, calibration = smaller(3)
    other = add(small)
    assert judged.layer == other
    assert judged.result is None
    assert not judged.export_button.isEnabled()
    assert "calibration is for images of 112 × 116 pixels" in judged.status.text()
    judged.calibrate.take(calibration)
    judged.run()
    finished(judged)
    one, two = layer_of(viewer, Points, "shots sites"), layer_of(viewer, Points, "small sites")
    for shot in (2, 1):  # both follow the slider
        viewer.dims.set_current_step(0, shot)
        here = run.table[run.table["shot"] == shot]
        np.testing.assert_array_equal(one.features["occupied"], here["occupied"])
        here = judged.result.run.table
        here = here[here["shot"] == shot]
        np.testing.assert_array_equal(two.features["occupied"], here["occupied"])
    one.selected_data = {1, 2}  # of the layer that is not chosen
    assert judged.readout.histogram.marked == 0
    judged.layer_combo.select(first)
    assert judged.result.run is run
    assert judged.calibrate.calibration.image_shape == (112, 116)
    qtbot.waitUntil(lambda: judged.readout.values["atoms"].text().endswith(str(len(SITES))))
    viewer.layers.remove(first)
    assert judged.result.run is not run


def test_other_data_of_a_layer_stop_its_run_and_are_judged_anew(
    qtbot, viewer, judged, finished
) -> None:
    source = judged.layer
    points = layer_of(viewer, Points, "sites")
    table = judged.result.run.table
    judged.run()
    source.data = source.data[::-1].copy()
    assert not judged.busy
    assert "have changed" in judged.status.text()
    assert judged.result is None
    assert len(points.data) == 0
    judged.preview_check.setChecked(True)
    last = table[table["shot"] == SHOTS - 1]
    qtbot.waitUntil(lambda: len(points.data) == len(last), timeout=20_000)
    np.testing.assert_array_equal(points.features["occupied"], last["occupied"])
    source.data = source.data[0]  # now without a slider
    qtbot.waitUntil(lambda: len(points.data) == len(last), timeout=20_000)


def test_a_renamed_image_keeps_its_layers(viewer, judged, finished) -> None:
    judged.run()
    judged.layer.name = "other"
    finished(judged)
    judged.run()
    finished(judged)
    assert {layer.name for layer in viewer.layers} == {"other", "other sites", "other outline"}


def test_the_view_in_3d_breaks_nothing(qtbot, viewer, judged, finished) -> None:
    outline = layer_of(viewer, Shapes, "outline")
    drift = judged.result.shots["offset_y"]
    before = outline.data[0][:, 0].mean()
    viewer.dims.ndisplay = 3
    viewer.dims.set_current_step(0, 3)
    judged.run()
    finished(judged)
    judged.calibrate.place_grid()
    assert viewer.dims.ndisplay == 2
    for shot in (3, 4):
        viewer.dims.set_current_step(0, shot)
        wanted = before + drift[shot] - drift[0]
        # the outline follows when the slider rests
        qtbot.waitUntil(lambda y=wanted: abs(outline.data[0][:, 0].mean() - y) < 0.02)


def test_cells_with_some_erased_stay_the_region(qtbot, viewer, judged, finished) -> None:
    judged.form.set_values({"cells": True})
    judged.run()
    finished(judged)
    cells = layer_of(viewer, Labels, "cells")
    judged.region.combo.select(cells)
    judged.region.check.setChecked(True)
    cells.brush_size = 40
    cells.paint((50, 50), 0)
    qtbot.waitUntil(lambda: judged.result.shots["sites"].iloc[0] < len(SITES))
    left = judged.result.shots["sites"].iloc[0]
    judged.run()
    finished(judged)
    assert judged.region.layer == cells
    qtbot.waitUntil(lambda: judged.result.shots["sites"].iloc[0] == left)


def test_the_panel_tells_that_the_camera_was_changed(judged) -> None:
    notes, camera = judged.calibrate.notes, judged.calibrate.camera
    assert "camera" not in notes.text()
    camera.set_values({"gain": 3.0})
    assert "the camera was changed since: find the sites again" in notes.text()
    camera.set_values({"gain": 1.0})
    assert "camera" not in notes.text()


def test_cancel_before_the_first_shot_keeps_the_run_before(
    qtbot, judged, finished, monkeypatch
) -> None:
    before = judged.result

    def cancelled(*args, frames, **kwargs):
        return real(*args, frames=[], **kwargs)

    from napari_coldatoms.widgets import reconstruction

    real = reconstruction.run
    monkeypatch.setattr(reconstruction, "run", cancelled)
    judged.run()
    finished(judged)
    assert judged.result is before
    assert "before the first shot" in judged.status.text()
