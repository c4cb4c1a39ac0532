"""Intervals hold the truth as often as they say, as in `benchmarks.accuracy`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PLACE = Path(__file__).parents[2] / "benchmarks" / "photon_intervals.py"
pytestmark = pytest.mark.slow


def load():
    spec = importlib.util.spec_from_file_location("photon_intervals", PLACE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


intervals = load()


@pytest.mark.parametrize("size", intervals.SIZES)
def test_intervals_hold_the_truth(size):
    found = intervals.coverage(*size)
    # each share of 300 sets is itself uncertain by 0.027
    assert np.abs(np.subtract(found.each, 0.68)).max() < 0.08
    assert found.all == pytest.approx(0.68, abs=0.06)


def test_controls_that_are_kept_make_intervals_too_narrow():
    assert intervals.coverage(600, 3000, sets=150).without_controls < 0.58


def test_predicted_errors():
    for ratio in intervals.predictions(500).values():
        np.testing.assert_allclose(ratio, 1, atol=0.12)
