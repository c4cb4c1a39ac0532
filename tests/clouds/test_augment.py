"""Changed pictures keep their truth: exactly where pixels move, closely on a canvas."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds.augment import (
    ALL,
    SIMULATED,
    Augmentations,
    augmented,
    fainter,
    flipped,
    fringed,
    noisier,
    prepared,
    scattered,
    turned,
)
from napari_coldatoms.clouds.dataset import Sample

NOTHING = Augmentations(flips=False, turns=False, sizes=False)


@pytest.fixture
def blocks() -> Sample:
    """Return two blocks of different heights in a picture that is not square."""
    boxes = np.array([[3.0, 5.0, 9.0, 20.0], [30.0, 40.0, 50.0, 44.0]])
    picture = np.zeros((60, 80), dtype=np.float32)
    masks = np.zeros((2, 60, 80), dtype=bool)
    for value, mask, (y0, x0, y1, x1) in zip((1, 2), masks, boxes.astype(int), strict=True):
        mask[y0:y1, x0:x1] = True
        picture[mask] = value
    return Sample(picture, boxes, ("MOT", "ODT"), masks)


@pytest.fixture
def disc() -> Sample:
    """Return a disc at a place between pixels, with noise."""
    y, x = np.mgrid[:300, :400]
    mask = (y - 120.3) ** 2 + (x - 210.7) ** 2 < 40**2
    picture = mask + np.random.default_rng(1).normal(0, 0.05, mask.shape)
    box = np.array([[80.8, 171.2, 160.8, 251.2]])
    return Sample(picture.astype(np.float32), box, ("MOT",), mask[None])


@pytest.mark.parametrize("change", [flipped, turned])
def test_blocks_stay_in_their_boxes(blocks, change):
    seen = set()
    for seed in range(20):
        new = change(blocks, np.random.default_rng(seed))
        assert new.labels == blocks.labels
        for value, mask, box in zip((1, 2), new.masks, new.boxes.astype(int), strict=True):
            np.testing.assert_array_equal(new.picture == value, mask)
            inside = np.zeros_like(mask)
            inside[box[0] : box[2], box[1] : box[3]] = True
            np.testing.assert_array_equal(inside, mask)
        seen.add(new.picture.tobytes())
    assert len(seen) == {flipped: 2, turned: 4}[change]


def test_mirror_images_and_turns_together_are_all_eight(blocks):
    rngs = [np.random.default_rng(seed) for seed in range(60)]
    seen = {augmented(blocks, rng, Augmentations()).picture.tobytes() for rng in rngs}
    assert len(seen) == 8


def test_scattered_light_is_faint_wide_and_no_cloud(disc):
    heights = []
    for seed in range(20):
        new = scattered(disc, np.random.default_rng(seed))
        assert new.boxes is disc.boxes
        assert new.masks is disc.masks
        assert new.labels == disc.labels
        light = new.picture - disc.picture
        assert light.min() >= 0
        heights.append(light.max() / disc.picture.max())
    assert min(heights) > 0.001
    assert max(heights) < 0.2


def test_without_a_cloud_nothing_is_scattered(disc):
    none = Sample(disc.picture, np.zeros((0, 4)), (), np.zeros((0, *disc.picture.shape), bool))
    assert scattered(none, np.random.default_rng(0)) is none


def test_truth_follows_the_picture_onto_the_canvas(disc):
    for seed in range(10):
        new = prepared(disc, 128, np.random.default_rng(seed), SIMULATED)
        assert new.channels.shape == (3, 128, 128)
        assert new.masks.shape == (1, 128, 128)
        y0, x0, y1, x1 = new.boxes[0]
        scale = (y1 - y0) / 80
        assert 0.8 * 128 / 400 - 0.01 < scale <= 128 / 400 + 0.01
        # the soft mask has the area and the centre of the disc to parts of a network pixel
        mask = new.masks[0].astype(float)
        assert mask.sum() / scale**2 == pytest.approx(np.pi * 40**2, rel=0.02)
        y, x = np.mgrid[:128, :128] + 0.5
        assert (y * mask).sum() / mask.sum() == pytest.approx((y0 + y1) / 2, abs=0.1)
        assert (x * mask).sum() / mask.sum() == pytest.approx((x0 + x1) / 2, abs=0.1)
        # and so does what the network is shown
        smooth = np.clip(new.channels[2], 0.5, 1) - 0.5
        assert (y * smooth).sum() / smooth.sum() == pytest.approx((y0 + y1) / 2, abs=0.5)
        assert (x * smooth).sum() / smooth.sum() == pytest.approx((x0 + x1) / 2, abs=0.5)


def test_edges_of_masks_are_soft(disc):
    mask = prepared(disc, 128, np.random.default_rng(0), NOTHING).masks[0]
    assert np.count_nonzero((mask > 0.05) & (mask < 0.95)) > 30


def test_the_same_seed_gives_the_same_sample(disc):
    one, other = (prepared(disc, 96, np.random.default_rng(3), ALL) for _ in range(2))
    np.testing.assert_array_equal(one.channels, other.channels)
    np.testing.assert_array_equal(one.boxes, other.boxes)


def test_nothing_changes_where_everything_is_off(disc):
    rng = np.random.default_rng(0)
    assert augmented(disc, rng, NOTHING) is disc
    new = prepared(disc, 400, rng, NOTHING)
    np.testing.assert_array_equal(new.boxes, disc.boxes.astype(np.float32))
    np.testing.assert_array_equal(new.masks[0, :300], disc.masks[0])


def test_what_is_smaller_than_a_network_pixel_is_no_target(blocks):
    new = prepared(blocks, 16, np.random.default_rng(0), NOTHING)
    assert new.labels == ("MOT",)
    assert len(new.boxes) == len(new.masks) == 1


def parts(sample):
    """Return height of the disc over the background, and the noise outside it."""
    mask = sample.masks[0]
    outside = sample.picture[~mask]
    return sample.picture[mask].mean() - outside.mean(), outside.std()


def test_a_fainter_cloud_has_the_same_noise(disc):
    heights = []
    for seed in range(8):
        new = fainter(disc, np.random.default_rng(seed))
        height, noise = parts(new)
        assert noise == pytest.approx(0.05, rel=0.04)
        heights.append(height)
        assert new.boxes is disc.boxes
    assert 0.4 <= min(heights) < 0.6 < 0.8 < max(heights) <= 1.01


def test_added_noise_keeps_the_cloud(disc):
    noises = []
    for seed in range(8):
        height, noise = parts(noisier(disc, np.random.default_rng(seed)))
        assert height == pytest.approx(1, abs=0.01)
        noises.append(noise)
    assert 0.049 < min(noises) < 0.06 < max(noises) <= 0.05 * 1.85


def test_added_fringes_are_one_wave_no_higher_than_the_noise(disc):
    for seed in range(8):
        added = fringed(disc, np.random.default_rng(seed)).picture - disc.picture
        assert 0.004 < np.abs(added).max() < 0.053
        power = np.abs(np.fft.rfft2(added * np.outer(np.hanning(300), np.hanning(400)))) ** 2
        row, column = np.unravel_index(power.argmax(), power.shape)
        row = min(row, 300 - row)
        # two neighbours on each side hold nearly everything
        y = np.minimum(np.arange(300), 300 - np.arange(300))[:, None]
        near = (abs(y - row) <= 3) & (abs(np.arange(201)[None] - column) <= 3)
        assert power[near].sum() > 0.95 * power.sum()
