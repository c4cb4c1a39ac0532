"""Independent models for the tests of the clouds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D


def equation_1(parameters, y, x):
    """Eq. 1 of Hofer et al. 2021, arXiv:2011.10536, written out; takes complex parameters."""
    x0, y0, wx, wy, theta, peak, background = parameters
    u = (x - x0) * np.cos(theta) + (y - y0) * np.sin(theta)
    v = -(x - x0) * np.sin(theta) + (y - y0) * np.cos(theta)
    return background + peak * np.exp(-2 * (u**2 / wx**2 + v**2 / wy**2))


def regular(parameters):
    """Return x0, y0, covariance matrix, peak, background: regular for round clouds."""
    x0, y0, wx, wy, theta, peak, background = parameters
    c, s, u, v = np.cos(theta), np.sin(theta), wx**2 / 4, wy**2 / 4
    cxx, cxy, cyy = u * c**2 + v * s**2, (u - v) * c * s, u * s**2 + v * c**2
    return np.array([x0, y0, cxx, cxy, cyy, peak, background])


def complex_step(function, parameters):
    """Return the derivatives of a function by complex steps: exact to rounding."""
    columns = []
    for i in range(len(parameters)):
        shifted = np.array(parameters, dtype=complex)
        shifted[i] += 1e-30j
        columns.append(np.imag(function(shifted)).ravel() / 1e-30)
    return np.stack(columns, axis=-1)


def bound(cloud: Gaussian2D, roi, noise: float):
    """Return the Cramér-Rao bound of the pixels of a region, on the `regular` parameters (7, 7)."""
    y, x = np.mgrid[roi[0] : roi[2], roi[1] : roi[3]]
    truth = cloud.to_array()
    model = complex_step(lambda p: equation_1(p, y, x), truth)
    change = complex_step(regular, truth)
    model = model @ np.linalg.inv(change)
    scale = 1 / np.sqrt((model**2).sum(0))
    information = (model * scale).T @ (model * scale)
    return np.linalg.inv(information) * np.outer(scale, scale) * noise**2


@pytest.fixture(scope="session")
def eq1() -> Callable:
    return equation_1


@pytest.fixture(scope="session")
def regular_parameters() -> Callable:
    return regular


@pytest.fixture(scope="session")
def cramer_rao() -> Callable:
    return bound


@pytest.fixture(scope="session")
def derivatives() -> Callable:
    return complex_step


@pytest.fixture(scope="session")
def random_cloud() -> Callable:
    """Return a function: random whole cloud (w >= 3 px, aspect 1..8) and noise."""

    def draw(rng, shape=(256, 256), strongest=100.0):
        while True:
            minor = np.exp(rng.uniform(np.log(3), np.log(30)))
            major = minor * rng.uniform(1, 8)
            cloud = Gaussian2D(
                x0=rng.uniform(0, shape[1] - 1),
                y0=rng.uniform(0, shape[0] - 1),
                wx=float(major),
                wy=float(minor),
                theta=rng.uniform(-np.pi / 2, np.pi / 2),
                peak=1.0,
                background=float(rng.uniform(-0.2, 0.5)),
            )
            y0, x0, y1, x1 = cloud.ellipse_box(1.5)
            if min(y0, x0) > 0 and y1 < shape[0] and x1 < shape[1]:
                return cloud, 1 / float(np.exp(rng.uniform(np.log(5), np.log(strongest))))

    return draw


@pytest.fixture(scope="session")
def fringed() -> Callable:
    """Return a function: an optical depth without atoms, 1..3 fringe systems and white noise."""

    def draw(rng, shape=(256, 256), systems=None):
        y, x = np.mgrid[: shape[0], : shape[1]]
        picture = rng.normal(0, 10 ** rng.uniform(-2, -0.9), shape)
        for _ in range(rng.integers(1, 4) if systems is None else systems):
            period = rng.uniform(4, 16) if rng.random() < 0.5 else rng.uniform(30, 130)
            angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
            along = x * np.cos(angle) + y * np.sin(angle)
            amplitude = 10 ** rng.uniform(-2.3, -1.2)
            picture += amplitude * np.cos(2 * np.pi * along / period + phase)
        return picture

    return draw
