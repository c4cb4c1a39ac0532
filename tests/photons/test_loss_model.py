import math
from functools import cache

import mpmath
import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons import LossModel

PAPER = LossModel((1.0, 15.0, 29.0), {(2, 1): 0.8, (2, 0): 0.4}, 1.0)
CHAIN = LossModel((1.0, 9.0, 17.0, 24.0), {(1, 0): 0.1, (2, 1): 0.7, (3, 1): 0.9, (3, 2): 0.3}, 1.3)


def many_atoms(atoms, step=6.0, loss=0.1):
    losses = {(i, j): loss * i for i in range(2, atoms + 1) for j in (i - 1, i - 2)}
    return LossModel([0.5 + step * i for i in range(atoms + 1)], losses, 1.0)


@cache
def integrated(rates, losses, n):
    """Eq. 3 by adaptive quadrature of 50 digits: two atoms, without loss of single ones."""
    with mpmath.workdps(50):
        t_end = mpmath.mpf(1)
        r = [mpmath.mpf(rate) for rate in rates]
        loss = [mpmath.mpf(rate) for rate in reversed(losses)]

        def poisson(mean):
            return mean**n * mpmath.exp(-mean) / mpmath.factorial(n)

        value = mpmath.exp(-sum(loss) * t_end) * poisson(r[2] * t_end)
        for j in (0, 1):
            value += loss[j] * mpmath.quad(
                lambda t, j=j: mpmath.exp(-sum(loss) * t) * poisson(r[2] * t + r[j] * (t_end - t)),
                mpmath.linspace(0, t_end, 9),
            )
        return value


def by_taylor_series(model, max_count):
    """The master equation of atoms and counts, by its Taylor series with 150 digits."""
    with mpmath.workdps(150):
        t = mpmath.mpf(model.exposure)
        rates = [mpmath.mpf(rate) for rate in model.rates]
        states = range(len(rates))
        totals = [mpmath.fsum(v for (a, _), v in model.losses.items() if a == i) for i in states]
        losses = {key: mpmath.mpf(value) for key, value in model.losses.items() if value > 0}
        term = [[mpmath.mpf(int(n == 0)) for n in range(max_count + 1)] for _ in states]
        total = [list(row) for row in term]
        k = 0
        while k < 20 or max(abs(x) for row in term for x in row) > mpmath.mpf(10) ** -60:
            k += 1
            new = []
            for i in states:
                row = [-(rates[i] + totals[i]) * x for x in term[i]]
                for n in range(1, max_count + 1):
                    row[n] += rates[i] * term[i][n - 1]
                for (a, b), rate in losses.items():
                    if a == i:
                        row = [x + rate * y for x, y in zip(row, term[b], strict=True)]
                new.append([x * t / k for x in row])
            term = new
            total = [
                [x + y for x, y in zip(*rows, strict=True)]
                for rows in zip(total, term, strict=True)
            ]
        return total


def largest_error(got, exact):
    """Largest relative error where the exact probability is above 1e-30."""
    errors = [
        abs(mpmath.mpf(float(a)) / b - 1)
        for row, exact_row in zip(got, exact, strict=True)
        for a, b in zip(row, exact_row, strict=True)
        if b > 1e-30
    ]
    return float(max(errors))


@pytest.mark.parametrize("method", ["quadrature", "uniformisation"])
@pytest.mark.parametrize(
    ("rates", "losses"),
    [
        ((1, 15, 29), (0.8, 0.4)),
        ((1, 15, 29), (20.0, 0.0)),
        ((0, 40, 300), (0.5, 3.0)),
        ((2, 500, 500), (1.0, 1.0)),  # equal rates
        ((0, 0, 30), (1.0, 0.5)),  # no light from what is left
        ((3, 20, 4), (1.0, 0.5)),  # two atoms darker than one
    ],
)
def test_two_atoms_agree_with_an_integral_of_50_digits(method, rates, losses):
    model = LossModel(rates, {(2, 1): losses[0], (2, 0): losses[1]}, 1.0)
    counts = sorted({0, 1, 7, 23, 80, int(max(rates)), int(1.5 * max(rates)) + 30})
    got = model.distribution(max(counts), method=method)[2, counts]
    assert largest_error([got], [[integrated(rates, losses, n) for n in counts]]) < 1e-10


@pytest.mark.parametrize(
    ("model", "max_count"),
    [(PAPER, 70), (CHAIN, 60), (many_atoms(3), 50), (many_atoms(5), 50), (many_atoms(10, 2.5), 45)],
    ids=["two", "chain", "three", "five", "ten"],
)
def test_any_number_of_atoms_agrees_with_a_series_of_150_digits(model, max_count):
    exact = by_taylor_series(model, max_count)
    assert largest_error(model.distribution(max_count, method="uniformisation"), exact) < 1e-10
    assert largest_error(model.distribution(max_count), exact) < 1e-10


@pytest.mark.parametrize("atoms", [2, 3, 5, 10])
def test_simulated_shots_follow_the_distribution(atoms):
    model = PAPER if atoms == 2 else many_atoms(atoms, loss=0.15)
    for initial in {1, atoms // 2, atoms}:
        counts = photon_by_photon(model, initial, 20_000, np.random.default_rng(initial))
        for drawn in (counts, model.sample(initial, 20_000, rng=initial)):
            assert chi2_p_value(drawn, model.distribution(int(drawn.max()) + 20)[initial]) > 1e-3


def photon_by_photon(model, initial, shots, rng):
    """Gillespie's algorithm: every photon and every loss is an event."""
    losses = model.loss_matrix()
    rates = np.asarray(model.rates)
    state = np.full(shots, initial)
    time, counts = np.zeros(shots), np.zeros(shots, dtype=int)
    going = np.arange(shots)
    while going.size:
        now = state[going]
        total = rates[now] + losses[now].sum(axis=1)
        time[going] += rng.exponential(1 / total)
        inside = time[going] < model.exposure
        going, now, total = going[inside], now[inside], total[inside]
        choice = rng.random(going.size) * total
        photon = choice < rates[now]
        counts[going[photon]] += 1
        edges = rates[now, None] + np.cumsum(losses[now], axis=1)
        lost = (choice[:, None] >= edges).sum(axis=1)
        state[going[~photon]] = lost[~photon]
    return counts


def chi2_p_value(counts, probabilities):
    observed = np.bincount(counts, minlength=len(probabilities)).astype(float)
    expected = probabilities * len(counts)
    edges = [0]
    for n in range(len(expected)):
        if expected[edges[-1] : n + 1].sum() >= 10 and expected[n + 1 :].sum() >= 10:
            edges.append(n + 1)
    observed, expected = (np.add.reduceat(x, edges) for x in (observed, expected))
    return stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), len(edges) - 1)


@pytest.mark.parametrize(
    "model",
    [
        LossModel((0, 0, 0), {}, 1.0),
        LossModel((0, 5, 5), {(2, 1): 0.0, (2, 0): 0.0}, 1.0),
        LossModel((500, 500, 500), {(2, 1): 3.0}, 1.0),
        LossModel((0, 0, 500), {(2, 1): 1.0, (1, 0): 2.0}, 1.0),
        LossModel((0,), {}, 1.0),
        LossModel((1, 2000), {(1, 0): 1.0}, 1.0),
    ],
)
def test_odd_parameters_give_proper_distributions(model):
    for method in ("auto", "uniformisation"):
        distribution = model.distribution(method=method)
        assert np.isfinite(distribution).all()
        np.testing.assert_allclose(distribution.sum(axis=1), 1, atol=1e-11)
    assert (model.distribution(0) >= 0).all()
    none = model.distribution(0)[0, 0]
    assert none == pytest.approx(math.exp(-model.mean_counts[0]), rel=1e-11)


def test_without_losses_counts_are_poissonian():
    model = LossModel((2.0, 40.0), {}, 0.5)
    expected = stats.poisson.pmf(np.arange(60), [[1.0], [20.0]])
    np.testing.assert_allclose(model.distribution(59), expected, rtol=1e-11)


@pytest.mark.parametrize("method", ["quadrature", "uniformisation"])
def test_varying_brightness_gives_negative_binomials(method):
    model = LossModel((2.0, 40.0), {}, 0.5, brightness_sd=0.3)
    shape = 1 / 0.3**2
    n = np.arange(60)
    expected = [stats.nbinom.pmf(n, shape, shape / (shape + mean)) for mean in (1.0, 20.0)]
    np.testing.assert_allclose(
        model.distribution(59, method=method), expected, rtol=1e-8, atol=1e-20
    )


@pytest.mark.parametrize("brightness_sd", [1e-5, 1e-3, 0.03, 0.3, 1.0])
def test_negative_binomials_are_exact(brightness_sd):
    model = LossModel((2.0, 40.0), {}, 1.0, brightness_sd=brightness_sd)
    counts = [0, 1, 17, 40, 60, 110]
    with mpmath.workdps(50):
        shape, mean = mpmath.mpf(model.shape), mpmath.mpf(40)
        exact = [
            mpmath.rf(shape, n)
            / mpmath.factorial(n)
            * (1 + mean / shape) ** -shape
            * (mean / (mean + shape)) ** n
            for n in counts
        ]
    assert largest_error([model.distribution(110)[1, counts]], [exact]) < 1e-11


@pytest.mark.parametrize("brightness_sd", [0.1, 0.5])
def test_varying_brightness_with_losses(brightness_sd):
    model = LossModel(PAPER.rates, PAPER.losses, 1.0, brightness_sd=brightness_sd)
    a = model.distribution(200, method="quadrature")
    b = model.distribution(200, method="uniformisation")
    np.testing.assert_allclose(a[a > 1e-12], b[a > 1e-12], rtol=1e-8)
    counts = model.sample(2, 50_000, rng=1)
    assert chi2_p_value(counts, model.distribution(int(counts.max()) + 20)[2]) > 1e-3


@pytest.mark.parametrize("model", [PAPER, CHAIN])
@pytest.mark.parametrize("method", ["auto", "uniformisation"])
def test_transitions_tell_what_is_left(model, method):
    joint = model.transitions(120, method=method)
    np.testing.assert_allclose(joint.sum(axis=0), model.distribution(120), rtol=1e-10, atol=1e-40)
    from scipy.linalg import expm

    generator = model.loss_matrix()
    generator -= np.diag(generator.sum(axis=1))
    left = expm(generator * model.exposure)  # [begin, end]
    np.testing.assert_allclose(joint.sum(axis=2).T, left, atol=1e-11)


def test_parts_of_the_exposure_add_up():
    counts = PAPER.sample([0, 1, 2] * 20_000, bins=4, rng=3)
    assert counts.shape == (60_000, 4)
    total = counts[2::3].sum(axis=1)
    assert chi2_p_value(total, PAPER.distribution(int(total.max()) + 20)[2]) > 1e-3
    # two atoms are brightest at first
    assert (np.diff(counts[2::3].mean(axis=0)) < 0).all()


def test_the_exposure_can_be_changed():
    longer = PAPER.with_exposure(2.0)
    assert longer.mean_counts == pytest.approx([2, 30, 58])
    assert longer.losses == PAPER.losses


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((), {}, 1.0), "0 atoms at least"),
        (((1, -2), {}, 1.0), "not below 0"),
        (((1, math.nan), {}, 1.0), "finite rates"),
        (((1, 2), {(2, 1): 1.0}, 1.0), "0 to 1 atoms, found 2 to 1"),
        (((1, 2), {(0, 1): 1.0}, 1.0), "found 0 to 1"),
        (((1, 2), {"ab": 1.0}, 1.0), "pairs of atom numbers"),
        (((1, 2), {(1, 0): -1.0}, 1.0), "found -1.0 for 1 to 0"),
        (((1, 2), {}, 0.0), "exposure above 0 s, found 0"),
        (((1, 2), {}, 1.0, -0.1), "from 0 to 1, found -0.1"),
    ],
)
def test_wrong_parameters_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        LossModel(*arguments)


def test_wrong_requests_are_told():
    with pytest.raises(ValueError, match="at most one loss"):
        CHAIN.distribution(10, method="quadrature")
    with pytest.raises(ValueError, match="expected a method of auto"):
        PAPER.distribution(10, method="fft")
    with pytest.raises(ValueError, match="not below 0, found -1"):
        PAPER.distribution(-1)
    with pytest.raises(ValueError, match="0 to 2 atoms, found 3"):
        PAPER.sample(3)
    with pytest.raises(ValueError, match="one atom number for each shot"):
        PAPER.sample([1, 2], 3)
    with pytest.raises(ValueError, match="at least one bin"):
        PAPER.sample(1, bins=0)
    with pytest.raises(ValueError, match="shorter exposures"):
        LossModel((1, 1e6, 2e6), {(2, 1): 1.0, (1, 0): 1.0}, 1.0).distribution()


def test_equal_models_are_one_key():
    same = LossModel(PAPER.rates, dict(reversed(PAPER.losses.items())), PAPER.exposure)
    assert {PAPER: 1, same: 2} == {PAPER: 2}
    assert hash(PAPER) != hash(PAPER.with_exposure(2.0))


def test_fractions_of_atoms_are_refused():
    with pytest.raises(ValueError, match="pairs of atom numbers"):
        LossModel((1, 2, 3), {(2.5, 1): 1.0}, 1.0)
    with pytest.raises(ValueError, match=r"whole numbers of atoms, found 1\.5"):
        PAPER.sample(1.5, 3)
    with pytest.raises(ValueError, match="shots not below 0, found -3"):
        PAPER.sample(1, -3)
