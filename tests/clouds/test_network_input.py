"""What a network sees does not depend on the unit, the size or the type of a picture."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.clouds.network_input import LEAST, MOST, network_input, network_shape, resized


def picture(shape=(256, 256), noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    r2 = ((y - 0.4 * shape[0]) / 20) ** 2 + ((x - 0.6 * shape[1]) / 30) ** 2
    return np.exp(-2 * r2) + rng.normal(0, noise, shape)


def test_unit_and_offset_of_a_picture_do_not_matter():
    plain = network_input(picture()).channels
    counts = network_input(700 + 3000 * picture()).channels
    np.testing.assert_allclose(counts, plain, atol=2e-3)


def test_type_of_a_picture_does_not_matter():
    counts = np.round(1000 + 20000 * picture()).astype(np.uint16)
    np.testing.assert_allclose(
        network_input(counts).channels, network_input(counts.astype(float)).channels, atol=1e-5
    )


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((100, 100), (LEAST, LEAST)),
        ((256, 256), (256, 256)),
        ((300, 200), (300, 200)),
        ((1200, 1920), (240, MOST)),
        ((5, 5000), (8, MOST)),
    ],
)
def test_size_that_a_network_sees(shape, seen):
    assert network_shape(shape) == seen
    made = network_input(np.random.default_rng(0).normal(size=shape))
    assert made.channels.shape == (3, *seen)
    assert made.scale == (seen[0] / shape[0], seen[1] / shape[1])
    assert np.isfinite(made.channels).all()


def test_missing_pixels_are_background():
    whole = picture()
    missing = whole.copy()
    missing[:40] = np.nan
    channels = network_input(missing).channels
    assert np.isfinite(channels).all()
    assert np.abs(channels[:, 5:30]).max() < 0.2
    np.testing.assert_allclose(channels[:, 60:], network_input(whole).channels[:, 60:], atol=0.1)


@pytest.mark.parametrize("value", [0.0, 5.0, np.nan])
def test_a_picture_of_one_value_is_seen_as_nothing(value):
    assert np.abs(network_input(np.full((64, 80), value)).channels).max() < 0.1


def test_smaller_pictures_are_averages_and_larger_ones_are_interpolated():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 80)).astype(np.float32)
    assert resized(np.ones((60, 80), np.float32), (23, 31)) == pytest.approx(1.0, abs=1e-5)
    assert resized(values, (20, 20)).std() < 0.4
    line = np.arange(50, dtype=np.float32)[:, None] * np.ones((1, 20), np.float32)
    twice = resized(line, (100, 40))
    np.testing.assert_allclose(twice[2:-2, 7], (np.arange(100) + 0.5)[2:-2] / 2 - 0.5, atol=1e-4)
