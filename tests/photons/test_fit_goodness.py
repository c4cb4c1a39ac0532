"""χ² of fits with uncertain models: right samples pass, wrong ones are found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_coldatoms.photons import (
    PAPER_LOSS,
    PAPER_MODEL,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.photons.controls import fit_histograms
from napari_coldatoms.photons.fit import fit_histogram
from napari_coldatoms.photons.fit_goodness import component_errors
from napari_coldatoms.photons.fit_setting import fit_setting
from napari_coldatoms.photons.histogram import control_histograms, histogram


def p_values(control_events, events, sets, model=PAPER_MODEL, with_errors=True):
    rng = np.random.default_rng([control_events, events])
    found = []
    for _ in range(sets):
        controls = simulate_controls(
            PAPER_MODEL, control_events, single_atom_loss=PAPER_LOSS, rng=rng
        )
        known = fit_histograms(control_histograms(controls), PAPER_MODEL.exposure)
        w = 0.1 + 0.7 * rng.dirichlet(np.ones(3))
        sample = histogram(simulate_mixture(model, w, events, rng=rng).counts)
        setting = fit_setting(known if with_errors else known.model, sample.max_count)
        found.append(fit_histogram(sample, setting)[0].goodness.p_value)
    return np.array(found)


@pytest.mark.parametrize("sizes", [(600, 600), (2000, 1000), (600, 3000)])
def test_right_samples_pass(sizes):
    found = p_values(*sizes, 200)
    assert (found < 1e-3).mean() <= 0.015
    assert (found < 0.05).mean() < 0.12
    assert (found > 0.5).mean() > 0.35


def test_without_the_errors_of_the_model_they_would_not():
    assert (p_values(600, 3000, 100, with_errors=False) < 1e-3).mean() > 0.2


def test_wrong_samples_are_found():
    brighter = replace(PAPER_MODEL, rates=np.multiply(1.15, PAPER_MODEL.rates))
    assert (p_values(2000, 1000, 50, model=brighter) < 1e-3).mean() > 0.5
    flickering = replace(PAPER_MODEL, brightness_sd=0.3)
    assert (p_values(2000, 3000, 50, model=flickering) < 1e-3).mean() > 0.9


@pytest.mark.parametrize("brightness_sd", [0.0, "fit"])
def test_modes_are_the_scatter_of_fits(brightness_sd):
    sd = 0.2 if brightness_sd == "fit" else 0.0
    model = replace(PAPER_MODEL, brightness_sd=sd)
    rng = np.random.default_rng(4)
    fits = []
    for _ in range(150):
        controls = simulate_controls(model, 3000, single_atom_loss=PAPER_LOSS, rng=rng)
        fits.append(fit_histograms(control_histograms(controls), 1e-3, brightness_sd=brightness_sd))
    scatter = np.std([fit.model.distribution(60) for fit in fits], axis=0)
    told = np.sqrt(np.mean([(component_errors(f, 60) ** 2).sum(axis=0) for f in fits], axis=0))
    large = scatter > 0.2 * scatter.max(axis=1, keepdims=True)
    ratio = told[large] / scatter[large]
    assert np.abs(np.log(ratio)).max() < 0.35
    assert np.abs(np.log(ratio).mean()) < 0.1
