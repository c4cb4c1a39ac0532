"""Regions of an image, from napari's layers or from plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from napari_coldatoms.images.geometry import PIXEL, geometry, orientation_of, to_world, unit_name
from napari_coldatoms.images.region_pixels import (
    Regions,
    boxed_ellipse,
    check_shape,
    collected,
    discs,
    from_labels,
    from_masks,
    moved,
    polygon,
)
from napari_coldatoms.images.shape_pixels import TIE, FloatArray

__all__ = ["Regions", "region_masks"]

_SURFACES = ("rectangle", "polygon", "ellipse")


def region_masks(
    regions: Any, image: xr.DataArray | tuple[int, int], *, size: float | None = None
) -> Regions:
    """Return which pixels of an image lie in which region.

    A pixel belongs to a region if its centre lies inside; pixel i has its centre at i.

    Parameters
    ----------
    regions : layer or array or sequence
        A napari layer: Shapes (rectangles, ellipses, polygons), Points (discs of the diameter
        ``size``) or Labels. Its own scale, translate, rotation, shear and affine count: the layer
        lies over the image as napari shows it. Of layers with more than two axes the last two
        count; of labels the largest along the others.
        Or, in pixels of the image: an integer or boolean label image (y, x), of which 0 is no
        region; masks (sites, y, x), whose values say what each pixel counts; a list of such masks
        (y, x), or of polygons (v, 2), corners ``(y, x)``; centres (sites, 2) of discs.
    image : DataArray or (int, int)
        The stack (see the image model), or rows and columns of an image whose world coordinates
        are its pixels.
    size : float, optional
        Diameter of the discs around plain centres, in pixels.

    Raises
    ------
    ValueError
        If there are no regions, if one lies outside the image or holds no pixel's centre, or is a
        line; if a layer has another unit than the stack, or what was given is no region at all.
    """
    shape, step, first, orientation, unit = _frame(image)
    if isinstance(regions, Regions):
        check_shape(regions.shape, shape, "regions of an image")
        return regions
    if _is_layer(regions):
        layer_unit = unit_name(regions.units[-1]) if hasattr(regions, "units") else PIXEL
        if PIXEL not in (unit, layer_unit) and unit != layer_unit:
            raise ValueError(
                f"expected a layer of regions in {unit}, the unit of the stack, found {layer_unit}"
            )
        place = to_world(
            tuple(np.asarray(regions.scale, dtype=float)[-2:]),
            tuple(np.asarray(regions.translate, dtype=float)[-2:]),
            orientation_of(regions) if hasattr(regions, "affine") else None,
        )
        move = np.linalg.solve(to_world(step, first, orientation), place)
        return _of_layer(regions, shape, move)
    return _of_arrays(regions, shape, size)


def _frame(image: Any) -> tuple[tuple[int, int], Any, Any, Any, str]:
    if isinstance(image, xr.DataArray):
        step, first, unit = geometry(image)
        shape = (int(image.sizes["y"]), int(image.sizes["x"]))
        return shape, step, first, image.attrs.get("orientation"), unit
    rows, columns = (int(size) for size in image)
    return (rows, columns), (1.0, 1.0), (0.0, 0.0), None, PIXEL


def _is_layer(regions: Any) -> bool:
    return all(hasattr(regions, name) for name in ("data", "scale", "translate"))


def _of_layer(layer: Any, shape: tuple[int, int], move: FloatArray) -> Regions:
    if hasattr(layer, "shape_type"):
        return _of_shapes(layer, shape, move)
    if hasattr(layer, "symbol"):
        centres = np.asarray(layer.data, dtype=float)
        centres = centres[:, -2:] if len(centres) else np.empty((0, 2))
        sizes = np.asarray(layer.size, dtype=float)
        sizes = sizes.max(axis=1) if sizes.ndim == 2 else sizes
        return discs(centres, np.broadcast_to(sizes, len(centres)), shape, move, "point")
    if hasattr(layer, "selected_label"):
        data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        labels = np.asarray(data)
        labels = labels.reshape(-1, *labels.shape[-2:]).max(axis=0)
        if np.allclose(move, np.eye(3), atol=1e-9) and labels.shape == shape:
            return from_labels(labels, shape, np.unique(labels))
        return from_labels(_resampled(labels, shape, move), shape, np.unique(labels))
    raise ValueError(
        f"expected a layer of Shapes, Points or Labels as regions, found {type(layer).__name__}"
    )


def _of_shapes(layer: Any, shape: tuple[int, int], move: FloatArray) -> Regions:
    kinds = layer.shape_type
    data = list(layer.data)
    kinds = [kinds] * len(data) if isinstance(kinds, str) else list(kinds)
    found = []
    for number, (corners, kind) in enumerate(zip(data, kinds, strict=True)):
        if kind not in _SURFACES:
            raise ValueError(
                f"expected shapes with a surface (rectangle, ellipse, polygon), found shape "
                f"{number}, a {kind}"
            )
        corners = moved(np.asarray(corners, dtype=float)[:, -2:], move)
        found.append(
            boxed_ellipse(corners, shape) if kind == "ellipse" else polygon(corners, shape)
        )
    return collected(found, "shape", shape)


def _of_arrays(regions: Any, shape: tuple[int, int], size: float | None) -> Regions:
    if isinstance(regions, Sequence) and not isinstance(regions, str) and len(regions):
        arrays = [np.asarray(each) for each in regions]
        if all(array.ndim == 2 and array.shape[1] == 2 for array in arrays) and not all(
            array.shape == shape for array in arrays
        ):
            return _of_polygons(arrays, shape)
        shapes = {array.shape for array in arrays}
        if len(shapes) > 1:
            raise ValueError(
                f"expected polygons (v, 2), or masks of {shape[0]} x {shape[1]} pixels, found "
                f"arrays of the shapes {', '.join(map(str, sorted(shapes)))}"
            )
    array = np.asarray(regions)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            "expected regions as a layer of Shapes, Points or Labels, a label image, masks, "
            f"polygons or centres, found {type(regions).__name__}"
        )
    if size is not None:
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"expected centres (sites, 2) for a size, found shape {array.shape}")
        if not (np.isfinite(size) and size > 0):
            raise ValueError(f"expected a size of discs above 0 px, found {size}")
        return discs(array.astype(float), np.full(len(array), size), shape, np.eye(3), "centre")
    if array.ndim == 3:
        if array.shape[2] == 2 and array.shape[1:] != shape:
            return _of_polygons(list(array), shape)
        return from_masks(array, shape)
    if array.ndim == 2 and array.shape == shape and array.dtype.kind in "biu":
        return from_labels(array.astype(np.int64), shape, np.unique(array))
    if array.ndim == 2 and array.shape == shape:
        return from_masks(array[None], shape)
    hint = "; give the size of discs around centres" if array.shape[-1:] == (2,) else ""
    raise ValueError(
        f"expected labels (y, x) or masks (sites, y, x) of {shape[0]} x {shape[1]} pixels, "
        f"found an array of shape {array.shape}{hint}"
    )


def _of_polygons(polygons: list[NDArray], shape: tuple[int, int]) -> Regions:
    for number, corners in enumerate(polygons):
        if len(corners) < 3 or not np.isfinite(corners).all():
            raise ValueError(
                "expected polygons of at least three finite corners (y, x), found polygon "
                f"{number}: {corners.tolist()}"
            )
    return collected(
        [polygon(corners.astype(float), shape) for corners in polygons], "polygon", shape
    )


def _resampled(labels: NDArray, shape: tuple[int, int], move: FloatArray) -> NDArray:
    """Return the label under the centre of each pixel."""
    pixels = np.indices(shape).reshape(2, -1).T.astype(float)
    places = moved(pixels, np.asarray(np.linalg.inv(move), dtype=np.float64))
    y, x = np.floor(places + (0.5 + TIE)).astype(int).T
    there = (y >= 0) & (y < labels.shape[0]) & (x >= 0) & (x < labels.shape[1])
    result = np.zeros(shape, dtype=labels.dtype)
    result.ravel()[there] = labels[y[there], x[there]]
    return result
