"""Detectors as they are judged: what each says of a picture, outlined as it outlines clouds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.cloud import Cloud
from napari_coldatoms.clouds.detect import clouds_of, detect
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.evaluate_truth import Box, TrueFrame, patch_of
from napari_coldatoms.clouds.fit_result import GaussianFit
from napari_coldatoms.clouds.patch import Patch

Method = Literal["threshold", "threshold-fit", "mask-rcnn", "hybrid"]
METHODS: tuple[Method, ...] = ("threshold", "threshold-fit", "mask-rcnn", "hybrid")
"""Thresholds, the same outlined by fits, the network, and the network outlined by fits."""

LEAST_SCORE = 0.05
"""Least score at which the network's detections count for the precision."""
CERTAIN = 0.5
"""Least score at which a cloud counts as found."""

# a cloud that is longer than this is taken for a dipole trap's where the detector knows no classes
_LONG = 2.0
# a cloud of which more pixels are missing is cut
_MISSING = 0.02
# masks that share this part of their union are of one cloud
_SAME = 0.5
# a fit whose radii have larger errors than this part of them knows less than the mask
_KNOWN = 0.05

THRESHOLD_MASKS, NETWORK_MASKS, TRUE_MASKS = "threshold masks", "network masks", "true masks"
"""What the masks of the detectors are called in tables."""

Pictures: TypeAlias = Sequence[NDArray[np.floating]]
Finder: TypeAlias = Callable[[Pictures], list[list[Detection]]]


@dataclass(frozen=True)
class Sighting:
    """A cloud that a detector found, with the outline that is judged.

    Attributes
    ----------
    cloud : Cloud
        Its mask, Gaussian and fit.
    label : str
        Class.
    box : (y0, x0, y1, x1)
        Pixel edges, half-open.
    mask : Patch
        Pixels.
    double : bool
        It is another one once more, as another class: `Detection.double`. It counts for the
        precision, which is of each class by itself, and for nothing else.
    """

    cloud: Cloud
    label: str
    box: Box
    mask: Patch
    double: bool = False

    @property
    def score(self) -> float:
        """Confidence, 0 to 1."""
        return self.cloud.score

    def soft_mask(self, shape: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.float32]]:
        """Return offset and pixels of the mask as numbers, 0 or 1."""
        return self.mask.offset, self.mask.pixels.astype(np.float32)


@dataclass(frozen=True)
class Detector:
    """What is judged.

    Attributes
    ----------
    name : str
        What it is called in tables.
    find : callable
        From pictures to what is in each.
    masks : str
        What its masks are called in tables.
    """

    name: str
    find: Callable[[Pictures], list[list[Sighting]]]
    masks: str


def make_detector(
    method: Method,
    *,
    finder: Finder | None = None,
    weights: Path | None = None,
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
) -> Detector:
    """Return a detector by its name.

    Parameters
    ----------
    method : {"threshold", "threshold-fit", "mask-rcnn", "hybrid"}
        The thresholds know no classes: a cloud of an aspect below 2 counts as a MOT, a longer one
        as an ODT. With "threshold-fit" and "hybrid" (network and fit) box and mask are those of
        the fitted 1/e² ellipse where a Gaussian describes the cloud (quality "good") and its radii
        are known to 5 %; else those that were found.
    finder : callable, optional
        The network, as a function from pictures to lists of `Detection`; by default it computes in
        a process of its own.
    weights, device
        Of that process, see `NetworkOptions`.

    Raises
    ------
    ValueError
        There is no such method.
    """
    if method not in METHODS:
        raise ValueError(f"expected method one of {', '.join(METHODS)}, found {method!r}")
    fitted = method in ("threshold-fit", "hybrid")
    if method.startswith("threshold"):

        def by_threshold(pictures: Pictures) -> list[list[Sighting]]:
            return [_by_threshold(picture, fitted) for picture in pictures]

        return Detector(method, by_threshold, THRESHOLD_MASKS)
    find = _process(weights, device) if finder is None else finder

    def by_network(pictures: Pictures) -> list[list[Sighting]]:
        found = zip(pictures, find(pictures), strict=True)
        return [_by_network(picture, detections, fitted) for picture, detections in found]

    return Detector(method, by_network, NETWORK_MASKS)


def truth_as_detector(frames: Sequence[TrueFrame]) -> Detector:
    """Return the detector that finds what is there: what it scores is the best there is.

    Its Gaussians are the true ones.

    Parameters
    ----------
    frames : sequence of TrueFrame
        The frames it will be asked about, in this order.
    """
    rest = iter(frames)

    def find(pictures: Pictures) -> list[list[Sighting]]:
        return [_told(next(rest)) for _ in pictures]

    return Detector("truth", find, TRUE_MASKS)


def _told(frame: TrueFrame) -> list[Sighting]:
    return [
        Sighting(
            Cloud(
                label=cloud.label,
                score=1.0,
                box=cloud.box,
                gaussian=cloud.gaussian,
                fit=None,
                significance=math.inf,
                crop=cloud.mask.pixels,
                offset=cloud.mask.offset,
                shape=frame.shape,
            ),
            cloud.label,
            cloud.box,
            cloud.mask,
        )
        for cloud in frame.clouds
    ]


def _process(weights: Path | None, device: Literal["auto", "cpu", "cuda", "mps"]) -> Finder:
    from napari_coldatoms.clouds.network_process import detect_with_network

    def find(pictures: Pictures) -> list[list[Detection]]:
        return detect_with_network(
            pictures, weights=weights, device=device, least_score=LEAST_SCORE, doubles=True
        )

    return find


def _by_threshold(picture: NDArray[np.floating], fitted: bool) -> list[Sighting]:
    found = []
    for cloud in detect(picture, method="threshold", fit=fitted):
        label = "MOT" if cloud.best.wx < _LONG * cloud.best.wy else "ODT"
        found.append(Sighting(cloud, label, *_outline(cloud, picture, cloud.box)))
    return found


def _by_network(
    picture: NDArray[np.floating], detections: Sequence[Detection], fitted: bool
) -> list[Sighting]:
    """Return what the network found; those of low score do not disturb the fits of the others."""
    # fits beside each other take each cloud once
    taken = [each for each in detections if not (fitted and each.double)]
    ranked = sorted(taken, key=lambda each: -each.score)
    certain = [each for each in ranked if each.score >= CERTAIN]
    clouds = clouds_of(picture, certain, fit=fitted)
    if len(certain) < len(ranked):
        clouds += clouds_of(picture, ranked, fit=fitted)[len(certain) :]
    found = [
        Sighting(cloud, cloud.label, *_outline(cloud, picture, each.box), each.double)
        for cloud, each in zip(clouds, ranked, strict=False)
    ]
    if fitted:
        shape = picture.shape[0], picture.shape[1]
        masks = [each.patch(shape) for each in ranked]
        doubles = [
            _again(each, each.patch(shape), found, masks) for each in detections if each.double
        ]
        found += [each for each in doubles if each is not None]
    return found


def _again(
    double: Detection, own: Patch, found: Sequence[Sighting], masks: Sequence[Patch]
) -> Sighting | None:
    """Return the cloud that a detection takes for one of another class; None for a mere part."""
    alike = [own.overlap(each) for each in masks]
    best = int(np.argmax(alike)) if alike else -1
    if best < 0 or alike[best] < _SAME or found[best].label == double.label:
        return None
    cloud = replace(found[best].cloud, label=double.label, score=double.score)
    return replace(found[best], cloud=cloud, label=double.label, double=True)


def _outline(cloud: Cloud, picture: NDArray[np.floating], box: Box) -> tuple[Box, Patch]:
    """Return box and mask of the fitted ellipse, or those that were detected."""
    if cloud.fit is None or not _describes(cloud.fit):
        return box, patch_of(cloud)
    gaussian = cloud.fit.gaussian
    rows, columns = gaussian.window(cloud.shape)
    moved = replace(gaussian, x0=gaussian.x0 - columns.start, y0=gaussian.y0 - rows.start)
    inside = moved.mask((rows.stop - rows.start, columns.stop - columns.start))
    seen = inside & np.isfinite(picture[rows, columns])
    if not seen.any():
        return box, patch_of(cloud)
    y0, x0, y1, x1 = ellipse = gaussian.ellipse_box()
    within = y0 >= 0 and x0 >= 0 and y1 <= cloud.shape[0] and x1 <= cloud.shape[1]
    if within and seen.sum() >= (1 - _MISSING) * inside.sum():
        return ellipse, Patch((rows.start, columns.start), seen)
    cut = Patch.of(seen)
    y, x = cut.offset[0] + rows.start, cut.offset[1] + columns.start
    ny, nx = cut.pixels.shape
    return (y, x, y + ny, x + nx), Patch((y, x), cut.pixels)


def _describes(fit: GaussianFit) -> bool:
    """Whether the ellipse of a fit is the outline of the cloud, and known."""
    found, error = fit.gaussian, fit.stderr
    return fit.quality == "good" and max(error.wx / found.wx, error.wy / found.wy) < _KNOWN
