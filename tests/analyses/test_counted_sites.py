"""Thresholds, fidelity, loading and survival of many sites, against simulated atoms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from napari_coldatoms import photons
from napari_coldatoms.analyses.counted_sites import SiteResult, count_sites
from napari_coldatoms.images.regions import region_masks
from napari_coldatoms.photons.site_counts import SiteCounts

SHOTS = 1500
DARK, LIGHT, SD = 100.0, 60.0, 12.0
LOADING = np.array([0.5, 0.6, 0.0, 0.7])  # the third is never loaded
SURVIVAL = 0.9


def site_counts(counts: np.ndarray) -> SiteCounts:
    places = np.array([[3.0, 3.0 + 6 * k] for k in range(len(counts))])
    regions = region_masks(places, (8, 6 * len(counts) + 4), size=3)
    return SiteCounts(counts, regions, (), np.zeros_like(counts), "photons")


def three_sigma(share: float, trials: int) -> float:
    """Return three standard deviations of a counted share."""
    return 3 * float(np.sqrt(share * (1 - share) / trials))


@pytest.fixture(scope="module")
def atoms() -> np.ndarray:
    """Return which site has an atom, (sites, shots, 2 images)."""
    rng = np.random.default_rng(1)
    first = rng.random((4, SHOTS)) < LOADING[:, None]
    return np.stack([first, first & (rng.random(first.shape) < SURVIVAL)], axis=-1)


@pytest.fixture(scope="module")
def counted(atoms) -> SiteCounts:
    rng = np.random.default_rng(2)
    counts = rng.normal(DARK + LIGHT * atoms, SD)
    counts[0, 5, 1] = np.nan
    return site_counts(counts.reshape(4, -1))


@pytest.fixture(scope="module")
def result(counted) -> SiteResult:
    return count_sites(counted, images=2)


def test_sites_are_called_rightly(result, atoms):
    good = [0, 1, 3]
    assert result.called.shape == (4, SHOTS, 2)
    known = result.called[good] >= 0
    assert (~known).sum() == 1
    wrong = (result.called[good] != atoms[good]) & known
    # the two modes overlap at half their distance, 2.5 sds
    assert wrong.mean() == pytest.approx(norm.sf(2.5), abs=three_sigma(norm.sf(2.5), wrong.size))
    np.testing.assert_allclose(result.fidelity[good], norm.cdf(2.5), atol=0.002)
    np.testing.assert_allclose(result.threshold[good], DARK + LIGHT / 2, atol=2.0)


def test_loading_and_survival_with_their_intervals(result, atoms):
    good = [0, 1, 3]
    truth = atoms[good, :, 0].mean(axis=1)
    share, low, high = result.loading[good].T
    np.testing.assert_allclose(share, truth, atol=0.006)
    expected = np.sqrt(share * (1 - share) / SHOTS)
    # the modes overlap a little
    np.testing.assert_allclose(high - low, 2 * expected, rtol=0.05)
    assert (high - low >= 1.99 * expected).all()
    assert result.survival is not None
    share, low, high = result.survival[good].T
    # false darks and brights make it look a little smaller
    np.testing.assert_allclose(share, SURVIVAL, atol=0.03)
    assert ((low < share) & (share < high)).all()


def test_no_two_modes_no_threshold(result):
    assert np.isnan(result.threshold[2])
    assert np.isnan(result.fidelity[2])
    assert np.isnan(result.loading[2]).all()
    assert (result.called[2] == -1).all()
    assert "no two modes" in result.site_remarks[2]
    (remark,) = result.remarks
    assert remark.startswith("site 2: no threshold")


def test_the_table_and_the_features(result, counted):
    table = result.table()
    assert list(table.site) == [0, 1, 2, 3]
    np.testing.assert_array_equal(table[["y", "x"]], counted.positions)
    assert table.attrs["units"]["threshold"] == "photons"
    np.testing.assert_array_equal(table.survival_low, result.survival[:, 1])
    np.testing.assert_allclose(table.mean_bright[[0, 1, 3]], DARK + LIGHT, atol=2)
    assert set(table.source) == {"modes"}
    features = result.features()
    assert list(features.columns) == ["index", "threshold", "fidelity", "loading", "survival"]
    assert len(features) == 4
    shots = result.shots()
    assert len(shots) == 4 * SHOTS * 2
    row = shots[(shots.site == 3) & (shots.shot == 7) & (shots.image == 1)]
    assert row.counts.item() == counted.counts[3, 15]
    assert row.called.item() == result.called[3, 7, 1]


def test_one_image_has_no_survival(counted):
    result = count_sites(counted)
    assert result.survival is None
    assert "survival" not in result.table()
    assert "survival" not in result.features()
    assert result.called.shape == (4, 2 * SHOTS, 1)


def test_a_model_or_controls_tell_the_threshold_of_all():
    model = photons.LossModel((1e3, 15e3), {(1, 0): 50.0}, 1e-3)
    rng = np.random.default_rng(3)
    atoms = rng.random((2, 4000)) < 0.5
    counts = np.array([model.sample(row.astype(int), rng=rng) for row in atoms])
    cut = photons.thresholds(model)
    result = count_sites(site_counts(counts.astype(float)), model_or_controls=model)
    assert result.source == "model"
    np.testing.assert_array_equal(result.threshold, cut.cuts[0] - 0.5)
    np.testing.assert_array_equal(result.called[..., 0], cut.classify(counts))
    np.testing.assert_allclose(result.fidelity, cut.mean_fidelity)
    # losses are in it: what is called, against the truth
    wrong = (result.called[..., 0] != atoms).mean()
    error = 1 - cut.mean_fidelity
    assert wrong == pytest.approx(error, abs=three_sigma(error, atoms.size))
    controls = [model.sample(0, 500, rng=4), model.sample(1, 500, rng=5)]
    counted = count_sites(site_counts(counts.astype(float)), model_or_controls=controls)
    assert counted.source == "controls"
    known = photons.fit_controls(controls, 1e-3)
    assert count_sites(counted.site_counts, model_or_controls=known).source == "model"


def test_odd_sites():
    rng = np.random.default_rng(4)
    counts = np.stack([np.full(50, 3.0), np.full(50, np.nan), rng.normal(size=50)])
    result = count_sites(site_counts(counts))
    assert np.isnan(result.threshold).all()
    assert len(result.table()) == 3
    assert "all counts are equal" in result.site_remarks[0]
    assert "fewer than 4" in result.site_remarks[1]


def test_what_cannot_be(counted):
    with pytest.raises(ValueError, match="expected 7 images of each shot, found 3000 images"):
        count_sites(counted, images=7)
    with pytest.raises(ValueError, match="at least 1 image"):
        count_sites(counted, images=0)
    with pytest.raises(ValueError, match="level between 0 and 1"):
        count_sites(counted, level=1.0)
