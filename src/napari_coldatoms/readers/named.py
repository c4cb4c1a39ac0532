"""Arrays with names, in HDF5 files and npz archives: roles come from the names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from napari_coldatoms.images.roles import RoleGuess, guess_roles
from napari_coldatoms.readers.plain import (
    ROLE_ORDER,
    Plain,
    common_attrs,
    guessed_stack,
    squeezed,
    stack_of_file,
    stacked_frames,
)


def stacks_of_named(
    plains: Sequence[Plain],
    coords: Mapping[str, Any] | None = None,
    *,
    dataset: str = "",
    series: bool = False,
) -> list[xr.DataArray]:
    """Make stacks of arrays that lie together under different names.

    Parameters
    ----------
    plains : sequence of Plain
        Their ``dataset`` is the name of each.
    coords : mapping, optional
        Scan parameters: scalars, or one value for each shot; others are left out.
    dataset : str
        Name of the group they lie in.
    series : bool
        Whether the first of three axes counts repeated exposures, also of a single array.

    Returns
    -------
    list of DataArray
        Arrays of one shape with names of at least two roles are the frames of one stack; each
        other array is a stack of its own.
    """
    stacks: list[xr.DataArray] = []
    by_shape: dict[tuple[int, ...], list[Plain]] = {}
    for plain in plains:
        by_shape.setdefault(squeezed(plain.data.shape), []).append(plain)
    for shape, alike in by_shape.items():
        guess = guess_roles([plain.dataset for plain in alike])
        frames = [i for i, role in enumerate(guess.roles) if role in ROLE_ORDER]
        if len({guess.roles[i] for i in frames}) < 2 or len(shape) > 3:
            frames = []
        if frames:
            frames.sort(key=lambda i: ROLE_ORDER.index(guess.roles[i]))
            roles = tuple(guess.roles[i] for i in frames)
            own = RoleGuess(roles, guess.certain or "unknown" in guess.roles, guess.reason)
            data = stacked_frames([alike[i].data.reshape(shape) for i in frames])
            attrs = common_attrs([alike[i].attrs for i in frames])
            merged = replace(alike[frames[0]], data=data, attrs={**attrs, "dataset": dataset})
            stacks.append(guessed_stack(merged, data, own, dataset))
        for i, plain in enumerate(alike):
            if i not in frames:
                full = "/".join(part for part in (dataset, plain.dataset) if part)
                stack = stack_of_file(plain, plain.dataset, series=series)
                stack.attrs["dataset"] = full
                stacks.append(stack)
    return [_with_coords(stack, coords or {}) for stack in stacks]


def _with_coords(stack: xr.DataArray, coords: Mapping[str, Any]) -> xr.DataArray:
    shots = stack.sizes.get("shot")
    taken = {"shot", "frame", "y", "x", "invalid", "source"}
    for key, value in coords.items():
        name = f"{key}_parameter" if key in taken else str(key)
        if np.ndim(value) == 0:
            stack.coords[name] = value
        elif np.shape(value) == (shots,):
            stack.coords[name] = ("shot", np.asarray(value))
        elif np.shape(value) == (1,) and shots is None:
            stack.coords[name] = np.asarray(value)[0]
    return stack
