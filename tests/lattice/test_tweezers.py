import numpy as np
import pytest
from scipy.spatial import KDTree

from napari_coldatoms.lattice import GaussianPSF, Lattice
from napari_coldatoms.lattice.phase import PhaseFinder
from napari_coldatoms.lattice.tweezers import (
    are_single,
    find_positions,
    in_rows,
    refine_positions,
)

SHAPE = (150, 170)
HWHM = 2.0


def random_positions(seed, number=60, apart=8.0, shape=SHAPE):
    rng = np.random.default_rng(seed)
    places = np.zeros((0, 2))
    while len(places) < number:
        place = rng.uniform((8, 8), np.array(shape) - 9)
        if not len(places) or np.hypot(*(places - place).T).min() >= apart:
            places = np.vstack([places, place])
    return places


def mean_and_noise(images):
    return images.mean(axis=0), float(np.median(images.var(axis=0, ddof=1))) / len(images)


def one_to_one(found, true, within):
    """Whether each true position has one found one near it, and there are no others."""
    distance, index = KDTree(true).query(found)
    return len(found) == len(true) == len(np.unique(index)) and distance.max() < within


@pytest.mark.parametrize("seed", range(4))
def test_random_positions_are_found_one_by_one(make_shots, seed):
    true = random_positions(seed)
    shots = make_shots(Lattice.from_positions(true), HWHM, 0.0, count=12, shape=SHAPE, seed=seed)
    mean, noise = mean_and_noise(shots.images)
    found = find_positions(mean, shots.psf, noise)
    assert one_to_one(found, true, 0.8)
    assert are_single(mean, found, shots.psf)
    error = found - true[KDTree(true).query(found)[1]]
    assert np.sqrt(np.mean(error**2)) < 0.15


def test_positions_come_row_by_row(make_shots):
    true = np.stack(np.mgrid[:5, :6], axis=-1).reshape(-1, 2) * 12.0 + 10.0
    true += np.random.default_rng(0).uniform(-1, 1, true.shape)
    shots = make_shots(Lattice.from_positions(true), HWHM, 0.0, count=10, shape=(75, 90))
    found = find_positions(*mean_and_noise(shots.images)[:1], shots.psf, 1.0)
    np.testing.assert_allclose(found, true, atol=0.6)


def test_rarely_loaded_positions(make_shots):
    """A fifth of the sites is filled in each shot."""
    true = random_positions(5)
    shots = make_shots(
        Lattice.from_positions(true), HWHM, 0.0, count=20, occupancy=0.2, shape=SHAPE, seed=5
    )
    mean, noise = mean_and_noise(shots.images)
    found = find_positions(mean, shots.psf, noise)
    times = shots.occupied.sum(axis=0)
    distance, index = KDTree(true).query(found)
    assert distance.max() < 0.9
    assert set(np.flatnonzero(times > 2)) <= set(index)  # one or two may be missed


def test_dim_positions(make_shots):
    """A quarter of the sites has a third of the light of the others."""
    true = random_positions(6)
    brightness = np.full(len(true), 1000.0)
    brightness[::4] = 350.0
    shots = make_shots(
        Lattice.from_positions(true), HWHM, 0.0, count=20, brightness=brightness, shape=SHAPE
    )
    mean, noise = mean_and_noise(shots.images)
    assert one_to_one(find_positions(mean, shots.psf, noise), true, 0.5)


def test_positions_under_a_slope_of_the_background(make_shots):
    true = random_positions(7)
    slope = np.linspace(30.0, 90.0, SHAPE[1]) + np.zeros(SHAPE)
    shots = make_shots(
        Lattice.from_positions(true), HWHM, 0.0, count=12, background=slope, shape=SHAPE
    )
    mean, noise = mean_and_noise(shots.images)
    found = find_positions(mean, shots.psf, noise)
    assert one_to_one(found, true, 0.5)
    assert are_single(mean, found, shots.psf)


def test_noise_has_no_positions():
    rng = np.random.default_rng(0)
    for _ in range(20):
        images = rng.poisson(50.0, (6, 100, 110)).astype(float)
        found = find_positions(images.mean(axis=0), GaussianPSF(HWHM), 50.0 / 6)
        assert not len(found)
        assert not are_single(images.mean(axis=0), found, GaussianPSF(HWHM))


@pytest.mark.parametrize(
    ("spacing", "hwhm"), [(4.0, 3.0), (4.0, 2.0), (6.0, 2.7)], ids=["close", "sharp", "wide"]
)
def test_sites_of_a_dense_lattice_are_not_single(make_shots, spacing, hwhm):
    shots = make_shots(Lattice.square(spacing, (25, 25)), hwhm, 0.0, count=10)
    mean, noise = mean_and_noise(shots.images)
    assert not are_single(mean, find_positions(mean, shots.psf, noise), shots.psf)


def test_sites_of_a_wide_lattice_are_single(make_shots):
    shots = make_shots(Lattice.square(14.0, (8, 8)), 2.0, 0.0, count=10)
    mean, noise = mean_and_noise(shots.images)
    assert are_single(mean, find_positions(mean, shots.psf, noise), shots.psf)


def test_rows():
    places = np.array([(20.0, 5.0), (1.0, 9.0), (21.5, 1.0), (0.0, 30.0), (2.0, 1.0)])
    assert in_rows(places, 4.0).tolist() == [4, 1, 3, 2, 0]
    assert in_rows(places, 1.1).tolist() == [4, 1, 3, 0, 2]
    assert in_rows(places[:1], 4.0).tolist() == [0]
    # a row may climb, as long as it has no gap
    climbing = np.column_stack([3.0 * np.arange(5.0), np.arange(5.0)])[::-1]
    assert in_rows(climbing, 4.0).tolist() == [4, 3, 2, 1, 0]


def test_wrong_positions_are_mended(make_shots):
    true = random_positions(8)
    rng = np.random.default_rng(8)
    shots = make_shots(Lattice.from_positions(true), HWHM, 0.3, count=16, shape=SHAPE, seed=8)
    positions = true + rng.uniform(-0.8, 0.8, true.shape)
    for _ in range(2):
        finder = PhaseFinder(Lattice.from_positions(positions), shots.psf, SHAPE)
        fits = [finder.fit(finder.shot(image))[1] for image in shots.images]
        moved = refine_positions([fit for fit in fits if fit is not None], positions, shots.psf)
        positions = positions + moved
    # what the shots have in common is no part of it
    error = positions - true
    error -= error.mean(axis=0)
    assert np.sqrt(np.mean(error**2)) < 0.06
    assert np.abs(error).max() < 0.25


def test_positions_that_are_never_occupied_stay(make_shots):
    true = random_positions(9, number=20)
    occupied = np.arange(20) % 4 > 0
    shots = make_shots(
        Lattice.from_positions(true), HWHM, 0.2, count=6, occupancy=occupied, shape=SHAPE
    )
    finder = PhaseFinder(Lattice.from_positions(true), shots.psf, SHAPE)
    fits = [finder.fit(finder.shot(image))[1] for image in shots.images]
    moved = refine_positions([fit for fit in fits if fit is not None], true, shots.psf)
    assert np.abs(moved[occupied]).max() < 0.2
    assert np.abs(moved).max() <= 0.5 * HWHM
    np.testing.assert_array_equal(refine_positions([], true, shots.psf), np.zeros((20, 2)))
