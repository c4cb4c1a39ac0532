"""Frames with known clouds, as detectors are judged on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.cloud import Cloud
from napari_coldatoms.clouds.dataset import Sample
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.moments import moments
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.clouds.simulate_frames import SimulatedFrame

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class TrueCloud:
    """What is known about one cloud.

    Attributes
    ----------
    label : str
        Class.
    box : (y0, x0, y1, x1)
        Pixel edges, half-open.
    mask : Patch
        Its pixels.
    gaussian : Gaussian2D
        Major radius first; background, or peak and background, NaN where they are not known.
    overlapping : bool
        Its box overlaps that of another cloud.
    cut : bool
        Part of its outline is outside the frame or in the dark.
    """

    label: str
    box: Box
    mask: Patch
    gaussian: Gaussian2D
    overlapping: bool = False
    cut: bool = False


@dataclass(frozen=True)
class TrueFrame:
    """A picture and its clouds.

    Attributes
    ----------
    name : str
        What it is called in tables.
    picture : (ny, nx) array
        Optical depth or fluorescence, NaN where there is none.
    clouds : tuple of TrueCloud
        All of its clouds.
    fringed : bool
        Fringes or stripes are higher than half the noise.
    """

    name: str
    picture: NDArray[np.floating] = field(compare=False, repr=False)
    clouds: tuple[TrueCloud, ...]
    fringed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.picture.shape[0], self.picture.shape[1]

    def sample(self) -> Sample:
        """Return the frame as scores are computed from it."""
        return Sample(
            self.picture,
            np.array([cloud.box for cloud in self.clouds]).reshape(-1, 4),
            tuple(cloud.label for cloud in self.clouds),
            np.array([cloud.mask.on(self.shape) for cloud in self.clouds], dtype=bool).reshape(
                -1, *self.shape
            ),
        )


def simulated_truth(frame: SimulatedFrame) -> TrueFrame:
    """Return a simulated frame with what is known about it.

    The background of an optical depth is what the power ratio of the two frames makes of none; that
    of a fluorescence is not known.
    """
    level = math.nan
    if frame.picture_kind == "optical_depth":
        level = -math.log(frame.settings.get("power_ratio", 1.0))
    clouds = [
        TrueCloud(
            instance.label,
            instance.box,
            Patch(instance.window[:2], instance.patch),
            replace(instance.gaussian, background=level).principal(),
            cut=instance.cut,
        )
        for instance in frame.instances
    ]
    name = f"{frame.kind} {'-'.join(map(str, frame.seed))}"
    return TrueFrame(name, frame.picture(), _neighbours(clouds), _fringed(frame))


def annotated(sample: Sample, *, name: str = "", fringed: bool = False) -> TrueFrame:
    """Return a picture in which somebody drew the clouds.

    Parameters
    ----------
    sample : Sample
        Picture and clouds. Their Gaussians have the moments of the masks; peaks are not known.
    name, fringed
        As in `TrueFrame`.

    Raises
    ------
    ValueError
        A mask is empty.
    """
    clouds = []
    for label, box, mask in zip(sample.labels, sample.boxes, sample.masks, strict=True):
        y0, x0, y1, x1 = (float(edge) for edge in box)
        patch = Patch.of(np.asarray(mask >= 0.5))
        clouds.append(TrueCloud(label, (y0, x0, y1, x1), patch, moments(mask, kind="mask")))
    return TrueFrame(name, sample.picture, _neighbours(clouds), fringed)


def matches(
    truth: Sequence[TrueCloud], outlines: Sequence[Patch], least: float = 0.5
) -> list[int | None]:
    """Return for each true cloud the index of the outline that is most like it.

    Parameters
    ----------
    truth : sequence of TrueCloud
        Of one frame.
    outlines : sequence of Patch
        What was found there.
    least : float
        Intersection over union of the masks below which nothing matches.

    Returns
    -------
    list of int or None
        One to one; the best pairs first.
    """
    pairs = sorted(
        (
            (cloud.mask.overlap(outline), i, j)
            for i, cloud in enumerate(truth)
            for j, outline in enumerate(outlines)
        ),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    found: list[int | None] = [None] * len(truth)
    taken = set()
    for overlap, i, j in pairs:
        if overlap >= least and found[i] is None and j not in taken:
            found[i] = j
            taken.add(j)
    return found


def patch_of(cloud: Cloud) -> Patch:
    """Return the mask of a detected cloud."""
    return Patch(cloud.offset, cloud.crop)


def _neighbours(clouds: list[TrueCloud]) -> tuple[TrueCloud, ...]:
    """Return the clouds; those whose boxes overlap say so."""
    return tuple(
        replace(
            cloud,
            overlapping=any(_boxes_overlap(cloud.box, other.box) for other in clouds[:k])
            or any(_boxes_overlap(cloud.box, other.box) for other in clouds[k + 1 :]),
        )
        for k, cloud in enumerate(clouds)
    )


def _boxes_overlap(one: Box, other: Box) -> bool:
    return all(max(one[k], other[k]) < min(one[k + 2], other[k + 2]) for k in (0, 1))


def _fringed(frame: SimulatedFrame) -> bool:
    """Whether fringes, or stripes without a background frame, are above half the noise."""
    settings = frame.settings
    if frame.picture_kind == "optical_depth":
        highest = max((depth for depth, _ in settings["fringes"]), default=0.0)
        return bool(highest > settings["noise"] / 2)
    if "background" in frame.roles:
        return False
    camera = frame.camera
    noise = math.sqrt(camera.gain * settings["stray_light"] + camera.read_noise**2)
    return bool(settings["stripes"] > noise / 2)
