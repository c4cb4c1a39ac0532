"""Clouds found by the network that comes with the package, over stacks, in a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_coldatoms.analyses import DetectClouds, apply, follow
from napari_coldatoms.analyses.network_frames import NetworkFrames
from napari_coldatoms.backend import from_dict, run, to_dict
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.clouds import Detection, Gaussian2D, NetworkOptions, detect
from napari_coldatoms.clouds.network_process import (
    NetworkStopped,
    network_pid,
)
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError, digest
from napari_coldatoms.images.stack import make_stack

SHAPE = (128, 160)
MOT = Gaussian2D(62.0, 70.0, 30.0, 26.0, 0.3, 0.8)
ODT = Gaussian2D(110.0, 40.0, 34.0, 7.0, 0.4, 1.4)


@pytest.fixture(scope="module")
def shots():
    """Return ten pictures with a MOT that moves, and a dipole trap in every second one."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    pictures = []
    for shot in range(10):
        fringes = 0.02 * np.sin(0.35 * x + 0.2 * y + shot)
        picture = rng.normal(0, 0.03, SHAPE) + fringes
        picture += np.roll(MOT.image(SHAPE), shot - 5, axis=0)
        picture += ODT.image(SHAPE) * (shot % 2)
        pictures.append(picture)
    return make_stack(np.stack(pictures), name="shots", attrs={"kind": "optical_depth"})


@pytest.fixture(scope="module")
def done(shots):
    return run(DetectClouds(), shots)


def test_the_network_is_the_default_and_tells_classes(done):
    assert done.analysis.method == "mask-rcnn"
    table = done.table
    assert len(done.failures) == 0
    mots, traps = table[table["label"] == "MOT"], table[table["label"] == "ODT"]
    assert list(mots["shot"]) == list(range(10))
    assert list(traps["shot"]) == [1, 3, 5, 7, 9]
    assert table["score"].between(0.5, 1).all()
    # the fit refines what the network finds; fringes move it by more than the white noise
    np.testing.assert_allclose(mots["y0"] - mots["shot"], MOT.y0 - 5, atol=0.6)
    np.testing.assert_allclose(mots["wx"], MOT.wx, rtol=0.05)
    np.testing.assert_allclose(traps["wy"], ODT.wy, rtol=0.05)
    np.testing.assert_allclose(traps["theta"], np.rad2deg(ODT.theta), atol=1.0)
    assert table["success"].all()
    np.testing.assert_allclose(mots["mask_wx"], MOT.wx, rtol=0.15)


def test_layers_of_both_classes_and_where_they_come_from(done, shots):
    made = {kw["name"]: (data, kw, kind) for data, kw, kind in done.analysis.layers(done)}
    assert list(made) == ["shots masks: MOT", "shots masks: ODT", "shots boxes", "shots ellipses"]
    assert made["shots masks: ODT"][0].any(axis=(1, 2)).tolist() == [False, True] * 5
    colours = made["shots boxes"][1]["edge_color"]
    assert len({tuple(np.atleast_1d(colour)) for colour in colours}) == 2
    expected = {"weights": SHIPPED.name, "sha256": digest(SHIPPED)}
    recipe = made["shots boxes"][1]["metadata"]["napari_coldatoms"]["recipe"]
    assert recipe["made_with"] == expected
    # nothing found: both classes are emptied
    empty = run(DetectClouds(), shots[:1] * 0 + np.random.default_rng(1).normal(size=SHAPE))
    layers = [kw["name"] for _, kw, _ in empty.analysis.layers(empty)]
    assert [name.split(" ", 1)[1] for name in layers[:2]] == ["masks: MOT", "masks: ODT"]


def test_a_stack_gives_what_its_frames_give(done, shots):
    for shot in (1, 4):
        alone = detect(shots[shot].values, method="mask-rcnn")
        rows = done.table[done.table["shot"] == shot]
        np.testing.assert_allclose([c.best.x0 for c in alone], rows["x0"], atol=1e-3)
        assert [c.label for c in alone] == list(rows["label"])
    with ThreadPoolExecutor(2) as threads:
        threaded = run(DetectClouds(), shots, executor=threads)
    pd.testing.assert_frame_equal(threaded.table, done.table, rtol=1e-6)
    masked = run(DetectClouds(fit=False), shots[:2]).table
    assert set(masked["quality"]) == {"not fitted"}
    rows = done.table[done.table["shot"] < 2]
    np.testing.assert_allclose(masked["x0"], rows["mask_x0"], atol=1e-3)


def test_the_recipe_does_it_again_and_old_ones_still_can(done, shots, tmp_path):
    path = tmp_path / "recipe.yaml"
    done.recipe.save(path)
    again = apply(path, shots[:2])
    assert again.recipe.parameters == done.recipe.parameters
    old = {"method": "threshold", "fit": True, "threshold": {"significance": 7.0}}
    analysis, _ = follow(Recipe("detect_clouds", old))
    assert analysis.method == "threshold"
    assert analysis.threshold.significance == 7.0
    assert "made_with" not in run(analysis, shots[:1]).recipe.to_dict()
    # other weights than those it was made with
    changed = Recipe("detect_clouds", done.recipe.parameters, made_with={"weights": "older"})
    with pytest.warns(UserWarning, match=r"made with weights older; .* weights small\.safetensors"):
        follow(changed)
    given = DetectClouds(network=NetworkOptions(0.3, weights=tmp_path / "own.safetensors"))
    assert from_dict(DetectClouds, to_dict(given)) == given


def test_frames_are_read_a_few_ahead_and_only_those_asked_for(shots):
    read = []

    def frame(block, block_info=None):
        if block_info:
            read.append(block_info[0]["chunk-location"][0])
        return block

    whole = da.from_array(shots.values, chunks=(1, -1, -1))
    lazy = shots.copy(data=whole.map_blocks(frame, dtype=shots.dtype, meta=np.empty((0, 0, 0))))
    frames = NetworkFrames(lazy, NetworkOptions())
    assert read == []
    assert all(isinstance(each, Detection) for each in frames.of_frame((0,)))
    assert sorted(read) == list(range(8))  # two batches of four
    read.clear()
    frames = NetworkFrames(lazy, NetworkOptions(), [(7,), (2,)])
    for index in ((7,), (2,)):
        assert frames.of_frame(index)
    assert sorted(read) == [2, 7]
    assert frames.of_frame((9,))  # not announced: for itself


@pytest.mark.slow
def test_one_unreadable_frame_leaves_the_others(shots, done):
    def frame(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 2:
            raise OSError("camera file ends early")
        return block

    whole = da.from_array(shots.values, chunks=(1, -1, -1))
    broken = shots.copy(data=whole.map_blocks(frame, dtype=shots.dtype, meta=np.empty((0, 0, 0))))
    found = run(DetectClouds(), broken)
    assert found.failures["shot"].tolist() == [2]
    assert "camera file ends early" in found.failures["error"][0]
    rest = done.table[done.table["shot"] != 2].reset_index(drop=True)
    np.testing.assert_allclose(found.table["x0"], rest["x0"], atol=1e-3)


@pytest.mark.slow
def test_killed_in_mid_run_it_goes_on(shots, done):
    told = []
    frames = DetectClouds().context(shots, on_restart=told.append)
    pid = network_pid()
    found = [frames.of_frame((0,))]
    os.kill(pid, signal.SIGKILL)  # with the second batch under way, or before the third one
    found += [frames.of_frame((shot,)) for shot in range(1, 10)]
    assert [len(each) for each in found] == [1, 2] * 5
    assert len(told) == 1
    assert "SIGKILL" in told[0]
    assert network_pid() not in (None, pid)


def test_cancel_ends_the_wait_and_is_no_failure(shots):
    # a network that does not answer
    cancel = threading.Event()
    frames = DetectClouds().context(shots, cancel=cancel)
    pid = network_pid()
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.3, cancel.set).start()
    found = run(DetectClouds(), shots, cancel=cancel, context=frames)
    assert found.cancelled
    assert found.frames == ()
    assert network_pid() is None
    # one that is being started, which takes longer
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    start = time.perf_counter()
    with pytest.raises(NetworkStopped):
        DetectClouds().context(shots, cancel=cancel)
    assert time.perf_counter() - start < 5
    assert network_pid() is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"PK\x03\x04 a zip", "pickle"),
        (b"\x10\0\0\0\0\0\0\0 rubbish", "found another or a damaged file"),
    ],
)
def test_wrong_weights_are_said_before_any_frame(shots, tmp_path, content, said):
    path = tmp_path / "mine.safetensors"
    if content is not None:
        path.write_bytes(content)
    analysis = DetectClouds(network=NetworkOptions(weights=path))
    before = network_pid()
    with pytest.raises(WeightsError, match=said):
        run(analysis, shots)
    assert network_pid() == before  # nothing was started for them
