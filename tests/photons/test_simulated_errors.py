"""Simulated measurements: their errors are those predicted."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_bad_arguments():
    with pytest.raises(ValueError, match="repeats as a whole number above 0, found 0"):
        simulated_errors(PAPER_MODEL, INSIDE, 5, repeats=0)
