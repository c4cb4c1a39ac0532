"""Bins of counted controls."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.photons.event_basis import LEAST_EVENTS, event_basis, merge
from napari_coldatoms.photons.event_setting import fit_events
from napari_coldatoms.photons.histogram import Histogram, control_histograms
from napari_coldatoms.photons.simulate import PAPER_LOSS, PAPER_MODEL, simulate_controls
from napari_coldatoms.photons.single_atom_loss import thinning


def controls(events, seed=0):
    found = simulate_controls(PAPER_MODEL, events, single_atom_loss=PAPER_LOSS, rng=seed)
    return control_histograms(found)


@pytest.mark.parametrize("events", [30, 100, 600, 3000, 100_000])
def test_no_adaptive_bin_is_empty_but_the_one_far_beyond(events):
    found = controls(events)
    basis = event_basis(found)
    pooled = basis.counts.sum(axis=0)
    assert (pooled[:-1] >= LEAST_EVENTS).all()
    assert pooled[-1] == 0
    assert basis.first[0] == 0
    assert (np.diff(basis.first) >= basis.width).all()
    np.testing.assert_array_equal(basis.counts.sum(axis=1), [c.total for c in found])
    np.testing.assert_array_equal(basis.totals, [c.total for c in found])


def test_more_controls_make_narrower_bins():
    widths = [event_basis(controls(events)).width for events in (100, 600, 3000, 100_000)]
    assert widths == sorted(widths, reverse=True)
    # the widths that did best by trial: 7, 3 to 5, 3 to 4
    assert widths[0] in (6, 7)
    assert widths[1] in (4, 5)
    assert widths[2] in (3, 4)
    assert widths[3] == 1


def test_fixed_widths_and_single_counts():
    found = controls(600)
    largest = max(c.max_count for c in found)
    by_five = event_basis(found, rebin=5)
    assert (np.diff(by_five.first) == 5).all()
    single = event_basis(found, rebin="none")
    np.testing.assert_array_equal(single.first, np.arange(largest + 2))
    for basis in (by_five, single):
        assert basis.counts[:, -1].sum() == 0  # beyond all controls
    np.testing.assert_array_equal(single.counts[2, :-1], found[2].padded(largest))
    np.testing.assert_array_equal(by_five.counts[2, 0], found[2].occurrences[:5].sum())


def test_bins_sum_what_is_in_them():
    h = np.arange(24).reshape(2, 12)
    first = np.array([0, 4, 9, 20])
    found = merge(h, first)
    np.testing.assert_array_equal(found[0], [6, 30, 30, 0])
    assert merge(h, np.array([0, 5])).sum() == h.sum()


@pytest.mark.parametrize("loss", [0.0, 0.029, 0.4])
def test_components_with_the_loss_in_them_again_are_the_controls(loss):
    basis = event_basis(controls(600), loss)
    shares = basis.counts / basis.totals[:, None]
    np.testing.assert_allclose(thinning(2, loss).T @ basis.components, shares, atol=1e-14)
    np.testing.assert_allclose(basis.components.sum(axis=1), 1, rtol=1e-13)
    np.testing.assert_allclose(basis.start @ basis.components, shares.mean(axis=0), atol=1e-15)


def test_adaptive_bins_have_smaller_errors():
    """Mean errors over mixtures and controls: adaptive below single counts, near the best width."""
    rng = np.random.default_rng(1)
    pure = PAPER_MODEL.distribution(90)
    lossy = thinning(2, PAPER_LOSS).T @ pure
    lossy /= lossy.sum(axis=1, keepdims=True)
    truths = np.array([(a, b, 4 - a - b) for a in range(5) for b in range(5 - a)]) / 4
    pure /= pure.sum(axis=1, keepdims=True)
    errors = {rebin: [] for rebin in ("adaptive", "none", 5)}
    for size in (100, 600):
        shots = np.rint(np.array([0.06, 0.38, 0.56]) * size).astype(int)
        for _ in range(25):
            found = [Histogram(rng.multinomial(n, p)) for n, p in zip(shots, lossy, strict=True)]
            data = np.array([rng.multinomial(3000, w @ pure) for w in truths])
            for rebin, of_rebin in errors.items():
                basis = event_basis(found, PAPER_LOSS, rebin)
                merged = basis.merge(data) * (basis.counts.max(axis=0) > 0)
                weights, _, gap = fit_events(
                    merged,
                    basis.counts[None],
                    basis.totals[None],
                    basis.unmix[None],
                    basis.start[None],
                    "poisson",
                )
                assert gap.max() < 1e-8
                rms = np.sqrt(np.mean((weights - truths) ** 2, axis=1))
                of_rebin.append((size, 100 * rms.mean()))
    means = {
        rebin: {size: np.mean([e for s, e in of if s == size]) for size in (100, 600)}
        for rebin, of in errors.items()
    }
    for size in (100, 600):
        assert means["adaptive"][size] < 0.75 * means["none"][size]
        assert means["adaptive"][size] < 1.15 * means[5][size]


@pytest.mark.parametrize("rebin", ["wide", 0, -3, 2.5, True])
def test_bins_that_are_refused(rebin):
    with pytest.raises(ValueError, match="as rebin, found"):
        event_basis(controls(100), rebin=rebin)


def test_losses_that_are_refused():
    with pytest.raises(ValueError, match="single-atom loss from 0 to below 1, found 1"):
        event_basis(controls(100), 1.0)
