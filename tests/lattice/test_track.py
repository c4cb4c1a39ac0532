import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, Lattice, Phase, track_phase
from napari_coldatoms.lattice.track import (
    checked_times,
    counted_images,
    make_track,
    spread,
)

LATTICE = Lattice.square(4.0, (20, 20), origin=(24.0, 24.0))
SHAPE = (128, 128)
HWHM = 2.8


def line(count, step, start=(0.0, 0.0)):
    return np.array(start) + np.arange(count)[:, None] * np.array(step)


def steps_apart(offset, true):
    """Distance of offsets up to one and the same step of the lattice for all."""
    apart = offset - true
    return apart - 4.0 * np.rint(np.median(apart, axis=0) / 4.0)


def test_a_slow_drift_goes_over_many_sites(make_shots):
    drift = line(14, (0.9, -0.6))
    shots = make_shots(LATTICE, HWHM, drift, shape=SHAPE)
    track = track_phase(shots.images, LATTICE, shots.psf, read_noise=2.0)
    assert track.trusted.all()
    assert not track.outlier.any()
    assert np.abs(steps_apart(track.offset, drift)).max() < 0.3
    assert np.abs((track.offset - drift) / track.stderr).max() < 5
    np.testing.assert_array_equal(track.offset, track.measured)
    assert len(track) == 14
    assert repr(track) == "PhaseTrack(14 of 14 shots trusted, range " + (
        f"{np.ptp(track.offset[:, 0]):.2f} px along y, {np.ptp(track.offset[:, 1]):.2f} px along x)"
    )


def test_shots_that_do_not_tell_are_interpolated(make_shots):
    drift = line(10, (0.05, 0.1))
    shots = make_shots(LATTICE, HWHM, drift, shape=SHAPE)
    images = shots.images.copy()
    images[3] = np.random.default_rng(0).poisson(50.0, SHAPE)
    images[6] = np.nan
    times = np.array([0.0, 1, 2, 5, 6, 7, 8, 9, 10, 11])
    done = []
    track = track_phase(images, LATTICE, shots.psf, times=times, on_progress=done.append)
    assert done == list(range(1, 11))
    assert track.trusted.tolist() == [k not in (3, 6) for k in range(10)]
    assert np.isfinite(track.measured[3]).all()
    assert np.isnan(track.measured[6]).all()
    assert track.contrast[6] == track.significance[6] == 0
    # three quarters of the way from shot 2 to shot 4; halfway from shot 5 to shot 7
    np.testing.assert_allclose(track.offset[3], track.offset[[2, 4, 4, 4]].mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(track.offset[6], track.offset[[5, 7]].mean(axis=0), atol=1e-9)
    assert np.isfinite(track.stderr).all()
    assert track.stderr[3].min() > np.median(track.stderr[track.trusted])
    np.testing.assert_array_equal(track.time, times)


def test_no_shot_tells():
    images = np.random.default_rng(1).poisson(50.0, (4, *SHAPE))
    track = track_phase(images, LATTICE, GaussianPSF(HWHM))
    assert not track.trusted.any()
    assert np.isnan(track.offset).all()
    assert "0 of 4 shots trusted, range nan px" in repr(track)


def test_images_one_by_one_and_one_that_does_not_fit(make_shots):
    shots = make_shots(LATTICE, HWHM, line(5, (0.1, 0.0)), shape=SHAPE)
    images = [*shots.images[:2], np.ones((3, 4)), *shots.images[3:]]
    track = track_phase(iter(images), LATTICE, shots.psf)
    assert track.trusted.tolist() == [True, True, False, True, True]
    whole = track_phase(shots.images, LATTICE, shots.psf)
    np.testing.assert_array_equal(track.offset[[0, 1]], whole.offset[[0, 1]])


@pytest.mark.parametrize(("spacing", "side", "hwhm"), [(9.0, 3, 2.0), (9.0, 5, 2.0), (4.0, 7, 2.8)])
def test_few_sites_share_their_modes(make_shots, spacing, side, hwhm):
    """A few brightnesses make no histogram of two modes, those of all shots do."""
    lattice = Lattice.square(spacing, (side, side), origin=(15.0, 15.0))
    shape = lattice.frame_shape(15.0)
    shots = make_shots(lattice, hwhm, 0.4, count=16, shape=shape, seed=2)
    images = shots.images.copy()
    images[4] = np.random.default_rng(0).poisson(50.0, shape)
    track = track_phase(images, lattice, shots.psf, read_noise=2.0)
    assert not track.trusted[4]
    enough = shots.occupied.sum(axis=1) >= 3
    assert track.trusted[enough].mean() > 0.8
    error = (track.offset - shots.offset)[track.trusted]
    assert np.sqrt(np.mean(error**2)) < 0.12


def made(places, *, significance=20.0, trusted=True, stderr=0.03):
    flags = np.broadcast_to(trusted, len(places))
    heights = np.broadcast_to(significance, len(places))
    return [
        None
        if not np.isfinite(place).all()
        else Phase(
            LATTICE.shift(place), tuple(place), (stderr, stderr), 10.0, float(height), bool(flag)
        )
        for place, height, flag in zip(places, heights, flags, strict=True)
    ]


def test_a_weak_outlier_is_not_trusted():
    rng = np.random.default_rng(0)
    places = line(20, (0.02, 0.01)) + rng.normal(0, 0.03, (20, 2))
    places[8] += (0.0, 1.5)
    heights = np.full(20, 20.0)
    for height, believed in ((4.0, False), (9.0, True)):
        heights[8] = height
        track = make_track(made(places, significance=heights), np.arange(20.0))
        assert np.flatnonzero(track.outlier).tolist() == [8]
        assert track.trusted[8] == believed
        np.testing.assert_array_equal(track.measured, places)
        expected = places[8] if believed else places[[7, 9]].mean(axis=0)
        np.testing.assert_allclose(track.offset[8], expected)


def test_jumps_are_no_outliers():
    """Half of the shots elsewhere: neither half is an outlier for long."""
    places = np.where(np.arange(30)[:, None] < 15, 0.0, 1.5) + np.zeros((30, 2))
    places += np.random.default_rng(0).normal(0, 0.03, places.shape)
    track = make_track(made(places), np.arange(30.0))
    assert track.trusted.all()
    np.testing.assert_array_equal(track.offset, places)
    # at most those next to the jump
    assert set(np.flatnonzero(track.outlier)) <= set(range(10, 20))


def test_before_the_first_and_after_the_last_trusted_shot():
    places = line(6, (1.0, 2.0))
    flags = np.array([False, True, True, False, True, False])
    track = make_track(made(places, trusted=flags, stderr=0.05), np.array([0.0, 1, 2, 4, 10, 11]))
    np.testing.assert_array_equal(track.trusted, flags)
    np.testing.assert_allclose(track.offset[[0, 5]], places[[1, 4]])
    np.testing.assert_allclose(track.offset[3], places[2] + 0.25 * (places[4] - places[2]))
    assert (track.stderr >= 0.05).all()


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_shots(count):
    places = line(count, (3.0, -3.0))
    track = make_track(made(places), np.arange(float(count)))
    assert track.trusted.all()
    assert not track.outlier.any()
    np.testing.assert_array_equal(track.offset, places)


def test_shots_without_phase():
    places = line(5, (0.1, 0.1))
    places[2] = np.nan
    track = make_track(made(places), np.arange(5.0))
    assert np.isnan(track.measured[2]).all()
    np.testing.assert_allclose(track.offset, line(5, (0.1, 0.1)))
    nothing = make_track([None, None], np.arange(2.0))
    assert np.isnan(nothing.offset).all()
    assert not nothing.trusted.any()


def test_input_is_checked():
    psf = GaussianPSF(HWHM)
    image = np.random.default_rng(0).poisson(50.0, SHAPE)
    with pytest.raises(ValueError, match="expected images, found none"):
        track_phase([], LATTICE, psf)
    with pytest.raises(ValueError, match=r"expected a stack of images .* found 2 dimensions"):
        track_phase(image, LATTICE, psf)
    with pytest.raises(ValueError, match="expected 2 times, one for each image"):
        track_phase([image, image], LATTICE, psf, times=[0.0])
    for times in ([1.0, 0.0], [0.0, np.nan], [0.0, 0.0]):
        with pytest.raises(ValueError, match="expected finite, ascending times"):
            track_phase([image, image], LATTICE, psf, times=times)
    with pytest.raises(ValueError, match="expected an image with good pixels, found none"):
        track_phase(np.full((2, *SHAPE), np.nan), LATTICE, psf)


def test_times_and_images_counted():
    np.testing.assert_array_equal(checked_times(None, 3), [0.0, 1.0, 2.0])
    assert len(counted_images(np.ones((2, 5, 5)) for _ in range(3))) == 3
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    assert spread(3, 40).tolist() == [0, 1, 2]
    assert spread(1, 5).tolist() == [0]


def test_strong_patterns_tell_the_place_by_themselves(make_shots):
    """Jumps by more than half a site included: the sites are those that hold the atoms."""
    lattice = Lattice.square(4.0, (40, 40), origin=(16.0, 16.0))
    places = np.array([(0.0, 0.0), (0.3, -0.2), (2.7, 0.4), (-1.6, -2.5), (3.4, 3.1), (0.1, 4.3)])
    shots = make_shots(lattice, 3.0, places, shape=(190, 190))
    track = track_phase(shots.images, lattice, shots.psf, read_noise=2.0, fine=False)
    assert track.trusted.all()
    assert np.isnan(track.contrast).all()
    assert track.significance.min() > 8
    # coarse ones have errors of a few hundredths of a pixel, and say so
    assert np.abs(track.offset - places).max() < 0.2
    assert np.abs((track.offset - places) / track.stderr).max() < 4
    fine = track_phase(shots.images, lattice, shots.psf, read_noise=2.0)
    assert np.abs(fine.offset - places).max() < 0.1


def test_weak_patterns_and_few_sites_go_the_whole_way(make_shots):
    drift = line(4, (0.1, -0.2))
    shots = make_shots(LATTICE, HWHM, drift, shape=SHAPE)
    images = shots.images.copy()
    images[2] = np.random.default_rng(0).poisson(50.0, SHAPE)
    done = []
    found = track_phase(images, LATTICE, shots.psf, fine=False, on_progress=done.append)
    whole = track_phase(images, LATTICE, shots.psf)
    np.testing.assert_array_equal(found.offset, whole.offset)
    np.testing.assert_array_equal(found.trusted, [True, True, False, True])
    assert np.isfinite(found.contrast).all()
    assert done == [1, 2, 3, 4]


@pytest.mark.parametrize("fine", [True, False])
def test_progress_may_end_it(make_shots, fine):
    shots = make_shots(LATTICE, HWHM, line(3, (0.1, 0.0)), shape=SHAPE)

    def stop(done):
        raise InterruptedError(done)

    with pytest.raises(InterruptedError, match="1"):
        track_phase(shots.images, LATTICE, shots.psf, fine=fine, on_progress=stop)
