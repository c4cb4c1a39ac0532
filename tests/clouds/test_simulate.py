"""Simulated raw frames against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate import (
    Fringe,
    optical_depth_noise,
    probe_light,
    random_empty_triplet,
    random_fringes,
    random_gaussian,
    simulate_fluorescence,
    simulate_triplet,
)

CLOUD = Gaussian2D(x0=70.0, y0=45.0, wx=30.0, wy=12.0, theta=0.4, peak=1.5, background=0.0)


def frame(stack, role):
    return stack.sel(frame=role).to_numpy().astype(float)


def plain_optical_depth(stack):
    """Return -ln[(atoms - dark)/(probe - dark)], without any correction."""
    dark = frame(stack, "dark")
    return -np.log((frame(stack, "atoms") - dark) / (frame(stack, "probe") - dark))


def equation_1(cloud, shape):
    """Return Eq. 1 of Hofer et al. 2021, arXiv:2011.10536, written out."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    u = (x - cloud.x0) * np.cos(cloud.theta) + (y - cloud.y0) * np.sin(cloud.theta)
    v = -(x - cloud.x0) * np.sin(cloud.theta) + (y - cloud.y0) * np.cos(cloud.theta)
    return cloud.background + cloud.peak * np.exp(-2 * (u**2 / cloud.wx**2 + v**2 / cloud.wy**2))


def test_noiseless_optical_depth_is_the_sum_of_the_clouds():
    other = Gaussian2D(x0=20.0, y0=80.0, wx=9.0, wy=8.0, theta=0.0, peak=0.6, background=0.0)
    stack = simulate_triplet(
        [CLOUD, other],
        shape=(100, 140),
        probe_level=20_000,
        power_ratio=0.97,
        vignette=0.3,
        structure=0.12,
        dust=3,
        noise=False,
        rng=1,
    )
    truth = equation_1(CLOUD, (100, 140)) + equation_1(other, (100, 140)) - np.log(0.97)
    # quantisation: half a count in each frame
    dark = frame(stack, "dark")
    step = 0.5 / (frame(stack, "atoms") - dark) + 0.5 / (frame(stack, "probe") - dark)
    assert step.max() < 1e-3
    assert np.all(np.abs(plain_optical_depth(stack) - truth) < 1.01 * step)


def test_mean_of_many_noisy_triplets_is_the_truth():
    rng = np.random.default_rng(2)
    stacks = [
        simulate_triplet([CLOUD], shape=(90, 140), probe_level=4000, gain=1.0, rng=rng)
        for _ in range(40)
    ]
    means = {
        role: np.mean([frame(s, role) for s in stacks], axis=0) for role in stacks[0].frame.values
    }
    depth = -np.log((means["atoms"] - means["dark"]) / (means["probe"] - means["dark"]))
    error = depth - equation_1(CLOUD, depth.shape)
    expected = optical_depth_noise(
        4000 * np.exp(-equation_1(CLOUD, depth.shape)), 4000, gain=1.0, read_noise=3.0
    ) / np.sqrt(40)
    pulls = error / expected
    assert abs(pulls.mean()) < 5 / np.sqrt(pulls.size)
    assert pulls.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("level", "gain", "read_noise", "ratio"),
    [(4000, 2.0, 0.5, 1.0), (800, 0.2, 7.5, 1.0), (2000, 0.5, 20.0, 0.6)],
)
def test_noise_is_the_closed_form(level, gain, read_noise, ratio):
    stack = simulate_triplet(
        (),
        shape=(400, 400),
        probe_level=level,
        gain=gain,
        read_noise=read_noise,
        power_ratio=ratio,
        dark_offset=200,
        rng=3,
    )
    atoms, probe = level * ratio, level
    # shot noise is one over the number of electrons of each frame; the dark frame is shared
    shot = 1 / (atoms / gain) + 1 / (probe / gain)
    read = (read_noise**2 + 1 / 12) * (1 / atoms**2 + 1 / probe**2 + (1 / atoms - 1 / probe) ** 2)
    expected = np.sqrt(shot + read)
    depth = plain_optical_depth(stack)
    # 160 000 pixels know the standard deviation to 0.2 %; the logarithm's second order adds less
    assert depth.std() == pytest.approx(expected, rel=0.01)
    predicted = optical_depth_noise(atoms, probe, gain=gain, read_noise=read_noise)
    assert float(predicted) == pytest.approx(expected, rel=1e-12)


def test_photon_transfer_curve_gives_the_gain():
    stack = simulate_triplet(
        (), shape=(300, 300), probe_level=3000, gain=4.0, read_noise=2.0, rng=4
    )
    probe, dark = frame(stack, "probe"), frame(stack, "dark")
    assert dark.mean() == pytest.approx(100, abs=0.05)
    assert dark.std() == pytest.approx(np.sqrt(4 + 1 / 12), rel=0.02)
    assert (probe.var() - dark.var()) / (probe.mean() - dark.mean()) == pytest.approx(4, rel=0.03)


def test_power_ratio_shows_outside_the_cloud():
    stack = simulate_triplet((), shape=(200, 200), power_ratio=1.03, structure=0.15, rng=5)
    dark = frame(stack, "dark").mean()
    ratio = (frame(stack, "atoms").mean() - dark) / (frame(stack, "probe").mean() - dark)
    assert ratio == pytest.approx(1.03, abs=1e-3)
    assert stack.attrs["truth"]["power_ratio"] == 1.03


def test_seed_reproduces_every_bit():
    def make(seed):
        return simulate_triplet([CLOUD], fringes=3, structure=0.1, dust=4, shape=(80, 90), rng=seed)

    assert make(7).identical(make(7))
    assert not np.array_equal(make(7), make(8))
    first = random_empty_triplet(np.random.default_rng(9), (64, 64))
    assert first.identical(random_empty_triplet(np.random.default_rng(9), (64, 64)))


def test_stack_is_a_raw_triplet_with_truth():
    stack = simulate_triplet([CLOUD], shape=(100, 140), pixel_size=3.2, labels=["ODT"], rng=6)
    assert stack.dims == ("frame", "y", "x")
    assert stack.dtype == np.uint16
    assert list(stack.frame.values) == ["atoms", "probe", "dark"]
    assert stack.attrs["kind"] == "counts"
    assert stack.attrs["roles_certain"] is True
    assert float(stack.x[1] - stack.x[0]) == pytest.approx(3.2)
    truth = stack.attrs["truth"]["clouds"][0]
    assert truth["label"] == "ODT"
    assert Gaussian2D(**{k: v for k, v in truth.items() if k not in ("label", "box")}) == CLOUD
    # the box is that of the pixels inside the 1/e² ellipse, to a pixel
    rows, columns = np.nonzero(equation_1(CLOUD, (100, 140)) > CLOUD.peak * np.exp(-2))
    y0, x0, y1, x1 = truth["box"]
    np.testing.assert_allclose(
        (y0, x0, y1, x1),
        (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1),
        atol=1,
    )


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_full_scale_clips(bits):
    stack = simulate_triplet((), shape=(50, 50), probe_level=1e5, bits=bits, rng=10)
    assert stack.attrs["saturation"] == 2**bits - 1
    assert int(stack.sel(frame="probe").min()) == int(stack.max()) == 2**bits - 1
    assert int(stack.sel(frame="dark").max()) < 150


@pytest.mark.parametrize("period", [8.0, 64.0])
@pytest.mark.parametrize("shift", [np.pi / 3, 2.0])
def test_fringes_have_the_asked_period_and_amplitude(period, shift):
    # along x, a whole number of periods: one line of the spectrum
    fringe = Fringe(amplitude=0.03, period=period, phase=0.7, shift=shift)
    stack = simulate_triplet((), shape=(32, 256), probe_level=40_000, fringes=[fringe], noise=False)
    depth = plain_optical_depth(stack)
    spectrum = 2 * np.abs(np.fft.rfft(depth.mean(axis=0))) / 256
    assert np.argmax(spectrum[1:]) + 1 == 256 / period
    expected = 2 * 0.03 * np.sin(shift / 2)
    assert spectrum[int(256 / period)] == pytest.approx(expected, rel=0.01)
    assert fringe.optical_depth == pytest.approx(expected)


def test_fringes_run_across_the_asked_angle_and_cancel_when_they_stand_still():
    angle = np.arctan2(3, 4)
    still = Fringe(amplitude=0.05, period=256 / 5, angle=angle, shift=0.0)
    moved = Fringe(amplitude=0.05, period=256 / 5, angle=angle)
    same = simulate_triplet((), shape=(256, 256), probe_level=40_000, fringes=[still], noise=False)
    assert np.ptp(plain_optical_depth(same)) == 0
    stack = simulate_triplet((), shape=(256, 256), probe_level=40_000, fringes=[moved], noise=False)
    spectrum = np.abs(np.fft.rfft2(plain_optical_depth(stack)))
    spectrum[0, 0] = 0
    assert np.unravel_index(np.argmax(spectrum), spectrum.shape) == (3, 4)


def test_random_fringes_stay_in_the_measured_ranges():
    systems = random_fringes(np.random.default_rng(11), 300)
    for fringe in systems:
        assert 10**-2.31 <= fringe.optical_depth <= 10**-1.19
        assert 4 <= fringe.period <= 16 or 30 <= fringe.period <= 130
    assert 100 < sum(fringe.period <= 16 for fringe in systems) < 200


def test_probe_light_has_the_asked_structure_and_vignette():
    light = probe_light((300, 300), structure=0.15, rng=12)
    assert light.mean() == pytest.approx(1)
    assert light.std() == pytest.approx(0.15, rel=0.02)
    beam = probe_light((301, 301), vignette=0.4)
    assert beam[0, 0] / beam[150, 150] == pytest.approx(0.6)
    shared = simulate_triplet((), shape=(300, 300), light=light, probe_level=30_000, rng=13)
    # structure common to both frames leaves the optical depth
    assert plain_optical_depth(shared).std() < 0.01


def test_fluorescence_difference_is_the_cloud():
    cloud = Gaussian2D(x0=60.0, y0=50.0, wx=25.0, wy=20.0, theta=0.2, peak=40.0, background=0.0)
    rng = np.random.default_rng(14)
    shots = [simulate_fluorescence([cloud], shape=(100, 120), rng=rng) for _ in range(30)]
    assert list(shots[0].frame.values) == ["fluorescence", "background"]
    light = np.mean([frame(s, "fluorescence") - frame(s, "background") for s in shots], axis=0)
    error = light - equation_1(cloud, light.shape)
    # shot noise of (58 + 18) counts at half a count per electron, read noise twice, 30 shots
    assert error.std() < 1.05 * np.sqrt((0.5 * (58 + 18) + 2 * 9.1) / 30)
    assert abs(error.mean()) < 0.06
    assert shots[0].attrs["truth"]["stray_light"] == 18


def test_random_gaussians_lie_whole_in_the_frame():
    rng = np.random.default_rng(15)
    for _ in range(300):
        shape = (128, 256)
        cloud = random_gaussian(rng, shape, noise=0.05)
        assert cloud.wy >= 3
        assert 1 <= cloud.wx / cloud.wy <= 8
        assert 0.25 <= cloud.peak <= 6
        angle = np.linspace(0, 2 * np.pi, 200)
        u, v = 2 * cloud.wx * np.cos(angle), 2 * cloud.wy * np.sin(angle)
        x = cloud.x0 + 0.5 + u * np.cos(cloud.theta) - v * np.sin(cloud.theta)
        y = cloud.y0 + 0.5 + u * np.sin(cloud.theta) + v * np.cos(cloud.theta)
        assert x.min() > -1e-9
        assert x.max() < 256 + 1e-9
        assert y.min() > -1e-9
        assert y.max() < 128 + 1e-9


def test_random_empty_triplets_have_noise_in_the_measured_range():
    rng = np.random.default_rng(16)
    for _ in range(12):
        stack = random_empty_triplet(rng, (128, 128))
        assert stack.attrs["truth"]["clouds"] == []
        assert 1 <= len(stack.attrs["truth"]["fringes"]) <= 3
        assert 0.96 <= stack.attrs["truth"]["power_ratio"] <= 1.03
        dark = frame(stack, "dark")
        signal = [frame(stack, role) - dark for role in ("atoms", "probe")]
        middle = (slice(32, 96), slice(32, 96))
        lit = (signal[0][middle] > 0) & (signal[1][middle] > 0)
        assert lit.mean() > 0.99
        depth = np.where(lit, -np.log(np.where(lit, signal[0][middle] / signal[1][middle], 1)), 0)
        # neighbours differ by the noise times sqrt(2), plus what the fringes add
        assert 0.004 < np.diff(depth, axis=1).std() / np.sqrt(2) < 0.3


def test_wrong_parameters_are_named():
    with pytest.raises(ValueError, match="one label per cloud"):
        simulate_triplet([CLOUD], labels=["a", "b"], rng=1)
    with pytest.raises(ValueError, match="gain > 0"):
        simulate_triplet((), gain=0.0)
    with pytest.raises(ValueError, match="1 to 16 bits"):
        simulate_triplet((), bits=20)
    with pytest.raises(ValueError, match="light of shape"):
        simulate_triplet((), shape=(20, 30), light=np.ones((30, 20)))
    with pytest.raises(ValueError, match="vignette"):
        probe_light((20, 20), vignette=1.0)
    with pytest.raises(ValueError, match="holds a cloud"):
        random_gaussian(np.random.default_rng(1), (10, 10))


def test_bent_fringes_in_a_spot_are_the_formula():
    fringe = Fringe(0.1, 9.0, 0.4, 0.3, shift=0.7, curvature=2e-3, spot=(30.0, 50.0, 25.0))
    y, x = np.mgrid[:80, :90]
    phase = 2 * np.pi / 9 * (x * np.cos(0.4) + y * np.sin(0.4)) + 0.3 + 0.7 + 2e-3 * (x**2 + y**2)
    envelope = np.exp(-((y - 30) ** 2 + (x - 50) ** 2) / 25**2)
    expected = 1 + 0.1 * envelope * np.cos(phase)
    np.testing.assert_allclose(fringe.factor((80, 90), moved=True), expected, atol=1e-12)
