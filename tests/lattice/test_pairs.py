"""Pairs of images: counts by hand, and how often the intervals hold the truth."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_coldatoms.lattice import (
    PARITY_NOTE,
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstruction,
    Reconstructor,
    compare,
    pair_table,
    simulate,
)
from napari_coldatoms.lattice.hops import nearest_neighbours
from napari_coldatoms.statistics import Mixture, binomial_interval

SITES = Lattice.square(4.0, (30, 30))
SURVIVAL, HOPPING = 0.95, 0.02
LOSS = 1 - SURVIVAL - HOPPING


def move(occupied, lattice, stay, hop, rng):
    """Return the atoms after a while: each stays, hops to a random neighbour, or is lost.

    An atom whose neighbour is occupied stays. Half full, it survives with ``stay + hop / 2``.
    """
    source, target = nearest_neighbours(lattice)
    now = np.zeros_like(occupied)
    chance = rng.random(len(occupied))
    now[occupied & (chance < stay)] = True
    for site in np.flatnonzero(occupied & (chance >= stay) & (chance < stay + hop)):
        to = rng.choice(target[source == site])
        now[site if occupied[to] or now[to] else to] = True
    return now


def pair_of_occupations(rng, lattice=SITES):
    before = rng.random(len(lattice)) < 0.5
    return before, move(before, lattice, SURVIVAL - HOPPING, 2 * HOPPING, rng)


def result(probability, occupancy=0.5, valid=None):
    """Return a reconstruction with some probabilities."""
    valid = np.isfinite(probability) if valid is None else valid
    return Reconstruction(
        brightness=probability,
        occupied=probability > 0.5,
        probability=np.where(valid, probability, np.nan),
        threshold=0.5,
        mixture=Mixture(np.full(2, 0.5), np.arange(2.0), np.ones(2)),
        predicted_error_rate=0.0,
        snr_db=15.0,
        background=np.zeros((1, 1)),
        parameters=ImagingParameters(occupancy, 1.0, 0.1, 0.0),
        valid=valid,
        bad_pixels=np.zeros((1, 1), dtype=bool),
        has_contrast=True,
        remarks=(),
        method="alternating",
    )


def seen(occupied, spread, rng):
    """Return the reconstruction of a site whose brightness has two normal modes, at 0 and 1."""
    x = occupied + rng.normal(0, spread, occupied.shape)
    return result(1 / (1 + np.exp(-(x - 0.5) / spread**2)))


def shares(comparison):
    return comparison.survival, comparison.hopping, comparison.loss


def test_counts_by_hand():
    first = np.array([1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    second = np.array([1, 0, 1, 0, 0, 0, 0, 1], dtype=bool)
    # in a row: 0 stays, 1 hops to 2, 4 is lost, 7 comes from nowhere
    found = compare(first, second, Lattice.square(4.0, (1, 8)))
    assert (found.atoms, found.hops, found.losses, found.unexplained) == (3, 1, 1, 1)
    assert [share.value for share in shares(found)] == pytest.approx([1 / 3] * 3)
    assert (found.survival.low, found.survival.high) == binomial_interval(1, 3)
    # of the four empty sites that no atom hopped to
    assert found.loading.value == 1 / 4
    assert found.repeatability.value == 4 / 8
    assert found.fidelity.value == 4 / 5
    assert (found.pairs, found.corrected) == (1, False)
    assert repr(found).startswith("PairComparison(3 atoms in 1 pairs: survival ")
    one = found.at_sites
    np.testing.assert_array_equal(one["hopping"].value[[0, 1, 4]], [0, 1, 0])
    np.testing.assert_array_equal(one["loss"].value[[0, 1, 4]], [0, 0, 1])
    assert np.isnan(one["survival"].value[2])
    assert (one["survival"].low[2], one["survival"].high[2]) == (0, 1)


def test_without_a_lattice_hops_are_losses():
    rng = np.random.default_rng(0)
    pairs = [pair_of_occupations(rng) for _ in range(3)]
    first, second = (np.array(images) for images in zip(*pairs, strict=True))
    near, alone = compare(first, second, SITES), compare(first, second)
    assert near.hops > 10
    assert alone.survival.value == near.survival.value
    assert alone.losses == near.losses + near.hops
    assert np.isnan(alone.hopping.value)
    assert (alone.hopping.low, alone.hopping.high) == (0, 1)
    assert "hopping" not in repr(alone)
    certain = [[result(p * 1.0) for p in images] for images in (first, second)]
    assert compare(*certain).losses == pytest.approx(alone.losses, abs=1e-3)


def test_certain_probabilities_give_the_counts():
    rng = np.random.default_rng(1)
    pairs = [pair_of_occupations(rng) for _ in range(5)]
    first, second = zip(*pairs, strict=True)
    counted = compare(np.array(first), np.array(second), SITES)
    found = compare([result(p * 1.0) for p in first], [result(p * 1.0) for p in second], SITES)
    assert found.corrected
    for share, count in zip(shares(found), shares(counted), strict=True):
        assert share.value == pytest.approx(count.value, abs=2e-6)
        assert share.low == pytest.approx(count.low, abs=2e-4)
        assert share.high == pytest.approx(count.high, abs=2e-4)
    assert found.fidelity.value == pytest.approx(1, abs=1e-6)
    own, own_counts = found.at_sites, counted.at_sites
    np.testing.assert_allclose(own["survival"].value, own_counts["survival"].value, atol=1e-3)
    # of two atoms that are gone next to a new one, either may have hopped
    differ = np.abs(own["hopping"].value - own_counts["hopping"].value) > 1e-3
    assert differ.sum() <= 0.1 * 2 * counted.hops


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0.2, 0.25])
def test_coverage_on_simulated_probabilities(spread):
    # errors of 0.6 and 2.3 % of the sites; counts would give survivals of 93.8 and 90.9 %
    rng = np.random.default_rng(4)
    found = []
    for _ in range(300):
        before, now = pair_of_occupations(rng)
        found.append(compare(seen(before, spread, rng), seen(now, spread, rng), SITES))
    check_coverage(found)


def check_coverage(found, tolerance=0.06, bias=0.0):
    """Check that the intervals hold the truth as often as they say, and are not biased.

    `bias` allows for one, on top of three standard errors.
    """
    for name, truth in (("survival", SURVIVAL), ("hopping", HOPPING), ("loss", LOSS)):
        each = [getattr(comparison, name) for comparison in found]
        inside = np.mean([share.low <= truth <= share.high for share in each])
        assert inside == pytest.approx(0.6827, abs=tolerance), name
        values = np.array([share.value for share in each])
        error = values.std() / np.sqrt(len(values))
        assert values.mean() == pytest.approx(truth, abs=3 * error + bias), name


def test_errors_that_were_counted_are_taken_off():
    rng = np.random.default_rng(5)
    before = rng.random((40, 900)) < 0.5
    now = before & (rng.random(before.shape) < 0.97)
    first, second = ([seen(p, 0.25, rng) for p in images] for images in (before, now))
    plain = compare(first, second, SITES, corrected=False)
    found = compare(first, second, SITES)
    # 2.3 % errors in each image
    assert plain.survival.value == pytest.approx(0.97 - 0.042, abs=0.006)
    assert plain.hopping.value > 0.005
    assert found.survival.low - 0.002 < 0.97 < found.survival.high + 0.002
    assert found.hopping.value < 0.0007
    # nothing was loaded: of the sites that did not change, those judged differently are errors
    assert found.repeatability.value == plain.repeatability.value
    assert found.fidelity.value == pytest.approx(1 - 2 * 0.0228, abs=0.004)


def test_coverage_at_each_site():
    # sites of their own survival, 0.8 and 0.99, with 0.6 % errors
    rng = np.random.default_rng(6)
    sites = Lattice.square(4.0, (20, 20))
    truth = np.where(np.arange(400) % 2, 0.8, 0.97)
    before = rng.random((120, 400)) < 0.5
    now = before & (rng.random(before.shape) < truth)
    first, second = ([seen(p, 0.2, rng) for p in images] for images in (before, now))
    found = compare(first, second, sites).at_sites["survival"]
    for survival in (0.8, 0.97):
        here = truth == survival
        assert found.value[here].mean() == pytest.approx(survival, abs=0.008)
        inside = (found.low[here] <= survival) & (survival <= found.high[here])
        assert inside.mean() == pytest.approx(0.6827, abs=0.1)
    np.testing.assert_array_less(found.trials, before.sum(axis=0) + 3)


def test_loading_is_told_from_hopping():
    rng = np.random.default_rng(7)
    before = rng.random((30, 900)) < 0.3
    now = (before & (rng.random(before.shape) < 0.9)) | (
        ~before & (rng.random(before.shape) < 0.02)
    )
    counted = compare(before, now, SITES)
    found = compare([result(p * 1.0) for p in before], [result(p * 1.0) for p in now], SITES)
    assert found.loading.value == pytest.approx(0.02, abs=0.003)
    # by chance, some atoms are loaded next to one that is gone
    assert counted.hopping.value > 0.005
    assert found.hopping.value < 0.002


def test_sites_not_valid_in_both_images_do_not_count():
    rng = np.random.default_rng(8)
    before, now = pair_of_occupations(rng)
    hidden = np.zeros(900, dtype=bool)
    hidden[:100] = True
    first = [result(np.where(hidden, np.nan, before * 1.0)), result(np.full(900, np.nan))]
    second = [result(np.where(np.roll(hidden, 100), np.nan, now * 1.0)), result(now * 1.0)]
    found = compare(first, second, SITES)
    rest = SITES.select(np.arange(900) >= 200)
    alone = compare(before[200:], now[200:], rest)
    assert found.pairs == 1
    assert found.atoms == pytest.approx(alone.atoms, abs=1e-3)
    for share, other in zip(shares(found), shares(alone), strict=True):
        assert share.value == pytest.approx(other.value, abs=1e-5)
    np.testing.assert_array_equal(found.sites, np.arange(900) >= 200)
    plain = compare(first, second, SITES, corrected=False)
    assert plain.atoms == alone.atoms


def test_confidence():
    rng = np.random.default_rng(9)
    before, now = pair_of_occupations(rng)
    narrow, wide = (compare(before, now, SITES, confidence=c) for c in (0.6827, 0.95))
    assert wide.survival.value == narrow.survival.value
    assert wide.survival.low < narrow.survival.low
    assert (wide.survival.low, wide.survival.high) == binomial_interval(
        (before & now).sum(), before.sum(), 0.95
    )


def test_table():
    rng = np.random.default_rng(10)
    before, now = zip(*(pair_of_occupations(rng) for _ in range(4)), strict=True)
    found = compare(np.array(before), np.array(now), SITES)
    table = pair_table(found, SITES)
    assert list(table)[:9] == [
        *("i", "j", "y", "x", "pairs"),
        *("survival", "survival_low", "survival_high", "survival_trials"),
    ]
    assert len(table) == 900
    assert table.attrs["units"] == {"y": "px", "x": "px"}
    np.testing.assert_array_equal(table["hopping"], found.at_sites["hopping"].value)
    with pytest.raises(ValueError, match="lattice of 900 sites, found 4"):
        pair_table(found, Lattice.square(4.0, (2, 2)))


def test_what_is_refused():
    yes = np.ones((2, 4), dtype=bool)
    with pytest.raises(TypeError, match="boolean array, found float64"):
        compare(yes * 1.0, yes)
    with pytest.raises(TypeError, match="only reconstructions, found ndarray"):
        compare([result(np.ones(4)), yes[0]], yes)
    with pytest.raises(ValueError, match=r"found \(1, 4\) and \(2, 4\)"):
        compare(yes, yes[0])
    with pytest.raises(ValueError, match="occupation of 6 sites, found 4"):
        compare(yes, yes, Lattice.square(4.0, (2, 3)))
    with pytest.raises(ValueError, match="valid in both images, found none"):
        compare(result(np.full(4, np.nan)), result(np.ones(4)))
    with pytest.raises(ValueError, match="found decisions"):
        compare(yes, yes, corrected=True)
    with pytest.raises(ValueError, match="between 0 and 1, found 2"):
        compare(yes, yes, confidence=2)
    with pytest.raises(ValueError, match="a shot or more, found none"):
        compare([], [])
    assert "odd" in PARITY_NOTE


def pairs_of_images(hwhm, count, seed):
    """Return comparisons of reconstructed images, and the share of wrong sites."""
    psf = GaussianPSF(hwhm)
    frame = SITES.frame_shape(12.0)
    reconstructor = Reconstructor(SITES, psf, image_shape=frame)
    rng = np.random.default_rng(seed)
    light = {"brightness": 1000, "brightness_sd": 100, "background": 50, "read_noise": 2}
    found, wrong = [], 0.0
    for _ in range(count):
        truth = pair_of_occupations(rng)
        images = [
            reconstructor.reconstruct(
                simulate(SITES, psf, image_shape=frame, occupancy=p, rng=rng, **light).image,
                read_noise=2,
            )
            for p in truth
        ]
        wrong += sum(
            float((image.occupied != p).mean()) for image, p in zip(images, truth, strict=True)
        )
        found.append(compare(*images, SITES))
    return found, wrong / (2 * count)


def test_a_pair_of_images():
    found, wrong = pairs_of_images(3.0, 1, 12)
    assert wrong < 0.002
    for comparison in found:
        assert comparison.corrected
        assert comparison.survival.value == pytest.approx(SURVIVAL, abs=0.04)
        assert comparison.fidelity.value > 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("hwhm", "bias"), [(3.0, 0.0), (0.838 * 4, 0.0015)])
def test_coverage_on_images(hwhm, bias):
    # at 12.5 dB errors come in neighbouring sites, an atom seen one site off: these look like hops
    found, _ = pairs_of_images(hwhm, 300, 13)
    check_coverage(found, bias=bias)


def test_results_do_not_change():
    first = np.array([1, 0], dtype=bool)
    found = compare(first, first)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.pairs = 3
