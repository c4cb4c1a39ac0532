"""What a network finds in a picture and its mirror images, taken together. Needs torch.

A cloud in a mirror is the same cloud, but a network does not place it exactly at the same spot.
What it finds is brought together in three steps: boxes that overlap in different views are
averaged; each is looked at again, in all views, as a proposal of its own; and so are the masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads, maskrcnn_inference
from torchvision.ops import box_iou

__all__ = ["found_in_views"]

# boxes of one class in different views that overlap by more than this are of one cloud
_SAME = 0.6

Found = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class _Views:
    """Pictures in all their mirrors, one mirror after the other, as the network's heads see them.

    `mirrors` are the axes along which each view is mirrored, `size` rows and columns.
    """

    features: dict[str, Tensor]
    pictures: int
    mirrors: Sequence[Sequence[int]]
    size: tuple[int, int]

    def sizes(self) -> list[tuple[int, int]]:
        """Return the size of each picture in each mirror."""
        return [self.size] * (self.pictures * len(self.mirrors))

    def axes(self, number: int) -> Sequence[int]:
        """Return the axes along which a picture in a mirror is mirrored."""
        return self.mirrors[number // self.pictures]

    def mirrored(self, places: Sequence[Tensor]) -> list[Tensor]:
        """Return the boxes of each picture in all mirrors."""
        return [_mirrored(each, axes, self.size) for axes in self.mirrors for each in places]

    def back(self, boxes: Sequence[Tensor]) -> list[Tensor]:
        """Return boxes found in mirrors as they are in the pictures."""
        return [_mirrored(each, self.axes(n), self.size) for n, each in enumerate(boxes)]

    def means(self, values: Sequence[Tensor]) -> list[Tensor]:
        """Return the mean over the mirrors for each picture."""
        return [torch.stack(list(values[n :: self.pictures])).mean(0) for n in range(self.pictures)]


def found_in_views(
    model: MaskRCNN, views: Sequence[Tensor], mirrors: Sequence[Sequence[int]]
) -> list[Found]:
    """Return what is found in pictures.

    Parameters
    ----------
    model : MaskRCNN
        In evaluation mode.
    views : sequence of (n, 3, y, x) tensors
        The pictures, each time mirrored in another way.
    mirrors : sequence of (sequence of int)
        Along which axes each view is mirrored.

    Returns
    -------
    list of (boxes, scores, classes, masks)
        For each picture: ``x0, y0, x1, y1`` of shape (m, 4); (m,); (m,); (m, cells, cells).
    """
    pictures, _, height, width = views[0].shape
    every = torch.cat(list(views)).contiguous(memory_format=torch.channels_last)
    seen = _Views(model.backbone(every), pictures, mirrors, (int(height), int(width)))
    sizes = seen.sizes()
    heads = model.roi_heads
    proposals, _ = model.rpn(ImageList(every, sizes), seen.features)
    pooled = heads.box_roi_pool(seen.features, proposals, sizes)
    boxes, scores, classes = heads.postprocess_detections(
        *heads.box_predictor(heads.box_head(pooled)), proposals, sizes
    )
    boxes = seen.back(boxes)
    merged = [
        _merged(boxes[n::pictures], scores[n::pictures], classes[n::pictures])
        for n in range(pictures)
    ]
    numbers = [each[2] for each in merged]
    places = _placed_again(heads, seen, [each[0] for each in merged], numbers)
    masks = _masks(heads, seen, places, numbers)
    return [
        (place, each[1], number, mask)
        for place, each, number, mask in zip(places, merged, numbers, masks, strict=True)
    ]


def _mirrored(boxes: Tensor, axes: Sequence[int], size: tuple[int, int]) -> Tensor:
    """Return boxes in the mirror; twice the same way they are back."""
    x0, y0, x1, y1 = boxes.unbind(1)
    if 3 in axes:
        x0, x1 = size[1] - x1, size[1] - x0
    if 2 in axes:
        y0, y1 = size[0] - y1, size[0] - y0
    return torch.stack([x0, y0, x1, y1], 1)


def _merged(
    boxes: Sequence[Tensor], scores: Sequence[Tensor], classes: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the boxes of a picture, averaged over its views with the scores as weights.

    The score is the mean over the views, 0 where nothing was found.
    """
    if len(boxes) == 1:
        return boxes[0], scores[0], classes[0]
    place, score, number = (torch.cat(list(each)) for each in (boxes, scores, classes))
    order = score.argsort(descending=True)
    place, score, number = place[order], score[order], number[order]
    alike = (box_iou(place, place) > _SAME) & (number[:, None] == number[None, :])
    free = torch.ones_like(score, dtype=torch.bool)
    leaders, means, sums = [], [], []
    for n in range(len(score)):
        if not free[n]:
            continue
        group = alike[n] & free
        free &= ~group
        weights = score[group]
        leaders.append(n)
        means.append((place[group] * weights[:, None]).sum(0) / weights.sum())
        sums.append(weights.sum() / max(len(boxes), int(group.sum())))
    if not leaders:
        return place, score, number
    return torch.stack(means), torch.stack(sums), number[leaders]


def _placed_again(
    heads: RoIHeads, seen: _Views, places: Sequence[Tensor], numbers: Sequence[Tensor]
) -> list[Tensor]:
    """Return boxes as the network places them when they are its proposals."""
    counts = [len(each) for each in places] * len(seen.mirrors)
    if sum(counts) == 0:
        return list(places)
    proposals = seen.mirrored(places)
    pooled = heads.box_roi_pool(seen.features, proposals, seen.sizes())
    _, moves = heads.box_predictor(heads.box_head(pooled))
    moved = heads.box_coder.decode(moves, proposals)
    chosen = torch.cat(list(numbers) * len(seen.mirrors))
    own = moved[torch.arange(len(moved), device=moved.device), chosen].split(counts)
    return seen.means(seen.back(own))


def _masks(
    heads: RoIHeads, seen: _Views, places: Sequence[Tensor], numbers: Sequence[Tensor]
) -> list[Tensor]:
    """Return the masks of boxes, averaged over the views, (m, cells, cells) of each picture."""
    pooled = heads.mask_roi_pool(seen.features, seen.mirrored(places), seen.sizes())
    logits = heads.mask_predictor(heads.mask_head(pooled))
    found = maskrcnn_inference(logits, list(numbers) * len(seen.mirrors))
    # without the axis of channels, rows and columns come one earlier
    return seen.means(
        [each[:, 0].flip([axis - 1 for axis in seen.axes(n)]) for n, each in enumerate(found)]
    )
