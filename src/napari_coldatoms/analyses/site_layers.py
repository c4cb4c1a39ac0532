"""What a reconstructed lattice shows: its sites as points, its outline, the cells of its atoms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from napari_coldatoms.analyses.calibration_file import CalibrationError, pack, unpack
from napari_coldatoms.analyses.lattice_images import frames_of_atoms
from napari_coldatoms.analyses.lattice_series import spacing_of
from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.backend import layers as result_layers
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.backend.run import Run, leading_dims
from napari_coldatoms.images.geometry import placement
from napari_coldatoms.images.stack import METADATA_KEY, is_raw
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.geometry import Lattice

_DIAMETER = 0.6  # of a point, in spacings
_MOST_POINTS = 500_000  # of empty and occupied sites; beyond it the empty ones are left out
_EMPTY, _ATOM, _UNCERTAIN = (result_layers.PALETTE[k] for k in (1, 0, 4))
_COLOURS = (
    np.array([[*bytes.fromhex(colour[1:]), 255] for colour in (_EMPTY, _ATOM, _UNCERTAIN)]) / 255
)
_FEATURES = ("brightness", "probability", "occupied", "uncertain")
_CALIBRATION = "calibration"
SITES, OUTLINE, CELLS = "sites", "outline", "cells"
"""What the layers are called, after the picture's name."""


def sites_layer(run: Run) -> LayerData:
    """Return the valid sites of all images as points, see `image_sites`.

    Of very many sites only those with an atom are shown.
    """
    placed = list(_placed(run))
    total = sum(int(image.found.valid.sum()) for _, image in placed)
    every = total <= _MOST_POINTS
    shown = [image.found.valid if every else image.found.occupied for _, image in placed]
    dimensions = len(_axes(run))
    places = [
        result_layers.place_outline(image.lattice.positions[some], index)
        for (index, image), some in zip(placed, shown, strict=True)
    ]
    features = [site_features(image, some) for (_, image), some in zip(placed, shown, strict=True)]
    table = (
        pd.concat(features, ignore_index=True)
        if features
        else pd.DataFrame(columns=[*"ij", *_FEATURES])
    )
    kwargs = {**_kwargs(run, SITES), "ndim": dimensions, "features": table}
    if placed:
        kwargs |= site_looks(table, spacing_of(placed[0][1].lattice))
    data = np.concatenate(places) if places else np.empty((0, dimensions))
    return data, _with_calibration(run, kwargs), "points"


def image_sites(run: Run, image: SiteImage) -> LayerData:
    """Return the valid sites of one image as points, 2-D: for a layer that follows a slider.

    Filled where there is an atom, rings where there is none, diamonds where that is uncertain. The
    features are the columns of the table.
    """
    valid = image.found.valid
    table = site_features(image, valid)
    kwargs = {
        **result_layers.result_kwargs(run, SITES),
        **placement(run.stack, ("y", "x")),
        "ndim": 2,
        "features": table,
        **site_looks(table, spacing_of(image.lattice)),
    }
    return image.lattice.positions[valid], _with_calibration(run, kwargs), "points"


def site_features(image: SiteImage, shown: np.ndarray) -> pd.DataFrame:
    """Return what is known of some sites, (n,) bool, of an image."""
    numbers = dict(zip("ij", image.lattice.labels[shown].T, strict=True))
    columns = {name: getattr(image.found, name)[shown] for name in _FEATURES[:-1]}
    return pd.DataFrame(numbers | columns | {_FEATURES[-1]: image.uncertain[shown]})


def site_looks(features: pd.DataFrame, spacing: float) -> dict[str, Any]:
    """Return how sites with these features look; colours and symbols work without each other."""
    atom = features["occupied"].to_numpy(dtype=bool)
    uncertain = features["uncertain"].to_numpy(dtype=bool)
    kind = np.where(uncertain, 2, atom.astype(int))
    return {
        "size": _DIAMETER * spacing,
        "symbol": np.where(uncertain, "diamond", "disc"),
        "face_color": np.where(atom[:, None], _COLOURS[kind], 0.0),
        "border_color": _COLOURS[kind],
        "border_width": 0.12,
        "opacity": 0.8,
    }


def outline_layer(run: Run) -> LayerData:
    """Return the outline of all sites with their cells, as a polygon in each image."""
    outlines = [
        result_layers.place_outline(outline(image.lattice), index) for index, image in _placed(run)
    ]
    features = pd.DataFrame({"atoms": [image.atoms for _, image in _placed(run)]})
    data, kwargs, kind = result_layers.shapes_layer(
        run, OUTLINE, outlines, features, shape_type="polygon"
    )
    place = _kwargs(run, OUTLINE) | {"ndim": len(_axes(run)), "edge_color": _EMPTY}
    return data, _with_calibration(run, kwargs | place), kind


def image_outline(run: Run, image: SiteImage) -> LayerData:
    """Return the outline of one image's sites, 2-D: for a layer that follows a slider."""
    features = pd.DataFrame({"atoms": [image.atoms]})
    corners = outline(image.lattice)
    data, kwargs, kind = result_layers.shapes_layer(
        run, OUTLINE, [corners], features, shape_type="polygon"
    )
    place = placement(run.stack, ("y", "x")) | {"ndim": 2, "edge_color": _EMPTY}
    return data, _with_calibration(run, kwargs | place), kind


def _with_calibration(run: Run, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Let the calibration travel in the metadata of a layer, see `calibration_in`."""
    if run.context is not None:
        values, arrays = pack(run.context.calibration)
        kwargs["metadata"][METADATA_KEY][_CALIBRATION] = {"values": values, "arrays": arrays}
    return kwargs


def calibration_in(metadata: Mapping[Any, Any]) -> Calibration | None:
    """Return the calibration that travels in the metadata of a layer; None where there is none."""
    ours = metadata.get(METADATA_KEY)
    kept = ours.get(_CALIBRATION) if isinstance(ours, Mapping) else None
    if not isinstance(kept, Mapping):
        return None
    try:
        return unpack(kept["values"], kept["arrays"])
    except (KeyError, CalibrationError):
        return None


def cells_layer(run: Run) -> LayerData:
    """Return the pixels of each site, where the calibration has it, as labels (y, x).

    A site's label is its number plus 1; 0 is no site's. The features have i and j of each label.
    """
    height, width = run.stack.shape[-2:]
    kwargs = {
        **result_layers.result_kwargs(run, CELLS),
        **placement(run.stack, ("y", "x")),
        "opacity": 0.3,
    }
    if run.context is None:
        return np.zeros((height, width), np.int32), kwargs, "labels"
    lattice = run.context.calibration.lattice
    numbers = np.vstack([[-1, -1], lattice.labels])  # label 0 is the background
    kwargs["features"] = pd.DataFrame({"i": numbers[:, 0], "j": numbers[:, 1]})
    return lattice.cells((height, width)), _with_calibration(run, kwargs), "labels"


def outline(lattice: Lattice) -> np.ndarray:
    """Return the corners (n, 2) of the convex hull of all sites with half a spacing around them."""
    from scipy.spatial import ConvexHull

    if lattice.vectors is not None:
        a, b = lattice.vectors / 2
        around = np.array([a + b, a - b, b - a, -a - b])
    else:
        angle = np.arange(8) * np.pi / 4
        reach = spacing_of(lattice) / 2
        around = reach * np.column_stack([np.sin(angle), np.cos(angle)])
    corners = (lattice.positions[:, None] + around).reshape(-1, 2)
    return np.asarray(corners[ConvexHull(corners).vertices])


def _placed(run: Run) -> Iterator[tuple[tuple[int, ...], SiteImage]]:
    """Yield each image with its place along the leading axes of the layers."""
    raw = is_raw(run.stack)
    pairs = bool(getattr(run.analysis, "pairs", False))
    numbers = frames_of_atoms(run.stack, pairs=pairs) if raw else [0]
    for frame in run.good:
        for number, image in zip(numbers, frame.result.images, strict=True):
            yield ((number, *frame.index) if raw else frame.index), image


def _axes(run: Run) -> tuple[str, ...]:
    """Return the axes of the layers: of raw frames the first is ``frame``, as in their layer."""
    several = ("frame",) if is_raw(run.stack) else ()
    return (*several, *(str(dim) for dim in leading_dims(run.stack)), "y", "x")


def _kwargs(run: Run, what: str) -> dict[str, Any]:
    return {**result_layers.result_kwargs(run, what), **placement(run.stack, _axes(run))}
