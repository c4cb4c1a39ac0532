"""Imaging parameters: moments of the brightness and of the noise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, ImagingParameters, Lattice, simulate

TABLE_1 = ImagingParameters(0.5, 1000.0, 100.0, 50.0, 2.0)


def test_values_of_the_reference_case():
    assert TABLE_1.site_variance == pytest.approx(255_000.0)
    assert TABLE_1.noise_variance(16.0) == pytest.approx(500 / 16 + 50 + 4)
    assert TABLE_1.noise_variance(np.inf) == pytest.approx(54)
    multiplied = dataclasses.replace(TABLE_1, excess_noise=2.0)
    assert multiplied.noise_variance(16.0) == pytest.approx(2 * (500 / 16 + 50) + 4)


@pytest.mark.parametrize("excess", [1.0, 2.0])
def test_moments_are_those_of_simulated_images(excess):
    parameters = ImagingParameters(0.3, 800.0, 120.0, 20.0, 3.0, excess)
    lattice = Lattice.square(4.0, (150, 150), origin=(10.0, 10.0))
    simulation = simulate(
        lattice,
        GaussianPSF(3.0),
        image_shape=(620, 620),
        **dataclasses.asdict(parameters),
        rng=4,
    )
    assert simulation.brightness.var() == pytest.approx(parameters.site_variance, rel=0.02)
    clean = simulate(
        lattice,
        GaussianPSF(3.0),
        image_shape=(620, 620),
        **{**dataclasses.asdict(parameters), "brightness_sd": 0.0, "occupancy": 1.0},
        rng=4,
    )
    # every site occupied: all pixels have nearly the same mean
    inner = clean.image[40:-40, 40:-40]
    full = dataclasses.replace(parameters, occupancy=1.0)
    assert inner.var() == pytest.approx(full.noise_variance(lattice.site_area), rel=0.02)
    assert inner.mean() == pytest.approx(800 / 16 + 20, rel=0.002)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"occupancy": 1.2}, "between 0 and 1, found 1.2"),
        ({"occupancy": -0.1}, "occupancy"),
        ({"brightness": 0.0}, "positive brightness"),
        ({"brightness": np.nan}, "brightness"),
        ({"brightness_sd": -1.0}, "brightness_sd"),
        ({"background": -1.0}, "background"),
        ({"read_noise": np.inf}, "read_noise"),
        ({"excess_noise": 0.5}, "at least 1, found 0.5"),
    ],
)
def test_bad_parameters_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TABLE_1, **change)


def test_bad_area_is_refused():
    with pytest.raises(ValueError, match="area"):
        TABLE_1.noise_variance(0.0)
