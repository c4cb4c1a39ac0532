"""Parameters remembered between openings of a widget, in one small JSON file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qtpy.QtCore import QStandardPaths

from napari_coldatoms.atomic import replacing

FOLDER_VARIABLE = "COLDATOMS_CONFIG"
"""Environment variable that names another folder for the file."""


def parameter_file() -> Path:
    """Return where the parameters are remembered."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        return Path(folder) / "parameters.json"
    config = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericConfigLocation)
    return Path(config) / "napari-coldatoms" / "parameters.json"


def recall(name: str) -> dict[str, Any]:
    """Return the parameters remembered under this name; empty where there are none."""
    values = _read().get(name, {})
    return values if isinstance(values, dict) else {}


def remember(name: str, values: Mapping[str, Any]) -> None:
    """Remember parameters under this name; where nothing can be written, do without."""
    path = parameter_file()
    content = json.dumps({**_read(), name: dict(values)}, indent=1)
    # a memory is a convenience: a read-only home must not stop the analysis
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new:
            new.write_text(content, encoding="utf-8")


def _read() -> dict[str, Any]:
    try:
        content = json.loads(parameter_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
