"""The command `evaluate`: what it prints, writes and refuses; in this process."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from napari_coldatoms.cli import DONE, USAGE, main


def test_tables_and_figure(one_line, tmp_path, capsys):
    flags = ("--frames", "4", "--method", "threshold-fit", "--unseeded", "1")
    assert main(["evaluate", *flags, "--output", str(tmp_path / "new")]) == DONE
    out, err = capsys.readouterr()
    assert out.startswith("threshold-fit, paper set: 4 frames")
    assert "wrote" in one_line(err)
    written = {path.name: path for path in (tmp_path / "new").iterdir()}
    tables = ("scores", "errors", "fits", "clouds")
    assert set(written) == {
        *(f"paper-threshold-fit-{table}.csv" for table in tables),
        *("paper-threshold-fit.png", "paper-threshold-fit.json"),
    }
    plain = json.loads(written["paper-threshold-fit.json"].read_text())
    scores = pd.read_csv(written["paper-threshold-fit-scores.csv"])
    assert scores.loc[0, "mask_map"] == pytest.approx(plain["mask_map"])
    assert plain["frames"] == 4
    errors = pd.read_csv(written["paper-threshold-fit-errors.csv"])
    assert len(errors) == len(plain["errors"]) > 0
    assert written["paper-threshold-fit.png"].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--frames", "0"), "--frames: expected 1 to 300, found 0"),
        (("--frames", "301"), "--frames: expected 1 to 300, found 301"),
        (("--unseeded", "-1"), "--unseeded: expected no negative number, found -1"),
        (("--method", "yolo"), "yolo"),
        (("--set", "soft"), "soft"),
        (("--method", "threshold", "--weights", "w"), "--weights: expected a method with a net"),
        (("--output", "FILE"), "--output: expected a folder, found the file"),
        (("--weights", "FILE"), "expected weights as safetensors, found"),
        (("--weights", "/no/such/file"), "/no/such/file"),
    ],
)
def test_what_is_refused(one_line, flags, message, tmp_path, capsys):
    (tmp_path / "file").write_text("no weights")
    flags = [flag.replace("FILE", str(tmp_path / "file")) for flag in flags]
    assert main(["evaluate", *flags]) == USAGE
    out, err = capsys.readouterr()
    assert not out
    assert message in one_line(err)
