from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.readers import ReadError, read

TRIPLET = ("atoms", "probe", "dark")


@pytest.mark.parametrize("lazy", [False, True])
def test_npy(tmp_path, triplet, lazy):
    np.save(tmp_path / "a.npy", triplet.astype(">u2"))
    (stack,) = read(tmp_path / "a.npy", lazy=lazy)
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.dtype.isnative
    assert hasattr(stack.data, "dask") is lazy
    np.testing.assert_array_equal(stack, triplet)
    np.save(tmp_path / "b.npy", np.stack([triplet, triplet]))
    assert read(tmp_path / "b.npy", lazy=lazy)[0].dims == ("shot", "frame", "y", "x")


@pytest.mark.parametrize("lazy", [False, True])
def test_npz_with_names(tmp_path, triplet, lazy):
    atoms, probe, dark = triplet
    np.savez(tmp_path / "a.npz", dark=dark, atoms=atoms, background=probe, tof=0.012, note="x")
    (stack,) = read(tmp_path / "a.npz", lazy=lazy)
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.attrs["roles_certain"] is True
    assert stack["tof"] == 0.012
    assert stack["note"] == "x"
    assert hasattr(stack.data, "dask") is lazy
    np.testing.assert_array_equal(stack, triplet)


def test_npz_with_shots_and_other_pictures(tmp_path, triplet):
    series = np.stack([triplet, triplet + 1])
    np.savez_compressed(
        tmp_path / "a.npz",
        atoms=series[:, 0],
        probe=series[:, 1],
        OD=np.zeros((2, 40, 50)),
        mot=np.ones((10, 12)),
        detuning=[1.0, 2.0],
    )
    stacks = {stack.name: stack for stack in read(tmp_path / "a.npz")}
    assert set(stacks) == {"a", "a OD", "a mot"}
    assert stacks["a"].dims == ("shot", "frame", "y", "x")
    assert list(stacks["a"]["detuning"]) == [1, 2]
    np.testing.assert_array_equal(stacks["a"], series[:, :2])
    assert stacks["a OD"].attrs["kind"] == "optical_depth"
    assert stacks["a mot"].dims == ("y", "x")


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    np.save(tmp_path / "a.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", atoms=np.array([Bomb()], dtype=object))
    for name in ("a.npy", "b.npz"):
        with pytest.raises(ReadError, match="never opened"):
            read(tmp_path / name)


def test_one_file_for_each_frame(tmp_path, triplet):
    for shot in range(12):
        for role, frame in zip(TRIPLET, triplet, strict=True):
            np.save(tmp_path / f"{role}_{shot:d}.npy", frame + shot)
    (stack,) = read(tmp_path)
    assert stack.sizes["shot"] == 12
    assert tuple(stack["frame"].values) == TRIPLET
    # 2 comes before 10
    np.testing.assert_array_equal(stack["shot"], np.arange(12))
    for shot in range(12):
        np.testing.assert_array_equal(stack[shot], triplet + shot)
    (one,) = read(tmp_path / "dark_7.npy")
    np.testing.assert_array_equal(one, triplet + 7)
