"""The shipped network on real camera pictures, none of which it was trained on."""

from __future__ import annotations

import numpy as np
import pytest

import napari_coldatoms
from napari_coldatoms.clouds import detect
from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.network_regions import region_of
from napari_coldatoms.images.absorption import optical_depth

OQTANT = ["tof_background", "tof_evolution_12", "tof_hold_00", "tof_hold_10"]


@pytest.fixture(scope="module")
def network():
    return Network(device="cpu")


def found_in(network, picture):
    """Return what the network is sure of, and the Gaussians of the masks."""
    pixels = np.asarray(picture.values, dtype=float)
    (found,) = network.detect([pixels], least_score=0.5)
    clouds = [each for each in found if not each.double]
    return [(each.label, region_of(each, pixels.shape)[1]) for each in clouds]


def distance(gaussian, fit):
    """Return how far centres lie apart, in 1/e² radii along x and y."""
    y0, x0, y1, x1 = fit.ellipse_box()
    return np.hypot(2 * (gaussian.x0 - fit.x0) / (x1 - x0), 2 * (gaussian.y0 - fit.y0) / (y1 - y0))


@pytest.mark.parametrize("name", OQTANT)
def test_time_of_flight_pictures(real_data, network, name):
    stacks = napari_coldatoms.read(real_data / "oqtant_rb87" / f"{name}.json")
    (picture,) = [s for s in stacks if str(s.name).endswith("tof_image")]
    ((label, gaussian),) = found_in(network, picture)
    assert label == "ODT"  # bimodal: condensates come from a dipole trap
    (cloud,) = detect(picture)
    assert distance(gaussian, cloud.best) < 0.1


@pytest.mark.parametrize("name", OQTANT)
def test_trapped_clouds_in_fluorescence(real_data, network, name):
    """With a window's reflections at their sides, the brightest of 6 % of the cloud's height."""
    stacks = napari_coldatoms.read(real_data / "oqtant_rb87" / f"{name}.json")
    (picture,) = [s for s in stacks if "mot" in str(s.name)]
    ((label, gaussian),) = found_in(network, picture)
    assert label == "MOT"
    assert distance(gaussian, detect(picture)[0].best) < 0.2


def test_cloud_in_the_trap(real_data, network):
    stacks = napari_coldatoms.read(real_data / "oqtant_rb87" / "in_trap.json")
    (picture,) = [s for s in stacks if s.shape == (148, 503)]
    ((label, gaussian),) = found_in(network, picture)
    assert label == "ODT"
    (cloud,) = detect(picture)
    assert distance(gaussian, cloud.best) < 0.1


def test_cloud_cut_by_the_border_beside_a_masked_half(real_data, network):
    (file,) = (real_data / "li6_fits").glob("*.fits")
    (raw,) = napari_coldatoms.read(file)
    picture = optical_depth(raw, power_correction="robust")
    ((_, gaussian),) = found_in(network, picture)
    (cloud,) = detect(picture)
    assert distance(gaussian, cloud.best) < 0.2


@pytest.mark.parametrize("number", ["0147", "0149", "0156"])
def test_a_ring_is_one_cloud(real_data, network, number):
    folder = real_data / "ring_bec_tiff"
    files = [folder / f"{r}_2020_11_24_{number}.tiff" for r in ("Image", "Probe", "Background")]
    (raw,) = napari_coldatoms.read(files)
    picture = optical_depth(raw, power_correction="robust").squeeze()
    ((_, gaussian),) = found_in(network, picture)
    assert gaussian.x0 == pytest.approx(347, abs=6)
    assert gaussian.y0 == pytest.approx(351, abs=6)
    assert gaussian.wx == pytest.approx(107, abs=8)
    assert gaussian.wy == pytest.approx(107, abs=8)
