"""Layers into files that other programs read: masks and pictures as TIFF, outlines, points as CSV.

The CSV is the one that napari's own reader takes as Shapes or Points (pixel coordinates).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.backend.run import Run
from napari_coldatoms.images.stack import METADATA_KEY

_PER_CENTIMETRE = {"nm": 1e7, "um": 1e4, "mm": 10.0, "cm": 1.0, "m": 0.01}


def write_run(run: Run, folder: str | Path, stem: str) -> list[Path]:
    """Write the layers of a run as `write_layers` does.

    Their names in the files leave out the picture's, for which `stem` stands.
    """
    title = str(run.stack.name or "picture")
    layers = [
        (data, {**kwargs, "name": str(kwargs["name"]).removeprefix(title).strip()}, kind)
        for data, kwargs, kind in run.analysis.layers(run)
    ]
    return write_layers(layers, folder, stem)


def write_layers(layers: Iterable[LayerData], folder: str | Path, stem: str) -> list[Path]:
    """Write the layers of a run, each into its own file, and return the files.

    Parameters
    ----------
    layers : iterable of layer data
        Images and labels become ``.tif``, shapes and points ``.csv``, points with their features;
        an empty Shapes layer becomes a file with a header alone.
    folder : path
        Made where it is missing.
    stem : str
        Start of all file names; the layer's name follows.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for data, kwargs, kind in layers:
        name = file_name(stem, str(kwargs["name"]))
        path = folder / f"{name}{'.csv' if kind in ('shapes', 'points') else '.tif'}"
        with replacing(path) as new:
            if kind == "shapes":
                _write_shapes(new, data, kwargs)
            elif kind == "points":
                _write_points(new, data, kwargs)
            else:
                _write_tiff(new, data, kwargs)
        written.append(path)
    return written


def file_name(stem: str, layer: str) -> str:
    """Return a file name, without suffix, that every system takes."""
    stem, layer = (re.sub(r"[^\w.+-]+", "_", text).strip("_.") for text in (stem, layer))
    # a picture is often named after its file
    return layer if f"{layer}_".startswith(f"{stem}_") else f"{stem}_{layer}"


def _write_shapes(path: Path, outlines: Any, kwargs: dict[str, Any]) -> None:
    axes = [f"axis-{i}" for i in range(kwargs["ndim"])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "shape-type", "vertex-index", *axes])
        for number, outline in enumerate(outlines):
            for vertex, place in enumerate(outline):
                row = [number, kwargs["shape_type"], vertex, *map(float, place)]
                writer.writerow(row)


def _write_points(path: Path, places: Any, kwargs: dict[str, Any]) -> None:
    table = kwargs["features"].reset_index(drop=True)
    for axis in reversed(range(kwargs["ndim"])):
        table.insert(0, f"axis-{axis}", np.asarray(places, dtype=float)[:, axis])
    table.to_csv(path, index_label="index", lineterminator="\n", encoding="utf-8")


def _write_tiff(path: Path, data: Any, kwargs: dict[str, Any]) -> None:
    import tifffile
    import yaml

    ours = kwargs["metadata"].get(METADATA_KEY, {})
    metadata = {
        "axes": {2: "YX", 3: "TYX"}.get(data.ndim, "Q" * (data.ndim - 2) + "YX"),
        "recipe": yaml.safe_dump(ours.get("recipe"), sort_keys=False),
        "source": str(ours.get("source") or ""),
    }
    options: dict[str, Any] = {}
    unit = str(kwargs["units"][-1])
    if unit in _PER_CENTIMETRE:
        size_y, size_x = kwargs["scale"][-2:]
        per = _PER_CENTIMETRE[unit]
        options = {"resolution": (per / size_x, per / size_y), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        path,
        # page by page: a lazy stack is never in memory as a whole
        _pages(data),
        shape=data.shape,
        dtype=data.dtype,
        bigtiff=data.nbytes > 2**31,
        photometric="minisblack",
        compression="zlib",
        metadata=metadata,
        **options,
    )


def _pages(data: Any) -> Iterator[np.ndarray]:
    for index in np.ndindex(*data.shape[:-2]):
        yield np.ascontiguousarray(data[index])
