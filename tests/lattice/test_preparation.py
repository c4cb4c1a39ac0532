"""Preparation: the estimates that travel along with a shot are those of this very shot."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, ImagingParameters, Lattice, simulate
from napari_coldatoms.lattice.global_step import Known, global_step, site_prior
from napari_coldatoms.lattice.judging import Options, first_shot
from napari_coldatoms.lattice.local_step import local_step
from napari_coldatoms.lattice.preparation import refine_known
from napari_coldatoms.lattice.setup import Setup

PARAMETERS = ImagingParameters(
    occupancy=0.5, brightness=1000.0, brightness_sd=100.0, background=50.0, read_noise=2.0
)
LATTICE = Lattice.square(4.0, (20, 20), origin=(11.3, 10.6))
SHAPE = (99, 98)


def known_shot(hwhm, **changes):
    setup = Setup(LATTICE, GaussianPSF(hwhm), SHAPE, None)
    truth = simulate(LATTICE, setup.psf, image_shape=SHAPE, rng=1, **asdict(PARAMETERS))
    options = replace(Options(parameters=PARAMETERS), **changes)
    known = Known(PARAMETERS, setup.signal_to_noise().mixture(PARAMETERS))
    return setup, first_shot(setup, truth.image, options), known


# the second one is too wide for the sites to tell the background
@pytest.mark.parametrize(("hwhm", "changed"), [(2.7, True), (4.6, False)])
def test_estimates_of_known_parameters_are_those_of_the_shot(hwhm, changed):
    setup, first, known = known_shot(hwhm)
    first = first.with_background(first.background + 5.0)
    shot, step = refine_known(setup, first, known)
    assert (shot is not first) == changed
    fresh = global_step(shot, known)
    assert step is not None
    np.testing.assert_array_equal(step.brightness, fresh.brightness)
    expected = local_step(shot, fresh, site_prior(fresh, shot, known))
    assert step.local is not None
    np.testing.assert_array_equal(step.local, expected)


def test_no_estimate_comes_with_a_shot_whose_map_has_just_changed(monkeypatch):
    monkeypatch.setattr("napari_coldatoms.lattice.preparation._ROUNDS", 1)
    setup, first, known = known_shot(2.7)
    first = first.with_background(first.background + 5.0)
    shot, step = refine_known(setup, first, known)
    assert shot is not first
    assert step is None
