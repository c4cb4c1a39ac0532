"""Where pixels lie: pixel size, origin and unit, and their way into napari's transforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

PIXEL = "pixel"

_MICROMETRE = {"µm", "μm", "um", "micron", "microns", "micrometer", "micrometre", "u"}


class StackError(ValueError):
    """An array or a layer is not a stack of camera pictures, or lacks what was asked of it."""


def axis_coordinate(dim: str, size: int, step: float, first: float, unit: str) -> xr.Variable:
    """Return the coordinate of an axis: centres of its pixels, with ``attrs["units"]``.

    Raises
    ------
    StackError
        The step is not a positive, finite number or the unit is no word.
    """
    if not (np.isfinite(step) and step > 0 and np.isfinite(first)):
        raise StackError(f"expected a positive pixel size along {dim}, found {step}")
    if not isinstance(unit, str) or not unit.strip():
        raise StackError(f"expected the name of a unit such as 'um', found {unit!r}")
    return xr.Variable((dim,), first + step * np.arange(size), {"units": unit_name(unit)})


def geometry(stack: xr.DataArray) -> tuple[tuple[float, float], tuple[float, float], str]:
    """Return step and origin, both ``(y, x)``, and the unit, which is the pixel if not known.

    Raises
    ------
    StackError
        Coordinates that do not rise evenly, or y and x in different units.
    """
    steps: list[float | None] = []
    firsts: list[float] = []
    units: set[str] = set()
    for dim in ("y", "x"):
        if dim not in stack.coords:
            steps.append(1.0)
            firsts.append(0.0)
            units.add(PIXEL)
            continue
        values = np.asarray(stack[dim].values)
        if values.dtype.kind not in "iuf" or not np.all(np.isfinite(values)):
            raise StackError(f"expected numbers as coordinate {dim!r}, found {values.dtype}")
        units.add(unit_name(stack[dim].attrs.get("units", PIXEL)))
        firsts.append(float(values[0]))
        if values.size == 1:
            steps.append(None)
            continue
        step = float(values[-1] - values[0]) / (values.size - 1)
        if step <= 0 or np.any(np.abs(np.diff(values.astype(float)) - step) > 1e-4 * abs(step)):
            raise StackError(f"expected evenly rising coordinates along {dim!r}")
        steps.append(step)
    if len(units) > 1:
        raise StackError(f"expected one unit for y and x, found {' and '.join(sorted(units))}")
    # one pixel alone does not tell its size: pixels are square then
    step_y = next((step for step in steps if step is not None), 1.0)
    step_x = next((step for step in reversed(steps) if step is not None), 1.0)
    return (step_y, step_x), (firsts[0], firsts[1]), units.pop()


def placement(stack: xr.DataArray, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return napari's keyword arguments for a layer with these axes, of which y, x are the last."""
    step, first, axis_unit = geometry(stack)
    leading = len(labels) - 2
    place: dict[str, Any] = {
        "scale": (1.0,) * leading + step,
        "translate": (0.0,) * leading + first,
        "units": (PIXEL,) * leading + (axis_unit, axis_unit),
        "axis_labels": labels,
    }
    for key, matrix in stack.attrs.get("orientation", {}).items():
        size = len(labels) + (key == "affine")
        full = np.eye(size)
        block = np.asarray(matrix, dtype=float)
        full[size - len(block) :, size - len(block) :] = block
        place[key] = full
    return place


def orientation_of(layer: Any) -> dict[str, list[list[float]]]:
    """Return what napari's transform holds besides scale and translate, for y and x alone."""
    found = {}
    ndim = layer.ndim
    shear = np.eye(ndim)
    shear[np.triu_indices(ndim, 1)] = layer.shear
    for key, matrix in (
        ("rotate", np.asarray(layer.rotate)[-2:, -2:]),
        ("shear", shear[-2:, -2:]),
        ("affine", np.asarray(layer.affine.affine_matrix)[-3:, -3:]),
    ):
        if not np.allclose(matrix, np.eye(len(matrix))):
            found[key] = np.asarray(matrix, dtype=float).tolist()
    return found


def to_world(
    step: tuple[float, float],
    first: tuple[float, float],
    orientation: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Return the matrix (3, 3) that takes pixels ``(y, x, 1)`` to napari's world coordinates.

    Parameters
    ----------
    step, first : (float, float)
        Pixel size and place of the first pixel along y and x.
    orientation : mapping, optional
        What `orientation_of` returns.
    """
    further = {key: np.asarray(value, dtype=float) for key, value in (orientation or {}).items()}
    matrix = np.eye(3)
    matrix[:2, :2] = further.get("rotate", np.eye(2)) @ further.get("shear", np.eye(2))
    matrix[:2, :2] *= np.asarray(step)
    matrix[:2, 2] = first
    return further.get("affine", np.eye(3)) @ matrix


def unit_name(value: Any) -> str:
    """Return a unit's short ASCII name, from its name or from a pint unit."""
    name = value.strip() if isinstance(value, str) else f"{value:~}"  # pint's own short form
    if name in (PIXEL, "pixels", "px"):
        return PIXEL
    return "um" if name in _MICROMETRE else name.replace("µ", "u").replace("μ", "u")
