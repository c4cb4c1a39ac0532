"""Dispersion, correlations and drifts of counts, against simulations and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons.checks import check_controls, check_counts
from napari_coldatoms.photons.controls import fit_controls
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.run_order import best_block, correlations, group_p_value, groups_of

MODEL = LossModel((1e3, 15e3, 29e3), {(2, 1): 800.0, (2, 0): 400.0}, 1e-3)


def wandering(
    mean: float, sd: float, memory: float, shots: int, rng: np.random.Generator
) -> np.ndarray:
    """Counts of a brightness that wanders: a first-order autoregression, then Poisson."""
    level = np.empty(shots)
    level[0] = rng.normal()
    for k in range(1, shots):
        level[k] = memory * level[k - 1] + np.sqrt(1 - memory**2) * rng.normal()
    return rng.poisson(mean * np.maximum(1 + sd * level, 0.0))


@pytest.mark.parametrize("mean", [0.05, 1.0, 15.0])
def test_p_values_are_uniform_for_poissonian_counts(mean: float) -> None:
    rng = np.random.default_rng(1)
    checks = [check_counts(rng.poisson(mean, 400)) for _ in range(400)]
    for name in ("fano_p", "correlation_p", "drift_p", "groups_p"):
        values = np.array([getattr(check, name) for check in checks])
        # rare counts have few possible values of each ratio
        uniform = stats.kstest(values, "uniform").pvalue > 0.01
        assert uniform or (mean < 1 and abs(np.mean(values < 0.1) - 0.1) < 0.05), name
    assert sum(bool(check.remarks) for check in checks) <= (8 if mean >= 1 else 14)
    assert np.mean([check.block == 1 for check in checks]) > 0.8


@pytest.mark.parametrize(("sd", "fano"), [(0.25, 3.8), (0.45, 10.0)])
@pytest.mark.parametrize("memory", [0.7, 0.9])
def test_brightness_that_wanders_is_found(sd: float, fano: float, memory: float) -> None:
    rng = np.random.default_rng(2)
    mean = (fano - 1) / sd**2
    counts = wandering(mean, sd, memory, 3000, rng)
    check = check_counts(counts)
    assert check.fano == pytest.approx(fano, rel=0.2)
    assert check.fano == pytest.approx(counts.var(ddof=1) / counts.mean(), rel=1e-9)
    assert check.brightness_sd == pytest.approx(sd, rel=0.1)
    assert check.correlation == pytest.approx(memory * (fano - 1) / fano, abs=0.06)
    assert check.fano_p < 1e-10
    assert check.correlation_p < 1e-10
    text = "; ".join(check.remarks)
    assert 'brightness_sd="fit"' in text
    assert f"block={check.block}" in text
    assert 8 <= check.block <= 120


def test_the_error_of_the_fano_factor_is_its_scatter() -> None:
    rng = np.random.default_rng(3)
    checks = [
        check_counts(stats.nbinom.rvs(5, 0.2, size=800, random_state=rng)) for _ in range(400)
    ]
    scatter = np.std([check.fano for check in checks])
    assert np.median([check.fano_stderr for check in checks]) == pytest.approx(scatter, rel=0.12)


def test_the_index_of_dispersion_is_the_chi_square_test() -> None:
    counts = np.random.default_rng(4).poisson(40, 300)
    by_scipy = stats.chisquare(counts)
    tail = min(by_scipy.pvalue, 1 - by_scipy.pvalue)
    assert check_counts(counts).fano_p == pytest.approx(2 * tail, rel=0.01)


def test_counts_that_vary_too_little() -> None:
    counts = np.random.default_rng(5).binomial(40, 0.5, 800)
    check = check_counts(counts)
    assert check.fano == pytest.approx(0.5, abs=0.1)
    assert check.brightness_sd == 0
    assert "dead time" in check.remarks[0]


def test_a_drift_is_found() -> None:
    rng = np.random.default_rng(6)
    counts = rng.poisson(np.linspace(14, 16, 2000))
    check = check_counts(counts)
    line = stats.linregress(np.arange(2000), counts)
    assert check.drift == pytest.approx(line.slope * 1999 / counts.mean(), rel=1e-9)
    assert check.drift_p == pytest.approx(line.pvalue, rel=1e-6)
    assert any("drifts by +1" in remark for remark in check.remarks)
    chart = check.run_chart()
    assert len(chart) == 20
    assert chart["shots"].sum() == 2000
    assert chart["mean"].iloc[0] == pytest.approx(counts[:100].mean())
    assert chart["mean"].iloc[-1] > chart["mean"].iloc[0]
    by_scipy = stats.f_oneway(*np.split(counts, 20))
    assert check.groups_p == pytest.approx(by_scipy.pvalue, rel=1e-9)


def test_a_jump_and_back_is_found_by_the_groups() -> None:
    rng = np.random.default_rng(7)
    mean = np.full(1000, 10.0)
    mean[400:600] = 11.5
    check = check_counts(rng.poisson(mean), groups=10)
    assert check.groups_p < 1e-3
    assert check.run_chart()["outside"].iloc[4:6].any()


def test_a_mixture_is_judged_by_what_was_expected() -> None:
    rng = np.random.default_rng(8)
    p = MODEL.distribution(90)
    expected = 0.2 * p[0] + 0.3 * p[1] + 0.5 * p[2]
    drawn = rng.multinomial(2000, expected / expected.sum(), size=300)
    checks = [check_counts(Histogram(h), expected=expected * 2000) for h in drawn]
    assert stats.kstest([check.fano_p for check in checks], "uniform").pvalue > 0.01
    assert check_counts(Histogram(drawn[0])).fano > 3
    narrow = check_counts(rng.poisson(15, 500), expected=expected)
    assert "the expected ones" in narrow.remarks[0]


def test_controls_are_checked_against_their_fit() -> None:
    rng = np.random.default_rng(10)
    counts = [MODEL.sample(i, 1000, rng=rng) for i in range(3)]
    checks = check_controls(fit_controls(counts, 1e-3))
    assert [check.fano_p > 1e-3 for check in checks] == [True] * 3
    assert [check.shots for check in checks] == [1000] * 3


def test_a_few_lost_atoms_are_no_dispersion() -> None:
    rng = np.random.default_rng(11)
    counts = [MODEL.sample(rng.binomial(i, 0.97, 1000), rng=rng) for i in range(2)]
    assert check_counts(counts[1]).fano_p < 1e-3
    assert not check_controls(fit_controls(counts, 1e-3))[1].remarks
    noisy = LossModel(MODEL.rates, MODEL.losses, MODEL.exposure, brightness_sd=0.3)
    counts = [noisy.sample(rng.binomial(i, 0.97, 1000), rng=rng) for i in range(2)]
    with pytest.warns(FitWarning, match="brightness_sd"):
        fit = fit_controls(counts, 1e-3)
    assert "the expected ones" in check_controls(fit)[1].remarks[0]
    assert not check_controls(fit_controls(counts, 1e-3, brightness_sd="fit"))[1].remarks


def test_histograms_have_no_order() -> None:
    check = check_counts({3: 10, 4: 12, 5: 9})
    assert check.correlation is check.drift is check.groups_p is check.block is check.groups is None
    with pytest.raises(ValueError, match="as a histogram"):
        check.run_chart()


def test_few_or_equal_counts() -> None:
    assert np.isnan(check_counts([3]).fano)
    assert np.isnan(check_counts([0, 0, 0]).fano)
    assert np.isnan(check_counts([0, 1, 0]).fano_p)
    equal = check_counts([5] * 100)
    assert equal.fano == 0
    assert equal.correlation is None
    with pytest.raises(ValueError, match="expected at least 10 shots"):
        check_counts([1, 2, 3]).run_chart()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 1}, "from 2 to 10 groups"),
        ({"groups": 11}, "from 2 to 10 groups"),
        ({"expected": [-1.0, 2.0]}, "distribution of counts"),
        ({"expected": [0.0, 0.0]}, "distribution of counts"),
        ({"expected": [[1.0]]}, "distribution of counts"),
    ],
)
def test_bad_input(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_counts(list(range(20)), **options)


def test_correlations_by_hand() -> None:
    values = np.random.default_rng(10).normal(size=101)
    d = values - values.mean()
    rho = correlations(values)
    for lag in (0, 1, 7):
        assert rho[lag] == pytest.approx(d[: 101 - lag] @ d[lag:] / (d @ d), abs=1e-12)
    groups = groups_of(values, 7)
    pieces = np.split(values, groups[1:, 0].astype(int))
    assert group_p_value(values, groups) == pytest.approx(stats.f_oneway(*pieces).pvalue, rel=1e-9)


def test_the_best_block_of_an_autoregression() -> None:
    # exact correlations: G = 2ρ/(1-ρ)², g = (1+ρ)/(1-ρ), so that b = (3/2 N (2ρ/(1-ρ²))²)^(1/3)
    shots = 4000
    for rho in (0.5, 0.8):
        exact = (1.5 * shots * (2 * rho / (1 - rho**2)) ** 2) ** (1 / 3)
        assert best_block(rho ** np.arange(200), shots) == pytest.approx(exact, rel=0.25)
    assert best_block(np.append(1.0, np.zeros(100)), shots) == 1
