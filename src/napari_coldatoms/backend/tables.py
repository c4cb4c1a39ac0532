"""Tables into files and back: CSV for every program, HDF5 with units and failures.

HDF5 layout, readable with h5py alone: the group ``table`` holds one 1-D dataset per column, in
order, each with the attributes ``column`` (its name) and, where it has one, ``units``; the group
``failures`` likewise. The file's attributes are ``format``, ``version``, ``recipe`` (YAML) and
``source``. Texts are UTF-8 and times ISO 8601 texts (attribute ``type``); where some rows have
none, ``missing/<group>/<column>`` tells which.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.recipe import Recipe

FORMAT = "napari-coldatoms table 1"
SUFFIXES = (".csv", ".h5", ".hdf5", ".hdf")
"""Suffixes of the files a table can be written to, in lower case."""


class TableError(ValueError):
    """A file holds no table of ours."""


def write_table(
    table: pd.DataFrame, path: str | Path, *, failures: pd.DataFrame | None = None
) -> list[Path]:
    """Write a table as CSV or HDF5, as the suffix says, and return the files written.

    Raises
    ------
    ValueError
        Where the suffix is neither ``.csv`` nor ``.h5``, ``.hdf5``, ``.hdf``.
    """
    path = Path(path)
    check_suffix(path)
    if path.suffix.lower() == ".csv":
        return write_csv(table, path, failures=failures)
    return write_hdf5(table, path, failures=failures)


def check_suffix(path: str | Path) -> None:
    """Raise `ValueError` where a table cannot be written to a file of that name."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a name ending in .csv or .h5")


def recipe_path(path: str | Path) -> Path:
    """Return where the recipe of a CSV file lies: beside it, ``<name>.recipe.yaml``."""
    return Path(path).with_suffix(".recipe.yaml")


def failures_path(path: str | Path) -> Path:
    """Return where the failures beside a CSV file lie: ``<name>.failures.csv``."""
    return Path(path).with_suffix(".failures.csv")


def write_csv(
    table: pd.DataFrame, path: str | Path, *, failures: pd.DataFrame | None = None
) -> list[Path]:
    """Write a table as plain CSV; its recipe and the failures, where there are any, beside it.

    Each file appears whole or not at all. Returns the files written.
    """
    path = Path(path)
    _write_plain(table, path)
    written = [path]
    if "recipe" in table.attrs:
        Recipe.from_dict(table.attrs["recipe"]).save(recipe_path(path))
        written.append(recipe_path(path))
    if failures is not None:
        if len(failures):
            _write_plain(failures, failures_path(path))
            written.append(failures_path(path))
        else:
            # those of an earlier table of this name would tell wrong
            failures_path(path).unlink(missing_ok=True)
    return written


def _write_plain(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as new:
        table.to_csv(new, index=False, lineterminator="\n", encoding="utf-8")


def write_hdf5(
    table: pd.DataFrame, path: str | Path, *, failures: pd.DataFrame | None = None
) -> list[Path]:
    """Write a table, the failures and the recipe into one HDF5 file, whole or not at all."""
    import h5py

    units = table.attrs.get("units", {})
    with replacing(path) as new, h5py.File(new, "w", track_order=True) as file:
        file.attrs["format"] = FORMAT
        for key in ("version", "source"):
            if table.attrs.get(key) is not None:
                file.attrs[key] = str(table.attrs[key])
        if "recipe" in table.attrs:
            file.attrs["recipe"] = Recipe.from_dict(table.attrs["recipe"]).to_yaml()
        _write_columns(file, "table", table, units)
        if failures is not None:
            _write_columns(file, "failures", failures, {})
    return [Path(path)]


def read_hdf5(path: str | Path, what: str = "table") -> pd.DataFrame:
    """Read the ``table`` or the ``failures`` of a file that `write_hdf5` wrote.

    Raises
    ------
    TableError
        Where the file is no HDF5 file or holds no such table.
    """
    import h5py

    try:
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        raise TableError(f"{path}: expected an HDF5 file, found {error}") from error
    with file:
        found = file.attrs.get("format", "")
        if found != FORMAT or what not in file:
            raise TableError(
                f"{path}: expected {what!r} in a file of the format {FORMAT!r}, found "
                f"{found or 'no format'!r} with {', '.join(file) or 'nothing'}"
            )
        units = {}
        columns = {}
        for dataset in file[what].values():
            name = str(dataset.attrs["column"])
            columns[name] = _read_column(dataset, file.get(f"missing{dataset.name}"))
            if "units" in dataset.attrs:
                units[name] = str(dataset.attrs["units"])
        table = pd.DataFrame(columns)
        table.attrs["units"] = units
        for key in ("version", "source"):
            table.attrs[key] = str(file.attrs[key]) if key in file.attrs else None
        if "recipe" in file.attrs:
            recipe = Recipe.from_yaml(file.attrs["recipe"], where=str(path))
            table.attrs["recipe"] = recipe.to_dict()
    return table


def _write_columns(file: Any, group: str, table: pd.DataFrame, units: dict[str, str]) -> None:
    import h5py

    inside = file.create_group(group, track_order=True)
    for number, (column, values) in enumerate(table.items()):
        name = str(column)
        # a slash would open a group within the group
        key = name if name.strip(".") and "/" not in name else f"column_{number}"
        kind, plain, missing = _plain_column(values)
        dtype = h5py.string_dtype("utf-8") if kind in ("text", "time") else None
        dataset = inside.create_dataset(key, data=plain, dtype=dtype)
        dataset.attrs["column"] = name
        dataset.attrs["type"] = kind
        if name in units:
            dataset.attrs["units"] = units[name]
        if missing is not None and missing.any():
            file.create_dataset(f"missing/{group}/{key}", data=missing)


def _plain_column(values: pd.Series) -> tuple[str, np.ndarray, np.ndarray | None]:
    """Return the type of a column, its values as HDF5 holds them, and which rows have none."""
    missing = values.isna().to_numpy()
    if values.dtype.kind == "b":
        return "bool", values.to_numpy(dtype=bool), None
    if values.dtype.kind in "iuf" and isinstance(values.dtype, np.dtype):
        return "number", values.to_numpy(), None
    if values.dtype.kind == "M":
        texts = [time.isoformat() for time in values.where(~missing, pd.Timestamp(0))]
        return "time", np.array(texts, dtype=object), missing
    if len(values) and missing.all():
        return "number", np.full(len(values), np.nan), None
    # HDF5's texts end at a zero byte
    texts = [
        "" if gone else str(v).replace("\0", "") for v, gone in zip(values, missing, strict=True)
    ]
    return "text", np.array(texts, dtype=object), missing


def _read_column(dataset: Any, missing: Any) -> Any:
    kind = dataset.attrs["type"]
    if kind not in ("text", "time"):
        return dataset[()]
    values = pd.Series(dataset.asstr()[()], dtype="str")
    if missing is not None:
        values = values.mask(missing[()])
    return pd.to_datetime(values, format="ISO8601") if kind == "time" else values
