"""From results to layers, whatever they are results of: place, provenance, leading dimensions.

Result layers lie over the whole stack they were made from: they have its leading dimensions, and
its scale, translate, units and axis labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_coldatoms.backend.run import FrameResult, Run, leading_dims
from napari_coldatoms.images.stack import METADATA_KEY, spatial

if TYPE_CHECKING:
    import pandas as pd

LAZY_ABOVE = 256 * 2**20
"""Results larger than this many bytes are computed frame by frame when napari shows them."""

# Okabe and Ito's colours, told apart also by the colour-blind and on grey pictures
PALETTE = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#D55E00", "#CC79A7", "#0072B2")


def provenance(run: Run) -> dict[str, Any]:
    """Return what every layer of a run carries in its metadata: recipe, version, source."""
    recipe = run.recipe
    return {
        METADATA_KEY: {
            "recipe": recipe.to_dict(),
            "version": recipe.version,
            "source": recipe.source,
        }
    }


def result_kwargs(run: Run, what: str) -> dict[str, Any]:
    """Return the keyword arguments that all result layers of a run have in common.

    Parameters
    ----------
    run : Run
    what : str
        What the layer shows; its name is that of the picture followed by this.
    """
    name = str(run.stack.name or "picture")
    return {"name": f"{name} {what}", **spatial(run.stack), "metadata": provenance(run)}


def place_outline(corners: Any, index: tuple[int, ...]) -> np.ndarray:
    """Put an outline within its frame: corners (n, 2) as ``y, x`` become (n, len(index) + 2)."""
    corners = np.asarray(corners, dtype=float)
    return np.hstack([np.tile(np.asarray(index, dtype=float), (len(corners), 1)), corners])


def box_corners(box: Sequence[float]) -> np.ndarray:
    """Return the corners (4, 2) of a box (y0, x0, y1, x1) of pixel edges, as napari draws them.

    Pixel ``i`` spans ``[i, i + 1)`` in the box's numbers, but lies around ``i`` in napari.
    """
    y0, x0, y1, x1 = (edge - 0.5 for edge in box)
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])


def shapes_layer(
    run: Run,
    what: str,
    outlines: Sequence[np.ndarray],
    features: pd.DataFrame,
    *,
    shape_type: str,
    text: str | None = None,
    labels: Sequence[str] = (),
) -> tuple[Any, dict[str, Any], str]:
    """Return a Shapes layer of outlines.

    Parameters
    ----------
    run : Run
    what : str
        See `result_kwargs`.
    outlines : sequence of array, shape (n, ndim)
        As `place_outline` gives them; may be empty.
    features : DataFrame
        One row per outline.
    shape_type : str
        ``rectangle`` or ``ellipse``.
    text : str, optional
        What stands beside each outline, features' names in braces.
    labels : sequence of str, optional
        Class of each outline, which gives its colour.
    """
    height, width = run.stack.shape[-2:]
    colours = class_colours(labels)
    kwargs: dict[str, Any] = {
        **result_kwargs(run, what),
        "ndim": len(leading_dims(run.stack)) + 2,
        "shape_type": shape_type,
        "features": features.reset_index(drop=True),
        "edge_color": [colours[label] for label in labels] if len(labels) else PALETTE[0],
        # in pixels of the picture: thin on a small camera region, still seen on a large chip
        "edge_width": max(height, width) / 300,
        "face_color": "transparent",
        "opacity": 1.0,
    }
    if text is not None:
        kwargs["text"] = {
            "string": text,
            "size": 9,
            "color": "white",
            "anchor": "upper_left",
            "translation": [0.0] * kwargs["ndim"],
        }
    return list(outlines), kwargs, "shapes"


def class_colours(labels: Iterable[str]) -> dict[str, str]:
    """Return a colour for each class, the same whatever the order they were found in."""
    return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(sorted(set(labels)))}


def per_frame(
    run: Run,
    frames: Iterable[FrameResult],
    draw: Callable[[FrameResult], np.ndarray],
    *,
    dtype: Any,
    fill: float = 0,
) -> Any:
    """Return an array over the whole stack, drawn frame by frame.

    Parameters
    ----------
    run : Run
    frames : iterable of FrameResult
        The frames to draw; the others are filled.
    draw : callable
        Returns the picture, shape (y, x), of a frame.
    dtype
    fill : float
        Value of the frames that are not drawn.

    Returns
    -------
    array, shape (..., y, x)
        A dask array with one chunk per frame where it is larger than `LAZY_ABOVE`.
    """
    stack = run.stack
    leading = tuple(stack.sizes[dim] for dim in leading_dims(stack))
    shape = (*leading, *stack.shape[-2:])
    dtype = np.dtype(dtype)
    if int(np.prod(shape)) * dtype.itemsize <= LAZY_ABOVE:
        pictures = np.full(shape, fill, dtype)
        for frame in frames:
            pictures[frame.index] = draw(frame)
        return pictures

    import dask
    import dask.array as da

    picture_shape = shape[-2:]
    by_index = {frame.index: frame for frame in frames}
    blocks = []
    for index in np.ndindex(*leading):
        if index in by_index:
            block = da.from_delayed(
                dask.delayed(_drawn)(draw, by_index[index], dtype), picture_shape, dtype
            )
        else:
            block = da.full(picture_shape, fill, dtype)
        blocks.append(block)
    return da.stack(blocks).reshape(shape)


def _drawn(draw: Callable[[FrameResult], np.ndarray], frame: FrameResult, dtype: Any) -> Any:
    return np.asarray(draw(frame), dtype)
