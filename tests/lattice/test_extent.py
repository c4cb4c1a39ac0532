import numpy as np
import pytest

from napari_coldatoms.lattice import Lattice
from napari_coldatoms.lattice.extent import best_step, covering, filled, likely_step, padded

VECTORS = {
    "square": Lattice.square(4.0, (2, 2)).vectors,
    "rotated": Lattice.square(5.3, (2, 2), angle=np.deg2rad(27)).vectors,
    "triangular": Lattice.triangular(4.3, (2, 2), angle=np.deg2rad(-8)).vectors,
    "oblique": np.array([[5.2, 1.1], [-2.4, 6.0]]),
    "left-handed": np.array([[0.0, 3.7], [5.0, 0.3]]),
}


def in_order(places):
    places = np.round(places, 6)
    return places[np.lexsort(places.T)]


def brute_force(vectors, place, shape, reach):
    """All sites of a large piece of a lattice that are within a frame."""
    steps = np.stack(np.mgrid[-80:81, -80:81], axis=-1).reshape(-1, 2)
    places = np.asarray(place) + steps @ vectors
    low, high = -0.5 - reach, np.array(shape) - 0.5 + reach
    return places[((places >= low) & (places < high)).all(axis=1)]


@pytest.mark.parametrize("reach", [0.0, 6.5])
@pytest.mark.parametrize("shape", [(60, 91), (33, 17), (9, 80)])
@pytest.mark.parametrize("name", VECTORS)
def test_all_sites_in_a_frame(name, shape, reach):
    vectors = VECTORS[name]
    place = np.random.default_rng(len(name)).uniform(-40, 130, 2)
    expected = brute_force(vectors, place, shape, reach)
    found = covering(vectors, place, shape, reach)
    assert len(expected) > 5
    np.testing.assert_allclose(in_order(found.positions), in_order(expected), atol=2e-6)
    np.testing.assert_array_equal(found.vectors, vectors)


def test_padded_is_the_lattice_and_its_surroundings():
    lattice = Lattice.square(4.0, (5, 7), origin=(30.0, 40.0))
    around = padded(lattice, (100, 100), 3, 6.0)
    assert around.shape == (11, 13)
    assert around.mask is None
    np.testing.assert_allclose(around.positions[3 * 13 + 3], lattice.positions[0])
    np.testing.assert_allclose(around.positions[0], (18.0, 28.0))


@pytest.mark.parametrize("name", VECTORS)
def test_padded_ends_beyond_the_frame(name):
    lattice = Lattice(VECTORS[name], (3.0, 20.0), (9, 12))
    shape, reach = (50, 60), 6.0
    around = padded(lattice, shape, 3, reach)
    whole = Lattice(lattice.vectors, (3.0, 20.0) - 3 * lattice.vectors.sum(axis=0), (15, 18))
    low, high = -0.5 - reach, np.array(shape) - 0.5 + reach
    there = ((whole.positions >= low) & (whole.positions < high)).all(axis=1)
    np.testing.assert_allclose(around.positions, whole.positions[there], atol=1e-9)
    assert around.shape == whole.shape


def test_padded_takes_along_what_a_mask_left_out():
    mask = np.ones((6, 6), dtype=bool)
    mask[2:4, 2:4] = False
    lattice = Lattice.square(4.0, (6, 6), origin=(20.0, 20.0)).select(mask)
    assert len(padded(lattice, (80, 80), 2, 6.0)) == 100


def occupancy_around(around, sites):
    """Occupancy of a padded lattice, from a table of its whole rectangle."""
    return sites[tuple(around.labels.T)]


@pytest.mark.parametrize("step", [(0, 0), (1, 0), (-2, 1), (3, -3), (0, -1)])
def test_best_step_is_where_the_atoms_are(step):
    lattice = Lattice.square(4.0, (12, 15), origin=(30.0, 30.0), angle=0.2)
    around = padded(lattice, (140, 140), 3, 6.0)
    rng = np.random.default_rng(3)
    table = np.zeros(around.shape, dtype=bool)
    i, j = 3 + step[0], 3 + step[1]
    table[i : i + 12, j : j + 15] = rng.random((12, 15)) < 0.6
    np.testing.assert_array_equal(
        best_step(lattice, around, 3, occupancy_around(around, table)), step
    )


def test_best_step_of_a_mask():
    """A ring of sites: what is in its hole, or beside it, does not count."""
    y, x = np.mgrid[:15, :15] - 7.0
    ring = (np.hypot(y, x) < 7.3) & (np.hypot(y, x) > 3.5)
    lattice = Lattice.square(4.0, (15, 15), origin=(30.0, 30.0)).select(ring)
    around = padded(lattice, (140, 140), 3, 6.0)
    table = np.zeros(around.shape, dtype=bool)
    table[5:20, 2:17] = ring
    np.testing.assert_array_equal(
        best_step(lattice, around, 3, occupancy_around(around, table)), (2, -1)
    )


def test_few_atoms_beside_a_lattice_do_not_move_it():
    lattice = Lattice.square(4.0, (12, 12), origin=(30.0, 30.0))
    around = padded(lattice, (120, 120), 3, 6.0)
    table = np.zeros(around.shape, dtype=bool)
    table[3:15, 3:15] = np.random.default_rng(0).random((12, 12)) < 0.5
    table[3, 3:15] = False
    table[15, [5, 9]] = True  # as few as wrong decisions at the border
    np.testing.assert_array_equal(
        best_step(lattice, around, 3, occupancy_around(around, table)), (0, 0)
    )
    nothing = np.zeros(len(around), dtype=bool)
    np.testing.assert_array_equal(best_step(lattice, around, 3, nothing), (0, 0))


def held(lattice, table, shots=10):
    """`filled` of a table of occupancies of the lattice's whole rectangle."""
    return filled(lattice, table[tuple(lattice.labels.T)], shots)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_filled_rows_of_a_box(angle):
    lattice = Lattice.square(4.0, (20, 24), angle=angle)
    table = np.zeros((20, 24))
    table[3:15, 5:22] = np.random.default_rng(0).uniform(0.3, 0.7, (12, 17))
    found = held(lattice, table)
    expected = lattice.select(table > 0)
    np.testing.assert_allclose(found.positions, expected.positions, atol=1e-9)
    assert found.shape == (12, 17)
    assert found.mask is None


def test_rows_of_wrong_decisions_are_not_filled():
    rng = np.random.default_rng(1)
    lattice = Lattice.square(4.0, (20, 20))
    table = 0.05 * (rng.random((20, 20)) < 0.08)
    table[4:16, 4:16] = 0.5
    assert held(lattice, table, 20).shape == (12, 12)


def test_a_dilute_last_row_is_filled():
    lattice = Lattice.square(4.0, (20, 20))
    table = np.zeros((20, 20))
    table[4:16, 4:16] = 0.5
    table[16, 4:16] = 0.06
    assert held(lattice, table, 20).shape == (13, 12)


def test_an_empty_row_between_filled_ones_stays():
    lattice = Lattice.square(4.0, (20, 20))
    table = np.zeros((20, 20))
    table[4:16, 4:16] = 0.5
    table[9] = 0.0
    assert held(lattice, table).shape == (12, 12)


def test_a_cloud_goes_on_beyond_the_last_row_that_is_known():
    """At the frame's border, sites whose light is cut are not known."""
    lattice = Lattice.square(4.0, (20, 20))
    table = np.zeros((20, 20))
    table[:, 5:12] = 0.5
    table[:2] = table[-1] = np.nan
    found = held(lattice, table)
    assert found.shape == (20, 7)
    table[2:5] = 0.0
    assert held(lattice, table).shape == (15, 7)
    assert held(lattice, table).origin == pytest.approx(lattice.positions[5 * 20 + 5])


def test_sites_that_are_not_there_stay_away():
    """The corners of a rotated lattice that fills the frame."""
    whole = covering(VECTORS["rotated"], (50.0, 50.0), (100, 120))
    assert whole.mask is not None
    middle = np.linalg.norm(whole.positions - (50.0, 60.0), axis=1)
    found = filled(whole, np.where(middle < 45, 0.5, 0.0), 10)
    kept = {tuple(place) for place in np.round(found.positions, 6)}
    assert kept <= {tuple(place) for place in np.round(whole.positions, 6)}
    assert {tuple(place) for place in np.round(whole.positions[middle < 45], 6)} <= kept
    assert len(found) < 0.9 * len(whole)
    np.testing.assert_allclose(
        filled(whole, np.full(len(whole), 0.5), 10).positions, whole.positions, atol=1e-9
    )


@pytest.mark.parametrize("axis", [0, 1])
def test_one_row(axis):
    lattice = Lattice.square(4.0, (15, 15))
    table = np.zeros((15, 15))
    table[6, 2:12] = 0.5
    found = held(lattice, table if axis == 0 else table.T)
    assert found.shape == ((1, 10) if axis == 0 else (10, 1))


def test_nothing_filled_leaves_all_sites():
    lattice = Lattice.square(4.0, (10, 12))
    for value in (0.0, np.nan):
        assert held(lattice, np.full((10, 12), value)) is lattice
    single = np.zeros((10, 12))
    single[4, 4] = 0.1  # one atom in ten shots
    assert held(lattice, single) is lattice


def test_the_light_tells_the_step_where_it_is_clear():
    lattice = Lattice.square(4.0, (20, 22), origin=(30.0, 30.0))
    around = padded(lattice, (140, 150), 1, 6.0)
    i, j = around.labels.T
    rng = np.random.default_rng(0)
    for step in ((0, 0), (1, 0), (-1, 1)):
        there = (i >= 1 + step[0]) & (i < 21 + step[0]) & (j >= 1 + step[1]) & (j < 23 + step[1])
        occupied = there & (rng.random(len(around)) < 0.5)
        light = 700.0 * occupied + rng.normal(0, 100.0, len(around))
        np.testing.assert_array_equal(likely_step(lattice, around, 1, light), step)
        np.testing.assert_array_equal(best_step(lattice, around, 1, occupied), step)
    # three atoms outside are neither nothing nor a row
    light[:] = (i >= 1) & (i < 21) & (j >= 1) & (j < 23) & (rng.random(len(around)) < 0.5)
    light[np.flatnonzero(i == 21)[3:6]] = 1.0
    light[np.flatnonzero(i == 1)] = 0.0
    assert likely_step(lattice, around, 1, light) is None
