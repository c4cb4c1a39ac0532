"""The folder of a training: its files, who may write them, what they tell without torch."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from napari_coldatoms.atomic import replacing
from napari_coldatoms.clouds.training import Epoch, FolderInUseError, Training

__all__ = [
    "BEST",
    "CHECKPOINT",
    "HISTORY",
    "LAST",
    "only_training",
    "read_history",
    "so_far",
    "write_history",
]

BEST, LAST, CHECKPOINT, HISTORY = (
    "best.safetensors",
    "last.safetensors",
    "checkpoint.safetensors",
    "history.json",
)
"""Names of the files of a training."""

_LOCK = ".lock"
# what the kernel says where another process holds the lock
_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


@contextmanager
def only_training(folder: Path) -> Iterator[None]:
    """Keep all other trainings out of a folder.

    The kernel holds the lock and takes it back when the process ends, whatever it dies of. Where
    a file system has no locks there is none, and nothing is kept out.

    Raises
    ------
    FolderInUseError
        Another training is there.
    """
    handle = _opened(folder / _LOCK)
    try:
        if handle is not None and not _taken(handle):
            raise FolderInUseError(
                f"{folder}: expected a folder that no other training uses, found one under way in "
                "it; choose another folder, or wait for its end"
            )
        yield
    finally:
        # the file stays: who deleted it could delete one that the next training has locked
        if handle is not None:
            os.close(handle)


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        # what else cannot be written there is told when it is written
        return None


def _taken(handle: int) -> bool:
    """Lock an open file until it is closed; return False where another process has done so."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True


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
