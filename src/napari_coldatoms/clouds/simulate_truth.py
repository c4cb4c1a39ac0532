"""What can be seen of the clouds of a simulated frame: boxes, masks, classes and Gaussians.

What cannot be seen is not put into the frame either: no truth is missing, and none is invisible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.exposure import Picture
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.patch import extent
from napari_coldatoms.clouds.simulate_kinds import MIN_MAJOR
from napari_coldatoms.clouds.simulate_raw import Absorption, Fluorescence
from napari_coldatoms.clouds.simulate_scenes import Scene
from napari_coldatoms.clouds.simulate_shapes import Rendered, SimulatedCloud, Window

MIN_SIGNAL = 10.0
"""Least signal over noise of a cloud."""

# a cloud of which less is on the lit part of the frame is left out
_MIN_VISIBLE = 0.3
# a cloud is lost in others that are so many times as high where it lies
_DROWNED = 3.0


@dataclass(frozen=True)
class Instance:
    """The truth about one cloud.

    Attributes
    ----------
    label : str
        Class, one of `LABELS`.
    shape : str
        What it is: gaussian, hollow, lopsided, bimodal, in-trap, thomas-fermi, ring, crossed, peak.
    gaussian : Gaussian2D
        Its Gaussian, for others than Gaussians that of its outline at 1/e² of the peak; major
        radius first. The peak is in optical depth or counts.
    box : (float, float, float, float)
        Pixel edges ``(y0, x0, y1, x1)``, half-open: the extent of the ellipse, or of the mask
        where the ellipse is cut by the frame or the aperture, or the outline is no ellipse.
    window : (int, int, int, int)
        Pixel edges of the part of the frame that `patch` covers.
    patch : (y, x) array of bool
        Mask within the window: pixels with their centre inside the outline, on lit pixels.
    signal : float
        Signal over noise of the whole cloud, for the best weighted sum of its pixels.
    cut : bool
        Part of the outline is outside the frame or in the dark.
    """

    label: str
    shape: str
    gaussian: Gaussian2D
    box: tuple[float, float, float, float]
    window: Window
    patch: NDArray[np.bool_]
    signal: float
    cut: bool


def look(
    scene: Scene, shot: Absorption | Fluorescence, shape: tuple[int, int], *, clutter: bool
) -> tuple[list[Instance], Picture]:
    """Return the clouds of a scene that can be seen, and what they add to the picture.

    Seen is what has at least 30 % of its outline on lit pixels of the frame, a major radius of
    `MIN_MAJOR`, a signal over noise of `MIN_SIGNAL`, and does not lie in others three times as
    high; with `clutter`, the peak is also above the rms of fringes or stripes.
    """
    heights = np.zeros(shape)
    if not scene.clouds:
        return [], heights
    factor = shot.height(max(cloud.highest for cloud in scene.clouds))
    views = [cloud.scaled(factor).render(shape) for cloud in scene.clouds]
    for view in views:
        heights[view.slices] += view.heights
    instances = []
    seen = np.zeros(shape)
    floor = shot.clutter if clutter else 0.0
    for cloud, view in zip(scene.clouds, views, strict=True):
        instance = _instance(cloud, view, heights, shot, floor)
        if instance is not None:
            instances.append(instance)
            seen[view.slices] += view.heights
    return instances, seen


def _instance(
    cloud: SimulatedCloud,
    view: Rendered,
    heights: Picture,
    shot: Absorption | Fluorescence,
    floor: float,
) -> Instance | None:
    """Return the truth about a cloud, None if it cannot be seen."""
    mask = view.mask if shot.lit is None else view.mask & shot.lit[view.slices]
    pixels = int(mask.sum())
    if pixels < _MIN_VISIBLE * view.area or view.gaussian.wx < MIN_MAJOR:
        return None
    total = heights[view.slices]
    own = view.heights[mask]
    if view.gaussian.peak < floor or (total[mask] - own).sum() > _DROWNED * own.sum():
        return None
    signal = math.sqrt(float(((own / shot.noise(total, view.slices)[mask]) ** 2).sum()))
    if signal < MIN_SIGNAL:
        return None
    box = view.gaussian.ellipse_box()
    inside = box[0] >= 0 and box[1] >= 0 and box[2] <= heights.shape[0]
    cut = not (inside and box[3] <= heights.shape[1]) or pixels < int(view.mask.sum())
    if cut or not view.ellipse:
        (y, x), (y0, x0, y1, x1) = view.window[:2], extent(mask)
        box = float(y + y0), float(x + x0), float(y + y1), float(x + x1)
    return Instance(cloud.label, cloud.shape, view.gaussian, box, view.window, mask, signal, cut)
