"""The widget "Raw frames → picture" in a real napari window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_coldatoms import samples
from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.images.absorption import optical_depth
from napari_coldatoms.images.roles import assign_roles
from napari_coldatoms.images.stack import METADATA_KEY, from_layer, make_stack


@pytest.fixture(scope="module")
def triplet():
    return samples.single_cloud()


def press(qtbot, widget) -> None:
    assert widget.run_button.isEnabled()
    qtbot.mouseClick(widget.run_button, Qt.MouseButton.LeftButton)


def test_the_picture_lies_where_its_frames_lie(
    qtbot, viewer, raw_frames, add, triplet, finished, looked_at
) -> None:
    raw = add(triplet)
    assert raw_frames.roles == ["atoms", "probe", "dark"]
    press(qtbot, raw_frames)
    finished(raw_frames)
    _, picture = viewer.layers
    np.testing.assert_allclose(picture.data, MakePicture()(triplet).values)
    np.testing.assert_array_equal(picture.scale, (5, 5))
    assert [str(unit) for unit in picture.units] == ["micrometer", "micrometer"]
    assert picture.axis_labels == ("y", "x")
    assert from_layer(picture).attrs["picture"]["kind"] == "absorption"
    assert not raw.visible
    assert picture.visible
    looked_at(viewer, "raw-frames")


def test_other_roles_make_another_picture_in_the_same_layer(
    qtbot, viewer, raw_frames, add, triplet, finished
) -> None:
    raw = add(triplet)
    press(qtbot, raw_frames)
    finished(raw_frames)
    picture = viewer.layers[1]
    before = picture.data.copy()
    picture.colormap, picture.name = "magma", "mine"
    raw_frames.role_combos[0].setCurrentText("probe")
    raw_frames.role_combos[1].setCurrentText("atoms")
    assert "by hand" in raw_frames.guess.text()
    press(qtbot, raw_frames)
    finished(raw_frames)
    assert len(viewer.layers) == 2
    swapped = assign_roles(triplet, ["probe", "atoms", "dark"])
    np.testing.assert_allclose(picture.data, optical_depth(swapped).values)
    assert np.nanmedian(picture.data[before > 0.5]) < -0.5
    assert (picture.colormap.name, picture.name) == ("magma", "mine")
    # contrast that nobody set follows the picture
    assert picture.contrast_limits[0] < -0.5
    # and the raw layer knows its roles from now on
    assert list(from_layer(raw)["frame"].values) == ["probe", "atoms", "dark"]


def test_the_picture_a_reader_made_is_taken_over(qtbot, viewer, raw_frames, finished) -> None:
    viewer.open_sample("napari-coldatoms", "single_cloud")
    assert [layer.name for layer in viewer.layers] == ["single cloud raw frames", "single cloud"]
    assert raw_frames.layer.name == "single cloud raw frames"
    before = viewer.layers["single cloud"].data.copy()
    raw_frames.form.control("power_correction").setCurrentText("robust")
    press(qtbot, raw_frames)
    finished(raw_frames)
    assert len(viewer.layers) == 2
    picture = viewer.layers["single cloud"]
    raw = samples.single_cloud()
    expected = optical_depth(raw, power_correction="robust")
    np.testing.assert_allclose(picture.data, expected.values)
    # the sample's probe drifted by 1.5 %
    assert abs(np.nanmean(picture.data - before)) == pytest.approx(0.015, abs=0.005)


def test_the_dark_frame_can_be_left_out(qtbot, viewer, raw_frames, add, triplet, finished) -> None:
    add(triplet)
    raw_frames.dark_check.setChecked(False)
    press(qtbot, raw_frames)
    finished(raw_frames)
    expected = optical_depth(assign_roles(triplet, ["atoms", "probe", "unknown"]))
    np.testing.assert_allclose(viewer.layers[1].data, expected.values)
    # what was left out is left out of the picture, not out of the roles
    assert raw_frames.roles == ["atoms", "probe", "dark"]


def test_the_probes_power_is_compared_in_a_rectangle_the_user_drew(
    qtbot, viewer, raw_frames, add, triplet, finished
) -> None:
    image = add(triplet, translate=(0.0, 50.0, 0.0))
    raw_frames.region_check.setChecked(True)
    raw_frames.form.control("power_correction").setCurrentText("region")
    press(qtbot, raw_frames)
    assert "draw a rectangle" in raw_frames.status.text()
    # pixels 20..59 and 30..109: edges half a pixel further, in the layer's scale and place
    low, high = np.array([19.5, 29.5]) * 5 + (50, 0), np.array([59.5, 109.5]) * 5 + (50, 0)
    box = np.array([low, (low[0], high[1]), high, (high[0], low[1])])
    viewer.add_shapes([box], shape_type="rectangle", name="no atoms here", units=image.units[1:])
    assert raw_frames.region_combo.currentText() == "no atoms here"
    press(qtbot, raw_frames)
    finished(raw_frames)
    expected = optical_depth(
        triplet, power_correction="region", background_region=(20, 30, 60, 110)
    )
    (picture,) = [layer for layer in viewer.layers if layer.name.endswith("picture")]
    np.testing.assert_allclose(picture.data, expected.values)
    attrs = picture.metadata[METADATA_KEY]["attrs"]
    assert list(attrs["picture"]["background_region"]) == [20, 30, 60, 110]


def test_a_guess_that_is_not_certain_is_marked_with_its_reason(
    qtbot, viewer, raw_frames, add
) -> None:
    frames = np.random.default_rng(0).poisson(100, (3, 40, 50)).astype(float)
    unsure = make_stack(
        frames,
        roles=["atoms", "probe", "background"],
        attrs={"roles_certain": False, "roles_reason": "'background' may be the dark frame"},
    )
    add(unsure, name="unsure")
    assert (
        raw_frames.guess.text() == "⚠ Please check the roles: 'background' may be the dark frame."
    )


def test_any_layer_with_three_dimensions_can_hold_frames(
    qtbot, viewer, raw_frames, finished
) -> None:
    rng = np.random.default_rng(0)
    probe = rng.poisson(1000, (40, 50))
    frames = np.stack([probe * 0.5, probe, np.zeros((40, 50))])
    viewer.add_image(np.zeros((40, 50)), name="flat")
    assert raw_frames.layer is None
    assert not raw_frames.run_button.isEnabled()
    viewer.add_image(frames, name="from elsewhere", scale=(1, 2, 2))
    assert raw_frames.roles == ["atoms", "probe", "dark"]
    assert "Please check" in raw_frames.guess.text()
    press(qtbot, raw_frames)
    finished(raw_frames)
    picture = viewer.layers["from elsewhere picture"]
    np.testing.assert_allclose(picture.data, np.log(2), atol=1e-6)
    np.testing.assert_array_equal(picture.scale, (2, 2))


def test_a_long_series_is_not_taken_for_the_frames_of_one_shot(viewer, raw_frames) -> None:
    viewer.add_image(np.zeros((500, 8, 8)), name="series")
    assert raw_frames.roles == []
    assert "500 frames and no roles" in raw_frames.status.text()
    assert not raw_frames.run_button.isEnabled()


def test_a_role_that_is_missing_is_said_in_the_widget(
    qtbot, viewer, raw_frames, add, triplet, finished
) -> None:
    add(triplet)
    raw_frames.form.control("kind").setCurrentText("absorption")
    raw_frames.role_combos[1].setCurrentText("unknown")
    press(qtbot, raw_frames)
    finished(raw_frames)
    assert len(viewer.layers) == 1
    assert "probe" in raw_frames.status.text()
    told = [str(n.message) for n in notification_manager.records if "probe" in str(n.message)]
    assert len(told) == 1
    assert "\n" not in told[0]


def test_the_kind_that_was_made_is_said(qtbot, viewer, raw_frames, add, triplet, finished) -> None:
    add(triplet)
    press(qtbot, raw_frames)
    finished(raw_frames)
    assert raw_frames.status.text().endswith("is up to date: optical depth.")
    # without the probe frame, auto makes another kind of picture
    raw_frames.role_combos[1].setCurrentText("unknown")
    press(qtbot, raw_frames)
    finished(raw_frames)
    assert "fluorescence" in raw_frames.status.text()


def test_several_shots_give_a_stack_of_pictures(
    qtbot, viewer, raw_frames, add, triplet, finished
) -> None:
    import xarray as xr

    shots = xr.concat([triplet, triplet * 1], dim="shot").transpose("shot", "frame", "y", "x")
    shots.attrs = triplet.attrs
    add(shots, name="shots")
    press(qtbot, raw_frames)
    finished(raw_frames)
    picture = viewer.layers[1]
    assert picture.data.shape == (2, *triplet.shape[-2:])
    np.testing.assert_array_equal(picture.scale, (1, 5, 5))
    assert picture.axis_labels == ("shot", "y", "x")


def test_controls_are_named_and_explained_with_units(raw_frames, add, triplet) -> None:
    from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QPushButton

    add(triplet)
    for kind in (QAbstractSpinBox, QComboBox):
        for control in raw_frames.findChildren(kind):
            assert control.objectName(), control
            assert control.toolTip(), control.objectName()
    for control in raw_frames.findChildren(QPushButton):
        assert control.toolTip(), control.text()
    assert "counts" in raw_frames.form.control("saturation").toolTip()
    assert raw_frames.minimumSizeHint().width() <= 340
