"""Sites in pictures: counted and called as the room's functions do, from stacks of all kinds."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import xarray as xr

from napari_coldatoms import photons
from napari_coldatoms.analyses.count_images import CountSites, pictures_of, read_labels
from napari_coldatoms.analyses.counted_sites import count_sites
from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.readers.errors import ReadError

SHOTS, SURVIVAL = 200, 0.8
LABELS = np.zeros((14, 22), dtype=np.uint8)
LABELS[4:8, 4:8] = 7
LABELS[4:8, 14:18] = 3


@pytest.fixture(scope="module")
def atoms() -> np.ndarray:
    """Return which site (3, then 7) has an atom, (2, shots, 2 images)."""
    rng = np.random.default_rng(1)
    first = rng.random((2, SHOTS)) < 0.5
    return np.stack([first, first & (rng.random(first.shape) < SURVIVAL)], axis=-1)


@pytest.fixture(scope="module")
def raw(atoms) -> xr.DataArray:
    """Return a stack of raw frames: two images of the same atoms in each shot."""
    rng = np.random.default_rng(2)
    light = np.full((SHOTS, 2, *LABELS.shape), 5.0)
    for site, label in enumerate((3, 7)):
        light += 8.0 * atoms[site][..., None, None] * (label == LABELS)
    return make_stack(
        rng.poisson(light).astype(np.uint16),
        roles=["atoms", "atoms"],
        coords={"hold": np.linspace(0, 1, SHOTS)},
        attrs={"kind": "counts"},
    )


def test_raw_frames_become_pictures_in_a_row(raw):
    pictures, images = pictures_of(raw)
    assert images == 2
    assert pictures.dims == ("shot", "y", "x")
    np.testing.assert_array_equal(pictures[7], raw[3, 1])
    np.testing.assert_array_equal(pictures.hold[6:8], raw.hold[[3, 3]])
    alone, images = pictures_of(raw[5])
    assert images == 2
    np.testing.assert_array_equal(alone, raw[5])
    same, images = pictures_of(pictures, 2)
    assert same is pictures
    assert images == 2


def test_sites_are_called_rightly(raw, atoms):
    result = CountSites().count(raw, LABELS)
    assert list(result.site_counts.numbers) == [3, 7]
    np.testing.assert_array_equal(result.called, atoms)
    assert result.survival is not None
    found = atoms[..., 1].sum(axis=1) / atoms[..., 0].sum(axis=1)
    np.testing.assert_allclose(result.survival[:, 0], found)
    same = count_sites(photons.counts_from_stack(pictures_of(raw)[0], LABELS), images=2)
    np.testing.assert_array_equal(result.threshold, same.threshold)
    assert "hold" in result.site_counts.shot_values


def test_the_parameters_reach_the_room(raw):
    analysis = CountSites(background="ring", offset=1.0, em_gain=100.0)
    counts = analysis.count(raw, LABELS).site_counts
    assert counts.unit == "photons"
    np.testing.assert_allclose(counts.background.mean(), (5.0 - 1.0) / 100, rtol=0.02)
    assert CountSites().camera is None
    assert CountSites().count(raw, LABELS).site_counts.unit == "counts"
    learnt = CountSites(weights="learnt").count(raw, LABELS).site_counts
    assert (learnt.weights[0] != learnt.weights[0][0]).any() or learnt.remarks


def test_doubts_are_in_plain_words(raw):
    remarks = CountSites(em_gain=100.0).count(raw, LABELS).remarks
    assert any("electron multiplication" in text for text in remarks)
    assert not any("kernel(" in text for text in remarks)


def test_controls_tell_the_threshold(raw, atoms):
    rng = np.random.default_rng(3)
    controls = [rng.poisson(80, 300), rng.poisson(208, 300)]
    result = CountSites().count(raw, LABELS, controls=controls)
    assert result.source == "controls"
    np.testing.assert_array_equal(result.called, atoms)


def test_label_images_are_read(tmp_path):
    tifffile.imwrite(tmp_path / "sites.tif", LABELS)
    np.save(tmp_path / "sites.npy", LABELS[None])
    for name in ("sites.tif", "sites.npy"):
        np.testing.assert_array_equal(read_labels(tmp_path / name), LABELS)
    np.save(tmp_path / "floats.npy", LABELS.astype(float))
    np.save(tmp_path / "stack.npy", np.stack([LABELS] * 3))
    (tmp_path / "bad.tif").write_bytes(b"no picture")
    (tmp_path / "sites.txt").write_text("1 2 3")
    for name in ("floats.npy", "stack.npy", "bad.tif", "sites.txt", "none.tif"):
        with pytest.raises(ReadError, match="expected a label image"):
            read_labels(tmp_path / name)
