"""The command line: results, exit codes, what is said; in this process and in fresh ones."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_coldatoms import __version__, cli
from napari_coldatoms.analyses.batch import Batch
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.tables import read_hdf5
from napari_coldatoms.cli import DONE, INTERRUPTED, NOTHING, PARTLY, USAGE, commands, main
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate import simulate_triplet

# what these tests are about is the same with every method; this one starts no network
DETECT = ("detect", "--method", "threshold")


@pytest.fixture
def shots(tmp_path) -> Path:
    """Return a folder of three raw triplets, with a cloud at column 40, 55 and 70."""
    folder = tmp_path / "shots"
    folder.mkdir()
    for shot in range(3):
        cloud = Gaussian2D(40.0 + 15 * shot, 50.0, 14.0, 9.0, 0.3, 1.0, 0.0)
        frames = simulate_triplet([cloud], shape=(100, 120), rng=shot).values
        tifffile.imwrite(folder / f"shot_{shot:03d}.tif", frames, photometric="minisblack")
    return folder


def test_version_and_help(capsys):
    assert main(["--version"]) == DONE
    assert capsys.readouterr().out.strip() == __version__
    assert main(["--help"]) == DONE
    text = capsys.readouterr().out
    for command in ("detect", "run", "demo"):
        assert command in text
    for code in ("0 all files", "1 none", "2 wrong usage", "3 some", "130 interrupted"):
        assert code in text


def test_flags_are_the_parameters_of_the_analysis(capsys):
    assert main(["detect", "--help"]) == DONE
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for flag in (
        "--roi-factor FLOAT",
        "--no-fit",
        "--binning INT",
        "--threshold.significance",
        "--network.score",
        "--network.weights PATH",
        "--picture.kind",
        "--picture.background-region",
        "--workers INT",
    ):
        assert flag in text
    assert "[1.0 to 10.0] [default: 2.0]" in text


def test_csv_with_its_recipe(one_line, shots, tmp_path, capsys):
    out = tmp_path / "table.csv"
    assert main([*DETECT, str(shots), "-o", str(out)]) == DONE
    table = pd.read_csv(out)
    assert list(table["shot"]) == [0, 1, 2]
    np.testing.assert_allclose(table["x0"], [40, 55, 70], atol=0.2)
    assert [Path(s).name for s in table["source"]] == [f"shot_{i:03d}.tif" for i in range(3)]
    recipe = Recipe.load(tmp_path / "table.recipe.yaml")
    assert recipe.analysis == "detect_clouds"
    assert recipe.source == str(shots)
    said = capsys.readouterr()
    assert said.out == ""
    assert "3 clouds in 3 pictures of 3 shots" in one_line(said.err)
    assert str(out) in said.err


def test_a_recipe_repeats_what_the_flags_did(shots, tmp_path):
    first, again, saved = tmp_path / "a.csv", tmp_path / "b.h5", tmp_path / "mine.yaml"
    flags = [
        *("--no-fit", "--threshold.significance", "8", "--roi-factor", "1.5"),
        *("--picture.background-region", "0", "0", "10", "120"),
    ]
    code = main([*DETECT, str(shots), "-o", str(first), "--recipe", str(saved), *flags])
    assert code == DONE
    recipe = Recipe.load(saved)
    assert recipe.parameters["fit"] is False
    assert recipe.parameters["roi_factor"] == 1.5
    assert recipe.parameters["threshold"]["significance"] == 8.0
    assert recipe.picture is not None
    assert recipe.picture["background_region"] == [0, 0, 10, 120]
    for path in (saved, tmp_path / "a.recipe.yaml"):
        assert main(["run", str(path), str(shots), "-o", str(again)]) == DONE
        table = read_hdf5(again)
        np.testing.assert_allclose(table["x0"], pd.read_csv(first)["x0"], rtol=1e-12)
        assert table["power_ratio"].between(0.98, 1.02).all()
        assert (table["power_ratio"] != 1).all()
        assert table.attrs["recipe"]["parameters"] == recipe.parameters
        assert table.attrs["recipe"]["picture"] == recipe.picture


def test_without_output_the_table_is_printed_as_csv(shots, capsys):
    assert main([*DETECT, str(shots / "shot_001.tif"), "--quiet"]) == DONE
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0].startswith("shot,")
    assert len(lines) == 2


def test_a_person_sees_the_main_columns(shots, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main([*DETECT, str(shots / "shot_001.tif"), "--quiet"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].split()[:5] == ["shot", "picture", "cloud", "label", "score"]
    assert "wx (px)" in lines[0]
    assert len(lines[0]) < 120


def test_layers_of_every_picture(shots, tmp_path):
    layers = tmp_path / "new" / "layers"
    assert main([*DETECT, str(shots), "-o", str(tmp_path / "t.csv"), "--layers", str(layers)]) == 0
    names = sorted(path.name for path in layers.iterdir())
    assert names[:3] == ["shot_000_boxes.csv", "shot_000_ellipses.csv", "shot_000_masks_cloud.tif"]
    assert len(names) == 9


def test_foreign_files_in_a_folder_are_passed_over(shots, tmp_path, capsys):
    (shots / "readme.txt").write_text("detuned")
    assert main([*DETECT, str(shots), "-o", str(tmp_path / "t.csv")]) == DONE
    first, last = capsys.readouterr().err.strip().splitlines()
    assert first == f"skipped: {shots / 'readme.txt'}: no camera file"
    assert "3 clouds" in last


def test_bad_files_are_named_and_the_others_done(shots, tmp_path, capsys):
    (shots / "shot_001.tif").write_bytes(b"II*\0")
    (shots / "shot_005.h5").write_bytes(b"")
    out = tmp_path / "t.csv"
    assert main([*DETECT, str(shots), str(tmp_path / "gone.tif"), "-o", str(out)]) == PARTLY
    assert list(pd.read_csv(out)["shot"]) == [0, 2]
    failed = [x for x in capsys.readouterr().err.splitlines() if x.startswith("failed: ")]
    for name, line in zip(("shot_001.tif", "shot_005.h5", "gone.tif"), failed, strict=True):
        assert name in line
        assert "expected" in line
        assert "found" in line
    assert list(pd.read_csv(tmp_path / "t.failures.csv")["shot"]) == [1, 3, 4]


def test_nothing_but_bad_files(tmp_path, capsys):
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"")
    out = tmp_path / "t.csv"
    assert main([*DETECT, str(bad), "-o", str(out)]) == NOTHING
    assert not out.exists()
    assert "bad.tif" in capsys.readouterr().err


def test_no_clouds_are_a_result(tmp_path):
    path = tmp_path / "empty.tif"
    frames = simulate_triplet([], shape=(64, 64), rng=1).values
    tifffile.imwrite(path, frames, photometric="minisblack")
    out = tmp_path / "t.csv"
    assert main([*DETECT, str(path), "-o", str(out), "-q"]) == DONE
    table = pd.read_csv(out)
    assert len(table) == 0
    assert "wx" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["detect"], "expected camera files or folders, found none"),
        (["detcet"], "Unknown command"),
        (["detect", "FILE", "--binnning", "2"], "Unknown option"),
        (["detect", "FILE", "--binning", "two"], "expected a whole number, found 'two'"),
        (["detect", "FILE", "--binning", "99"], "--binning: expected a whole number from 1 to 16"),
        (["detect", "FILE", "--threshold.significance", "2.2"], "--threshold: expected floor"),
        (["detect", "FILE", "--picture.min-probe", "-1"], "--picture.min-probe: expected a number"),
        (["detect", "FILE", "--axes", "both"], 'Invalid value "both" for --axes'),
        (["detect", "FILE", "--workers", "0"], "--workers: expected a whole number of at least 1"),
        (["detect", "FILE", "-o", "t.xlsx"], "expected a name ending in .csv or .h5"),
        (["detect", "FILE", "-o", "gone/t.csv"], "expected an existing folder"),
        (["detect", "FILE", "--recipe", "gone/r.yaml"], "expected an existing folder"),
        (["run"], "requires an argument"),
        (["run", "gone.yaml", "FILE"], "gone.yaml: expected a recipe"),
        (["run", "FILE", "FILE"], "expected a recipe, found a file that is no text"),
    ],
)
def test_wrong_usage_is_one_line(
    one_line, shots, capsys, monkeypatch, tmp_path, arguments, message
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    file = str(shots / "shot_000.tif")
    assert main([file if a == "FILE" else a for a in arguments]) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    line = one_line(said.err)
    assert line.startswith("napari-coldatoms: ")
    assert message in line
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_unexpected_is_one_line_too(one_line, shots, tmp_path, capsys, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wished")
    arguments = [*DETECT, str(shots), "--layers", str(blocked)]
    assert main(arguments) == NOTHING
    line = one_line(capsys.readouterr().err)
    assert line.startswith("napari-coldatoms: FileExistsError: ")
    assert "COLDATOMS_TRACEBACK=1 shows where" in line
    monkeypatch.setenv(cli.TRACEBACK, "1")
    assert main(arguments) == NOTHING
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_done(shots, tmp_path, capsys, monkeypatch):
    from napari_coldatoms.analyses import DetectClouds

    detect = DetectClouds.__call__

    def interrupted(self, frame, context=None):
        os.kill(os.getpid(), signal.SIGINT)
        return detect(self, frame, context)

    monkeypatch.setattr(DetectClouds, "__call__", interrupted)
    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "t.csv"
    assert main([*DETECT, str(shots), "-o", str(out)]) == INTERRUPTED
    assert len(pd.read_csv(out)) == 1
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_before_anything_is_done_keeps_an_earlier_table(shots, tmp_path, monkeypatch):
    nothing = Batch(pd.DataFrame(), pd.DataFrame(), cancelled=True)
    monkeypatch.setattr(commands, "process", lambda *_args, **_kwargs: nothing)
    out = tmp_path / "t.csv"
    out.write_text("the table of yesterday")
    assert main([*DETECT, str(shots), "-o", str(out)]) == INTERRUPTED
    assert out.read_text() == "the table of yesterday"


def test_ctrl_c_does_not_end_workers_that_are_loading():
    with commands._pool(2) as pool:
        for process in list(pool._processes.values()):
            os.kill(process.pid, signal.SIGINT)
        assert list(pool.map(abs, [-1, -2])) == [1, 2]


def run_fresh(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "napari_coldatoms", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


@pytest.mark.slow
def test_as_a_program_with_two_workers(one_line, shots, tmp_path):
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    assert main([*DETECT, str(shots), "-o", str(one), "-q"]) == DONE
    done = run_fresh(*DETECT, str(shots), "-o", str(two), "--workers", "2")
    assert done.returncode == DONE, done.stderr
    assert "3 clouds" in one_line(done.stderr)  # no bar where nobody looks
    pd.testing.assert_frame_equal(pd.read_csv(two), pd.read_csv(one))


def test_as_a_program_that_fails(tmp_path):
    done = run_fresh(*DETECT, str(tmp_path / "gone.tif"))
    assert done.returncode == NOTHING
    assert "Traceback" not in done.stderr
    assert "nothing of this name" in done.stderr


def test_a_reader_that_stops_early_is_no_error(shots):
    process = subprocess.Popen(
        [sys.executable, "-m", "napari_coldatoms", *DETECT, str(shots), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert process.returncode == DONE


def test_real_files(real_data, tmp_path, capsys):
    out = tmp_path / "t.csv"
    code = main(
        [
            *DETECT,
            *(str(real_data / name) for name in ("ring_bec_tiff", "oqtant_rb87", "format_samples")),
            *("-o", str(out)),
        ]
    )
    # a folder without any camera file was named: that is a failure, its files are passed over
    assert code == PARTLY
    table = pd.read_csv(out)
    by_source = table.groupby(table["source"].map(lambda s: Path(s).parent.name))
    assert set(by_source.groups) == {"ring_bec_tiff", "oqtant_rb87"}
    # one shot for each triplet of files, each with its picture
    oqtant = by_source.get_group("oqtant_rb87")
    assert set(oqtant["picture"].str.split().str[-1]) >= {"tof_image", "it_plot"}
    tof = oqtant[oqtant["picture"].str.endswith("tof_image")]
    assert tof.groupby("source").size().tolist() == [1] * 4
    assert (tof["wx_um"] / tof["wx"]).round(2).unique().tolist() == [4.4]
    errors = capsys.readouterr().err
    skipped = [line for line in errors.splitlines() if line.startswith("skipped: ")]
    for name in ("andor_probe.asc", "image.sif", "small_roi.spe"):
        assert any(name in line for line in skipped)


def test_the_demo_gets_its_folder(tmp_path, monkeypatch):
    # the demo itself has its own test; here: that the command reaches it
    import napari_coldatoms.demo

    seen = []
    monkeypatch.setattr(napari_coldatoms.demo, "run_demo", lambda output: seen.append(output) or 0)
    assert main(["demo", "--output", str(tmp_path / "d")]) == DONE
    assert main(["demo"]) == DONE
    assert seen == [tmp_path / "d", Path("demo-output")]
