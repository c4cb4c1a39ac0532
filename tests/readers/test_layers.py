from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_coldatoms.images import from_layer, make_stack, optical_depth, to_layer
from napari_coldatoms.readers import ReadError, read
from napari_coldatoms.readers.layers import (
    NOTHING,
    contrast_limits,
    get_reader,
    read_layers,
    stack_layers,
)

PLUGIN = "napari-coldatoms"
KINDS = ("Image", "Probe", "Background")


@pytest.fixture
def messages():
    """Return what the user was told, without a window."""
    told: list[str] = []

    def note(notification):
        told.append(notification.message)

    notification_manager.notification_ready.connect(note)
    yield told
    notification_manager.notification_ready.disconnect(note)


@pytest.fixture
def shot_files(tmp_path, triplet):
    """Return two shots, with one file for each frame."""
    paths = []
    for number in (1, 2):
        for kind, frame in zip(KINDS, triplet, strict=True):
            path = tmp_path / f"{kind}_{number}.tif"
            tifffile.imwrite(path, frame)
            paths.append(str(path))
    return paths


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("a.tif", True),
        ("A.TIFF", True),
        (["a.h5", "b.h5"], True),
        ("a.txt", False),
        ([], False),
    ],
)
def test_which_files_are_claimed(path, known):
    assert (get_reader(path) is not None) is known


def test_folders_are_claimed(tmp_path):
    assert get_reader(str(tmp_path)) is read_layers


def test_a_triplet_gives_hidden_frames_and_the_picture_on_top(shot_files, triplet, messages):
    raw, picture = read_layers(shot_files[1])
    for data, kwargs, kind in (raw, picture):
        assert kind == "image"
        assert Image(data, **kwargs).name == kwargs["name"]
    assert raw[1]["visible"] is False
    assert raw[1]["name"] == "1 raw frames"
    assert picture[1]["name"] == "1"
    assert picture[1]["colormap"] != raw[1]["colormap"]
    np.testing.assert_array_equal(raw[0], triplet)
    stack = from_layer(Image(raw[0], **raw[1]))
    np.testing.assert_array_equal(picture[0], optical_depth(stack))
    assert from_layer(Image(picture[0], **picture[1])).attrs["kind"] == "optical_depth"
    low, high = picture[1]["contrast_limits"]
    assert low < 0.1 < high < 2
    assert messages == []  # the names settle the roles


def test_a_list_is_one_stack(shot_files):
    raw, picture = read_layers(shot_files)
    assert raw[0].shape == (3, 2, 40, 50)
    assert picture[0].shape == (2, 40, 50)
    assert picture[1]["axis_labels"] == ("shot", "y", "x")


def test_guessed_roles_are_told(tmp_path, triplet, messages):
    np.save(tmp_path / "a.npy", triplet)
    assert len(read_layers(str(tmp_path / "a.npy"))) == 2
    assert len(messages) == 1
    assert "guessed (atoms, probe, dark)" in messages[0]


@pytest.mark.parametrize(
    ("roles", "missing"),
    [(("atoms", "background"), "'probe'"), (("unknown", "dark"), "'atoms'")],
)
def test_frames_that_make_no_picture_are_shown_with_a_warning(triplet, messages, roles, missing):
    stack = make_stack(triplet[:2], roles=roles, name="shot")
    ((data, kwargs, _),) = stack_layers(stack)
    assert data.shape == (2, 40, 50)
    assert kwargs.get("visible", True)
    assert len(messages) == 1
    assert missing in messages[0]
    assert "Raw frames → picture" in messages[0]


def test_single_frames_and_ready_pictures(tmp_path, triplet, messages):
    tifffile.imwrite(tmp_path / "lone_atoms.tif", triplet[0])
    ((data, kwargs, _),) = read_layers(str(tmp_path / "lone_atoms.tif"))
    assert data.shape == (40, 50)
    assert kwargs.get("visible", True)
    assert messages == []


def test_lazy_frames_stay_lazy(tmp_path, triplet):
    np.save(tmp_path / "a.npy", np.concatenate([triplet] * 4))
    (stack,) = read(tmp_path / "a.npy", lazy=True)
    raw, picture = stack_layers(stack)
    assert hasattr(raw[0], "dask")
    assert hasattr(picture[0], "dask")
    layer = Image(picture[0], **picture[1])
    assert hasattr(from_layer(layer).data, "dask")


def test_contrast_limits():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (600, 700))
    values[3, 4] = 1e6
    values[5] = np.nan
    low, high = contrast_limits(make_stack(values))
    assert -3.2 < low < -2
    assert 2.4 < high < 3.6
    assert contrast_limits(make_stack(np.full((4, 5), 7))) == (7, 8)
    assert contrast_limits(make_stack(np.full((4, 5), np.nan))) == (0, 1)


def test_errors_are_raised_and_none_is_never_returned(tmp_path):
    path = tmp_path / "broken.tif"
    path.write_bytes(b"nonsense")
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(ReadError, match=r"broken\.tif: expected"):
        reader(str(path))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ReadError, match="none in the folder"):
        read_layers(str(empty))


def test_files_dropped_one_by_one_give_one_picture(make_napari_viewer_proxy, shot_files, messages):
    """napari calls the reader once for each dropped file."""
    viewer = make_napari_viewer_proxy()
    viewer.open(shot_files, plugin=PLUGIN)
    assert [layer.name for layer in viewer.layers] == ["1 raw frames", "1", "2 raw frames", "2"]
    assert [layer.visible for layer in viewer.layers] == [False, True, False, True]
    assert len(messages) == 4
    assert messages[0] == "Probe_1.tif belongs to '1 raw frames', which is open already"
    # another shot, or the same after its layers were removed, is read
    viewer.layers.clear()
    viewer.open(shot_files[1], plugin=PLUGIN)
    assert [layer.name for layer in viewer.layers] == ["1 raw frames", "1"]


def test_files_dropped_as_a_stack(make_napari_viewer_proxy, shot_files):
    viewer = make_napari_viewer_proxy()
    viewer.open(shot_files, stack=True, plugin=PLUGIN)
    raw, picture = viewer.layers
    assert raw.data.shape == (3, 2, 40, 50)
    assert picture.data.shape == (2, 40, 50)
    assert from_layer(picture)["shot"].values.tolist() == [1, 2]


def test_a_whole_file_is_read_again(make_napari_viewer_proxy, tmp_path, triplet):
    viewer = make_napari_viewer_proxy()
    path = tmp_path / "a.npy"
    for value in (0, 1):
        np.save(path, triplet + value)
        viewer.open(str(path), plugin=PLUGIN)
    assert len(viewer.layers) == 4
    np.testing.assert_array_equal(viewer.layers[2].data, triplet + 1)


def test_without_a_viewer_every_call_reads(shot_files):
    assert read_layers(shot_files[0]) != NOTHING
    assert len(read_layers(shot_files[1])) == 2


def test_real_files_open(make_napari_viewer_proxy, real_data):
    viewer = make_napari_viewer_proxy()
    li6 = next((real_data / "li6_fits").glob("*.fits"))
    viewer.open(str(li6), plugin=PLUGIN)
    assert [layer.data.shape for layer in viewer.layers] == [(3, 512, 512), (512, 512)]
    viewer.layers.clear()
    viewer.open(str(real_data / "ring_bec_tiff"), plugin=PLUGIN)
    assert [layer.data.shape for layer in viewer.layers] == [(3, 4, 512, 512), (4, 512, 512)]
    viewer.layers.clear()
    viewer.open(str(real_data / "oqtant_rb87" / "tof_hold_00.json"), plugin=PLUGIN)
    assert {layer.data.shape for layer in viewer.layers} == {(352, 217), (100, 100)}
    layer = viewer.layers["tof_hold_00 tof_image"]
    np.testing.assert_allclose(layer.scale, 4.4)
    assert str(layer.units[0]) == "micrometer"
    data, kwargs, _ = to_layer(from_layer(layer))
    np.testing.assert_array_equal(data, layer.data)
    assert kwargs["scale"] == pytest.approx((4.4, 4.4))
