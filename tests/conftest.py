"""Shared fixtures: the real camera files, and a guard against modal dialogs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real camera files, named by COLDATOMS_TEST_DATA."""
    folder = os.environ.get("COLDATOMS_TEST_DATA")
    if not folder:
        pytest.skip("COLDATOMS_TEST_DATA does not name the folder of real camera files")
    path = Path(folder)
    assert path.is_dir(), f"COLDATOMS_TEST_DATA names no folder: {path}"
    return path
