"""Phases and calibrations of 50 × 50 sites against the truth, as in `benchmarks.accuracy`.

The accuracy tables are made of the same figures with more seeds.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "calibration_accuracy.py"
pytestmark = pytest.mark.slow


def load():
    spec = importlib.util.spec_from_file_location("calibration_accuracy", PLACE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


accuracy = load()


@cache
def calibrated(name, decibel):
    judged = {17.5: 0, 14.8: 4, 12.5: 4}[decibel]
    return accuracy.calibrated(name, decibel, seed=1, judged=judged)


def test_phase_of_each_shot():
    errors, pulls = accuracy.phase_errors(40)
    assert np.sqrt(np.mean(errors**2)) < 0.03
    assert np.abs(errors).max() < 0.1
    assert 0.8 < np.sqrt(np.mean(pulls**2)) < 1.5


@pytest.mark.parametrize(
    ("name", "decibel"),
    [("square", 17.5), ("triangular", 17.5), *((name, 14.8) for name in accuracy.LATTICES)],
)
def test_calibration_without_a_guess(name, decibel):
    found = calibrated(name, decibel)
    assert found.trusted
    assert found.sites == 0
    assert found.spacing < 0.0005
    assert found.angle < 0.05
    assert found.hwhm < 0.03


def test_own_calibrations_make_hardly_more_errors_than_the_truth():
    found = [calibrated(name, 14.8) for name in accuracy.LATTICES]
    found.append(calibrated("rotated by 7°", 12.5))
    wrong, least = sum(one.wrong for one in found), sum(one.wrong_with_truth for one in found)
    print(f"wrong decisions with the own calibration {wrong}, with the truth {least}")
    assert least >= 30
    assert wrong <= 1.3 * least


def test_wrong_phases_are_flagged():
    found = list(accuracy.flags(6))
    for one in found:
        print(one)
    wrong = sum(one.wrong for one in found)
    assert wrong > 40
    assert sum(one.wrong_flagged for one in found) >= 0.95 * wrong
    # between 9 and 12 dB some are flagged though they are right
    clear = [one for one in found if one.decibel >= 12.5]
    assert sum(one.right_flagged for one in clear) <= 0.05 * sum(one.shots for one in clear)
