"""The optimal linear estimate, against Eq. 8 with dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, Lattice, projection, simulate
from napari_coldatoms.lattice.linear import estimate_brightness, precondition, site_scale
from napari_coldatoms.lattice.optics import make_optics

PSF = GaussianPSF(3.0)
SHAPE = (66, 70)
BACKGROUND, READ_VARIANCE = 50.0, 4.0
LATTICES = {
    "square": Lattice.square(4.0, (11, 12), origin=(10.3, 9.1)),
    "turned": Lattice.square(4.0, (10, 10), origin=(10.0, 20.0), angle=0.3),
    "triangular": Lattice.triangular(4.3, (11, 10)).shift((-2.0, -2.0)),
    "over the border": Lattice.square(4.0, (20, 21), origin=(-7.0, -6.4)),
    "masked": Lattice.square(4.0, (11, 12), origin=(10.3, 9.1)).select(
        np.random.default_rng(1).random((11, 12)) < 0.6
    ),
    "any positions": Lattice.from_positions(np.random.default_rng(2).uniform(8, 58, (90, 2))),
}


def problem(lattice, seed=0):
    """Return an image above its background, weights, and prior means and variances."""
    rng = np.random.default_rng(seed)
    truth = simulate(
        lattice,
        PSF,
        image_shape=SHAPE,
        occupancy=0.5,
        brightness=1000.0,
        brightness_sd=100.0,
        background=BACKGROUND,
        read_noise=READ_VARIANCE**0.5,
        rng=rng,
    )
    probability = np.clip(truth.occupied + rng.normal(0, 0.3, len(lattice)), 0.001, 0.999)
    mean = 1000.0 * probability
    variance = probability * (1 - probability) * 1e6 + probability * 1e4
    light = projection(lattice, PSF, SHAPE) @ mean
    weights = 1 / (light + BACKGROUND + READ_VARIANCE).reshape(SHAPE)
    return truth.image - BACKGROUND, weights, mean, variance


def dense(matrix, signal, weights, mean, variance):
    """Return Eq. 8 for the sites of positive variance; the others keep their mean."""
    estimate = mean.copy()
    free = variance > 0
    columns = matrix[:, np.flatnonzero(free)]
    normal = (columns.T @ columns.multiply(weights.reshape(-1, 1))).toarray()
    normal += np.diag(1 / variance[free])
    rest = signal.ravel() - matrix @ mean
    estimate[free] += np.linalg.solve(normal, columns.T @ (weights.ravel() * rest))
    return estimate


def matrix_of(lattice, relative=1.0):
    """Return M as a sparse matrix."""
    return projection(lattice, PSF, SHAPE).multiply(relative).tocsr()


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES.keys())
def test_estimate_is_the_dense_solution(lattice):
    optics = make_optics(lattice, PSF, SHAPE)
    given = problem(lattice)
    exact = dense(matrix_of(lattice), *given)
    found = estimate_brightness(optics, *given, steps=12)
    np.testing.assert_allclose(found, exact, atol=1e-2)  # of 1000 counts


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES.keys())
def test_default_steps_are_enough(lattice):
    given = problem(lattice)
    exact = dense(matrix_of(lattice), *given)
    found = estimate_brightness(make_optics(lattice, PSF, SHAPE), *given)
    # the error of the estimate itself is a hundred counts
    place = lattice.positions
    inner = np.all((place > 3) & (place < np.array(SHAPE) - 4), axis=1)
    difference = np.abs(found - exact)
    assert np.sqrt(np.mean(difference[inner] ** 2)) < 8
    assert difference[inner].max() < 40
    assert difference.max() < 250


def test_each_step_comes_closer():
    lattice = LATTICES["square"]
    optics, given = make_optics(lattice, PSF, SHAPE), problem(lattice)
    exact = dense(matrix_of(lattice), *given)
    errors = [
        np.linalg.norm(estimate_brightness(optics, *given, steps=steps) - exact)
        for steps in (1, 2, 3, 4, 5)
    ]
    assert np.all(np.diff(np.log10(errors)) < -0.7)


def test_certain_sites_keep_their_mean():
    lattice = LATTICES["square"]
    optics = make_optics(lattice, PSF, SHAPE)
    signal, weights, mean, variance = problem(lattice)
    certain = np.random.default_rng(4).random(len(lattice)) < 0.7
    variance[certain] = 0.0
    found = estimate_brightness(optics, signal, weights, mean, variance, steps=12)
    np.testing.assert_array_equal(found[certain], mean[certain])
    exact = dense(matrix_of(lattice), signal, weights, mean, variance)
    np.testing.assert_allclose(found, exact, atol=1e-2)
    # all certain: nothing to find
    found = estimate_brightness(optics, signal, weights, mean, np.zeros(len(lattice)))
    np.testing.assert_array_equal(found, mean)


def test_start_does_not_change_the_solution():
    lattice = LATTICES["turned"]
    optics, given = make_optics(lattice, PSF, SHAPE), problem(lattice)
    given[3][::5] = 0.0
    exact = dense(matrix_of(lattice), *given)
    start = np.random.default_rng(3).normal(500, 300, len(lattice))
    found = estimate_brightness(optics, *given, start=start, steps=12)
    np.testing.assert_allclose(found, exact, atol=1e-2)
    # at the solution there is nothing left to do
    found = estimate_brightness(optics, *given, start=exact, steps=1)
    np.testing.assert_allclose(found, exact, atol=1e-3)


@pytest.mark.parametrize("name", ["square", "any positions"])
def test_bad_pixels_do_not_count(name):
    lattice = LATTICES[name]
    signal, weights, mean, variance = problem(lattice)
    bad = np.random.default_rng(6).random(SHAPE) < 0.05
    bad[20:26, 30:37] = True
    weights[bad] = 0.0
    signal[bad] = 1e7
    exact = dense(matrix_of(lattice), signal, weights, mean, variance)
    found = estimate_brightness(
        make_optics(lattice, PSF, SHAPE), signal, weights, mean, variance, steps=25
    )
    np.testing.assert_allclose(found, exact, atol=0.3)


@pytest.mark.parametrize("name", ["square", "triangular", "any positions"])
def test_relative_brightness_is_part_of_the_projection(name):
    lattice = LATTICES[name]
    relative = np.random.default_rng(7).uniform(0.4, 1.6, len(lattice))
    optics = make_optics(lattice, PSF, SHAPE).with_relative_brightness(relative)
    given = problem(lattice)
    exact = dense(matrix_of(lattice, relative), *given)
    found = estimate_brightness(optics, *given, steps=12)
    np.testing.assert_allclose(found, exact, atol=1e-2)


def test_site_without_light_keeps_its_mean():
    # the third one is far outside the frame
    lattice = Lattice.from_positions([[30.0, 30.0], [30.0, 35.0], [30.0, 200.0]])
    given = problem(lattice)
    found = estimate_brightness(make_optics(lattice, PSF, SHAPE), *given, steps=12)
    assert found[2] == given[2][2]
    exact = dense(matrix_of(lattice), *given)
    np.testing.assert_allclose(found, exact, atol=1e-3)


def test_no_noise_gives_the_truth():
    lattice = Lattice.square(6.0, (9, 9), origin=(9.0, 9.0))
    optics = make_optics(lattice, PSF, SHAPE)
    rng = np.random.default_rng(8)
    truth = np.where(rng.random(81) < 0.5, rng.normal(1000, 100, 81), 0)
    found = estimate_brightness(
        optics,
        optics.image(truth),
        np.full(SHAPE, 1e6),
        np.full(81, 500.0),
        np.full(81, 2.5e5),
        steps=12,
    )
    np.testing.assert_allclose(found, truth, atol=0.01)


@pytest.mark.parametrize(
    ("name", "shift"),
    [(name, 1.0) for name in LATTICES] + [("square", 1e-3), ("any positions", 1e-3)],
)
def test_preconditioner_is_close_to_the_normal_matrix(name, shift):
    lattice = LATTICES[name]
    optics = make_optics(lattice, PSF, SHAPE)
    _, weights, _, variance = problem(lattice)
    scale = np.sqrt(variance) * site_scale(optics, weights)
    right = np.random.default_rng(9).normal(size=len(lattice))
    right[optics.strength < 1e-3 * optics.strength.max()] = 0.0
    found = precondition(optics, scale, right, shift=shift, tolerance=1e-10)
    columns = matrix_of(lattice, np.sqrt(variance))
    normal = (columns.T @ columns.multiply(weights.reshape(-1, 1))).toarray()
    normal += shift * np.eye(len(lattice))
    exact = np.linalg.solve(normal, right)
    assert np.linalg.norm(found - exact) < 0.25 * np.linalg.norm(exact)


@pytest.mark.parametrize("start", [1.0, 1e-15, 1e-160])
def test_preconditioner_of_nothing_is_nothing(start):
    optics = make_optics(LATTICES["square"], PSF, SHAPE)
    nothing = np.zeros(len(optics))
    scale = np.full(len(optics), 30.0)
    first = start * np.random.default_rng(10).normal(size=len(optics))
    found = precondition(optics, scale, nothing, start=first, shift=1.0)
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


def test_inputs_stay_as_they_are():
    lattice = LATTICES["square"]
    optics = make_optics(lattice, PSF, SHAPE)
    given = [*problem(lattice), np.full(len(lattice), 400.0)]
    copies = [array.copy() for array in given]
    for array in given:
        array.setflags(write=False)
    # kernels of one signature take writable arrays: what they get is made by the caller
    signal, weights, mean, variance, start = given
    estimate_brightness(optics, signal, weights.copy(), mean, variance, start=start)
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
