"""What is dropped on the window: pictures become layers, counts open in their dock."""

from __future__ import annotations

from pathlib import Path

import npe2
import numpy as np
import pytest

from napari_coldatoms import samples
from napari_coldatoms.readers import ReadError
from napari_coldatoms.readers.layers import NOTHING, read_layers
from napari_coldatoms.widgets import file_reader
from napari_coldatoms.widgets.file_reader import get_reader, open_counts

PLUGIN = "napari-coldatoms"
COUNTS = np.random.default_rng(1).poisson(12, 300)


class Dock:
    """Keeps what it is asked to open."""

    def __init__(self):
        self.opened = []

    def open_files(self, paths):
        self.opened.append([path.name for path in paths])


@pytest.fixture
def dock(monkeypatch):
    """Return a dock that is there without a window."""
    made = Dock()
    monkeypatch.setattr(file_reader, "_dock", lambda path: made)
    return made


def write_counts(path: Path) -> Path:
    if path.suffix == ".npy":
        np.save(path, COUNTS)
    elif path.suffix == ".npz":
        np.savez(path, counts=COUNTS)
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as file:
            file["datasets/counts"] = np.concatenate([[0], COUNTS])
    else:
        path.write_text("\n".join(["counts", *map(str, COUNTS)]))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".dat", ".tsv", ".npy", ".npz", ".h5"])
def test_counts_of_any_format_go_to_the_dock(tmp_path, dock, suffix):
    path = str(write_counts(tmp_path / f"run{suffix}"))
    reader = get_reader(path)
    assert reader is open_counts
    assert reader(path) == NOTHING
    assert dock.opened == [[f"run{suffix}"]]


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.tif", "a.h5", "a.fits", "a.json"])
def test_pictures_stay_pictures(tmp_path, name):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, np.zeros((20, 30), np.uint16))
    elif name == "a.npz":
        np.savez(path, atoms=np.zeros((20, 30)), probe=np.zeros((20, 30)))
    else:
        path.write_bytes(b"told when it is read")
    assert get_reader(str(path)) is read_layers


def test_texts_that_are_no_counts(tmp_path, dock):
    """Columns without names may be counts of sites: the dock asks."""
    table = tmp_path / "table.txt"
    table.write_text("1 2 3\n4 5 6\n")
    assert get_reader(str(table)) is open_counts
    points = tmp_path / "points.csv"
    points.write_text("index,axis-0,axis-1\n0.0,3.0,4.0\n")
    assert get_reader(str(points)) is None
    assert get_reader(str(tmp_path / "missing.csv")) is None
    assert get_reader([]) is None


def test_several_files_are_opened_together(tmp_path, dock):
    paths = [str(write_counts(tmp_path / f"atoms_{n}.csv")) for n in range(3)]
    reader = get_reader(paths)
    assert reader(paths) == NOTHING
    assert dock.opened == [["atoms_0.csv", "atoms_1.csv", "atoms_2.csv"]]
    np.save(tmp_path / "picture.npy", np.zeros((20, 30)))
    assert get_reader([paths[0], str(tmp_path / "picture.npy")]) is read_layers


def test_folders(tmp_path, dock):
    for name in ("atoms_1.csv", "atoms_0.npy"):
        write_counts(tmp_path / name)
    (tmp_path / "notes.md").write_text("words")
    reader = get_reader(str(tmp_path))
    assert reader(str(tmp_path)) == NOTHING
    assert dock.opened == [["atoms_0.npy", "atoms_1.csv"]]
    # a log beside pictures
    np.save(tmp_path / "picture.npy", np.zeros((20, 30)))
    assert get_reader(str(tmp_path)) is read_layers
    (tmp_path / "empty").mkdir()
    assert get_reader(str(tmp_path / "empty")) is read_layers


def test_without_a_window_it_is_said_how_to_read_counts(tmp_path):
    path = str(write_counts(tmp_path / "run.csv"))
    npe2.PluginManager.instance().discover()
    with pytest.raises(ReadError, match=r"run\.csv: expected a window .*read_counts reads"):
        npe2.read([path], stack=False, plugin_name=PLUGIN)
    np.save(tmp_path / "picture.npy", np.ones((20, 30)))
    ((data, _, kind),) = npe2.read([str(tmp_path / "picture.npy")], stack=False, plugin_name=PLUGIN)
    assert (data.shape, kind) == ((20, 30), "image")


def test_dropped_files_fill_the_dock(viewer, finished, tmp_path):
    paths = [str(path) for path in samples.photon_count_files(tmp_path)]
    assert viewer.open(paths, plugin=PLUGIN) == []
    from napari_coldatoms.widgets.count_atoms import open_dock

    widget = open_dock(viewer)
    finished(widget)
    assert len(viewer.layers) == 0
    made = samples.photon_counts()
    found = widget.source.entries
    assert set(found) == {0, 1, 2, "sample"}
    for atoms, counts in made.controls.items():
        np.testing.assert_array_equal(found[atoms].histogram.occurrences, np.bincount(counts))
    np.testing.assert_array_equal(found["sample"].histogram.occurrences, np.bincount(made.sample))


def test_the_sample_fills_the_dock(viewer, finished):
    assert viewer.open_sample(PLUGIN, "photon_counts") == []
    from napari_coldatoms.widgets.count_atoms import open_dock

    widget = open_dock(viewer)
    finished(widget)
    assert {0, 1, 2, "sample"} == set(widget.source.entries)
    assert widget.exposure.value() == pytest.approx(1.0)
    assert widget.source.entries[2].histogram.total == len(samples.photon_counts().controls[2])
