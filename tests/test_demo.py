"""The demo, headless, as `make demo` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.io import imread

from napari_coldatoms import samples
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.clouds.weights import SHIPPED, digest

DEMO = "import sys; from pathlib import Path; from napari_coldatoms.demo import run_demo; "
DEMO += "sys.exit(run_demo(Path(sys.argv[1])))"


def run_demo(output: Path, **environment: str) -> subprocess.CompletedProcess:
    # a process of its own: it opens a window and sets the environment for it
    inherited = {name: value for name, value in os.environ.items() if name != "NAPARI_CONFIG"}
    return subprocess.run(
        [sys.executable, "-c", DEMO, str(output)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_it_shows_and_saves_the_main_job(tmp_path, qapp) -> None:
    home = tmp_path / "home"
    home.mkdir()
    output = tmp_path / "demo-output"
    done = run_demo(
        output, COLDATOMS_HEADLESS="1", HOME=str(home), XDG_CONFIG_HOME=str(home / "config")
    )
    assert done.returncode == 0, done.stderr
    assert "wx (µm)" in done.stdout
    assert "±" in done.stdout
    assert str(output) in done.stdout

    truth = samples.mot_and_odt().attrs["truth"]["clouds"]
    table = pd.read_csv(output / "table.csv")
    assert len(table) == len(truth) == 2
    for cloud in truth:
        distance = ((table["x0"] - cloud["x0"]) ** 2 + (table["y0"] - cloud["y0"]) ** 2) ** 0.5
        found = table.loc[distance.idxmin()]
        # fringes of 3 % shift a faint cloud by a part of its radius
        assert distance.min() < 0.05 * cloud["wx"]
        assert found["wx"] == pytest.approx(cloud["wx"], rel=0.1)
        assert found["label"] == cloud["label"]
    recipe = Recipe.load(output / "recipe.yaml")
    assert recipe.analysis == "detect_clouds"
    assert recipe.made_with == {"weights": SHIPPED.name, "sha256": digest(SHIPPED)}
    masks = sorted(output.glob("*masks*.tif"))
    assert [path.stem.rpartition("_")[2] for path in masks] == ["MOT", "ODT"]
    numbers = [set(np.unique(tifffile.imread(path))) - {0} for path in masks]
    assert sorted(map(list, numbers)) == [[1], [2]]
    assert len(list(output.glob("*boxes.csv"))) == len(list(output.glob("*ellipses.csv"))) == 1

    seen = imread(output / "screenshot.png")
    assert seen.shape[:2] == (1000, 1600)
    assert seen[200:800, 400:1000, :3].std() > 15  # the canvas is not empty
    # nothing of the user's is touched: neither napari's settings nor remembered parameters
    assert not list(home.rglob("settings*.yaml"))
    assert not list(home.rglob("parameters.json"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have a screen")
def test_without_a_screen_it_says_what_to_do(tmp_path) -> None:
    done = run_demo(tmp_path / "out", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 1
    assert "make demo" in done.stderr
    assert not (tmp_path / "out").exists()
