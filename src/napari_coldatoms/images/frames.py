"""What making any picture from raw frames shares: averages by role, saturation, shot by shot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr


def average(
    frames: np.ndarray, roles: Sequence[str], role: str, saturation: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Average the frames of one role.

    Parameters
    ----------
    frames : (frame, y, x) array
        Counts of one shot.
    roles : sequence of str
        Role of each frame.
    role : str
        Role to average, which must be there.
    saturation : float or None
        Counts from which a pixel is saturated.

    Returns
    -------
    mean : (y, x) array
        float64, so that nothing wraps when unsigned counts are subtracted.
    saturated : array of bool, shape (y, x)
        Pixels saturated in any of the averaged frames.
    """
    chosen = frames[[index for index, each in enumerate(roles) if each == role]]
    level = np.inf if saturation is None else saturation
    saturated = np.any(chosen >= level, axis=0)
    return chosen.mean(axis=0, dtype=np.float64), saturated


def full_scale(stack: xr.DataArray) -> float | None:
    """Return the counts from which a pixel is saturated, as far as the stack tells.

    ``attrs["saturation"]``, else the largest value of the camera's integers (255, 65535). None for
    floating-point frames, and for integers wider than any camera's.
    """
    known = stack.attrs.get("saturation")
    if known is not None:
        return float(known)
    if stack.dtype.kind in "iu" and stack.dtype.itemsize <= 2:
        return float(np.iinfo(stack.dtype).max)
    return None


def per_shot(
    stack: xr.DataArray,
    make: Callable[[np.ndarray, Any], tuple[np.ndarray, list[float]]],
    recipe: Any,
    *,
    n_numbers: int,
) -> tuple[xr.DataArray, list[xr.Variable]]:
    """Make the picture of each shot, at once or, for a lazy stack, when it is asked for.

    Parameters
    ----------
    stack : DataArray, dims ([shot,] frame, y, x)
        Raw frames.
    make : callable
        From the frames of one shot and `recipe` to its picture, float32, and `n_numbers` numbers.
    recipe : object
        Handed to `make`.
    n_numbers : int
        How many numbers belong to each picture.

    Returns
    -------
    picture : DataArray, dims ([shot,] y, x)
        With the coordinates of the stack except ``frame``.
    numbers : list of Variable
        Each along ``shot``, or scalar.
    """
    dims = tuple(dim for dim in stack.dims if dim != "frame")
    data = stack.data
    has_shots = "shot" in dims
    if not has_shots:
        data = data[np.newaxis]
    if hasattr(data, "dask"):
        pictures, numbers = _lazily(data, make, recipe, n_numbers)
    else:
        pictures = np.empty(data.shape[:1] + data.shape[2:], dtype=np.float32)
        numbers = np.empty((len(data), n_numbers))
        for index in range(len(data)):
            pictures[index], numbers[index] = make(data[index], recipe)
    if not has_shots:
        pictures, numbers = pictures[0], numbers[0]
    coords = {
        key: coord.variable for key, coord in stack.coords.items() if "frame" not in coord.dims
    }
    picture = xr.DataArray(pictures, dims=dims, coords=coords, name=stack.name)
    number_dims = ("shot",) if has_shots else ()
    return picture, [xr.Variable(number_dims, numbers[..., i]) for i in range(n_numbers)]


def _lazily(
    data: Any, make: Callable[..., tuple[np.ndarray, list[float]]], recipe: Any, n_numbers: int
) -> tuple[Any, Any]:
    blocks = data.rechunk((1, *data.shape[1:]))
    pictures = blocks.map_blocks(
        _picture_of_block,
        make,
        recipe,
        dtype=np.float32,
        drop_axis=1,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )
    numbers = blocks.map_blocks(
        _numbers_of_block,
        make,
        recipe,
        dtype=np.float64,
        drop_axis=(2, 3),
        chunks=(blocks.chunks[0], (n_numbers,)),
        meta=np.empty((0, 0), dtype=np.float64),
    )
    return pictures, numbers


def _picture_of_block(block: np.ndarray, make: Callable, recipe: Any) -> np.ndarray:
    return np.stack([make(frames, recipe)[0] for frames in block])


def _numbers_of_block(block: np.ndarray, make: Callable, recipe: Any) -> np.ndarray:
    return np.array([make(frames, recipe)[1] for frames in block], dtype=float)
