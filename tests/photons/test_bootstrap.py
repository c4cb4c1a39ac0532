"""Intervals by the bootstrap: their width against the scatter of repeated simulations."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from napari_coldatoms.photons.bootstrap import bootstrap, draw_controls
from napari_coldatoms.photons.controls import fit_histograms
from napari_coldatoms.photons.fit import fit_atom_numbers, fit_histogram
from napari_coldatoms.photons.fit_setting import fit_setting
from napari_coldatoms.photons.histogram import Histogram, control_histograms, histogram
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.simulate import (
    PAPER_LOSS,
    PAPER_MODEL,
    simulate_controls,
    simulate_mixture,
)

TRUTH = np.array([0.2, 0.3, 0.5])
EXPOSURE = PAPER_MODEL.exposure


def simulated(control_events, events, seed):
    """Return controls and a sample."""
    rng = np.random.default_rng(seed)
    controls = simulate_controls(PAPER_MODEL, control_events, single_atom_loss=PAPER_LOSS, rng=rng)
    return control_histograms(controls), simulate_mixture(
        PAPER_MODEL, TRUTH, events, rng=rng
    ).counts


@pytest.fixture(scope="module")
def measured():
    controls, shots = simulated(1500, 1000, 0)
    return fit_histograms(controls, EXPOSURE), shots


def quietly(*args, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return bootstrap(*args, **keywords)


@pytest.mark.parametrize(
    ("known", "way"),
    [
        ("model", {}),
        ("fitted", {}),
        ("fitted", {"resample_controls": False}),
        ("fitted", {"basis": "events"}),
        ("controls", {"single_atom_loss": PAPER_LOSS}),
    ],
    ids=str,
)
def test_the_scatter_of_resamples_is_that_of_measurements(known, way):
    """To 25 %, which is what 120 simulations and 6 bootstraps tell."""
    estimates, errors = [], []
    fixed = fit_histograms(simulated(300, 10, 99)[0], EXPOSURE)
    for seed in range(120):
        controls, shots = simulated(300, 1000, seed)
        if known == "model":
            components = PAPER_MODEL
        elif way.get("resample_controls", True):
            components = controls if known == "controls" else fit_histograms(controls, EXPOSURE)
        else:
            components = fixed
        options = {k: v for k, v in way.items() if k != "resample_controls"}
        data = histogram(shots)
        setting = fit_setting(components, data.max_count, **options)
        estimates.append(fit_histogram(data, setting)[0].probabilities)
        if seed < 6:
            errors.append(quietly(shots, components, resamples=200, rng=seed, **way).stderr)
    scatter = np.std(estimates, axis=0)
    found = np.sqrt(np.mean(np.square(errors), axis=0))
    np.testing.assert_allclose(found, scatter, rtol=0.25)


def test_controls_that_are_few_make_intervals_too_narrow_if_they_are_kept():
    """Of 60 truths, 68 % intervals shall hold 68 ± 14 %; without the controls far fewer."""
    held, kept = 0.0, 0.0
    for seed in range(60):
        controls, shots = simulated(600, 3000, 1000 + seed)
        fitted = fit_histograms(controls, EXPOSURE)
        for anew in (True, False):
            found = quietly(shots, fitted, resample_controls=anew, rng=seed)
            inside = np.mean((found.low <= TRUTH) & (found.high >= TRUTH))
            if anew:
                held += inside / 60
            else:
                kept += inside / 60
    assert 0.54 < held < 0.82
    assert kept < 0.58


def test_every_likelihood_has_intervals(measured):
    fitted, shots = measured
    for way in (
        {"likelihood": "least-squares"},
        {"likelihood": "effective"},
        {"basis": "events", "likelihood": "least-squares"},
        {"basis": "events", "rebin": "none"},
    ):
        found = quietly(shots, fitted, rng=1, resamples=60, **way)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            fit = fit_atom_numbers(shots, fitted, **way)
        np.testing.assert_array_equal(found.estimate, fit.probabilities)
        assert (np.abs(found.samples.mean(axis=0) - found.estimate) < 0.03).all()
        assert ((found.stderr > 0.005) & (found.stderr < 0.06)).all()


def test_quantiles_and_seeds(measured):
    fitted, shots = measured
    found = bootstrap(shots, fitted, resamples=400, level=0.9, rng=5)
    assert found.samples.shape == (400, 3)
    np.testing.assert_allclose(found.samples.sum(axis=1), 1, atol=1e-12)
    # the 20.05th and 380.95th of 400 in order
    ordered = np.sort(found.samples, axis=0)
    low, high = ordered[19] + 0.05 * (ordered[20] - ordered[19]), ordered[379:381].mean(axis=0)
    np.testing.assert_allclose(found.low, low, atol=1e-15)
    np.testing.assert_allclose(found.high, high, atol=np.ptp(ordered[379:381], axis=0).max())
    again = bootstrap(shots, fitted, resamples=400, level=0.9, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(found.samples, again.samples)
    assert found.level == 0.9
    wider = bootstrap(shots, fitted, resamples=400, level=0.99, rng=5)
    assert (wider.high - wider.low > found.high - found.low).all()


def test_an_estimate_at_the_bound_lies_within():
    shots = simulate_mixture(PAPER_MODEL, [0, 1, 0], 200, rng=3).counts
    found = bootstrap(shots, PAPER_MODEL, rng=0)
    assert (found.low <= found.estimate).all()
    assert (found.estimate <= found.high).all()
    assert found.low.min() >= 0
    assert found.high.max() <= 1


def test_resamples_are_fitted_as_they_would_be_alone():
    """One bootstrap of two shots has three possible results."""
    found = quietly([14, 0], PAPER_MODEL, resamples=50, rng=0).samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        alone = [
            fit_atom_numbers(c, PAPER_MODEL).probabilities for c in ([0, 0], [0, 14], [14, 14])
        ]
    nearest = np.abs(found[:, None] - np.array(alone)).max(axis=2)
    assert nearest.min(axis=1).max() < 1e-6
    assert set(nearest.argmin(axis=1)) == {0, 1, 2}


def test_drawn_controls():
    controls, _ = simulated(300, 10, 4)
    drawn = draw_controls(controls, 4000, None, np.random.default_rng(0))
    totals = np.stack([of.sum(axis=1) for of in drawn])
    expected = np.array([c.total for c in controls])
    np.testing.assert_allclose(totals.mean(axis=1), expected, rtol=0.02)
    share = expected / expected.sum()
    np.testing.assert_allclose(totals.var(axis=1), expected.sum() * share * (1 - share), rtol=0.1)
    for of, control in zip(drawn, controls, strict=True):
        np.testing.assert_allclose(of.mean(axis=0), control.occurrences, atol=0.8)


def test_controls_of_very_few_shots_never_vanish():
    controls, shots = simulated(40, 300, 4)
    drawn = draw_controls(controls, 500, None, np.random.default_rng(0))
    assert min(of.sum(axis=1).min() for of in drawn) >= 1
    for way in ({}, {"basis": "events"}):
        found = quietly(shots, fit_histograms(controls, EXPOSURE), resamples=100, rng=0, **way)
        assert np.isfinite(found.samples).all()


def test_blocks_tell_slow_drifts():
    """A share of atoms that wanders makes estimates scatter more than independent shots would."""

    def wandering(rng, shots=2000):
        x = np.empty(shots)
        x[0] = rng.normal()
        for k in range(1, shots):
            x[k] = 0.97 * x[k - 1] + np.sqrt(1 - 0.97**2) * rng.normal()
        return PAPER_MODEL.sample((x > 0).astype(int), rng=rng)

    rng = np.random.default_rng(0)
    measurements = [wandering(rng) for _ in range(60)]
    estimates = [fit_atom_numbers(shots, PAPER_MODEL).probabilities[0] for shots in measurements]
    scatter = np.std(estimates)
    plain, blocks = (
        np.sqrt(
            np.mean(
                [
                    quietly(shots, PAPER_MODEL, block=block, rng=1, resamples=150).stderr[0] ** 2
                    for shots in measurements[:8]
                ]
            )
        )
        for block in (None, 200)
    )
    assert plain < 0.35 * scatter
    assert 0.6 * scatter < blocks < 1.2 * scatter


def test_blocks_of_controls(measured):
    fitted, shots = measured
    found = quietly(shots, fitted, block=20, rng=0, resamples=60)
    assert ((found.stderr > 0.005) & (found.stderr < 0.06)).all()
    unordered = [Histogram(h.occurrences) for h in fitted.histograms]
    assert quietly(shots, unordered, block=2000 // 2, rng=0).low.min() >= 0


def test_shots_that_nothing_gives(measured):
    _, shots = measured
    strange = np.concatenate([shots, [4000] * 5])
    with pytest.warns(FitWarning, match="5 shots are left out"):
        found = bootstrap(strange, PAPER_MODEL, rng=0)
    np.testing.assert_allclose(found.estimate, bootstrap(shots, PAPER_MODEL, rng=0).estimate)
    assert any("left out" in remark for remark in found.remarks)
    assert quietly(strange, PAPER_MODEL, block=10, rng=0).samples.shape == (100, 3)


def test_what_is_refused(measured):
    fitted, shots = measured
    for resamples in (1, 0, 2.5, True):
        with pytest.raises(ValueError, match="at least 2 resamples, found"):
            bootstrap(shots, fitted, resamples=resamples)
    for level in (0, 1, 68):
        with pytest.raises(ValueError, match="level between 0 and 1, found"):
            bootstrap(shots, fitted, level=level)
    with pytest.raises(ValueError, match="in the order of the shots for blocks, found a histogram"):
        bootstrap({3: 4, 7: 9}, fitted, block=2)
    with pytest.raises(ValueError, match="blocks of 1 to 1000 values"):
        bootstrap(shots, fitted, block=1001)
    with pytest.raises(ValueError, match="found -3"):
        bootstrap([1, -3], fitted)
