"""napari's reader: camera files as layers, the picture on top of its hidden raw frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from napari_coldatoms.images.absorption import optical_depth
from napari_coldatoms.images.stack import METADATA_KEY, StackError, is_raw, to_layer
from napari_coldatoms.readers.registry import SUFFIXES, group, read

if TYPE_CHECKING:
    from napari.types import LayerData

Paths = str | Sequence[str]

# what napari's readers return for a file that was taken care of without a layer
NOTHING: list[tuple[None]] = [(None,)]

_COLORMAPS = {"counts": "gray", "optical_depth": "viridis", "fluorescence": "magma"}


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Return the function that reads the file, folder or files, or None for other formats."""
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    known = [each for each in paths if Path(each).suffix.lower() in SUFFIXES or Path(each).is_dir()]
    return read_layers if known else None


def read_layers(path: Paths) -> list[LayerData]:
    """Read camera files into layers.

    Parameters
    ----------
    path : str, or list of str
        A list is read as one: napari hands it over if files were dropped with Shift.

    Returns
    -------
    list of LayerData
        For raw frames with light and atoms a hidden layer of them and the optical depth above it;
        other stacks give one layer. napari's sign for "no layer" if the file is one frame of a
        shot that is open already: dropping its files gives one picture.

    Raises
    ------
    ReadError
        Nothing could be read.
    """
    if isinstance(path, str | os.PathLike):
        paths = [str(path)]
        open_already = _layer_of_same_shot(paths[0])
        if open_already is not None:
            _tell(f"{Path(paths[0]).name} belongs to {open_already!r}, which is open already")
            return NOTHING
    else:
        paths = [str(each) for each in path]
    layers: list[LayerData] = []
    for stack in read(paths[0] if len(paths) == 1 else paths):
        layers += stack_layers(stack)
    return layers


def stack_layers(stack: xr.DataArray) -> list[LayerData]:
    """Return the layers of a stack: one, or raw frames (hidden) and their optical depth.

    Raw frames that make no optical depth are shown as they are, and a warning says what is missing.
    """
    if not is_raw(stack):
        return [_layer(stack)]
    roles = [str(role) for role in stack["frame"].values]
    name = str(stack.name or "frames")
    try:
        picture = optical_depth(stack)
    except StackError as error:
        _warn(
            f"{name}: no picture was made, the raw frames are shown ({error}). "
            "Roles can be changed in the widget 'Raw frames → picture'."
        )
        return [_layer(stack)]
    if not stack.attrs.get("roles_certain", True):
        _tell(
            f"{name}: roles were guessed ({', '.join(roles)}). "
            "They can be changed in the widget 'Raw frames → picture'."
        )
    picture.name = name
    return [
        _layer(stack, name=f"{name} raw frames", visible=False),
        _layer(picture),
    ]


def _layer(stack: xr.DataArray, **overrides: Any) -> LayerData:
    kind = str(stack.attrs.get("kind", "counts"))
    overrides.setdefault("colormap", _COLORMAPS.get(kind, "gray"))
    overrides.setdefault("contrast_limits", contrast_limits(stack))
    return to_layer(stack, **overrides)


def contrast_limits(stack: xr.DataArray) -> tuple[float, float]:
    """Return limits that leave out outliers, from a coarse grid of the first shot's pixels."""
    first = stack[0] if "shot" in stack.dims else stack
    stride = max(1, min(first.shape[-2:]) // 256)
    values = np.asarray(first[..., ::stride, ::stride].data, dtype=float)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (0.5, 99.8)))
    if high <= low:
        low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low, low + 1.0)


def _layer_of_same_shot(path: str) -> str | None:
    """Return the name of a layer that was made from this frame's shot, if a viewer shows one."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None or not Path(path).is_file():
        return None
    groups = group(path)
    files = {str(file) for each in groups for file in each}
    if len(files) < 2:
        return None
    for layer in viewer.layers:
        kept = layer.metadata.get(METADATA_KEY, {})
        attrs = kept.get("attrs", {}) if isinstance(kept, dict) else {}
        if files <= set(attrs.get("files", ())):
            return str(layer.name)
    return None


def _tell(message: str) -> None:
    from napari.utils.notifications import show_info

    show_info(message)


def _warn(message: str) -> None:
    from napari.utils.notifications import show_warning

    show_warning(message)
