"""The labscript layout: one HDF5 file for each shot, with pictures, globals and camera settings.

Pictures are at ``/images/<orientation or device>/<exposure name>/<frametype>``, scan parameters
are attributes of ``/globals`` (values) and of its groups.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.readers.errors import ReadError
from napari_coldatoms.readers.named import stacks_of_named
from napari_coldatoms.readers.plain import Plain, check_array

EXPECTED = "pictures at /images/<camera>/<exposure>/<frametype>"

# attributes of the file that name the shot rather than describe the program
_SHOT_ATTRS = ("sequence_id", "sequence_index", "run number", "n_runs", "run time", "run repeat")


def is_shot(file: Any) -> bool:
    """Tell whether an HDF5 file is a labscript shot, by what else is in it."""
    return (
        any(name in file for name in ("globals", "devices"))
        or "run number" in file.attrs
        or any(
            hasattr(camera, "keys") and any(hasattr(name, "keys") for name in camera.values())
            for camera in file["images"].values()
        )
    )


def read(path: Path, file: Any, load: Callable[[Any], Plain]) -> list[xr.DataArray]:
    """Read all pictures of a shot: a stack for each camera and exposure name.

    Parameters
    ----------
    path : Path
    file : h5py.File
        Open for reading.
    load : callable
        From a dataset to its array.

    Raises
    ------
    ReadError
        The shot has no pictures (yet).
    """
    coords, header = _parameters(file)
    stacks: list[xr.DataArray] = []
    for camera, exposures in file["images"].items():
        for name, frames in exposures.items():
            # some programs leave the exposure's name out
            datasets = list(frames.values()) if hasattr(frames, "values") else [frames]
            datasets = [d for d in datasets if hasattr(d, "dtype") and d.dtype.kind in "iuf"]
            datasets = [d for d in datasets if d.shape is not None and len(d.shape) > 1]
            if not datasets:
                continue
            for dataset in datasets:
                check_array(path, dataset.shape, dataset.dtype)
            label = f"{camera}/{name}" if hasattr(frames, "values") else str(camera)
            made = stacks_of_named([load(d) for d in datasets], coords, dataset=label, series=True)
            failed = any(bool(g.attrs.get("failed_shot", False)) for g in (exposures, frames))
            for stack in made:
                _describe(stack, file, exposures, name, header)
                stack.coords["failed_shot"] = failed
            stacks += made
    if not stacks:
        raise ReadError(path, EXPECTED, "none (a shot that was not run yet?)")
    return stacks


def plain_value(value: Any) -> Any:
    """Return an HDF5 attribute as a plain Python value or an array."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.generic):
        return value.item() if not isinstance(value, np.void) else str(value)
    if isinstance(value, np.ndarray):
        return value.tolist() if value.dtype.kind in "OSU" else value
    if isinstance(value, str | int | float | bool):
        return value
    return str(value)


def _describe(
    stack: xr.DataArray, file: Any, exposures: Any, name: str, header: dict[str, Any]
) -> None:
    camera = {str(key): plain_value(value) for key, value in exposures.attrs.items()}
    stack.attrs["header"] = {**header, "camera": camera, **stack.attrs.get("header", {})}
    number = header.get("run number")
    if isinstance(number, int):
        stack.attrs["shot_number"] = number
    device = str(camera.get("camera", exposures.name.rpartition("/")[2]))
    try:
        table = file["devices"][device]["EXPOSURES"][()]
        durations = [
            float(row["trigger_duration"])
            for row in table
            if plain_value(row["name"]) == name and row["trigger_duration"]
        ]
    except (KeyError, ValueError, IndexError, TypeError):
        durations = []
    if durations and durations[0] > 0:
        stack.attrs["exposure"] = durations[0]


def _parameters(file: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the globals that are single values as coordinates, and all else as header."""
    coords: dict[str, Any] = {}
    header: dict[str, Any] = {str(k): plain_value(v) for k, v in file.attrs.items()}
    group = file.get("globals")
    found: dict[str, Any] = {}
    if group is not None and hasattr(group, "values"):
        for inner in group.values():
            if hasattr(inner, "attrs"):
                found.update((str(key), plain_value(value)) for key, value in inner.attrs.items())
        # the groups hold expressions, the top holds what they came to
        found.update((str(key), plain_value(value)) for key, value in group.attrs.items())
    for key, value in found.items():
        if isinstance(value, bool | int | float | str):
            coords[key] = value
        else:
            header.setdefault("globals", {})[key] = value
    for key in _SHOT_ATTRS:
        if isinstance(header.get(key), str | int | float):
            coords.setdefault(key.replace(" ", "_"), header[key])
    return coords, header
