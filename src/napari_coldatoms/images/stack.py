"""The image model: what a stack is, and its way into a napari layer and back.

A stack is an `xarray.DataArray` whose last two dimensions are ``y, x``, with optional leading
``shot`` and ``frame``. Raw frames have a ``frame`` dimension holding each frame's role; a picture
has none. Where the pixel size is known, ``y`` and ``x`` carry regularly spaced coordinates, which
give the centre of each pixel in the object plane.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.images.geometry import (
    PIXEL,
    StackError,
    axis_coordinate,
    geometry,
    orientation_of,
    placement,
    unit_name,
)
from napari_coldatoms.images.roles import ROLES

__all__ = [
    "DIMS",
    "METADATA_KEY",
    "StackError",
    "check_stack",
    "from_layer",
    "is_raw",
    "make_stack",
    "origin",
    "pixel_size",
    "shots",
    "spatial",
    "to_layer",
    "unit",
]

METADATA_KEY = "napari_coldatoms"
"""Key of `napari.layers.Layer.metadata` under which everything of ours is kept."""

DIMS = ("shot", "frame", "y", "x")
"""All dimensions a stack may have, in their order."""


def make_stack(
    data: Any,
    *,
    roles: Sequence[str] | None = None,
    name: str | None = None,
    pixel_size: float | tuple[float, float] | None = None,
    unit: str = "um",
    coords: Mapping[str, Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Make a stack from an array.

    Parameters
    ----------
    data : (y, x), (frame, y, x), (shot, y, x) or (shot, frame, y, x) array
        numpy or dask array of real numbers. It has a ``frame`` axis if `roles` are given.
    roles : sequence of str, optional
        Role of each frame, from `ROLES`. Duplicates are allowed. Without it the stack is a picture.
    name : str, optional
        Name of the stack, later of its layer.
    pixel_size : float or (float, float), optional
        Size of a pixel in the object plane, or ``(along y, along x)``, in `unit`.
    unit : str
        Unit of `pixel_size`. Counts only where `pixel_size` is given.
    coords : mapping, optional
        Scan parameters and the like: scalars, or 1-D along ``shot``; whatever else xarray takes as
        a coordinate (such as ``(dims, values)``) is handed on.
    attrs : mapping, optional
        Attributes; ``kind`` is ``"counts"`` unless given.

    Returns
    -------
    xarray.DataArray

    Raises
    ------
    StackError
        The array has a wrong number of dimensions, is empty or not numeric, or the roles or
        coordinates do not fit it.
    """
    if isinstance(data, xr.DataArray):
        data = data.data
    if not hasattr(data, "dask"):
        data = np.asarray(data)
    dims = _expected_dims(data.ndim, raw=roles is not None)
    sizes = dict(zip(dims, data.shape, strict=True))

    all_coords: dict[str, Any] = {}
    if roles is not None:
        if isinstance(roles, str) or len(roles) != sizes["frame"]:
            raise StackError(
                f"expected one role for each of the {sizes['frame']} frames, found {roles!r}"
            )
        all_coords["frame"] = np.array([str(role) for role in roles])
    if pixel_size is not None:
        size_y, size_x = np.broadcast_to(np.asarray(pixel_size, dtype=float), 2)
        all_coords["y"] = axis_coordinate("y", sizes["y"], float(size_y), 0.0, unit)
        all_coords["x"] = axis_coordinate("x", sizes["x"], float(size_x), 0.0, unit)
    for key, value in (coords or {}).items():
        all_coords[key] = _as_coordinate(key, value, sizes.get("shot"))

    try:
        stack = xr.DataArray(
            data,
            dims=dims,
            coords=all_coords,
            name=name,
            attrs={"kind": "counts", **(attrs or {})},
        )
    except ValueError as error:
        raise StackError(
            f"coordinates do not fit the data of shape {data.shape}: {error}"
        ) from error
    return check_stack(stack)


def check_stack(stack: xr.DataArray) -> xr.DataArray:
    """Return the stack unchanged if it follows the image model.

    Raises
    ------
    StackError
        Wrong dimensions or order, no pixels, values that are no real numbers, unknown roles, or
        irregular ``y`` or ``x`` coordinates.
    """
    if not isinstance(stack, xr.DataArray):
        raise StackError(f"expected an xarray.DataArray, found {type(stack).__name__}")
    if stack.dims != tuple(dim for dim in DIMS if dim in stack.dims) or stack.dims[-2:] != (
        "y",
        "x",
    ):
        raise StackError(
            "expected dimensions (y, x), with shot and frame before them where there are any, "
            f"found {tuple(map(str, stack.dims))}"
        )
    if stack.dtype.kind not in "iuf":
        raise StackError(f"expected real numbers, found values of type {stack.dtype}")
    if 0 in stack.shape:
        raise StackError(f"expected at least one pixel, found the shape {stack.shape}")
    if is_raw(stack):
        if "frame" not in stack.coords:
            raise StackError("expected a role for each frame, found no 'frame' coordinate")
        unknown = sorted({str(role) for role in stack["frame"].values} - set(ROLES))
        if unknown:
            raise StackError(f"expected roles out of {', '.join(ROLES)}; found {unknown}")
    geometry(stack)
    return stack


def is_raw(stack: xr.DataArray) -> bool:
    """Tell whether the stack holds raw frames; otherwise it is a picture."""
    return "frame" in stack.dims


def pixel_size(stack: xr.DataArray) -> tuple[float, float] | None:
    """Return the pixel size ``(along y, along x)`` in `unit`, or None where it is not known.

    A layer that was scaled in napari without a physical unit has no known pixel size.
    """
    step, _, axis_unit = geometry(stack)
    return None if axis_unit == PIXEL else step


def unit(stack: xr.DataArray) -> str | None:
    """Return the unit of the pixel size, such as ``"um"``, or None where it is not known."""
    axis_unit = geometry(stack)[2]
    return None if axis_unit == PIXEL else axis_unit


def origin(stack: xr.DataArray) -> tuple[float, float]:
    """Return the coordinate ``(y, x)`` of the centre of pixel (0, 0), in `unit` or in pixels."""
    return geometry(stack)[1]


def shots(stack: xr.DataArray) -> Iterator[tuple[int, xr.DataArray]]:
    """Iterate over the shots: yield each index and its stack without ``shot`` dimension.

    Scan parameters become scalar coordinates of their shot. A stack without ``shot`` dimension
    is one shot with index 0.
    """
    if "shot" not in stack.dims:
        yield 0, stack
        return
    for index in range(stack.sizes["shot"]):
        yield index, stack.isel(shot=index)


def spatial(stack: xr.DataArray, ndim: int | None = None) -> dict[str, Any]:
    """Return the place of the stack's pictures, as keyword arguments for result layers.

    Parameters
    ----------
    stack : DataArray
        Raw frames or picture.
    ndim : int, optional
        Dimensions of the result layer, at least 2. Default: those of the stack without ``frame``.

    Returns
    -------
    dict
        ``scale``, ``translate``, ``units``, ``axis_labels``; also ``rotate``, ``shear`` and
        ``affine`` where the stack was taken from a layer that the user had turned or sheared.
    """
    labels = tuple(str(dim) for dim in stack.dims if dim != "frame")
    if ndim is not None:
        if ndim < 2:
            raise StackError(f"expected at least the 2 dimensions y, x; found ndim={ndim}")
        leading = (*(f"axis {i}" for i in range(ndim - len(labels))), *labels[:-2])
        labels = (*leading[len(leading) - (ndim - 2) :], "y", "x")
    return placement(stack, labels)


def to_layer(stack: xr.DataArray, **overrides: Any) -> tuple[Any, dict[str, Any], str]:
    """Turn a stack into the data, keyword arguments and type of a napari Image layer.

    Parameters
    ----------
    stack : DataArray
        Raw frames or picture. Lazy data are handed to napari as they are.
    **overrides
        Further keyword arguments of `napari.layers.Image`, which win. ``metadata`` is added to
        ours instead of replacing it.

    Returns
    -------
    tuple
        ``(data, keyword arguments, "image")``. Dims, coordinates and attributes travel in
        ``metadata["napari_coldatoms"]``; the ``shot`` and ``frame`` axes have scale 1, translate
        0 and unit pixel. Of raw frames the first axis is ``frame``, then ``shot``: napari aligns
        layers at their last axes, so that the frames then share their shot axis with the picture.
    """
    check_stack(stack)
    stack = stack.transpose(..., "shot", "y", "x", missing_dims="ignore")
    kept = {
        "dims": tuple(str(dim) for dim in stack.dims),
        "coords": {
            str(key): {
                "dims": tuple(str(dim) for dim in coord.dims),
                "values": coord.variable.data if coord.dims else coord.values[()],
                "attrs": dict(coord.attrs),
            }
            for key, coord in stack.coords.items()
            # napari's scale and translate stand for these two
            if key not in ("y", "x")
        },
        "attrs": dict(stack.attrs),
    }
    extra = dict(overrides.pop("metadata", None) or {})
    metadata = {**extra, METADATA_KEY: {**kept, **extra.get(METADATA_KEY, {})}}
    kwargs: dict[str, Any] = {
        **placement(stack, tuple(str(dim) for dim in stack.dims)),
        "rgb": False,
        **({} if stack.name is None else {"name": str(stack.name)}),
        "metadata": metadata,
        **overrides,
    }
    return stack.data, kwargs, "image"


def from_layer(layer: Any) -> xr.DataArray:
    """Take the stack back from a napari Image layer, also from one that is not ours.

    Scale, translate and units are the layer's own, so that what the user changed counts. Dims,
    coordinates and attributes come from our metadata where there are any and still fit; otherwise
    two dimensions are ``y, x`` and three ``shot, y, x``. Lazy data stay lazy; of a multiscale
    layer the finest level is taken.

    Parameters
    ----------
    layer : napari.layers.Image

    Returns
    -------
    DataArray

    Raises
    ------
    StackError
        An RGB layer, a layer with more dimensions than a stack has, or with y and x in different
        units.
    """
    if getattr(layer, "rgb", False):
        raise StackError(
            f"layer {layer.name!r}: expected one value per pixel, found a colour (RGB) picture"
        )
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    if isinstance(data, xr.DataArray):
        data = data.data
    kept = layer.metadata.get(METADATA_KEY, {})
    if not isinstance(kept, Mapping):
        kept = {}
    dims = tuple(kept.get("dims", ()))
    kept_coords = dict(kept.get("coords", {})) if len(dims) == data.ndim else {}
    roles = kept_coords.get("frame", {})
    if len(dims) != data.ndim or (
        "frame" in dims and np.shape(roles.get("values")) != (data.shape[dims.index("frame")],)
    ):
        kept_coords, dims = {}, _expected_dims(data.ndim, raw=False, what=f"layer {layer.name!r}")

    sizes = dict(zip(dims, data.shape, strict=True))
    coords: dict[str, Any] = {}
    for key, coord in kept_coords.items():
        shape = tuple(sizes.get(dim) for dim in coord["dims"])
        if shape == np.shape(coord["values"]):
            coords[key] = xr.Variable(coord["dims"], coord["values"], coord["attrs"])
    attrs = {"kind": "counts", **kept.get("attrs", {})}
    path = getattr(getattr(layer, "source", None), "path", None)
    if "source" not in attrs and path:
        attrs["source"] = str(path)
    attrs.pop("orientation", None)
    orientation = orientation_of(layer)
    if orientation:
        attrs["orientation"] = orientation

    units = tuple(unit_name(each) for each in layer.units[-2:])
    if units[0] != units[1]:
        raise StackError(
            f"layer {layer.name!r}: expected one unit for y and x, found {units[0]} and {units[1]}"
        )
    step = np.asarray(layer.scale, dtype=float)[-2:]
    first = np.asarray(layer.translate, dtype=float)[-2:]
    if units[0] != PIXEL or np.any(step != 1) or np.any(first != 0):
        for axis in (0, 1):
            dim = "yx"[axis]
            coords[dim] = axis_coordinate(dim, sizes[dim], step[axis], first[axis], units[0])
    stack = xr.DataArray(data, dims=dims, coords=coords, name=layer.name, attrs=attrs)
    return check_stack(stack.transpose(*(dim for dim in DIMS if dim in dims)))


def _expected_dims(ndim: int, *, raw: bool, what: str = "data") -> tuple[str, ...]:
    inner = ("frame", "y", "x") if raw else ("y", "x")
    if ndim == len(inner):
        return inner
    if ndim == len(inner) + 1:
        return ("shot", *inner)
    names = ", ".join(inner)
    raise StackError(
        f"{what}: expected the dimensions ({names}) or (shot, {names}), found {ndim} dimension(s)"
    )


def _as_coordinate(key: str, value: Any, n_shots: int | None) -> Any:
    """Put a 1-D scan parameter along ``shot``; a list of one of a single shot is a scalar."""
    if isinstance(value, xr.DataArray | xr.Variable | tuple):
        return value
    values = np.asarray(value)
    if values.ndim == 0:
        return values[()]
    if values.ndim == 1 and n_shots is None and values.size == 1:
        return values[0]
    if values.ndim == 1 and values.size == n_shots:
        return xr.Variable(("shot",), values)
    raise StackError(
        f"coordinate {key!r}: expected a scalar or one value for each of the "
        f"{n_shots or 1} shot(s), found the shape {values.shape}"
    )
