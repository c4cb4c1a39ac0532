"""Tables into files and back."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_coldatoms import __version__
from napari_coldatoms.backend import tables
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.tables import TableError, read_hdf5, write_csv, write_hdf5


@pytest.fixture
def table() -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "shot": [0, 1, 2],
            "time": pd.to_datetime(["2024-05-01T12:00:00.25", None, "2024-05-01T12:00:02.50"]),
            "globals/detuning": [0.1, np.nan, -np.inf],
            "trap": ["MOT", None, ""],
            "source": ["µ/a.tif", "b, c.tif", 'd"e.tif'],
            "success": [True, False, True],
            "nothing": [None, None, None],
            "wx_um": np.array([1.5, 2.5, 1 / 3], dtype=np.float32),
        }
    )
    recipe = Recipe("detect_clouds", {"fit": True, "limit": None}, source="folder")
    frame.attrs = {
        "units": {"wx_um": "um"},
        "recipe": recipe.to_dict(),
        "version": recipe.version,
        "source": "folder",
    }
    return frame


@pytest.fixture
def failures() -> pd.DataFrame:
    return pd.DataFrame({"shot": [4], "source": ["x.tif"], "error": ["ValueError: dark"]})


def test_hdf5_there_and_back(tmp_path, table, failures):
    path = tmp_path / "table.h5"
    assert write_hdf5(table, path, failures=failures) == [path]
    found = read_hdf5(path)
    expected = table.assign(nothing=np.nan)
    for name in ("trap", "source"):  # which of its missing values a text has, pandas decides
        assert list(found[name].fillna("-")) == list(expected[name].fillna("-"))
    texts = ["trap", "source"]
    pd.testing.assert_frame_equal(
        found.drop(columns=texts), expected.drop(columns=texts), check_dtype=False
    )
    assert found.dtypes.drop(["time", "trap", "source"]).to_dict() == {
        "shot": np.int64,
        "globals/detuning": np.float64,
        "success": bool,
        "nothing": np.float64,
        "wx_um": np.float32,
    }
    assert found.dtypes["time"].kind == "M"
    assert found.attrs == table.attrs
    pd.testing.assert_frame_equal(read_hdf5(path, "failures"), failures, check_dtype=False)


def test_hdf5_is_readable_without_us(tmp_path, table):
    path = tmp_path / "table.h5"
    write_hdf5(table, path)
    with h5py.File(path) as file:
        assert list(file["table"])[:2] == ["shot", "time"]
        assert file["table/wx_um"].attrs["units"] == "um"
        assert "units" not in file["table/shot"].attrs
        assert list(file["table/source"].asstr()[()]) == list(table["source"])
        assert Recipe.from_yaml(file.attrs["recipe"]).parameters["fit"] is True
        assert file.attrs["version"] == __version__
        assert "failures" not in file
        objects = []
        file.visititems(lambda name, item: objects.append(item))
        kinds = {o.dtype.kind for o in objects if isinstance(o, h5py.Dataset)}
    assert kinds <= set("ifbO")  # O: UTF-8 texts, not pickled objects


def test_empty_tables_are_tables(tmp_path, table):
    write_hdf5(table.iloc[:0], tmp_path / "table.h5")
    found = read_hdf5(tmp_path / "table.h5")
    assert list(found.columns) == list(table.columns)
    assert len(found) == 0
    write_csv(table.iloc[:0], tmp_path / "table.csv")
    assert list(pd.read_csv(tmp_path / "table.csv").columns) == list(table.columns)


def test_csv_is_plain_and_has_its_recipe_beside_it(tmp_path, table, failures):
    path = tmp_path / "table.csv"
    written = write_csv(table, path, failures=failures)
    assert [p.name for p in written] == ["table.csv", "table.recipe.yaml", "table.failures.csv"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in written)
    found = pd.read_csv(path)
    assert list(found.columns) == list(table.columns)
    assert list(found["source"]) == list(table["source"])
    np.testing.assert_array_equal(found["globals/detuning"], table["globals/detuning"])
    np.testing.assert_allclose(found["wx_um"], table["wx_um"], rtol=1e-6)
    assert Recipe.load(tmp_path / "table.recipe.yaml").to_dict() == table.attrs["recipe"]
    assert pd.read_csv(tmp_path / "table.failures.csv").to_dict("records") == [
        {"shot": 4, "source": "x.tif", "error": "ValueError: dark"}
    ]
    # a later table without failures does not keep those of this one
    write_csv(table, path, failures=failures.iloc[:0])
    assert not (tmp_path / "table.failures.csv").exists()


def test_numbers_in_csv_lose_nothing(tmp_path):
    values = np.random.default_rng(3).normal(size=100) * 10.0 ** np.arange(-50, 50)
    write_csv(pd.DataFrame({"x": values}), tmp_path / "t.csv")
    found = [float(line) for line in (tmp_path / "t.csv").read_text().split()[1:]]
    np.testing.assert_allclose(found, values, rtol=1e-15)
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]  # no recipe, no recipe file


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.h5", "t.hdf5"])
def test_the_suffix_tells_the_format(tmp_path, table, name):
    tables.write_table(table, tmp_path / name)
    start = (tmp_path / name).read_bytes()[:4]
    assert start == (b"shot" if "csv" in name.lower() else b"\x89HDF")


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.pkl"])
def test_other_suffixes_are_refused(tmp_path, table, name):
    with pytest.raises(ValueError, match=r"expected a name ending in \.csv or \.h5"):
        tables.write_table(table, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_error_while_writing_leaves_the_old_file(tmp_path, table):
    path = tmp_path / "table.h5"
    write_hdf5(table, path)
    before = path.read_bytes()
    bad = table.assign(bad=[1 + 2j] * 3)
    bad.attrs = {**table.attrs, "recipe": {"no": "recipe"}}
    with pytest.raises(ValueError, match="expected a mapping"):
        write_hdf5(bad, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["table.h5"]


def test_what_is_no_table_is_refused(tmp_path, table):
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(TableError, match=r"text\.h5: expected an HDF5 file"):
        read_hdf5(tmp_path / "text.h5")
    with h5py.File(tmp_path / "shot.h5", "w") as file:
        file["images"] = np.zeros((3, 4, 4))
    with pytest.raises(
        TableError, match=r"expected 'table' in a file of the format .* with images"
    ):
        read_hdf5(tmp_path / "shot.h5")
    write_hdf5(table, tmp_path / "table.h5")
    with pytest.raises(TableError, match="expected 'failures' in a file"):
        read_hdf5(tmp_path / "table.h5", "failures")
