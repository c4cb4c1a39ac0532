"""An image with its background and camera: the mean brightness of its sites."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, Lattice, projection, simulate
from napari_coldatoms.lattice.optics import make_optics
from napari_coldatoms.lattice.shot import Shot


def shot_of(lattice, psf, image, background, good=None):
    optics = make_optics(lattice, psf, image.shape)
    good = np.ones(image.shape) if good is None else good
    level = np.full(image.shape, background)
    return Shot(optics, image, good, level, 2.0, 1.0, np.ones(len(lattice), dtype=bool))


def test_mean_brightness_is_the_least_squares_fit_to_good_pixels():
    lattice, psf = Lattice.square(4.0, (12, 13), origin=(9.3, 9.6)), GaussianPSF(3.0)
    shape = lattice.frame_shape(9)
    rng = np.random.default_rng(1)
    image = rng.normal(80.0, 9.0, shape)
    good = (rng.random(shape) < 0.8).astype(float)
    image[good == 0] = 1e6
    light = (projection(lattice, psf, shape) @ np.ones(len(lattice))).reshape(shape)[good > 0]
    expected = np.linalg.lstsq(light[:, None], image[good > 0] - 20.0)[0][0]
    found = shot_of(lattice, psf, image, 20.0, good).mean_brightness()
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("spacing", "hwhm", "brightness"), [(4.0, 3.0, 1000.0), (10.0, 2.0, 300.0)]
)
def test_mean_brightness_of_simulated_images(spacing, hwhm, brightness):
    lattice, psf = Lattice.square(spacing, (25, 25), origin=(10.3, 9.6)), GaussianPSF(hwhm)
    for seed in range(4):
        truth = simulate(
            lattice,
            psf,
            image_shape=lattice.frame_shape(9),
            rng=seed,
            occupancy=0.5,
            brightness=brightness,
            brightness_sd=0.1 * brightness,
            background=50.0,
            read_noise=2.0,
        )
        mean = truth.brightness.mean()
        found = shot_of(lattice, psf, truth.image, 50.0).mean_brightness()
        assert found == pytest.approx(mean, rel=0.03)
        # the light of all sites rises by less than a third, though that of all pixels by 75 %
        too_low = shot_of(lattice, psf, truth.image, 49.0).mean_brightness()
        assert mean < too_low < 1.33 * mean


def test_no_light_on_good_pixels():
    lattice, psf = Lattice.square(4.0, (5, 5), origin=(10.0, 10.0)), GaussianPSF(2.0)
    image = np.full((40, 40), 50.0)
    shot = shot_of(lattice, psf, image, 0.0, np.zeros(image.shape))
    with pytest.raises(ValueError, match="light on good pixels, found none"):
        shot.mean_brightness()
