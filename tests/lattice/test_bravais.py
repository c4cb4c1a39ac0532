import numpy as np
import pytest

from napari_coldatoms.lattice import Lattice
from napari_coldatoms.lattice.bravais import find_periods, ordered

LATTICES = {
    "square": Lattice.square(4.0, (2, 2)).vectors,
    "rotated": Lattice.square(5.3, (2, 2), angle=np.deg2rad(7)).vectors,
    "rectangular": np.array([[5.0, 0.0], [0.0, 3.7]]),
    "triangular": Lattice.triangular(4.3, (2, 2)).vectors,
    "rotated triangular": Lattice.triangular(6.1, (2, 2), angle=np.deg2rad(20)).vectors,
    "oblique": np.array([[5.2, 1.1], [0.4, 6.0]]),
}


def same_lattice(found, true):
    """Whether vectors span the same lattice: integer combinations, of determinant ± 1."""
    steps = found @ np.linalg.inv(true)
    assert abs(abs(np.linalg.det(np.rint(steps))) - 1) < 1e-9
    return np.abs(steps - np.rint(steps)).max()


def pattern(vectors, shots=4, noise=1.0, seed=0, shape=(160, 190)):
    """A periodic pattern that is elsewhere in each shot, in noise."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1)
    reciprocal = np.linalg.inv(vectors).T
    images = []
    for _ in range(shots):
        phase = (grid - rng.uniform(0, 9, 2)) @ reciprocal.T
        images.append(np.cos(2 * np.pi * phase).sum(axis=-1) + noise * rng.normal(size=shape))
    return np.array(images)


@pytest.mark.parametrize("name", LATTICES)
def test_vectors_from_a_periodic_pattern(name):
    found = find_periods(pattern(LATTICES[name]))
    assert found is not None
    assert same_lattice(found.vectors, LATTICES[name]) < 1e-3
    assert found.heights.min() > 100


def test_a_pattern_much_weaker_than_the_noise():
    found = find_periods(pattern(LATTICES["rotated"], shots=20, noise=15.0))
    assert found is not None
    assert same_lattice(found.vectors, LATTICES["rotated"]) < 0.01


def test_one_period_is_no_lattice():
    stripes = np.cos(2 * np.pi * np.arange(150) / 5.0) + np.zeros((3, 140, 1))
    noise = np.random.default_rng(0).normal(size=(3, 140, 150))
    assert find_periods(stripes + noise) is None


def test_noise_has_no_periods():
    rng = np.random.default_rng(5)
    assert all(find_periods(rng.normal(size=(3, 100, 120)) ** 2) is None for _ in range(20))


@pytest.mark.parametrize("name", LATTICES)
def test_the_order_does_not_depend_on_the_basis(name):
    true = LATTICES[name]
    rng = np.random.default_rng(1)
    reference = ordered(true)
    assert same_lattice(reference, true) < 1e-9
    for steps in ([[1, 0], [1, 1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[2, 1], [1, 1]]):
        noisy = np.array(steps) @ true + rng.normal(0, 1e-5, (2, 2))
        np.testing.assert_allclose(ordered(noisy), reference, atol=1e-3)


def test_order_is_that_of_the_usual_lattices():
    for lattice in (
        Lattice.square(4.0, (2, 2), angle=0.1),
        Lattice.triangular(4.0, (2, 2)),
        Lattice.triangular(4.0, (2, 2), angle=-0.2),
    ):
        np.testing.assert_allclose(ordered(lattice.vectors), lattice.vectors, atol=1e-9)
