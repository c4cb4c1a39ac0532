"""Simulated measurements: their errors are those predicted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_coldatoms.photons import LossModel
from napari_coldatoms.photons.planning import predicted_errors
from napari_coldatoms.photons.simulate import PAPER_LOSS, PAPER_MODEL
from napari_coldatoms.photons.simulated_errors import simulated_errors

INSIDE = (0.3, 0.3, 0.4)


@pytest.mark.parametrize(("events", "control_events"), [(1000, None), (1000, 2000)])
def test_prediction_is_what_simulations_find(events, control_events):
    found = simulated_errors(
        PAPER_MODEL, INSIDE, events, control_events, repeats=300, single_atom_loss=PAPER_LOSS, rng=1
    )
    expected = predicted_errors(
        PAPER_MODEL, INSIDE, events, control_events, single_atom_loss=PAPER_LOSS
    )
    np.testing.assert_allclose(found.errors, expected, rtol=0.15)
    assert (np.abs(found.bias) < 0.3 * found.errors).all()
    assert found.estimates.shape == (300, 3)
    np.testing.assert_allclose(found.truth, INSIDE)


def assert_as_predicted(model, w, events, control_events, loss, repeats=300, **options):
    found = simulated_errors(
        model, w, events, control_events, repeats=repeats, single_atom_loss=loss, rng=2, **options
    )
    expected = predicted_errors(
        model, w, events, control_events, single_atom_loss=loss, bins=options.get("bins", 1)
    )
    np.testing.assert_allclose(found.errors, expected, rtol=0.15)


def test_two_sub_bins():
    assert_as_predicted(PAPER_MODEL, INSIDE, 1000, 2000, PAPER_LOSS, bins=2)


def test_varying_brightness():
    model = replace(PAPER_MODEL, brightness_sd=0.2)
    assert_as_predicted(model, INSIDE, 2000, 4000, PAPER_LOSS)


@pytest.mark.slow
def test_three_atoms():
    losses = {(2, 1): 600.0, (2, 0): 300.0, (3, 2): 400.0, (3, 1): 500.0}
    model = LossModel((1e3, 30e3, 58e3, 83e3), losses, 1e-3)
    assert_as_predicted(model, (0.2, 0.3, 0.2, 0.3), 2000, 6000, 0.02, repeats=200)


def test_events_are_worse_than_the_model():
    errors = [
        simulated_errors(
            PAPER_MODEL, INSIDE, 1000, 600, repeats=100, single_atom_loss=0.03, basis=basis, rng=3
        ).errors[2]
        for basis in ("model", "events")
    ]
    assert errors[0] < errors[1] < 1.6 * errors[0]


def test_bad_arguments():
    with pytest.raises(ValueError, match="repeats as a whole number above 0, found 0"):
        simulated_errors(PAPER_MODEL, INSIDE, 5, repeats=0)
    with pytest.raises(ValueError, match='expected likelihood "poisson" and the model'):
        simulated_errors(PAPER_MODEL, INSIDE, 5, bins=2, likelihood="least-squares")
