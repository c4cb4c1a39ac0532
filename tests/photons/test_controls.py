"""The fit of controls, against scipy's optimisers and against the scatter of simulated fits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize, stats

from napari_coldatoms.photons.controls import ControlFit, fit_controls, fit_histograms, refit
from napari_coldatoms.photons.histogram import Histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import FitWarning

MODEL = LossModel((1e3, 15e3, 29e3), {(2, 1): 800.0, (2, 0): 400.0}, 1e-3)
LOSS = 0.029


def draw(
    model: LossModel, shots: tuple[int, ...], loss: float = LOSS, seed: int = 0
) -> list[np.ndarray]:
    """Simulate controls, atoms lost beforehand included."""
    rng = np.random.default_rng(seed)
    return [
        model.sample(rng.binomial(i, 1 - loss, size=number), rng=rng)
        for i, number in enumerate(shots)
    ]


def two_atom_likelihood(
    counts: list[np.ndarray], controls: tuple[int, ...], sd: float | None = 0.0
) -> Callable[[np.ndarray], float]:
    """Return -ln L of some controls by Eq. 3, for (λ0, λ1, λ2, ε, γ21 T, γ20 T, sd)."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    t, w = (nodes + 1) / 2, weights / 2
    n = np.arange(120)

    def pmf(mean: float | np.ndarray, sd: float) -> np.ndarray:
        mean = np.asarray(mean)[..., None]
        if sd < 1e-5:
            return stats.poisson.pmf(n, mean)
        return stats.nbinom.pmf(n, 1 / sd**2, 1 / (1 + sd**2 * mean))

    def likelihood(x: np.ndarray) -> float:
        if min(x) < 0 or x[3] > 1:
            return math.inf
        l0, l1, l2, loss, g1, g0 = x[:6]
        width = x[6] if sd is None else sd
        p = [pmf(l0, width), pmf(l1, width)]
        total = g1 + g0
        p2 = math.exp(-total) * pmf(l2, width)
        for g, low in ((g1, l1), (g0, l0)):
            p2 = p2 + g * (w * np.exp(-total * t)) @ pmf(l2 * t + low * (1 - t), width)
        p.append(p2)
        result = 0.0
        for i in controls:
            mixed = sum(stats.binom.pmf(j, i, 1 - loss) * p[j] for j in range(i + 1))
            result -= np.log(np.maximum(mixed[counts[i]], 1e-300)).sum()
        return result

    return likelihood


def vector(fit: ControlFit) -> np.ndarray:
    return fit.setting.theta(fit.model, fit.single_atom_loss)


def test_the_joint_fit_is_the_maximum_that_scipy_finds() -> None:
    counts = draw(MODEL, (60, 400, 600))
    fit = fit_controls(counts, 1e-3, method="joint")
    likelihood = two_atom_likelihood(counts, (0, 1, 2))
    found = vector(fit)[:6]
    assert fit.log_likelihood == pytest.approx(-likelihood(found), abs=1e-7)
    start = np.array([1.0, 15.0, 29.0, LOSS, 0.8, 0.4])
    best = optimize.minimize(
        likelihood, start, method="Nelder-Mead", options={"maxiter": 3000, "fatol": 1e-9}
    )
    assert -best.fun <= fit.log_likelihood + 1e-7
    np.testing.assert_allclose(found, best.x, rtol=1e-3)


def test_each_step_is_the_maximum_that_scipy_finds() -> None:
    counts = draw(MODEL, (60, 400, 600), seed=1)
    found = vector(fit_controls(counts, 1e-3))[:6]
    assert found[0] == pytest.approx(counts[0].mean(), rel=1e-12)
    for control, own in ((1, [1, 3]), (2, [2, 4, 5])):
        likelihood = two_atom_likelihood(counts, (control,))

        def in_own(
            values: np.ndarray,
            own: list[int] = own,
            likelihood: Callable[[np.ndarray], float] = likelihood,
        ) -> float:
            x = found.copy()
            x[own] = values
            return likelihood(x)

        best = optimize.minimize(
            in_own, found[own] * 1.1, method="Nelder-Mead", options={"fatol": 1e-9, "xatol": 1e-7}
        )
        assert in_own(found[own]) <= best.fun + 1e-7
        np.testing.assert_allclose(found[own], best.x, rtol=1e-4)


def test_a_brightness_that_varies_is_fitted_too() -> None:
    noisy = LossModel(MODEL.rates, MODEL.losses, MODEL.exposure, brightness_sd=0.2)
    counts = draw(noisy, (200, 600, 900), seed=2)
    fit = fit_controls(counts, 1e-3, method="joint", brightness_sd="fit")
    likelihood = two_atom_likelihood(counts, (0, 1, 2), sd=None)
    x = np.append(vector(fit)[:6], fit.model.brightness_sd)
    assert fit.log_likelihood == pytest.approx(-likelihood(x), abs=1e-6)
    best = optimize.minimize(
        likelihood, x * 1.02, method="Nelder-Mead", options={"maxiter": 3000, "fatol": 1e-9}
    )
    assert -best.fun <= fit.log_likelihood + 1e-6
    assert fit.model.brightness_sd == pytest.approx(0.2, abs=4 * fit.stderr.brightness_sd)
    steps = fit_controls(counts, 1e-3, brightness_sd="fit")
    assert steps.model.brightness_sd == pytest.approx(0.2, abs=4 * steps.stderr.brightness_sd)
    assert 0.005 < steps.stderr.brightness_sd < 0.05
    given = fit_controls(counts, 1e-3, brightness_sd=0.2)
    assert given.stderr.brightness_sd == 0
    assert given.parameters == fit.parameters - 1


def test_counts_as_wide_as_poissonian_ones_have_no_variation_of_the_brightness() -> None:
    narrow = [np.full(100, 1), np.full(400, 15)]
    with pytest.warns(FitWarning, match="do not follow the model"):
        fit = fit_controls(narrow, 1e-3, brightness_sd="fit")
    assert fit.model.brightness_sd == 0
    assert math.isnan(fit.stderr.brightness_sd)


@pytest.mark.parametrize("method", ["steps", "joint"])
@pytest.mark.parametrize("sd", [0.0, 0.15])
def test_standard_errors_are_the_scatter_of_fits(method: str, sd: float) -> None:
    model = LossModel(MODEL.rates, MODEL.losses, MODEL.exposure, brightness_sd=sd)
    shots = (300, 1500, 3000)
    fit = fit_controls(
        draw(model, shots, seed=3), 1e-3, method=method, brightness_sd="fit" if sd else 0.0
    )
    rng = np.random.default_rng(4)
    again = refit(fit, [_drawn(fit, i, number, 1000, rng) for i, number in enumerate(shots)])
    assert again.ended.all()
    # 1000 fits give the scatter to 2.2 %; the error formula holds for many shots
    np.testing.assert_allclose(again.rates.std(axis=0), fit.stderr.rates, rtol=0.1)
    assert again.single_atom_loss.std() == pytest.approx(fit.stderr.single_atom_loss, rel=0.1)
    for channel, values in again.losses.items():
        assert values.std() == pytest.approx(fit.stderr.losses[channel], rel=0.1)
    if sd:
        assert again.brightness_sd.std() == pytest.approx(fit.stderr.brightness_sd, rel=0.12)
    # and they are not biased by more than a fifth of the error
    assert (
        abs(again.rates.mean(axis=0) - fit.model.rates) < 0.2 * np.array(fit.stderr.rates)
    ).all()


@pytest.mark.parametrize("method", ["steps", "joint"])
def test_the_goodness_of_fits_is_uniform(method: str) -> None:
    first = fit_controls(draw(MODEL, (300, 1500, 3000), seed=21), 1e-3, method=method)
    rng = np.random.default_rng(22)
    drawn = [_drawn(first, i, shots, 300, rng) for i, shots in enumerate((300, 1500, 3000))]
    fits = [
        fit_histograms(tuple(Histogram(o[b]) for o in drawn), 1e-3, method=method)
        for b in range(300)
    ]
    for i in (1, 2):
        p_values = [fit.goodness[i].p_value for fit in fits]
        assert stats.kstest(p_values, "uniform").pvalue > 0.01


def _drawn(
    fit: ControlFit, prepared: int, shots: int, samples: int, rng: np.random.Generator
) -> np.ndarray:
    p = fit.expected(prepared)
    return rng.multinomial(shots, p / p.sum(), size=samples)


@pytest.mark.parametrize("method", ["steps", "joint"])
def test_refits_are_fits(method: str) -> None:
    fit = fit_controls(draw(MODEL, (60, 400, 600), seed=5), 1e-3, method=method)
    rng = np.random.default_rng(6)
    occurrences = [_drawn(fit, i, shots, 20, rng) for i, shots in enumerate((60, 400, 600))]
    again = refit(fit, occurrences)
    errors = np.sqrt(np.diag(fit.covariance))[:6]
    distributions = again.distributions(70)
    assert distributions.shape == (20, 3, 71)
    for b in range(20):
        single = fit_controls([Histogram(o[b]) for o in occurrences], 1e-3, method=method)
        found = np.array(
            [*again.rates[b], again.single_atom_loss[b], *(v[b] for v in again.losses.values())]
        )
        expected = [*single.model.rates, single.single_atom_loss, *single.model.losses.values()]
        assert (abs(found - expected) < 0.01 * errors).all()
        np.testing.assert_allclose(distributions[b], single.model.distribution(70), atol=1e-4)


def test_a_control_without_shots_leaves_its_parameters() -> None:
    fit = fit_controls(draw(MODEL, (60, 400, 600), seed=5), 1e-3)
    occurrences = [np.tile(h.occurrences, (2, 1)) for h in fit.histograms]
    occurrences[2] = np.zeros_like(occurrences[2])
    again = refit(fit, occurrences)
    np.testing.assert_allclose(again.rates[0], fit.model.rates, rtol=1e-4)
    with pytest.raises(ValueError, match="expected 3 arrays"):
        refit(fit, occurrences[:2])
    with pytest.raises(ValueError, match="as many samples"):
        refit(fit, [occurrences[0][:1], *occurrences[1:]])


def test_three_atoms() -> None:
    model = LossModel(
        (1e3, 15e3, 29e3, 41e3),
        {(2, 1): 800.0, (2, 0): 400.0, (3, 2): 1500.0, (3, 1): 700.0},
        1e-3,
    )
    counts = draw(model, (300, 800, 1200, 2000), seed=7)
    for method in ("steps", "joint"):
        fit = fit_controls(counts, 1e-3, method=method)
        _within(fit, model, LOSS)
        assert all(test.p_value > 0.01 for test in fit.goodness)
    rng = np.random.default_rng(8)
    shots = (300, 800, 1200, 2000)
    again = refit(fit, [_drawn(fit, i, number, 60, rng) for i, number in enumerate(shots)])
    assert again.rates[:, 3].std() == pytest.approx(fit.stderr.rates[3], rel=0.4)


def test_single_atoms_that_leave_during_the_exposure() -> None:
    model = LossModel(MODEL.rates, {(1, 0): 150.0, **MODEL.losses}, 1e-3)
    counts = draw(model, (300, 1500, 2000), seed=9)
    for method in ("steps", "joint"):
        fit = fit_controls(counts, 1e-3, method=method, losses=[(2, 0), (1, 0), (2, 1)])
        assert list(fit.model.losses) == [(1, 0), (2, 1), (2, 0)]
        _within(fit, model, LOSS)
    with pytest.warns(FitWarning, match="counts with 1 atom do not follow the model"):
        without = fit_controls(counts, 1e-3)
    assert without.aic > fit.aic + 20


def _within(fit: ControlFit, model: LossModel, loss: float, errors: float = 4.0) -> None:
    assert (
        abs(np.subtract(fit.model.rates, model.rates)) < errors * np.array(fit.stderr.rates)
    ).all()
    assert abs(fit.single_atom_loss - loss) < errors * fit.stderr.single_atom_loss
    for channel, rate in model.losses.items():
        assert abs(fit.model.losses[channel] - rate) < errors * fit.stderr.losses[channel]


def test_dark_and_single_atoms_alone() -> None:
    counts = draw(MODEL, (100, 500), seed=10)
    fit = fit_controls({0: counts[0], 1: counts[1]}, 1e-3)
    assert fit.model.losses == {}
    assert fit.model.rates[0] == pytest.approx(counts[0].mean() * 1e3)
    assert fit.stderr.rates[0] == pytest.approx(math.sqrt(fit.model.rates[0] * 1e3 / 100), rel=1e-6)
    assert fit.parameters == 3


def test_information_criteria_and_expectation() -> None:
    counts = draw(MODEL, (100, 500, 700), seed=11)
    fit = fit_controls(counts, 1e-3)
    assert fit.aic == pytest.approx(12 - 2 * fit.log_likelihood)
    assert fit.bic == pytest.approx(6 * math.log(1300) - 2 * fit.log_likelihood)
    assert fit.expected(2).sum() == pytest.approx(1.0, abs=1e-9)
    p, loss = fit.model.distribution(60), fit.single_atom_loss
    by_hand = (1 - loss) ** 2 * p[2] + 2 * loss * (1 - loss) * p[1] + loss**2 * p[0]
    np.testing.assert_allclose(fit.expected(2, 60), by_hand, rtol=1e-12)
    likelihood = sum(np.log(fit.expected(i)[c]).sum() for i, c in enumerate(counts))
    assert fit.log_likelihood == pytest.approx(likelihood, rel=1e-12)
    table = fit.table()
    assert table["value"].tolist() == pytest.approx(
        [*fit.model.rates, loss, *fit.model.losses.values()]
    )
    assert len(table) == len(fit.parameter_names) - 1
    with pytest.raises(ValueError, match="expected 0 to 2 atoms, found 3"):
        fit.expected(3)


def test_rates_do_not_depend_on_the_unit_of_time() -> None:
    counts = draw(MODEL, (100, 500, 700), seed=11)
    short, long = fit_controls(counts, 1e-3), fit_controls(counts, 10.0)
    np.testing.assert_allclose(np.array(long.model.rates) * 1e4, short.model.rates, rtol=1e-9)
    np.testing.assert_allclose(
        np.array(list(long.stderr.losses.values())) * 1e4,
        list(short.stderr.losses.values()),
        rtol=1e-6,
    )


def test_bright_atoms() -> None:
    model = LossModel((50e3, 350e3, 600e3), MODEL.losses, 1e-3)
    fit = fit_controls(draw(model, (100, 300, 500), seed=12), 1e-3)
    _within(fit, model, LOSS)


def test_fast_losses_are_found() -> None:
    model = LossModel(MODEL.rates, {(2, 1): 2000.0, (2, 0): 4000.0}, 1e-3)
    with pytest.warns(FitWarning, match="wrong order"):
        fit = fit_controls(draw(model, (600, 600, 3000), seed=13), 1e-3)
    _within(fit, model, LOSS)


def _remarks(counts: object, **options: object) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = fit_controls(counts, 1e-3, **options)
    assert [str(one.message) for one in caught] == list(fit.remarks)
    assert all(one.category is FitWarning and one.filename == __file__ for one in caught)
    return "; ".join(fit.remarks)


def test_losses_at_their_bound_are_remarked() -> None:
    rng = np.random.default_rng(14)
    remarks = _remarks([rng.poisson(mean, 500) for mean in (1, 15, 29)])
    assert "loss from 2 to 0 atoms is at its bound, 0" in remarks


def test_the_wrong_order_of_controls_is_remarked() -> None:
    counts = draw(MODEL, (100, 500, 700), seed=15)
    for order in ((1, 0, 2), (0, 2, 1), (2, 1, 0)):
        assert "wrong order" in _remarks([counts[i] for i in order])


def test_few_shots_are_remarked() -> None:
    counts = draw(MODEL, (8, 500, 700), seed=16)
    assert "only 8 shots with 0 atoms" in _remarks(counts)


def test_counts_of_other_laws_are_remarked() -> None:
    rng = np.random.default_rng(17)
    noisy = [rng.poisson(mean * rng.gamma(4, 0.25, 600)) for mean in (10, 60, 120)]
    remarks = _remarks(noisy)
    assert "counts with 0 atoms vary" in remarks
    assert "counts with 1 atom do not follow the model" in remarks
    assert 'brightness_sd="fit"' in remarks
    assert "do not follow" not in _remarks(noisy, brightness_sd="fit")


def test_a_million_counts_in_one_bin() -> None:
    remarks = _remarks([{1: 1_000_000}, {15: 1_000_000}, {29: 1_000_000}])
    assert "do not follow the model" in remarks


def test_dark_controls_without_any_count() -> None:
    counts = draw(MODEL, (100, 500, 700), seed=18)
    counts[0] = np.zeros(100, dtype=int)
    assert "rate of counts with 0 atoms is at its bound, 0" in _remarks(counts)
    # lost atoms tell what dark counts there are
    model = LossModel((50.0, 15e3, 29e3), MODEL.losses, 1e-3)
    counts = [np.zeros(20, dtype=int), *draw(model, (20, 500, 700), 0.2, seed=19)[1:]]
    joint = fit_controls(counts, 1e-3, method="joint")
    assert 10 < joint.model.rates[0] < 250


def test_controls_that_do_not_differ() -> None:
    rng = np.random.default_rng(20)
    counts = [rng.poisson(10, 500) for _ in range(3)]
    remarks = _remarks(counts)
    assert "rates that rise" in remarks or "hardly determine" in remarks


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([[1, -1], [2, 3]], {}, "not below 0"),
        ([[1, 1.5], [2, 3]], {}, "whole numbers, found 1.5"),
        ([[1, math.nan], [2, 3]], {}, "found nan"),
        ({0: [1, 2], 2: [3]}, {}, "every atom number"),
        ([[1, 2], [], [3]], {}, "for 1 atoms, found none"),
        ([[1, 2], None, [3]], {}, "for 1 atoms, found none"),
        ([[1, 2]], {}, "0 and 1 atoms at least"),
        ([], {}, "0 and 1 atoms at least"),
        ([[0, 0], [0, 0], [0]], {}, "found none in any shot"),
        ([[0, 0], [20000]], {}, "up to 10000 counts"),
        ([[0, 0], [9000], [9000], [9000]], {}, "up to 2000 counts"),
        ([[1, 2], [3, 4]], {"exposure": 0.0}, "exposure above 0"),
        ([[1, 2], [3, 4]], {"exposure": math.nan}, "exposure above 0"),
        ([[1, 2], [3, 4]], {"method": "best"}, "steps, joint"),
        ([[1, 2], [3, 4]], {"losses": [(2, 1)]}, "among 0 to 1 atoms"),
        ([[1, 2], [3, 4]], {"losses": [(0, 1)]}, "from more atoms to fewer"),
        ([[1, 2], [3, 4]], {"losses": [3]}, "pairs of atom numbers"),
        ([[1, 2], [3, 4]], {"brightness_sd": -0.1}, "from 0 to 2"),
        ([[1, 2], [3, 4]], {"brightness_sd": "some"}, "from 0 to 2"),
    ],
)
def test_bad_input(counts: object, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_controls(counts, **{"exposure": 1e-3, **options})
