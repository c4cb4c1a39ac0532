"""What images of one lattice share: kept, dropped, and used by several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, Lattice, projection, snr
from napari_coldatoms.lattice.misfit import Misfit
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.setup import Setup

LATTICE = Lattice.square(4.0, (5, 6), origin=(8.0, 9.0))
PSF = GaussianPSF(2.5)
SHAPE = (32, 36)


def setup(relative=None, lattice=LATTICE):
    return Setup(lattice, PSF, SHAPE, relative)


def test_adjusted_optics_are_those_of_the_moved_lattice_and_the_wider_psf():
    misfit = Misfit((0.3, -0.12), 1.08)
    expected = projection(LATTICE.shift((0.3, -0.12)), GaussianPSF(2.7), SHAPE)
    light = np.random.default_rng(0).random(30)
    found = setup().adjusted(misfit).image(light)
    np.testing.assert_allclose(found, (expected @ light).reshape(SHAPE), atol=1e-12)


def test_adjusted_optics_are_kept():
    shared = setup()
    assert shared.adjusted(Misfit()) is shared.optics
    first = shared.adjusted(Misfit((0.1, 0.0)))
    assert shared.adjusted(Misfit((0.1, 0.0))) is first
    for step in range(1, 12):
        shared.adjusted(Misfit((0.0, 0.02 * step)))
    assert shared.adjusted(Misfit((0.1, 0.0))) is not first
    assert shared.adjusted(Misfit()) is shared.optics
    assert shared.signal_to_noise() is shared.signal_to_noise()


def test_brightness_map_stays_with_adjusted_optics():
    relative = np.linspace(0.5, 1.5, 30)
    for shared in (setup(relative), setup().with_relative_brightness(relative)):
        np.testing.assert_array_equal(shared.optics.relative, relative)
        np.testing.assert_array_equal(shared.adjusted(Misfit((0.1, 0))).relative, relative)
    plain = setup()
    plain.adjusted(Misfit((0.1, 0)))
    other = plain.with_relative_brightness(relative)
    np.testing.assert_array_equal(other.adjusted(Misfit((0.1, 0))).relative, relative)
    np.testing.assert_array_equal(plain.adjusted(Misfit((0.1, 0))).relative, 1)


def test_signal_to_noise_ratio_is_that_of_the_wider_psf():
    parameters = ImagingParameters(0.5, 1000.0, 100.0, 50.0, 2.0)
    for width in (1.0, 1.1):
        expected = snr(LATTICE, GaussianPSF(2.5 * width), parameters)
        assert setup().signal_to_noise(width).decibel(parameters) == pytest.approx(expected)


def test_several_threads_get_what_they_ask_for():
    shared = setup()
    light = np.random.default_rng(0).random(30)
    misfits = [Misfit((0.02 * k, -0.02 * k), 1 + 0.005 * k) for k in range(8)]
    expected = [setup().adjusted(misfit).image(light) for misfit in misfits]

    def use(seed):
        for k in np.random.default_rng(seed).integers(8, size=60):
            found = shared.adjusted(misfits[k]).image(light)
            np.testing.assert_array_equal(found, expected[k])
            shared.signal_to_noise(1 + 0.01 * k)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(6))) == [None] * 6


def test_dark_pixels_are_beyond_the_reach_of_all_sites():
    light = projection(LATTICE, PSF, SHAPE) @ np.ones(30)
    dark = setup().dark_pixels
    assert dark.any()
    assert light.reshape(SHAPE)[dark].max() < 2e-3 * light.max()


def test_sites_inside_have_their_centre_in_the_frame():
    lattice = Lattice.square(4.0, (12, 12), origin=(-7.6, -8.0))
    np.testing.assert_array_equal(setup(lattice=lattice).inside, lattice.inside(SHAPE))
    with pytest.raises(ValueError, match=r"sites within a frame of \(32, 36\) pixels, found none"):
        setup(lattice=LATTICE.shift((100.0, 0.0)))


@pytest.mark.parametrize("offset", [(0.31, -0.17), (-7.4, 3.3)], ids=["within", "cut off"])
def test_a_moved_setup_is_that_of_the_moved_lattice(offset):
    lattice, psf, shape = (
        Lattice.square(4.0, (9, 10), origin=(9.0, 9.0)),
        GaussianPSF(2.5),
        (52, 56),
    )
    relative = np.linspace(0.8, 1.2, 90)
    first = Setup(lattice, psf, shape, relative)
    assert first.dark_pixels.any()
    moved, anew = first.moved(offset), Setup(lattice.shift(offset), psf, shape, relative)
    light = np.random.default_rng(0).random(90)
    np.testing.assert_array_equal(moved.lattice.positions, anew.lattice.positions)
    np.testing.assert_array_equal(moved.inside, anew.inside)
    np.testing.assert_array_equal(moved.dark_pixels, anew.dark_pixels)
    np.testing.assert_allclose(moved.optics.image(light), anew.optics.image(light), atol=1e-12)
    # overlaps are known from before: they depend on the place within a pixel by 0.2 %
    found, exact = moved.optics.overlaps, anew.optics.overlaps
    np.testing.assert_array_equal(found.sites, exact.sites)
    np.testing.assert_allclose(found.values, exact.values, atol=2e-3 * exact.values.max())
    assert moved.signal_to_noise() is first.signal_to_noise()
    assert first.moved((0.0, 0.0)) is first
    with pytest.raises(ValueError, match="found none"):
        first.moved((90.0, 0.0))


def test_overlaps_of_sharp_light_are_found_for_every_place():
    lattice = Lattice.square(2.5, (8, 8), origin=(9.0, 9.0))
    first = Setup(lattice, GaussianPSF(0.8), (40, 40), None)
    moved = first.moved((0.4, 0.3)).optics.overlaps.values
    exact = Setup(lattice.shift((0.4, 0.3)), GaussianPSF(0.8), (40, 40), None).optics.overlaps
    np.testing.assert_allclose(moved, exact.values, atol=1e-12)


def test_the_signal_to_noise_ratio_does_not_depend_on_who_asks_first():
    light = ImagingParameters(0.5, 1000, 100, 50, 2)
    arguments = (Lattice.square(4.0, (8, 8)), GaussianPSF(2.5), (60, 60), None)
    one, other = Setup(*arguments), Setup(*arguments)
    first = one.moved((0.3, 0.4)).signal_to_noise().decibel(light)
    assert first == other.signal_to_noise().decibel(light) == one.signal_to_noise().decibel(light)
