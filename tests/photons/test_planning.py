"""Planned measurements: predicted errors against simulated ones, and what is derived from them."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np
import pytest

from napari_coldatoms.photons import LossModel
from napari_coldatoms.photons.exposure import best_exposure
from napari_coldatoms.photons.information import precision
from napari_coldatoms.photons.planning import (
    events_needed,
    mean_error,
    plan,
    predicted_errors,
)
from napari_coldatoms.photons.simulate import PAPER_LOSS, PAPER_MODEL

INSIDE = (0.3, 0.3, 0.4)


def test_two_classes_by_hand():
    model = LossModel((2.0, 9.0), {}, 1.0)
    pure = model.distribution(80)
    mixture = 0.4 * pure[0] + 0.6 * pure[1]
    variance = 1 / np.sum((pure[1] - pure[0]) ** 2 / mixture)
    found = predicted_errors(model, [0.4, 0.6], 500)
    np.testing.assert_allclose(found, np.sqrt(variance / 500), rtol=1e-9)


def test_controls_of_two_classes_by_hand():
    # far apart, the controls give the rates alone, and these move nothing: only counts between
    # the modes would
    model = LossModel((0.5, 400.0), {}, 1.0)
    np.testing.assert_allclose(precision(model, [0.5, 0.5]).controls, 0, atol=1e-12)
    np.testing.assert_allclose(predicted_errors(model, [0.2, 0.8], 100, 10), 0.04, rtol=1e-6)


def test_controls_by_another_way():
    # the response of the fit to wrong rates, found by fitting the exact mixture
    from scipy.optimize import minimize

    model, w = PAPER_MODEL, np.array(INSIDE)
    truth = w @ model.distribution(110)

    def fitted(moved):
        components = moved.distribution(110)

        def loss(x):
            f = np.array([x[0], x[1], 1 - x[0] - x[1]]) @ components
            return -truth @ np.log(f)

        x = minimize(loss, w[:2], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}).x
        return np.array([x[0], x[1], 1 - x.sum()])

    step = 0.02
    rates = list(model.rates)
    high, low = rates.copy(), rates.copy()
    high[2] *= 1 + step
    low[2] *= 1 - step
    response = (fitted(replace(model, rates=high)) - fitted(replace(model, rates=low))) / 2 / step
    # with all other parameters known: from infinitely many controls of the others
    from napari_coldatoms.photons import information

    parameters = information.Parameters(model)
    slopes = parameters.derivatives(lambda moved: w @ moved.distribution(110))[2]
    components = model.distribution(110)
    sample = precision(model, w).sample
    expected = -sample @ (components / truth @ slopes) * model.mean_counts[2]
    np.testing.assert_allclose(response, expected, atol=2e-3)


def test_events_of_controls_and_sample_add():
    known = precision(PAPER_MODEL, INSIDE, single_atom_loss=PAPER_LOSS)
    for matrix in (known.sample, known.controls):
        np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-9)  # proportions sum to 1
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
    variance = np.diagonal(known.sample) / 700 + np.diagonal(known.controls) / 300
    np.testing.assert_allclose(known.errors(700, 300), np.sqrt(variance))


def test_sub_bins_tell_more():
    one = predicted_errors(PAPER_MODEL, INSIDE, 1000)
    two = predicted_errors(PAPER_MODEL, INSIDE, 1000, bins=2)
    three = predicted_errors(PAPER_MODEL, INSIDE, 1000, bins=3)
    assert two[2] < 0.88 * one[2]
    assert (three < two).all()


def test_one_bin_of_many_is_the_whole():
    # without losses the time of a count tells nothing
    model = replace(PAPER_MODEL, losses={})
    one = predicted_errors(model, INSIDE, 1000)
    np.testing.assert_allclose(predicted_errors(model, INSIDE, 1000, bins=2), one, rtol=1e-6)


def test_unknown_directions_do_no_harm():
    # two atoms become one at once: their rate is unknown, and does not matter
    model = replace(PAPER_MODEL, losses={(2, 0): 1e7})
    errors = predicted_errors(model, INSIDE, 1000, 1000, single_atom_loss=0.01)
    assert np.isfinite(errors).all()


def test_events_needed_inverts_the_prediction():
    for arguments in ({}, {"control_events": 4000}):
        needed = events_needed(PAPER_MODEL, INSIDE, 0.02, **arguments)
        assert mean_error(predicted_errors(PAPER_MODEL, INSIDE, needed, **arguments)) <= 0.02
        assert mean_error(predicted_errors(PAPER_MODEL, INSIDE, needed - 1, **arguments)) > 0.02
    needed = events_needed(PAPER_MODEL, INSIDE, 0.02, atoms=2, control_ratio=2.0)
    errors = predicted_errors(PAPER_MODEL, INSIDE, needed, 2 * needed)
    assert errors[2] == pytest.approx(0.02, rel=1e-3)


def test_plan():
    table = plan(
        PAPER_MODEL,
        INSIDE,
        events=[500, 1000],
        control_events=[None, 2000],
        exposure=[1e-3, 2e-3],
        rate_factor=[1, 1.5],
    )
    assert len(table) == 16
    assert table.events.tolist()[:2] == [500, 1000]
    row = table.iloc[7]  # exposure 1 ms, factor 1.5, 2000 controls, 1000 shots
    model = replace(PAPER_MODEL, rates=np.multiply(1.5, PAPER_MODEL.rates))
    errors = predicted_errors(model, INSIDE, 1000, 2000)
    np.testing.assert_allclose(row[["error_0", "error_1", "error_2"]].astype(float), errors)
    assert row.mean_error == pytest.approx(mean_error(errors))
    assert table.control_events.isna().sum() == 8
    assert table.attrs["units"] == {"exposure": "s"}
    assert len(plan(PAPER_MODEL, INSIDE, events=100)) == 1


def test_best_exposure():
    best = best_exposure(PAPER_MODEL, INSIDE, events=1000, control_events=2000)
    dense = PAPER_MODEL.exposure * np.geomspace(0.3, 2, 60)
    errors = [
        mean_error(predicted_errors(PAPER_MODEL.with_exposure(t), INSIDE, 1000, 2000))
        for t in dense
    ]
    assert not best.at_border
    assert best.exposure == pytest.approx(dense[np.argmin(errors)], rel=0.04)
    assert mean_error(best.errors) <= min(errors) * (1 + 1e-6)
    assert len(best.table) == 25
    of_two = best_exposure(PAPER_MODEL, INSIDE, exposures=[1e-5, 2e-5, 3e-5], atoms=2)
    assert of_two.at_border
    assert of_two.exposure == 3e-5


def test_fast_enough_for_a_slider():
    predicted_errors(PAPER_MODEL, INSIDE, 1000, 1000)
    times = []
    for _ in range(5):
        begin = perf_counter()
        predicted_errors(PAPER_MODEL, INSIDE, 1000, 1000, single_atom_loss=0.03)
        times.append(perf_counter() - begin)
    assert min(times) < 0.03  # 2 ms when nothing else runs


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (predicted_errors, {"events": 0}, "whole number above 0, found 0"),
        (predicted_errors, {"events": 9, "control_events": -1}, "control_events as a whole number"),
        (predicted_errors, {"events": 9, "control_shares": [1.0]}, "expected shares of 0, 1, 2"),
        (predicted_errors, {"events": 9, "bins": 0}, "expected at least one bin, found 0"),
        (predicted_errors, {"events": 9, "bins": 6}, "sequences of counts, found 6 bins"),
        (events_needed, {"error": 0.0}, "expected an error above 0, found 0"),
        (events_needed, {"error": 0.01, "control_events": 500}, "control shots for an error of"),
        (events_needed, {"error": 0.1, "control_events": 5, "control_ratio": 1}, "found both"),
        (events_needed, {"error": 0.1, "control_ratio": 0}, "control_ratio above 0, found 0"),
        (events_needed, {"error": 0.1, "atoms": 3}, "atoms from 0 to 2, found 3"),
        (events_needed, {"error": 1e-9}, "an error that can be reached"),
        (best_exposure, {"exposures": [1.0]}, "three exposures above 0 s or more"),
        (best_exposure, {"atoms": -1}, "atoms from 0 to 2, found -1"),
    ],
)
def test_bad_arguments(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(PAPER_MODEL, INSIDE, **arguments)


def test_sub_bins_need_a_constant_brightness():
    with pytest.raises(ValueError, match="constant brightness for several bins"):
        predicted_errors(replace(PAPER_MODEL, brightness_sd=0.1), INSIDE, 100, bins=2)
