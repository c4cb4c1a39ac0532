"""Other pictures of the same physics, with their truth, from one picture.

Each function takes a sample and a random generator, and returns a new sample whose boxes and masks
are those of the new picture. What a camera could not have seen is not made: no shears, no holes,
and a cloud is made fainter, never stronger than its noise allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.dataset import Sample
from napari_coldatoms.clouds.network_input import network_input, resized
from napari_coldatoms.clouds.noise import difference_noise

__all__ = [
    "ALL",
    "SIMULATED",
    "Augmentations",
    "Prepared",
    "augmented",
    "fainter",
    "flipped",
    "fringed",
    "noisier",
    "prepared",
    "scattered",
    "turned",
]

# longest side of a picture as a part of the canvas, at least
_SMALLEST = 0.8
# a share of pictures fills the canvas, as pictures do when clouds are looked for
_WHOLE = 0.3
# of a box at least so many network pixels are needed along each side
_LEAST_SIDE = 1.0


@dataclass(frozen=True)
class Augmentations:
    """Which changes are made.

    Attributes
    ----------
    flips, turns : bool
        Mirror images and quarter turns, each as likely as the picture itself.
    sizes : bool
        The longest side is 0.8 to 1 of the canvas, at a random place.
    contrast, noise, fringes : bool
        Fainter clouds at the same noise, more white noise, fringes; each in half of the pictures.
    scatter : bool
        Scattered light around the densest cloud, in a quarter of the pictures.
    """

    flips: Annotated[bool, {"tooltip": "mirror images"}] = True
    turns: Annotated[bool, {"tooltip": "quarter turns"}] = True
    sizes: Annotated[bool, {"tooltip": "random size and place on the canvas"}] = True
    contrast: Annotated[bool, {"tooltip": "fainter clouds at the same noise"}] = False
    noise: Annotated[bool, {"tooltip": "more white noise"}] = False
    fringes: Annotated[bool, {"tooltip": "more fringes"}] = False
    scatter: Annotated[bool, {"tooltip": "scattered light around the densest cloud"}] = False


SIMULATED = Augmentations(scatter=True)
"""For simulated frames, which have noise and fringes of every kind already."""

ALL = Augmentations(contrast=True, noise=True, fringes=True)
"""For one's own pictures, of which there are few."""


@dataclass(frozen=True)
class Prepared:
    """What a network is shown, and what it should say.

    Attributes
    ----------
    channels : (3, n, n) array of float32
        The canvas, see `network_input.NetworkInput`.
    boxes : (m, 4) array of float32
        ``y0, x0, y1, x1``, edges of network pixels.
    labels : tuple of str
        Classes.
    masks : (m, n, n) array of float32
        Part of each network pixel that belongs to the cloud: masks are averaged like the picture,
        so that they know edges to less than a pixel.
    """

    channels: NDArray[np.float32]
    boxes: NDArray[np.float32]
    labels: tuple[str, ...]
    masks: NDArray[np.float32]


def augmented(sample: Sample, rng: np.random.Generator, changes: Augmentations) -> Sample:
    """Return a sample after those changes that do not need a canvas, see `prepared`."""
    ways: dict[str, tuple[Callable[[Sample, np.random.Generator], Sample], float]] = {
        "contrast": (fainter, 0.5),
        "noise": (noisier, 0.5),
        "fringes": (fringed, 0.5),
        "scatter": (scattered, 0.25),
    }
    for name, (way, share) in ways.items():
        if getattr(changes, name) and rng.random() < share:
            sample = way(sample, rng)
    if changes.flips:
        sample = flipped(sample, rng)
    if changes.turns:
        sample = turned(sample, rng)
    return sample


def flipped(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample or its mirror image, left to right, with the same probability."""
    return _mirrored(sample) if rng.random() < 0.5 else sample


def turned(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample after none to three quarter turns."""
    for _ in range(int(rng.integers(4))):
        sample = _mirrored(_transposed(sample))
    return sample


def _mirrored(sample: Sample) -> Sample:
    y0, x0, y1, x1 = sample.boxes.T
    columns = sample.picture.shape[1]
    boxes = np.stack([y0, columns - x1, y1, columns - x0], axis=1)
    return replace(
        sample, picture=sample.picture[:, ::-1], boxes=boxes, masks=sample.masks[:, :, ::-1]
    )


def _transposed(sample: Sample) -> Sample:
    return replace(
        sample,
        picture=sample.picture.T,
        boxes=sample.boxes[:, [1, 0, 3, 2]],
        masks=sample.masks.transpose(0, 2, 1),
    )


def fainter(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with 0.4 to 1 of its optical depth or counts, and as noisy as before."""
    factor = float(rng.uniform(0.4, 1.0))
    lost = _noise(sample.picture) * (1 - factor**2) ** 0.5
    picture = sample.picture * factor + rng.normal(0.0, lost, sample.picture.shape)
    return replace(sample, picture=picture.astype(np.float32))


def noisier(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with white noise added, up to 1.5 times its own."""
    more = _noise(sample.picture) * float(rng.uniform(0.0, 1.5))
    picture = sample.picture + rng.normal(0.0, more, sample.picture.shape)
    return replace(sample, picture=picture.astype(np.float32))


def scattered(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with scattered light around its densest cloud, which is no cloud.

    A glow of 0.2 to 5 % of the cloud's height and 1.5 to 5 times its size, lopsided, with lobes and
    wings that fall more slowly than a Gaussian's; and up to four specks of 1 to 3 pixels on it, as
    reflections make them.
    """
    if not sample.labels:
        return sample
    picture = np.array(sample.picture, dtype=np.float32)
    level = float(np.nanmedian(picture))
    heights = [_height(picture[mask > 0.5], level) for mask in sample.masks]
    brightest = int(np.argmax(heights))
    if heights[brightest] <= 0:
        return sample
    y0, x0, y1, x1 = sample.boxes[brightest]
    size = 0.5 * np.array([y1 - y0, x1 - x0]) * rng.uniform(1.5, 5.0, 2)
    middle = 0.5 * np.array([y0 + y1, x0 + x1]) + rng.normal(0.0, 0.2, 2) * size - 0.5
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    v, u = (rows - middle[0]) / size[0], (columns - middle[1]) / size[1]
    lobes = int(rng.integers(1, 5))
    angle = np.arctan2(v, u) * lobes + rng.uniform(0, 2 * np.pi)
    reach = 1 + float(rng.uniform(0.0, 0.4)) * np.cos(angle)
    glow = np.exp(-((np.hypot(u, v) / reach) ** float(rng.uniform(0.8, 2.0))))
    for _ in range(int(rng.integers(0, 5))):
        y, x = (float(rng.uniform(0, n)) for n in picture.shape)
        radius = float(rng.uniform(1.0, 3.0))
        glow += float(rng.uniform(0.2, 2.0)) * np.exp(
            -2 * ((rows - y) ** 2 + (columns - x) ** 2) / radius**2
        )
    picture += heights[brightest] * 10 ** float(rng.uniform(-2.7, -1.3)) * glow
    return replace(sample, picture=picture)


def _height(pixels: NDArray[np.float32], level: float) -> float:
    finite = pixels[np.isfinite(pixels)]
    return float(np.percentile(finite, 98)) - level if finite.size else 0.0


def fringed(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return the sample with a system of straight fringes, 0.1 to 1 times as high as its noise.

    Periods are 4 to 130 pixels, at any angle.
    """
    picture = np.asarray(sample.picture, dtype=np.float32)
    height = _noise(picture) * float(10 ** rng.uniform(-1.0, 0.0))
    period = float(np.exp(rng.uniform(np.log(4.0), np.log(130.0))))
    angle, phase = float(rng.uniform(0, np.pi)), float(rng.uniform(0, 2 * np.pi))
    y, x = np.ogrid[: picture.shape[0], : picture.shape[1]]
    along = x * np.cos(angle) + y * np.sin(angle)
    fringes = height * np.cos(2 * np.pi / period * along + phase)
    return replace(sample, picture=(picture + fringes).astype(np.float32))


def _noise(picture: NDArray[np.floating]) -> float:
    noise = float(difference_noise(np.array(picture, dtype=np.float64)))
    return noise if np.isfinite(noise) else 0.0


def prepared(
    sample: Sample, canvas: int, rng: np.random.Generator, changes: Augmentations
) -> Prepared:
    """Return a sample on a canvas, the whole picture and zeros around it.

    Parameters
    ----------
    sample : Sample
        At any size.
    canvas : int
        Rows and columns of what a network is shown.
    rng : Generator
        Draws size and place where ``changes.sizes``; else the picture fills the canvas.
    changes : Augmentations
        Which changes are made; those that need no canvas are made first.
    """
    sample = augmented(sample, rng, changes)
    longest = float(canvas)
    if changes.sizes and rng.random() >= _WHOLE:
        longest = canvas * float(rng.uniform(_SMALLEST, 1.0))
    seen = network_input(sample.picture, longest)
    rows, columns = seen.channels.shape[1:]
    y, x = 0, 0
    if changes.sizes:
        y, x = (int(rng.integers(0, canvas - n + 1)) for n in (rows, columns))
    channels = np.zeros((len(seen.channels), canvas, canvas), dtype=np.float32)
    channels[:, y : y + rows, x : x + columns] = seen.channels
    boxes = sample.boxes * np.array([*seen.scale, *seen.scale])
    boxes = np.clip(boxes, 0, [rows, columns, rows, columns])
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= _LEAST_SIDE).all(axis=1)
    boxes = (boxes + np.array([y, x, y, x]))[kept].astype(np.float32)
    masks = np.zeros((len(boxes), canvas, canvas), dtype=np.float32)
    for into, mask in zip(masks, sample.masks[kept], strict=True):
        small = resized(np.asarray(mask, dtype=np.float32), (rows, columns))
        into[y : y + rows, x : x + columns] = small
    labels = tuple(each for each, keep in zip(sample.labels, kept, strict=True) if keep)
    return Prepared(channels, boxes, labels, masks)
