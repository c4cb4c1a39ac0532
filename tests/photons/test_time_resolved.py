import math

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons import (
    FitWarning,
    LossModel,
    bootstrap_time_resolved,
    fit_controls,
    fit_time_resolved,
    posterior,
    shot_log_likelihood,
    simulate_controls,
)

PAPER = LossModel((1.0, 15.0, 29.0), {(2, 1): 0.8, (2, 0): 0.4}, 1.0)
DIM = LossModel((0.3, 2.0, 3.5), {(1, 0): 0.5, (2, 1): 1.0, (2, 0): 0.4}, 1.0)
ALL_PAIRS = np.stack(np.meshgrid(np.arange(25), np.arange(25), indexing="ij"), -1).reshape(-1, 2)


@pytest.mark.parametrize("model", [DIM, LossModel(DIM.rates, DIM.losses, 1.0, brightness_sd=0.4)])
def test_sub_bins_add_up_to_the_whole_exposure(model):
    likelihood = np.exp(shot_log_likelihood(ALL_PAIRS, model))
    whole = np.zeros((25, 3))
    np.add.at(whole, np.minimum(ALL_PAIRS.sum(axis=1), 24), likelihood)
    np.testing.assert_allclose(whole[:20], model.distribution(19).T, rtol=1e-8)


@pytest.mark.parametrize("brightness_sd", [0.0, 0.5])
def test_simulated_pairs_follow_the_likelihood(brightness_sd):
    model = LossModel(DIM.rates, DIM.losses, 1.0, brightness_sd=brightness_sd)
    shots = 100_000
    pairs = model.sample(2, shots, bins=2, rng=5)
    observed = np.zeros((40, 40))
    np.add.at(observed, tuple(pairs.T), 1)
    expected = shots * np.exp(shot_log_likelihood(ALL_PAIRS, model))[:, 2].reshape(25, 25)
    enough = expected >= 10
    rest = shots - expected[enough].sum()
    chi2 = ((observed[:25, :25] - expected)[enough] ** 2 / expected[enough]).sum()
    chi2 += (shots - observed[:25, :25][enough].sum() - rest) ** 2 / rest
    assert stats.chi2.sf(chi2, enough.sum()) > 1e-3


def test_one_bin_is_the_distribution():
    counts = np.arange(60)
    expected = np.log(PAPER.distribution(59)).T
    np.testing.assert_allclose(shot_log_likelihood(counts, PAPER), expected, rtol=1e-10)
    np.testing.assert_allclose(shot_log_likelihood(counts[:, None], PAPER), expected, rtol=1e-10)


def test_many_sub_bins_do_not_underflow():
    bright = LossModel((100.0, 2e4, 4e4), {(2, 1): 0.8}, 1.0)
    counts = bright.sample([0, 1, 2], bins=2000, rng=0)
    log_likelihood = shot_log_likelihood(counts, bright)
    assert np.isfinite(np.diag(log_likelihood)).all()
    assert np.diag(log_likelihood)[1:].max() < -2000
    assert (log_likelihood.argmax(axis=1) == [0, 1, 2]).all()


def test_two_sub_bins_tell_two_atoms_better():
    """The error of P2 falls by 12 % or more; the paper's setting, 1000 shots, 300 repeats."""
    errors = {1: [], 2: []}
    rng = np.random.default_rng(11)
    truth = np.array([0.2, 0.3, 0.5])
    atoms = np.repeat([0, 1, 2], (1000 * truth).astype(int))
    for _ in range(300):
        counts = PAPER.sample(atoms, bins=2, rng=rng)
        errors[2].append(fit_time_resolved(counts, PAPER).probabilities - truth)
        errors[1].append(fit_time_resolved(counts.sum(axis=1), PAPER).probabilities - truth)
    rms = {bins: np.sqrt(np.mean(np.square(e), axis=0))[2] for bins, e in errors.items()}
    assert rms[2] < 0.88 * rms[1]
    assert abs(np.mean(errors[2], axis=0)).max() < 4 * rms[2] / math.sqrt(300)


def test_the_fit_is_the_maximum():
    rng = np.random.default_rng(2)
    counts = PAPER.sample(rng.choice(3, size=400, p=[0.2, 0.3, 0.5]), bins=3, rng=rng)
    fit = fit_time_resolved(counts, PAPER)
    likelihood = np.exp(shot_log_likelihood(counts, PAPER))
    assert fit.log_likelihood == pytest.approx(np.log(likelihood @ fit.probabilities).sum())
    assert fit.optimality_gap < 1e-9
    for other in rng.dirichlet(np.ones(3), 500):
        mixed = 0.9 * fit.probabilities + 0.1 * other
        assert np.log(likelihood @ mixed).sum() <= fit.log_likelihood + 1e-9


def test_posterior_of_single_shots_is_calibrated():
    rng = np.random.default_rng(7)
    prior = np.array([0.2, 0.3, 0.5])
    atoms = rng.choice(3, size=40_000, p=prior)
    counts = PAPER.sample(atoms, bins=2, rng=rng)
    chance = posterior(counts, PAPER, prior)
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    for i in range(3):
        for low in np.arange(0, 1, 0.2):
            inside = (chance[:, i] >= low) & (chance[:, i] < low + 0.2)
            expected = chance[inside, i].sum()
            sd = math.sqrt((chance[inside, i] * (1 - chance[inside, i])).sum())
            assert abs((atoms[inside] == i).sum() - expected) < 4 * sd + 1
    fit = fit_time_resolved(counts, PAPER)
    np.testing.assert_allclose(fit.posterior.mean(axis=0), fit.probabilities, atol=1e-6)


@pytest.mark.parametrize("control_events", [600, None])
def test_intervals_hold_the_truth_as_often_as_they_say(control_events):
    """68 % of 150 measurements; with few controls they are resampled, too."""
    rng = np.random.default_rng(21)
    truth = np.array([0.3, 0.3, 0.4])
    inside = []
    for _ in range(150):
        known = PAPER
        if control_events:
            known = fit_controls(simulate_controls(PAPER, control_events, rng=rng), 1.0)
        counts = PAPER.sample(rng.choice(3, size=500, p=truth), bins=2, rng=rng)
        found = bootstrap_time_resolved(counts, known, resamples=60, rng=rng)
        inside.append((found.low <= truth) & (truth <= found.high))
    # three standard deviations of 450 proportions, of which two in three are independent
    assert 100 * np.mean(inside) == pytest.approx(68, abs=8)


def test_wrong_bootstraps_are_told():
    with pytest.raises(ValueError, match="at least 2 resamples, found 1"):
        bootstrap_time_resolved([[3, 4]], PAPER, resamples=1)
    with pytest.raises(ValueError, match="level between 0 and 1, found 68"):
        bootstrap_time_resolved([[3, 4]], PAPER, level=68)


def test_impossible_shots_are_left_out_and_told():
    model = LossModel((0.0, 20.0), {}, 1.0)
    with pytest.warns(FitWarning, match="1 of 4 shots"):
        fit = fit_time_resolved([[0, 0], [9, 11], [8, 12], [10**5, 0]], model)
    assert fit.impossible.tolist() == [False, False, False, True]
    assert np.isnan(fit.posterior[3]).all()
    assert fit.probabilities == pytest.approx([1 / 3, 2 / 3], abs=1e-6)
    with pytest.raises(ValueError, match="found none in any shot"):
        fit_time_resolved([[5, 0]], LossModel((0.0, 0.0), {}, 1.0))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[[1]]], "found shape \\(1, 1, 1\\)"),
        ([], "found shape \\(0,\\)"),
        ([[1, -2]], "not below 0, found -2"),
        ([[1, 0.5]], "whole numbers, found 0.5"),
        ([[1, math.nan]], "whole numbers, found nan"),
    ],
)
def test_wrong_counts_are_told(counts, message):
    with pytest.raises(ValueError, match=message):
        fit_time_resolved(counts, PAPER)


@pytest.mark.parametrize("prior", [[0.5, 0.5], [0, 0, 0], [0.5, -0.5, 1], [math.nan, 0, 1]])
def test_wrong_priors_are_told(prior):
    with pytest.raises(ValueError, match="probabilities >= 0 of 0 to 2 atoms"):
        posterior([3], PAPER, prior)


def test_shots_are_needed_and_rates():
    with pytest.raises(ValueError, match=r"of each shot in sub-bins.* found a histogram"):
        fit_time_resolved({3: 4}, PAPER)
    with pytest.raises(ValueError, match="as many sub-bins in all shots"):
        fit_time_resolved([[1, 2], [3]], PAPER)
    with pytest.raises(ValueError, match="expected a LossModel or a ControlFit"):
        fit_time_resolved([[1, 2]], [[0, 1], [15, 16]])
    with pytest.warns(FitWarning, match="no shot has any count"):
        fit_time_resolved(np.zeros((20, 2), int), PAPER)
