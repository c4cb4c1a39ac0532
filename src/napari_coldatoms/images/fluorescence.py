"""Fluorescence pictures: counts of the atoms' light above that of a frame without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr

from napari_coldatoms.images.frames import average, full_scale, per_shot
from napari_coldatoms.images.stack import StackError, check_stack, is_raw

Subtract = Literal["auto", "none", "background", "probe", "dark"]

# what is most like the atoms frame but for the atoms comes first: stray light is in it too
_PREFERENCE = ("background", "probe", "dark")


@dataclass(frozen=True)
class _Recipe:
    roles: tuple[str, ...]
    source: str
    subtracted: str | None
    saturation: float | None


def fluorescence(
    stack: xr.DataArray, *, subtract: Subtract = "auto", saturation: float | None = None
) -> xr.DataArray:
    """Make the fluorescence picture: mean of the atoms frames minus a frame without atoms.

    Parameters
    ----------
    stack : DataArray, dims ([shot,] frame, y, x)
        Raw frames in counts with an ``atoms`` (or ``fluorescence``) frame. Lazy stacks give lazy
        pictures.
    subtract : {"auto", "none", "background", "probe", "dark"}
        Role of the frames to subtract. ``"auto"`` takes the first of background, probe, dark that
        is there, or nothing.
    saturation : float, optional
        Counts from which a pixel is saturated; default as in `optical_depth`.

    Returns
    -------
    DataArray, dims ([shot,] y, x), float32
        Counts, ``kind="fluorescence"``. Not clipped: negative noise stays. NaN where the frame
        with atoms is saturated, marked by ``invalid`` and counted by ``invalid_count`` and
        ``saturated_count``. ``attrs["picture"]`` says what was subtracted.

    Raises
    ------
    StackError
        No raw frames, none with atoms, or the frame to subtract is missing.
    """
    check_stack(stack)
    if not is_raw(stack):
        raise StackError("expected raw frames, found a picture (without 'frame' dimension)")
    roles = tuple(str(role) for role in stack["frame"].values)
    source = "fluorescence" if "fluorescence" in roles else "atoms"
    if source not in roles:
        raise StackError(
            f"fluorescence needs a frame with the role 'atoms', found only {', '.join(roles)}"
        )
    subtracted = _role_to_subtract(roles, subtract)
    level = full_scale(stack) if saturation is None else float(saturation)
    recipe = _Recipe(roles, source, subtracted, level)
    picture, numbers = per_shot(stack, _fluorescence_of_shot, recipe, n_numbers=1)
    picture.attrs = {
        **stack.attrs,
        "kind": "fluorescence",
        "picture": {
            "kind": "fluorescence",
            "subtract": subtracted or "none",
            "saturation": saturation,
        },
    }
    return picture.assign_coords(
        invalid=np.isnan(picture.variable),
        invalid_count=numbers[0].astype(int),
        saturated_count=numbers[0].astype(int),
    )


def _role_to_subtract(roles: Sequence[str], subtract: str) -> str | None:
    if subtract == "none":
        return None
    if subtract == "auto":
        return next((role for role in _PREFERENCE if role in roles), None)
    if subtract not in _PREFERENCE:
        raise StackError(
            f"expected subtract 'auto', 'none' or one of {', '.join(_PREFERENCE)}; "
            f"found {subtract!r}"
        )
    if subtract not in roles:
        raise StackError(
            f"expected a frame with the role {subtract!r} to subtract, "
            f"found only {', '.join(roles)}"
        )
    return subtract


def _fluorescence_of_shot(frames: np.ndarray, recipe: _Recipe) -> tuple[np.ndarray, list[float]]:
    picture, saturated = average(frames, recipe.roles, recipe.source, recipe.saturation)
    if recipe.subtracted is not None:
        picture -= average(frames, recipe.roles, recipe.subtracted, None)[0]
    picture[saturated] = np.nan
    return picture.astype(np.float32), [float(saturated.sum())]
