"""Who may write into the folder of a training: one process at a time."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from napari_coldatoms.clouds.training import FolderInUseError
from napari_coldatoms.clouds.training_folder import only_training

_HOLD = """
import sys
from pathlib import Path
from napari_coldatoms.clouds.training_folder import only_training
with only_training(Path(sys.argv[1])):
    print("there", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def other_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that holds the folder until it reads a line, or is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == b"there"
            yield process
        finally:
            process.kill()


def is_free(folder: Path) -> bool:
    try:
        with only_training(folder):
            return True
    except FolderInUseError:
        return False


def test_another_process_keeps_out(tmp_path):
    with other_process(tmp_path) as process:
        says = f"{tmp_path}: expected a folder that no other training uses, found one under way"
        with pytest.raises(FolderInUseError, match=re.escape(says)), only_training(tmp_path):
            pytest.fail("two trainings in one folder")
        # another folder is another matter
        (tmp_path / "trial-000").mkdir()
        assert is_free(tmp_path / "trial-000")
        process.communicate(b"\n")
        assert process.returncode == 0
        assert is_free(tmp_path)


def test_a_killed_process_keeps_nobody_out(tmp_path):
    with other_process(tmp_path) as process:
        assert not is_free(tmp_path)
        process.kill()
        process.wait()
        assert is_free(tmp_path)


def test_one_process_has_a_folder_once(tmp_path):
    with only_training(tmp_path):
        assert not is_free(tmp_path)
    with pytest.raises(ZeroDivisionError), only_training(tmp_path):
        raise ZeroDivisionError
    assert is_free(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="flock is asked elsewhere only")
def test_without_locks_nobody_is_kept_out(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    # such a file system cannot be mounted here
    monkeypatch.setattr("fcntl.flock", none)
    with only_training(tmp_path):
        assert is_free(tmp_path)


def test_where_no_file_can_be_made_the_training_tells(tmp_path):
    assert is_free(tmp_path / "gone")
