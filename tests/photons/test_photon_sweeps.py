"""The paper's figures in docs/gallery: from few simulated shots to numbers and pictures."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
FEW = {
    "photon_histograms": {"controls": 600, "events": 300, "repeats": 2},
    "photon_errors": {"resamples": 1, "effective": 1},
    "photon_proportions": {"controls": 600, "events": 600, "resamples": 3},
    "photon_intervals": {"controls": 600, "measurements": 50, "sets": 2, "resamples": 20},
    "photon_overlap": {"controls": 600, "events": 600, "resamples": 1},
}


@pytest.fixture
def sweep(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.sweeps.{name}")


@pytest.mark.parametrize("name", FEW)
def test_from_measurement_to_picture(sweep, name, tmp_path, monkeypatch):
    module, gallery = sweep(name), sweep("gallery")
    monkeypatch.setattr(gallery, "FOLDER", tmp_path)
    if name == "photon_errors":
        monkeypatch.setattr(module, "SIZES", (400, 2000))
        monkeypatch.setattr(module, "SHOWN", (400,))
    if name == "photon_intervals":
        monkeypatch.setattr(module, "SIZES", (300, 600))
    rows = module.measure(argparse.Namespace(seed=3, **FEW[name]))
    gallery.write_rows(name, rows, "few shots")
    read, note = gallery.read_rows(name)
    assert note == "few shots"
    assert [row.keys() for row in read] == [row.keys() for row in rows]
    assert "few shots" in module.statements(read, note)
    pytest.importorskip("matplotlib")
    pyplot = gallery.pyplot()
    gallery.save(name, module.draw(pyplot, read))
    pyplot.close("all")
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_the_pages_figures_are_those_of_the_last_run(sweep):
    """Δ in the gallery, with 100 resamples, beside those of an independent calculation."""
    rows, _ = sweep("gallery").read_rows("photon_errors")
    module = sweep("photon_errors")
    for size, model, least_squares in ((600, 1.9, 2.79), (2000, 0.97, 1.48), (3000, 0.84, 1.28)):
        row = module.at(rows, size, size)
        # 6600 measurements each: their own scatter is below 1 %, that of the reference unknown
        assert row[module.MODEL] == pytest.approx(model, rel=0.08)
        assert row[module.LEAST_SQUARES] == pytest.approx(least_squares, rel=0.08)


def test_sizes_and_values_along_one_axis(sweep):
    along = sweep("photon_errors").along
    sizes = ((100, 600), (600, 600), (600, 100), (100, 100), (100, 3000))
    rows = [{"controls": a, "events": b, "x": 10.0 * a + b} for a, b in sizes]
    np.testing.assert_array_equal(along(rows, "x", events=600), [[100, 600], [1600, 6600]])
    np.testing.assert_array_equal(along(rows, "x", controls=600), [[100, 600], [6100, 6600]])
    np.testing.assert_array_equal(along(rows, "x"), [[100, 600], [1100, 6600]])


def test_widths_and_overlap_of_normal_distributions(sweep):
    errors = np.random.default_rng(0).normal(0, 0.02, (200_000, 2))
    # between the quantiles 0.16 and 0.84 of a normal distribution lie 1.9889 sds
    np.testing.assert_allclose(sweep("photon_looks").widths(errors), 3.978, rtol=0.01)
    from scipy.stats import norm

    x = np.arange(-10, 13, 1e-3)
    found = sweep("photon_overlap").overlap(norm.pdf(x) * 1e-3, norm.pdf(x, 2) * 1e-3)
    assert found == pytest.approx(2 * norm.cdf(-1), abs=1e-4)


def test_all_proportions_are_on_the_simplex(sweep):
    points = sweep("photon_proportions").grid()
    assert len(points) == 231
    np.testing.assert_allclose(points.sum(axis=1), 1)
    assert points.min() == 0
