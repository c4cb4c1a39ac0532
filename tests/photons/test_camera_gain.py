import math

import numpy as np
import pytest
from scipy import stats

from napari_coldatoms.photons import (
    PAPER_MODEL,
    CameraGain,
    FitWarning,
    counts_from_stack,
    em_kernel,
)

GAIN, STAGES = 300.0, 400


def register(electrons, rng):
    """Multiply electrons stage by stage, each by one more with a small probability."""
    probability = GAIN ** (1 / STAGES) - 1
    electrons = np.array(electrons)
    for _ in range(STAGES):
        electrons += rng.binomial(electrons, probability)
    return electrons


def chi2_p(observed, probability):
    """Return the p-value of counts in bins, merged from both ends to 10 expected."""
    expected = observed.sum() * probability
    edges, total = [0], 0.0
    for n, value in enumerate(expected):
        total += value
        if total >= 10:
            edges.append(n + 1)
            total = 0.0
    observed = np.add.reduceat(observed, edges[:-1])
    expected = np.add.reduceat(expected, edges[:-1])
    expected[-1] += observed.sum() - expected.sum()
    return stats.chisquare(observed, expected).pvalue


@pytest.mark.parametrize(
    ("photons", "efficiency", "noise"),
    [(1, 1, 0), (4, 1, 0), (4, 0.7, 0), (9, 1, 0.4), (3, 0.6, 0.3)],
)
def test_the_kernel_follows_a_simulated_register(photons, efficiency, noise):
    """4000 shots through 400 stages: deviations of the gamma law do not show."""
    rng = np.random.default_rng(photons)
    electrons = rng.binomial(photons, efficiency, 4000)
    out = register(electrons, rng) / GAIN + rng.normal(0, noise, 4000)
    counts = np.maximum(np.floor(out / efficiency + 0.5), 0).astype(int)
    kernel = em_kernel(photons, 80, em_gain=GAIN, quantum_efficiency=efficiency, read_noise=noise)
    assert kernel[photons].sum() == pytest.approx(1, abs=1e-9)
    assert chi2_p(np.bincount(counts, minlength=81)[:81], kernel[photons]) > 1e-3


def test_moments_of_the_kernel():
    """Means n, variances n (1 - 1/G) and 1/12 of rounding; far from 0, where rounding is even."""
    n = np.arange(301)
    for gain in (1, 2, 50, math.inf):
        kernel = em_kernel(100, 300, em_gain=gain, read_noise=0.7)
        mean = kernel @ n
        np.testing.assert_allclose(mean[50:], np.arange(50, 101), rtol=1e-6)
        variance = kernel @ n**2 - mean**2
        expected = np.arange(50, 101) * (1 - 1 / gain) + 0.49 + 1 / 12
        np.testing.assert_allclose(variance[50:], expected, rtol=1e-3)


def test_without_multiplication_noise_is_normal():
    np.testing.assert_array_equal(em_kernel(5, 9, em_gain=1), np.eye(6, 10))
    for sd in (0.02, 0.3, 1.5):
        kernel = em_kernel(5, 12, em_gain=1, read_noise=sd)
        edges = np.arange(13) + 0.5
        below = stats.norm.cdf(edges, np.arange(6)[:, None], sd)
        np.testing.assert_allclose(kernel, np.diff(below, axis=1, prepend=0), atol=1e-12)


def test_noise_on_a_gamma_law_against_an_integral():
    from scipy.integrate import quad

    for n, sd in ((1, 0.05), (1, 0.3), (6, 1.2)):
        kernel = em_kernel(n, 12, read_noise=sd)
        for count in (0, 1, 2, 7):
            low = -np.inf if count == 0 else count - 0.5
            exact = quad(
                lambda g, low=low, count=count, n=n, sd=sd: (
                    stats.gamma.pdf(g, n)
                    * (stats.norm.cdf((count + 0.5 - g) / sd) - stats.norm.cdf((low - g) / sd))
                ),
                0,
                60,
                points=[count - 0.5, count + 0.5],
                limit=400,
            )[0]
            assert kernel[n, count] == pytest.approx(exact, abs=2e-4)


def test_distributions_of_a_model_through_the_camera():
    """10 000 shots of two atoms with losses, multiplied: as the model's distribution @ kernel."""
    rng = np.random.default_rng(1)
    photons = PAPER_MODEL.sample(2, 10_000, rng=rng)
    counts = np.floor(rng.standard_gamma(photons) + 0.5).astype(int)
    distribution = PAPER_MODEL.distribution(120) @ em_kernel(120, 250)
    assert chi2_p(np.bincount(counts, minlength=251)[:251], distribution[2]) > 1e-3
    assert chi2_p(np.bincount(photons, minlength=251)[:251], distribution[2]) < 1e-9


def test_counts_become_photons():
    camera = CameraGain(
        offset=100, sensitivity=5, em_gain=200, quantum_efficiency=0.8, read_noise=40
    )
    assert camera.photons_per_count == pytest.approx(5 / 200 / 0.8)
    assert camera.excess_noise == pytest.approx(1.995)
    light = np.random.default_rng(0).uniform(0, 9, (5, 12, 12))
    frames = 100 + light * 0.8 * 200 / 5
    np.testing.assert_allclose(camera.photons(frames), light, atol=1e-12)
    with pytest.warns(FitWarning, match="variance 2 times that of photons.*event based"):
        found = counts_from_stack(frames, [[5, 5]], size=3, camera=camera)
    assert found.unit == "photons"
    np.testing.assert_allclose(found.counts[0], light[:, 4:7, 4:7].sum(axis=(1, 2)), atol=1e-10)
    for background in ("ring", [[(-0.5, -0.5), (-0.5, 3), (9, 3), (9, -0.5)]]):
        with pytest.warns(FitWarning):
            less = counts_from_stack(frames, [[5, 5]], size=3, camera=camera, background=background)
        np.testing.assert_allclose(less.counts, found.counts - 9 * less.background, atol=1e-10)
        assert 2 < less.background.mean() < 7
    np.testing.assert_allclose(
        camera.kernel(4, 30, pixels=9),
        em_kernel(4, 30, em_gain=200, quantum_efficiency=0.8, read_noise=0.2 * 3),
    )
    np.testing.assert_array_equal(CameraGain().kernel(3, 3), np.eye(4))


def test_profiles_of_cameras():
    camera = CameraGain.of_profile(200, 12.0, 0.1, 2.0)
    assert (camera.offset, camera.photons_per_count) == (200, pytest.approx(1 / 12))
    assert camera.excess_noise == pytest.approx(2, abs=2e-3)
    assert camera.read_noise / camera.em_gain == pytest.approx(0.1)
    assert CameraGain.of_profile(100, 2.0) == CameraGain(100, 0.5, read_noise=0)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"sensitivity": 0}, "above 0 electrons per count, found 0"),
        ({"em_gain": 0.5}, "em_gain of at least 1, found 0.5"),
        ({"quantum_efficiency": 1.2}, "at most 1, found 1.2"),
        ({"read_noise": -1}, "not below 0, found -1"),
        ({"offset": math.nan}, "finite offset, found nan"),
    ],
)
def test_wrong_cameras_are_told(kwargs, message):
    with pytest.raises(ValueError, match=message):
        CameraGain(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"max_photons": -1}, "not below 0, found -1"),
        ({"em_gain": 0}, "at least 1, found 0"),
        ({"quantum_efficiency": 0}, "above 0 and at most 1, found 0"),
        ({"read_noise": math.inf}, "not below 0, found inf"),
    ],
)
def test_wrong_kernels_are_told(kwargs, message):
    with pytest.raises(ValueError, match=message):
        em_kernel(**{"max_photons": 3, "max_count": 5} | kwargs)
    with pytest.raises(ValueError, match="excess noise from 1 to 2, found 1 and 3"):
        CameraGain.of_profile(0, 1, 0, 3)
