"""A detector of one's own from few painted shots, as in `benchmarks.accuracy`."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label

from napari_coldatoms.clouds.recipe import SHOTS

ROOT = Path(__file__).parents[2]
KINDS = ("crossed", "split")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("kind", KINDS)
def test_outlines_are_where_the_light_has_fallen_to_its_height_over_e_squared(bench, kind):
    kinds = bench("unseen_kinds")
    judged = 0
    for number in range(24):
        shot = kinds.shot(kind, 9, number)
        assert shot.labels == (kind,) * len(shot.masks)
        assert shot.masks.sum(axis=0).max() == 1
        assert not shot.masks[:, [0, -1]].any()
        assert not shot.masks[:, :, [0, -1]].any()
        if len(shot.masks) > 1:
            continue
        (mask,) = shot.masks
        outside = shot.picture[~binary_dilation(mask, iterations=25)]
        peak = np.partition(shot.picture[mask], -9)[-9:].mean() - np.median(outside)
        if peak < 30 * outside.std():
            continue
        height = (shot.picture - np.median(outside)) / peak
        inner = height[mask & ~binary_erosion(mask)].mean()
        outer = height[binary_dilation(mask) & ~mask].mean()
        assert outer < np.exp(-2) < inner
        assert inner - outer < 0.15
        judged += 1
    assert judged >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_is_the_same_shot(bench, kind):
    kinds = bench("unseen_kinds")
    first, again, other = (kinds.shot(kind, 1, 2, n) for n in (3, 3, 4))
    np.testing.assert_array_equal(first.picture, again.picture)
    np.testing.assert_array_equal(first.masks, again.masks)
    assert not np.array_equal(first.picture, other.picture)


def test_a_hand_is_off_by_a_few_pixels(bench):
    kinds = bench("unseen_kinds")
    for number in range(6):
        exact = kinds.shot("crossed", 1, 0, number)
        rough = kinds.painted(exact, 3, number)
        assert rough.labels == exact.labels
        for one, other in zip(exact.masks, rough.masks, strict=True):
            assert not np.array_equal(one, other)
            assert not (other & ~binary_dilation(one, iterations=6)).any()
            assert not (binary_erosion(one, iterations=6) & ~other).any()


def test_a_split_cloud_is_one_cloud_of_one_or_two_pieces(bench):
    kinds = bench("unseen_kinds")
    pieces = [
        label(mask)[1] for number in range(12) for mask in kinds.shot("split", 9, number).masks
    ]
    assert set(pieces) == {1, 2}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_shots_teach_the_network_what_it_does_not_know(bench):
    own_detector = bench("own_detector")
    before = own_detector.as_it_comes("split", "mask-rcnn")
    # a third of the epochs of the recipe
    after = own_detector.learned("split", 20, recipe=replace(SHOTS, epochs=10))
    assert before.score.overall < 0.3
    assert after.score.box.mean >= 0.6
    assert after.score.mask.mean >= 0.6
    assert after.minutes < 10
    assert before.extra > 20
    assert after.extra < 0.2 * after.clouds
    assert after.found > 0.9 * after.clouds
    # and the page of the guide is made of such outcomes
    sweep = bench("sweeps.own_detector")
    rows = [
        sweep.cells("split", sweep.AS_IT_COMES, before),
        sweep.cells("split", sweep.THRESHOLDS, before),
        sweep.cells("split", sweep.TRAINED, after) | sweep.numbers(sweep.Case("split", 20)),
    ]
    told = sweep.statements(rows, "ten epochs")
    assert f"| 20 shots | {after.score.box.mean:.2f} |" in told
    assert f"| network as it comes | {before.score.box.mean:.2f} |" in told
