"""Counts of samples and controls from files, and what is written: read back from the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_coldatoms import photons
from napari_coldatoms.analyses import CountAtoms, CountFiles, apply, count_sites, follow
from napari_coldatoms.analyses.count_export import export
from napari_coldatoms.analyses.count_figure import plot_counts
from napari_coldatoms.analyses.count_files import read_controls, read_input, recipe_of
from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.backend.recipe import Recipe, RecipeError
from napari_coldatoms.images.regions import region_masks
from napari_coldatoms.photons.site_counts import SiteCounts
from napari_coldatoms.readers.errors import ReadError

MODEL = photons.PAPER_MODEL


@pytest.fixture(scope="module")
def controls() -> list[np.ndarray]:
    return list(photons.simulate_controls(MODEL, 1500, single_atom_loss=0.03, rng=1))


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return photons.simulate_mixture(MODEL, [0.3, 0.3, 0.4], 800, rng=2).counts


@pytest.fixture(scope="module")
def folder(controls, sample, tmp_path_factory) -> Path:
    """Return a folder with the counts in all the ways in which they come."""
    folder = tmp_path_factory.mktemp("counts")
    pd.DataFrame({"counts": sample}).to_csv(folder / "sample.csv", index=False)
    prepared = np.repeat(np.arange(3), [len(each) for each in controls])
    table = pd.DataFrame({"counts": np.concatenate(controls), "prepared": prepared})
    table.to_csv(folder / "controls.csv", index=False)
    half = len(table) // 2
    table[:half].to_csv(folder / "morning.csv", index=False)
    table[half:].to_csv(folder / "evening.csv", index=False)
    for number, counts in enumerate(controls):
        np.savetxt(folder / f"day_{'abc'[number]}.txt", counts, fmt="%d")
        np.save(folder / f"atoms_{number}.npy", counts)
        n, times = np.unique(counts, return_counts=True)
        pd.DataFrame({"n": n, "occurrences": times}).to_csv(
            folder / f"histogram_{'abc'[number]}.csv", index=False
        )
    named = {f"atoms_{number}": counts for number, counts in enumerate(controls)}
    np.savez(folder / "all.npz", sample=sample, **named)
    np.savez(folder / "two.npz", left=sample, right=sample[:50], **named)
    return folder


@pytest.fixture(scope="module")
def result(folder) -> CountResult:
    analysis = CountFiles(exposure=1e-3, controls=(folder / "controls.csv",))
    return analysis.count_file(folder / "sample.csv")[0]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("sample.csv", ["controls.csv"]),
        ("sample.csv", ["day_a.txt", "day_b.txt", "day_c.txt"]),
        ("sample.csv", ["atoms_2.npy", "atoms_0.npy", "atoms_1.npy"]),
        ("sample.csv", ["morning.csv", "evening.csv"]),
        ("all.npz", []),
        ("all.npz", ["controls.csv"]),
    ],
    ids=["prepared", "in order", "by name", "two parts", "with the sample", "others"],
)
def test_all_ways_give_the_same_counts(folder, controls, sample, name, files):
    found = read_input(folder / name, [folder / file for file in files])
    np.testing.assert_array_equal(found.sample, sample)
    assert sorted(found.controls) == [0, 1, 2]
    for number, counts in enumerate(controls):
        np.testing.assert_array_equal(found.controls[number], counts)
    assert found.sources["sample"] == str(folder / name)
    assert not found.notes


def test_histograms_of_controls(folder, controls):
    files = [folder / f"histogram_{each}.csv" for each in "abc"]
    found, sources, _ = read_controls(files)
    for number, counts in enumerate(controls):
        expected = np.bincount(counts)
        np.testing.assert_array_equal(photons.histogram(found[number]).occurrences, expected)
        assert sources[f"control_{number}"] == str(files[number])


def test_one_series_of_several(folder, sample):
    with pytest.raises(ValueError, match=r"which one is meant, found 'left', 'right'"):
        read_input(folder / "two.npz")
    assert len(read_input(folder / "two.npz", series="right").sample) == 50
    with pytest.raises(ValueError, match="expected a series 'middle', found 'left', 'right'"):
        read_input(folder / "two.npz", series="middle")


def test_what_was_guessed_is_told(tmp_path, sample, folder):
    table = np.column_stack([np.arange(len(sample)), sample])
    np.savetxt(tmp_path / "numbered.txt", table, fmt="%d")
    found = read_input(tmp_path / "numbered.txt", [folder / "controls.csv"])
    np.testing.assert_array_equal(found.sample, sample)
    (note,) = found.notes
    assert "layout='histogram'" in note
    given = read_input(tmp_path / "numbered.txt", [folder / "controls.csv"], layout="counts")
    assert not given.notes


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        ("sample.csv", [], "expected controls in files of their own"),
        ("controls.csv", [], "found controls only"),
        ("sample.csv", ["day_a.txt"], "expected the prepared atom number of each shot"),
        ("none.csv", ["controls.csv"], "found nothing of this name"),
    ],
)
def test_what_is_not_clear(folder, name, files, says):
    with pytest.raises(ValueError, match=says):
        read_input(folder / name, [folder / file for file in files])


def test_mixed_parts_are_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"day_a\.txt: expected the prepared atom number as in"):
        read_controls([folder / "controls.csv", folder / "day_a.txt"])
    shutil.copy(folder / "histogram_b.csv", tmp_path / "atoms_1.csv")
    with pytest.raises(ReadError, match="controls of 1 atom like those before"):
        read_controls([folder / "controls.csv", tmp_path / "atoms_1.csv"])


def test_a_recipe_counts_again(result, folder, tmp_path, sample):
    (path,) = export(result, tmp_path / "mine.yaml")
    recipe = Recipe.load(path)
    assert recipe.source == str(folder / "sample.csv")
    assert recipe.parameters["controls"] == [str(folder / "controls.csv")]
    analysis, _ = follow(path)
    assert analysis == result.analysis
    again, _ = analysis.count_file(folder / "sample.csv")
    pd.testing.assert_frame_equal(again.table(), result.table())
    with pytest.raises(RecipeError, match="for pictures, found one for count_atoms"):
        apply(path, sample)


def test_the_recipe_of_a_result_that_names_its_files(result, folder):
    """As the window makes it: parameters without files, and where the counts are from."""
    analysis = CountAtoms(exposure=1e-3)
    many = {f"control_{number}": f"/day/{number}.csv" for number in range(11)}
    for sources, files in (
        ({"sample": "/day/s.csv", "controls": "/day/c.csv"}, ["/day/c.csv"]),
        ({"sample": "/day/s.csv", "controls": "/day/s.csv"}, []),
        (many, [f"/day/{number}.csv" for number in range(11)]),
    ):
        found = analysis.count(result.sample, known=result.known, sources=sources)
        recipe = recipe_of(found)
        assert recipe.parameters["controls"] == [str(Path(file)) for file in files]
        assert recipe.source == sources.get("sample")


def test_csv_with_parameters_and_recipe(result, tmp_path):
    written = export(result, tmp_path / "day.csv")
    names = ["day.csv", "day.recipe.yaml", "day.parameters.csv"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    table = pd.read_csv(tmp_path / "day.csv")
    pd.testing.assert_frame_equal(table, result.table(), check_dtype=False)
    parameters = pd.read_csv(tmp_path / "day.parameters.csv")
    np.testing.assert_allclose(parameters.value[:3], result.known.model.rates)


def test_json_and_figures(result, tmp_path):
    export(result, tmp_path / "day.json")
    found = json.loads((tmp_path / "day.json").read_text(encoding="utf-8"))
    assert found["sources"] == result.sources
    export(result, tmp_path / "day.png")
    assert (tmp_path / "day.png").read_bytes().startswith(b"\x89PNG")
    export(result, tmp_path / "day.svg")
    assert "<svg" in (tmp_path / "day.svg").read_text(encoding="utf-8")
    for name in ("day.pdf", "day", "day.xlsx"):
        with pytest.raises(ValueError, match=r"expected a name ending in \.csv, \.json") as error:
            export(result, tmp_path / name)
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError):
        export(result, tmp_path / "gone" / "day.csv")


def test_the_figure_shows_what_was_fitted(result):
    figure = plot_counts(result)
    sample, residuals, *controls = figure.axes
    assert len(controls) == 3
    (fit,) = [line for line in sample.lines if line.get_label() == "fit"]
    np.testing.assert_allclose(fit.get_ydata(), result.fit.expected)
    labels = [text.get_text() for text in sample.get_legend().get_texts()]
    for number, share in enumerate(result.probabilities):
        assert any(text.startswith(f"{number} atom") for text in labels)
        assert any(f"{100 * share:.1f} %" in text for text in labels)
    dots = residuals.lines[-1]
    n = dots.get_xdata().astype(int)
    expected = result.fit.expected[n]
    observed = result.sample.padded(len(result.fit.expected) - 1)[n]
    np.testing.assert_allclose(dots.get_ydata(), (observed - expected) / np.sqrt(expected))
    for number, axis in enumerate(controls):
        h = result.known.histograms[number]
        line = axis.lines[0].get_ydata()
        wanted = h.total * result.known.expected(number, len(line) - 1)
        np.testing.assert_allclose(line, wanted)
        # dashed: those that had lost an atom before
        assert len(axis.lines) == 1 + (number > 0)
        if number:
            lost = axis.lines[1].get_ydata().sum() / h.total
            kept = (1 - result.known.single_atom_loss) ** number
            assert lost == pytest.approx(1 - kept, rel=1e-6)


def test_the_figure_of_merged_bins(result, tmp_path):
    events = CountAtoms(basis="events").count(result.sample, known=result.known)
    figure = plot_counts(events)
    dots = figure.axes[1].lines[-1]
    assert len(dots.get_xdata()) <= len(events.fit.bins)
    export(events, tmp_path / "events.png")


def test_sites_are_exported(tmp_path):
    rng = np.random.default_rng(1)
    counts = rng.normal(100 + 60 * (rng.random((2, 400)) < 0.5), 10)
    regions = region_masks(np.array([[3.0, 3.0], [3.0, 9.0]]), (8, 14), size=3)
    sites = count_sites(SiteCounts(counts, regions, (), np.zeros_like(counts), "photons"))
    written = export(sites, tmp_path / "sites.csv")
    assert [path.name for path in written] == ["sites.csv", "sites.shots.csv"]
    table = pd.read_csv(tmp_path / "sites.csv")
    np.testing.assert_allclose(table.threshold, sites.threshold)
    assert len(pd.read_csv(tmp_path / "sites.shots.csv")) == 800
    export(sites, tmp_path / "sites.json")
    found = json.loads((tmp_path / "sites.json").read_text(encoding="utf-8"))
    assert found["sites"][1]["fidelity"] == sites.fidelity[1]
    with pytest.raises(ValueError, match=r"expected a name ending in \.csv, \.json"):
        export(sites, tmp_path / "sites.png")
