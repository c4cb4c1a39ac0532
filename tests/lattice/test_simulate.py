"""Simulated images: their truth, their noise, their seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.lattice import GaussianPSF, Lattice, projection, simulate

LATTICE = Lattice.square(4.0, (40, 50), origin=(10.0, 10.0))
PSF = GaussianPSF(3.0)
SHAPE = (180, 220)
REFERENCE = {
    "image_shape": SHAPE,
    "occupancy": 0.5,
    "brightness": 1000.0,
    "brightness_sd": 100.0,
    "background": 50.0,
    "read_noise": 2.0,
}


def simulated(rng=1, **change):
    return simulate(LATTICE, PSF, **{**REFERENCE, **change}, rng=rng)


def expected_image(simulation, background=50.0):
    light = projection(LATTICE, PSF, SHAPE) @ simulation.brightness
    return light.reshape(SHAPE) + background


@pytest.mark.parametrize("excess", [1.0, 1.5, 2.0, 3.0])
def test_noise_has_the_mean_and_variance_of_the_model(excess):
    simulation = simulated(excess_noise=excess, rng=2)
    mean = expected_image(simulation)
    pulls = (simulation.image - mean) / np.sqrt(excess * mean + 4)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    # the fourth moment of a Poisson, gamma and normal mixture is near 3 at 50 counts
    assert pulls.std() == pytest.approx(1, abs=4 * np.sqrt(0.6 / pulls.size))
    # bright and dark pixels alike
    for part in (mean < 70, mean > 92):
        assert pulls[part].std() == pytest.approx(1, abs=0.03)


def test_without_read_noise_counts_are_poissonian():
    simulation = simulated(read_noise=0.0, occupancy=0.0, background=3.0)
    assert np.array_equal(simulation.image, np.rint(simulation.image))
    counts = np.bincount(simulation.image.astype(int).ravel(), minlength=12)
    expected = stats.poisson.pmf(np.arange(11), 3.0) * simulation.image.size
    found = np.append(counts[:10], counts[10:].sum())
    expected[-1] = simulation.image.size - expected[:-1].sum()
    assert stats.chisquare(found, expected).pvalue > 1e-3


def test_multiplied_electrons_follow_the_gain_register():
    # n electrons at high gain: gamma of shape n; none stay none
    simulation = simulated(read_noise=0.0, occupancy=0.0, background=0.2, excess_noise=2.0)
    none = np.mean(simulation.image == 0)
    assert none == pytest.approx(np.exp(-0.2), abs=4 * np.sqrt(0.15 / simulation.image.size))
    counts = simulation.image[simulation.image > 0]

    def cumulative(x):
        n = np.arange(1, 12)[:, None]
        weight = stats.poisson.pmf(n, 0.2) / (1 - np.exp(-0.2))
        return (weight * stats.gamma.cdf(x, n)).sum(axis=0)

    assert stats.kstest(counts, cumulative).pvalue > 1e-3


def test_truth_of_the_sites():
    simulation = simulated(occupancy=0.3)
    assert simulation.occupied.dtype == bool
    assert simulation.occupied.mean() == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(LATTICE)))
    assert np.all(simulation.brightness[~simulation.occupied] == 0)
    light = simulation.brightness[simulation.occupied]
    assert stats.kstest((light - 1000) / 100, "norm").pvalue > 1e-3


def test_given_occupation_brightness_map_and_background_picture():
    occupied = np.arange(len(LATTICE)) % 3 == 0
    brightness = np.linspace(300, 900, len(LATTICE))
    background = np.linspace(5, 40, SHAPE[1]) * np.ones(SHAPE)
    simulation = simulated(
        occupancy=occupied, brightness=brightness, brightness_sd=0.0, background=background
    )
    np.testing.assert_array_equal(simulation.occupied, occupied)
    np.testing.assert_array_equal(simulation.brightness, np.where(occupied, brightness, 0))
    mean = expected_image(simulation, background)
    pulls = (simulation.image - mean) / np.sqrt(mean + 4)
    assert abs(pulls.mean()) < 4 / np.sqrt(pulls.size)
    assert np.abs(pulls.mean(axis=0)).max() < 5 / np.sqrt(SHAPE[0])
    occupied[:] = False  # the truth is a copy
    assert simulation.occupied.any()


def test_brightness_is_never_negative():
    simulation = simulated(brightness=100.0, brightness_sd=100.0, occupancy=1.0)
    assert simulation.brightness.min() == 0
    assert np.mean(simulation.brightness == 0) == pytest.approx(stats.norm.cdf(-1), abs=0.04)


def test_seeds():
    np.testing.assert_array_equal(simulated(3).image, simulated(3).image)
    generator = np.random.default_rng(3)
    np.testing.assert_array_equal(simulated(3).image, simulated(generator).image)
    assert not np.array_equal(simulated(generator).image, simulated(3).image)
    assert not np.array_equal(simulated(None).image, simulated(None).image)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"occupancy": 1.5}, "between 0 and 1, found 1.5"),
        ({"occupancy": np.nan}, "between 0 and 1"),
        ({"occupancy": np.ones(3, dtype=bool)}, "which of 2000 sites"),
        ({"occupancy": np.full(2000, 0.5)}, "boolean array"),
        ({"brightness": [1.0, 2.0]}, r"brightness as a number or shape \(2000,\), found"),
        ({"brightness": -1.0}, "brightness to be finite and at least 0"),
        ({"brightness_sd": np.ones(2000)}, "brightness_sd as a number"),
        ({"background": np.ones((2, 2))}, r"background as a number or shape \(180, 220\)"),
        ({"background": np.nan}, "background"),
        ({"read_noise": -2.0}, "read_noise"),
        ({"excess_noise": 0.9}, "at least 1, found 0.9"),
        ({"image_shape": (180,)}, "pixels"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        simulated(**change)
