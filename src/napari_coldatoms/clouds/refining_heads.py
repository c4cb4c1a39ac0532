"""Heads that learn to place boxes in two looks. Needs torch.

At detection every box becomes a proposal once more (`mirrored`). Heads that have only learnt from
the first proposals, which are far off, do not know what to do with good ones: here they learn from
both, as a cascade (Cai and Vasconcelos 2018, arXiv:1712.00726) whose stages share their weights.
Masks are learnt from the boxes of the second look, because that is where they are asked for.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_loss
from torchvision.ops import clip_boxes_to_image, remove_small_boxes

# of the second look's decision on the class, beside the first's
_WEIGHT = 0.5
# boxes below this side, in pixels, are no proposals
_LEAST_SIDE = 1.0


class RefiningHeads(RoIHeads):
    """Heads of a Mask R-CNN that are trained in two looks, and detect as torchvision's do."""

    @classmethod
    def of(cls, heads: RoIHeads) -> RefiningHeads:
        """Return heads made of the parts of others."""
        sampler, matcher = heads.fg_bg_sampler, heads.proposal_matcher
        return cls(
            heads.box_roi_pool,
            heads.box_head,
            heads.box_predictor,
            matcher.high_threshold,
            matcher.low_threshold,
            sampler.batch_size_per_image,
            sampler.positive_fraction,
            heads.box_coder.weights,
            heads.score_thresh,
            heads.nms_thresh,
            heads.detections_per_img,
            heads.mask_roi_pool,
            heads.mask_head,
            heads.mask_predictor,
        )

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return the losses in training, else what is found, see `RoIHeads`."""
        if not self.training:
            return super().forward(features, proposals, image_shapes, targets)
        assert targets is not None
        places, _, labels, moves = self.select_training_samples(proposals, targets)
        logits, moved = self._look(features, places, image_shapes)
        class_loss, box_loss = fastrcnn_loss(logits, moved, labels, moves)
        better = self._next(places, logits, moved, labels, image_shapes)
        places, matched, labels, moves = self.select_training_samples(better, targets)
        class_again, box_again = fastrcnn_loss(
            *self._look(features, places, image_shapes), labels, moves
        )
        return [], {
            "loss_classifier": class_loss + _WEIGHT * class_again,
            "loss_box_reg": box_loss + box_again,
            "loss_mask": self._mask_loss(features, places, matched, labels, image_shapes, targets),
        }

    def _look(
        self, features: dict[str, Tensor], places: list[Tensor], shapes: list[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        logits, moved = self.box_predictor(
            self.box_head(self.box_roi_pool(features, places, shapes))
        )
        return logits.float(), moved.float()

    @torch.no_grad()
    def _next(
        self,
        places: list[Tensor],
        logits: Tensor,
        moved: Tensor,
        labels: list[Tensor],
        shapes: list[tuple[int, int]],
    ) -> list[Tensor]:
        """Return where proposals were moved, each as its own or its likeliest class."""
        own = torch.cat(labels)
        chosen = torch.where(own > 0, own, logits[:, 1:].argmax(1) + 1)
        boxes = self.box_coder.decode(moved, places)
        boxes = boxes[torch.arange(len(boxes), device=boxes.device), chosen]
        clipped = [
            clip_boxes_to_image(each, shape)
            for each, shape in zip(boxes.split([len(p) for p in places]), shapes, strict=True)
        ]
        return [each[remove_small_boxes(each, _LEAST_SIDE)] for each in clipped]

    def _mask_loss(
        self,
        features: dict[str, Tensor],
        places: list[Tensor],
        matched: list[Tensor],
        labels: list[Tensor],
        shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]],
    ) -> Tensor:
        clouds = [each > 0 for each in labels]
        boxes = [each[own] for each, own in zip(places, clouds, strict=True)]
        pooled = self.mask_roi_pool(features, boxes, shapes)
        return maskrcnn_loss(
            self.mask_predictor(self.mask_head(pooled)),
            boxes,
            [each["masks"] for each in targets],
            [each["labels"] for each in targets],
            [each[own] for each, own in zip(matched, clouds, strict=True)],
        )
