"""Several shots become one stack with a ``shot`` axis."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.images.stack import check_stack, origin, pixel_size, unit
from napari_coldatoms.readers.plain import common_attrs

Coords = dict[str, xr.Variable]

# these belong to each shot, also where they happen to be the same
_PER_SHOT = ("source",)


def concatenate(stacks: Sequence[xr.DataArray]) -> list[xr.DataArray]:
    """Put stacks of the same kind below each other along ``shot``.

    Of the same kind are those with the same dataset in their files, shape, roles and pixel size.
    Scan parameters that differ between the shots become coordinates along ``shot``; those that
    are the same for all stay scalars. Where a shot lacks one it is NaN or empty.

    Parameters
    ----------
    stacks : sequence of DataArray
        With or without ``shot`` dimension.

    Returns
    -------
    list of DataArray
        One for each kind, in the order of their first shots; single stacks unchanged. The
        coordinate ``shot`` holds the shots' own numbers from ``attrs["shot_number"]`` or their
        names, where each has one and no two are the same, else a running index.
    """
    kinds: dict[tuple[Any, ...], list[xr.DataArray]] = {}
    for stack in stacks:
        kinds.setdefault(_kind(stack), []).append(check_stack(stack))
    return [alike[0] if len(alike) == 1 else _concatenated(alike) for alike in kinds.values()]


def coords_along_shot(coords: Sequence[Coords], sizes: Sequence[int | None]) -> Coords:
    """Combine the coordinates of several stacks along ``shot``.

    Parameters
    ----------
    coords : sequence of dict
        Coordinates of each stack, scalar or along ``shot``; others are kept only if all stacks
        share them.
    sizes : sequence of int or None
        Number of shots of each stack; None for a single shot without ``shot`` dimension.
    """
    names = dict.fromkeys(name for each in coords for name in each)
    combined: Coords = {}
    for name in names:
        variables = [each.get(name) for each in coords]
        known = [variable for variable in variables if variable is not None]
        if any(set(variable.dims) - {"shot"} for variable in known):
            continue
        scalars = all(not variable.dims for variable in known)
        values = [np.atleast_1d(variable.values) for variable in known]
        if (
            scalars
            and len(known) == len(variables)
            and name not in _PER_SHOT
            and all(np.array_equal(each, values[0]) for each in values)
        ):
            combined[name] = known[0]
            continue
        if any(each.dtype.kind not in "iufb" for each in values):
            fill: Any = ""
            kind: Any = str
        else:
            fill, kind = np.nan, None
        parts = []
        for variable, size in zip(variables, sizes, strict=True):
            if variable is None:
                parts.append(np.full(size or 1, fill))
            else:
                part = np.broadcast_to(variable.values, (size or 1,))
                parts.append(part.astype(kind) if kind else part)
        combined[name] = xr.Variable(("shot",), np.concatenate(parts), known[0].attrs)
    return combined


def common_name(names: Sequence[str]) -> str:
    """Return what the names begin with, as whole words, or an empty string."""
    first, last = min(names), max(names)
    length = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    start = first[:length]
    if start and any(name[len(start) : len(start) + 1].isalnum() for name in names):
        start = re.sub(r"[A-Za-z]+$|\d+$", "", start)
    return start.strip(" _-.([")


def numbers_in(names: Sequence[str]) -> list[int] | None:
    """Return the number by which the names are counted, or None.

    Of several numbers in the names it is the one that differs between all of them and spans the
    least: the others are dates and times.
    """
    rows = [[int(number) for number in re.findall(r"\d{1,15}", name)] for name in names]
    if len({len(row) for row in rows}) != 1:
        return None
    columns = [list(column) for column in zip(*rows, strict=True) if _distinct(column)]
    return min(columns, key=lambda column: max(column) - min(column), default=None)


def _distinct(numbers: Sequence[Any]) -> bool:
    return None not in numbers and len(set(numbers)) == len(numbers)


def _kind(stack: xr.DataArray) -> tuple[Any, ...]:
    dataset = stack.attrs.get("dataset", stack.name)
    roles = tuple(stack["frame"].values) if "frame" in stack.coords and stack["frame"].dims else ()
    sizes = tuple((dim, size) for dim, size in stack.sizes.items() if dim != "shot")
    place = (pixel_size(stack), origin(stack), unit(stack))
    return dataset, stack.attrs.get("kind"), roles, sizes, place


def _concatenated(stacks: Sequence[xr.DataArray]) -> xr.DataArray:
    sizes = [stack.sizes.get("shot") for stack in stacks]
    arrays = [
        stack.data if size is not None else stack.data[np.newaxis]
        for stack, size in zip(stacks, sizes, strict=True)
    ]
    data: Any
    if any(hasattr(array, "dask") for array in arrays):
        import dask.array as da

        data = da.concatenate([da.asarray(array) for array in arrays])
    else:
        data = np.concatenate(arrays)
    first = stacks[0]
    own = ("y", "x", "shot") + (("frame",) if "frame" in first.dims else ())
    coords = coords_along_shot(
        [
            {str(key): c.variable for key, c in stack.coords.items() if key not in own}
            for stack in stacks
        ],
        sizes,
    )
    for key in own:
        if key in first.coords and key != "shot":
            coords[key] = first[key].variable
    dataset = str(first.attrs.get("dataset", ""))
    names = [str(stack.name).removesuffix(dataset) for stack in stacks]
    numbers = None
    if all(size is None for size in sizes):
        counted = [stack.attrs.get("shot_number") for stack in stacks]
        numbers = counted if _distinct(counted) else numbers_in(names)
    shot = np.arange(len(data)) if numbers is None else np.array(numbers)
    coords["shot"] = xr.Variable(("shot",), shot)
    # flags and names that are one shot's own
    rest = ("files", "source", "shot_number", "roles_certain", "roles_reason")
    attrs = common_attrs(
        [{k: v for k, v in stack.attrs.items() if k not in rest} for stack in stacks]
    )
    files = list(dict.fromkeys(f for stack in stacks for f in stack.attrs.get("files", [])))
    if files:
        attrs["files"] = files
        attrs["source"] = os.path.commonpath([str(Path(file).parent) for file in files])
    doubtful = [stack for stack in stacks if not stack.attrs.get("roles_certain", True)]
    if "roles_reason" in first.attrs:
        attrs["roles_certain"] = not doubtful
        attrs["roles_reason"] = (doubtful or [first])[0].attrs["roles_reason"]
    dims = ("shot", *(dim for dim in first.dims if dim != "shot"))
    name = common_name(names) or (Path(attrs["source"]).name if files else "") or "shots"
    return check_stack(
        xr.DataArray(data, dims=dims, coords=coords, name=f"{name} {dataset}".strip(), attrs=attrs)
    )
