"""Posteriors of clusters, against marginal likelihoods of all occupations in pixel space."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import Covariance, multivariate_normal

from napari_coldatoms.lattice import GaussianPSF, Lattice, projection
from napari_coldatoms.lattice.clusters import cluster_posteriors
from napari_coldatoms.lattice.linear import site_scale
from napari_coldatoms.lattice.optics import make_optics
from napari_coldatoms.lattice.prior import SitePrior

PRIOR = SitePrior(occupancy=0.45, brightness=1000.0, variance=120.0**2)
NOISE = 30.0  # standard deviation of each pixel


class Scene:
    """Sites in a small frame, an image of them, and what the kernel needs."""

    def __init__(self, lattice, shape, *, seed=0, noise=NOISE, prior=PRIOR, relative=None):
        rng = np.random.default_rng(seed)
        psf = GaussianPSF(1.1)
        self.prior, self.shape, self.noise = prior, shape, noise
        self.optics = make_optics(lattice, psf, shape)
        self.matrix = projection(lattice, psf, shape).toarray()
        if relative is not None:
            self.optics = self.optics.with_relative_brightness(relative)
            self.matrix = self.matrix * relative
        self.occupied = rng.random(len(lattice)) < prior.occupancy
        brightness = rng.normal(prior.brightness, prior.variance**0.5, len(lattice))
        image = self.matrix @ (self.occupied * brightness)
        self.image = image + rng.normal(0, noise, image.size)

    def posteriors(self, centres, estimate, chance, *, scale=None):
        """Return what the kernel makes of an estimate and probabilities of the surroundings."""
        weights = np.full(self.shape, self.noise**-2)
        rest = weights * (self.image.reshape(self.shape) - self.optics.image(estimate))
        probability = chance.copy()
        cluster_posteriors(
            self.optics,
            site_scale(self.optics, weights) if scale is None else scale,
            self.prior,
            np.asarray(centres, dtype=np.int32),
            estimate,
            self.optics.collect(rest),
            chance,
            probability,
        )
        return probability

    def brute_force(self, cluster, around=(), chance=None, fixed=(), estimate=None):
        """Return the probabilities of a cluster's sites from the densities of the image.

        Sites around it have normal brightnesses, those that are fixed keep their estimate.
        """
        p, mu, variance = self.prior.occupancy, self.prior.brightness, self.prior.variance
        mean = np.zeros(self.image.size)
        cov = self.noise**2 * np.eye(self.image.size)
        for site in around:
            column = self.matrix[:, site]
            mean += mu * chance[site] * column
            spread = chance[site] * (1 - chance[site]) * mu**2 + chance[site] * variance
            cov += spread * np.outer(column, column)
        for site in fixed:
            mean += estimate[site] * self.matrix[:, site]
        occupations = np.array(list(itertools.product([0, 1], repeat=len(cluster))))
        logs = np.empty(len(occupations))
        for k, occupation in enumerate(occupations):
            columns = self.matrix[:, cluster][:, occupation == 1]
            factor = np.linalg.cholesky(cov + variance * columns @ columns.T)
            light = mean + mu * columns.sum(axis=1)
            count = occupation.sum()
            logs[k] = multivariate_normal.logpdf(
                self.image, light, Covariance.from_cholesky(factor)
            )
            logs[k] += count * np.log(p) + (len(cluster) - count) * np.log(1 - p)
        return np.exp(logs - logsumexp(logs)) @ occupations


def square(side, spacing=1.4):
    margin = 1.5
    lattice = Lattice.square(spacing, (side, side), origin=(margin, margin + 0.3))
    size = int(np.ceil(spacing * (side - 1) + 2 * margin)) + 1
    return lattice, (size, size)


@pytest.mark.parametrize("seed", range(4))
def test_four_sites_alone(seed):
    scene = Scene(*square(2), seed=seed, noise=120.0)
    exact = scene.brute_force(np.arange(4))
    # some are neither clear nor unknown
    found = scene.posteriors([0], np.zeros(4), np.full(4, 0.5))
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_occupation_is_in_doubt_in_these_scenes():
    doubts = [
        np.minimum(p, 1 - p).max()
        for seed in range(4)
        for p in [Scene(*square(2), seed=seed, noise=120.0).brute_force(np.arange(4))]
    ]
    assert max(doubts) > 0.1


def test_nine_sites_alone():
    scene = Scene(*square(3, 1.1), seed=3, noise=80.0)
    exact = scene.brute_force(np.arange(9))
    found = scene.posteriors([4], np.zeros(9), np.full(9, 0.5))
    np.testing.assert_allclose(found, exact, atol=1e-6)
    assert np.minimum(exact, 1 - exact).max() > 0.02


def test_estimate_of_the_cluster_itself_does_not_matter():
    scene = Scene(*square(3), noise=120.0)
    rng = np.random.default_rng(1)
    first, second = (
        scene.posteriors([4], rng.normal(500, 400, 9), rng.random(9)) for _ in range(2)
    )
    np.testing.assert_allclose(first, second, atol=1e-9)


def test_normal_sites_around_a_cluster():
    # a cluster in the corner of four by four sites
    scene = Scene(*square(4, 1.2), seed=1, noise=80.0)
    rng = np.random.default_rng(1)
    chance = np.clip(scene.occupied + rng.normal(0, 0.3, 16), 0.01, 0.99)
    cluster = scene.optics.overlaps.clusters[5]
    around = np.setdiff1d(np.arange(16), cluster)
    assert len(around) == 7
    exact = scene.brute_force(cluster, around, chance)
    found = scene.posteriors([5], rng.normal(500, 300, 16), chance)
    np.testing.assert_allclose(found[cluster], exact, atol=1e-5)
    np.testing.assert_array_equal(found[around], chance[around])


def test_certain_sites_around_keep_their_estimate():
    scene = Scene(*square(4, 1.2), seed=5, noise=80.0)
    rng = np.random.default_rng(2)
    chance = np.clip(scene.occupied + rng.normal(0, 0.3, 16), 0.01, 0.99)
    cluster = scene.optics.overlaps.clusters[5]
    around = np.setdiff1d(np.arange(16), cluster)
    fixed, around = around[:3], around[3:]
    chance[fixed] = 0.0
    estimate = rng.normal(300, 100, 16)
    exact = scene.brute_force(cluster, around, chance, fixed, estimate)
    found = scene.posteriors([5], estimate, chance)
    np.testing.assert_allclose(found[cluster], exact, atol=1e-5)


def test_relative_brightness():
    relative = np.array([0.5, 1.0, 1.6, 0.8])
    scene = Scene(*square(2), seed=2, noise=120.0, relative=relative)
    found = scene.posteriors([0], np.zeros(4), np.full(4, 0.5))
    np.testing.assert_allclose(found, scene.brute_force(np.arange(4)), atol=1e-6)


@pytest.mark.parametrize("occupancy", [1e-4, 0.03, 0.97, 1 - 1e-4])
def test_rare_and_frequent_occupation(occupancy):
    prior = SitePrior(occupancy, 1000.0, 120.0**2)
    scene = Scene(*square(2), seed=1, noise=120.0, prior=prior)
    found = scene.posteriors([0], np.zeros(4), np.full(4, 0.5))
    np.testing.assert_allclose(found, scene.brute_force(np.arange(4)), atol=1e-6)


def test_little_noise_leaves_no_doubt():
    scene = Scene(*square(3), seed=7, noise=1e-3)
    found = scene.posteriors([4], np.zeros(9), np.full(9, 0.5))
    np.testing.assert_allclose(found, scene.occupied, atol=1e-15)


def test_sites_without_information_have_the_prior():
    scene = Scene(*square(3), noise=1e9)
    found = scene.posteriors([4], np.zeros(9), np.full(9, 0.2))
    np.testing.assert_allclose(found, PRIOR.occupancy, atol=1e-6)
    # as where all pixels are bad
    found = scene.posteriors([4], np.zeros(9), np.full(9, 0.2), scale=np.zeros(9))
    assert np.all(found > 0)
    assert np.all(found < 1)


def test_each_centre_has_the_posterior_of_its_own_cluster():
    scene = Scene(*square(4, 1.2), seed=8, noise=80.0)
    rng = np.random.default_rng(3)
    chance = np.clip(scene.occupied + rng.normal(0, 0.3, 16), 0.01, 0.99)
    estimate = rng.normal(500, 300, 16)
    alone = {site: scene.posteriors([site], estimate, chance) for site in (5, 10)}
    both = scene.posteriors([5, 10], estimate, chance)
    for site, probability in alone.items():
        assert both[site] == pytest.approx(probability[site], abs=1e-12)
    clusters = [scene.optics.overlaps.clusters[site] for site in (5, 10)]
    shared = np.setdiff1d(np.intersect1d(*clusters), [5, 10])
    np.testing.assert_allclose(both[shared], alone[10][shared], atol=1e-12)
    untouched = np.setdiff1d(np.arange(16), np.concatenate(clusters))
    np.testing.assert_array_equal(both[untouched], chance[untouched])
    all_of_them = scene.posteriors(np.arange(16), estimate, chance)
    for site, probability in alone.items():
        assert all_of_them[site] == pytest.approx(probability[site], abs=1e-12)


def test_more_neighbours_than_are_taken_into_account():
    lattice = Lattice.from_positions(np.random.default_rng(4).uniform(5, 11, (300, 2)))
    scene = Scene(lattice, (17, 17))
    chance = np.full(300, 0.45)
    found = scene.posteriors(np.arange(300), np.full(300, 450.0), chance)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_prior_moments():
    probability = np.array([0.0, 0.3, 1.0])
    rng = np.random.default_rng(5)
    for p, mean, spread in zip(
        probability, PRIOR.mean(probability), PRIOR.spread(probability), strict=True
    ):
        draws = (rng.random(400_000) < p) * rng.normal(1000.0, 120.0, 400_000)
        assert mean == pytest.approx(draws.mean(), abs=3)
        assert spread == pytest.approx(draws.var(), rel=0.01)
