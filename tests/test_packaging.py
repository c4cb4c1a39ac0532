"""Wheel and sdist, installed in clean environments, are found by napari's plugin engine."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

FIND_MANIFEST = """
import npe2
manager = npe2.PluginManager.instance()
manager.discover()
manifest = manager.get_manifest("napari-coldatoms")
found = manifest.contributions
print(manifest.display_name, len(found.readers), len(found.widgets))
"""


def _run(*command: str | Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def distributions(tmp_path_factory) -> dict[str, Path]:
    """Build the sdist and, from it, the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


def test_the_files_that_must_travel_do(distributions):
    with zipfile.ZipFile(distributions["wheel"]) as wheel:
        names = wheel.namelist()
    assert "napari_coldatoms/napari.yaml" in names
    assert "napari_coldatoms/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
    with tarfile.open(distributions["sdist"]) as sdist:
        members = {member.name.partition("/")[2]: member for member in sdist}
    assert members["src/napari_coldatoms/napari.yaml"].isfile()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_the_manifest_is_found_in_a_clean_environment(kind, distributions, tmp_path):
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, tmp_path / "venv")
    install = (sys.executable, "-m", "uv", "pip", "install", "--python", python)
    _run(*install, "npe2")
    _run(*install, "--no-deps", distributions[kind])
    assert _run(python, "-c", FIND_MANIFEST).split() == ["Cold", "atoms", "1", "6"]


def test_the_wheel_with_its_dependencies_runs_and_brings_no_qt(distributions, tmp_path):
    """A binding of Qt is the user's choice, and no GPL or LGPL one may come along unasked."""
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    _run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, tmp_path / "venv")
    install = (sys.executable, "-m", "uv", "pip", "install", "--python", python)
    _run(*install, distributions["wheel"])
    version = _run(python.parent / "napari-coldatoms", "--version").strip()
    assert version[0].isdigit()
    installed = _run(sys.executable, "-m", "uv", "pip", "list", "--python", python).lower()
    assert not [name for name in ("pyqt5", "pyqt6", "pyside2", "pyside6") if name in installed]
    found = _run(
        python,
        "-c",
        "import napari_coldatoms as c; s = c.samples.single_cloud(); "
        "print(len(c.clouds.detect(c.optical_depth(s))))",
    )
    assert found.strip() == "1"
