"""Weights in files: what comes back, and what is refused without being run."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.maskrcnn import build
from napari_coldatoms.clouds.weights import (
    FORMAT,
    WeightsCard,
    WeightsError,
    digest,
    load_weights,
    read_card,
    save_weights,
)

CARD = WeightsCard("small", ("MOT", "ODT"), {"frames": 8, "scores": {"paper": [0.9, 0.8]}})


@pytest.fixture(scope="module")
def tensors():
    torch.manual_seed(0)
    return build("small").state_dict()


@pytest.fixture
def file(tmp_path, tensors):
    path = tmp_path / "small.safetensors"
    save_weights(path, tensors, CARD)
    return path


class Harmful:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_weights_come_back_at_half_precision_with_their_card(file, tensors):
    card, found = load_weights(file)
    assert card == CARD == read_card(file)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        if tensor.dtype.is_floating_point:
            assert torch.equal(found[name], tensor.half().float())
    assert file.stat().st_size < 15e6
    assert len(digest(file)) == 64


def test_nothing_is_left_of_weights_that_cannot_be_written(tmp_path, tensors):
    broken = dict(tensors)
    broken["backbone.stem.0.0.weight"] = torch.full((32, 3, 3, 3), torch.nan)
    with pytest.raises(WeightsError, match="finite"):
        save_weights(tmp_path / "w.safetensors", broken, CARD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_is_refused_and_not_opened(tmp_path, protocol):
    path, victim = tmp_path / "small.safetensors", tmp_path / "written"
    path.write_bytes(pickle.dumps(Harmful(victim), protocol=protocol))
    for read in (read_card, load_weights, Network):
        with pytest.raises(WeightsError, match="found a pickle"):
            read(path)
    assert not victim.exists()


def test_a_file_of_torch_save_is_refused(tmp_path, tensors):
    path = tmp_path / "small.safetensors"
    torch.save(tensors, path)
    with pytest.raises(WeightsError, match=r"found a pickle such as torch\.save writes"):
        Network(path)


@pytest.mark.parametrize("kept", [0, 4, 100, 100_000])
def test_a_file_cut_short_is_refused(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"small\.safetensors: expected weights"):
        Network(file)


def test_text_and_missing_files_are_refused(tmp_path):
    path = tmp_path / "weights.txt"
    with pytest.raises(WeightsError, match="No such file"):
        read_card(path)
    path.write_text("not weights at all, but a long line of text")
    with pytest.raises(WeightsError, match="damaged"):
        read_card(path)


def test_weights_of_others_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match="format"):
        read_card(path)
    save_file({"a": torch.zeros(3)}, path, {"format": FORMAT, "card": "[]"})
    with pytest.raises(WeightsError, match="card"):
        read_card(path)
    card = {"architecture": "small", "labels": ["MOT", "ODT"], "about": {}}
    save_file({"a": torch.zeros(3)}, path, {"format": FORMAT, "card": json.dumps(card)})
    with pytest.raises(WeightsError, match="expected weights of 'small'"):
        Network(path)


def test_weights_for_other_classes_are_refused(tmp_path, tensors):
    path = tmp_path / "three.safetensors"
    save_weights(path, tensors, WeightsCard("small", ("MOT", "ODT", "ring")))
    with pytest.raises(WeightsError, match=r"MOT, ODT, ring.*\(4, 512\)\), found \(3, 512\)"):
        Network(path)
    save_weights(path, tensors, WeightsCard("resnet18", ("MOT", "ODT")))
    with pytest.raises(WeightsError, match="found 'resnet18'"):
        Network(path)
