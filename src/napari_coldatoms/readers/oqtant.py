"""Oqtant JSON: optical depth after time of flight or in the trap, and MOT fluorescence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.readers.combine import Coords, coords_along_shot
from napari_coldatoms.readers.errors import ReadError, describe_content, first_line

SUFFIXES = (".json",)
EXPECTED = "an Oqtant job with pictures (inputs[i].output.values)"

_MILLISECONDS = "_ms"


def read(path: Path) -> list[xr.DataArray]:
    """Read all pictures of a job; those of several runs with one size become a stack of shots.

    Raises
    ------
    ReadError
        No JSON, no Oqtant job, or pixels that do not fit rows and columns.
    """
    try:
        job = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        found = describe_content(path)
        if found != "an empty file":
            found += f" that is no valid JSON ({first_line(error)})"
        raise ReadError(path, EXPECTED, found) from error
    inputs = job.get("inputs") if isinstance(job, dict) else None
    if not isinstance(inputs, list):
        raise ReadError(path, EXPECTED, f"other JSON ({_shown(job)})")
    header = {key: value for key, value in job.items() if key != "inputs"}
    runs: dict[tuple[Any, ...], list[tuple[np.ndarray, Coords]]] = {}
    for run in inputs:
        if not isinstance(run, dict):
            raise ReadError(path, EXPECTED, f"an input that is {_shown(run)}")
        values = _nested(run, "output", "values")
        coords, settings = _parameters(run)
        for name, entry in values.items():
            if not isinstance(entry, dict) or "pixels" not in entry or "fit" in name:
                continue
            picture, size = _picture(path, name, entry)
            header = {**header, "input": settings} if "input" not in header else header
            runs.setdefault((name, picture.shape, size), []).append((picture, coords))
    if not runs:
        raise ReadError(path, EXPECTED, "a job without pictures")
    return [_stack(name, size, shots, header) for (name, _, size), shots in runs.items()]


def _stack(
    name: str,
    size: float,
    shots: list[tuple[np.ndarray, Coords]],
    header: dict[str, Any],
) -> xr.DataArray:
    kind = "fluorescence" if "fluorescence" in name else "optical_depth"
    attrs = {"kind": kind, "header": header, "dataset": name}
    pixel_size = size if size > 0 else None
    if len(shots) == 1:
        picture, coords = shots[0]
        return make_stack(picture, name=name, pixel_size=pixel_size, coords=coords, attrs=attrs)
    return make_stack(
        np.stack([picture for picture, _ in shots]),
        name=name,
        pixel_size=pixel_size,
        coords=coords_along_shot([coords for _, coords in shots], [None] * len(shots)),
        attrs=attrs,
    )


def _picture(path: Path, name: str, entry: dict[str, Any]) -> tuple[np.ndarray, float]:
    try:
        pixels = np.array(entry["pixels"], dtype=np.float64)
        rows, columns = int(entry["rows"]), int(entry["columns"])
        size = float(entry.get("pixcal") or 0)
    except (KeyError, TypeError, ValueError) as error:
        expected = f"numbers as pixels, rows, columns and pixcal of {name}"
        raise ReadError(path, expected, first_line(error)) from error
    if pixels.ndim != 1 or pixels.size != rows * columns or pixels.size == 0:
        found = f"pixels of the shape {pixels.shape}"
        raise ReadError(path, f"{rows} x {columns} pixels of {name}", found)
    # row by row
    return pixels.astype(np.float32).reshape(rows, columns), size


def _parameters(run: dict[str, Any]) -> tuple[Coords, dict[str, Any]]:
    """Return a run's single numbers as coordinates, times in seconds, and all of its settings."""
    settings = _nested(run, "values")
    coords: Coords = {}
    numbers: dict[str, Any] = {key: run[key] for key in ("job_id", "run") if key in run}
    for key, value in {**numbers, **settings}.items():
        if isinstance(value, str):
            coords[key] = xr.Variable((), value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if key.endswith(_MILLISECONDS):
                seconds = xr.Variable((), value * 1e-3, {"units": "s"})
                coords[key.removesuffix(_MILLISECONDS)] = seconds
            else:
                coords[key] = xr.Variable((), value)
    return coords, settings


def _nested(mapping: dict[str, Any], *keys: str) -> dict[str, Any]:
    found: Any = mapping
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(map(repr, list(value)[:4]))} ..."
    return f"a {type(value).__name__}"
