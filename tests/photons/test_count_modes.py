"""Two modes of counts: thresholds and false rates against those of the true distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons.count_modes import two_modes


@pytest.mark.parametrize(
    ("dark", "bright"), [(0.05, 8), (0.3, 10), (1, 15), (5, 30), (20, 60), (100, 300)]
)
def test_photons_are_cut_where_errors_are_fewest(dark, bright):
    rng = np.random.default_rng(1)
    atoms = rng.random(4000) < 0.5
    found = two_modes(rng.poisson(np.where(atoms, bright, dark)).astype(float))
    assert found is not None
    cuts = np.arange(1, bright)
    wrong = stats.poisson.sf(cuts - 1, dark) + stats.poisson.cdf(cuts - 1, bright)
    cut = round(found.threshold + 0.5)
    # no cut is much better than the one that was found
    assert wrong[cut - 1] <= wrong.min() * 1.5 + 1e-6
    said = found.false_bright + found.false_dark
    assert said == pytest.approx(wrong[cut - 1], rel=0.6, abs=1e-6)
    np.testing.assert_allclose(found.mixture.means, [dark, bright], rtol=0.03, atol=0.05)


def test_light_that_varies_is_no_third_mode():
    rng = np.random.default_rng(2)
    bright = stats.nbinom(9, 9 / (9 + 60))  # a third of its mean is scatter of the brightness
    values = np.where(
        rng.random(3000) < 0.4, bright.rvs(3000, random_state=rng), rng.poisson(4, 3000)
    )
    found = two_modes(values.astype(float))
    assert found is not None
    cut = int(found.threshold + 0.5)
    assert found.false_dark == pytest.approx(bright.cdf(cut - 1), rel=0.4)
    assert found.mixture.sds[1] == pytest.approx(bright.std(), rel=0.05)


@pytest.mark.slow
def test_one_mode_is_rarely_taken_for_two():
    rng = np.random.default_rng(3)
    means = (0.05, 0.3, 1, 3, 15, 60)
    taken = [
        two_modes(rng.poisson(mean, shots).astype(float)) is not None
        for mean in means
        for shots in (100, 1000)
        for _ in range(25)
    ]
    assert np.mean(taken) < 0.04


def test_few_shots_and_rare_atoms():
    rng = np.random.default_rng(4)
    for _ in range(10):
        few = np.concatenate([rng.poisson(1, 25), rng.poisson(15, 25)])
        found = two_modes(few.astype(float))
        assert found is not None
        assert 3 <= found.threshold <= 8
    rare = rng.poisson(np.where(rng.random(2000) < 0.03, 15, 1))
    found = two_modes(rare.astype(float))
    assert found is not None
    # the rarer atoms are, the higher is the cut
    assert 5 < found.threshold < 9
    assert found.mixture.weights[1] == pytest.approx(0.03, abs=0.012)


def test_sums_with_an_offset_are_no_photons():
    rng = np.random.default_rng(5)
    values = 1600 + np.concatenate([rng.normal(0, 10, 1000), rng.normal(100, 12, 1000)])
    whole, real = two_modes(values.round()), two_modes(values)
    assert whole is not None
    assert real is not None
    assert whole.threshold == pytest.approx(real.threshold, abs=0.5)
    np.testing.assert_allclose(whole.mixture.sds, [10, 12], rtol=0.08)
    # five standard deviations out, in those
    assert stats.norm.isf(real.false_bright) == pytest.approx(
        (real.threshold - 1600) / 10, rel=0.05
    )


def test_negative_and_single_counts():
    rng = np.random.default_rng(6)
    values = np.concatenate([rng.normal(0, 1, 500), rng.normal(10, 2, 500)])
    found = two_modes(values)
    assert found is not None
    assert 2.5 < found.threshold < 5
    assert two_modes(np.array([0.0, 0.0, 0.0, 1.0])) is None
    assert two_modes(np.array([2.0, 2.0, 2.0, 2.0, 3.0, 3.0])) is None
