"""The signal-to-noise ratio and predicted error rates: the paper's figures and closed forms."""

from __future__ import annotations

import dataclasses
import math
from time import perf_counter

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.lattice import (
    AiryPSF,
    GaussianPSF,
    ImagingParameters,
    Lattice,
    error_rate_at,
    predicted_error_rate,
    projection,
    simulate,
    snr,
    snr_without_overlap,
)
from napari_coldatoms.lattice.snr import SIMULATED_ERROR_RATES

TABLE_1 = ImagingParameters(
    occupancy=0.5, brightness=1000.0, brightness_sd=100.0, background=50.0, read_noise=2.0
)
LATTICE = Lattice.square(4.0, (100, 100))
PSF = GaussianPSF(3.0)
METHODS = ("deconvolution", "global", "local", "alternating")


def brighter(factor):
    return dataclasses.replace(TABLE_1, brightness=1000.0 * factor, brightness_sd=100.0 * factor)


def by_definition(lattice, psf, parameters, margin):
    """Return Eqs. 12-16 with plain inverses."""
    shift = margin - lattice.positions.min(axis=0)
    lattice = lattice.shift(np.floor(shift))
    matrix = projection(lattice, psf, lattice.frame_shape(margin)).toarray()
    noise = np.full(len(matrix), parameters.noise_variance(lattice.site_area))
    prior = np.eye(len(lattice)) / parameters.site_variance
    errors = np.linalg.inv(prior + matrix.T @ (matrix / noise[:, None]))
    return 10 * np.log10(parameters.brightness**2 / (np.trace(errors) / len(lattice)))


def test_reference_case_of_the_paper():
    # Cheneau et al. 2025, Sec. V: 14.8 dB, and about 40 without overlap
    assert snr(LATTICE, PSF, TABLE_1) == pytest.approx(14.81, abs=0.05)
    assert snr_without_overlap(LATTICE, None, TABLE_1) == pytest.approx(40.7, abs=0.05)


def test_wider_psf_and_brighter_atoms_of_the_paper_have_nearly_the_same_ratio():
    assert snr(LATTICE, GaussianPSF(4.0), brighter(10)) == pytest.approx(14.7, abs=0.05)


@pytest.mark.parametrize(
    "lattice",
    [
        Lattice.square(4.0, (9, 8), origin=(3.3, 5.1)),
        Lattice.triangular(3.6, (8, 9), angle=0.4),
        Lattice.square(4.0, (9, 9)).select(np.random.default_rng(2).random((9, 9)) < 0.6),
        Lattice.from_positions(np.random.default_rng(3).uniform(0, 30, (40, 2))),
    ],
    ids=["square", "triangular", "masked", "tweezers"],
)
@pytest.mark.parametrize("psf", [GaussianPSF(2.4), AiryPSF(5.0)], ids=["gaussian", "airy"])
def test_ratio_is_its_definition(lattice, psf):
    expected = by_definition(lattice, psf, TABLE_1, 15)
    assert snr(lattice, psf, TABLE_1) == pytest.approx(expected, abs=1e-8)


def test_sites_far_apart_have_the_ratio_without_overlap():
    for lattice in (Lattice.square(20.3, (12, 12)), Lattice.from_positions([[0.2, 0.4], [50, 9]])):
        expected = snr_without_overlap(lattice, PSF, TABLE_1)
        assert snr(lattice, PSF, TABLE_1) == pytest.approx(expected, abs=1e-9)
    # a PSF within one pixel: the paper's short formula
    point = GaussianPSF(0.05, 0.5)
    assert snr(LATTICE, point, TABLE_1) == pytest.approx(
        snr_without_overlap(LATTICE, None, TABLE_1), abs=1e-6
    )


def test_no_overlap_has_no_ratio_above_it():
    for hwhm in (1.0, 2.0, 3.0, 4.0):
        psf = GaussianPSF(hwhm)
        assert snr(LATTICE, psf, TABLE_1) < snr_without_overlap(LATTICE, psf, TABLE_1)


def test_ratio_is_the_error_of_the_best_linear_estimate():
    lattice = Lattice.square(4.0, (30, 30), origin=(12.0, 12.0))
    shape = lattice.frame_shape(12)
    matrix = projection(lattice, PSF, shape)
    prior, noise = TABLE_1.site_variance, TABLE_1.noise_variance(16.0)
    inverse = np.linalg.inv(np.eye(900) / prior + (matrix.T @ matrix).toarray() / noise)
    rng = np.random.default_rng(7)
    errors = []
    for _ in range(8):
        truth = simulate(lattice, PSF, image_shape=shape, **dataclasses.asdict(TABLE_1), rng=rng)
        rest = truth.image.ravel() - 50.0 - matrix @ np.full(900, 500.0)
        errors.append(500.0 + inverse @ (matrix.T @ rest) / noise - truth.brightness)
    measured = 10 * np.log10(1e6 / np.mean(np.square(errors)))
    assert snr(lattice, PSF, TABLE_1) == pytest.approx(measured, abs=0.2)


def test_invariance_under_rotation_and_translation():
    expected = snr(LATTICE, PSF, TABLE_1)
    rotated = Lattice.square(4.0, (100, 100), origin=(3.7, -55.2), angle=0.61)
    assert snr(rotated, PSF, TABLE_1) == pytest.approx(expected, abs=0.01)
    mirrored = Lattice([[0.0, 4.0], [-4.0, 0.0]], (7.0, 9.0), (50, 200))
    assert snr(mirrored, PSF, TABLE_1) == pytest.approx(expected, abs=1e-9)


def test_arbitrary_positions_of_a_lattice_have_its_ratio():
    lattice = Lattice.square(4.0, (30, 30))
    positions = np.random.default_rng(1).permutation(lattice.positions)
    same = snr(Lattice.from_positions(positions), PSF, TABLE_1)
    assert same == pytest.approx(snr(lattice, PSF, TABLE_1), abs=1e-9)
    # of more than 900 sites, those around the middle
    many = Lattice.square(4.0, (45, 45))
    assert snr(Lattice.from_positions(many.positions), PSF, TABLE_1) == pytest.approx(
        snr(many, PSF, TABLE_1), abs=0.05
    )


def test_ratio_grows_with_light_and_falls_with_noise():
    middle = snr(LATTICE, PSF, TABLE_1)
    assert snr(LATTICE, PSF, brighter(2)) > middle
    for change in ({"background": 80.0}, {"read_noise": 6.0}, {"excess_noise": 2.0}):
        assert snr(LATTICE, PSF, dataclasses.replace(TABLE_1, **change)) < middle
    assert snr(LATTICE, GaussianPSF(2.8), TABLE_1) > middle
    assert snr(Lattice.square(4.2, (100, 100)), PSF, TABLE_1) > middle


def test_nothing_to_learn_and_no_noise():
    all_alike = dataclasses.replace(TABLE_1, occupancy=1.0, brightness_sd=0.0)
    assert snr(LATTICE, PSF, all_alike) == math.inf
    assert snr_without_overlap(LATTICE, PSF, all_alike) == math.inf
    for method in METHODS:
        assert predicted_error_rate(LATTICE, PSF, all_alike, method=method) == 0


def test_ratio_takes_little_time():
    snr(LATTICE, PSF, TABLE_1)
    times = []
    for _ in range(3):
        start = perf_counter()
        snr(LATTICE, PSF, TABLE_1)
        times.append(perf_counter() - start)
    assert min(times) < 0.3


def test_error_rates_of_the_reference_case():
    rates = [predicted_error_rate(LATTICE, PSF, TABLE_1, method=method) for method in METHODS]
    # paper: 1.4, 0.9, 0.2 % with 0.1 % each; the last is not in it
    assert rates[0] == pytest.approx(0.014, abs=0.001)
    assert rates[1] == pytest.approx(0.0082, abs=0.0006)
    assert rates[2] == pytest.approx(0.002, abs=0.001)
    assert rates[3] < rates[2] / 2
    assert predicted_error_rate(LATTICE, PSF, TABLE_1) == rates[3]


@pytest.mark.parametrize("method", sorted(SIMULATED_ERROR_RATES))
def test_simulated_rates_are_met(method):
    for decibel, rate in SIMULATED_ERROR_RATES[method].items():
        assert error_rate_at(decibel, TABLE_1, method=method) == pytest.approx(rate, rel=0.02)


def test_global_rate_of_equal_widths_is_the_closed_form():
    # no spread: modes of equal width, half of the sites occupied
    parameters = dataclasses.replace(TABLE_1, brightness_sd=0.0)
    for decibel in (8.0, 12.0, 16.0):
        variance = 1 / (10 ** (decibel / 10) - 1e6 / parameters.site_variance)
        expected = stats.norm.sf(0.5 / np.sqrt(variance))
        assert error_rate_at(decibel, parameters, method="global") == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("occupancy", [0.03, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("spread", [0.0, 100.0, 250.0])
def test_rates_fall_with_the_ratio_from_a_guess_to_the_limit(method, occupancy, spread):
    parameters = dataclasses.replace(TABLE_1, occupancy=occupancy, brightness_sd=spread)
    rates = [error_rate_at(x, parameters, method=method) for x in np.linspace(0, 60, 241)]
    assert np.all(np.diff(rates) <= 1e-15)
    assert rates[0] == min(occupancy, 1 - occupancy)
    best = error_rate_at(math.inf, parameters, method=method)
    assert best <= rates[-1] + 1e-15
    if method != "global" and spread > 0:
        assert best == pytest.approx(occupancy * stats.norm.sf(500 / spread))
        assert rates[-1] == pytest.approx(best, rel=1e-6)


def test_occupancy_exchanged_for_vacancy_without_spread():
    few = dataclasses.replace(TABLE_1, occupancy=0.2, brightness_sd=0.0)
    many = dataclasses.replace(few, occupancy=0.8)
    for method in METHODS:
        assert error_rate_at(13.0, few, method=method) == pytest.approx(
            error_rate_at(13.0, many, method=method)
        )


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"'alternating'.*found 'wiener'"):
        predicted_error_rate(LATTICE, PSF, TABLE_1, method="wiener")
    with pytest.raises(ValueError, match="found NaN"):
        error_rate_at(math.nan, TABLE_1)
