"""Weights of the pixels of many sites: given, or learnt from a stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_coldatoms.photons.histogram import FloatArray, IntArray
from napari_coldatoms.photons.pixel_weights import (
    LearntWeights,
    learn_shared_weights,
    learn_weights,
)
from napari_coldatoms.photons.site_sums import SiteSums
from napari_coldatoms.photons.stack_pixels import StackPixels

if TYPE_CHECKING:
    from napari_coldatoms.images.regions import Regions

# shots to learn from: more change weights by less than a percent
_SHOTS = 2000
_SHARED_SHOTS = 20_000  # of all sites together
_LEAST_SHARED = 100
_BYTES = 256 * 2**20


def given_weights(weights: Any, sites: Regions) -> tuple[FloatArray, ...]:
    """Return the weights of each site's pixels, (k,) each, from weights as the user has them.

    Parameters
    ----------
    weights : array (y, x) or (sites, y, x), or sequence of arrays (k,)
        One for each pixel, or for each pixel of each site.
    sites : Regions

    Raises
    ------
    ValueError
        If they do not suit the sites, or are not finite.
    """
    sizes = [len(pixels) for pixels in sites.pixels]
    if isinstance(weights, Sequence) and all(np.ndim(each) == 1 for each in weights):
        found = [np.asarray(each, dtype=np.float64) for each in weights]
    else:
        array = np.asarray(weights, dtype=np.float64)
        flat = array.reshape(*array.shape[:-2], -1) if array.ndim in (2, 3) else array
        if array.shape == sites.shape:
            found = [flat[pixels] for pixels in sites.pixels]
        elif array.shape == (len(sites), *sites.shape):
            found = [each[pixels] for each, pixels in zip(flat, sites.pixels, strict=True)]
        else:
            found = list(array) if array.ndim == 2 else []
    if [each.shape for each in found] != [(size,) for size in sizes]:
        shapes = ", ".join(sorted({str(each.shape) for each in found})) or np.shape(weights)
        raise ValueError(
            f"expected weights (y, x), (sites, y, x) or one for each of the "
            f"{min(sizes)} to {max(sizes)} pixels of {len(sites)} site(s), found {len(found)} "
            f"array(s) of shape {shapes}"
        )
    if not all(np.isfinite(each).all() for each in found):
        raise ValueError("expected finite weights, found others")
    return tuple(found)


def learnt_weights(
    source: StackPixels, sites: Regions, sums: SiteSums, *, share: bool
) -> tuple[tuple[FloatArray, ...], list[str]]:
    """Learn weights for each site, or for all together, and tell for which they stay plain.

    Raises
    ------
    ValueError
        If weights are to be shared by sites whose pixels do not lie alike.
    """
    if share:
        _check_alike(sites)
        number = min(source.shots, max(_LEAST_SHARED, _SHARED_SHOTS // len(sites)))
        frames = sums.frames(source, _spread(source.shots, number))
        result = learn_shared_weights(frames, sites.values[0])
        remarks = [] if result.learnt else [_plain_remark(result.reason, len(sites), len(sites))]
        return (result.weights,) * len(sites), remarks
    shots = _spread(source.shots, _SHOTS)
    results: list[LearntWeights] = []
    for first, last in _groups(sites.sizes, 8 * len(shots)):
        frames = sums.some(first, last).frames(source, shots)
        results += [
            learn_weights(each, values)
            for each, values in zip(frames, sites.values[first:last], strict=True)
        ]
    reasons = Counter(result.reason for result in results if not result.learnt)
    remarks = [_plain_remark(reason, many, len(sites)) for reason, many in reasons.items()]
    return tuple(result.weights for result in results), remarks


def _spread(shots: int, wanted: int) -> IntArray:
    """Return numbers of shots, evenly spread over all."""
    return np.unique(np.linspace(0, shots - 1, min(shots, wanted)).astype(np.int64))


def _groups(sizes: IntArray, bytes_of_pixel: int) -> list[tuple[int, int]]:
    """Return first and last site of groups whose pixels are not too much at once."""
    groups = []
    first, total = 0, 0
    for number, size in enumerate(sizes):
        if number > first and (total + size) * bytes_of_pixel > _BYTES:
            groups.append((first, number))
            first, total = number, 0
        total += int(size)
    return [*groups, (first, len(sizes))]


def _plain_remark(reason: str, many: int, sites: int) -> str:
    return f"the pixels of {many} of {sites} site(s) are summed with plain weights: {reason}"


def _check_alike(sites: Regions) -> None:
    columns = sites.shape[1]
    first = None
    for number, pixels, values in zip(sites.numbers, sites.pixels, sites.values, strict=True):
        y, x = pixels // columns, pixels % columns
        form = np.stack([y - y.min(), x - x.min(), values])
        if first is None:
            first = form
        elif form.shape != first.shape or not np.allclose(form, first):
            raise ValueError(
                "expected sites whose pixels lie alike, to share weights, found "
                f"{len(pixels)} pixels of site {number} that lie otherwise than the "
                f"{first.shape[1]} of site {sites.numbers[0]}"
            )
