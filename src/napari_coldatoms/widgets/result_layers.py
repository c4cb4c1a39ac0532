"""Results in the layer list: added once, then updated in place.

A layer that the plugin made carries in its metadata what it shows: source layer, analysis and role.
By that it is found again, whatever the user called it since. The user's looks stay; a layer whose
content the user edited is the user's from then on, and a new one is made beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_coldatoms.images.geometry import unit_name
from napari_coldatoms.images.stack import METADATA_KEY

LayerData = tuple[Any, dict[str, Any], str]

_SHOWS = "shows"
_EDITED = "edited"
# what of a layer's looks is carried over where a layer must be replaced, its dimensions having
# changed
_LOOKS = ("visible", "opacity", "blending", "name")
# what we gave a layer: where it has another now, that is the user's choice
_GIVEN = "given"
_CHOSEN = "chosen"
_SHAPE_LOOKS = ("edge_width", "edge_color", "face_color")


def show(
    viewer: Any,
    source: Layer,
    analysis: str,
    layers: Iterable[LayerData],
    *,
    group: str = "result",
    picture: str | None = None,
) -> None:
    """Show results of a layer: update the layers that show them already, add the others.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    source : napari.layers.Layer
        The layer that was analysed; results take over its place: scale, translation, units, axis
        labels.
    analysis : str
        The analysis' name.
    layers : iterable of LayerData
        Their names tell them apart.
    group : str
        Layers of the same group that are not among `layers` any more are taken away.
    picture : str, optional
        The name in front of the names of `layers`: that of the layer when it was analysed, which
        may have another since. By default that which it has.
    """
    for step in show_steps(viewer, source, analysis, layers, group=group, picture=picture):
        step()


def show_steps(
    viewer: Any,
    source: Layer,
    analysis: str,
    layers: Iterable[LayerData],
    *,
    group: str = "result",
    picture: str | None = None,
) -> list[Callable[[], None]]:
    """Return what `show` does, one function per layer: each takes napari some ten milliseconds."""
    layers = list(layers)

    def one(new: LayerData) -> None:
        if source not in viewer.layers:
            return  # removed meanwhile
        data, kwargs, kind = new
        role = _role(kind, str(kwargs.get("name", "")), picture or str(source.name))
        kwargs = {**kwargs, **place_of(source, ndim_of(data, kwargs, kind))}
        mark = {"source": source.unique_id, "analysis": analysis, "group": group, "role": role}
        before = shown(viewer, source, analysis, group=group)
        same = next((layer for layer in before if mark_of(layer)["role"] == role), None)
        made = show_one(viewer, same, (data, kwargs, kind), mark)
        if kind == "image" and same is None:
            _put_below_outlines(viewer, made, [source, *shown(viewer, source, analysis)])

    def remove_others() -> None:
        wanted = {
            _role(kind, str(kwargs.get("name", "")), picture or str(source.name))
            for _, kwargs, kind in layers
        }
        before = shown(viewer, source, analysis, group=group)
        remove(viewer, [layer for layer in before if mark_of(layer)["role"] not in wanted])

    return [*(partial(one, new) for new in layers), remove_others]


def _put_below_outlines(viewer: Any, picture: Layer, others: list[Layer]) -> None:
    """Put a new picture on top of the other pictures, where it covers no outlines of clouds."""
    places = [viewer.layers.index(each) for each in others if isinstance(each, Image)]
    here = viewer.layers.index(picture)
    viewer.layers.move(here, max(at for at in places if at != here) + 1)


def shown(
    viewer: Any, source: Layer | None, analysis: str, *, group: str | None = None
) -> list[Layer]:
    """Return the layers that show results of an analysis of a layer, or of any if that is None."""
    return [
        layer
        for layer in viewer.layers
        if (mark := mark_of(layer))
        and mark["analysis"] == analysis
        and (source is None or mark["source"] == source.unique_id)
        and (group is None or mark["group"] == group)
    ]


def remove(viewer: Any, layers: Iterable[Layer]) -> None:
    """Take result layers away; those the user edited stay, and outlines are emptied."""
    for layer in layers:
        if is_edited(layer):
            release(layer)
        elif not take_away(viewer, layer):
            mark_of(layer)[_EDITED] = False  # emptied by us


def take_away(viewer: Any, layer: Layer) -> bool:
    """Remove a layer; tell whether it is gone.

    Outlines beside an image are emptied instead: where Shapes layers came and went, OpenGL drivers
    have crashed at the next image or shape that was drawn.
    """
    if isinstance(layer, Shapes) and any(
        isinstance(each, Image | Labels) for each in viewer.layers
    ):
        layer.data = []
        return False
    viewer.layers.remove(layer)
    return True


def cannot_draw(viewer: Any, layer: Layer) -> bool:
    """Tell whether napari cannot draw other outlines now: flat ones, in its view in 3-D."""
    return isinstance(layer, Shapes) and layer.ndim < viewer.dims.ndisplay


def is_result(layer: Layer) -> bool:
    """Tell whether a layer shows a result, other than a picture made from raw frames."""
    mark = mark_of(layer)
    return bool(mark) and mark.get("group") != "picture"


def is_edited(layer: Layer) -> bool:
    """Tell whether the user has changed the content of a result layer."""
    return bool(mark_of(layer).get(_EDITED))


def release(layer: Layer) -> None:
    """Leave a layer to the user: it shows no result any more."""
    ours = layer.metadata.get(METADATA_KEY)
    if isinstance(ours, dict):
        ours.pop(_SHOWS, None)


def place_of(source: Layer, ndim: int) -> dict[str, Any]:
    """Return what a result layer of `ndim` dimensions takes over from its source's place.

    A source of raw frames has one dimension more than its results: its frame axis is left out.
    """
    keep = list(range(source.ndim))
    ours = source.metadata.get(METADATA_KEY, {})
    dims = tuple(ours.get("dims", ())) if isinstance(ours, Mapping) else ()
    if "frame" in dims and len(dims) == source.ndim:
        keep.remove(dims.index("frame"))
    if len(keep) != ndim:
        return {}  # the analysis has placed it itself
    return {
        "scale": tuple(float(source.scale[i]) for i in keep),
        "translate": tuple(float(source.translate[i]) for i in keep),
        "units": tuple(str(source.units[i]) for i in keep),
        "axis_labels": tuple(source.axis_labels[i] for i in keep),
    }


def show_one(viewer: Any, layer: Layer | None, new: LayerData, mark: dict[str, Any]) -> Layer:
    """Show one result in a layer, or in a new one if that is None or the user's; return it.

    `mark` says what it shows: source (a layer's unique id), analysis, group and role.
    """
    data, kwargs, kind = new
    if layer is not None and is_edited(layer):
        release(layer)
        layer = None
    looks: dict[str, Any] = {}
    # shapes take on the dimensions of what they are given
    another = layer is not None and layer.ndim != ndim_of(data, kwargs, kind)
    if layer is not None and another and not isinstance(layer, Shapes):
        looks = {name: getattr(layer, name) for name in _LOOKS}
        viewer.layers.remove(layer)
        layer = None
    # there from the beginning: lists of layers ask for it as soon as the layer is added
    mark = {**mark, _EDITED: False}
    ours = {**kwargs.get("metadata", {}).get(METADATA_KEY, {}), _SHOWS: mark}
    if layer is None:
        kwargs = {**kwargs, **looks, "metadata": {**kwargs.get("metadata", {}), METADATA_KEY: ours}}
        layer = viewer.add_layer(Layer.create(data, kwargs, kind))
        for emitter in (layer.events.data, getattr(layer.events, "paint", None)):
            if emitter is not None:
                emitter.connect(_mark_edited)
    elif cannot_draw(viewer, layer):
        return layer
    else:
        mark[_CHOSEN] = _chosen(layer)
        if layer.name == mark_of(layer).get(_GIVEN, {}).get("name"):
            layer.name = kwargs.get("name", layer.name)  # the source was renamed
        _update(layer, data, kwargs, mark[_CHOSEN])
        layer.metadata = {**layer.metadata, METADATA_KEY: ours}
    # a copy of the metadata may be what the layer holds
    mark_of(layer)[_GIVEN] = _given(layer)
    return layer


def _given(layer: Layer) -> dict[str, Any]:
    looks = _SHAPE_LOOKS if isinstance(layer, Shapes) else ()
    return {"name": layer.name, **{name: np.array(getattr(layer, name)) for name in looks}}


def _chosen(layer: Layer) -> dict[str, Any]:
    """Return the looks that the user gave to all shapes of a layer, now or before."""
    mark = mark_of(layer)
    chosen = dict(mark.get(_CHOSEN, {}))
    for name, given in mark.get(_GIVEN, {}).items():
        if name not in _SHAPE_LOOKS:
            continue
        now = np.array(getattr(layer, name))
        same = len(now) > 0 and np.all(now == now[0])
        if same and not np.array_equal(now, given):
            chosen[name] = now[0]
    return chosen


def _update(layer: Layer, data: Any, kwargs: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Give a layer new content and place, and leave its looks as the user has them."""
    if isinstance(layer, Shapes):
        _update_shapes(layer, data, kwargs, chosen)
    elif isinstance(layer, Points):
        _update_points(layer, data, kwargs)
    else:
        layer.data = data
        if isinstance(layer, Labels) and "features" in kwargs:
            layer.features = kwargs["features"]
    straight = {
        "rotate": np.eye(layer.ndim),
        "shear": np.zeros(layer.ndim * (layer.ndim - 1) // 2),
        "affine": np.eye(layer.ndim + 1),
    }
    # a source that the user has turned back has results that lie straight
    place = {**straight, **kwargs}
    if "scale" in place and len(place["scale"]) != layer.ndim:
        return  # emptied: shapes keep the dimensions that they had until there are some again
    for name in ("scale", "translate", *straight, "units", "axis_labels"):
        # napari works out the extent of all layers anew at each of these
        if name in place and not _same_place(layer, name, place[name]):
            setattr(layer, name, place[name])


def _same_place(layer: Layer, name: str, wanted: Any) -> bool:
    now = getattr(layer, name)
    if name in ("units", "axis_labels"):
        return [unit_name(each) for each in now] == [unit_name(each) for each in wanted]
    now = now.affine_matrix if name == "affine" else now
    return np.array_equal(now, wanted)


def _update_shapes(
    layer: Shapes, data: Any, kwargs: Mapping[str, Any], chosen: Mapping[str, Any]
) -> None:
    looks = {name: kwargs[name] for name in _SHAPE_LOOKS if name in kwargs}
    if len(data) == len(layer.data) == 1 and not layer.selected_data:
        # one outline that moves keeps its looks, and is drawn once
        if not np.array_equal(data[0], layer.data[0]):
            layer.data = data
    else:
        layer.data = []
    if len(data) and not len(layer.data):
        kind = kwargs.get("shape_type", "rectangle")
        layer.add(data, shape_type=kind, **{**looks, **chosen})
    if "features" in kwargs:
        layer.features = kwargs["features"]


def _update_points(layer: Points, data: Any, kwargs: Mapping[str, Any]) -> None:
    """Give a Points layer new content, drawn once: a slider may ask for it many times a second."""
    # one size for all is kept: it may be the user's
    sizes = np.unique(layer.size)
    size = sizes[0] if len(sizes) == 1 else kwargs.get("size", layer.current_size)
    if layer.selected_data:
        layer.selected_data = set()
    with layer.events.blocker_all():
        if not np.array_equal(data, layer.data):
            layer.data = data
        if len(data):
            if not np.array_equal(np.unique(layer.size), [size]):
                layer.size = size
            for name in ("face_color", "border_color"):
                if name in kwargs:
                    _set_colours(layer, name, kwargs[name])
            _set_symbols(layer, kwargs.get("symbol"))
    if "features" in kwargs:
        layer.features = kwargs["features"]
    layer.refresh()


def _set_colours(layer: Points, name: str, wanted: Any) -> None:
    """Set the colours of all points, in place where that will do: it is several times as fast."""
    now = getattr(layer, name)
    if np.shape(now) == np.shape(wanted):
        now[:] = wanted
    else:
        setattr(layer, name, wanted)


def _set_symbols(layer: Points, wanted: Any) -> None:
    """Set the symbols of all points; napari's own way is slow for thousands of them."""
    if np.ndim(wanted) == 0 or len(wanted) != len(layer.symbol):
        if wanted is not None:
            layer.symbol = wanted
        return
    kind = type(layer.symbol[0])
    for each in set(np.asarray(wanted).tolist()):
        layer.symbol[wanted == each] = kind(each)


def _mark_edited(event: Any) -> None:
    """Note that a result layer's content changed by other hands than ours.

    A plain function, so that it lives on with the layer when the widget is gone; our own changes
    reset it.
    """
    mark = mark_of(event.source)
    if mark:
        mark[_EDITED] = True


def mark_of(layer: Layer) -> dict[str, Any]:
    """Return what a result layer shows: source, analysis, group, role; empty for others."""
    ours = layer.metadata.get(METADATA_KEY, {})
    mark = ours.get(_SHOWS, {}) if isinstance(ours, Mapping) else {}
    return mark if isinstance(mark, dict) else {}


def _role(kind: str, name: str, source_name: str) -> str:
    # the source may be renamed between two runs
    return f"{kind}: {name.removeprefix(source_name).strip()}"


def ndim_of(data: Any, kwargs: Mapping[str, Any], kind: str) -> int:
    """Return the number of dimensions of a layer that is to be made."""
    if kind in ("shapes", "points"):
        if kwargs.get("ndim"):
            return int(kwargs["ndim"])
        return int(np.shape(data[0])[-1]) if len(data) else len(kwargs.get("scale", (1, 1)))
    return int(data.ndim)
