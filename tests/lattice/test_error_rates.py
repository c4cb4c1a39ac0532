"""Detection error rates on simulated images: every figure is a share of known truth, seeded.

T1 is the paper's first example: 100×100 sites 4 px apart, HWHM 3 px, 1000 ± 100 counts, background
50, read noise 2. Nothing but lattice, PSF and read noise is told. Goals in per cent of the sites.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.stats import chi2

from napari_coldatoms.lattice import (
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstructor,
    simulate,
    snr,
)

SPACING = 4.0
WIDTHS = {12.5: 0.838, 14.8: 0.75, 16.0: 0.714, 17.0: 0.686, 17.5: 0.672, 18.0: 0.66}
TRUTH = {"occupancy": 0.5, "brightness": 1000.0, "brightness_sd": 100.0, "read_noise": 2.0}
BACKGROUND = 50.0
IMAGES = 10
FEWER = 5


@cache
def site(decibel, side):
    """Return lattice, PSF, frame and reconstructor."""
    lattice = Lattice.square(SPACING, (side, side))
    psf = GaussianPSF(SPACING * WIDTHS[decibel])
    shape = lattice.frame_shape(3 * SPACING)
    return lattice, psf, shape, Reconstructor(lattice, psf, image_shape=shape)


def shots(decibel=14.8, side=100, images=IMAGES, background=None, first=0):
    lattice, psf, shape, _ = site(decibel, side)
    for seed in range(first, first + images):
        yield simulate(
            lattice,
            psf,
            image_shape=shape,
            background=BACKGROUND if background is None else background,
            rng=seed,
            **TRUTH,
        )


def errors(method, images, reconstructor, change=None):
    """Return wrong decisions, expected wrong decisions, and sites."""
    wrong = expected = sites = 0.0
    for seed, shot in enumerate(images):
        image = shot.image if change is None else change(shot.image, seed)
        result = reconstructor.reconstruct(image, method=method, read_noise=2.0)
        wrong += float((result.occupied != shot.occupied).sum())
        expected += result.predicted_error_rate * len(shot.occupied)
        sites += len(shot.occupied)
    return wrong, expected, sites


def rate(method, decibel=14.8, images=IMAGES):
    wrong, _, sites = errors(method, shots(decibel, images=images), site(decibel, 100)[3])
    return 100 * wrong / sites


def test_reference_case_has_the_ratio_it_should():
    lattice, psf, _, _ = site(14.8, 100)
    parameters = ImagingParameters(background=BACKGROUND, **TRUTH)
    assert snr(lattice, psf, parameters) == pytest.approx(14.81, abs=0.05)


@pytest.mark.parametrize(
    ("method", "goal"),
    [("global", 0.95), ("local", 0.18), ("alternating", 0.02)],
)
def test_reference_case(method, goal):
    assert rate(method) <= goal


@pytest.mark.slow
def test_deconvolution_of_the_reference_case():
    # 1.47 on average; with the best threshold, which needs the truth, 1.40 as in the paper
    assert rate("deconvolution", images=20) <= 1.5


@pytest.mark.parametrize(("decibel", "goal"), [(12.5, 0.3), (17.5, 0.01)])
def test_alternating_at_other_ratios(decibel, goal):
    assert rate("alternating", decibel) <= goal


@pytest.mark.slow
def test_local_makes_twenty_times_fewer_errors_than_deconvolution():
    # pooled from 16 to 18 dB; ten times fewer is the paper's statement
    pooled = {
        method: sum(
            errors(method, shots(decibel), site(decibel, 100)[3])[0]
            for decibel in (16.0, 17.0, 18.0)
        )
        for method in ("deconvolution", "local")
    }
    assert pooled["local"] > 10  # enough to speak of a ratio
    assert pooled["deconvolution"] / pooled["local"] >= 20


def with_hot_pixels(image, seed):
    hot = np.random.default_rng(1000 + seed).choice(image.size, 60, replace=False)
    image = image.copy()
    image.flat[hot] += 2000.0
    return image


def slope():
    shape = site(14.8, 100)[2]
    return BACKGROUND * (1 + 0.2 * np.linspace(-1, 1, shape[0])[:, None] + np.zeros(shape))


def within(found, clean, factor):
    """Return whether errors are at most a factor more, up to two standard errors of counting."""
    return found <= factor * clean + 2 * np.sqrt(max(factor * clean, 1.0))


@pytest.fixture(scope="module")
def clean():
    """Return the errors where everything is as told."""
    return {
        m: errors(m, shots(images=FEWER), site(14.8, 100)[3])[0] for m in ("local", "alternating")
    }


@pytest.mark.parametrize("method", ["local", "alternating"])
def test_background_slope_of_twenty_per_cent(method, clean):
    found = errors(method, shots(background=slope(), images=FEWER), site(14.8, 100)[3])[0]
    assert within(found, clean[method], 1.5)


@pytest.mark.parametrize("method", ["local", "alternating"])
def test_sixty_hot_pixels(method, clean):
    found = errors(method, shots(images=FEWER), site(14.8, 100)[3], with_hot_pixels)[0]
    assert within(found, clean[method], 1.5)


@pytest.mark.parametrize("factor", [0.9, pytest.param(1.1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["local", "alternating"])
def test_psf_ten_per_cent_off(method, factor, clean):
    lattice, psf, shape, _ = site(14.8, 100)
    wrong = Reconstructor(lattice, GaussianPSF(factor * psf.hwhm), image_shape=shape)
    # not adjusted it would be 1.3 times as many for local, 50 times for alternating
    assert within(errors(method, shots(images=FEWER), wrong)[0], clean[method], 1.5)


@pytest.mark.parametrize("offset", [(0.4, -0.3), pytest.param((0.0, 0.7), marks=pytest.mark.slow)])
def test_lattice_displaced(offset, clean):
    lattice, psf, shape, _ = site(14.8, 100)
    displaced = Reconstructor(lattice.shift(offset), psf, image_shape=shape)
    found = errors("alternating", shots(images=FEWER), displaced)[0]
    assert within(found, clean["alternating"], 1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decibel", "side", "images"), [(12.5, 100, 10), (14.8, 200, 10), (17.5, 300, 12)]
)
def test_expected_errors_are_those_made(decibel, side, images):
    wrong, expected, _ = errors(
        "alternating", shots(decibel, side, images, first=500), site(decibel, side)[3]
    )
    # within a factor of two of what the count allows, by the exact 95 % interval of a Poisson mean
    least = chi2.ppf(0.025, 2 * wrong) / 2 if wrong else 0.0
    most = chi2.ppf(0.975, 2 * (wrong + 1)) / 2
    assert least / 2 <= expected <= 2 * most


@pytest.mark.slow
def test_probabilities_are_calibrated():
    lattice, _, _, reconstructor = site(12.5, 100)
    probability, occupied = [], []
    for shot in shots(12.5, images=12, first=800):
        result = reconstructor.reconstruct(shot.image, read_noise=2.0)
        probability.append(result.probability)
        occupied.append(shot.occupied)
    p, truth = np.concatenate(probability), np.concatenate(occupied)
    assert len(lattice) * 12 == len(p)
    for low, high in ((0.02, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 0.98)):
        here = (p > low) & (p <= high)
        assert here.sum() >= 20
        expected, found = p[here].mean(), truth[here].mean()
        # neighbours err together: twice the counting error, and a tenth for what nine sites miss
        assert abs(found - expected) <= 0.1 + 2 * np.sqrt(expected * (1 - expected) / here.sum())
