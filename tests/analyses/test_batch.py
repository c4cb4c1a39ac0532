"""Many files: what is read, passed over, failed; order and names."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_coldatoms.analyses import DetectClouds, MakePicture, process
from napari_coldatoms.analyses.file_groups import common_source, find_groups, name_groups
from napari_coldatoms.backend import Recipe
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate import simulate_triplet

SHAPE = (96, 112)


def triplet(shot: int) -> np.ndarray:
    """Return a triplet with its cloud at column 30 + 10 * shot."""
    cloud = Gaussian2D(30.0 + 10 * shot, 50.0, 12.0, 8.0, 0.3, 1.0, 0.0)
    return simulate_triplet([cloud], shape=SHAPE, rng=shot).values


@pytest.fixture
def folder(tmp_path) -> Path:
    """Five triplets, a file of three shots, a truncated one, and other programs' files."""
    folder = tmp_path / "day"
    folder.mkdir()
    for shot in range(5):
        tifffile.imwrite(folder / f"shot_{shot:02d}.tif", triplet(shot), photometric="minisblack")
    (folder / "shot_02.tif").write_bytes((folder / "shot_01.tif").read_bytes()[:3000])
    scan = np.stack([triplet(0), triplet(1), triplet(2)]).reshape(9, *SHAPE)
    tifffile.imwrite(folder / "shot_09.tif", scan, photometric="minisblack")
    (folder / "notes.txt").write_text("rainy")
    (folder / "settings.json").write_text('{"coil": 3}')
    (folder / ".hidden.tif").write_bytes(b"")
    return folder


def test_a_folder(folder):
    batch = process([folder], DetectClouds(method="threshold"))
    table = batch.table
    # shots run over the files; the one that failed keeps its number
    assert list(table["shot"]) == [0, 1, 3, 4, 5, 6, 7]
    np.testing.assert_allclose(table["x0"], [30, 40, 60, 70, 30, 40, 50], atol=0.2)
    names = [f"shot_{i:02d}.tif" for i in (0, 1, 3, 4, 9, 9, 9)]
    assert [Path(source).name for source in table["source"]] == names
    assert all(Path(source).parent == folder for source in table["source"])
    assert batch.failures["shot"].tolist() == [2]
    assert batch.failures["source"].tolist() == [str(folder / "shot_02.tif")]
    assert "TIFF file, found" in batch.failures["error"][0]
    assert "shot_02" not in batch.failures["error"][0]
    assert {path.name: why[:12] for path, why in batch.foreign} == {
        "notes.txt": "no camera fi",
        "settings.json": "expected an ",
    }
    assert (batch.analysed, batch.shots, batch.cancelled) == (7, 8, False)
    assert table.attrs["source"] == str(folder)
    assert table.attrs["units"]["x0"] == "px"
    recipe = Recipe.from_dict(table.attrs["recipe"])
    assert recipe.picture is not None
    assert recipe.picture["kind"] == "auto"  # suits every file


def test_other_workers_give_the_same(folder):
    alone = process([folder], DetectClouds(method="threshold"))
    with ThreadPoolExecutor(2) as threads:
        together = process([folder], DetectClouds(method="threshold"), executor=threads)
        single = process(
            [folder / "shot_09.tif"], DetectClouds(method="threshold"), executor=threads
        )
    pd.testing.assert_frame_equal(together.table, alone.table)
    pd.testing.assert_frame_equal(together.failures, alone.failures)
    np.testing.assert_array_equal(single.table["x0"], alone.table["x0"][-3:])


def test_files_that_are_named_must_be_camera_files(folder):
    paths = [folder / name for name in ("notes.txt", "settings.json", "shot_03.tif", "gone.tif")]
    batch = process(paths, DetectClouds(method="threshold"))
    assert list(batch.table["x0"].round()) == [60]
    assert not batch.foreign
    errors = dict(zip(batch.failures["source"], batch.failures["error"], strict=True))
    assert {Path(source).name for source in errors} == {"notes.txt", "settings.json", "gone.tif"}
    assert "expected a camera file" in errors[str(folder / "notes.txt")]
    assert "nothing of this name" in errors[str(folder / "gone.tif")]


def test_frames_in_files_of_their_own(tmp_path):
    for shot in range(2):
        for role, frame in zip(("atoms", "probe", "dark"), triplet(shot), strict=True):
            tifffile.imwrite(tmp_path / f"{role}_{shot:03d}.tif", frame)
    batch = process([tmp_path], DetectClouds(method="threshold"))
    np.testing.assert_allclose(batch.table["x0"], [30, 40], atol=0.2)
    assert list(batch.table["shot"]) == [0, 1]


def test_frames_that_make_no_picture_fail_alone(folder, tmp_path):
    path = tmp_path / "two.npz"
    np.savez(path, probe=triplet(0)[1], dark=triplet(0)[2])
    batch = process([folder / "shot_00.tif", path], DetectClouds(method="threshold"))
    assert len(batch.table) == 1
    assert batch.failures["source"].tolist() == [str(path)]
    assert "needs a frame with the role" in batch.failures["error"][0]


def test_an_error_in_an_analysis_fails_its_file_alone(folder):
    class Broken(DetectClouds):
        def summarise(self, run):
            if "shot_03" in run.stack.attrs["source"]:
                raise KeyError("lost")
            return super().summarise(run)

    paths = [folder / "shot_00.tif", folder / "shot_03.tif"]
    batch = process(paths, Broken(method="threshold"))
    assert len(batch.table) == 1
    assert batch.failures["error"].tolist() == ["shot_03: KeyError: 'lost'"]
    alone = process(paths[1:], Broken(method="threshold"))
    assert alone.failures["error"].tolist() == ["shot_03: KeyError: 'lost'"]


def test_nothing_to_do():
    batch = process([], DetectClouds(method="threshold"))
    assert (len(batch.table), len(batch.failures), batch.shots) == (0, 0, 0)


def test_a_folder_without_camera_files_fails(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    batch = process([tmp_path], DetectClouds(method="threshold"))
    assert len(batch.failures) == 1
    assert "expected camera files" in batch.failures["error"][0]


def test_progress_and_cancel_between_files(folder):
    event = threading.Event()
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if done == 2:
            event.set()

    batch = process([folder], DetectClouds(method="threshold"), progress=progress, cancel=event)
    assert seen == [(0, 7), (1, 7), (2, 7)]
    assert batch.cancelled
    assert batch.analysed == len(batch.table) > 0


def test_progress_and_cancel_within_a_file(folder):
    event = threading.Event()
    seen = []

    def progress(done, total):
        seen.append((done, total))
        if done == 2:
            event.set()

    batch = process(
        [folder / "shot_09.tif"], DetectClouds(method="threshold"), progress=progress, cancel=event
    )
    assert seen == [(0, 3), (1, 3), (2, 3)]
    assert batch.cancelled
    assert list(batch.table["shot"]) == [0, 1]


def test_layers_of_every_picture(folder, tmp_path):
    out = tmp_path / "layers"
    batch = process([folder], DetectClouds(method="threshold"), layers=out)
    stems = [f"shot_{i:02d}" for i in (0, 1, 3, 4, 9)]
    ends = ("_boxes.csv", "_ellipses.csv", "_masks_cloud.tif")
    assert sorted(p.name for p in out.iterdir()) == sorted(s + e for s in stems for e in ends)
    masks = tifffile.imread(out / "shot_09_masks_cloud.tif")
    assert masks.shape == (3, *SHAPE)
    areas = batch.table["mask_area"][-3:]
    assert [np.count_nonzero(mask) for mask in masks] == list(areas)


def test_files_of_one_name_in_two_folders_do_not_overwrite(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    tifffile.imwrite(other / "shot_00.tif", triplet(4), photometric="minisblack")
    out = tmp_path / "layers"
    paths = [folder / "shot_00.tif", other / "shot_00.tif"]
    process(paths, DetectClouds(method="threshold"), layers=out)
    centres = [
        tifffile.imread(path).nonzero()[1].mean() for path in sorted(out.glob("*masks_cloud.tif"))
    ]
    np.testing.assert_allclose(sorted(centres), [30, 70], atol=1.0)


def test_pictures_are_made_as_asked(folder):
    region = MakePicture(kind="fluorescence", subtract="dark")
    batch = process([folder / "shot_00.tif"], DetectClouds(method="threshold"), region)
    assert Recipe.from_dict(batch.table.attrs["recipe"]).picture["kind"] == "fluorescence"
    # the atoms frame minus the dark one: a hole in the light is no cloud
    near = (batch.table["x0"] - 30).abs() < 3
    assert not (near & (batch.table["peak"] > 0)).any()


def test_tables_of_different_files_share_their_columns(folder, tmp_path):
    np.savez(
        tmp_path / "scan.npz",
        atoms=triplet(1)[0],
        probe=triplet(1)[1],
        dark=triplet(1)[2],
        detuning=np.array(-3.5),
    )
    paths = [folder / "shot_00.tif", tmp_path / "scan.npz"]
    table = process(paths, DetectClouds(method="threshold")).table
    assert len(table) == 2
    assert table.columns.is_unique
    assert table["detuning"].dropna().tolist() == [-3.5]


def test_names_of_groups():
    groups = [
        (Path("a/atoms_001.tif"), Path("a/probe_001.tif"), Path("a/dark_001.tif")),
        (Path("a/shot.h5"),),
        (Path("b/shot.h5"),),
        (Path("b/SHOT.h5"),),
    ]
    names = name_groups(groups)
    assert "001" in names[0]
    assert names[1:] == ["shot", "shot_2", "SHOT_3"]


def test_what_files_have_in_common(tmp_path):
    assert common_source([tmp_path / "a.tif"]) == str(tmp_path / "a.tif")
    assert common_source([tmp_path / "x" / "a.tif", tmp_path / "y"]) == str(tmp_path)
    assert common_source([]) == ""
    assert find_groups([]) == ([], [])
