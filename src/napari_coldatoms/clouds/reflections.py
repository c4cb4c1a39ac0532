"""Spots of scattered light beside a bright cloud, which a network takes for faint clouds.

Windows, mounts and lenses reflect the light of a bright cloud, at some thousandths to some
hundredths of its height: a small spot that looks like a small cloud, and is one where there is
nothing bright beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.network_input import NetworkInput

# from this score on a cloud is bright enough to be reflected
_CERTAIN = 0.5
# height over that of the brightest cloud below which a spot is a reflection: any, a small one
_FAINT, _FAINT_SMALL = 0.01, 0.05
# half the longer side of the box, in pixels, below which a spot is small; the clouds that networks
# are trained on begin there
_SMALL = 6.0


def without_reflections(detections: Sequence[Detection], seen: NetworkInput) -> list[Detection]:
    """Return the detections of a picture that are no reflections of a brighter one.

    A reflection has less than 1 % of the height of the highest certain cloud, or less than 5 % and
    a 1/e² radius below 6 pixels. Heights are those of the smoothed picture.

    Parameters
    ----------
    detections : sequence of Detection
        Of the picture.
    seen : NetworkInput
        The picture as the network saw it.
    """
    heights = [_height(each, seen) for each in detections]
    certain = [h for h, each in zip(heights, detections, strict=True) if each.score >= _CERTAIN]
    highest = max(certain, default=0.0)
    return [
        each
        for each, height in zip(detections, heights, strict=True)
        if height >= (_FAINT_SMALL if _radius(each) < _SMALL else _FAINT) * highest
    ]


def _height(detection: Detection, seen: NetworkInput) -> float:
    """Return the height of a detection as a part of the highest in the picture."""
    sy, sx = seen.scale
    y0, x0, y1, x1 = detection.box
    rows, columns = _pixels(y0 * sy, y1 * sy), _pixels(x0 * sx, x1 * sx)
    inside = seen.channels[2][rows, columns]
    return max(float(inside.max()), 0.0) if inside.size else 0.0


def _pixels(low: float, high: float) -> slice:
    return slice(max(int(low), 0), max(int(np.ceil(high)), int(low) + 1, 1))


def _radius(detection: Detection) -> float:
    y0, x0, y1, x1 = detection.box
    return max(y1 - y0, x1 - x0) / 2
