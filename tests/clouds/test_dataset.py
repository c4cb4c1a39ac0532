"""Samples to train on: refused where the truth does not fit, kept as they were simulated."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds import frame_cache
from napari_coldatoms.clouds.dataset import Sample, fixed_set, held_out, sample_of
from napari_coldatoms.clouds.frame_cache import simulate_samples
from napari_coldatoms.clouds.simulate_frames import simulate_frame
from napari_coldatoms.clouds.simulate_sets import VALIDATION_SETS, validation_set


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"picture": np.zeros((2, 8, 9))}, r"expected a picture \(ny, nx\)"),
        ({"boxes": np.zeros((2, 4))}, r"expected boxes of shape \(1, 4\)"),
        ({"masks": np.zeros((1, 9, 8))}, r"expected masks of shape \(1, 8, 9\)"),
        ({"boxes": np.array([[1.0, 5.0, 4.0, 2.0]])}, "expected boxes y0, x0, y1, x1"),
    ],
)
def test_truth_that_does_not_fit_is_refused(changes, words):
    good = {
        "picture": np.zeros((8, 9)),
        "boxes": np.array([[1.0, 2.0, 4.0, 5.0]]),
        "labels": ("MOT",),
        "masks": np.zeros((1, 8, 9)),
    }
    assert Sample(**good).labels == ("MOT",)
    with pytest.raises(ValueError, match=words):
        Sample(**good | changes)


@pytest.fixture(scope="module")
def cached(tmp_path_factory):
    return simulate_samples(tmp_path_factory.mktemp("frames"), 12, seed=3)


def kind_of(number):
    """Return the kind of a training frame of seed 3, as `cached` has it."""
    return "paper" if np.random.default_rng((7, 3, number)).random() < 0.4 else "hard"


def test_kept_frames_are_those_simulated(cached):
    assert len(cached) == 12
    kinds = [kind_of(n) for n in range(12)]
    assert {"paper", "hard"} == set(kinds)
    for number, kind in enumerate(kinds):
        frame = simulate_frame((1, 3, number), kind)
        kept, truth = cached[number], sample_of(frame)
        assert kept.labels == frame.labels
        factors = np.array(kept.picture.shape) / frame.shape
        assert 256 <= max(kept.picture.shape) <= 384
        np.testing.assert_allclose(kept.boxes, truth.boxes * np.tile(factors, 2), rtol=1e-6)
        areas = truth.masks.sum((1, 2)) * factors.prod()
        np.testing.assert_allclose(kept.masks.sum((1, 2)), areas, rtol=0.02)
        if frame.shape == kept.picture.shape:
            np.testing.assert_array_equal(kept.masks, truth.masks)
            finite = np.isfinite(truth.picture)
            pixels = kept.picture[finite], truth.picture[finite]
            assert np.corrcoef(*pixels)[0, 1] > 0.99999


def test_frames_are_made_once(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_cache, "_PER_FILE", 2)
    first = simulate_samples(tmp_path, 3)
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(made) == 2
    told = []
    more = simulate_samples(tmp_path, 5, progress=lambda *values: told.append(values))
    assert told == [(4, 5), (5, 5)]
    now = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    # the second file had one frame, and gets its other one
    assert [name for name in made if now[name] == made[name]] == [min(made)]
    for number in range(3):
        np.testing.assert_array_equal(first[number].picture, more[number].picture)
    with pytest.raises(IndexError, match="expected a frame from 0 to 4, found 5"):
        more[5]


def test_damaged_files_are_made_again(tmp_path):
    before = simulate_samples(tmp_path, 2)[1].picture
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1000])
    np.testing.assert_array_equal(simulate_samples(tmp_path, 2)[1].picture, before)


def test_a_stop_keeps_what_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_cache, "_PER_FILE", 1)
    with pytest.raises(InterruptedError, match="cancelled after 1 of 3 frames"):
        simulate_samples(tmp_path, 3, cancelled=lambda: True)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"processes": 0}, {"paper": 1.5}])
def test_impossible_wishes_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected"):
        simulate_samples(tmp_path, **{"frames": 1} | wrong)


@pytest.mark.slow
def test_several_processes_make_the_same_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(frame_cache, "_PER_FILE", 2)
    alone = simulate_samples(tmp_path / "one", 4)
    together = simulate_samples(tmp_path / "two", 4, processes=2)
    for number in range(4):
        np.testing.assert_array_equal(alone[number].picture, together[number].picture)
        np.testing.assert_array_equal(alone[number].masks, together[number].masks)


def test_fixed_sets_are_the_validation_sets():
    frames = fixed_set("hard", start=1, stop=3)
    (first, second) = validation_set("hard", start=1, stop=3)
    assert len(frames) == 2
    np.testing.assert_array_equal(frames[1].picture, second.picture())
    np.testing.assert_array_equal(frames[0].masks, first.masks())
    with pytest.raises(ValueError, match="expected 0 <= start"):
        fixed_set("paper", stop=301)


def test_no_frame_chooses_weights_that_is_trained_on_or_validates():
    first = {seed[0] for _, seed in held_out(10).of}
    assert first.isdisjoint({1, *(each.seed for each in VALIDATION_SETS.values())})
    assert [kind for kind, _ in held_out(3).of] == ["paper", "hard", "paper"]
