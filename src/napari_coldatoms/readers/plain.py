"""Files that hold an array without saying what its axes are: TIFF, FITS, npy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.images.roles import (
    RoleGuess,
    are_below_zero,
    brightness_of,
    coarse_grid,
    guess_roles,
    guess_roles_from_count,
    role_of_name,
)
from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.readers.errors import ReadError

ROLE_ORDER = ("atoms", "probe", "dark", "background")
MOST_PIXELS = 10**9
"""Of a picture: what claims more is a damaged file, or one made to fill the memory."""

_MOST_VALUES = 10**12

SHAPES = "pictures of the shape (y, x), (frame, y, x) or (shot, frame, y, x)"


@dataclass(frozen=True)
class Plain:
    """An array of a file and what the file says about it.

    Attributes
    ----------
    data : array
        numpy or dask; leading axes of length 1 are dropped.
    attrs, coords : dict
        As in a stack.
    pixel_size : (float, float) or None
        In micrometres.
    dataset : str
        Name within the file, empty where there is only one.
    """

    data: Any
    attrs: dict[str, Any] = field(default_factory=dict)
    coords: dict[str, Any] = field(default_factory=dict)
    pixel_size: tuple[float, float] | None = None
    dataset: str = ""


def check_array(path: Path, shape: Sequence[int], dtype: np.dtype) -> None:
    """Check that an array can hold pictures.

    Raises
    ------
    ReadError
        It has a wrong number of axes, is empty, absurdly large or not numeric, or holds colours.
    """
    shape = tuple(int(length) for length in shape)
    if dtype.kind not in "iuf":
        raise ReadError(path, "real numbers", f"values of the type {dtype}")
    if len(shape) < 2 or 0 in shape:
        raise ReadError(path, SHAPES, f"an array of the shape {shape}")
    if math.prod(shape[-2:]) > MOST_PIXELS or math.prod(shape) >= _MOST_VALUES:
        most = f"pictures of at most {MOST_PIXELS:.0e} pixels"
        raise ReadError(path, most, f"a header that claims the shape {shape}")
    inner = squeezed(shape)
    if len(inner) > 4 or (len(inner) == 4 and inner[1] not in (2, 3, 4)):
        raise ReadError(path, SHAPES, f"an array of the shape {shape}")
    if len(inner) == 3 and inner[2] in (3, 4) and min(inner[:2]) > 16:
        found = f"the shape {shape}: colours, or frames along the last axis"
        raise ReadError(path, SHAPES, found)


def squeezed(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without leading axes of length 1, but with at least two axes."""
    shape = tuple(shape)
    while len(shape) > 2 and shape[0] == 1:
        shape = shape[1:]
    return shape


def stack_of_file(plain: Plain, name: str, *, series: bool = False) -> xr.DataArray:
    """Make the stack of a single array; roles come from the number of its frames.

    Parameters
    ----------
    plain : Plain
    name : str
        Name of the file or dataset, which may tell that all frames are of one role.
    series : bool
        Whether the frames are known to be of one role, such as repeated exposures.
    """
    data = plain.data.reshape(squeezed(plain.data.shape))
    own = role_of_name(name)
    attrs = {**plain.attrs, "dataset": plain.dataset}
    if (
        data.ndim == 2
        or series
        or own in ("optical_depth", "fluorescence", "probe", "dark", "background")
    ):
        if own in ("optical_depth", "fluorescence"):
            attrs["kind"] = own
        if data.ndim == 4:
            data = data.reshape((-1, *data.shape[2:]))
        coords = plain.coords if own == "unknown" else {**plain.coords, "frame": own}
        return make_stack(data, name=name, coords=coords, attrs=attrs, pixel_size=plain.pixel_size)
    frames = data if data.ndim == 3 else data[0]
    listed = coarse_grid(xr.DataArray(frames, dims=("frame", "y", "x")))
    if are_below_zero(listed):
        reason = f"{len(frames)} frames, all with negative values, which light never gives"
        guess = RoleGuess(("unknown",) * len(frames), False, reason)
    else:
        guess = guess_roles_from_count(len(frames), brightness_of(listed))
    return guessed_stack(plain, data, guess, name)


def guessed_stack(plain: Plain, data: Any, guess: RoleGuess, name: str | None) -> xr.DataArray:
    """Make the stack of frames with guessed roles: repeated triplets become shots.

    Parameters
    ----------
    plain : Plain
        For all but the data.
    data : array, shape (frame, y, x) or (shot, frame, y, x)
    guess : RoleGuess
        Roles of the frames.
    name : str
    """
    attrs = {**plain.attrs, "roles_certain": guess.certain, "roles_reason": guess.reason}
    roles: tuple[str, ...] | None = guess.roles
    repeated = data.ndim == 3 and len(guess.roles) >= 6 and guess.roles[0] == "atoms"
    if set(guess.roles) == {"unknown"} or (repeated and "NOT agree" in guess.reason):
        # nothing speaks for raw frames: a series of pictures
        attrs["roles_reason"] = f"{guess.reason}; shown as a series of pictures"
        roles = None
        if data.ndim == 4:
            data = data.reshape((-1, *data.shape[2:]))
    elif repeated:
        data = data.reshape((len(data) // 3, 3, *data.shape[1:]))
        roles = guess.roles[:3]
    coords = {key: value for key, value in plain.coords.items() if np.ndim(value) == 0}
    if data.ndim == (3 if roles is None else 4):
        coords |= {
            key: value for key, value in plain.coords.items() if np.shape(value) == data.shape[:1]
        }
    return make_stack(
        data, roles=roles, name=name, coords=coords, attrs=attrs, pixel_size=plain.pixel_size
    )


def stack_of_shot(members: Sequence[tuple[Path, Plain]], name: str) -> xr.DataArray:
    """Make the stack of a shot with one file for each frame; roles come from the files' names.

    Raises
    ------
    ReadError
        The files differ in shape.
    """
    guess = guess_roles([path.stem for path, _ in members])
    order = sorted(range(len(members)), key=lambda i: _rank(guess.roles[i]))
    members = [members[i] for i in order]
    guess = RoleGuess(tuple(guess.roles[i] for i in order), guess.certain, guess.reason)
    first_path, first = members[0]
    arrays = [plain.data.reshape(squeezed(plain.data.shape)) for _, plain in members]
    for (path, _), array in zip(members, arrays, strict=True):
        if array.shape != arrays[0].shape or array.ndim > 3:
            expected = f"a frame of the shape {arrays[0].shape}, as in {first_path.name}"
            raise ReadError(path, expected, f"the shape {array.shape}")
    data = stacked_frames(arrays)
    attrs = common_attrs([plain.attrs for _, plain in members])
    merged = Plain(data, {**attrs, "dataset": ""}, {**first.coords}, first.pixel_size)
    return guessed_stack(merged, data, guess, name)


def common_attrs(many: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the attributes that all have with the same value; headers entry by entry."""
    kept: dict[str, Any] = {}
    for key, value in many[0].items():
        values = [attrs.get(key) for attrs in many]
        if isinstance(value, dict) and all(isinstance(each, dict) for each in values):
            kept[key] = common_attrs(values)  # type: ignore[arg-type]
        elif all(_same(each, value) for each in values):
            kept[key] = value
    return kept


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    return type(one) is type(other) and bool(one == other)


def _rank(role: str) -> int:
    return ROLE_ORDER.index(role) if role in ROLE_ORDER else len(ROLE_ORDER)


def stacked_frames(arrays: Sequence[Any]) -> Any:
    """Put arrays of the shape (y, x) or (shot, y, x) together along a new ``frame`` axis."""
    axis = arrays[0].ndim - 2
    if any(hasattr(array, "dask") for array in arrays):
        import dask.array as da

        return da.stack([da.asarray(array) for array in arrays], axis=axis)
    return np.stack(arrays, axis=axis)
