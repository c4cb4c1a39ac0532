import numpy as np
import pytest

from napari_coldatoms.lattice import Lattice, find_phase
from napari_coldatoms.lattice.coarse_phase import nearest_equivalent, reduced

SQUARE = Lattice.square(4.0, (30, 30))


def apart(phase, offset, vectors):
    """Distance (y, x) from the true place, up to steps of the lattice."""
    if vectors is None:
        return np.subtract(phase.offset, offset)
    return nearest_equivalent(np.subtract(phase.offset, offset), reduced(vectors), (0.0, 0.0))


@pytest.mark.parametrize(
    ("lattice", "hwhm"),
    [
        (SQUARE, 3.0),
        (Lattice.square(4.0, (30, 30), angle=np.deg2rad(7)), 2.7),
        (Lattice([[5.0, 0.0], [0.0, 3.7]], (15.0, 15.0), (25, 30)), 3.0),
        (Lattice.triangular(4.3, (28, 30)), 3.0),
        (Lattice.square(9.0, (12, 12)), 2.0),
    ],
    ids=["square", "rotated", "rectangular", "triangular", "wide"],
)
def test_phase_from_anywhere(make_shots, lattice, hwhm):
    shots = make_shots(lattice, hwhm, 3.0, count=6, seed=1)
    errors, pulls = [], []
    for image, offset in zip(shots.images, shots.offset, strict=True):
        phase = find_phase(image, lattice, shots.psf)
        assert phase.trusted
        error = apart(phase, offset, lattice.vectors)
        errors.append(error)
        pulls.append(error / phase.stderr)
        np.testing.assert_allclose(
            phase.lattice.positions, lattice.positions + phase.offset, atol=1e-9
        )
    assert np.sqrt(np.mean(np.square(errors))) < 0.05
    assert np.abs(pulls).max() < 4.5


def test_errors_are_as_large_as_they_say(make_shots):
    shots = make_shots(SQUARE, 3.0, 0.5, count=24, seed=2)
    pulls = [
        np.subtract(phase.offset, offset) / phase.stderr
        for phase, offset in (
            (find_phase(image, SQUARE, shots.psf), offset)
            for image, offset in zip(shots.images, shots.offset, strict=True)
        )
    ]
    # 48 numbers: the standard deviation is known to a tenth
    assert 0.7 < np.sqrt(np.mean(np.square(pulls))) < 1.4


def test_half_a_site_off_is_the_same_lattice(make_shots):
    shots = make_shots(SQUARE, 3.0, [[2.0, 2.0]])
    phase = find_phase(shots.images[0], SQUARE, shots.psf)
    assert phase.trusted
    assert np.abs(apart(phase, (2.0, 2.0), SQUARE.vectors)).max() < 0.1
    assert np.hypot(*phase.offset) < 3.0


def test_a_guess_several_sites_off_is_led_to_the_atoms(make_shots):
    shots = make_shots(SQUARE, 3.0, [[9.0, -6.5]], shape=(150, 150))
    phase = find_phase(shots.images[0], SQUARE, shots.psf)
    assert phase.trusted
    np.testing.assert_allclose(phase.offset, (9.0, -6.5), atol=0.1)


def test_lattice_larger_than_the_image(make_shots):
    lattice = Lattice.square(4.0, (60, 60), origin=(-41.0, -39.5))
    shots = make_shots(lattice, 3.0, [[0.7, -1.1]], shape=(130, 120))
    phase = find_phase(shots.images[0], lattice, shots.psf)
    assert phase.trusted
    np.testing.assert_allclose(phase.offset, (0.7, -1.1), atol=0.1)


def test_background_slope_and_hot_pixels(make_shots):
    shape = SQUARE.frame_shape(9.0)
    slope = np.linspace(40.0, 60.0, shape[1]) + np.zeros(shape)
    shots = make_shots(SQUARE, 3.0, [[0.3, -0.4]], background=slope)
    image = shots.images[0]
    hot = np.random.default_rng(0).integers(0, min(shape), (2, 20))
    image[hot[0], hot[1]] += 2000.0
    phase = find_phase(image, SQUARE, shots.psf)
    assert phase.trusted
    np.testing.assert_allclose(phase.offset, (0.3, -0.4), atol=0.1)


@pytest.mark.parametrize("atoms", [0, 1])
def test_images_that_do_not_tell_are_not_trusted(make_shots, atoms):
    occupied = np.zeros(900, dtype=bool)
    occupied[435:][:atoms] = True
    shots = make_shots(SQUARE, 3.0, 0.5, count=4, occupancy=occupied)
    for image in shots.images:
        phase = find_phase(image, SQUARE, shots.psf)
        assert not phase.trusted
        assert np.isfinite(phase.offset).all()


def test_the_border_of_a_full_lattice_tells(make_shots):
    """Where no site is empty, the sites around the lattice are."""
    shots = make_shots(SQUARE, 3.0, 1.5, count=4, occupancy=1.0)
    phases = [find_phase(image, SQUARE, shots.psf) for image in shots.images]
    for phase, offset in zip(phases, shots.offset, strict=True):
        if phase.trusted:
            np.testing.assert_allclose(phase.offset, offset, atol=0.2)


def test_a_frame_full_of_atoms_tells_nothing(make_shots):
    lattice = Lattice.square(4.0, (40, 40), origin=(-10.0, -10.0))
    shots = make_shots(lattice, 3.0, 1.5, count=4, occupancy=1.0, shape=(120, 120))
    assert not any(find_phase(image, lattice, shots.psf).trusted for image in shots.images)


@pytest.mark.parametrize("spacing", [3.2, 4.2, 4.4, 5.0])
def test_wrong_vectors_are_not_trusted(make_shots, spacing):
    lattice = Lattice.square(4.0, (50, 50))
    shots = make_shots(lattice, 3.0, 2.0, count=6)
    side = int(200 / spacing)
    wrong = Lattice.square(spacing, (side, side), origin=(12.0, 12.0))
    assert not any(find_phase(image, wrong, shots.psf).trusted for image in shots.images)


def test_tweezers_are_found_up_to_their_distance(make_shots):
    rng = np.random.default_rng(7)
    grid = np.stack(np.mgrid[:9, :9], axis=-1).reshape(-1, 2) * 11.0 + 15.0
    lattice = Lattice.from_positions(grid + rng.uniform(-2.5, 2.5, grid.shape))
    shots = make_shots(lattice, 2.0, 3.0, count=5, seed=4)
    for image, offset in zip(shots.images, shots.offset, strict=True):
        phase = find_phase(image, lattice, shots.psf)
        assert phase.trusted
        np.testing.assert_allclose(phase.offset, offset, atol=0.12)


def test_input_is_checked(make_shots):
    shots = make_shots(SQUARE, 3.0, 0.1, count=2)
    with pytest.raises(ValueError, match=r"expected an image of shape \(y, x\), found shape \(2,"):
        find_phase(shots.images, SQUARE, shots.psf)
    with pytest.raises(ValueError, match="expected an image with good pixels"):
        find_phase(np.full((140, 140), np.nan), SQUARE, shots.psf)
    with pytest.raises(ValueError, match="expected sites within a frame"):
        find_phase(shots.images[0], SQUARE.shift((900.0, 0.0)), shots.psf)


def test_equivalent_places():
    vectors = Lattice.triangular(5.0, (2, 2), angle=0.3).vectors
    rng = np.random.default_rng(0)
    for _ in range(50):
        place, near = rng.uniform(-40, 40, (2, 2))
        found = nearest_equivalent(place, reduced(vectors), near)
        steps = (found - place) @ np.linalg.inv(vectors)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
        others = found + np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ vectors
        assert np.linalg.norm(others - near, axis=1).argmin() == 4
