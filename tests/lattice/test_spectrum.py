import math

import numpy as np
import pytest

from napari_coldatoms.lattice import AiryPSF, GaussianPSF, Lattice
from napari_coldatoms.lattice.spectrum import (
    Spectrum,
    doubled,
    filtered,
    find_psf,
    fit_power,
    fluctuations,
    transfer_function,
)


def test_transfer_function_of_a_gaussian_is_a_gaussian():
    psf = GaussianPSF(2.5, cutoff=15.0)
    shape = (64, 51)
    fy, fx = np.fft.fftfreq(64)[:, None], np.fft.rfftfreq(51)[None]
    expected = np.exp(-2 * np.pi**2 * psf.sigma**2 * (fy**2 + fx**2)) * np.sinc(fy) * np.sinc(fx)
    # the light of an odd number of pixels, aliased
    np.testing.assert_allclose(transfer_function(psf, shape), expected, atol=2e-4)


def test_transfer_function_of_an_airy_pattern_ends_at_the_aperture():
    """The transfer function of a round lens is 0 beyond 2 NA / wavelength = 1.22 / radius."""
    transfer = transfer_function(AiryPSF(5.0, cutoff=60.0), (160, 160))
    frequency = np.hypot(np.fft.fftfreq(160)[:, None], np.fft.rfftfreq(160)[None])
    assert np.abs(transfer[frequency > 1.25 * 1.2197 / 5.0]).max() < 0.01
    assert transfer[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("hwhm", [2.0, 3.0, 3.5])
def test_width_of_the_psf_without_a_lattice(make_shots, hwhm):
    shots = make_shots(Lattice.square(4.0, (30, 30)), hwhm, 0.4, count=12, seed=3)
    found = find_psf(fluctuations(shots.images))
    assert found is not None
    assert found[0].hwhm == pytest.approx(hwhm, rel=0.02)


def test_signal_and_noise_are_those_of_the_parameters(make_shots):
    """Eqs. 15 and 16: S = (p(1-p)µ² + pσ²) / a², N = pµ/a² + k + σr²; fading takes part of both."""
    lattice = Lattice.square(4.0, (40, 40), origin=(-1.0, 1.0))
    shots = make_shots(lattice, 3.0, 0.4, count=12, shape=(158, 158))
    found = fit_power(
        fluctuations(shots.images[:, 10:-10, 10:-10]), transfer_function(shots.psf, (138, 138))
    )
    signal, noise = (0.25e6 + 0.5e4) / 16, 500 / 16 + 50 + 4
    assert found.signal / found.noise == pytest.approx(signal / noise, rel=0.07)
    assert 0.8 * noise < found.noise < noise


def test_noise_alone_has_no_psf():
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert find_psf(fluctuations(rng.poisson(50.0, (6, 90, 110)).astype(float))) is None


@pytest.mark.parametrize("shape", [(3, 4), (1, 50), (50, 1), (8, 8)])
def test_too_few_pixels_have_no_psf(shape):
    images = np.random.default_rng(0).poisson(50.0, (6, *shape)).astype(float)
    assert find_psf(fluctuations(images)) is None


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_images_without_noise_have_no_psf(value):
    assert find_psf(fluctuations(np.full((6, 60, 60), value))) is None


def test_what_varies_slowly_is_no_site():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:120, :120] - 60.0
    clouds = 200 * np.exp(-(y**2 + x**2) / (2 * 18.0**2)) * rng.uniform(0.5, 1.5, (8, 1, 1))
    assert find_psf(fluctuations(rng.poisson(50 + clouds).astype(float))) is None


def test_fluctuations_keep_the_variance_and_lose_the_mean():
    rng = np.random.default_rng(2)
    fixed = 100 * rng.random((60, 60))
    rest = fluctuations(fixed + rng.normal(0.0, 3.0, (5, 60, 60)))
    inner = rest[:, 10:-10, 10:-10]
    assert np.abs(inner.mean(axis=0)).max() < 1e-9
    assert inner.std() == pytest.approx(3.0, rel=0.03)


def test_a_filtered_image_is_sharper():
    """A site's light, filtered where there is hardly any noise, is narrower than before."""
    psf = GaussianPSF(3.0)
    image = np.zeros((1, 65, 65))
    image[0, 22:43, 22:43] = psf.integrate(np.zeros((1, 2)), 10)[0]
    sharp = filtered(image, transfer_function(psf, (65, 65)), Spectrum(1.0, 0.01))[0]
    assert sharp[32, 32] == sharp.max()
    widths = [np.count_nonzero(each > each.max() / 2) for each in (image[0], sharp)]
    assert widths[1] < 0.8 * widths[0]
    assert math.isclose(float((sharp**2).mean()), 1.0, rel_tol=1e-9)


@pytest.mark.parametrize("shape", [(20, 24), (15, 17)])
def test_pixels_between_pixels(shape):
    y, x = (2 * np.pi * np.arange(2 * n) / (2 * n) for n in shape)
    finer = np.cos(3 * y[:, None] + 0.1) * np.sin(2 * x) + 0.5 * np.cos(5 * x)
    np.testing.assert_allclose(doubled(finer[None, ::2, ::2])[0], finer, atol=1e-9)
