"""The command `train`: what it prints, writes and refuses; in this process."""

from __future__ import annotations

import pytest

# before a window of other tests is there: the LLVM of torch's triton crashes beside that of Mesa
import torchvision  # noqa: F401

from napari_coldatoms.cli import DONE, USAGE, main
from napari_coldatoms.clouds.weights import read_card

SMALL = {"frames": "2", "canvas": "64", "large": "0", "batch": "2", "device": "cpu"}


def command(folder, **flags) -> list[str]:
    pairs = (SMALL | {"output": str(folder)} | flags).items()
    return ["train", *(f"--{name.replace('_', '-')}={value}" for name, value in pairs)]


@pytest.mark.slow
def test_it_trains_and_goes_on_where_it_was(one_line, tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(command(folder, epochs=2, validation=1)) == DONE
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith("epoch 1 of 2, loss ")
    assert "box mAP 0." in second
    assert one_line(err).startswith(f"wrote {folder}/best.safetensors")
    assert read_card(folder / "best.safetensors").about["recipe"]["epochs"] == 2
    # all is done
    assert main([*command(folder, epochs=2, validation=1), "--quiet"]) == DONE
    assert capsys.readouterr() == ("", "")
    # another recipe is another training
    assert main(command(folder, epochs=3, validation=1)) == USAGE
    assert "expected a training with recipe" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"frames": 0}, "--frames: expected at least 1, found 0"),
        ({"validation": -1}, "--validation: expected no negative number, found -1"),
        ({"paper": 2}, "--paper: expected 0 to 1, found 2.0"),
        ({"batch": 0}, "--batch: expected a whole number from 1 to 1024, found 0"),
        ({"batch": 1.5}, "expected a whole number, found '1.5'"),
        ({"recipe": "best"}, "--recipe"),
        ({"start_weights": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_what_it_cannot_do_is_told_in_one_line(one_line, flags, words, tmp_path, capsys):
    assert main(command(tmp_path / "new", **flags)) == USAGE
    assert words in one_line(capsys.readouterr().err)


def test_a_file_is_no_folder(one_line, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    assert main(command(file)) == USAGE
    assert "--output: expected a folder, found the file" in one_line(capsys.readouterr().err)


def test_flags_are_the_parameters_of_a_recipe(capsys):
    assert main(["train", "--help"]) == DONE
    text = capsys.readouterr().out
    for flag in ("--recipe", "--learning-rate", "--epochs", "--no-resume", "--start-weights"):
        assert flag in text
