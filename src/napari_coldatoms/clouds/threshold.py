"""Detection of clouds by thresholds on the picture at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_coldatoms.clouds.basins import basins, close_rings
from napari_coldatoms.clouds.scale_space import Level, ScaleSpace, scale_space

# a scale at which a cloud reaches this significance is fine enough to draw its mask
_CLEAR = 12.0
# a hill at a coarse scale is one cloud, rather than several faint ones at finer scales within it
# (bumps of the noise on a wide cloud), if it has more than this times their significances together
_WHOLE = 1.05


@dataclass(frozen=True)
class ThresholdOptions:
    """Parameters of the detection by thresholds.

    Significances are in units of the noise at each scale: the white noise of the pixels, and
    whatever fringes and other structure of the background add to it.
    """

    significance: Annotated[
        float,
        {"min": 2.0, "max": 100.0, "step": 0.5, "tooltip": "least peak of a cloud (noise widths)"},
    ] = 6.0
    prominence: Annotated[
        float,
        {
            "min": 0.0,
            "max": 1.0,
            "step": 0.05,
            "tooltip": "rise above the saddle that makes a cloud of its own (part of its peak)",
        },
    ] = 0.3
    faintest: Annotated[
        float,
        {
            "min": 0.0,
            "max": 1.0,
            "step": 0.01,
            "tooltip": "least height of a cloud (part of the highest in the frame)",
        },
    ] = field(default=0.01, metadata={"advanced": True})
    floor: Annotated[
        float,
        {"min": 0.5, "max": 20.0, "step": 0.5, "tooltip": "edge of faint clouds (noise widths)"},
    ] = field(default=2.5, metadata={"advanced": True})
    smallest: Annotated[
        float,
        {"min": 0.0, "max": 1e4, "tooltip": "clouds with a smaller mask are dropped (px)"},
    ] = field(default=8.0, metadata={"advanced": True})

    def __post_init__(self) -> None:
        if not self.significance > 0:
            raise ValueError(f"expected significance > 0, found {self.significance}")
        if not 0 <= self.prominence <= 1:
            raise ValueError(f"expected prominence in 0..1, found {self.prominence}")
        if not 0 < self.floor < self.significance:
            raise ValueError(
                f"expected floor between 0 and significance {self.significance}, found {self.floor}"
            )


@dataclass(frozen=True)
class Region:
    """A cloud's pixels.

    Attributes
    ----------
    mask : (ny, nx)
        Cropped; holes are filled.
    offset : (row, column)
        Of the crop in the frame.
    significance : float
        Peak over noise at the scale that shows the cloud best.
    contour : float
        Level of the mask's edge as a part of the cloud's peak.
    """

    mask: NDArray[np.bool_]
    offset: tuple[int, int]
    significance: float
    contour: float


@dataclass
class _Hill:
    """A maximum followed from fine to coarse scales."""

    level: int
    label: int
    peak: tuple[int, int]
    significance: float
    best: float
    row: float
    column: float
    ring: NDArray[np.bool_] | None = None


def segment(
    pixels: NDArray[np.float64], options: ThresholdOptions | None = None
) -> tuple[list[Region], ScaleSpace | None]:
    """Find the clouds of a picture.

    Parameters
    ----------
    pixels : (ny, nx)
        Not-finite pixels are invalid.
    options : ThresholdOptions, optional

    Returns
    -------
    regions : list of Region
        Most significant first.
    space : ScaleSpace or None
        What they were found in; None for a picture without information.
    """
    options = options or ThresholdOptions()
    space = scale_space(pixels)
    if space is None:
        return [], None
    maps = []
    hills: list[_Hill] = []
    for index, level in enumerate(space.levels):
        labels, peaks = basins(
            level.significance,
            level.amplitude,
            options.floor,
            options.significance,
            options.prominence,
        )
        rings = close_rings(level.significance, labels, peaks, options.floor, options.significance)
        maps.append(labels)
        hills = _follow(hills, index, level, labels, peaks, rings, options.significance)
    regions = []
    heights = [float(space.levels[hill.level].amplitude[hill.peak]) for hill in hills]
    for hill, height in zip(hills, heights, strict=True):
        if height < options.faintest * max(heights):
            continue
        region = _draw(space.levels[hill.level], maps[hill.level], hill, pixels.shape, options)
        if region is not None and np.count_nonzero(region.mask) >= options.smallest:
            regions.append(region)
    regions.sort(key=lambda region: -region.significance)
    return regions, space


def _follow(
    hills: list[_Hill],
    index: int,
    level: Level,
    labels: NDArray[np.int32],
    peaks: NDArray[np.int64],
    rings: dict[int, NDArray[np.bool_]],
    least: float,
) -> list[_Hill]:
    """Return the hills known so far with what one more, coarser level shows."""
    ny, nx = labels.shape
    within: dict[int, list[_Hill]] = {}
    for hill in hills:
        row = min(int(hill.row / level.size), ny - 1)
        column = min(int(hill.column / level.size), nx - 1)
        within.setdefault(int(labels[row, column]), []).append(hill)
    kept = list(within.get(0, []))
    for number, (j, i) in enumerate(peaks.tolist(), start=1):
        if labels[j, i] != number:
            continue  # became part of a ring
        height = float(level.significance[j, i])
        known = within.get(number, [])
        new = _Hill(
            index,
            number,
            (j, i),
            height,
            max([height, *(hill.best for hill in known)]),
            (j + 0.5) * level.size,
            (i + 0.5) * level.size,
            rings.get(number),
        )
        if any(hill.ring is not None for hill in known):
            # at coarser scales a ring is a heap, or falls apart
            for hill in known:
                hill.best = max(height, hill.best)
            kept.extend(known)
        elif not known:
            if height >= least and not any(_encloses(hill, new) for hill in hills):
                kept.append(new)
        elif new.ring is not None:
            kept.append(new)
        elif len(known) == 1:
            hill = known[0]
            if hill.significance < _CLEAR and height > hill.significance:
                kept.append(new)
            else:
                hill.best = new.best
                kept.append(hill)
        elif height > _WHOLE * math.sqrt(sum(hill.best**2 for hill in known)):
            clear = [hill for hill in known if hill.significance >= _CLEAR]
            kept.extend(clear if len(clear) > 1 else [new])
        else:
            kept.extend(known)
    return kept


def _encloses(hill: _Hill, other: _Hill) -> bool:
    """Whether a hill is a ring with the top of another one inside."""
    if hill.ring is None:
        return False
    size = 2**hill.level
    row = min(int(other.row / size), hill.ring.shape[0] - 1)
    column = min(int(other.column / size), hill.ring.shape[1] - 1)
    return bool(hill.ring[row, column])


def _draw(
    level: Level,
    labels: NDArray[np.int32],
    hill: _Hill,
    shape: tuple[int, ...],
    options: ThresholdOptions,
) -> Region | None:
    """Return the pixels of a hill inside its 1/e² contour, or above the noise if that is higher."""
    own = labels == hill.label
    # the most significant place need not be the highest: dense cores are noisy
    peak = float(level.amplitude[own & (level.significance >= options.significance)].max(initial=0))
    if not peak > 0:
        return None
    floor = options.floor * float(level.noise[hill.peak])
    fraction = max(math.exp(-2.0), floor / peak)
    amplitude = level.amplitude
    if hill.ring is not None:  # its inside belongs to it
        amplitude = np.where(hill.ring, np.maximum(amplitude, peak), amplitude)
    # the smoothing widens the cloud: at the true 1/e² radius w it stands at exp(-2 w² / w_s²)
    seen = np.count_nonzero(own & (amplitude >= fraction * peak)) * level.size**2
    seen_width = seen / math.pi * 2 / -math.log(fraction)
    narrowing = max(1 - 4 * level.sigma**2 / seen_width, 0.25) if seen_width > 0 else 1.0
    fraction = max(math.exp(-2.0 * narrowing), floor / peak)
    if fraction >= 1:
        return None
    rows, columns = np.nonzero(own)
    y0, y1 = int(rows.min()), int(rows.max()) + 1
    x0, x1 = int(columns.min()), int(columns.max()) + 1
    size = level.size
    if size == 1:
        inside = own[y0:y1, x0:x1] & (amplitude[y0:y1, x0:x1] >= fraction * peak)
    else:
        inside = _magnified(amplitude, own, (y0, x0, y1, x1), size) >= fraction * peak
    top, left = y0 * size, x0 * size
    inside = inside[: shape[0] - top, : shape[1] - left]
    pieces, n = ndimage.label(inside, structure=np.ones((3, 3)))
    if n == 0:
        return None
    if n > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        inside = pieces == int(np.argmax(sizes))
    inside = ndimage.binary_fill_holes(inside)
    rows, columns = np.nonzero(inside)
    crop = inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return Region(
        np.ascontiguousarray(crop),
        (top + int(rows.min()), left + int(columns.min())),
        hill.best,
        fraction,
    )


def _magnified(
    amplitude: NDArray[np.float64],
    own: NDArray[np.bool_],
    box: tuple[int, int, int, int],
    size: int,
) -> NDArray[np.float64]:
    """Return the cells of a hill interpolated to pixels; -inf where the cell is another's."""
    y0, x0, y1, x1 = box
    y = (np.arange(y0 * size, y1 * size) + 0.5) / size - 0.5
    x = (np.arange(x0 * size, x1 * size) + 0.5) / size - 0.5
    ny, nx = amplitude.shape
    v = np.clip(np.floor(y).astype(int), 0, ny - 2)
    u = np.clip(np.floor(x).astype(int), 0, nx - 2)
    fy, fx = np.clip(y - v, 0, 1)[:, None], np.clip(x - u, 0, 1)[None, :]
    upper = amplitude[v][:, u] * (1 - fx) + amplitude[v][:, u + 1] * fx
    lower = amplitude[v + 1][:, u] * (1 - fx) + amplitude[v + 1][:, u + 1] * fx
    values = upper * (1 - fy) + lower * fy
    mine = np.repeat(np.repeat(own[y0:y1, x0:x1], size, axis=0), size, axis=1)
    return np.where(mine, values, -np.inf)
