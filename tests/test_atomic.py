"""Files that appear whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from napari_coldatoms.atomic import replacing


def test_the_old_content_stays_until_the_new_is_whole(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with replacing(path) as new:
        assert new.parent == tmp_path  # a rename across file systems would be no rename
        assert new.suffix == ".csv"
        new.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as new:
            new.write_text("half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_others_may_read_it_as_any_file(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("")
    with replacing(tmp_path / "ours") as new:
        new.write_text("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"expected an existing folder, found no .*gone"),
        replacing(tmp_path / "gone" / "table.csv"),
    ):
        pass


def test_what_cannot_be_written_is_told_by_its_own_name(tmp_path):
    folder = tmp_path / "table.csv"
    folder.mkdir()
    with pytest.raises(OSError, match=r"table.csv: expected a file .*, found a folder$"):
        write(folder)
    with pytest.raises(OSError, match=r"^/dev/null: expected a file .*, found no file"):
        write(Path("/dev/null"))
    long = tmp_path / f"{'x' * 240}.csv"  # the name in between is longer than files may have
    with pytest.raises(OSError, match=r"/x{240}.csv: expected a file .*, found: File name too"):
        write(long)
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_other_errors_stay_as_they_are(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"camera\.tif"),
        replacing(tmp_path / "table.csv"),
    ):
        (tmp_path / "camera.tif").read_bytes()


def write(path: Path) -> None:
    with replacing(path) as new:
        new.write_text("")
