"""Learnt brightness maps: known truth, dense least squares, sites without atoms, bad pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator
from scipy.spatial import KDTree

from napari_coldatoms.lattice import (
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstructor,
    projection,
    simulate,
)

PSF = GaussianPSF(3.0)
NOISE = {"brightness_sd": 80.0, "background": 50.0, "read_noise": 2.0}
KNOWN = ImagingParameters(occupancy=0.5, brightness=1000.0, **NOISE)


def arrangement(side):
    lattice = Lattice.square(4.0, (side, side), origin=(12.3, 11.6))
    return lattice, (4 * side + 20, 4 * side + 20)


def envelope(lattice, least=0.37):
    """Return brightnesses that fall off like a Gaussian beam, to `least` in the corners."""
    place = lattice.positions - lattice.positions.mean(axis=0)
    distance = (place**2).sum(axis=1)
    relative = np.exp(np.log(least) * distance / distance.max())
    return relative / relative.mean()


def shots(lattice, shape, relative, count, occupancy=0.5, seed=0):
    return [
        simulate(
            lattice,
            PSF,
            image_shape=shape,
            occupancy=occupancy,
            brightness=1000.0 * relative,
            rng=1000 * seed + k,
            **NOISE,
        )
        for k in range(count)
    ]


def decided(reconstructor, simulations):
    """Return images, and reconstructions that know background and occupation for sure."""
    images = [simulation.image for simulation in simulations]
    results = []
    for image, simulation in zip(images, simulations, strict=True):
        result = reconstructor.reconstruct(
            image, parameters=KNOWN, background=50.0, method="global"
        )
        sure = simulation.occupied.astype(float)
        results.append(replace(result, probability=sure, occupied=simulation.occupied))
    return images, results


def dense_solution(lattice, shape, images, occupations):
    """Return the map of plain least squares in pixel space, its stiffness by trial halves."""
    count = len(lattice)
    matrix = projection(lattice, PSF, shape).toarray()
    nodes = [np.linspace(0, n - 1, max(2, round((n - 1) / 30) + 1)) for n in shape]
    pixels = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1).reshape(-1, 2)
    tents = []
    for k in range(len(nodes[0]) * len(nodes[1])):
        tent = np.zeros(len(nodes[0]) * len(nodes[1]))
        tent[k] = 1
        tent = tent.reshape(len(nodes[0]), len(nodes[1]))
        tents.append(RegularGridInterpolator(nodes, tent)(pixels))
    tents = np.stack(tents, axis=1)
    strength = np.median((matrix**2).sum(axis=0))

    rough = np.eye(count)
    near = KDTree(lattice.positions).query(lattice.positions, 9)[1][:, 1:]
    for i in range(count):
        terms = np.column_stack([np.ones(8), lattice.positions[near[i]] - lattice.positions[i]])
        rough[i, near[i]] -= np.linalg.pinv(terms)[0]

    def rows(chosen):
        a = np.concatenate(
            [np.hstack([matrix * occupations[k], tents]) / images[k].mean() ** 0.5 for k in chosen]
        )
        y = np.concatenate([(images[k] - 50.0).ravel() / images[k].mean() ** 0.5 for k in chosen])
        return a, y

    halves = [range(0, len(images), 2), range(1, len(images), 2)]
    parts = {tuple(half): rows(half) for half in (*halves, range(len(images)))}

    def solve(chosen, stiffness):
        a, y = parts[tuple(chosen)]
        atom = strength * np.mean([1 / images[k].mean() for k in chosen])
        prior = np.zeros((a.shape[1],) * 2)
        prior[:count, :count] = atom * (stiffness * rough.T @ rough + 0.05 * np.eye(count))
        prior[count:, count:] = 1e-3 * np.diag((a[:, count:] ** 2).sum(axis=0))
        right = a.T @ y
        right[:count] += 0.05 * atom * 1000
        return np.linalg.solve(a.T @ a + prior, right)

    losses = []
    for power in range(-3, 7):
        loss = 0.0
        for one, other in (halves, halves[::-1]):
            a, y = parts[tuple(other)]
            loss += ((a @ solve(one, 10.0**power) - y) ** 2).sum()
        losses.append(loss)
    solution = solve(range(len(images)), 10.0 ** (np.argmin(losses) - 3))[:count]
    return solution / solution.mean()


@pytest.mark.parametrize("scatter", [0.0, 0.3])
def test_learnt_map_is_that_of_dense_least_squares(scatter):
    lattice, shape = arrangement(6)
    rng = np.random.default_rng(1)
    relative = envelope(lattice, 0.6) * (1 + scatter * rng.uniform(-1, 1, len(lattice)))
    images, results = decided(
        Reconstructor(lattice, PSF, image_shape=shape), shots(lattice, shape, relative, 8)
    )
    learnt = Reconstructor(lattice, PSF, image_shape=shape).learn_brightness(images, results)
    expected = dense_solution(lattice, shape, images, [result.occupied for result in results])
    np.testing.assert_allclose(learnt, expected, atol=0.01)


def test_smooth_map_is_learnt_from_few_shots():
    lattice, shape = arrangement(16)
    true = envelope(lattice)
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    errors = []
    for count in (1, 4, 12):
        learnt = reconstructor.learn_brightness(
            *decided(reconstructor, shots(lattice, shape, true, count))
        )
        errors.append(np.sqrt(np.mean((learnt - true) ** 2)))
    assert learnt.mean() == pytest.approx(1, abs=0.002)
    assert errors[0] < true.std()
    assert errors[1] < 0.05
    assert errors[2] < 0.025


def test_scatter_from_site_to_site_is_learnt_from_many_shots():
    lattice, shape = arrangement(12)
    true = np.random.default_rng(3).uniform(0.7, 1.3, len(lattice))
    true /= true.mean()
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    learnt = reconstructor.learn_brightness(
        *decided(reconstructor, shots(lattice, shape, true, 40))
    )
    # the light of 20 atoms, each known to about 0.3 of it
    assert np.sqrt(np.mean((learnt - true) ** 2)) < 0.08
    assert np.corrcoef(learnt, true)[0, 1] > 0.9


def test_sites_never_occupied_are_as_their_neighbours():
    lattice, shape = arrangement(14)
    true = envelope(lattice)
    rng = np.random.default_rng(4)
    hole = ((lattice.labels >= 8) & (lattice.labels < 10)).all(axis=1)
    occupied = [(rng.random(len(lattice)) < 0.5) & ~hole for _ in range(10)]
    simulations = [shots(lattice, shape, true, 1, s, seed=k)[0] for k, s in enumerate(occupied)]
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    learnt = reconstructor.learn_brightness(*decided(reconstructor, simulations))
    assert learnt[~hole].mean() == pytest.approx(1, abs=0.005)
    np.testing.assert_allclose(learnt[hole], true[hole] / true[~hole].mean(), rtol=0.05)


def test_sites_far_from_all_that_is_seen_are_as_the_mean():
    lattice = Lattice.square(4.0, (10, 30), origin=(12.3, 11.6))
    shape = (60, 140)
    left = lattice.labels[:, 1] < 6
    rng = np.random.default_rng(5)
    occupied = [left & (rng.random(len(lattice)) < 0.5) for _ in range(6)]
    simulations = [
        shots(lattice, shape, np.ones(len(lattice)), 1, s, seed=k)[0]
        for k, s in enumerate(occupied)
    ]
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    learnt = reconstructor.learn_brightness(*decided(reconstructor, simulations))
    np.testing.assert_allclose(learnt, 1, atol=0.1)


def test_one_site_and_two():
    for lattice in (
        Lattice.from_positions([[15.2, 14.7]]),
        Lattice.from_positions([[15.2, 14.7], [15.2, 20.1]]),
    ):
        relative = np.linspace(0.8, 1.2, len(lattice)) if len(lattice) > 1 else np.ones(1)
        simulations = shots(lattice, (31, 36), relative, 60)
        reconstructor = Reconstructor(lattice, PSF, image_shape=(31, 36))
        learnt = reconstructor.learn_brightness(*decided(reconstructor, simulations))
        np.testing.assert_allclose(learnt, relative, atol=0.06)


def test_bad_pixels_and_sites_outside_do_not_count():
    lattice, (rows, columns) = arrangement(14)
    true = envelope(lattice)
    shape = (rows, columns - 20)  # the last columns of sites are outside
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    simulations = shots(lattice, shape, true, 10)
    for k, simulation in enumerate(simulations):
        simulation.image[5 * k : 5 * k + 4, 10:60] = np.nan
        simulation.image[40, 20 + k] += 1e5
    images = [simulation.image for simulation in simulations]
    results = [
        replace(result, probability=np.where(result.valid, simulation.occupied, np.nan))
        for simulation in simulations
        for result in [
            reconstructor.reconstruct(simulation.image, parameters=KNOWN, background=50.0)
        ]
    ]
    seen = np.any([result.valid for result in results], axis=0)
    assert 0 < (~seen).sum() < 50
    learnt = reconstructor.learn_brightness(images, results)
    np.testing.assert_allclose(learnt[seen], true[seen] / true[seen].mean(), atol=0.12)
    assert np.isfinite(learnt).all()
    assert learnt.min() > 0


def test_shots_of_other_overall_brightness_agree():
    lattice, shape = arrangement(12)
    true = envelope(lattice)
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    images, results = decided(reconstructor, shots(lattice, shape, true, 6))
    factors = np.linspace(0.5, 1.5, 6)
    images = [f * (image - 50) + 50 for f, image in zip(factors, images, strict=True)]
    results = [
        replace(result, parameters=replace(KNOWN, brightness=1000 * f))
        for f, result in zip(factors, results, strict=True)
    ]
    learnt = reconstructor.learn_brightness(images, results)
    assert np.sqrt(np.mean((learnt - true) ** 2)) < 0.04


def test_what_cannot_be_learnt_is_refused():
    lattice, shape = arrangement(6)
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    images, results = decided(reconstructor, shots(lattice, shape, np.ones(36), 2))
    with pytest.raises(ValueError, match="zip"):
        reconstructor.learn_brightness(images, results[:1])
    with pytest.raises(ValueError, match="contrast"):
        reconstructor.learn_brightness(images, [replace(r, has_contrast=False) for r in results])
    with pytest.raises(ValueError, match="seen occupied"):
        reconstructor.learn_brightness(
            images, [replace(r, probability=np.zeros(36)) for r in results]
        )
    with pytest.raises(ValueError, match="2 dimensions"):
        reconstructor.learn_brightness(images[0], results)
