"""The likelihood of two images: against sums over all states, and a general optimiser."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from napari_coldatoms.lattice import Lattice
from napari_coldatoms.lattice.hops import nearest_neighbours
from napari_coldatoms.lattice.occupations import Shots
from napari_coldatoms.lattice.pair_model import (
    Rates,
    effective_atoms,
    effective_atoms_at_sites,
    evidence,
    expect,
    overall_rates,
    site_rates,
)

NOWHERE = (np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp))
RATES = Rates(0.1, 0.15, 0.03, np.array([[0.4]]))


def shots(probability, occupancy=0.5):
    p = np.atleast_2d(probability)
    return Shots(p > 0.5, np.isfinite(p), p, np.full(len(p), occupancy))


def by_hand(one, two, near, rates):
    """Return the expected stays, losses and hops from the sum over all that may happen."""
    count = one.shape[1]
    edges = list(zip(*near, strict=True))
    around = np.bincount(near[0], minlength=count)
    f, g = one[0], two[0]
    weights = {k: float(np.ravel(v)[0]) for k, v in rates.weights().items()}
    names = ("stays", "lost", "loaded", "empty")
    of_site = np.array(
        [
            weights["stays"] * f * g,
            weights["lost"] * f * (1 - g),
            weights["loaded"] * (1 - f) * g,
            weights["empty"] * (1 - f) * (1 - g),
        ]
    )
    total, found = 0.0, {name: np.zeros(count) for name in (*names, "hop")}
    for chosen in product((0, 1), repeat=len(edges)):
        hops = [edge for edge, there in zip(edges, chosen, strict=True) if there]
        ends = [end for edge in hops for end in edge]
        if len(set(ends)) < len(ends):
            continue
        weight = 1.0
        for j, i in hops:
            weight *= weights["hop"] / around[j] * f[j] * (1 - g[j]) * (1 - f[i]) * g[i]
        rest = [site for site in range(count) if site not in ends]
        weight *= float(np.prod(of_site[:, rest].sum(axis=0)))
        total += weight
        for j, _ in hops:
            found["hop"][j] += weight
        for k, name in enumerate(names):
            found[name][rest] += weight * of_site[k, rest] / of_site[:, rest].sum(axis=0)
    return {name: value / total for name, value in found.items()}


@pytest.mark.parametrize("seed", range(3))
def test_states_are_those_of_the_sum_over_everything(seed):
    rng = np.random.default_rng(seed)
    near = nearest_neighbours(Lattice.square(4.0, (1, 5)))
    one, two = rng.beta(0.4, 0.4, (2, 1, 5)).clip(0.01, 0.99)
    found = expect(evidence(shots(one), shots(two), near), RATES.weights())
    truth = by_hand(one, two, near, RATES)
    for name, value in truth.items():
        # hops both ways between two sites are two edges, the only loop
        np.testing.assert_allclose(getattr(found, name)[0], value, atol=2e-4, err_msg=name)
    total = found.atoms + found.loaded + found.empty + found.arrived
    np.testing.assert_allclose(total, 1, atol=1e-9)


def test_the_prior_of_each_image_is_taken_off():
    rng = np.random.default_rng(1)
    f, g = rng.beta(0.4, 0.4, (2, 50)).clip(1e-3, 1 - 1e-3)

    def posterior(f, p):
        return f * p / (f * p + (1 - f) * (1 - p))

    plain = evidence(shots(f), shots(g), NOWHERE)
    other = evidence(shots(posterior(f, 0.2), 0.2), shots(posterior(g, 0.7), 0.7), NOWHERE)
    np.testing.assert_allclose(other.states, plain.states, rtol=1e-9)


def test_an_occupancy_of_all_or_nothing_is_that_of_the_estimator():
    # which does not take it for certain either: n sites do not rule out one in n + 2
    for given, taken in ((0.0, 1 / 52), (1.0, 51 / 52)):
        states = evidence(shots(np.full(50, 0.5), given), shots(np.full(50, 0.5)), NOWHERE).states
        assert states[:2, 0, 0].sum() == pytest.approx(1 - taken)


def unclear(rng, occupied, spread):
    """Return calibrated probabilities: two normal modes at 0 and 1."""
    x = occupied + rng.normal(0, spread, occupied.shape)
    return 1 / (1 + np.exp(-(x - 0.5) / spread**2))


def test_rates_without_hops_are_those_of_a_general_optimiser():
    rng = np.random.default_rng(2)
    occupied = rng.random((1, 3000)) < 0.4
    now = np.where(occupied, rng.random((1, 3000)) < 0.9, rng.random((1, 3000)) < 0.02)
    f, g = unclear(rng, occupied, 0.3), unclear(rng, now, 0.3)
    given = evidence(shots(f), shots(g), NOWHERE)
    rates, found = overall_rates(given, Rates(0.05, 0.0, 0.01, given.prior))

    def misfit(theta):
        p, lost, a = theta
        atom = p * f * ((1 - lost) * g + lost * (1 - g))
        empty = (1 - p) * (1 - f) * (a * g + (1 - a) * (1 - g))
        return -float(np.log(atom + empty).sum())

    best = minimize(misfit, (0.4, 0.1, 0.02), method="Nelder-Mead", options={"xatol": 1e-7}).x
    found_here = (rates.occupied[0, 0], rates.lost, rates.loaded)
    np.testing.assert_allclose(found_here, best, atol=2e-5)
    # the errors, from the curvature of the logarithm of the likelihood; the occupancy's apart
    curvature = np.empty((2, 2))
    steps = 1e-4 * np.eye(3)[1:]
    for (a, u), (b, v) in product(enumerate(steps), repeat=2):
        around = [s * t * misfit(best + s * u + t * v) for s, t in product((1, -1), repeat=2)]
        curvature[a, b] = sum(around) / (4 * 1e-8)
    variance = np.diag(np.linalg.inv(curvature))
    enough = effective_atoms(given, rates, found)
    certain = best[1:] * (1 - best[1:]) / variance
    assert enough["loss"] == pytest.approx(certain[0], rel=0.03)
    assert enough["survival"] == pytest.approx(enough["loss"], rel=1e-9)
    assert enough["loading"] == pytest.approx(certain[1], rel=0.05)
    # far fewer than there are: one site in twenty is judged wrongly
    assert enough["loss"] < 0.8 * found.atoms.sum()


def test_certain_sites_tell_as_much_as_counts():
    rng = np.random.default_rng(3)
    near = nearest_neighbours(Lattice.square(4.0, (20, 20)))
    occupied = rng.random((4, 400)) < 0.5
    now = occupied & (rng.random((4, 400)) < 0.9)
    given = evidence(shots(occupied * 1.0), shots(now * 1.0), near)
    rates, found = overall_rates(given, Rates(0.05, 0.02, 0.01, given.prior))
    assert rates.lost == pytest.approx(1 - now.sum() / occupied.sum(), abs=1e-6)
    for name, trials in effective_atoms(given, rates, found).items():
        wanted = (~occupied if name == "loading" else occupied).sum()
        assert trials == pytest.approx(wanted, rel=1e-5)
    own, at_sites = site_rates(given, rates)
    np.testing.assert_allclose(at_sites.atoms.sum(axis=0), occupied.sum(axis=0), atol=1e-5)
    lost = occupied.sum(axis=0) - now.sum(axis=0)
    np.testing.assert_allclose(own.lost * at_sites.atoms.sum(axis=0), lost, atol=1e-5)
    for trials in effective_atoms_at_sites(given, own, at_sites).values():
        np.testing.assert_allclose(trials, occupied.sum(axis=0), atol=1e-5)
