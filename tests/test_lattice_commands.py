"""The commands `calibrate` and `reconstruct`: what they write, say and refuse; in this process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_coldatoms import samples
from napari_coldatoms.analyses import load_calibration, save_calibration
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.tables import read_hdf5
from napari_coldatoms.cli import DONE, NOTHING, PARTLY, USAGE, main

SHOTS = (0, 1, 11, 12, 13)
EMPTY = 3  # of these


@pytest.fixture(scope="module")
def stack():
    return samples.drifting_lattice()[list(SHOTS)]


@pytest.fixture(scope="module")
def occupied(stack) -> np.ndarray:
    return np.array(stack.attrs["truth"]["occupied"])[list(SHOTS)]


@pytest.fixture(scope="module")
def folder(stack, tmp_path_factory) -> Path:
    """Return a folder of one file for each shot, and in `made` what `calibrate` makes of it."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "shots").mkdir()
    for number, image in enumerate(stack.to_numpy()):
        tifffile.imwrite(folder / "shots" / f"shot_{number:03d}.tif", image)
    return folder


@pytest.fixture(scope="module")
def calibrated(folder) -> Path:
    path = folder / "sites.yaml"
    assert main(["calibrate", str(folder / "shots"), "-o", str(path), "--read-noise", "2"]) == DONE
    return path


def test_calibrate_finds_the_sample(folder, calibrated, stack):
    found = load_calibration(calibrated)
    truth = stack.attrs["truth"]
    assert found.quality.trusted
    assert (found.quality.shots, found.quality.trusted_shots) == (5, 4)
    assert found.source == str(folder / "shots")
    assert found.image_shape == (186, 188)
    assert found.psf.hwhm == pytest.approx(truth["hwhm_px"], rel=0.03)
    assert sorted(found.quality.spacing) == pytest.approx([4.0, 4.0], rel=5e-4)
    assert min(np.abs(found.quality.angle)) == pytest.approx(np.degrees(0.01), abs=0.05)
    assert len(found.phase_track) == 5
    assert calibrated.with_suffix(".npz").is_file()


def test_calibrate_says_what_it_found(one_line, folder, calibrated, tmp_path, capsys):
    files = [str(folder / "shots" / f"shot_{k:03d}.tif") for k in (0, 2)]
    out = tmp_path / "again.yaml"
    flags = ["--guess", str(calibrated), "--read-noise", "2", "-o", str(out)]
    assert main(["calibrate", *files, *flags]) == DONE
    said = capsys.readouterr()
    told = dict(line.split(maxsplit=1) for line in said.out.splitlines())
    assert told["sites"] == "1600 (lattice)"
    assert "±" in told["spacing"]
    assert told["spacing"].endswith("px")
    assert told["SNR"].endswith("dB")
    assert told["trusted"] == "yes"
    assert "PSF HWHM " in said.out
    assert "expected errors " in said.out
    assert f"wrote {out}, {tmp_path / 'again.npz'}" in one_line(said.err)


def test_a_calibration_in_doubt_is_written_and_told(folder, tmp_path, capsys, monkeypatch):
    from napari_coldatoms.cli import lattice

    def doubtful(*args, **kwargs):
        found = find(*args, **kwargs)
        quality = replace(found.quality, trusted=False, remarks=("few atoms",))
        return replace(found, quality=quality)

    find = lattice.calibrate_lattice
    monkeypatch.setattr(lattice, "calibrate_lattice", doubtful)
    out = tmp_path / "a.yaml"
    files = [str(folder / "shots" / f"shot_{k:03d}.tif") for k in (0, 1)]
    assert main(["calibrate", *files, "-o", str(out), "-q"]) == PARTLY
    said = capsys.readouterr()
    assert "trusted          NO\nremark           few atoms" in said.out
    assert said.err == ""
    assert not load_calibration(out).quality.trusted


def test_nothing_to_be_seen_is_told_in_one_line(one_line, folder, tmp_path, capsys):
    out = tmp_path / "a.yaml"
    empty = folder / "shots" / f"shot_{EMPTY:03d}.tif"
    assert main(["calibrate", str(empty), "-o", str(out)]) == NOTHING
    assert one_line(capsys.readouterr().err).startswith("failed: expected images that show")
    assert list(tmp_path.iterdir()) == []


def test_reconstruct_writes_sites_and_shots(
    one_line, folder, calibrated, occupied, tmp_path, capsys
):
    sites, shots, recipe = (tmp_path / name for name in ("sites.csv", "shots.csv", "r.yaml"))
    command = ["reconstruct", str(folder / "shots"), "--calibration", str(calibrated)]
    command += ["-o", str(sites), "--shots", str(shots), "--recipe", str(recipe)]
    assert main([*command, "--layers", str(tmp_path / "layers")]) == DONE
    table = pd.read_csv(sites)
    assert len(table) == occupied.size
    assert (table.groupby("shot")["occupied"].sum().to_numpy() == occupied.sum(axis=1)).all()
    told = pd.read_csv(shots)
    assert list(told["atoms"]) == list(occupied.sum(axis=1))
    assert list(told["trusted"]) == [number != EMPTY for number in range(5)]
    line = one_line(capsys.readouterr().err)
    assert line.startswith(f"{occupied.size} sites in 5 pictures of 5 shots; wrote {sites}")
    assert sorted(path.name for path in (tmp_path / "layers").iterdir()) == [
        "shot_outline.csv",
        "shot_sites.csv",
    ]
    assert Recipe.load(recipe).parameters["calibration"] == str(calibrated)

    again, again_shots = tmp_path / "again.h5", tmp_path / "again_shots.csv"
    files = [str(folder / "shots" / f"shot_{k:03d}.tif") for k in (1, EMPTY)]
    command = ["run", str(recipe), *files, "-o", str(again), "--shots", str(again_shots), "-q"]
    assert main(command) == DONE
    table = read_hdf5(again)
    assert table.attrs["units"]["y"] == "px"
    assert (table.groupby("shot")["occupied"].sum() == occupied[[1, EMPTY]].sum(axis=1)).all()
    assert list(pd.read_csv(again_shots)["atoms"]) == list(occupied[[1, EMPTY]].sum(axis=1))


def test_printed_as_csv_for_a_program_and_short_for_a_person(
    folder, calibrated, capsys, monkeypatch
):
    shot = str(folder / "shots" / "shot_001.tif")
    command = ["reconstruct", shot, "--calibration", str(calibrated), "-q"]
    assert main(command) == DONE
    assert capsys.readouterr().out.splitlines()[0].startswith("shot,")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(command) == DONE
    words = capsys.readouterr().out.splitlines()[0].split()
    assert words[:3] == ["shot", "i", "j"]
    assert words[-1] == "atom"


def test_two_frames_of_a_file_are_a_pair(tmp_path, capsys):
    stack = samples.survival_pair()[:2]
    truth = np.array(stack.attrs["truth"]["occupied"])[:2]
    for number, frames in enumerate(stack.to_numpy()):
        tifffile.imwrite(tmp_path / f"shot_{number}.tif", frames, photometric="minisblack")
    files = [str(tmp_path / f"shot_{k}.tif") for k in (0, 1)]
    out = tmp_path / "a.yaml"
    assert main(["calibrate", *files, "--pairs", "-o", str(out), "--read-noise", "2", "-q"]) == DONE
    capsys.readouterr()
    survival = tmp_path / "survival.csv"
    command = ["reconstruct", *files, "--pairs", "--calibration", str(out)]
    flags = ["-o", str(tmp_path / "sites.csv"), "--survival", str(survival)]
    assert main([*command, *flags]) == DONE
    last = pd.read_csv(survival).iloc[-1]
    stayed = (truth[:, 0] & truth[:, 1]).sum() / truth[:, 0].sum()
    assert last["survival"] == pytest.approx(stayed, abs=0.005)
    sites = pd.read_csv(tmp_path / "sites.csv")
    atoms = sites.groupby(["shot", "image"])["occupied"].sum().to_numpy()
    np.testing.assert_allclose(atoms, truth.sum(axis=2).ravel(), atol=1)


def test_a_table_that_there_is_not_is_told(folder, calibrated, tmp_path, capsys):
    shot = str(folder / "shots" / "shot_001.tif")
    command = ["reconstruct", shot, "--calibration", str(calibrated)]
    out = tmp_path / "sites.csv"
    assert main([*command, "-o", str(out), "--survival", str(tmp_path / "s.csv")]) == DONE
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"note: there is no table of pairs; {tmp_path / 's.csv'} was not written"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("calibrate", "-o", "a.yaml"), "expected camera files or folders, found none"),
        (("calibrate", "SHOTS"), "--output"),
        (("calibrate", "SHOTS", "-o", "a.txt"), "a.txt: expected a name ending in .yaml"),
        (("calibrate", "SHOTS", "-o", "gone/a.yaml"), "expected an existing folder"),
        (("calibrate", "SHOTS", "-o", "a.yaml", "--guess", "no.yaml"), "found No such file"),
        (("calibrate", "SHOTS", "-o", "a.yaml", "--arrangement", "round"), "round"),
        (("reconstruct", "SHOTS", "--calibration", "no.yaml"), "no.yaml: expected a calibration"),
        (("reconstruct", "--calibration", "SITES"), "expected camera files or folders, found no"),
        (("reconstruct", "SHOTS", "--method", "guess"), "guess"),
        (("reconstruct", "SHOTS", "--excess-noise", "0"), "--excess-noise: expected a number from"),
        (("reconstruct", "SHOTS", "--shots", "s.xls"), "--shots: s.xls: expected a name ending"),
        (("reconstruct", "SHOTS", "-o", "gone/s.csv"), "expected an existing folder"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    one_line, command, says, folder, calibrated, capsys, tmp_path, monkeypatch
):
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    places = {"SHOTS": str(folder / "shots"), "SITES": str(calibrated)}
    assert main([places.get(word, word) for word in command]) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert says in one_line(said.err)
    assert list(tmp_path.iterdir()) == []


def test_images_of_two_sizes_and_damaged_files(one_line, folder, calibrated, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a_0.tif", np.zeros((20, 20), np.uint16))
    tifffile.imwrite(tmp_path / "b_1.tif", np.zeros((20, 30), np.uint16))
    out = str(tmp_path / "a.yaml")
    assert main(["calibrate", str(tmp_path), "-o", out]) == NOTHING
    line = one_line(capsys.readouterr().err)
    assert "expected images of one kind and size, found 2: a_0 (20×20), b_1 (20×30)" in line
    (tmp_path / "b_1.tif").write_bytes(b"nothing")
    (tmp_path / "a_0.tif").unlink()
    assert main(["calibrate", str(tmp_path), "-o", out]) == NOTHING
    assert "b_1.tif" in one_line(capsys.readouterr().err)
    save_calibration(replace(load_calibration(calibrated), image_shape=(9, 9)), out)
    shot = str(folder / "shots" / "shot_001.tif")
    assert main(["reconstruct", shot, "--calibration", out]) == NOTHING
    assert "expected images of 9 × 9 pixels" in capsys.readouterr().err.splitlines()[0]


def test_pictures_are_fluorescence_unless_told(folder, calibrated, tmp_path):
    shot = str(folder / "shots" / "shot_001.tif")
    command = ["reconstruct", shot, "--calibration", str(calibrated), "-q"]
    recipe = tmp_path / "r.yaml"
    flags = ["--picture.subtract", "none", "--recipe", str(recipe)]
    assert main([*command, *flags, "-o", str(tmp_path / "s.csv")]) == DONE
    picture = Recipe.load(recipe).picture
    assert (picture["kind"], picture["subtract"]) == ("fluorescence", "none")


def test_help(capsys):
    for command, words in {
        "calibrate": ("--guess", "--arrangement", "--pairs", "--picture.kind"),
        "reconstruct": ("--calibration", "--shots", "--survival", "--phase", "--brightness-map"),
    }.items():
        assert main([command, "--help"]) == DONE
        text = capsys.readouterr().out
        assert all(word in text for word in words)
