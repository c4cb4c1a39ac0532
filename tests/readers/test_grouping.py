from __future__ import annotations

from pathlib import Path

import pytest

from napari_coldatoms.readers import group
from napari_coldatoms.readers.combine import common_name, numbers_in
from napari_coldatoms.readers.grouping import shot_name


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.touch()
    return paths


def names_of(groups: list[tuple[Path, ...]]) -> list[list[str]]:
    return [[path.name for path in each] for each in groups]


@pytest.mark.parametrize(
    ("names", "shot"),
    [
        (
            ["Image_20_0147.tiff", "Probe_20_0147.tiff", "Background_20_0147.tiff"],
            "20_0147",
        ),
        (["run_12_atom.tif", "run_12_light.tif", "run_12_dark.tif"], "run_12"),
        (["Obj.fits", "Ref.fits", "BG.fits"], None),
        (["atoms_0000.npy", "probe_0000.npy", "dark_0000.npy"], "0000"),
        (["data_A_1.tif", "data_B_1.tif", "data_C_1.tif"], "data_1"),
        (["fall-1.tif", "fall-2.tif", "fall-3.tif"], "fall"),
        (["with_atoms_7.tif", "without_atoms_7.tif", "dark_7.tif"], "7"),
        (["shotPWA.tif", "shotPWOA.tif", "shotDF.tif"], "shot"),
    ],
)
def test_files_of_one_shot(tmp_path, names, shot):
    paths = touch(tmp_path, *names, "other.tif", "notes.txt")
    assert sorted(names_of(group(tmp_path))) == sorted([names, ["other.tif"]])
    for path in paths[: len(names)]:
        assert names_of(group(path)) == [names]
        assert names_of(group([path])) == [names]
        assert names_of(group([path], siblings=False)) == [[path.name]]
    assert names_of(group(paths[: len(names)])) == [names]
    assert shot_name(paths[: len(names)]) == (shot or tmp_path.name)


@pytest.mark.parametrize(
    "names",
    [
        ["scan_1.tif", "scan_2.tif", "scan_10.tif"],
        ["fall-2.tif", "fall-3.tif"],
        ["atoms_1.tif", "atoms_2.tif"],
        ["atoms_1.tif", "probe_2.tif"],
        ["atoms_1.tif", "probe_1.npy"],
        ["atoms_1.h5", "probe_1.h5"],
        ["run_b.tif", "run_c.tif"],
    ],
)
def test_files_that_are_shots_of_their_own(tmp_path, names):
    touch(tmp_path, *names)
    assert names_of(group(tmp_path)) == [[name] for name in names]


def test_many_shots_in_natural_order_and_no_file_twice(tmp_path):
    kinds = ("Image", "Probe", "Background")
    for number in range(1, 13):
        touch(tmp_path, *(f"{kind}_{number}.tif" for kind in kinds))
    expected = [[f"{kind}_{number}.tif" for kind in kinds] for number in range(1, 13)]
    assert names_of(group(tmp_path)) == expected
    everything = [tmp_path, *tmp_path.iterdir(), tmp_path / "Image_3.tif"]
    assert names_of(group(everything)) == expected
    some = [tmp_path / "Probe_7.tif", tmp_path / "Image_3.tif", tmp_path / "Background_7.tif"]
    assert names_of(group(some)) == [expected[2], expected[6]]


def test_hidden_foreign_and_nested_files_are_left_out(tmp_path):
    touch(tmp_path, ".hidden.tif", "notes.txt", "some.tif", "MORE.TIF")
    (tmp_path / "inner.tif").mkdir()
    touch(tmp_path / "inner.tif", "deep.tif")
    assert names_of(group(tmp_path)) == [["MORE.TIF"], ["some.tif"]]
    assert group(tmp_path / "notes.txt") == []


def test_number_of_a_shot_among_dates_and_times():
    assert numbers_in(["2020_11_24_0147", "2020_11_24_0149"]) == [147, 149]
    times = ["805277_2022-04-06--8-08", "805278_2022-04-06--8-31"]
    assert numbers_in(times) == [805277, 805278]
    assert numbers_in(["a1", "a1"]) is None
    assert numbers_in(["a1", "b"]) is None


@pytest.mark.parametrize(
    ("names", "common"),
    [
        (["2020_11_24_0147", "2020_11_24_0162"], "2020_11_24"),
        (["scan 1", "scan 2"], "scan"),
        (["scan_10", "scan_11"], "scan"),
        (["alpha", "alps"], ""),
        (["same", "same"], "same"),
    ],
)
def test_name_of_several_shots(names, common):
    assert common_name(names) == common
