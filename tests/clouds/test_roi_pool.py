"""Features of boxes against torchvision's own RoIAlign."""

from __future__ import annotations

import pytest
import torch
from torchvision.ops import roi_align

from napari_coldatoms.clouds.roi_pool import RoiPool

LEVELS = ("0", "1", "2", "3")


@pytest.fixture
def features():
    torch.manual_seed(0)
    return {
        name: torch.randn(2, 6, 64 >> n, 48 >> n, requires_grad=True)
        for n, name in enumerate(LEVELS)
    }


@pytest.mark.parametrize(("size", "samples"), [(7, 2), (14, 1)])
@pytest.mark.parametrize(("side", "level"), [(30.0, 0), (80.0, 1), (170.0, 2)])
def test_pooled_as_by_torchvision_on_the_level_of_its_size(features, size, samples, side, level):
    corner = torch.tensor([[3.0, 8.0], [15.3, 1.2], [7.7, 20.9]])
    boxes = torch.cat([corner, corner + side], 1)
    pool = RoiPool(LEVELS, size, samples)
    found = pool(features, [boxes[:1], boxes[1:]], [(256, 192)] * 2)
    name = LEVELS[level]
    numbered = torch.cat([torch.tensor([[0.0], [1.0], [1.0]]), boxes], 1)
    known = roi_align(features[name], numbered, size, 1 / (4 << level), samples, aligned=True)
    torch.testing.assert_close(found, known, atol=1e-4, rtol=1e-4)
    weight = torch.randn_like(found)
    own = torch.autograd.grad((found * weight).sum(), features[name], retain_graph=True)[0]
    theirs = torch.autograd.grad((known * weight).sum(), features[name])[0]
    torch.testing.assert_close(own, theirs, atol=1e-3, rtol=1e-3)


def test_boxes_of_several_sizes_keep_their_order(features):
    boxes = torch.tensor([[0.0, 0, 150, 150], [10, 10, 30, 30], [5, 5, 90, 70]])
    pool = RoiPool(LEVELS, 7, 2)
    together = pool(features, [boxes, boxes[:0]], [(256, 192)] * 2)
    alone = [pool(features, [box[None], boxes[:0]], [(256, 192)] * 2) for box in boxes]
    torch.testing.assert_close(together, torch.cat(alone))


def test_no_boxes_give_no_features_and_a_gradient_of_zero(features):
    none = torch.zeros(0, 4)
    pooled = RoiPool(LEVELS, 7, 2)(features, [none, none], [(256, 192)] * 2)
    assert pooled.shape == (0, 6, 7, 7)
    pooled.sum().backward()
    assert features["0"].grad.abs().max() == 0
