"""Counts in HDF5 files: of ARTIQ, of labscript, and one-dimensional datasets anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.readers.count_arrays import read_arrays
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.readers.count_roles import is_telling
from napari_coldatoms.readers.count_series import MOST
from napari_coldatoms.readers.count_table import Reading
from napari_coldatoms.readers.errors import ReadError
from napari_coldatoms.readers.hdf5 import SMALLEST_PICTURE

EXPECTED = "an HDF5 file with one-dimensional datasets of counts"

_ARTIQ_KEYS = ("artiq_version", "rid", "expid")
_PEEK = 1000
_OURS = "napari-coldatoms "  # tables that were written here


def read(path: Path, layout: Layout | None) -> Reading:
    """Read all counts of a file.

    Raises
    ------
    ReadError
        No one-dimensional dataset of whole numbers.
    """
    import h5py

    with h5py.File(path, "r", locking=False) as file:
        found = {name: _values(item) for name, item in _candidates(file).items()}
        artiq = _is_artiq(file)
    notes: list[str] = []
    certain = True
    if artiq:
        found, notes, certain = _without_dummies(found)
    found = {name: values for name, values in found.items() if len(values)}
    if not found:
        raise ReadError(path, EXPECTED, "none in it")
    reading = read_arrays(path, found, layout)
    reason = "; ".join([reading.reason, *notes])
    return Reading(reading.series, reading.certain and certain, reason)


def is_counts(path: Path) -> bool:
    """Tell whether a file holds counts and no pictures, by its headers and first numbers."""
    import h5py

    pictures: list[str] = []

    def visit(name: str, item: Any) -> bool | None:
        if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "iuf":
            return None
        shape = item.shape or ()
        if len(shape) < 2:
            return None
        if min(shape[-2:]) >= SMALLEST_PICTURE or name.startswith("images/"):
            pictures.append(name)
            return True  # enough
        return None

    with h5py.File(path, "r", locking=False) as file:
        if str(file.attrs.get("format", "")).startswith(_OURS):
            return False  # results
        file.visititems(visit)
        if pictures:
            return False
        candidates = _candidates(file)
        if any(is_telling(name.rpartition("/")[2]) for name in candidates):
            return any(
                is_telling(name.rpartition("/")[2]) and _looks_like_counts(item)
                for name, item in candidates.items()
            )
        # tables of results have columns of whole numbers, too
        return bool(candidates) and all(map(_looks_like_counts, candidates.values()))


def _looks_like_counts(item: Any) -> bool:
    start = np.asarray(_field(item, slice(1, _PEEK)), dtype=float)
    with np.errstate(invalid="ignore"):
        fit = (start >= 0) & (start <= MOST) & (start == np.floor(start))
    return bool(start.size) and bool(np.mean(fit) > 0.9)


def _candidates(file: Any) -> dict[str, Any]:
    """Return the one-dimensional datasets of numbers, by their names."""
    import h5py

    found: dict[str, Any] = {}
    roots = _roots(file)

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset) or item.shape is None or len(item.shape) != 1:
            return
        trace = item.dtype.names is not None and "values" in item.dtype.names
        kind = item.dtype["values"].kind if trace else item.dtype.kind
        if kind in "iuf" and item.shape[0]:
            found[name] = item

    for root in roots:
        if root == "":
            file.visititems(visit)
        else:
            file[root].visititems(lambda name, item, root=root: visit(f"{root}/{name}", item))
    return found


def _roots(file: Any) -> list[str]:
    """Return the groups that may hold counts; in other groups are settings and tables."""
    if _is_artiq(file):
        return ["datasets"]
    labscript = "globals" in file or "devices" in file or "run number" in file.attrs
    if labscript:
        return [name for name in ("data", "results") if name in file]
    return [""]


def _is_artiq(file: Any) -> bool:
    named = any(key in file or key in file.attrs for key in _ARTIQ_KEYS)
    return "datasets" in file and hasattr(file["datasets"], "visititems") and named


def _field(item: Any, part: slice) -> NDArray:
    values = item[part]
    return values["values"] if values.dtype.names is not None else values


def _values(item: Any) -> NDArray:
    return np.asarray(_field(item, slice(None)))


def _without_dummies(
    found: dict[str, NDArray],
) -> tuple[dict[str, NDArray], list[str], bool]:
    """Drop the first element of what ARTIQ appended to, and what was never filled at the end.

    A dataset that grows by ``append_to_dataset`` has to begin with something. Where the first
    element could be a shot, that is not certain. Datasets of ndscan begin empty; those in groups
    are not appended to.
    """
    kept: dict[str, NDArray] = {}
    dropped: list[str] = []
    unfilled: list[str] = []
    certain = True
    for name, values in found.items():
        if values.dtype.kind == "f" and np.isnan(values[-1]) and not np.isnan(values).all():
            values = values[: int(np.flatnonzero(~np.isnan(values))[-1]) + 1]
            unfilled.append(name)
        if name.count("/") == 1 and not name.startswith("datasets/ndscan."):
            certain &= not (values[0] > 0 and values[0] == np.floor(values[0]))
            values = values[1:]
            dropped.append(name)
        kept[name] = values
    notes = []
    if dropped:
        names = _listed(dropped)
        also = "" if certain else " (it could have been a shot)"
        notes.append(f"a file of ARTIQ: the first element of {names} is a dummy, dropped{also}")
    if unfilled:
        names = _listed(unfilled)
        notes.append(f"the end of {names} was never filled, dropped")
    return kept, notes, certain


def _listed(names: list[str]) -> str:
    return ", ".join(repr(name.rpartition("/")[2]) for name in names[:5])
