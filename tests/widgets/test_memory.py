from __future__ import annotations

from napari_coldatoms.widgets import memory


def test_what_was_remembered_comes_back() -> None:
    assert memory.recall("detect_clouds") == {}
    memory.remember("detect_clouds", {"roi_factor": 3.0, "threshold": {"floor": None}})
    memory.remember("make_picture", {"kind": "auto"})
    assert memory.recall("detect_clouds") == {"roi_factor": 3.0, "threshold": {"floor": None}}
    assert memory.recall("make_picture") == {"kind": "auto"}


def test_a_damaged_file_is_as_good_as_none() -> None:
    memory.remember("detect_clouds", {"roi_factor": 3.0})
    memory.parameter_file().write_text("{not json")
    assert memory.recall("detect_clouds") == {}
    memory.remember("detect_clouds", {"roi_factor": 2.0})
    assert memory.recall("detect_clouds") == {"roi_factor": 2.0}


def test_a_place_that_cannot_be_written_is_no_error(tmp_path, monkeypatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("COLDATOMS_CONFIG", str(blocked))
    memory.remember("detect_clouds", {"roi_factor": 3.0})
    assert memory.recall("detect_clouds") == {}
