"""The figures of Weyland et al. 2025 and what goes beyond them, as in `benchmarks.accuracy`.

The accuracy tables are made of the same figures with more resamples.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_coldatoms.photons import predicted_errors
from napari_coldatoms.photons.controls import fit_histograms
from napari_coldatoms.photons.fit import fit_atom_numbers
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.simulate import PAPER_LOSS, PAPER_MODEL

PLACE = Path(__file__).parents[2] / "benchmarks" / "photon_accuracy.py"


def load():
    spec = importlib.util.spec_from_file_location("photon_accuracy", PLACE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


accuracy = load()


FAST = ("least squares, model", "Poisson, model", "Poisson, events")


@pytest.fixture(scope="module")
def deltas():
    return accuracy.table_of_deltas(resamples=50, methods=FAST)


def assert_as_in_reference(deltas):
    for method, of_size in deltas.items():
        for size, found in of_size.items():
            expected = accuracy.REFERENCE[method].get(size, found)
            assert found == pytest.approx(expected, rel=0.08), (method, size)


def test_figures_of_the_paper(deltas):
    assert_as_in_reference(deltas)


@pytest.mark.slow
def test_figures_of_the_paper_with_all_resamples():
    found = accuracy.table_of_deltas(methods=[*FAST, "effective, events"])
    assert_as_in_reference(found)
    # what the paper says of it could not be seen: the effective likelihood is no better
    for size, effective in found["effective, events"].items():
        assert effective > found["Poisson, events"][size]


def test_merged_bins_help_the_more_the_fewer_controls_there_are(deltas):
    merged = accuracy.table_of_deltas(
        resamples=10, sizes=[(600, 600), (100, 3000)], methods=["Poisson, events in merged bins"]
    )["Poisson, events in merged bins"]
    assert merged[600, 600] < 0.85 * deltas["Poisson, events"][600, 600]
    assert merged[100, 3000] < 0.5 * deltas["Poisson, events"][100, 3000]
    for size, found in merged.items():
        assert found > 1.05 * deltas["Poisson, model"][size]


def test_least_squares_are_worse_everywhere(deltas):
    for size, least_squares in deltas["least squares, model"].items():
        assert least_squares > 1.3 * deltas["Poisson, model"][size]


def test_models_are_better_than_events_the_more_the_fewer_controls_there_are(deltas):
    gain = {
        size: deltas["Poisson, events"][size] / delta
        for size, delta in deltas["Poisson, model"].items()
    }
    assert gain[100, 3000] > gain[600, 600] > gain[2000, 2000] > gain[3000, 3000] > 1.1


def test_thresholds():
    found = accuracy.table_of_thresholds(resamples=30)
    for method in ("raw thresholds", "thresholds, confusion matrix"):
        assert found[method] == pytest.approx(accuracy.REFERENCE[method][2000, 1000], rel=0.08)
    assert found["Poisson, model"] == pytest.approx(1.28, rel=0.08)


def test_batches_fit_as_single_fits_do():
    w = np.array([[0.3, 0.3, 0.4], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]])
    given = accuracy.trials(600, 600, w)
    batch = accuracy.model_fit(given)
    for k, controls in enumerate(given.controls):
        histograms = tuple(Histogram(np.trim_zeros(c, "b")) for c in controls)
        fitted = fit_histograms(histograms, PAPER_MODEL.exposure)
        assert given.losses[k] == pytest.approx(fitted.single_atom_loss, abs=1e-4)
        single = fit_atom_numbers(Histogram(np.trim_zeros(given.samples[k], "b")), fitted.model)
        np.testing.assert_allclose(batch[k], single.probabilities, atol=1e-3)


def test_predicted_errors_inside_the_simplex():
    w = np.tile([0.3, 0.3, 0.4], (600, 1))
    given = accuracy.trials(2000, 1000, w, fixed_numbers=False)
    found = np.sqrt(((accuracy.model_fit(given) - given.truth) ** 2).mean(axis=0))
    expected = predicted_errors(
        PAPER_MODEL, given.truth[0], 1000, 2000, single_atom_loss=PAPER_LOSS
    )
    np.testing.assert_allclose(found, expected, rtol=0.08)


def test_sub_bins():
    found = accuracy.sub_bins()
    assert found.two < 0.88 * found.one
    assert found.one == pytest.approx(found.predicted_one, rel=0.12)
    assert found.two == pytest.approx(found.predicted_two, rel=0.12)


@pytest.mark.slow
def test_varying_brightness():
    found = accuracy.varying_brightness(resamples=10)
    # atoms that are brighter than the mean pass for more of them
    assert np.abs(found["Poisson, model"].bias).max() > 2.5
    assert np.abs(found["gamma-Poisson, model"].bias).max() < 0.6
    assert found["gamma-Poisson, model"].delta < 0.6 * found["Poisson, model"].delta
    assert found["Poisson, events"].delta < 0.7 * found["Poisson, model"].delta
