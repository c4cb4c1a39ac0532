"""What is said of a calibration."""

from __future__ import annotations

import math

import numpy as np

from napari_coldatoms.analyses.calibration_words import numbers, told, verdict
from napari_coldatoms.lattice import Calibration, GaussianPSF, Lattice, PhaseTrack, Quality


def calibration(*, trusted: bool, remarks: tuple[str, ...] = ()) -> Calibration:
    quality = Quality(
        trusted=trusted,
        remarks=remarks,
        shots=3,
        trusted_shots=2,
        spacing=(4.0, 4.01234),
        spacing_error=(0.00123, math.inf),
        angle=(90.0, 0.5),
        angle_error=(0.02, math.inf),
        hwhm_error=0.004,
        contrast=5.0,
        snr_db=14.84,
        predicted_error_rate=math.nan,
    )
    track = PhaseTrack(
        offset=np.zeros((3, 2)),
        measured=np.zeros((3, 2)),
        stderr=np.zeros((3, 2)),
        contrast=np.ones(3),
        significance=np.ones(3),
        trusted=np.array([True, True, False]),
        outlier=np.zeros(3, dtype=bool),
        time=np.arange(3.0),
    )
    lattice = Lattice.square(4.0, (5, 6))
    return Calibration(lattice, GaussianPSF(3.0), track, quality, (50, 50))


def test_numbers_have_errors_and_units_and_what_is_not_known_is_left_out() -> None:
    assert numbers(calibration(trusted=True)) == [
        ("sites", "30 (lattice)"),
        ("spacing", "4.0000 ± 0.0012 px, 4.0123 px"),
        ("angle", "90.0000 ± 0.02 °, 0.5000 °"),
        ("PSF HWHM", "3.0000 ± 0.004 px"),
        ("SNR", "14.8 dB"),
        ("shots", "3, 2 of them trusted"),
    ]


def test_the_verdict_has_a_sign_and_its_reasons() -> None:
    good = calibration(trusted=True, remarks=("a note",))
    assert verdict(good) == "✓ trusted"
    assert told(good)[-2:] == [("trusted", "yes"), ("remark", "a note")]
    bad = calibration(trusted=False, remarks=("few atoms", "too wide"))
    assert verdict(bad) == "! not trusted: few atoms; too wide"
    assert told(bad)[-3:] == [("trusted", "NO"), ("remark", "few atoms"), ("remark", "too wide")]
