"""The command `tune`: what it prints, writes and refuses; in this process."""

from __future__ import annotations

import pandas as pd
import pytest

# before a window of other tests is there: the LLVM of torch's triton crashes beside that of Mesa
import torchvision  # noqa: F401

from napari_coldatoms.cli import DONE, USAGE, main
from napari_coldatoms.clouds.recipe import PAPER
from napari_coldatoms.clouds.tune import read_tuning
from napari_coldatoms.clouds.weights import read_card

SMALL = {"frames": 2, "validation": 1, "canvas": 64, "epochs": 1, "device": "cpu", "trials": 2}


def command(folder, **flags) -> list[str]:
    pairs = (SMALL | {"output": str(folder)} | flags).items()
    return [
        "tune",
        *(f"--{name.replace('_', '-')}={value}" for name, value in pairs if value is not None),
    ]


@pytest.mark.slow
def test_it_trains_and_goes_on(one_line, tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(command(folder)) == DONE
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith("trial 1 of 2, box mAP 0.")
    assert second.endswith("learning-rate 0.000949, momentum 0.81, decay-epochs 9, decay 0.0316")
    assert err.startswith("best: trial ")
    assert f"wrote {folder / 'trials.csv'}, {folder / 'tuning.png'}" in err
    # the weights of each trial are those of its hyperparameters
    recipe = read_card(folder / "trial-001" / "best.safetensors").about["recipe"]
    assert recipe["architecture"] == "small"
    assert recipe["optimiser"] == PAPER.optimiser == "sgd"
    assert (recipe["momentum"], recipe["decay_epochs"]) == (pytest.approx(0.81), 9)
    assert not (folder / "trial-001" / "checkpoint.safetensors").exists()
    # one more
    assert main([*command(folder, trials=3), "--quiet"]) == DONE
    assert capsys.readouterr() == ("", "")
    table = pd.read_csv(folder / "trials.csv")
    found = read_tuning(folder / "tuning.db")
    assert table["trial"].tolist() == [0, 1, 2]
    assert table["value"].tolist() == [each.value for each in found.trials]
    assert table["value"].tolist() == pytest.approx(((table["box"] + table["mask"]) / 2).tolist())
    assert (folder / "tuning.png").read_bytes().startswith(b"\x89PNG")
    # another recipe is another tuning
    assert main(command(folder, epochs=2)) == USAGE
    assert "recipe: epochs 2, found 1" in one_line(capsys.readouterr().err)
    # so are other ranges
    assert main([*command(folder), "--momentum-range", "0.8", "0.9"]) == USAGE
    assert "momentum" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"frames": 0}, "--frames: expected at least 1, found 0"),
        ({"frames": None}, "expected --dataset or --frames, found neither"),
        ({"trials": 0}, "--trials: expected at least 1, found 0"),
        ({"sobol": -1}, "--sobol: expected at least 0, found -1"),
        ({"validation": 0}, "--validation: expected at least 1, found 0"),
        ({"workers": 0}, "--workers: expected at least 1, found 0"),
        ({"paper": 2}, "--paper: expected 0 to 1, found 2.0"),
        ({"batch": 0}, "--batch: expected a whole number from 1 to 1024, found 0"),
        ({"learning_rate": 0.1}, "--learning-rate"),
        ({"dataset": "nowhere", "validation": None}, "nowhere"),
        ({"dataset": "nowhere"}, "--validation: expected none with a dataset, found 1"),
        ({"start_weights": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"start_weights": "coco"}, "coco: expected a network small, found resnet50"),
        (
            {"start_weights": "shipped", "architecture": "resnet50"},
            "expected a network resnet50, found small",
        ),
    ],
)
def test_what_it_cannot_do_is_told_in_one_line(one_line, flags, words, tmp_path, capsys):
    assert main(command(tmp_path / "new", **flags)) == USAGE
    assert words in one_line(capsys.readouterr().err)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--decay-range", "0.5", "0.1"], "--decay-range: expected a range low < high"),
        (["--learning-rate-range", "0", "0.1"], "--learning-rate-range: log: expected"),
        (
            ["--decay-epochs-range", "3.5", "8"],
            "--decay-epochs-range: whole: expected whole",
        ),
    ],
)
def test_ranges_that_are_none(one_line, flags, words, tmp_path, capsys):
    assert main([*command(tmp_path / "new"), *flags]) == USAGE
    assert words in one_line(capsys.readouterr().err)


def test_a_file_is_no_folder(one_line, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert main(command(file)) == USAGE
    assert "--output: expected a folder, found the file" in one_line(capsys.readouterr().err)


def test_flags_are_what_is_not_tuned(capsys):
    assert main(["tune", "--help"]) == DONE
    text = capsys.readouterr().out
    for flag in ("--dataset", "--storage", "--architecture", "--epochs", "--canvas"):
        assert flag in text
    for flag in ("--learning-rate", "--momentum", "--decay", "--decay-epochs", "--schedule"):
        assert f"{flag}-range" in text or flag == "--schedule"
        assert f"{flag} " not in text
