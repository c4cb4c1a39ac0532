"""What a reconstructed lattice shows: its sites as points, its outline, the cells of its atoms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from napari_coldatoms.analyses.lattice_images import frames_of_atoms
from napari_coldatoms.analyses.lattice_series import spacing_of
from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.backend import layers as result_layers
from napari_coldatoms.backend.analysis import LayerData
from napari_coldatoms.backend.run import FrameResult, Run, leading_dims
from napari_coldatoms.images.geometry import placement
from napari_coldatoms.images.stack import is_raw
from napari_coldatoms.lattice.geometry import Lattice

_DIAMETER = 0.6  # of a point, in spacings
_MOST_POINTS = 500_000  # of empty and occupied sites; beyond it the empty ones are left out
_ATOM, _EMPTY = result_layers.PALETTE[0], result_layers.PALETTE[1]
_NO_COLOUR = "#00000000"
_FEATURES = ("brightness", "probability", "occupied")


def sites_layer(run: Run) -> LayerData:
    """Return the valid sites as points: filled where there is an atom, rings where there is none.

    The features are the columns of the table. Of very many sites only those with an atom are shown.
    """
    placed = list(_placed(run))
    total = sum(int(image.found.valid.sum()) for _, image in placed)
    places: list[np.ndarray] = []
    features: list[pd.DataFrame] = []
    for index, image in placed:
        found = image.found
        shown = found.valid if total <= _MOST_POINTS else found.occupied
        places.append(result_layers.place_outline(image.lattice.positions[shown], index))
        columns = {name: getattr(found, name)[shown] for name in _FEATURES}
        numbers = dict(zip("ij", image.lattice.labels[shown].T, strict=True))
        features.append(pd.DataFrame(numbers | columns))
    dimensions = len(_axes(run))
    table = pd.concat(features, ignore_index=True) if features else pd.DataFrame(columns=_FEATURES)
    atom = table["occupied"].to_numpy(dtype=bool)
    kwargs = {
        **_kwargs(run, "sites"),
        "ndim": dimensions,
        "features": table,
        "size": _DIAMETER * _spacing(placed),
        "symbol": "disc",
        "face_color": np.where(atom, _ATOM, _NO_COLOUR).tolist() or _ATOM,
        "border_color": np.where(atom, _ATOM, _EMPTY).tolist() or _EMPTY,
        "border_width": 0.12,
        "opacity": 0.8,
    }
    data = np.concatenate(places) if places else np.empty((0, dimensions))
    return data, kwargs, "points"


def outline_layer(run: Run) -> LayerData:
    """Return the outline of all sites with their cells, as a polygon in each image."""
    outlines = [
        result_layers.place_outline(outline(image.lattice), index) for index, image in _placed(run)
    ]
    features = pd.DataFrame({"atoms": [image.atoms for _, image in _placed(run)]})
    data, kwargs, kind = result_layers.shapes_layer(
        run, "lattice", outlines, features, shape_type="polygon"
    )
    place = _kwargs(run, "lattice") | {"ndim": len(_axes(run)), "edge_color": _EMPTY}
    return data, kwargs | place, kind


def cells_layer(run: Run) -> LayerData:
    """Return the pixels around each atom of the first image as labels: the site's number plus 1."""
    height, width = run.stack.shape[-2:]
    most = max((len(f.result.images[0].lattice) for f in run.good), default=0)

    def draw(frame: FrameResult) -> np.ndarray:
        image = frame.result.images[0]
        cells = image.lattice.cells((height, width))
        # number 0 is of the pixels of no site
        atoms = np.concatenate([[False], image.found.occupied])
        return np.where(atoms[cells], cells, 0)

    dtype = np.uint16 if most < 2**16 else np.uint32
    data = result_layers.per_frame(run, run.good, draw, dtype=dtype)
    return data, {**result_layers.result_kwargs(run, "atoms"), "opacity": 0.4}, "labels"


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


def _spacing(placed: list[tuple[tuple[int, ...], SiteImage]]) -> float:
    return spacing_of(placed[0][1].lattice) if placed else 4.0
