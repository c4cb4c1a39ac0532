"""Weights for other classes: what both know stays, what is new is a cloud like others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_coldatoms.clouds.dataset import held_out
from napari_coldatoms.clouds.inference import Network, filled
from napari_coldatoms.clouds.network_input import network_input
from napari_coldatoms.clouds.other_classes import for_classes
from napari_coldatoms.clouds.weights import SHIPPED, WeightsCard, load_weights, save_weights


@pytest.fixture(scope="module")
def shipped():
    return load_weights(SHIPPED)


def logits(card, tensors, classes):
    """Return the class logits of some features, and the moves of their boxes."""
    heads = filled(card.architecture, classes, tensors, "test").roi_heads
    size = heads.box_predictor.cls_score.in_features
    features = torch.randn(20, size, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return heads.box_predictor(features)


def test_known_classes_keep_their_weights(shipped):
    card, tensors = shipped
    assert card.labels == ("MOT", "ODT")
    wanted = ("ring", "ODT", "MOT")
    scores, moves = logits(card, tensors, card.labels)
    found = for_classes(tensors, card.labels, wanted)
    new, moved = logits(card, found, wanted)
    # background, ODT, MOT
    torch.testing.assert_close(new[:, [0, 2, 3]], scores[:, [0, 2, 1]])
    torch.testing.assert_close(
        moved.reshape(20, 4, 4)[:, [0, 2, 3]], moves.reshape(20, 3, 4)[:, [0, 2, 1]]
    )
    # a new class is between the known ones, but not the same as another one
    mean = scores[:, 1:].mean(1)
    assert (new[:, 1] - mean).std() < 0.3 * scores[:, 1:].std()
    two = for_classes(tensors, card.labels, ("ring", "wire"))
    weight = two["roi_heads.box_predictor.cls_score.weight"]
    assert not torch.equal(weight[1], weight[2])
    again = for_classes(tensors, card.labels, ("ring", "wire"))
    assert all(torch.equal(two[name], again[name]) for name in two)
    assert tensors["roi_heads.box_predictor.cls_score.weight"].shape[0] == 3  # unchanged


@pytest.mark.slow
def test_the_same_classes_in_another_order_find_the_same(shipped, tmp_path):
    card, tensors = shipped
    swapped = card.labels[::-1]
    path = tmp_path / "swapped.safetensors"
    found = for_classes(tensors, card.labels, swapped)
    save_weights(path, found, WeightsCard(card.architecture, swapped))
    pictures = [held_out(4)[n].picture for n in range(4)]
    assert all(network_input(each) for each in pictures)
    results = [Network(weights, "cpu").detect(pictures, views=1) for weights in (SHIPPED, path)]
    for one, other in zip(*results, strict=True):
        assert [each.label for each in one] == [each.label for each in other]
        np.testing.assert_allclose(
            [each.score for each in one], [each.score for each in other], atol=2e-3
        )
    assert sum(len(each) for each in results[0]) > 0
