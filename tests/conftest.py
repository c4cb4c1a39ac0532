"""Shared fixtures: real camera files, the one line of a command, a guard against modal dialogs."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

# before napari reads its settings: those of the user are left alone, and none are written
os.environ["NAPARI_CONFIG"] = ""

PACKAGE = Path(__file__).parents[1] / "src" / "napari_coldatoms"
COMPILED = ("clouds", "lattice", "photons", "statistics")


def pytest_configure() -> None:
    """Drop compiled kernels that are older than the newest source.

    numba looks at a function's own file alone: after a change in a kernel of another file that it
    calls, the stale machine code would be run.
    """
    for room in (PACKAGE / name for name in COMPILED):
        newest = max(source.stat().st_mtime for source in room.glob("*.py"))
        for compiled in room.glob("__pycache__/*.nb[ic]"):
            if compiled.stat().st_mtime < newest:
                compiled.unlink(missing_ok=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Let the collector of garbage rest while the modules of the tests are loaded."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Tell the collector of garbage to leave alone what the modules of the tests have loaded.

    napari's fixture calls it several times for each window, and it would look through a million
    objects each time.
    """
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    """Give all to the collector at the end: some libraries complain of what is left."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def one_line() -> Callable[[str], str]:
    """Return what takes the line out of a text that must have just one."""

    def line_of(text: str) -> str:
        lines = text.strip().splitlines()
        assert len(lines) == 1, text
        return lines[0]

    return line_of


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real camera files, named by COLDATOMS_TEST_DATA."""
    folder = os.environ.get("COLDATOMS_TEST_DATA")
    if not folder:
        pytest.skip("COLDATOMS_TEST_DATA does not name the folder of real camera files")
    path = Path(folder)
    assert path.is_dir(), f"COLDATOMS_TEST_DATA names no folder: {path}"
    return path
