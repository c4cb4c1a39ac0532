"""Raw frames and the picture made from them, as two layers that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_coldatoms.images.stack import METADATA_KEY, from_layer, is_raw
from napari_coldatoms.readers.layers import stack_layers
from napari_coldatoms.widgets.result_layers import (
    LayerData,
    mark_of,
    ndim_of,
    place_of,
    show_one,
    shown,
)

_CONTRAST = "contrast_limits"


def draw_picture(picture: Any, raw_name: str) -> LayerData:
    """Return a picture as a layer, as a reader shows it, named after its raw frames."""
    base = raw_name.removesuffix(" raw frames")
    picture = picture.copy(deep=False)
    picture.name = f"{base} picture" if base == raw_name else base
    (layer,) = stack_layers(picture)
    return layer


def is_raw_layer(layer: Layer) -> bool:
    """Tell whether an Image layer holds raw frames."""
    ours = layer.metadata.get(METADATA_KEY, {})
    return isinstance(ours, Mapping) and "frame" in ours.get("dims", ())


def picture_of(viewer: Any, raw: Layer) -> Layer | None:
    """Return the layer with the picture made from a layer of raw frames, if there is one.

    That is one made by us from this very layer, or else one that a reader opened with it: a picture
    of the same files, the same shots and the same size.
    """
    for layer in shown(viewer, raw, "make_picture", group="picture"):
        return layer
    try:
        frames = from_layer(raw)
    except ValueError:
        return None
    if not is_raw(frames):
        return None
    for layer in viewer.layers:
        if not isinstance(layer, Image) or mark_of(layer) or is_raw_layer(layer) or layer == raw:
            continue
        ours = layer.metadata.get(METADATA_KEY, {})
        attrs = ours.get("attrs", {}) if isinstance(ours, Mapping) else {}
        shape = tuple(n for n, dim in zip(frames.shape, frames.dims, strict=True) if dim != "frame")
        if (
            attrs.get("picture") is not None
            and tuple(layer.data.shape) == shape
            and _same_origin(attrs, frames.attrs)
        ):
            return layer
    return None


def show_picture(viewer: Any, raw: Layer, made: LayerData) -> Layer:
    """Show the picture made from raw frames, in the layer that shows it already if there is one.

    A reader's layer is taken over, with the name and the looks it has. Contrast limits that nobody
    changed since they were set follow the picture.
    """
    data, kwargs, kind = made
    layer = picture_of(viewer, raw)
    limits = mark_of(layer).get(_CONTRAST) if layer is not None else None
    if layer is not None and not mark_of(layer):
        limits = list(layer.contrast_limits)
    mark = {
        "source": raw.unique_id,
        "analysis": "make_picture",
        "group": "picture",
        "role": "picture",
        _CONTRAST: kwargs.get("contrast_limits"),
    }
    if layer is not None and limits is not None and "contrast_limits" in kwargs:
        untouched = np.allclose(layer.contrast_limits, limits)
    else:
        untouched = False
    kwargs = {**kwargs, **place_of(raw, ndim_of(data, kwargs, kind))}
    shown_in = show_one(viewer, layer, (data, kwargs, kind), mark)
    if untouched:
        shown_in.contrast_limits = kwargs["contrast_limits"]
    return shown_in


def _same_origin(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    files = [tuple(map(str, attrs.get("files") or ())) for attrs in (one, other)]
    if files[0] or files[1]:
        return files[0] == files[1]
    # samples come from no file, and have a truth instead
    keys = [key for key in ("source", "truth") if one.get(key) is not None]
    return bool(keys) and all(one[key] == other.get(key) for key in keys)
