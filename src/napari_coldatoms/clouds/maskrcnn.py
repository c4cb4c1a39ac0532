"""The Mask R-CNN networks: the paper's, and a small one.

Needs torch and torchvision, which must not be loaded beside a window: see `server`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    MaskRCNN,
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn,
)
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from napari_coldatoms.clouds.refining_heads import RefiningHeads
from napari_coldatoms.clouds.roi_pool import RoiPool

LABELS = ("MOT", "ODT")
Architecture = Literal["small", "resnet50"]

_WIDTHS = (64, 96, 160, 256)
_BLOCKS = (1, 2, 2, 2)
_STEM = 32
_PYRAMID = 96
_LEVELS = ("0", "1", "2", "3")
# sides in pixels, one for each level and one more; ratios of height and width
_ANCHORS = ((14,), (28,), (56,), (112,), (224,))
_ASPECTS = (0.35, 1.0, 2.9)
_BOX_CELLS, _BOX_FEATURES = 7, 512
_MASK_CELLS = 14


class _Block(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = _convolution(inputs, outputs, stride)
        self.second = _convolution(outputs, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        within = self.second(torch.relu(self.first(x)))
        return torch.relu(within + self.shortcut(x))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs)
    )


class SmallBackbone(nn.Module):
    """A slim residual network with a feature pyramid: 7 layers deep at the finest level."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, _STEM, 2), nn.ReLU(), _convolution(_STEM, _STEM), nn.ReLU()
        )
        stages, inputs = [], _STEM
        for width, blocks in zip(_WIDTHS, _BLOCKS, strict=True):
            parts = [_Block(inputs, width, 2)]
            parts += [_Block(width, width, 1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(*parts))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.pyramid = FeaturePyramidNetwork(
            list(_WIDTHS), _PYRAMID, extra_blocks=LastLevelMaxPool()
        )
        self.out_channels = _PYRAMID

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the features of each level, finest first."""
        x = self.stem(x)
        features = OrderedDict()
        for level, stage in zip(_LEVELS, self.stages, strict=True):
            x = stage(x)
            features[level] = x
        found: dict[str, Tensor] = self.pyramid(features)
        return found


def build(
    architecture: str = "small", labels: Sequence[str] = LABELS, *, coco: bool = False
) -> MaskRCNN:
    """Return a network for pictures prepared by `network_input`.

    Parameters
    ----------
    architecture : "small" or "resnet50"
        ``"resnet50"`` is the network of Hofer et al. 2021 (arXiv:2011.10536): torchvision's Mask
        R-CNN on a ResNet-50 with a feature pyramid. ``"small"`` has a sixth of its weights, a
        slim backbone, and heads sized for clouds rather than for photographs, which learn to place
        boxes in two looks.
    labels : sequence of str
        Classes, without the background.
    coco : bool
        Start from torchvision's weights for everyday objects, which it downloads where they are
        not on disk; "resnet50" alone has them. Else weights are random.

    Raises
    ------
    ValueError
        Another architecture, no labels or the same one twice, or no COCO weights for it.
    """
    if not labels or len(set(labels)) < len(labels):
        raise ValueError(f"expected different labels, at least one, found {list(labels)}")
    if architecture == "resnet50":
        return _resnet50(len(labels) + 1, coco)
    if architecture != "small":
        raise ValueError(f"expected architecture 'small' or 'resnet50', found {architecture!r}")
    if coco:
        raise ValueError("expected architecture 'resnet50' for COCO weights, found 'small'")
    return _small(len(labels) + 1)


def _resnet50(classes: int, coco: bool) -> MaskRCNN:
    model = maskrcnn_resnet50_fpn(
        weights=MaskRCNN_ResNet50_FPN_Weights.COCO_V1 if coco else None,
        weights_backbone=None,
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        _skip_resize=True,
    )
    box = model.roi_heads.box_predictor.cls_score.in_features
    model.roi_heads.box_predictor = FastRCNNPredictor(box, classes)
    mask = model.roi_heads.mask_predictor.conv5_mask
    model.roi_heads.mask_predictor = MaskRCNNPredictor(mask.in_channels, mask.out_channels, classes)
    return model


def _small(classes: int) -> MaskRCNN:
    anchors = AnchorGenerator(sizes=_ANCHORS, aspect_ratios=(_ASPECTS,) * len(_ANCHORS))
    model = MaskRCNN(
        SmallBackbone(),
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(_PYRAMID, anchors.num_anchors_per_location()[0]),
        rpn_pre_nms_top_n_train=600,
        rpn_pre_nms_top_n_test=300,
        rpn_post_nms_top_n_train=300,
        rpn_post_nms_top_n_test=100,
        rpn_batch_size_per_image=128,
        box_roi_pool=RoiPool(_LEVELS, _BOX_CELLS, 2),
        box_head=TwoMLPHead(_PYRAMID * _BOX_CELLS**2, _BOX_FEATURES),
        box_predictor=FastRCNNPredictor(_BOX_FEATURES, classes),
        box_batch_size_per_image=64,
        box_positive_fraction=0.25,
        box_detections_per_img=30,
        mask_roi_pool=RoiPool(_LEVELS, _MASK_CELLS, 1),
        mask_head=MaskRCNNHeads(_PYRAMID, (_PYRAMID,) * 3, 1),
        mask_predictor=MaskRCNNPredictor(_PYRAMID, _PYRAMID, classes),
        image_mean=[0.0] * 3,
        image_std=[1.0] * 3,
        _skip_resize=True,
    )
    model.roi_heads = RefiningHeads.of(model.roi_heads)
    return model
