"""What is loaded when: shown in fresh processes, where nothing was imported before."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import napari_coldatoms

PACKAGE = Path(napari_coldatoms.__file__).parent
WIDGETS = sorted(
    f"napari_coldatoms.widgets.{path.stem}"
    for path in (PACKAGE / "widgets").glob("*.py")
    if path.stem != "__init__"
)
HEAVY = ("torch", "torchvision", "sklearn", "matplotlib", "optuna")
GUI = ("qtpy", "PyQt5", "PyQt6", "PySide6", "superqt", "pyqtgraph", "magicgui", "vispy")


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that are loaded after some code, and napari's viewer."""
    script = f"{code}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    modules = done.stdout.split()
    viewer = {name for name in modules if name.startswith("napari.") and "viewer" in name}
    return {name.partition(".")[0] for name in modules} | viewer


def test_the_package_loads_next_to_nothing():
    loaded = loaded_by("import napari_coldatoms")
    forbidden = {*HEAVY, *GUI, "napari", "numba", "xarray", "pandas", "scipy", "dask", "numpy"}
    assert "napari_coldatoms" in loaded
    assert not loaded & forbidden


def test_what_works_without_a_window_loads_none():
    modules = (
        *("images", "readers.layers", "clouds", "backend", "backend.tables", "backend.layer_files"),
        *("analyses.detect_clouds", "analyses.batch", "analyses.plots", "samples"),
        *("analyses.reconstruct_lattice", "lattice", "cli.commands", "cli.design", "cli.lattice"),
        *("analyses.count_atoms", "photons", "readers.count_files", "cli.count", "cli.train"),
        *("clouds.train", "clouds.score", "clouds.annotations", "clouds.mixing", "cli.dataset"),
        *("clouds.tune", "clouds.surrogate", "cli.tune", "analyses.tuning_figure"),
        "widgets.file_reader",  # npe2 reads with it in scripts, too
    )
    loaded = loaded_by("\n".join(f"import napari_coldatoms.{module}" for module in modules))
    assert "numba" in loaded
    assert not loaded & {*HEAVY, *GUI, "napari"}


def test_widgets_load_no_networks():
    assert WIDGETS
    loaded = loaded_by("\n".join(f"import {name}" for name in WIDGETS))
    assert "qtpy" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.slow
def test_an_analysis_loads_no_networks():
    code = (
        "from napari_coldatoms import samples, analyses, backend\n"
        "picture = analyses.MakePicture()(samples.single_cloud())\n"
        "done = backend.run(analyses.DetectClouds(), picture)\n"
        "done.analysis.layers(done)\n"
        "assert len(done.table) == 1"
    )
    assert not loaded_by(code) & {*HEAVY, *GUI, "napari"}


def test_help_and_version_load_next_to_nothing():
    for flag in ("--version", "--help"):
        code = f"from napari_coldatoms.cli import main\nmain([{flag!r}])"
        assert not loaded_by(code) & {*HEAVY, *GUI, "napari", "numba", "xarray", "pandas", "scipy"}


@pytest.mark.slow
def test_the_command_line_starts_at_once():
    took = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "napari_coldatoms", "--version"], check=True, capture_output=True
        )
        took.append(time.perf_counter() - start)
    assert min(took) < 1.0
