"""Thresholds of single sites, against simulated sites whose modes are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from napari_coldatoms.lattice import site_thresholds
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

MEAN, NOISE = 1000.0, 140.0


class Tweezers:
    """Sites whose atoms differ in brightness by up to a part, and their values in some shots."""

    def __init__(self, rng, n, shots, *, spread=0.3, occupancy=0.5):
        self.p = np.broadcast_to(occupancy, n)
        atoms = MEAN * (1 + rng.uniform(-spread, spread, n))
        self.means = np.column_stack([rng.normal(0, 20, n), atoms])
        self.sds = np.column_stack([np.full(n, NOISE), np.hypot(NOISE, 0.1 * atoms)])
        self.occupied = rng.random((shots, n)) < self.p
        modes = rng.normal(self.means.T[:, None], self.sds.T[:, None], (2, shots, n))
        self.values = np.where(self.occupied, modes[1], modes[0])

    def error_rate(self, threshold):
        """Return the true share of errors of each site, in closed form."""
        false = (1 - self.p) * ndtr((self.means[:, 0] - threshold) / self.sds[:, 0])
        return false + self.p * ndtr((threshold - self.means[:, 1]) / self.sds[:, 1])


@pytest.mark.parametrize("occupancy", [0.5, 0.8])
@pytest.mark.parametrize(
    ("shots", "most"), [(5, 0.95), (10, 0.85), (20, 0.75), (50, 0.7), (500, 0.68)]
)
def test_fewer_errors_than_with_a_common_threshold(shots, most, occupancy):
    single, common, told = [], [], []
    for seed in range(10):
        sites = Tweezers(np.random.default_rng(seed), 40, shots, occupancy=occupancy)
        found = site_thresholds(sites.values)
        single.append(sites.error_rate(found.threshold).mean())
        common.append(sites.error_rate(fit_mixture(sites.values).threshold).mean())
        told.append(found.error_rate.mean())
    assert np.mean(single) < most * np.mean(common)
    if shots >= 20:
        assert (np.array(single) < common).all()
        assert np.mean(told) == pytest.approx(np.mean(single), rel=0.35)


def test_with_many_shots_the_modes_are_found_within_their_errors():
    shots = 500
    sites = Tweezers(np.random.default_rng(5), 60, shots)
    found = site_thresholds(sites.values)
    assert (found.shots == shots).all()
    # nearer to the truth than the share itself, for the sites are alike in this
    share = sites.occupied.mean(axis=0)
    assert np.std(found.occupancy - 0.5) < 0.7 * np.std(share - 0.5)
    members = shots * np.column_stack([1 - share, share])
    z = (found.means - sites.means) / (sites.sds / np.sqrt(members))
    assert np.abs(z).max() < 4.5
    assert np.sqrt(np.mean(z**2, axis=0)) == pytest.approx([1, 1], abs=0.3)
    z = (found.sds - sites.sds) / (sites.sds / np.sqrt(2 * members))
    assert np.abs(z).max() < 5
    # the best threshold of each site, by trying
    tried = np.linspace(0, 1400, 1401)
    best = np.min([sites.error_rate(t) for t in tried], axis=0)
    assert sites.error_rate(found.threshold).mean() < 1.1 * best.mean()


def test_sites_alike_have_the_common_threshold():
    sites = Tweezers(np.random.default_rng(6), 50, 100, spread=0.0)
    found = site_thresholds(sites.values)
    alone = [fit_mixture(values).threshold for values in sites.values.T]
    assert np.std(found.threshold) < 0.3 * np.std(alone)
    common = fit_mixture(sites.values).threshold
    assert sites.error_rate(found.threshold).mean() < 1.05 * sites.error_rate(common).mean()
    assert np.mean(found.threshold) == pytest.approx(common, abs=15)


@pytest.mark.parametrize("shots", [5, 50, 500])
@pytest.mark.parametrize("seed", range(3))
def test_sites_always_empty_or_always_occupied(shots, seed):
    rng = np.random.default_rng(seed)
    occupancy = rng.permutation(np.repeat([0.0, 0.5, 1.0], [10, 20, 10]))
    sites = Tweezers(rng, 40, shots, occupancy=occupancy)
    found = site_thresholds(sites.values)
    # always between the modes, though nearer to the one that is rare
    assert (found.threshold > found.means[:, 0]).all()
    assert (found.threshold < found.means[:, 1]).all()
    assert sites.error_rate(found.threshold).mean() < 0.006
    judged = (sites.values > found.threshold).mean(axis=0)
    assert judged[occupancy == 0].mean() < 0.03
    assert judged[occupancy == 1].mean() > 0.97
    if shots >= 50:
        assert (found.occupancy[occupancy == 0] < 0.05).all()
        assert (found.occupancy[occupancy == 1] > 0.95).all()
    # a single site tells nothing of a mode it never had; the common mean stands for it
    unseen = found.means[occupancy == 0, 1]
    assert np.mean(unseen) == pytest.approx(MEAN, rel=0.15)


def test_what_is_not_valid_is_left_out():
    sites = Tweezers(np.random.default_rng(7), 30, 60)
    rng = np.random.default_rng(8)
    gone = rng.random(sites.values.shape) < 0.2
    gone[:, 3] = True
    values = np.where(gone, np.nan, sites.values)
    found = site_thresholds(values)
    np.testing.assert_array_equal(found.shots, (~gone).sum(axis=0))
    assert found.shots[3] == 0
    masked = site_thresholds(np.where(gone, 1e5, sites.values), ~gone)
    for name in ("threshold", "means", "sds", "occupancy", "error_rate", "shots"):
        np.testing.assert_array_equal(getattr(masked, name), getattr(found, name))
        assert np.isfinite(getattr(found, name)).all()
    # a site without any shot has the common modes
    assert found.means[3] == pytest.approx(fit_mixture(values).means, abs=60)
    without = np.arange(30) != 3
    other = site_thresholds(sites.values, without)
    assert other.shots[3] == 0
    rest = site_thresholds(sites.values[:, without])
    np.testing.assert_allclose(other.threshold[without], rest.threshold, atol=3)


def test_a_cosmic_hit_moves_nothing():
    sites = Tweezers(np.random.default_rng(9), 20, 40)
    before = site_thresholds(sites.values)
    hit = sites.values.copy()
    hit[5, 7] = 2e5
    after = site_thresholds(hit)
    assert after.shots[7] == 39
    np.testing.assert_allclose(after.threshold, before.threshold, atol=25)


def test_scale_and_offset_do_not_matter():
    sites = Tweezers(np.random.default_rng(10), 20, 30)
    before, after = site_thresholds(sites.values), site_thresholds(0.01 * sites.values + 3e4)
    np.testing.assert_allclose(after.threshold, 0.01 * before.threshold + 3e4, atol=0.02)
    np.testing.assert_allclose(after.error_rate, before.error_rate, rtol=0.02, atol=1e-6)


def test_modes_known_beforehand():
    known = Mixture(np.array([0.5, 0.5]), np.array([0.0, MEAN]), np.array([140.0, 250.0]))
    sites = Tweezers(np.random.default_rng(11), 3, 4, occupancy=1.0)
    found = site_thresholds(sites.values, mixture=known)
    assert ((found.threshold > 200) & (found.threshold < 600)).all()
    assert (sites.values > found.threshold).all()
    nothing = site_thresholds(np.full((2, 3), np.nan), mixture=known)
    assert not nothing.shots.any()
    np.testing.assert_allclose(nothing.means, np.tile(known.means, (3, 1)), atol=1e-6)


def test_values_without_two_modes_do_no_harm():
    for seed in range(5):
        values = np.random.default_rng(seed).normal(size=(30, 20))
        found = site_thresholds(values)
        assert np.isfinite(found.threshold).all()
        assert (found.means[:, 0] <= found.means[:, 1]).all()
        assert (found.sds > 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.zeros(5),), ValueError, r"expected brightness of shape \(shots, n\), found \(5,\)"),
        ((np.zeros((0, 5)),), ValueError, r"found \(0, 5\)"),
        ((np.full((3, 4), np.nan),), ValueError, "expected at least 4 finite values"),
        ((np.ones((3, 4)),), ValueError, "equal|differ"),
        ((np.eye(4), np.ones(4)), TypeError, "valid to be boolean, found float64"),
        ((np.eye(4), np.ones((4, 3), bool)), ValueError, r"found \(4, 3\)"),
    ],
)
def test_what_cannot_be_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        site_thresholds(*arguments)
