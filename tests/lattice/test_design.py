"""The design calculator: the paper's figures, and agreement with the functions of one point."""

from __future__ import annotations

import math
from time import perf_counter

import numpy as np
import pytest

from napari_coldatoms.lattice import (
    AiryPSF,
    GaussianPSF,
    ImagingParameters,
    Lattice,
    design,
    predicted_error_rate,
    snr,
    snr_without_overlap,
)
from napari_coldatoms.lattice.design import ERROR_RATE, METHODS, given_parameters
from napari_coldatoms.lattice.snr import SignalToNoise

CAMERA = {"brightness": 1000, "background": 50, "read_noise": 2}


def assert_row_is_point_by_point(row, lattice, psf):
    parameters = ImagingParameters(
        occupancy=row.occupancy,
        brightness=row.brightness,
        brightness_sd=row.brightness_sd * row.brightness,
        background=row.background,
        read_noise=row.read_noise,
        excess_noise=row.excess_noise,
    )
    assert row.hwhm_over_spacing == pytest.approx(row.hwhm / row.spacing, rel=1e-12)
    assert row.snr_db == pytest.approx(snr(lattice, psf, parameters), abs=1e-9)
    for column, kernel in (("snr_without_overlap_db", None), ("snr_far_apart_db", psf)):
        expected = snr_without_overlap(lattice, kernel, parameters)
        assert getattr(row, column) == pytest.approx(expected, abs=1e-9)
    for method in METHODS:
        expected = predicted_error_rate(lattice, psf, parameters, method=method)
        assert getattr(row, f"{ERROR_RATE}{method}") == pytest.approx(expected, rel=1e-9)


def test_figures_of_the_paper():
    table = design(
        spacing=4, hwhm=[3, 4], brightness=[1000, 10000], background=50, read_noise=2
    ).set_index(["hwhm", "brightness"])
    # Cheneau et al. 2025, Sec. V: 14.8 dB, and about 40 without overlap; a pair of the same ratio
    first, second = table.loc[3.0, 1000.0], table.loc[4.0, 10000.0]
    assert first.snr_db == pytest.approx(14.81, abs=0.05)
    assert first.snr_without_overlap_db == pytest.approx(40.7, abs=0.05)
    assert second.snr_db == pytest.approx(14.8, abs=0.15)
    # global 0.9 ± 0.1 %, local 0.2 ± 0.1 %, deconvolution 1.4 ± 0.1 % in the paper
    for row in (first, second):
        assert row.predicted_error_rate_global == pytest.approx(0.009, abs=0.002)
        assert row.predicted_error_rate_local == pytest.approx(0.002, abs=0.001)
        assert row.predicted_error_rate_deconvolution == pytest.approx(0.014, abs=0.003)


def test_every_row_is_its_own_point():
    table = design(
        spacing=[3.7, 4.6],
        kind=["square", "triangular"],
        hwhm=2.6,
        brightness=[400, 1500],
        brightness_sd=0.15,
        occupancy=[0.3, 0.7],
        background=20,
        read_noise=3,
        excess_noise=2,
    )
    assert len(table) == 16
    assert not table.duplicated().any()
    rng = np.random.default_rng(1)
    for row in table.iloc[rng.permutation(16)[:5]].itertuples():
        lattice = getattr(Lattice, row.kind)(row.spacing, (40, 40))
        assert_row_is_point_by_point(row, lattice, GaussianPSF(row.hwhm))


def test_an_objective_makes_an_airy_pattern():
    table = design(
        spacing=0.532,
        numerical_aperture=[0.65, 0.8],
        wavelength=0.78,
        pixel_size=0.12,
        **CAMERA,
    )
    # half maximum of (2 J1(v) / v)² at v = 1.61634: r = 1.61634 λ / (2π NA)
    expected = 1.61633995 * 0.78 / (2 * math.pi * table.numerical_aperture) / 0.12
    np.testing.assert_allclose(table.hwhm, expected, rtol=1e-8)
    np.testing.assert_allclose(table.hwhm, 0.2572 * 0.78 / table.numerical_aperture / 0.12, 3e-4)
    np.testing.assert_allclose(table.spacing, 0.532 / 0.12)
    assert table.attrs["psf"] == "airy"
    assert table.attrs["units"]["spacing_um"] == "um"
    lattice = Lattice.square(0.532 / 0.12, (30, 30))
    radius = 1.2196698912665045 * 0.78 / (2 * 0.65) / 0.12
    first = next(table.itertuples())
    assert_row_is_point_by_point(first, lattice, AiryPSF(radius))
    # an Airy pattern and a Gaussian of the same width are not far apart
    gaussian = design(spacing=0.532, hwhm=first.hwhm, pixel_size=0.12, **CAMERA)
    assert gaussian.attrs["psf"] == "gaussian"
    assert gaussian.spacing[0] == first.spacing
    assert gaussian.snr_db[0] == pytest.approx(first.snr_db, abs=1.5)


def test_columns_and_their_order():
    table = design(spacing=4, hwhm=2, methods=["local"], occupancy=np.array([0.2, 0.8]), **CAMERA)
    assert list(table.columns) == [
        *("kind", "spacing", "hwhm", "occupancy", "brightness", "brightness_sd"),
        *("background", "read_noise", "excess_noise", "hwhm_over_spacing"),
        *("snr_db", "snr_without_overlap_db", "snr_far_apart_db", "predicted_error_rate_local"),
    ]
    assert list(table.occupancy) == [0.2, 0.8]
    units = table.attrs["units"]
    assert units["spacing"] == units["hwhm"] == "px"
    assert units["snr_db"] == "dB"
    assert set(units) < set(table.columns)
    assert given_parameters(table)[:4] == ("kind", "spacing", "hwhm", "occupancy")


def test_computed_columns_are_no_parameters():
    table = design(
        spacing=2.0, pixel_size=0.5, wavelength=0.78, numerical_aperture=0.3, methods=[], **CAMERA
    )
    assert given_parameters(table)[:5] == (
        *("kind", "pixel_size", "spacing_um"),
        *("numerical_aperture", "wavelength"),
    )


def test_thousand_cameras_of_one_geometry_are_fast(monkeypatch):
    built = []
    build = SignalToNoise.__init__
    monkeypatch.setattr(
        SignalToNoise,
        "__init__",
        lambda self, *given: (built.append(given), build(self, *given))[1],
    )
    tenth = np.linspace(0.1, 1, 10)
    start = perf_counter()
    table = design(
        spacing=4, hwhm=3, brightness=3000 * tenth, background=90 * tenth, read_noise=3 * tenth
    )
    assert perf_counter() - start < 3
    assert len(table) == 1000
    assert len(built) == 1
    grid = table.snr_db.to_numpy().reshape(10, 10, 10)
    assert (np.diff(grid, axis=0) > 0).all()  # brighter atoms
    assert (np.diff(grid, axis=1) < 0).all()  # more background
    assert (np.diff(grid, axis=2) < 0).all()  # more read noise


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hwhm": None}, "found neither"),
        ({"wavelength": 0.8}, "found hwhm and wavelength"),
        ({"numerical_aperture": 0.8, "wavelength": 0.8}, "numerical_aperture and wavelength"),
        ({"hwhm": None, "wavelength": 0.8}, "found no numerical_aperture and no pixel_size"),
        ({"hwhm": None, "wavelength": 780, "numerical_aperture": 0.5, "pixel_size": 0.1}, "um"),
        ({"hwhm": None, "wavelength": 0.8, "numerical_aperture": 5, "pixel_size": 0.1}, "below 2"),
        ({"hwhm": 400}, "up to 20 px, found 400"),
        ({"spacing": 0}, "expected spacing to be finite and positive, found 0"),
        ({"spacing": [3, math.nan]}, "expected spacing to be finite"),
        ({"spacing": []}, "at least one value of spacing"),
        ({"spacing": "4"}, "expected spacing to be a number or several, found '4'"),
        ({"spacing": [[4, 5]]}, "expected spacing to be a number or several"),
        ({"read_noise": -1}, "read_noise to be finite and at least 0, found -1"),
        ({"occupancy": 50}, "occupancy between 0 and 1, found 50"),
        ({"excess_noise": 0.5}, "excess noise of at least 1"),
        ({"kind": "hexagonal"}, "square.*found 'hexagonal'"),
        ({"kind": ()}, "at least one kind"),
        ({"methods": ["wiener"]}, "found 'wiener'"),
    ],
)
def test_what_cannot_be_is_refused_at_once(change, message, monkeypatch):
    monkeypatch.delattr(SignalToNoise, "decibel")
    with pytest.raises(ValueError, match=message):
        design(**{"spacing": 4, "hwhm": 3, **CAMERA, **change})
