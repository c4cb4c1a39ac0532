"""The command `design`: what it writes, prints and refuses; in this process."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from napari_coldatoms.backend.tables import read_hdf5
from napari_coldatoms.cli import DONE, USAGE, UsageError, main
from napari_coldatoms.cli.values import numbers
from napari_coldatoms.lattice import design

FLAGS = (
    *("design", "--spacing", "4", "--hwhm", "2.5:3:2", "--brightness", "300,1000"),
    *("--read-noise", "2", "--background", "50"),
)


@pytest.fixture(scope="module")
def expected() -> pd.DataFrame:
    return design(spacing=4, hwhm=[2.5, 3], brightness=[300, 1000], read_noise=2, background=50)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3", [3.0]),
        ("3,4, 5e-1", [3.0, 4.0, 0.5]),
        ("2.5:3.5:5", [2.5, 2.75, 3.0, 3.25, 3.5]),
        ("1,0.1:0.3:3", [1.0, 0.1, 0.2, 0.3]),
        ("3:1:3", [3.0, 2.0, 1.0]),
    ],
)
def test_numbers(text, found):
    assert numbers(text, "--x") == found


@pytest.mark.parametrize(
    "text", ["", "a", "1,", "1:2", "1:2:1", "1:2:3.5", "1:2:1e6", "1:2:99999", "nan", "1:inf:3"]
)
def test_what_are_no_numbers(text):
    with pytest.raises(UsageError, match=r"--x: expected numbers such as 3,4,5 or start:stop:c"):
        numbers(text, "--x")


def test_table_and_plot(one_line, tmp_path, capsys, expected):
    csv, plot = tmp_path / "design.csv", tmp_path / "design.png"
    assert main([*FLAGS, "-o", str(csv), "--plot", str(plot)]) == DONE
    pd.testing.assert_frame_equal(pd.read_csv(csv), expected, check_dtype=False)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["design.csv", "design.png"]
    said = capsys.readouterr()
    assert said.out == ""
    assert one_line(said.err) == f"4 combinations; wrote {csv}, {plot}"


def test_hdf5_keeps_the_units(tmp_path, expected):
    path = tmp_path / "design.h5"
    assert main([*FLAGS, "-o", str(path)]) == DONE
    table = read_hdf5(path)
    np.testing.assert_allclose(table["snr_db"], expected["snr_db"])
    assert table.attrs["units"] == expected.attrs["units"]


def test_printed_as_csv_for_a_program(capsys, expected):
    assert main(list(FLAGS)) == DONE
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0].split(",") == list(expected.columns)
    assert len(lines) == 5


def test_printed_for_a_person(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert main(list(FLAGS)) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    words = lines[0].split()
    assert words[:7] == ["hwhm", "(px)", "brightness", "(counts)", "hwhm/spacing", "SNR", "(dB)"]
    assert words[7::2] == ["deconvolution", "global", "local", "alternating"]
    assert len(lines[0]) < 130


def test_an_objective_of_a_triangular_lattice(capsys):
    flags = [
        *("design", "--kind", "square,triangular", "--spacing", "0.532", "--pixel-size", "0.12"),
        *("--wavelength", "0.78", "--numerical-aperture", "0.7", "--brightness", "500"),
    ]
    assert main(flags) == DONE
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["square", "triangular"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--spacing", "four"), "--spacing: expected numbers such as 3,4,5"),
        (("--spacing", "-4"), "expected spacing to be finite and positive, found -4"),
        (("--wavelength", "0.78"), "either hwhm (px) or numerical_aperture and wavelength"),
        (("--kind", "cubic"), "found 'cubic'"),
        (("--occupancy", "50"), "occupancy between 0 and 1"),
        (("--method", "wiener"), "wiener"),
        (("-o", "gone/design.csv"), "expected an existing folder"),
        (("-o", "design.xls"), "--output: design.xls: expected a name ending in .csv or .h5"),
        (("--plot", "design.bmp"), "--plot: design.bmp: expected a name ending in .png"),
        (("--plot", "gone/design.png"), "expected an existing folder"),
        (
            (
                *("--occupancy", ".2,.5,.7", "--excess-noise", "1:2:3", "--kind"),
                *("square,triangular", "--read-noise", "0:4:4", "--plot", "a.png"),
            ),
            "at most 12 combinations",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(one_line, change, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = dict(zip(FLAGS[1::2], FLAGS[2::2], strict=True))
    flags |= dict(zip(change[::2], change[1::2], strict=True))
    assert main(["design", *(word for pair in flags.items() for word in pair)]) == USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert says in one_line(said.err)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_told(one_line, capsys):
    assert main(["design", "--hwhm", "3", "--brightness", "300"]) == USAGE
    assert "--spacing" in one_line(capsys.readouterr().err)
    assert main(["design", "--spacing", "3", "--brightness", "300"]) == USAGE
    assert "expected hwhm (px), or numerical_aperture" in one_line(capsys.readouterr().err)


def test_help(capsys):
    assert main(["design", "--help"]) == DONE
    text = capsys.readouterr().out
    for flag in ("--spacing", "--numerical-aperture", "--excess-noise", "--plot"):
        assert flag in text
    assert "start:stop:count" in text


def test_without_a_plot_no_matplotlib(monkeypatch, capsys):
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    assert main([*FLAGS[:4], "3", *FLAGS[5:]]) == DONE
    assert "matplotlib" not in sys.modules
    capsys.readouterr()
