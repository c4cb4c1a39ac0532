"""The paper's figures in docs/gallery: what they are made of, on few sites."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import numpy as np
import pytest

from napari_coldatoms.lattice import projection

ROOT = Path(__file__).parents[2]
FEW = argparse.Namespace(images=2, sites=20, seed=3)


@pytest.fixture
def sweep(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.sweeps.{name}")


def few(sweep, sites):
    first_example = sweep("first_example")
    lattice, shape = first_example.sites(sites)
    truth = first_example.image(lattice, shape, seed=3, number=0)
    matrix = projection(lattice, first_example.PSF, shape).toarray()
    return first_example, lattice, shape, truth, matrix


@pytest.mark.parametrize("regularisation", [1e-6, 3e-4, 0.1])
def test_global_estimate_of_any_regularisation_is_that_of_equation_34(sweep, regularisation):
    module = sweep("regularisation")
    example, lattice, shape, truth, matrix = few(sweep, 10)
    optics = module.make_optics(lattice, example.PSF, shape)
    found, _ = module.Global(optics, truth).estimate(regularisation)
    signal = truth.image.ravel() - example.IMAGING.background
    mean = np.full(len(lattice), signal.sum() / len(lattice))
    gram = matrix.T @ matrix + regularisation * np.eye(len(lattice))
    expected = mean + np.linalg.solve(gram, matrix.T @ (signal - matrix @ mean))
    assert np.abs(found - expected).max() < 2.0  # of 1000 counts


def test_second_step_is_that_of_equations_37_to_42(sweep):
    module = sweep("histograms")
    example, lattice, shape, truth, matrix = few(sweep, 20)
    reconstructor = module.Reconstructor(lattice, example.PSF, image_shape=shape)
    first = module.one_method(reconstructor, truth.image, "global")
    found = module.second_step(module.make_optics(lattice, example.PSF, shape), truth.image, first)
    p = first.mixture.probability(first.brightness)
    mu = first.brightness.sum() / p.sum()
    variance = first.mixture.sds[1] ** 2 - first.mixture.sds[0] ** 2
    mean, spread = p * mu, p * (1 - p) * mu**2 + p * variance
    background = example.IMAGING.background
    weights = 1 / (matrix @ mean + background + example.IMAGING.read_noise**2)
    right = matrix.T @ (weights * (truth.image.ravel() - background - matrix @ mean))
    root = np.sqrt(spread)
    system = np.eye(len(p)) + root[:, None] * (matrix.T * weights @ matrix) * root
    expected = mean + root * np.linalg.solve(system, root * right)
    assert np.abs(found - expected).max() < 2.0


@pytest.mark.parametrize("name", ["histograms", "regularisation"])
def test_from_measurement_to_picture(sweep, name, tmp_path, monkeypatch):
    module, gallery = sweep(name), sweep("gallery")
    monkeypatch.setattr(gallery, "FOLDER", tmp_path)
    if name == "regularisation":
        powers = {"lambda": np.arange(-4.5, -2.4, 0.5), "kappa": np.arange(-3.0, -0.9, 0.5)}
        monkeypatch.setattr(module, "POWERS", powers)
    rows = module.measure(FEW)
    gallery.write_rows(name, rows, "two images")
    read, note = gallery.read_rows(name)
    assert note == "two images"
    assert [row.keys() for row in read] == [row.keys() for row in rows]
    assert "2 images of 400 sites" in module.statements(read, note)
    pytest.importorskip("matplotlib")
    pyplot = gallery.pyplot()
    gallery.save(name, module.draw(pyplot, read))
    pyplot.close("all")
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_contrast_is_largest_where_squared_residuals_are_least(sweep):
    module = sweep("regularisation")
    rows = module.of_images(module.measure(argparse.Namespace(images=1, sites=50, seed=3)))
    for way in ("lambda", "kappa"):
        assert abs(rows[0][f"{way} most contrast"] - rows[0][f"{way} least ssr at"]) < 0.15
    expected = np.log10(module.expected())
    assert abs(rows[0]["lambda least ssr at"] - expected) < 0.1
