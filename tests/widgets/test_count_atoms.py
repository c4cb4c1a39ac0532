"""The dock "Count atoms" in a real napari window: files or pictures in, atom numbers out."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari.layers import Points
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPoint, Qt, QTimer, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_coldatoms import photons
from napari_coldatoms.analyses.count_atoms import CountAtoms
from napari_coldatoms.analyses.counted_sites import count_sites
from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.photons.compiled import compile_elsewhere, is_compiled
from napari_coldatoms.widgets import count_jobs, memory
from napari_coldatoms.widgets.count_atoms import open_dock
from napari_coldatoms.widgets.count_places import SAMPLE, place_by_name

PLUGIN = "napari-coldatoms"
MODEL = photons.PAPER_MODEL
TRUTH = [0.3, 0.3, 0.4]
ANALYSIS = CountAtoms(exposure=1e-3, resamples=40)
CENTRES = np.array([[10.0, 8.0], [10.0, 19.0], [10.0, 30.0], [10.0, 41.0], [10.0, 52.0]])


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    if not is_compiled():
        compile_elsewhere()


@pytest.fixture(autouse=True)
def _found_compiled(_compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for kernels once, and not in each test."""
    monkeypatch.setattr(count_jobs, "is_compiled", lambda: True)


@pytest.fixture(scope="module")
def controls() -> tuple[np.ndarray, ...]:
    return photons.simulate_controls(MODEL, 1500, single_atom_loss=photons.PAPER_LOSS, rng=1)


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return photons.simulate_mixture(MODEL, TRUTH, 800, rng=2).counts


@pytest.fixture(scope="module")
def stack():
    """Return 120 pictures of five sites with known atoms."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:21, :60]
    atoms = rng.random((120, 5)) < 0.5
    image = np.full((120, 21, 60), 4.0)
    for site, (cy, cx) in enumerate(CENTRES):
        spot = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 1.2**2))
        image += (atoms[:, site] * 200.0)[:, None, None] * spot / spot.sum()
    found = make_stack(rng.poisson(image).astype(np.uint16), name="tweezers", pixel_size=0.5)
    found.attrs["truth"] = atoms
    return found


@pytest.fixture
def viewer(request, make_napari_viewer_proxy):
    """Return a window; one that draws only where the test asks for it."""
    return make_napari_viewer_proxy(show=getattr(request, "param", False))


@pytest.fixture
def widget(viewer):
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Count atoms")
    widget.exposure.setValue(1.0)  # ms
    widget.form.set_values({"resamples": 40})
    return widget


@pytest.fixture
def filled(widget, controls, sample):
    widget.set_controls(controls)
    widget.set_sample(sample)
    return widget


@pytest.fixture
def sites(add, viewer, stack):
    """Return the pictures as a layer, with points around the five sites."""
    source = add(stack)
    points = viewer.add_points(
        CENTRES, size=7, scale=source.scale[-2:], units=["um", "um"], name="sites"
    )
    return source, points


def written(path: Path, counts: np.ndarray) -> Path:
    np.savetxt(path, counts, fmt="%d", header="counts", comments="")
    return path


def drop(target, *paths: Path) -> None:
    """Drop files onto a widget."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPoint(5, 5).toPointF(),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    target.dropEvent(event)


def taken(target) -> bool:
    """Tell whether a file that is dragged over a part of the dock is taken by something."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile("/data/sample.csv")])
    event = QDragEnterEvent(
        QPoint(5, 5),
        Qt.DropAction.CopyAction,
        mime,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(target, event)
    return event.isAccepted()


def told() -> list[str]:
    return [record.message for record in notification_manager.records]


@pytest.mark.parametrize("viewer", [True], indirect=True)
def test_files_dropped_then_run_give_the_headless_numbers(
    qtbot, viewer, widget, controls, sample, tmp_path, finished, looked_at
) -> None:
    files = [written(tmp_path / f"atoms_{n}.csv", counts) for n, counts in enumerate(controls)]
    drop(widget, *files, written(tmp_path / "sample.csv", sample))
    finished(widget)
    rows = widget.source.rows.rows
    assert rows[1].shots.text() == str(len(controls[1]))
    assert rows[SAMPLE].shots.text() == "800"
    assert rows[2].mean.text() == f"{controls[2].mean():.3g}"
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)
    finished(widget)

    headless = ANALYSIS.count(sample, controls)
    pd.testing.assert_frame_equal(widget.result.table(), headless.table(), check_like=True)
    pd.testing.assert_frame_equal(widget.result.parameters(), headless.parameters())
    for share, text in zip(headless.probabilities, widget.status.text().split(","), strict=True):
        assert f"{100 * share:.1f} %" in text
    assert "χ²" in widget.results.verdict.text()
    assert len(widget.results.shots.table) == 800
    looked_at(viewer, "count_atoms")


def test_controls_and_sample_in_one_file(widget, controls, sample, tmp_path, finished) -> None:
    arrays = {f"atoms_{n}": counts for n, counts in enumerate(controls)}
    np.savez(tmp_path / "day.npz", sample=sample, **arrays)
    widget.open_files([tmp_path / "day.npz"])
    finished(widget)
    entries = widget.source.entries
    assert list(entries) == [0, 1, 2, SAMPLE]
    np.testing.assert_array_equal(entries[2].histogram.in_order, controls[2])
    widget.run()
    finished(widget)
    widget.export_to(tmp_path / "again.yaml")
    finished(widget)
    from napari_coldatoms.analyses.count_files import CountFiles
    from napari_coldatoms.backend.analysis import from_dict
    from napari_coldatoms.backend.recipe import Recipe

    recipe = Recipe.load(tmp_path / "again.yaml")
    again, _ = from_dict(CountFiles, recipe.parameters).count_file(recipe.source)
    np.testing.assert_array_equal(again.probabilities, widget.result.probabilities)
    np.testing.assert_array_equal(again.intervals.low, widget.result.intervals.low)


def test_a_file_dropped_on_a_row_goes_there(widget, controls, tmp_path, finished) -> None:
    drop(widget.source.rows.rows[1], written(tmp_path / "run7.csv", controls[1]))
    finished(widget)
    assert list(widget.source.entries) == [1]
    widget.source.rows.rows[1].clear_button.click()
    assert not widget.source.entries


def test_a_folder_is_dropped(widget, controls, sample, tmp_path, finished) -> None:
    for number, each in enumerate(controls):
        written(tmp_path / f"atoms_{number}.csv", each)
    written(tmp_path / "sample.csv", sample)
    (tmp_path / "notes.txt").write_text("no counts here\n")
    (tmp_path / "empty").mkdir()
    drop(widget, tmp_path, tmp_path / "empty")
    finished(widget)
    assert {
        place: len(each.histogram.in_order) for place, each in widget.source.entries.items()
    } == {
        **dict(enumerate(map(len, controls))),
        SAMPLE: len(sample),
    }
    assert any("empty: expected a file of counts, found a folder" in text for text in told())


def test_files_are_taken_wherever_they_are_dragged(widget) -> None:
    results = widget.results
    for target in (widget, widget.run_button, widget.source.rows.rows[0].title, results.tabs):
        assert taken(target)
    for target in (results.sample.plot, results.shots.viewport(), results.chart.plot):
        assert taken(target)


def test_what_a_file_leaves_open_is_asked(widget, sample, controls, tmp_path, finished) -> None:
    n, occurrences = np.unique(sample, return_counts=True)
    table = np.column_stack([n, occurrences])
    np.savetxt(tmp_path / "run9.csv", table, fmt="%d", delimiter=",")
    widget.open_files([tmp_path / "run9.csv", written(tmp_path / "run10.csv", controls[0])])
    finished(widget)
    question = widget.source.question
    assert not question.isHidden()
    assert "run9.csv" in question.words.text()
    assert not widget.source.entries
    question.layout_choice.setCurrentIndex(question.layout_choice.findData("counts"))
    question.layout_choice.activated.emit(question.layout_choice.currentIndex())
    finished(widget)
    question.layout_choice.setCurrentIndex(question.layout_choice.findData("histogram"))
    question.layout_choice.activated.emit(question.layout_choice.currentIndex())
    finished(widget)
    assert question.place_choice.currentData() == SAMPLE
    question.take_button.click()
    taken = widget.source.entries[SAMPLE]
    assert taken.histogram.total == 800
    assert taken.layout == "histogram"
    assert "run10.csv" in question.words.text()
    question.place_choice.setCurrentIndex(question.place_choice.findData("0"))
    question.take_button.click()
    assert widget.source.entries[0].histogram.total == len(controls[0])
    assert question.isHidden()


def test_names_tell_places() -> None:
    places = {
        "atoms_0": 0,
        "run12_control-2": 2,
        "1 atom, monday": 1,
        "two_atoms": 2,
        "dark": 0,
        "mixture_3": SAMPLE,
        "sample": SAMPLE,
        "run7": None,
        "examples": None,
    }
    assert {name: place_by_name(name) for name in places} == places


def test_errors_are_told_and_nothing_is_lost(filled, controls, tmp_path, finished) -> None:
    filled.run()
    finished(filled)
    before, entries = filled.result, dict(filled.source.entries)
    bad = tmp_path / "atoms_1.csv"
    bad.write_text("counts\n3\n-4\n")
    filled.open_files([bad, tmp_path / "missing.csv"])
    finished(filled)
    assert "-4" in filled.status.text()
    assert any("and 1 more" in text for text in told())
    assert filled.source.entries == entries
    assert filled.result is before
    filled.source.clear(1)
    filled.run()
    finished(filled)
    assert "expected controls for every atom number" in filled.status.text()
    filled.source.clear()
    assert not filled.run_button.isEnabled()
    filled.run()
    assert "expected counts of controls" in filled.status.text()


def test_cancel_keeps_what_was_there(qtbot, filled, finished, monkeypatch) -> None:
    filled.run()
    finished(filled)
    before = filled.result

    def slow(self, *args, progress, **kwargs):
        while True:
            time.sleep(0.01)
            progress(1, 10)

    monkeypatch.setattr(count_jobs.CountAtoms, "count", slow)
    filled.run()
    qtbot.waitUntil(lambda: filled.progress.maximum() == 10)
    qtbot.mouseClick(filled.cancel_button, Qt.MouseButton.LeftButton)
    finished(filled)
    assert "ancelled" in filled.status.text()
    assert filled.result is before


def test_counts_that_change_meanwhile_are_not_mixed_up(
    qtbot, filled, sample, finished, monkeypatch
) -> None:
    real, go = count_jobs.CountAtoms.count, threading.Event()

    def later(self, *args, **kwargs):
        go.wait(10)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(count_jobs.CountAtoms, "count", later)
    filled.run()
    filled.source.rows.rows[SAMPLE].clear_button.click()
    go.set()
    finished(filled)
    assert filled.result is None
    assert "changed meanwhile" in filled.status.text()


def test_controls_alone_are_fitted(widget, controls, finished) -> None:
    widget.set_controls(controls)
    widget.run()
    finished(widget)
    assert widget.result is None
    known = ANALYSIS.fit_controls(controls)
    assert widget.fitted.known.model.rates == known.model.rates
    assert len(widget.results.parameters.table) == len(known.table())


def test_other_counts_make_the_result_void(filled, sample, finished) -> None:
    filled.run()
    finished(filled)
    assert filled.export_button.isEnabled()
    filled.set_sample(sample[:300])
    assert filled.result is None
    assert not filled.export_button.isEnabled()
    assert filled.status.text() == "The counts have changed: run again."


def test_regions_become_a_table_and_features(viewer, widget, stack, sites, finished) -> None:
    source, points = sites
    points.features = pd.DataFrame({"name": list("abcde")})
    widget.source.regions.image_combo.select(source)
    widget.source.regions.region_combo.select(points)
    widget.source.count()
    finished(widget)
    headless = count_sites(photons.counts_from_stack(stack, points))
    pd.testing.assert_frame_equal(widget.sites.table(), headless.table())
    features = points.features
    assert list(features["name"]) == list("abcde")
    np.testing.assert_allclose(features["loading"], stack.attrs["truth"].mean(axis=0))
    assert features["fidelity"].min() > 0.99
    assert SAMPLE not in widget.source.entries

    widget.results.sites.select(3)
    assert points.selected_data == {3}
    widget.results.sites.clearSelection()
    widget.results.site_place.setCurrentIndex(1)  # 0 atoms
    widget.results.site_button.click()  # of all sites
    assert widget.source.entries[0].histogram.total == 5 * 120


def test_one_region_goes_to_the_sample_or_a_control(viewer, widget, stack, sites, finished) -> None:
    _, points = sites
    points.data = CENTRES[2:3]
    widget.source.count()
    finished(widget)
    counts = photons.counts_from_stack(stack, points).whole(0)
    np.testing.assert_array_equal(widget.source.entries[SAMPLE].histogram.in_order, counts)
    assert "tweezers" in widget.source.entries[SAMPLE].source
    regions = widget.source.regions
    regions.destination.setCurrentIndex(regions.destination.findData("1"))
    widget.source.count()
    finished(widget)
    np.testing.assert_array_equal(widget.source.entries[1].histogram.in_order, counts)


def test_options_of_regions_count(viewer, widget, stack, sites, finished) -> None:
    source, _ = sites
    labels = np.zeros(stack.shape[-2:], dtype=int)
    for number, (y, x) in zip((1, 2, 3, 4, 7), CENTRES.astype(int), strict=True):
        labels[y - 2 : y + 3, x - 2 : x + 3] = number
    layer = viewer.add_labels(labels, scale=source.scale[-2:], units=["um", "um"])
    regions = widget.source.regions
    assert regions.region_combo.layer == layer
    regions.set_values({"weights": "learn", "background": "ring"})
    regions.camera.set_values({"offset": 2.0, "gain": 0.5})
    regions.images.setValue(2)
    widget.source.count()
    finished(widget)
    expected = photons.counts_from_stack(
        stack,
        labels,
        weights="learn",
        background="ring",
        camera=photons.CameraGain(2.0, 2.0),
    )
    np.testing.assert_allclose(widget.sites.site_counts.counts, expected.counts)
    table = widget.sites.table()
    assert {"survival", "loading"} <= set(table.columns)
    assert set(layer.features["index"]) >= {1, 2, 3, 4, 7}
    kept = layer.features.set_index("index")["survival"]
    np.testing.assert_allclose(kept.loc[table["site"]], table["survival"])


def test_controls_give_the_thresholds_of_sites(widget, sites, finished) -> None:
    regions = widget.source.regions
    regions.thresholds.setCurrentIndex(1)
    widget.source.count()
    assert "run the fit first" in widget.status.text()
    rng = np.random.default_rng(6)
    widget.set_controls([rng.poisson(150, 500), rng.poisson(350, 500)])
    widget.run()
    finished(widget)
    widget.source.count()
    finished(widget)
    assert widget.sites.source == "model"
    known = photons.thresholds(widget.fitted.known)
    np.testing.assert_array_equal(widget.sites.threshold, np.full(5, known.cuts[0] - 0.5))


def test_doubts_about_the_camera_stay_with_the_counts(
    viewer, widget, sites, controls, finished
) -> None:
    _, points = sites
    points.data = CENTRES[:1]
    regions = widget.source.regions
    regions.camera.set_values({"excess_noise": 2.0})
    assert "excess noise 2" in regions.camera_words.text()
    widget.source.count()
    finished(widget)
    assert "electron multiplication" in widget.source.entries[SAMPLE].remarks[0]
    dark = np.random.default_rng(1).poisson(30, 400)
    widget.set_controls([dark, np.random.default_rng(2).poisson(200, 400)])
    widget.run()
    finished(widget)
    assert "sample: electron multiplication" in widget.results.verdict.text()


def test_raw_frames_are_pictures_one_after_the_other() -> None:
    frames = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    stack = make_stack(frames, roles=["atoms", "atoms", "dark"], pixel_size=0.5)
    pictures, images = count_jobs.pictures_of(stack)
    assert images == 2
    assert pictures.dims == ("shot", "y", "x")
    np.testing.assert_array_equal(pictures[1], frames[0, 1])
    np.testing.assert_array_equal(pictures[2], frames[1, 0])
    assert pictures["y"].values[1] == 0.5


def test_a_region_outside_and_a_removed_layer_are_told(
    qtbot, viewer, widget, sites, finished, monkeypatch
) -> None:
    source, points = sites
    points.data = np.vstack([CENTRES, [[500.0, 3.0]]])
    widget.source.count()
    finished(widget)
    assert "outside the image" in widget.status.text()
    points.data = CENTRES

    def slow(*args, cancel, **kwargs):
        while not cancel():
            time.sleep(0.01)

    monkeypatch.setattr("napari_coldatoms.widgets.count_source.count_regions", slow)
    widget.source.count()
    assert widget.busy
    viewer.layers.remove(source)
    finished(widget)
    assert "was removed" in widget.status.text()


def test_points_are_placed_over_the_image(viewer, widget, add, stack) -> None:
    source = add(stack)
    widget.source.regions.place_button.click()
    layer = viewer.layers[-1]
    assert isinstance(layer, Points)
    assert layer.mode == "add"
    np.testing.assert_allclose(layer.scale, source.scale[-2:])
    assert widget.source.regions.region_combo.layer == layer


def test_results_are_saved(filled, tmp_path, finished) -> None:
    filled.run()
    finished(filled)
    for name in ("atoms.csv", "atoms.json", "atoms.png", "atoms.svg"):
        filled.export_to(tmp_path / name)
        finished(filled)
        assert (tmp_path / name).stat().st_size > 100
    table = pd.read_csv(tmp_path / "atoms.csv", comment="#")
    np.testing.assert_allclose(table["probability"], filled.result.probabilities)
    values = json.loads((tmp_path / "atoms.json").read_text())
    assert values["parameters"]["resamples"] == 40
    filled.export_to(tmp_path / "atoms.doc")
    finished(filled)
    assert "expected a name ending in" in filled.status.text()


def test_a_bar_lists_its_shots_and_the_order_is_shown(filled, sample, finished) -> None:
    filled.run()
    finished(filled)
    filled.results.sample.count_picked.emit(15)
    table = filled.results.shots.table
    shown = filled.results.shots.model()
    assert [shown.headerData(i, Qt.Orientation.Horizontal) for i in range(6)] == [
        *("shot", "counts", "called", "P0 (%)", "P1 (%)", "P2 (%)")
    ]
    np.testing.assert_array_equal(table["shot"], np.flatnonzero(sample == 15))
    posterior = table.filter(like="posterior_")
    np.testing.assert_allclose(posterior.sum(axis=1), 1)
    order = filled.results.order
    assert [order.itemData(i) for i in range(order.count())] == [SAMPLE, "0", "1", "2"]
    order.setCurrentIndex(2)
    assert filled.results.order_words.text()


def test_the_theme_changes_the_plots(viewer, filled, finished) -> None:
    filled.run()
    finished(filled)
    before = filled.results.sample.plot.colors
    viewer.theme = "light"
    assert filled.results.sample.plot.colors != before
    assert filled.results.controls.plot.colors == filled.results.sample.plot.colors


def test_parameters_are_remembered(viewer, filled, finished) -> None:
    from napari_coldatoms.widgets.count_atoms import CountAtomsWidget

    filled.exposure.setValue(0.25)
    filled.form.set_values({"resamples": 33, "basis": "events"})
    filled.run()
    finished(filled)
    other = CountAtomsWidget(viewer)
    viewer.window.add_dock_widget(other, name="another")
    assert other.exposure.value() == pytest.approx(0.25)
    assert other.form.values()["resamples"] == 33
    assert other.form.values()["basis"] == "events"


def test_what_was_remembered_wrong_is_passed_over(viewer) -> None:
    from napari_coldatoms.widgets.count_atoms import CountAtomsWidget

    wrong = {"exposure": math.nan, "resamples": "many", "basis": "other", "level": 7, "new": 1}
    memory.remember(CountAtoms.name, wrong)
    widget = CountAtomsWidget(viewer)
    viewer.window.add_dock_widget(widget, name="another")
    assert widget.analysis() == CountAtoms(exposure=1e-3)


def test_the_dock_is_opened_once(viewer) -> None:
    first = open_dock(viewer)
    assert open_dock(viewer) is first


def test_the_window_is_never_held_up(qtbot, widget, controls, tmp_path, finished) -> None:
    """A million counts: read, fitted and shown, the event loop never waits above 0.1 s."""
    large = MODEL.sample(np.random.default_rng(4).integers(0, 3, 1_000_000), rng=5)
    np.save(tmp_path / "sample.npy", large)
    widget.set_controls(controls)
    last, pauses = time.perf_counter(), []

    def tick() -> None:
        nonlocal last
        now = time.perf_counter()
        pauses.append(now - last)
        last = now

    timer = QTimer()
    timer.timeout.connect(tick)
    timer.start(1)
    widget.open_files([tmp_path / "sample.npy"])
    finished(widget)
    widget.run()
    finished(widget)
    qtbot.wait(100)
    timer.stop()
    assert widget.result.sample.total == 1_000_000
    assert sorted(pauses)[-3] < 0.1  # the odd pause belongs to the machine


@pytest.mark.parametrize("viewer", [True], indirect=True)
def test_it_fits_a_small_screen(viewer, filled, finished) -> None:
    filled.run()
    finished(filled)
    for opened in filled.folds.values():
        opened.expand(animate=False)
    filled.source.regions_fold.expand(animate=False)
    assert filled.minimumSizeHint().width() <= 420
    # a long name of a file does not make the dock wider
    filled.say(f"Reading “{120 * 'x'}.csv” …")
    filled.layout().activate()
    assert filled.minimumSizeHint().width() <= 420


def test_changed_parameters_are_told(filled, finished) -> None:
    filled.exposure.setValue(2.0)
    assert "run again" not in filled.status.text()  # nothing is shown yet
    filled.run()
    finished(filled)
    filled.exposure.setValue(1.0)
    assert filled.status.text() == "The parameters have changed: run again."
    assert filled.result is not None


def test_controls_have_names_and_tooltips(filled) -> None:
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox

    for kind in (QAbstractButton, QAbstractSpinBox, QComboBox):
        for control in filled.findChildren(kind):
            if control.objectName().startswith(("qt_", "Scroll")):  # Qt's own
                continue
            assert control.toolTip(), control.objectName() or control
