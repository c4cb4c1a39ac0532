"""Atom numbers of simulated shots with known truth, by every method; what is told and refused."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from napari_coldatoms.photons.controls import fit_controls
from napari_coldatoms.photons.fit import fit_atom_numbers
from napari_coldatoms.photons.fit_setting import fit_setting
from napari_coldatoms.photons.histogram import Histogram, control_histograms, histogram
from napari_coldatoms.photons.likelihoods import effective_log_likelihood
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.model_setting import most_counts
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.simulate import (
    PAPER_LOSS,
    PAPER_MODEL,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.photons.single_atom_loss import correct_single_atom_loss

TRUTH = np.array([0.2, 0.3, 0.5])


@pytest.fixture(scope="module")
def controls():
    return simulate_controls(PAPER_MODEL, 4000, single_atom_loss=PAPER_LOSS, rng=1)


@pytest.fixture(scope="module")
def fitted(controls):
    return fit_controls(controls, PAPER_MODEL.exposure)


@pytest.fixture(scope="module")
def shots():
    return simulate_mixture(PAPER_MODEL, TRUTH, 4000, rng=3).counts


def quietly(*args, **keywords):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return fit_atom_numbers(*args, **keywords)


def told(match, *args, **keywords):
    """Fit, and expect a warning, perhaps among others, that is a remark too."""
    with pytest.warns(FitWarning) as record:
        fit = fit_atom_numbers(*args, **keywords)
    assert any(re.search(match, str(warning.message)) for warning in record)
    assert any(re.search(match, remark) for remark in fit.remarks)
    assert {str(warning.message) for warning in record} <= set(fit.remarks)
    assert all(warning.filename == __file__ for warning in record)
    return fit


WAYS = [
    {},
    {"likelihood": "least-squares"},
    {"basis": "events"},
    {"basis": "events", "rebin": 5},
    {"basis": "events", "rebin": "none"},
    {"basis": "events", "likelihood": "least-squares"},
    {"likelihood": "effective"},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_way_finds_the_truth(shots, fitted, way):
    fit = quietly(shots, fitted, **way)
    np.testing.assert_allclose(fit.probabilities, TRUTH, atol=0.04)
    assert fit.probabilities.sum() == pytest.approx(1, abs=1e-12)
    assert fit.goodness.p_value > 1e-3
    assert fit.expected.sum() == pytest.approx(len(shots) - len(fit.dropped_counts), rel=1e-9)
    assert fit.expected.shape == fit.components.shape[1:]
    assert len(fit.expected) > shots.max()
    assert fit.expected.min() >= 0
    np.testing.assert_allclose(fit.components.sum(axis=1), 1, rtol=1e-9)
    if way.get("likelihood") == "effective":
        assert np.isnan(fit.optimality_gap)
    else:
        assert fit.optimality_gap < 1e-9 * (1 if way.get("likelihood") != "least-squares" else 100)
    if fit.basis == "events":
        corrected = correct_single_atom_loss(fit.raw_probabilities, fitted.single_atom_loss)
        np.testing.assert_allclose(corrected, fit.probabilities, atol=1e-12)
    else:
        assert fit.raw_probabilities is None


def test_the_likelihood_is_poisson_s(shots):
    fit = fit_atom_numbers(shots, PAPER_MODEL)
    h = np.bincount(shots, minlength=len(fit.expected))
    assert fit.log_likelihood == pytest.approx(poisson.logpmf(h, fit.expected).sum(), abs=1e-6)
    raw = fit_atom_numbers(shots, PAPER_MODEL, likelihood="least-squares")
    assert raw.log_likelihood == pytest.approx(-0.5 * ((h - raw.expected) ** 2).sum(), rel=1e-9)


def test_all_kinds_of_counts_are_the_same(shots):
    given = histogram(shots)
    forms = [
        shots,
        list(map(int, shots)),
        given,
        {n: int(h) for n, h in enumerate(given.occurrences)},
        (np.arange(len(given.occurrences)), given.occurrences),
    ]
    fits = [fit_atom_numbers(form, PAPER_MODEL).probabilities for form in forms]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit, fits[0])


def test_controls_as_counts_are_corrected_only_if_asked(shots, controls, fitted):
    plain = quietly(shots, controls)
    assert plain.basis == "events"
    np.testing.assert_allclose(plain.probabilities, plain.raw_probabilities, atol=1e-15)
    loss = fitted.single_atom_loss
    corrected = quietly(shots, controls, single_atom_loss=loss)
    same = quietly(shots, fitted, basis="events")
    np.testing.assert_array_equal(corrected.probabilities, same.probabilities)
    assert corrected.probabilities[2] < plain.probabilities[2]
    zero = quietly(shots, fitted, basis="events", single_atom_loss=0.0)
    np.testing.assert_array_equal(zero.probabilities, plain.probabilities)
    # the loss of controls is nothing to a model
    np.testing.assert_array_equal(
        quietly(shots, fitted, single_atom_loss=0.3).probabilities,
        quietly(shots, fitted).probabilities,
    )


def test_expected_counts_are_never_negative():
    """Data with less loss than the controls want negative proportions of these."""
    loss = 0.3
    found = simulate_controls(PAPER_MODEL, 300, single_atom_loss=loss, rng=5)
    data = simulate_mixture(PAPER_MODEL, [0, 0, 1], 2000, rng=6).counts
    negative = 0
    for likelihood in ("poisson", "effective", "least-squares"):
        for rebin in ("adaptive", "none"):
            fit = quietly(data, found, single_atom_loss=loss, likelihood=likelihood, rebin=rebin)
            setting = fit_setting(found, data.max(), single_atom_loss=loss, rebin=rebin)
            mean = fit.raw_probabilities / setting.events.totals @ setting.events.counts
            assert mean.min() > -1e-12
            negative += fit.raw_probabilities.min() < -0.4
            if rebin == "adaptive":
                assert fit.probabilities[2] > 0.65
    assert negative == 3


@pytest.mark.parametrize("loss", [0.0, PAPER_LOSS])
@pytest.mark.parametrize("sizes", [(100, 500), (600, 3000), (1500, 600)])
def test_effective_likelihood_against_a_fine_grid(sizes, loss):
    found = control_histograms(
        simulate_controls(PAPER_MODEL, sizes[0], single_atom_loss=PAPER_LOSS, rng=7)
    )
    for seed, truth in enumerate(([0.2, 0.3, 0.5], [0.9, 0.1, 0.0], [0, 0, 1])):
        data = simulate_mixture(PAPER_MODEL, truth, sizes[1], rng=seed).counts
        fit = quietly(data, found, single_atom_loss=loss, likelihood="effective")
        setting = fit_setting(found, data.max(), single_atom_loss=loss, likelihood="effective")
        events = setting.events
        h = setting.merge(np.bincount(data))
        reached = events.counts.max(axis=0) > 0

        def value(w, events=events, h=h, reached=reached):
            scale = (w @ events.unmix.T) / events.totals * h.sum()
            mean = (scale @ events.counts)[:, reached]
            allowed = (mean > -1e-9).all(axis=1)
            variance = (scale**2 @ events.counts)[:, reached]
            terms = effective_log_likelihood(h[reached], np.maximum(mean, 0), variance)
            return np.where(allowed, terms.sum(axis=1), -np.inf)

        steps = np.arange(101)
        grid = np.array([(a, b, 100 - a - b) for a in steps for b in steps[: 101 - a]]) / 100
        assert value(fit.probabilities[None])[0] == pytest.approx(fit.log_likelihood, abs=1e-7)
        values = value(grid)
        assert fit.log_likelihood >= values.max() - 1e-8
        near = np.abs(fit.probabilities - grid[values.argmax()]).max()
        assert near < 0.02
        # and on a finer one around it
        moves = np.array([(a, b) for a in range(-5, 6) for b in range(-5, 6)]) * 2e-4
        fine = fit.probabilities + np.column_stack([moves, -moves.sum(axis=1)])
        fine = fine[(fine >= 0).all(axis=1)]
        assert fit.log_likelihood >= value(fine).max() - 1e-7


def test_brightness_that_varies():
    model = LossModel((1, 15, 29), {(2, 1): 0.8, (2, 0): 0.4}, 1.0, brightness_sd=0.2)
    data = simulate_mixture(model, TRUTH, 6000, rng=1).counts
    fit = fit_atom_numbers(data, model)
    np.testing.assert_allclose(fit.probabilities, TRUTH, atol=0.03)
    assert fit.goodness.p_value > 1e-3
    with pytest.warns(FitWarning, match="does not describe the counts"):
        plain = fit_atom_numbers(data, LossModel(model.rates, model.losses, 1.0))
    assert plain.goodness.p_value < 1e-6


def test_several_atoms():
    model = LossModel((1, 12, 23, 33, 42), {(2, 0): 0.2, (3, 1): 0.3, (4, 2): 0.5}, 1.0)
    truth = [0.1, 0.2, 0.3, 0.3, 0.1]
    data = simulate_mixture(model, truth, 20_000, rng=1).counts
    fit = fit_atom_numbers(data, model)
    np.testing.assert_allclose(fit.probabilities, truth, atol=0.04)
    assert fit.optimality_gap < 1e-9


def test_where_probabilities_end():
    for mean in (0.3, 29.0, 500.0):
        n = most_counts(LossModel((0, mean), {}, 1.0))
        assert poisson.logpmf(n, mean) > -690 > poisson.logpmf(n + 1, mean)
        n = most_counts(LossModel((0, mean), {}, 1.0, brightness_sd=0.25))
        p = 16 / (16 + mean)
        assert nbinom.logpmf(n, 16, p) > -690 > nbinom.logpmf(n + 1, 16, p)
    assert most_counts(LossModel((0, 0), {}, 1.0)) == 0


def test_counts_that_nothing_gives_are_dropped(shots, controls):
    strange = np.concatenate([shots, [5000, 700, 5000]])
    for components, name in ((PAPER_MODEL, "the model"), (controls, "the controls")):
        fit = told(f"3 shots are left out, which {name} cannot give: 700", strange, components)
        np.testing.assert_array_equal(fit.dropped_counts, [700, 5000, 5000])
        same = quietly(shots, components)
        np.testing.assert_allclose(fit.probabilities, same.probabilities, atol=1e-12)
        assert len(fit.expected) == 5001
    with pytest.raises(ValueError, match="the model can give, found none: 700, 5000 counts"):
        fit_atom_numbers([700, 5000], PAPER_MODEL)


def test_single_counts_that_no_control_has(shots, controls):
    fit = told(
        "left out, which the controls cannot give", shots, [c[:40] for c in controls], rebin="none"
    )
    seen = np.unique(np.concatenate([c[:40] for c in controls]))
    lost = np.sort(shots[~np.isin(shots, seen)])
    np.testing.assert_array_equal(fit.dropped_counts, lost)


def test_extreme_histograms(fitted):
    million = {15: 1_000_000}
    for components in (PAPER_MODEL, fitted, fitted.histograms):
        fit = told("does not describe", million, components)
        assert fit.probabilities[1] > 0.999
        assert fit.optimality_gap <= 5e-9
        # all shots dark: no atoms
        assert quietly([0] * 500, components).probabilities[0] > 0.99
    with pytest.warns(FitWarning, match="atom numbers of 1 shot say little"):
        assert fit_atom_numbers([14], PAPER_MODEL).probabilities[1] > 0.99


def test_doubtful_controls(shots, controls):
    fit = told("wrong order", shots, [controls[1], controls[0], controls[2]])
    told("controls for 0 atoms have 7 shots only", shots, [controls[0][:7], *controls[1:]])
    fit = told("wrong order", [0, 0, 1] * 20, [np.zeros(50, int)] * 3)
    assert np.isfinite(fit.probabilities).all()
    quiet = LossModel((15, 1), {}, 1.0)
    told("rates do not rise", poisson.rvs(15, size=50, random_state=1), quiet)


def test_merged_bins_are_remarked_without_a_warning(shots, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_atom_numbers(shots, fitted, basis="events")
    assert any(remark.startswith("bins of ") for remark in fit.remarks)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, -2], "not below 0, found -2"),
        ([1, 2.5], "whole numbers, found 2.5"),
        ([1, np.nan], "whole numbers, found nan"),
        ([], "at least one shot|found none"),
        ({3: 0}, "at least one shot"),
    ],
)
def test_counts_that_are_refused(counts, message, controls):
    with pytest.raises(ValueError, match=message):
        fit_atom_numbers(counts, PAPER_MODEL)
    with pytest.raises(ValueError, match=message):
        fit_atom_numbers([1, 2], [controls[0], counts])


def test_what_else_is_refused(shots, controls, fitted):
    with pytest.raises(ValueError, match="for every atom number from 0 on, found 0, 2"):
        fit_atom_numbers(shots, {0: controls[0], 2: controls[2]})
    with pytest.raises(ValueError, match="event-based fit, found a model"):
        fit_atom_numbers(shots, PAPER_MODEL, basis="events")
    with pytest.raises(ValueError, match="event-based fit, found a model"):
        fit_atom_numbers(shots, PAPER_MODEL, likelihood="effective")
    with pytest.raises(ValueError, match="found counts of controls"):
        fit_atom_numbers(shots, controls, basis="model")
    with pytest.raises(ValueError, match='found "effective"'):
        fit_atom_numbers(shots, fitted, basis="model", likelihood="effective")
    with pytest.raises(ValueError, match="a likelihood of poisson, effective, least-squares"):
        fit_atom_numbers(shots, fitted, likelihood="gauss")
    with pytest.raises(ValueError, match="a basis of auto, model, events"):
        fit_atom_numbers(shots, fitted, basis="both")
    with pytest.raises(ValueError, match=r"loss from 0 to below 1, found 1\.5"):
        fit_atom_numbers(shots, controls, single_atom_loss=1.5)


def test_a_histogram_alone_is_enough(shots):
    h = Histogram(np.bincount(shots).astype(np.int64))
    assert fit_atom_numbers(h, PAPER_MODEL).probabilities == pytest.approx(TRUTH, abs=0.03)


def test_proportions_at_their_bound_are_not_fitted():
    """50 shots without any count are no dark shots of 1 count: two bins tell it."""
    with pytest.warns(FitWarning, match="does not describe the counts"):
        fit = fit_atom_numbers(np.zeros(50, int), PAPER_MODEL)
    assert fit.probabilities == pytest.approx([1, 0, 0], abs=1e-6)
    assert fit.goodness.dof > 0


def test_shots_without_any_count_are_told(controls):
    with pytest.warns(FitWarning, match="no shot has any count"):
        fit = fit_atom_numbers(np.zeros(100, int), controls)
    assert fit.probabilities == pytest.approx([1, 0, 0], abs=1e-6)


def test_a_wrong_loss_is_refused_where_it_is_not_used(shots):
    with pytest.raises(ValueError, match="loss from 0 to below 1, found -3"):
        fit_atom_numbers(shots, PAPER_MODEL, single_atom_loss=-3)


def test_results_tell_in_short_what_they_are(shots, fitted):
    assert len(repr(fit_atom_numbers(shots, fitted))) < 500
