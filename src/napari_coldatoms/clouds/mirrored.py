"""What a network finds in a picture and its mirror images, taken together. Needs torch.

A cloud in a mirror is the same cloud, but a network does not place it exactly at the same spot.
What it finds is brought together in three steps: boxes that overlap in different views are
averaged; each is looked at again, in all views, as a proposal of its own; and so are the masks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.ops import box_iou

__all__ = ["found_in_views"]

# boxes of one class in different views that overlap by more than this are of one cloud
_SAME = 0.6

Found = tuple[Tensor, Tensor, Tensor, Tensor]


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
    size = (int(height), int(width))
    every = torch.cat(list(views)).contiguous(memory_format=torch.channels_last)
    sizes = [size] * len(every)
    heads = model.roi_heads
    features = model.backbone(every)
    if isinstance(features, Tensor):
        features = OrderedDict([("0", features)])
    proposals, _ = model.rpn(ImageList(every, sizes), features)
    pooled = heads.box_roi_pool(features, proposals, sizes)
    boxes, scores, classes = heads.postprocess_detections(
        *heads.box_predictor(heads.box_head(pooled)), proposals, sizes
    )
    boxes = [_mirrored(each, mirrors[n // pictures], size) for n, each in enumerate(boxes)]
    merged = [
        _merged(boxes[n::pictures], scores[n::pictures], classes[n::pictures])
        for n in range(pictures)
    ]
    places = [each[0] for each in merged]
    numbers = [each[2] for each in merged]
    places = _placed_again(model, features, places, numbers, mirrors, size)
    masks = _masks(model, features, places, numbers, mirrors, size)
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


def _in_all_views(
    places: Sequence[Tensor], mirrors: Sequence[Sequence[int]], size: tuple[int, int]
) -> list[Tensor]:
    return [_mirrored(each, axes, size) for axes in mirrors for each in places]


def _placed_again(
    model: MaskRCNN,
    features: dict[str, Tensor],
    places: Sequence[Tensor],
    numbers: Sequence[Tensor],
    mirrors: Sequence[Sequence[int]],
    size: tuple[int, int],
) -> list[Tensor]:
    """Return boxes as the network places them when they are its proposals."""
    heads = model.roi_heads
    counts = [len(each) for each in places] * len(mirrors)
    if sum(counts) == 0:
        return list(places)
    proposals = _in_all_views(places, mirrors, size)
    pooled = heads.box_roi_pool(features, proposals, [size] * len(proposals))
    _, moves = heads.box_predictor(heads.box_head(pooled))
    moved = heads.box_coder.decode(moves, proposals)
    chosen = torch.cat(list(numbers) * len(mirrors))
    own = moved[torch.arange(len(moved), device=moved.device), chosen].split(counts)
    pictures = len(places)
    back = [_mirrored(each, mirrors[n // pictures], size) for n, each in enumerate(own)]
    return [torch.stack(back[n::pictures]).mean(0) for n in range(pictures)]


def _masks(
    model: MaskRCNN,
    features: dict[str, Tensor],
    places: Sequence[Tensor],
    numbers: Sequence[Tensor],
    mirrors: Sequence[Sequence[int]],
    size: tuple[int, int],
) -> list[Tensor]:
    """Return the masks of boxes, averaged over the views, (m, cells, cells) of each picture."""
    heads = model.roi_heads
    proposals = _in_all_views(places, mirrors, size)
    pooled = heads.mask_roi_pool(features, proposals, [size] * len(proposals))
    logits = heads.mask_predictor(heads.mask_head(pooled))
    found = [each[:, 0] for each in maskrcnn_inference(logits, list(numbers) * len(mirrors))]
    pictures = len(places)
    back = []
    for n, each in enumerate(found):
        # masks have no axis of channels: their rows and columns come one earlier
        axes = [axis - 1 for axis in mirrors[n // pictures]]
        back.append(each.flip(axes) if axes else each)
    return [torch.stack(back[n::pictures]).mean(0) for n in range(pictures)]
