"""Lattices: positions, labels, selections, cells."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_coldatoms.lattice import Lattice

OBLIQUE = [[3.0, 1.5], [-0.7, 4.2]]


def test_positions_follow_the_labels_row_by_row():
    lattice = Lattice(OBLIQUE, (10.0, 20.5), (3, 4))
    expected = [
        (10.0 + 3.0 * i - 0.7 * j, 20.5 + 1.5 * i + 4.2 * j) for i in range(3) for j in range(4)
    ]
    np.testing.assert_allclose(lattice.positions, expected, rtol=1e-14)
    assert lattice.labels.tolist() == [[i, j] for i in range(3) for j in range(4)]
    assert len(lattice) == 12
    assert lattice.is_regular
    assert lattice.site_area == pytest.approx(3.0 * 4.2 + 0.7 * 1.5)


def test_masked_sites_have_no_number():
    mask = np.array([[True, False, True], [False, True, True]])
    lattice = Lattice(OBLIQUE, (0, 0), (2, 3), mask=mask)
    assert lattice.labels.tolist() == [[0, 0], [0, 2], [1, 1], [1, 2]]
    whole = Lattice(OBLIQUE, (0, 0), (2, 3))
    np.testing.assert_array_equal(lattice.positions, whole.positions[mask.ravel()])
    mask[:] = True  # the lattice has its own copy
    assert len(lattice) == 4


def test_select_by_present_sites_and_by_the_whole_lattice():
    lattice = Lattice(OBLIQUE, (1, 2), (3, 3)).select(~np.eye(3, dtype=bool))
    assert lattice.labels.tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    by_number = lattice.select(np.array([True, False, False, True, True, False]))
    assert by_number.labels.tolist() == [[0, 1], [1, 2], [2, 0]]
    whole = np.zeros((3, 3), dtype=bool)
    whole[0] = True  # site (0, 0) is masked out already
    assert lattice.select(whole).labels.tolist() == [[0, 1], [0, 2]]
    for chosen in (lattice, by_number):
        expected = np.array([1, 2]) + chosen.labels @ np.array(OBLIQUE)
        np.testing.assert_allclose(chosen.positions, expected)


def test_arbitrary_positions_keep_their_labels():
    places = np.array([[1.0, 2.0], [8.0, 3.0], [5.0, 9.5], [20.0, 1.0]])
    lattice = Lattice.from_positions(places)
    assert not lattice.is_regular
    assert lattice.vectors is lattice.origin is lattice.shape is lattice.mask is None
    assert lattice.labels.tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]
    some = lattice.select(np.array([False, True, False, True])).shift((0.5, -1.0))
    assert some.labels.tolist() == [[1, 0], [3, 0]]
    assert some.positions.tolist() == [[8.5, 2.0], [20.5, 0.0]]
    places[:] = 0
    assert lattice.positions[0].tolist() == [1.0, 2.0]


def test_site_area_of_arbitrary_positions_is_the_squared_median_of_neighbour_distances():
    regular = Lattice.square(5.0, (6, 7), angle=0.3)
    assert Lattice.from_positions(regular.positions).site_area == pytest.approx(25.0)
    assert Lattice.from_positions([[3.0, 4.0]]).site_area == np.inf


def test_shift_moves_every_site():
    lattice = Lattice(OBLIQUE, (1, 2), (3, 3), mask=np.eye(3, dtype=bool))
    moved = lattice.shift((0.25, -3.0))
    np.testing.assert_allclose(moved.positions, lattice.positions + np.array([0.25, -3.0]))
    assert moved.labels.tolist() == lattice.labels.tolist()


def test_transform_maps_every_site():
    matrix, offset = np.array([[0.9, -0.3], [0.2, -1.4]]), np.array([3.0, -7.5])
    regular = Lattice(OBLIQUE, (1, 2), (3, 3), mask=~np.eye(3, dtype=bool))
    arbitrary = Lattice.from_positions([[1.0, 2.0], [8.0, 3.0], [5.0, 9.5]]).select(
        np.array([True, False, True])
    )
    for lattice in (regular, arbitrary):
        mapped = lattice.transform(matrix, offset)
        expected = [matrix @ place + offset for place in lattice.positions]
        np.testing.assert_allclose(mapped.positions, expected, rtol=1e-14)
        np.testing.assert_array_equal(mapped.labels, lattice.labels)
        back = mapped.shift(-offset).transform(np.linalg.inv(matrix))
        np.testing.assert_allclose(back.positions, lattice.positions, rtol=1e-12, atol=1e-12)
        for wrong in ([[1.0, 2.0], [2.0, 4.0]], np.zeros((2, 2))):
            with pytest.raises(ValueError, match="can be inverted"):
                lattice.transform(wrong)
        with pytest.raises(ValueError, match="a matrix: finite"):
            lattice.transform([[np.nan, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize("angle", [0.0, 0.3, -2.0, np.pi])
@pytest.mark.parametrize("kind", ["square", "triangular"])
def test_spacing_and_angle_of_the_usual_lattices(kind, angle):
    lattice = getattr(Lattice, kind)(4.0, (5, 6), angle=angle)
    i, j = lattice.vectors
    assert np.hypot(*i) == pytest.approx(4.0)
    assert np.hypot(*j) == pytest.approx(4.0)
    assert np.arctan2(*j) == pytest.approx(angle)
    between = np.arccos(i @ j / 16)
    assert between == pytest.approx(np.pi / 2 if kind == "square" else np.pi / 3)
    assert lattice.positions.min(axis=0) == pytest.approx([12.0, 12.0])
    assert lattice.inside(lattice.frame_shape()).all()


def test_triangular_lattice_has_six_nearest_neighbours():
    positions = Lattice.triangular(4.0, (5, 5), angle=0.7).positions
    distance = np.linalg.norm(positions - positions[12], axis=1)
    assert np.sum(np.isclose(distance, 4.0)) == 6
    assert np.sum(distance < 4.0 - 1e-9) == 1


def test_inside_counts_the_whole_border_pixels():
    lattice = Lattice.from_positions([[-0.5, 0], [-0.51, 0], [9.49, 4], [9.5, 4], [3, 4.6]])
    assert lattice.inside((10, 5)).tolist() == [True, False, True, False, False]


def test_frame_shape_holds_the_margin():
    lattice = Lattice.from_positions([[3.0, 7.4], [9.6, 2.0]])
    assert lattice.frame_shape() == (11, 8)
    assert lattice.frame_shape(2.0) == (13, 10)


@pytest.mark.parametrize(
    "vectors",
    [
        [[4.0, 0.0], [0.0, 4.0]],
        OBLIQUE,
        [[6.0, 0.0], [5.0, 3.0]],  # far from reduced
        [[0.0, 5.0], [4.0, -2.4]],
        [[-4.0, 0.3], [9.1, 5.0]],
        Lattice.triangular(5.3, (1, 1), angle=0.2).vectors,
    ],
)
def test_cells_belong_to_the_nearest_site_of_the_endless_lattice(vectors):
    mask = np.random.default_rng(3).random((5, 6)) < 0.7
    lattice = Lattice(vectors, (20.23, 20.61), (5, 6), mask=mask)
    cells = lattice.cells((45, 50))
    # by brute force, on a lattice far larger
    span = np.arange(-25, 30)
    site = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    pixels = np.stack(np.mgrid[:45, :50], axis=-1)[:, :, None]
    distance = ((pixels - [20.23, 20.61] - site @ np.array(vectors)) ** 2).sum(axis=-1)
    nearest = site[distance.argmin(axis=-1)]
    number = {tuple(label): k + 1 for k, label in enumerate(lattice.labels.tolist())}
    expected = [[number.get(tuple(at), 0) for at in row] for row in nearest.tolist()]
    np.testing.assert_array_equal(cells, expected)
    assert cells.dtype == np.int32


def test_cells_of_a_square_lattice_are_squares_of_equal_size():
    # pixels halfway between two sites must not be dealt out by rounding errors
    cells = Lattice.square(4.0, (30, 30), origin=(0.1 + 0.2 + 1.7, 6.0)).cells((140, 140))
    assert set(np.bincount(cells.ravel())[1:]) == {16}
    assert np.unique(cells[1:5, 5:9]).size == 1


def test_cells_at_arbitrary_positions_reach_halfway_to_the_neighbour():
    lattice = Lattice.from_positions([[10.0, 10.0], [10.0, 18.0], [18.0, 10.0]])
    cells = lattice.cells((30, 30))
    y, x = np.mgrid[:30, :30]
    distance = np.hypot(y - 10, x - 18)
    assert np.all(cells[distance < 4] == 2)
    assert np.all(distance[cells == 2] <= 4)
    assert cells[25, 25] == 0


def test_a_lattice_survives_pickling():
    lattice = Lattice(OBLIQUE, (1, 2), (3, 3), mask=np.eye(3, dtype=bool))
    arbitrary = Lattice.from_positions([[1.0, 2.0], [5.0, 6.0]])
    for one in (lattice, arbitrary):
        again = pickle.loads(pickle.dumps(one))
        np.testing.assert_array_equal(again.positions, one.positions)
        assert repr(again) == repr(one)


def test_arrays_are_read_only():
    lattice = Lattice(OBLIQUE, (1, 2), (3, 3))
    for array in (lattice.vectors, lattice.positions, lattice.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 2], [2, 4]], (0, 0), (2, 2)), "different directions"),
        (([[0, 0], [2, 4]], (0, 0), (2, 2)), "different directions"),
        (([1, 2], (0, 0), (2, 2)), r"shape \(2, 2\)"),
        (([[1, 0], [0, np.nan]], (0, 0), (2, 2)), "finite"),
        ((OBLIQUE, (0, np.inf), (2, 2)), "origin"),
        ((OBLIQUE, (0, 0), (2, 0)), "positive"),
        ((OBLIQUE, (0, 0), (2.0, 3.0)), "positive numbers"),
    ],
)
def test_bad_lattices_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Lattice(*arguments)


def test_bad_masks_selections_and_positions_are_refused():
    with pytest.raises(TypeError, match="boolean mask"):
        Lattice(OBLIQUE, (0, 0), (2, 2), mask=[[1, 0], [0, 1]])
    with pytest.raises(ValueError, match=r"shape \(2, 2\), found \(1, 2\)"):
        Lattice(OBLIQUE, (0, 0), (2, 2), mask=[[True, False]])
    with pytest.raises(ValueError, match="at least one site"):
        Lattice(OBLIQUE, (0, 0), (2, 2), mask=np.zeros((2, 2), dtype=bool))
    lattice = Lattice(OBLIQUE, (0, 0), (2, 2))
    with pytest.raises(TypeError, match="boolean"):
        lattice.select([0, 1])
    with pytest.raises(ValueError, match=r"\(4,\) or the whole lattice's \(2, 2\), found \(3,\)"):
        lattice.select(np.ones(3, dtype=bool))
    with pytest.raises(ValueError, match="at least one"):
        lattice.select(np.zeros(4, dtype=bool))
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        Lattice.from_positions([1.0, 2.0])
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        Lattice.from_positions(np.empty((0, 2)))
    with pytest.raises(ValueError, match="finite positions"):
        Lattice.from_positions([[1.0, np.nan]])
    with pytest.raises(ValueError, match="offset"):
        lattice.shift((1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="spacing"):
        Lattice.square(0.0, (2, 2))
    with pytest.raises(ValueError, match="pixels"):
        lattice.cells((0, 3))
