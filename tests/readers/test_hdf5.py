from __future__ import annotations

import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from napari_coldatoms.images import optical_depth
from napari_coldatoms.readers import ReadError, read

TRIPLET = ("atoms", "probe", "dark")


def write_shot(path, frames, *, number=3, failed=False, **parameters):
    """Write a labscript shot: {"camera/exposure/frametype": frames}."""
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {"sequence_id": "20240101T120000_scan", "run number": number, "n_runs": 5}
        )
        group = file.create_group("globals")
        group.attrs.update(parameters)
        inner = group.create_group("imaging")
        inner.attrs.update({key: f"{value} * 1" for key, value in parameters.items()})
        inner.create_group("units").attrs["tof"] = "s"
        for name, data in frames.items():
            file.create_dataset(f"images/{name}", data=data, compression="gzip")
        for camera in file.require_group("images").values():
            camera.attrs.update({"camera": "cam0", "Gain": 2.0, "failed_shot": failed})
        table = np.array(
            [(0.1, b"absorption", b"atoms", 8e-5)],
            dtype=[("t", "f8"), ("name", "S32"), ("frametype", "S32"), ("trigger_duration", "f8")],
        )
        file.create_dataset("devices/cam0/EXPOSURES", data=table)
    return path


@pytest.mark.parametrize("lazy", [False, True])
def test_labscript_shot(tmp_path, triplet, lazy):
    atoms, probe, dark = triplet
    path = write_shot(
        tmp_path / "shot_0003.h5",
        {
            "side/absorption/atoms": atoms,
            "side/absorption/background": probe,
            "side/absorption/dark": dark,
            "top/mot/frame": atoms[:20],
        },
        tof=0.01,
        label="cold",
        ramp=np.arange(4.0),
        flag=True,
    )
    stacks = {stack.name: stack for stack in read(path, lazy=lazy)}
    assert set(stacks) == {"shot_0003 side/absorption", "shot_0003 top/mot/frame"}
    stack = stacks["shot_0003 side/absorption"]
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.attrs["roles_certain"] is True
    np.testing.assert_array_equal(stack, triplet)
    assert hasattr(stack.data, "dask") is lazy
    assert stack["tof"] == 0.01  # the value, not the expression
    assert stack["label"] == "cold"
    assert bool(stack["flag"])
    assert bool(stack["failed_shot"]) is False
    assert "ramp" not in stack.coords
    np.testing.assert_array_equal(stack.attrs["header"]["globals"]["ramp"], np.arange(4))
    assert stack.attrs["header"]["camera"]["Gain"] == 2.0
    assert stack.attrs["exposure"] == pytest.approx(8e-5)
    assert stack["run_number"] == 3
    lone = stacks["shot_0003 top/mot/frame"]
    assert lone.dims == ("y", "x")
    assert "exposure" not in lone.attrs


@pytest.mark.parametrize("lazy", [False, True])
def test_repeated_exposures_are_shots(tmp_path, triplet, lazy):
    series = np.stack([triplet, triplet + 1])
    path = write_shot(
        tmp_path / "a.h5",
        {
            "side/abs/atoms": series[:, 0],
            "side/abs/probe": series[:, 1],
            "side/abs/bg": series[:, 2],
            "side/fluo/frame": np.stack([triplet[0]] * 3),
        },
    )
    raw, lone = read(path, lazy=lazy)
    assert raw.dims == ("shot", "frame", "y", "x")
    np.testing.assert_array_equal(raw, series)
    # three exposures of one frametype are no triplet
    assert lone.dims == ("shot", "y", "x")
    assert lone.sizes["shot"] == 3


def test_a_folder_of_shots_is_a_scan(tmp_path, triplet):
    names = ("side/abs/atoms", "side/abs/probe", "side/abs/dark")
    for number in (2, 10, 9):
        frames = dict(zip(names, triplet + number, strict=True))
        write_shot(
            tmp_path / f"2024-01-01_{number}_rep.h5",
            frames,
            number=number,
            failed=number == 9,
            tof=number * 1e-3,
            power=1.0,
        )
    (stack,) = read(tmp_path)
    assert stack.dims == ("shot", "frame", "y", "x")
    assert stack["shot"].values.tolist() == [2, 9, 10]
    np.testing.assert_allclose(stack["tof"], [2e-3, 9e-3, 10e-3])
    assert stack["tof"].dims == ("shot",)
    assert stack["power"].dims == ()
    assert stack["failed_shot"].values.tolist() == [False, True, False]
    np.testing.assert_array_equal(stack[2], triplet + 10)
    assert optical_depth(stack)["tof"].dims == ("shot",)


def test_a_parameter_that_a_shot_lacks(tmp_path, triplet):
    frames = {"side/abs/atoms": triplet[0], "side/abs/probe": triplet[1]}
    write_shot(tmp_path / "a_1.h5", frames, number=1, tof=1.0, note="x")
    write_shot(tmp_path / "a_2.h5", frames, number=2)
    (stack,) = read(tmp_path)
    np.testing.assert_array_equal(stack["tof"], [1.0, np.nan])
    assert stack["note"].values.tolist() == ["x", ""]


def test_a_shot_that_was_not_run(tmp_path):
    path = write_shot(tmp_path / "a.h5", {})
    with pytest.raises(ReadError, match="not run yet"):
        read(path)


@pytest.mark.parametrize("lazy", [False, True])
def test_interleaved_frames(tmp_path, triplet, write_h5, lazy):
    data = np.concatenate([triplet, triplet + 1])
    path = write_h5(tmp_path / "a.hdf5", {"data/images": data, "data/times": np.arange(6.0)})
    (stack,) = read(path, lazy=lazy)
    assert stack.dims == ("shot", "frame", "y", "x")
    assert stack.name == "a data/images"
    np.testing.assert_array_equal(stack, data.reshape(2, 3, 40, 50))


@pytest.mark.parametrize("lazy", [False, True])
def test_a_group_for_each_time(tmp_path, triplet, write_h5, lazy):
    datasets = {}
    for i, time in enumerate(("10:00:01", "10:00:07", "09:59:00")):
        for name, frame in zip(("atom", "beam", "dark"), triplet + i, strict=True):
            datasets[f"{time}/{name}"] = frame
    (stack,) = read(write_h5(tmp_path / "day.h5", datasets), lazy=lazy)
    assert stack.sizes == {"shot": 3, "frame": 3, "y": 40, "x": 50}
    assert stack["time"].values.tolist() == ["09:59:00", "10:00:01", "10:00:07"]
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.name == "day"
    np.testing.assert_array_equal(stack[0], triplet + 2)


def test_single_pictures_and_tables(tmp_path, triplet, write_h5):
    path = write_h5(
        tmp_path / "a.h5",
        {"od": triplet[0] / 1000, "calibration": np.zeros((30, 3)), "mot": triplet[1, :20]},
    )
    stacks = {stack.name: stack for stack in read(path)}
    assert set(stacks) == {"a od", "a mot"}
    assert stacks["a od"].attrs["kind"] == "optical_depth"


def test_files_without_pictures(tmp_path, write_h5):
    with pytest.raises(ReadError, match="no dataset with pictures"):
        read(write_h5(tmp_path / "a.h5", {"table": np.zeros((30, 3))}))
    with pytest.raises(ReadError, match=r"\(2, 5, 3, 20, 30\)"):
        read(write_h5(tmp_path / "b.h5", {"many": np.zeros((2, 5, 3, 20, 30))}))


WRITER = """
    import sys, h5py, numpy as np
    file = h5py.File(sys.argv[1], "a")
    print("open", flush=True)
    sys.stdin.readline()
    # after the reader was there: the writer must still be able to write, close and open again
    file["images/side/abs/later"] = np.full((40, 50), 7, dtype="u2")
    file.flush()
    file.close()
    with h5py.File(sys.argv[1], "a") as again:
        again.attrs["done"] = True
    print("written", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("lazy", [False, True])
def test_beside_a_program_that_writes(tmp_path, triplet, lazy):
    """Another process has the file open for writing, and goes on writing."""
    names = ("side/abs/atoms", "side/abs/probe", "side/abs/dark")
    path = write_shot(tmp_path / "a.h5", dict(zip(names, triplet, strict=True)))
    code = textwrap.dedent(WRITER)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        (stack,) = read(path, lazy=lazy)
        np.testing.assert_array_equal(stack, triplet)
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == "written\n", writer.stderr.read()
        # a lazy stack does not hold the file open, and still finds its pictures
        np.testing.assert_array_equal(stack, triplet)
        writer.communicate("\n", timeout=30)
    assert writer.returncode == 0
    with h5py.File(path, "r") as file:
        assert file.attrs["done"]


@pytest.mark.parametrize("place", ["images/side/abs", "elsewhere"])
def test_datasets_without_any_data_are_passed_over(tmp_path, triplet, place):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"{place}/atoms"] = h5py.Empty("u2")
        file[f"{place}/probe"] = triplet[1]
    (stack,) = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(stack.squeeze(), triplet[1])
