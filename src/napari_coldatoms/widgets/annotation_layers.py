"""Labels layers that clouds are painted in: one for each class of an image, where that lies."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels, Layer, Shapes
from napari.utils.colormaps import CyclicLabelColormap

from napari_coldatoms import __version__
from napari_coldatoms.analyses.annotation_seeds import Seed, seeds_of_labels
from napari_coldatoms.analyses.annotations import LABEL_TYPE, Shot
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.images.region_pixels import boxed_ellipse, polygon
from napari_coldatoms.images.stack import METADATA_KEY, from_layer, spatial
from napari_coldatoms.widgets.result_layers import mark_of, place_of

_ANNOTATES = "annotates"
_OPACITY = 0.5
# size of the brush at first, in parts of the picture's larger side
_BRUSH = 1 / 25
# orange, cyan, magenta, green, red, blue: far from each other, and seen on the usual colormaps
_HUES = (0.08, 0.5, 0.86, 0.36, 0.0, 0.6)
_SURFACES = ("rectangle", "ellipse", "polygon")


def identity(layer: Any) -> str:
    """Return what tells a layer from all others, whatever it is called."""
    return str(layer.unique_id)


def annotates(layer: Any) -> tuple[str, str] | None:
    """Return image (its `identity`) and class of a layer that clouds are painted in, else None."""
    ours = layer.metadata.get(METADATA_KEY, {})
    mark = ours.get(_ANNOTATES) if isinstance(ours, Mapping) else None
    if not isinstance(mark, Mapping):
        return None
    return str(mark.get("source", "")), str(mark.get("class", ""))


def release(layer: Any) -> None:
    """Leave a layer of labels to the user: no class of an image is painted in it any more."""
    ours = layer.metadata.get(METADATA_KEY, {})
    # a copy of a layer shares what is in its metadata
    kept = {key: value for key, value in ours.items() if key != _ANNOTATES}
    layer.metadata = {**layer.metadata, METADATA_KEY: kept}


def label_layers(viewer: Any, source: Layer) -> dict[str, Labels]:
    """Return the layers that the clouds of an image are painted in, by class."""
    found: dict[str, Labels] = {}
    for layer in viewer.layers:
        mark = annotates(layer)
        if mark is not None and mark[0] == identity(source):
            found[mark[1]] = layer
    return found


def add_label_layer(viewer: Any, source: Layer, name: str, data: Any) -> Labels:
    """Add the layer of a class over an image."""
    layer = viewer.add_labels(
        data,
        name=layer_name(source, name),
        colormap=class_colors(len(label_layers(viewer, source))),
        opacity=_OPACITY,
        metadata={
            METADATA_KEY: {
                _ANNOTATES: {"source": identity(source), "class": name},
                "source": str(_attrs(source).get("source", "")),
                "version": __version__,
            }
        },
        **layer_place(source, np.ndim(data)),
    )
    layer.brush_size = max(2, round(max(np.shape(data)[-2:]) * _BRUSH))
    return layer


def class_colors(number: int) -> CyclicLabelColormap:
    """Return the colours of the clouds of a class: its own hue, in several shades."""
    hue = _HUES[number % len(_HUES)]
    shades = [
        colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
        for shift, saturation, value in ((0, 1, 1), (0.06, 0.6, 1), (-0.06, 0.8, 0.85))
    ]
    return CyclicLabelColormap(colors=[(0, 0, 0, 0), *((*shade, 1) for shade in shades)])


def layer_name(source: Layer, name: str) -> str:
    """Return what the layer of a class is called."""
    return f"{name} of {source.name}"


def rename_label_layer(layer: Labels, source: Layer, old: str, new: str) -> None:
    """Give the layer of a class another one; a name that the user has given it stays."""
    layer.metadata[METADATA_KEY][_ANNOTATES]["class"] = new
    if layer.name == layer_name(source, old):
        layer.name = layer_name(source, new)


def layer_place(source: Layer, ndim: int) -> dict[str, Any]:
    """Return where labels over an image lie, also if that was turned or sheared."""
    return {**spatial(from_layer(source), ndim), **place_of(source, ndim)}


def image_shape(source: Any) -> tuple[int, ...]:
    """Return the shape of an image: of its finest level, if it has several."""
    data = source.data[0] if getattr(source, "multiscale", False) else source.data
    return tuple(int(n) for n in data.shape)


def shown_shot(viewer: Any, source: Any, shape: tuple[int, ...]) -> Shot | None:
    """Return the shot of an image that the sliders show; None where that is outside of it.

    The image's shape is that which is painted on: its data may be new already.
    """
    point = np.asarray(viewer.dims.point)[-source.ndim :]
    if len(point) < source.ndim:
        return None
    place = np.rint(np.asarray(source.world_to_data(point))[:-2]).astype(int).tolist()
    inside = all(0 <= i < n for i, n in zip(place, shape[:-2], strict=True))
    return tuple(place) if inside else None


def go_to_shot(viewer: Any, source: Any, shot: Shot) -> None:
    """Move the sliders to a shot of an image."""
    world = source.data_to_world((*shot, 0, 0))
    first = viewer.dims.ndim - source.ndim
    for axis, value in enumerate(world[: len(shot)]):
        viewer.dims.set_point(first + axis, value)


def empty_labels(shape: tuple[int, ...]) -> Any:
    """Return labels without any cloud; a large array takes memory only where it is painted."""
    return np.zeros(shape, dtype=LABEL_TYPE)


def can_be_imported(layer: Any) -> bool:
    """Tell whether clouds can be taken from a layer: other labels, and shapes."""
    return isinstance(layer, Labels | Shapes) and annotates(layer) is None


def seeds_in(
    layer: Any, source: Layer, shots: Iterable[Shot], shown: Shot | None
) -> Iterator[list[Seed]]:
    """Yield the clouds that a layer of labels or shapes has in each of some shots of an image.

    Shapes lie where napari shows them; labels are taken pixel by pixel.

    Parameters
    ----------
    layer : Labels or Shapes
    source : Image
        The image.
    shots : iterable of tuple of int
        Of the image.
    shown : tuple of int or None
        The shot that the sliders show: a flat layer, which lies over all shots, belongs to it.

    Raises
    ------
    ValueError
        Labels have not the size of the image.
    """
    if isinstance(layer, Shapes):
        outlines = _outlines(layer, source, shown)
        yield from (_seeds_of_shapes(outlines.get(shot, []), source) for shot in shots)
        return
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    whole = image_shape(source)
    if tuple(data.shape) not in (whole, whole[-2:]):
        raise ValueError(wrong_shape(layer.name, tuple(data.shape), source))
    flat = len(data.shape) < len(whole)
    # the masks of "Detect clouds" tell their class
    label = str(mark_of(layer).get("role", "")).partition("masks: ")[2]
    for shot in shots:
        there = not flat or shot == shown
        yield seeds_of_labels(np.asarray(data if flat else data[shot]), label) if there else []


def wrong_shape(name: str, found: tuple[int, ...], source: Layer) -> str:
    """Say that labels do not suit an image, and what to do."""
    wanted = image_shape(source)
    return (
        f"“{name}” is {_size(found)}, “{source.name}” {_size(wanted)}: labels must have the size "
        "of the image. Choose a class here and paint in its layer."
    )


@dataclass(frozen=True)
class _Outline:
    """A shape in pixels of an image: its corners (n, 2), what it is, and of which class."""

    corners: np.ndarray
    kind: str
    label: str


def _outlines(layer: Any, source: Layer, shown: Shot | None) -> dict[Shot, list[_Outline]]:
    """Return the surfaces among the shapes of a layer, by shot."""
    features = layer.features
    labels = features["label"].astype(str).tolist() if "label" in features.columns else []
    found: dict[Shot, list[_Outline]] = {}
    for number, (corners, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
        if kind not in _SURFACES:
            continue
        places = np.array([_place(layer, source, corner) for corner in corners])
        leading = np.unique(np.rint(places[:, :-2]).astype(int), axis=0)
        shot = shown
        if layer.ndim >= source.ndim:
            shot = tuple(leading[0].tolist()) if len(leading) == 1 else None
        if shot is not None:
            label = labels[number] if number < len(labels) else ""
            found.setdefault(shot, []).append(_Outline(places[:, -2:], str(kind), label))
    return found


def _seeds_of_shapes(outlines: Iterable[_Outline], source: Layer) -> list[Seed]:
    rows, columns = image_shape(source)[-2:]
    found = []
    for each in outlines:
        draw = boxed_ellipse if each.kind == "ellipse" else polygon
        pixels = draw(each.corners, (rows, columns))[0]
        mask = np.zeros(rows * columns, dtype=bool)
        mask[pixels] = True
        if len(pixels):
            found.append(Seed(Patch.of(mask.reshape(rows, columns)), each.label))
    return found


def _place(layer: Any, source: Any, corner: Any) -> np.ndarray:
    """Return a place in a layer in pixels of an image."""
    world = np.asarray(layer.data_to_world(corner), dtype=float)[-source.ndim :]
    whole = np.concatenate([np.zeros(source.ndim - len(world)), world])
    return np.asarray(source.world_to_data(whole), dtype=float)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _attrs(source: Layer) -> Mapping[str, Any]:
    ours = source.metadata.get(METADATA_KEY, {})
    attrs = ours.get("attrs", {}) if isinstance(ours, Mapping) else {}
    return attrs if isinstance(attrs, Mapping) else {}
