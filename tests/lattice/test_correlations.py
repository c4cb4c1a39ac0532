"""Correlations of occupations against closed forms and plain loops."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from napari_coldatoms.lattice import (
    ImagingParameters,
    Lattice,
    Reconstruction,
    density_correlations,
)
from napari_coldatoms.statistics import Mixture

SQUARE = Lattice.square(4.0, (8, 9))


def by_hand(n, valid, pairs):
    """Return plain C and g2 of some pairs of sites, with the means of all shots."""
    mean = np.where(valid, n, 0).sum(axis=0) / np.maximum(valid.sum(axis=0), 1)
    both = apart = count = 0.0
    for i, j in pairs:
        shots = valid[:, i] & valid[:, j]
        both += (n[shots, i] & n[shots, j]).sum()
        apart += shots.sum() * mean[i] * mean[j]
        count += shots.sum()
    return np.array([(both - apart) / count, both / apart])


def jackknifed_by_hand(n, valid, pairs):
    shots = len(n)
    whole = by_hand(n, valid, pairs)
    parts = np.array(
        [by_hand(np.delete(n, s, 0), np.delete(valid, s, 0), pairs) for s in range(shots)]
    )
    scatter = np.sum((parts - parts.mean(axis=0)) ** 2, axis=0)
    best = shots * whole - (shots - 1) * parts.mean(axis=0)
    return best, np.sqrt((shots - 1) / shots * scatter)


def hidden(rng, shape, patterns=3):
    """Return valid sites of the shots, a few patterns of them."""
    return (rng.random((patterns, shape[1])) < 0.9)[rng.integers(patterns, size=shape[0])]


def result(occupied, valid):
    """Return a reconstruction with some decisions."""
    return Reconstruction(
        brightness=occupied * 1.0,
        occupied=occupied & valid,
        probability=np.where(valid, occupied * 1.0, np.nan),
        threshold=0.5,
        mixture=Mixture(np.full(2, 0.5), np.arange(2.0), np.ones(2)),
        predicted_error_rate=0.0,
        snr_db=15.0,
        background=np.zeros((1, 1)),
        parameters=ImagingParameters(0.5, 1.0, 0.1, 0.0),
        valid=valid,
        bad_pixels=np.zeros((1, 1), dtype=bool),
        has_contrast=True,
        remarks=(),
        method="alternating",
    )


def test_steps_are_those_of_plain_loops():
    rng = np.random.default_rng(0)
    n = rng.random((7, 72)) < 0.5
    valid = hidden(rng, n.shape)
    shots = [result(*shot) for shot in zip(n, valid, strict=True)]
    found = density_correlations(shots, SQUARE, 13.0)
    labels = SQUARE.labels
    steps = list(zip(found.di.tolist(), found.dj.tolist(), strict=True))
    assert len(set(steps)) == len(steps) == 18  # half the places within 3.25 spacings
    assert {(-di, -dj) for di, dj in steps}.isdisjoint(steps)
    for k, (di, dj) in enumerate(steps):
        assert found.distance[k] == pytest.approx(4 * np.hypot(di, dj))
        pairs = [
            (i, j) for i in range(72) for j in range(72) if tuple(labels[j] - labels[i]) == (di, dj)
        ]
        together = [(valid[:, i] & valid[:, j]).sum() for i, j in pairs]
        assert found.pairs[k] == pytest.approx(sum(together) / 7)
        best, error = jackknifed_by_hand(n, valid, pairs)
        np.testing.assert_allclose((found.connected[k], found.g2[k]), best, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            (found.connected_stderr[k], found.g2_stderr[k]), error, rtol=1e-9
        )


def test_connected_correlation_is_the_unbiased_covariance():
    rng = np.random.default_rng(1)
    n = rng.random((9, 72)) < 0.4
    found = density_correlations(n, SQUARE, 4.0)
    covariance = np.cov(n.T * 1.0)
    across = [(i, i + 1) for i in range(72) if SQUARE.labels[i, 1] < 8]
    k = next(k for k in range(len(found.di)) if (found.di[k], found.dj[k]) == (0, 1))
    assert found.connected[k] == pytest.approx(np.mean([covariance[i, j] for i, j in across]))


def test_independent_sites_are_uncorrelated():
    rng = np.random.default_rng(2)
    # of uneven mean, as in a cloud: that alone is no correlation
    mean = np.linspace(0.1, 0.9, 72)
    pulls = []
    for _ in range(12):
        found = density_correlations(rng.random((40, 72)) < mean, SQUARE, 17.0)
        pulls.append(
            np.stack([found.connected / found.connected_stderr, (found.g2 - 1) / found.g2_stderr])
        )
    pulls = np.concatenate(pulls, axis=1)
    # steps of one run share their sites: rather more than 1/sqrt(n)
    assert np.abs(pulls.mean(axis=1)).max() < 0.2
    np.testing.assert_allclose(pulls.std(axis=1), 1, atol=0.12)


def test_perfect_antiferromagnet():
    rng = np.random.default_rng(3)
    parity = SQUARE.labels.sum(axis=1) % 2 == 1
    # one checkerboard or the other: <n> = 1/2, and C = ± 1/4
    n = parity ^ (np.arange(40) % 2 == 1)[rng.permutation(40), None]
    found = density_correlations(n, SQUARE)
    sign = (-1.0) ** (found.di + found.dj)
    # the covariance of 40 shots of a half is 1/4 times 40/39
    np.testing.assert_allclose(found.connected, sign / 4 * 40 / 39, rtol=1e-9)
    np.testing.assert_allclose(found.g2, 1 + sign, atol=0.06)
    assert found.distance.max() <= 40.0
    assert np.all(np.diff(found.distance) >= -1e-9)


def test_pairs_that_come_together():
    # dominoes along j: n_i n_(i+1) of a domino is n_i, the others are independent
    rng = np.random.default_rng(4)
    sites = Lattice.square(4.0, (20, 20))
    n = np.repeat(rng.random((300, 200)) < 0.5, 2, axis=1)
    found = density_correlations(n, sites, 8.0)
    value = {
        (di, dj): (c, e)
        for di, dj, c, e in zip(
            found.di.tolist(),
            found.dj.tolist(),
            found.connected,
            found.connected_stderr,
            strict=True,
        )
    }
    # 10 of 19 pairs in each row belong together
    c, error = value[0, 1]
    assert c == pytest.approx(0.25 * 10 / 19, abs=3 * error)
    assert error < 0.003
    for step in ((1, 0), (0, 2), (1, 1)):
        c, error = value[step]
        assert abs(c) < 3.5 * error


def test_arbitrary_positions_in_bins():
    rng = np.random.default_rng(5)
    sites = Lattice.from_positions(rng.uniform(0, 60, (30, 2)))
    n = rng.random((8, 30)) < 0.6
    found = density_correlations(n, sites, 30.0, bin_width=7.0)
    apart = np.linalg.norm(sites.positions[:, None] - sites.positions, axis=2)
    assert found.di is None
    for k in range(len(found.distance)):
        pairs = [
            (i, j)
            for i, j in combinations(range(30), 2)
            if round(apart[i, j] / 7) == k and apart[i, j] <= 30
        ]
        assert found.pairs[k] == len(pairs)
        assert found.distance[k] == pytest.approx(np.mean([apart[i, j] for i, j in pairs]))
        best, error = jackknifed_by_hand(n, np.ones_like(n), pairs)
        np.testing.assert_allclose((found.connected[k], found.g2[k]), best, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(
            (found.connected_stderr[k], found.g2_stderr[k]), error, rtol=1e-9
        )


def test_arbitrary_positions_on_a_lattice_agree_with_it():
    rng = np.random.default_rng(6)
    n = rng.random((12, 72)) < 0.5
    regular = density_correlations(n, SQUARE, 4.1)
    loose = density_correlations(n, Lattice.from_positions(SQUARE.positions), 4.1)
    assert loose.distance == pytest.approx([4.0])
    assert loose.pairs[0] == regular.pairs.sum()
    mean = np.average(regular.connected, weights=regular.pairs)
    assert loose.connected[0] == pytest.approx(mean)


def test_masked_triangular_lattice():
    rng = np.random.default_rng(7)
    whole = Lattice.triangular(5.0, (6, 6))
    sites = whole.select(rng.random(36) < 0.8)
    n = rng.random((6, len(sites))) < 0.5
    found = density_correlations(n, sites, 5.5)
    steps = set(zip(found.di.tolist(), found.dj.tolist(), strict=True))
    assert steps == {(0, 1), (1, 0), (1, -1)}
    np.testing.assert_allclose(found.distance, 5.0)
    apart = np.linalg.norm(sites.positions[:, None] - sites.positions, axis=2)
    assert found.pairs.sum() == np.sum(np.triu(np.abs(apart - 5) < 1e-9))


def test_empty_sites_have_no_g2():
    found = density_correlations(np.zeros((3, 72), dtype=bool), SQUARE, 4.0)
    np.testing.assert_array_equal(found.connected, 0)
    assert np.isnan(found.g2).all()


def test_table():
    n = np.random.default_rng(8).random((4, 72)) < 0.5
    table = density_correlations(n, SQUARE, 9.0).table()
    assert list(table) == [
        *("distance", "di", "dj", "pairs"),
        *("connected", "connected_stderr", "g2", "g2_stderr"),
    ]
    assert table.attrs["units"] == {"distance": "px"}
    loose = density_correlations(n, Lattice.from_positions(SQUARE.positions), 9.0).table()
    assert "di" not in loose


def test_what_is_refused():
    n = np.ones((3, 72), dtype=bool)
    with pytest.raises(ValueError, match="two shots with valid sites or more, found 1"):
        density_correlations(n[:1], SQUARE)
    with pytest.raises(ValueError, match="occupation of 72 sites, found 71"):
        density_correlations(n[:, 1:], SQUARE)
    with pytest.raises(ValueError, match="positive max_distance, found -1"):
        density_correlations(n, SQUARE, -1)
    with pytest.raises(ValueError, match="bin_width only for arbitrary positions"):
        density_correlations(n, SQUARE, bin_width=3.0)
    with pytest.raises(TypeError, match="found int64"):
        density_correlations(n * 1, SQUARE)
