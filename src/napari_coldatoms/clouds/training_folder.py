"""The folder of a training: its files, and what they tell without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from napari_coldatoms.atomic import replacing
from napari_coldatoms.clouds.training import Epoch, Training

__all__ = ["BEST", "CHECKPOINT", "HISTORY", "LAST", "read_history", "so_far", "write_history"]

BEST, LAST, CHECKPOINT, HISTORY = (
    "best.safetensors",
    "last.safetensors",
    "checkpoint.safetensors",
    "history.json",
)
"""Names of the files of a training."""


def write_history(folder: Path, history: Sequence[Epoch]) -> None:
    """Write the epochs that ended."""
    with replacing(folder / HISTORY) as new:
        content = json.dumps([asdict(each) for each in history], indent=1)
        new.write_text(content + "\n", encoding="utf-8")


def read_history(folder: Path) -> tuple[Epoch, ...]:
    """Return the epochs that ended; none where the folder has no training, or a damaged file."""
    try:
        found = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        return tuple(Epoch(**each) for each in found)
    except (OSError, ValueError, TypeError):
        return ()


def so_far(folder: Path) -> Training:
    """Return what an unfinished training in a folder has come to."""
    best, last = (
        path if path.is_file() else None for path in (folder / name for name in (BEST, LAST))
    )
    return Training(False, read_history(folder), best, last)
