from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.widgets.cuts import bilinear, principal_cuts


def test_interpolation_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    picture = rng.normal(size=(20, 30))
    y, x = rng.uniform(0, 19, 200), rng.uniform(0, 29, 200)
    expected = map_coordinates(picture, [y, x], order=1)
    np.testing.assert_allclose(bilinear(picture, y, x), expected, atol=1e-12)
    assert np.isnan(bilinear(picture, np.array([-0.1, 19.1]), np.array([3.0, 3.0]))).all()


@pytest.mark.parametrize("theta", [0.0, 0.6, -1.2, math.pi / 2])
def test_cuts_follow_the_axes_of_a_gaussian(theta: float) -> None:
    cloud = Gaussian2D(60.3, 48.7, 18.0, 7.0, theta, 2.0, 0.1)
    picture = cloud.image((100, 120))
    cuts = principal_cuts(
        picture, cloud, centre=(cloud.y0, cloud.x0), radii=(cloud.wx, cloud.wy), theta=theta
    )
    for cut, w in zip(cuts, (18.0, 7.0), strict=True):
        # Eq. 1 along an axis; 1.5 % of the peak is what linear interpolation costs at w = 7 px
        expected = 0.1 + 2.0 * np.exp(-2 * (cut.position / w) ** 2)
        np.testing.assert_allclose(cut.model, expected, atol=1e-9)
        inside = np.isfinite(cut.data)
        np.testing.assert_allclose(cut.data[inside], expected[inside], atol=0.03)
        assert cut.radius == pytest.approx(w)
        assert cut.unit == "px"


def test_lengths_are_in_the_pictures_unit_also_for_oblong_pixels() -> None:
    cloud = Gaussian2D(30, 30, 10.0, 5.0, 0.0, 1.0, 0.0)
    along, across = principal_cuts(
        cloud.image((60, 60)),
        cloud,
        centre=(30, 30),
        radii=(10, 5),
        theta=0.0,
        pixel_size=(2.0, 3.0),
        unit="um",
    )
    assert (along.radius, across.radius) == (30.0, 10.0)
    assert along.position[-1] == pytest.approx(2.5 * 30)
    assert along.unit == "um"
    assert (along.title, across.title) == ("along 0°", "along 90°")


def test_beyond_the_border_there_are_no_data_but_a_model() -> None:
    cloud = Gaussian2D(2, 20, 10.0, 8.0, 0.0, 1.0, 0.0)
    along, _ = principal_cuts(
        cloud.image((40, 40)), cloud, centre=(20, 2), radii=(10, 8), theta=0.0
    )
    assert np.isnan(along.data[0])
    assert np.isfinite(along.model).all()
