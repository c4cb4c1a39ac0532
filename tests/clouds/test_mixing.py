"""What a training on one's own pictures sees: simulated frames evenly among them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds.annotations import Annotated, DatasetError, create_set
from napari_coldatoms.clouds.mixing import mixed, training_data


def painted(name, label="MOT"):
    mask = np.zeros((1, 64, 64), dtype=bool)
    mask[0, 20:40, 20:40] = True
    return Annotated(name, np.zeros((64, 64)), (label,), mask)


@pytest.mark.parametrize(
    ("own", "simulated", "share", "total"),
    [(20, 2000, 0.5, 4000), (3, 7, 0.5, 14), (10, 2, 1 / 6, 12), (5, 5, 0.3, 17), (1, 1, 0.9, 10)],
)
def test_shares(own, simulated, share, total):
    found = mixed([("own", n) for n in range(own)], [("sim", n) for n in range(simulated)], share)
    order = [found[n] for n in range(len(found))]
    assert len(found) == total
    # all of both, none more than once oftener than another of its kind
    for kind, number in (("own", own), ("sim", simulated)):
        counts = [order.count((kind, n)) for n in range(number)]
        assert min(counts) >= 1
        assert max(counts) - min(counts) <= 1
    is_simulated = np.array([kind == "sim" for kind, _ in order])
    np.testing.assert_allclose(np.cumsum(is_simulated), share * np.arange(1, total + 1), atol=1)


def test_one_kind_alone_and_no_shares():
    own = [("own", n) for n in range(3)]
    assert mixed(own, [], 0.5) == own
    for share in (0, 1, -1):
        with pytest.raises(ValueError, match="expected a share"):
            mixed(own, own, share)


def test_frames_with_other_classes_are_left_out(tmp_path):
    dataset = create_set(tmp_path / "set", ["MOT", "ring"])
    dataset.put_all([painted(f"shot {n}") for n in range(4)])
    data = training_data(dataset, simulated=12, frames=tmp_path / "frames")
    assert data.labels == ("MOT", "ring")
    assert data.own == 3
    assert 0 < data.simulated < 12
    samples = [data.training[n] for n in range(len(data.training))]
    assert {label for each in samples for label in each.labels} == {"MOT"}
    assert sum(each.picture.shape == (64, 64) for each in samples) >= len(samples) // 2
    assert len(training_data(tmp_path / "set").training) == 3
    assert len(data.validation) == 1


def test_what_cannot_be_trained_on(tmp_path):
    dataset = create_set(tmp_path / "set", ["ring"])
    dataset.put(painted("one", "ring"))
    with pytest.raises(DatasetError, match="for training and for validation, at least two"):
        training_data(dataset)
    dataset.put(painted("two", "ring"))
    with pytest.raises(DatasetError, match="expected one of the classes MOT, ODT"):
        training_data(dataset, simulated=5, frames=tmp_path)
    dataset.rename_class("ring", "MOT")
    with pytest.raises(ValueError, match="expected a folder for the simulated frames"):
        training_data(dataset, simulated=5)
    empty = np.zeros((0, 9, 9), dtype=bool)
    dataset = create_set(tmp_path / "empty", ["MOT"])
    dataset.put_all(Annotated(name, np.zeros((9, 9)), (), empty) for name in "abc")
    with pytest.raises(DatasetError, match="expected pictures with clouds"):
        training_data(dataset)
