"""The command `count`, and `run` with a recipe of it: what they write, say and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_coldatoms import photons
from napari_coldatoms.analyses import CountAtoms
from napari_coldatoms.backend.tables import read_hdf5
from napari_coldatoms.cli import DONE, NOTHING, PARTLY, USAGE, main

MODEL = photons.PAPER_MODEL


@pytest.fixture(scope="module")
def counts() -> tuple[np.ndarray, list[np.ndarray]]:
    controls = photons.simulate_controls(MODEL, 3000, single_atom_loss=0.03, rng=1)
    sample = photons.simulate_mixture(MODEL, [0.3, 0.3, 0.4], 1000, rng=2).counts
    return sample, list(controls)


@pytest.fixture(scope="module")
def folder(counts, tmp_path_factory) -> Path:
    sample, controls = counts
    folder = tmp_path_factory.mktemp("count")
    (folder / "day").mkdir()
    (folder / "day.json").mkdir()
    (folder / "wide.txt").write_text("7\n100000000\n")
    pd.DataFrame({"counts": sample}).to_csv(folder / "day" / "sample.csv", index=False)
    pd.DataFrame({"counts": sample[::-1]}).to_csv(folder / "day" / "second.csv", index=False)
    for number, each in enumerate(controls):
        np.savetxt(folder / f"c{number}.txt", each, fmt="%d")
    return folder


@pytest.fixture(scope="module")
def expected(counts) -> pd.DataFrame:
    sample, controls = counts
    return CountAtoms(exposure=1e-3, level=0.9).count(sample, controls).table()


@pytest.fixture
def flags(folder) -> list[str]:
    files = [str(folder / f"c{number}.txt") for number in range(3)]
    return ["--controls", *files, "--exposure", "1e-3", "--level", "0.9"]


@pytest.fixture
def sample(folder) -> str:
    return str(folder / "day" / "sample.csv")


def test_everything_is_written(one_line, sample, flags, tmp_path, capsys, expected):
    names = {
        flag: tmp_path / name
        for flag, name in {
            "--output": "table.csv",
            "--json": "all.json",
            "--figure": "figure.svg",
            "--recipe": "mine.yaml",
            "--shots": "shots.csv",
        }.items()
    }
    more = [word for flag, path in names.items() for word in (flag, str(path))]
    assert main(["count", sample, *flags, *more]) == DONE
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "table.csv"), expected, check_dtype=False)
    assert len(pd.read_csv(tmp_path / "table.parameters.csv")) == 6
    found = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert found["level"] == 0.9
    assert "<svg" in (tmp_path / "figure.svg").read_text(encoding="utf-8")
    shots = pd.read_csv(tmp_path / "shots.csv")
    assert len(shots) == 1000
    said = capsys.readouterr()
    assert said.out == ""
    line = one_line(said.err)
    assert line.startswith("1000 shots, 3000 control shots; χ² ")
    assert str(tmp_path / "figure.svg") in line


def test_printed_for_a_program_and_for_a_person(sample, flags, capsys, monkeypatch, expected):
    assert main(["count", sample, *flags, "--quiet"]) == DONE
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == "atoms,probability,low,high"
    assert float(lines[3].split(",")[1]) == pytest.approx(expected.probability[2])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(["count", sample, *flags, "--quiet"]) == DONE
    assert capsys.readouterr().out.split()[:4] == ["atoms", "probability", "low", "high"]


def test_hdf5_keeps_the_recipe(sample, flags, tmp_path, expected):
    assert main(["count", sample, *flags, "-o", str(tmp_path / "t.h5"), "-q"]) == DONE
    table = read_hdf5(tmp_path / "t.h5")
    np.testing.assert_allclose(table.probability, expected.probability)
    assert table.attrs["recipe"]["analysis"] == "count_atoms"


def test_a_recipe_repeats_it(sample, flags, folder, tmp_path, capsys, monkeypatch, expected):
    saved = tmp_path / "mine.yaml"
    assert main(["count", sample, *flags, "--recipe", str(saved), "-q"]) == DONE
    monkeypatch.chdir(tmp_path)  # its files are found from anywhere
    out = tmp_path / "again.csv"
    assert main(["run", str(saved), sample, "-o", str(out), "-q"]) == DONE
    pd.testing.assert_frame_equal(pd.read_csv(out), expected, check_dtype=False)
    # a folder of samples
    out, shots = tmp_path / "day.csv", tmp_path / "shots.h5"
    flags = ["-o", str(out), "--shots", str(shots)]
    assert main(["run", str(saved), str(folder / "day"), *flags]) == DONE
    table = pd.read_csv(out)
    assert [Path(path).name for path in table.source] == ["sample.csv"] * 3 + ["second.csv"] * 3
    np.testing.assert_allclose(table.probability[:3], table.probability[3:])
    assert len(read_hdf5(shots)) == 2000
    capsys.readouterr()


def test_one_bad_sample_does_not_stop_the_others(one_line, sample, flags, tmp_path, capsys):
    saved, bad = tmp_path / "mine.yaml", tmp_path / "bad.csv"
    bad.write_text("counts\n3\n-1\n")
    assert main(["count", sample, *flags, "--recipe", str(saved), "-q"]) == DONE
    capsys.readouterr()
    assert main(["run", str(saved), str(bad), sample, "-q"]) == PARTLY
    said = capsys.readouterr()
    assert one_line(said.err).startswith(f"failed: {bad}: expected")
    assert len(said.out.splitlines()) == 4
    assert main(["run", str(saved), str(bad), "-q"]) == NOTHING
    assert main(["run", str(saved)]) == USAGE


def test_doubts_are_told(sample, folder, capsys):
    swapped = [str(folder / f"c{number}.txt") for number in (1, 0, 2)]
    assert main(["count", sample, "--controls", *swapped]) == DONE
    said = capsys.readouterr()
    assert "note: expected mean counts that rise" in said.err
    assert "wrong order" in said.err


def test_guesses_are_told_with_their_flag(counts, flags, tmp_path, capsys):
    table = np.column_stack([np.arange(1000), counts[0]])
    np.savetxt(tmp_path / "numbered.txt", table, fmt="%d")
    assert main(["count", str(tmp_path / "numbered.txt"), *flags]) == DONE
    assert "--layout histogram" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (["--controls", "c0.txt"], NOTHING, "expected the prepared atom number of each shot"),
        (["--controls", "no.txt", "c1.txt"], NOTHING, "no.txt: expected a file of counts"),
        (["--level", "2"], USAGE, "--level: expected a number from 0.01"),
        (["--resamples", "40.5"], USAGE, "--resamples: expected a whole number, found '40.5'"),
        (["--likelihood", "effective"], USAGE, "expected the basis 'events'"),
        (["--output", "t.xls"], USAGE, "--output: t.xls: expected a name ending in .csv or .h5"),
        (["--json", "t.txt"], USAGE, "--json: t.txt: expected a name ending in .json"),
        (["--figure", "t.bmp"], USAGE, "expected a name ending in .png or .svg"),
        (["--figure", "gone/t.png"], USAGE, "expected an existing folder"),
        (["--recipe", "t"], USAGE, "--recipe: t: expected a name ending in .yaml or .yml"),
        (["--output", "day/sample.csv"], USAGE, "--output: day/sample.csv: expected a new file"),
        (["--output", "day/../day/sample.csv"], USAGE, "expected a new file, found one that is re"),
        (["--shots", "day/sample.csv"], USAGE, "--shots: day/sample.csv: expected a new file"),
        (["--output", "t.csv", "--shots", "t.csv"], USAGE, "of its own, found that of --output"),
        (["--output", "t.csv", "--shots", "t.parameters.csv"], USAGE, "--shots: t.parameters.csv"),
        (["--controls", "c0.txt", "wide.txt"], NOTHING, "failed: expected controls for 1 atom"),
        (["--json", "day.json"], NOTHING, "day.json: expected a file that can be written, found a"),
        (["--block", "5000"], NOTHING, "sample.csv: expected blocks"),
        (["--layout", "histogram"], NOTHING, "expected two columns"),
    ],
)
def test_bad_input_is_told_in_one_line(
    one_line, change, code, says, sample, flags, folder, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    words = {"--controls": flags[4:], "--level": flags[:-2]}.get(change[0], flags)
    found = main(["count", sample, *words, *change])
    said = capsys.readouterr()
    assert sorted(folder.iterdir()) == before
    assert found == code
    assert said.out == ""
    assert says in one_line(said.err)


def test_a_recipe_never_writes_over_what_it_reads(one_line, sample, flags, tmp_path, capsys):
    recipe = tmp_path / "mine.yaml"
    assert main(["count", sample, *flags, "-q", "--recipe", str(recipe)]) == DONE
    capsys.readouterr()
    before = Path(sample).read_bytes()
    for flag, name in (("-o", sample), ("--shots", flags[1])):
        # a control has no suffix of a table
        said_of = "expected a new file" if flag == "-o" else "expected a name ending in"
        assert main(["run", str(recipe), sample, flag, name]) == USAGE
        assert said_of in one_line(capsys.readouterr().err)
    assert Path(sample).read_bytes() == before


def test_shots_of_a_histogram_cannot_be_told(one_line, counts, flags, tmp_path, capsys):
    n, times = np.unique(counts[0], return_counts=True)
    path = tmp_path / "h.csv"
    pd.DataFrame({"n": n, "occurrences": times}).to_csv(path, index=False)
    more = ["--shots", str(tmp_path / "s.csv"), "-q"]
    assert main(["count", str(path), *flags, *more]) == NOTHING
    assert "found a histogram" in one_line(capsys.readouterr().err)
    assert main(["count", str(path), *flags, "-q"]) == DONE


def test_help(capsys):
    assert main(["count", "--help"]) == DONE
    text = capsys.readouterr().out
    for flag in ("--controls", "--exposure", "--one-atom-loss", "--block", "--figure", "--json"):
        assert flag in text


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Return a folder with 150 shots of two images in a row, and the labels of two sites."""
    folder = tmp_path_factory.mktemp("images")
    labels = np.zeros((12, 20), dtype=np.uint8)
    labels[4:8, 3:7], labels[4:8, 13:17] = 1, 2
    rng = np.random.default_rng(1)
    first = rng.random((150, 2)) < 0.5
    atoms = np.stack([first, first & (rng.random(first.shape) < 0.8)], axis=1).reshape(300, 2)
    light = 5.0 + 8.0 * (atoms @ np.stack([labels == 1, labels == 2]).reshape(2, -1))
    frames = rng.poisson(light).reshape(300, *labels.shape).astype(np.uint16)
    tifffile.imwrite(folder / "shots.tif", frames, photometric="minisblack")
    tifffile.imwrite(folder / "sites.tif", labels)
    np.save(folder / "truth.npy", atoms)
    return folder


def test_sites_in_images(one_line, images, tmp_path, capsys):
    flags = ["--images", str(images / "shots.tif"), "--regions", str(images / "sites.tif")]
    out, called = tmp_path / "sites.csv", tmp_path / "called.h5"
    more = ["--sites.images", "2", "-o", str(out), "--shots", str(called)]
    assert main(["count", *flags, *more]) == DONE
    assert one_line(capsys.readouterr().err).startswith("2 sites in 150 shots of 2 images; wrote")
    table = pd.read_csv(out)
    atoms = np.load(images / "truth.npy").T.reshape(2, 150, 2)
    np.testing.assert_allclose(table.loading, atoms[..., 0].mean(axis=1))
    assert table.survival.between(0.7, 0.9).all()
    np.testing.assert_array_equal(read_hdf5(called).called, atoms.ravel())
    # the parameters of the sites are flags
    more = ["--sites.background", "ring", "--sites.em-gain", "300", "--json"]
    assert main(["count", *flags, *more, str(tmp_path / "s.json"), "-q"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    found = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    assert found["units"]["threshold"] == "photons"


def test_images_and_regions_go_together(one_line, images, sample, capsys, tmp_path):
    shots, sites = str(images / "shots.tif"), str(images / "sites.tif")
    for words, code, says in (
        (["--images", shots], USAGE, "found --images only"),
        (["--regions", sites], USAGE, "found --regions only"),
        ([sample, "--images", shots, "--regions", sites], USAGE, "without SAMPLE"),
        (["--images", shots, "--regions", sites, "--figure", "a.png"], USAGE, "without --figure"),
        ([], USAGE, "expected a file of counts, or --images"),
        (["--images", shots, "--regions", shots], NOTHING, "expected a label image"),
        (["--images", sites + "x", "--regions", sites], NOTHING, "sites.tifx"),
        (["--images", shots, "--regions", sites, "--sites.images", "7"], NOTHING, "7 images"),
    ):
        assert main(["count", *words]) == code
        assert says in one_line(capsys.readouterr().err)
