"""The networks: what they are made of, and what they return for any picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_coldatoms.clouds.inference import Network, choose_device, detections
from napari_coldatoms.clouds.maskrcnn import build
from napari_coldatoms.clouds.network_input import network_input
from napari_coldatoms.clouds.simulate_frames import simulate_frame
from napari_coldatoms.clouds.weights import WeightsCard, save_weights


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Return a network of random weights, which finds something everywhere."""
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    torch.manual_seed(0)
    save_weights(path, build("small").state_dict(), WeightsCard("small", ("MOT", "ODT")))
    return Network(path, "cpu")


def test_the_small_network_is_small():
    weights = sum(p.numel() for p in build("small").parameters())
    assert 2 * weights < 25e6


def test_the_network_of_the_paper_is_torchvisions_with_other_classes():
    model = build("resnet50", ("MOT", "ODT", "ring"))
    assert model.roi_heads.box_predictor.cls_score.out_features == 4
    assert model.roi_heads.mask_predictor.mask_fcn_logits.out_channels == 4
    assert 43e6 < sum(p.numel() for p in model.parameters()) < 45e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "resnet18"}, "found 'resnet18'"),
        ({"labels": ()}, "at least one"),
        ({"labels": ("MOT", "MOT")}, "different labels"),
        ({"coco": True}, "COCO"),
    ],
)
def test_networks_that_there_are_not(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)


@pytest.mark.slow
def test_pictures_of_any_size_and_type_in_one_call(untrained):
    rng = np.random.default_rng(0)
    shapes = [(100, 100), (256, 256), (70, 300), (256, 256), (600, 900)]
    pictures = [rng.normal(100, 5, shape) for shape in shapes]
    pictures[1] = pictures[1].astype(np.uint16)
    pictures[2][:20] = np.nan
    together = untrained.detect(pictures, least_score=0.0, views=1)
    assert len(together) == len(pictures)
    for picture, found in zip(pictures, together, strict=True):
        alone = untrained.detect([picture], least_score=0.0, views=1)[0]
        assert len(found) == len(alone)
        scores = [d.score for d in found]
        assert scores == sorted(scores, reverse=True)
        assert scores == pytest.approx([d.score for d in alone], abs=1e-3)
        for detection in found:
            y0, x0, y1, x1 = detection.box
            assert 0 <= y0 <= y1 <= picture.shape[0] + 1e-3
            assert 0 <= x0 <= x1 <= picture.shape[1] + 1e-3
            assert detection.mask.shape == (28, 28)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_picture_has_the_same_clouds_mirrored(axis):
    network = Network(device="cpu")
    seen = network_input(simulate_frame((4, 1), "hard", shape=(256, 288)).picture())
    mirror = replace(seen, channels=np.flip(seen.channels, axis + 1))
    found, mirrored = (
        [
            d
            for d in detections(network.model, [s], ("MOT", "ODT"), network.device)[0]
            if d.score > 0.5
        ]
        for s in (seen, mirror)
    )
    assert len(found) == len(mirrored) > 0
    low, high = (0, 2) if axis == 0 else (1, 3)
    side = seen.shape[axis]
    for one, other in zip(found, mirrored, strict=True):
        box = list(other.box)
        box[low], box[high] = side - other.box[high], side - other.box[low]
        assert other.score == pytest.approx(one.score, abs=1e-3)
        np.testing.assert_allclose(box, one.box, atol=0.01)
        np.testing.assert_allclose(np.flip(other.mask, axis), one.mask, atol=1e-3)


def test_no_pictures_no_detections(untrained):
    assert untrained.detect([]) == []


def test_devices():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="found 'tpu'"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="torch sees none"):
            choose_device("cuda")
