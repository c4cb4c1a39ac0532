"""The manifest: valid, and everything it names is there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import napari
import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

import napari_coldatoms
from napari_coldatoms.readers import COUNT_SUFFIXES, SUFFIXES

MANIFEST = Path(napari_coldatoms.__file__).parent / "napari.yaml"


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


def test_npe2_finds_no_fault() -> None:
    npe2 = Path(sys.executable).with_name("npe2")
    done = subprocess.run(
        [npe2, "validate", MANIFEST], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid" in done.stdout


def test_the_installed_package_brings_it_along() -> None:
    manager = PluginManager.instance()
    manager.discover()
    assert "napari-coldatoms" in manager
    assert manager.get_manifest("napari-coldatoms").display_name == "Cold atoms"


def test_every_command_leads_to_something(manifest) -> None:
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    for python_name in commands.values():
        module, _, name = python_name.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
    used = [
        *(each.command for each in manifest.contributions.readers),
        *(each.command for each in manifest.contributions.widgets),
        *(each.command for each in manifest.contributions.sample_data if hasattr(each, "command")),
        *(item.command for items in manifest.contributions.menus.values() for item in items),
    ]
    assert set(used) == set(commands)


def test_the_menus_hold_the_widgets(manifest) -> None:
    menus = {
        name: [item.command for item in items]
        for name, items in manifest.contributions.menus.items()
    }
    assert menus["napari/layers/segment"] == [
        "napari-coldatoms.detect_clouds",
        "napari-coldatoms.reconstruct_lattice",
        "napari-coldatoms.train_network",
    ]
    assert menus["napari/layers/annotate"] == ["napari-coldatoms.annotate"]
    assert menus["napari/layers/filter"] == ["napari-coldatoms.raw_frames"]
    assert menus["napari/layers/measure"] == ["napari-coldatoms.count_atoms"]
    assert [widget.display_name for widget in manifest.contributions.widgets] == [
        "Detect clouds",
        "Annotate clouds",
        "Raw frames → picture",
        "Reconstruct lattice",
        "Count atoms",
        "Train a network",
    ]


def test_the_reader_claims_what_can_be_read(manifest) -> None:
    (reader,) = manifest.contributions.readers
    assert {pattern.removeprefix("*") for pattern in reader.filename_patterns} == {
        *SUFFIXES,
        *COUNT_SUFFIXES,
    }
    assert reader.accepts_directories


@pytest.mark.parametrize("key", ["single_cloud", "mot_and_odt", "time_of_flight"])
def test_sample_data_open_as_hidden_frames_below_their_picture(key: str) -> None:
    viewer = napari.components.ViewerModel()
    viewer.open_sample("napari-coldatoms", key)
    raw, picture = viewer.layers
    assert not raw.visible
    assert picture.visible
    assert raw.data.shape[-2:] == picture.data.shape[-2:]
    assert [str(unit) for unit in picture.units[-2:]] == ["micrometer", "micrometer"]
    assert np.nanmax(picture.data) > 0.3


@pytest.mark.parametrize(
    "key",
    ["lattice_image", "triangular_lattice", "tweezer_array", "drifting_lattice", "survival_pair"],
)
def test_sample_lattices_open_as_one_layer(key: str) -> None:
    viewer = napari.components.ViewerModel()
    viewer.open_sample("napari-coldatoms", key)
    (layer,) = viewer.layers
    assert [str(unit) for unit in layer.units[-2:]] == ["micrometer", "micrometer"]
    assert layer.axis_labels[-2:] == ("y", "x")


def test_sample_tweezers_open_with_their_regions() -> None:
    viewer = napari.components.ViewerModel()
    viewer.open_sample("napari-coldatoms", "tweezer_counts")
    image, regions = viewer.layers
    assert image.data.shape == (400, 9, 40)
    assert len(regions.data) == 5
    assert viewer.dims.ndim == 3
    assert [str(unit) for unit in regions.units] == ["micrometer", "micrometer"]
