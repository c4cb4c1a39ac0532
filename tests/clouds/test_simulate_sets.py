"""The fixed validation sets stay what they are."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from napari_coldatoms.clouds.simulate_sets import (
    VALIDATION_SETS,
    training_frames,
    validation_set,
)

CHECKED = {"paper": (0, 1, 150, 299), "hard": (0, 1, 2, 3, 150, 299)}
SUMS = Path(__file__).with_name("validation_sets.json")


def checksum(frame):
    """Return plain numbers that change with any change of a frame.

    Of the raw frames a sum with weights -1 and 1: another processor may round single pixels
    to the next count, and nothing else.
    """
    weights = np.random.default_rng(1).integers(0, 2, frame.raw.shape) * 2 - 1
    return {
        "shape": list(frame.raw.shape),
        "sum": int((frame.raw.astype(np.int64) * weights).sum()),
        "labels": list(frame.labels),
        "pixels": [int(each.patch.sum()) for each in frame.instances],
        "boxes": frame.boxes.round(6).tolist(),
        "gaussians": [g.to_array().round(6).tolist() for g in frame.gaussians],
    }


@pytest.mark.parametrize("name", CHECKED)
def test_frames_are_what_they_were(name):
    known = json.loads(SUMS.read_text())[name]
    for number in CHECKED[name]:
        (frame,) = validation_set(name, start=number, stop=number + 1)
        found, expected = checksum(frame), known[str(number)]
        assert abs(found.pop("sum") - expected.pop("sum")) <= 3, number
        for key in ("boxes", "gaussians"):
            np.testing.assert_allclose(found.pop(key), expected.pop(key), atol=2e-6)
        assert found == expected


def test_sets_have_300_frames_that_come_as_they_are_asked_for():
    assert {name: each.frames for name, each in VALIDATION_SETS.items()} == {
        "paper": 300,
        "hard": 300,
    }
    seeds = [frame.seed for frame in islice(validation_set("paper"), 3)]
    assert len(set(seeds)) == 3
    (later,) = validation_set("paper", start=2, stop=3)
    assert later.seed == seeds[2]


def test_training_goes_on_where_it_was():
    frames = list(training_frames("paper", seed=3, frames=4, shape=(96, 96)))
    again = next(training_frames("paper", seed=3, start=3, shape=(96, 96)))
    assert np.array_equal(frames[3].raw, again.raw)
    other = next(training_frames("paper", seed=4, shape=(96, 96)))
    assert not np.array_equal(frames[0].raw, other.raw)
    firsts = {each.seed for each in VALIDATION_SETS.values()}
    assert len(firsts) == len(VALIDATION_SETS)
    assert frames[0].seed[0] not in firsts


def test_unknown_sets_and_frames_are_refused():
    with pytest.raises(ValueError, match=r"expected a validation set of paper, hard, found 'easy'"):
        validation_set("easy")
    with pytest.raises(ValueError, match=r"expected 0 <= start <= stop <= 300, found"):
        validation_set("hard", stop=301)


if __name__ == "__main__":  # writes the sums anew, after a change that is meant
    sums = {
        name: {str(n): checksum(next(validation_set(name, start=n, stop=n + 1))) for n in numbers}
        for name, numbers in CHECKED.items()
    }
    SUMS.write_text(json.dumps(sums) + "\n")
