"""Calibrations of simulated stacks: all is compared with what the shots were made from."""

from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy.spatial import KDTree

from napari_coldatoms.lattice import Calibration, GaussianPSF, Lattice, calibrate

SQUARE = Lattice.square(4.0, (20, 20))
HWHM = 2.7
LATTICES = {
    "square": (SQUARE, HWHM),
    "rotated": (Lattice.square(4.0, (20, 20), angle=np.deg2rad(7)), 2.9),
    "rectangular": (Lattice([[5.0, 0.0], [0.0, 3.7]], (15.0, 15.0), (18, 22)), 2.8),
    "triangular": (Lattice.triangular(4.3, (20, 20)), HWHM),
    "rotated triangular": (Lattice.triangular(4.6, (18, 20), angle=np.deg2rad(12)), 2.9),
    "closer than two pixels": (Lattice.square(1.8, (24, 24), angle=0.1), 1.1),
}
NOTHING = "expected images that show a lattice or single sites, found no pattern"
CLEAN = SQUARE, HWHM, 0.4


@pytest.fixture(scope="module")
def shots(make_shots):
    """Return a function (name) that simulates shots of one of the lattices."""

    @cache
    def made(name="square", seed=1):
        return make_shots(*LATTICES[name], 0.4, count=6, seed=seed)

    return made


@pytest.fixture(scope="module")
def calibrated(shots):
    """Return a function (name) that calibrates them without a guess."""

    @cache
    def found(name="square"):
        return calibrate(shots(name).images, read_noise=2.0)

    return found


def truth(made, used=slice(None)):
    """The lattice where it is in the mean over the shots."""
    return made.lattice.shift(made.offset[used].mean(axis=0))


def check_sites(found, true, within):
    """Each true position has one found one near it, and there are no others."""
    distance, index = KDTree(true.positions).query(found.positions)
    assert len(found) == len(true) == len(np.unique(index))
    assert distance.max() < within


def doubt(calibration):
    """What an untrusted calibration says."""
    assert not calibration.quality.trusted
    assert calibration.quality.remarks
    assert "NOT TRUSTED" in repr(calibration)
    return "; ".join(calibration.quality.remarks)


@pytest.mark.parametrize("name", LATTICES)
def test_without_a_guess(shots, calibrated, name):
    lattice, hwhm = LATTICES[name]
    made, found = shots(name), calibrated(name)
    quality = found.quality
    assert quality.trusted
    assert not quality.remarks
    assert quality.trusted_shots == quality.shots == 6
    check_sites(found.lattice, truth(made), 0.3)
    spacing = np.linalg.norm(lattice.vectors, axis=1)
    angle = np.degrees(np.arctan2(lattice.vectors[:, 0], lattice.vectors[:, 1]))
    np.testing.assert_allclose(quality.spacing, spacing, rtol=0.0015)
    np.testing.assert_allclose(quality.angle, angle, atol=0.12)
    assert found.psf.hwhm == pytest.approx(hwhm, rel=0.02)
    # six shots tell the errors themselves to a third
    assert np.all(
        np.abs(np.subtract(quality.spacing, spacing)) < 5 * np.array(quality.spacing_error)
    )
    assert np.all(np.abs(np.subtract(quality.angle, angle)) < 5 * np.array(quality.angle_error))
    assert abs(found.psf.hwhm - hwhm) < 5 * quality.hwhm_error
    assert max(quality.spacing_error) < 0.001 * max(spacing)
    offset = made.offset - made.offset.mean(axis=0)
    np.testing.assert_allclose(found.phase_track.offset, offset, atol=0.25)


def test_imaging_parameters_come_with_it(calibrated):
    parameters, quality = calibrated().parameters, calibrated().quality
    assert parameters.brightness == pytest.approx(1000, rel=0.05)
    assert parameters.occupancy == pytest.approx(0.5, abs=0.05)
    assert parameters.background == pytest.approx(50, rel=0.1)
    assert parameters.read_noise == pytest.approx(2.0)
    assert quality.snr_db == pytest.approx(17.4, abs=0.7)
    assert quality.contrast > 10
    assert quality.predicted_error_rate < 0.005


def test_its_reconstructor_finds_the_atoms(shots, calibrated):
    made, found = shots(), calibrated()
    reconstructor = found.reconstructor()
    _, index = KDTree(truth(made).positions).query(found.lattice.positions)
    for image, occupied in zip(made.images, made.occupied, strict=True):
        result = reconstructor.reconstruct(image, read_noise=2.0)
        assert np.mean(result.occupied != occupied[index]) < 0.01


@pytest.mark.parametrize(
    "guess",
    [
        SQUARE.shift((2.0, 2.0)),
        SQUARE.shift((0.0, 2.0)),
        Lattice.square(4.08, (20, 20), origin=(11.2, 11.2)),
        Lattice.square(4.0, (20, 20), angle=np.deg2rad(2)),
    ],
    ids=["half a site", "half a site along x", "2 % wrong", "2° wrong"],
)
def test_guesses_that_are_a_little_wrong(shots, guess):
    found = calibrate(shots().images, guess=guess, read_noise=2.0)
    assert found.quality.trusted
    check_sites(found.lattice, truth(shots()), 0.3)
    assert found.lattice.shape == (20, 20)


@pytest.mark.parametrize("spacing", [2.8, 5.2])
def test_a_guess_that_is_far_off_is_not_trusted(shots, spacing):
    found = calibrate(shots().images, guess=Lattice.square(spacing, (15, 15)), read_noise=2.0)
    assert "show" in doubt(found)


def test_a_guess_of_too_few_rows(shots):
    made = shots()
    # as many rows less on either side
    few = Lattice(SQUARE.vectors, np.array(SQUARE.origin) + 12.0, (14, 14))
    assert "atoms beyond the last rows" in doubt(calibrate(made.images, guess=few, read_noise=2.0))
    found = calibrate(made.images, guess=few, extent="found", read_noise=2.0)
    assert found.quality.trusted
    check_sites(found.lattice, truth(made), 0.3)


def test_a_calibration_as_guess(shots, calibrated):
    """With the PSF that it has; the lattice keeps its shape and its mask."""
    again = calibrate(shots(seed=5).images, guess=calibrated(), read_noise=2.0)
    assert again.quality.trusted
    check_sites(again.lattice, truth(shots(seed=5)), 0.3)
    mask = np.ones((20, 20), dtype=bool)
    mask[:3, :3] = False
    part = calibrate(shots().images, guess=SQUARE.select(mask), read_noise=2.0)
    np.testing.assert_array_equal(part.lattice.mask, mask)
    check_sites(part.lattice, truth(shots()).select(mask), 0.3)


def arbitrary(seed=0, number=40, shape=(110, 130)):
    rng = np.random.default_rng(seed)
    places = np.zeros((0, 2))
    while len(places) < number:
        place = rng.uniform((8, 8), np.array(shape) - 9)
        if not len(places) or np.hypot(*(places - place).T).min() >= 9:
            places = np.vstack([places, place])
    return Lattice.from_positions(places), shape


@pytest.mark.parametrize("guessed", [False, True])
def test_tweezers_at_arbitrary_positions(make_shots, guessed):
    lattice, shape = arbitrary()
    made = make_shots(lattice, 2.0, 0.2, count=10, shape=shape, seed=3)
    rng = np.random.default_rng(1)
    guess = Lattice.from_positions(lattice.positions + rng.uniform(-1, 1, (40, 2)))
    found = calibrate(made.images, guess=guess if guessed else None, read_noise=2.0)
    assert found.quality.trusted
    assert not found.lattice.is_regular
    check_sites(found.lattice, truth(made), 0.35)
    assert found.psf.hwhm == pytest.approx(2.0, rel=0.02)
    assert found.quality.angle == ()


@pytest.mark.parametrize("side", [3, 5])
def test_a_small_array_far_apart(make_shots, side):
    """Its sites are found one by one, whether taken for a lattice or for single ones."""
    lattice = Lattice.square(9.0, (side, side), origin=(13.0, 13.0))
    made = make_shots(lattice, 2.0, 0.2, count=10, shape=lattice.frame_shape(13.0), seed=2)
    found = calibrate(made.images, read_noise=2.0)
    assert found.quality.trusted
    check_sites(found.lattice, truth(made), 0.4)


def test_images_without_a_lattice_are_refused(make_shots):
    rng = np.random.default_rng(0)
    single = np.zeros(400, dtype=bool)
    single[210] = True
    for images in (
        rng.poisson(50.0, (6, 90, 90)),
        rng.normal(0.0, 1.0, (6, 90, 90)),
        make_shots(*CLEAN, count=6, occupancy=single).images,
        np.zeros((6, 60, 60)),
        rng.poisson(50.0, (6, 1, 40)),
        rng.poisson(50.0, (6, 3, 4)),
        rng.poisson(50.0, (6, 16, 16)),
    ):
        with pytest.raises(ValueError, match=NOTHING):
            calibrate(images)
    with pytest.raises(ValueError, match="expected images that show a lattice, found"):
        calibrate(rng.poisson(50.0, (6, 90, 90)), arrangement="regular")
    with pytest.raises(ValueError, match="expected images that show sites, found"):
        calibrate(rng.poisson(50.0, (6, 90, 90)), arrangement="positions")


def test_a_full_lattice(make_shots):
    """Its border tells where a guess has to be; without one, nothing tells the vectors."""
    made = make_shots(*CLEAN, count=6, occupancy=1.0, seed=1)
    with pytest.raises(ValueError, match=NOTHING):
        calibrate(made.images, read_noise=2.0)
    found = calibrate(made.images, guess=SQUARE.shift((0.4, -0.6)), read_noise=2.0)
    if found.quality.trusted:
        check_sites(found.lattice, truth(made), 0.5)


def test_a_lattice_larger_than_the_image(make_shots):
    lattice = Lattice.square(4.0, (34, 34), origin=(-20.0, -21.0))
    made = make_shots(lattice, HWHM, 0.4, count=6, shape=(84, 91), seed=1)
    found = calibrate(made.images, read_noise=2.0)
    assert found.quality.trusted
    distance, _ = KDTree(truth(made).positions).query(found.lattice.positions)
    assert distance.max() < 0.3
    inside = truth(made).inside((84, 91))
    assert len(found.lattice) >= inside.sum()


def test_a_single_image(shots):
    for images in (shots().images[0], shots().images[:1]):
        found = calibrate(images, read_noise=2.0)
        check_sites(found.lattice, SQUARE.shift(shots().offset[0]), 0.5)
        assert found.quality.remarks == (
            "a single shot does not tell the errors of the vectors and the width",
        )
        assert np.isinf(found.quality.spacing_error).all()


def test_bad_frames_among_good_ones(shots):
    images = list(shots().images)
    images[2] = np.full_like(images[2], np.nan)
    images[4] = np.ones((3, 4))
    found = calibrate(images, read_noise=2.0)
    assert found.quality.trusted
    assert (found.quality.shots, found.quality.trusted_shots) == (6, 4)
    assert found.phase_track.trusted.tolist() == [True, True, False, True, False, True]
    check_sites(found.lattice, truth(shots(), [0, 1, 3, 5]), 0.3)


def test_mostly_empty_shots_are_not_trusted(shots):
    images = shots().images.copy()
    images[1:5] = np.random.default_rng(0).poisson(50.0, images[1:5].shape)
    found = calibrate(images, guess=SQUARE, read_noise=2.0)
    assert "only 2 of 6 shots show the sites clearly" in doubt(found)


def test_drift_over_several_sites(make_shots):
    drift = np.arange(10)[:, None] * np.array([0.6, -0.5])
    made = make_shots(SQUARE, HWHM, drift, shape=(108, 108), seed=4)
    times = np.arange(10) ** 1.5
    found = calibrate(made.images, guess=SQUARE, read_noise=2.0, times=times)
    assert found.quality.trusted
    track = found.phase_track
    assert track.trusted.all()
    np.testing.assert_array_equal(track.time, times)
    np.testing.assert_allclose(track.offset - track.offset[0], drift, atol=0.3)


def test_what_disturbs_images(shots):
    rng = np.random.default_rng(1)
    images = shots().images.copy()
    shape = images.shape[1:]
    images += 25 * np.linspace(-1, 1, shape[1])
    hot = rng.integers(0, min(shape), (2, 15))
    images[:, hot[0], hot[1]] += 2000.0
    for image in images:
        hit = rng.integers(0, min(shape), (2, 8))
        image[hit[0], hit[1]] += rng.uniform(500, 5000, 8)
    found = calibrate(images, read_noise=2.0)
    assert found.quality.trusted
    check_sites(found.lattice, truth(shots()), 0.3)
    assert found.psf.hwhm == pytest.approx(HWHM, rel=0.02)


@pytest.mark.parametrize("kind", ["uint16", "int64", "float32", "negative", "masked"])
def test_any_kind_of_numbers(shots, kind):
    images = shots().images
    if kind == "negative":
        images = images - 300.0
    elif kind == "masked":
        images = np.ma.masked_array(images, np.zeros(images.shape, dtype=bool))
        images[:, 30:33, 40:42] = np.ma.masked
    else:
        images = images.round().astype(kind)
    found = calibrate(images, read_noise=2.0)
    check_sites(found.lattice, truth(shots()), 0.3)
    assert found.quality.trusted


def test_a_stack_with_its_source_and_progress(shots, calibrated):
    stack = xr.DataArray(shots().images, dims=("shot", "y", "x"), attrs={"source": "run 7"})
    steps = []
    found = calibrate(stack, read_noise=2.0, on_progress=lambda *step: steps.append(step))
    assert found.source == "run 7"
    assert calibrate(stack, guess=found, source="told", read_noise=2.0).source == "told"
    done, total = np.array(steps).T
    assert (np.diff(done) > 0).all()
    assert done[-1] == total[-1]
    assert len(set(total)) == 1
    # the same again, bit by bit
    assert isinstance(found, Calibration)
    np.testing.assert_array_equal(found.lattice.positions, calibrated().lattice.positions)
    assert found.psf == calibrated().psf
    assert found.quality == calibrated().quality


def test_what_is_refused(shots):
    images = shots().images
    with pytest.raises(ValueError, match="expected arrangement one of"):
        calibrate(images, arrangement="square")
    with pytest.raises(ValueError, match="expected psf_shape one of"):
        calibrate(images, psf_shape="Airy")
    with pytest.raises(ValueError, match="expected images, found none"):
        calibrate([])
    with pytest.raises(ValueError, match="expected 6 times"):
        calibrate(images, times=[1.0, 2.0])
    with pytest.raises(ValueError, match=r"expected images of shape \(y, x\), found shape \(7,\)"):
        calibrate([np.ones(7)])
    with pytest.raises(ValueError, match="with finite pixels, found none"):
        calibrate(np.full((3, 50, 50), np.nan))
    with pytest.raises(ValueError, match="read_noise"):
        calibrate(images, read_noise=-1.0)
    with pytest.raises(ValueError, match="expected sites within a frame"):
        calibrate(images, guess=SQUARE.shift((900.0, 0.0)))


def test_the_psf_stays_where_it_fits(calibrated):
    assert isinstance(calibrated().psf, GaussianPSF)
