"""The bundled samples hold the physics they claim, and open as layers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.constants import physical_constants
from scipy.ndimage import uniform_filter
from scipy.optimize import curve_fit

from napari_coldatoms import samples

SAMPLES = ["single_cloud", "mot_and_odt", "time_of_flight"]
LATTICES = [
    "lattice_image",
    "triangular_lattice",
    "tweezer_array",
    "drifting_lattice",
    "survival_pair",
]


def plain_optical_depth(triplet):
    """Return -ln[(atoms - dark)/(probe - dark)] of the frames as they are."""
    atoms, probe, dark = (
        triplet.sel(frame=role).to_numpy().astype(float) for role in ("atoms", "probe", "dark")
    )
    return -np.log((atoms - dark) / (probe - dark))


def true_optical_depth(truth, shape):
    """Return the sum of Eq. 1 of Hofer et al. 2021, arXiv:2011.10536, over the clouds."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    depth = np.zeros(shape)
    for c in truth["clouds"]:
        u = (x - c["x0"]) * np.cos(c["theta"]) + (y - c["y0"]) * np.sin(c["theta"])
        v = -(x - c["x0"]) * np.sin(c["theta"]) + (y - c["y0"]) * np.cos(c["theta"])
        depth += c["peak"] * np.exp(-2 * (u**2 / c["wx"] ** 2 + v**2 / c["wy"] ** 2))
    return depth


def shots_of(stack):
    """Return the triplets of a stack with their truths."""
    if "shot" not in stack.dims:
        return [(stack, stack.attrs["truth"])]
    return list(zip(stack, stack.attrs["truth"]["shots"], strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_optical_depth_agrees_with_the_truth(name):
    for triplet, truth in shots_of(getattr(samples, name)()):
        depth = plain_optical_depth(triplet)
        error = depth - true_optical_depth(truth, depth.shape) + np.log(truth["power_ratio"])
        # what remains are fringes, and noise that a 9 x 9 mean brings down nine times
        fringes = sum(2 * f["amplitude"] * abs(np.sin(f["shift"] / 2)) for f in truth["fringes"])
        weakest = min(0.4 * truth["probe_level"], truth["probe_level"] * np.exp(-depth.max()))
        noise = np.sqrt(2 * truth["gain"] / weakest) / 9
        assert np.abs(uniform_filter(error, 9)).max() < fringes + 5 * noise
        assert abs(error.mean()) < 0.004


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_raw_seeded_unsaturated_and_scaled(name):
    stack = getattr(samples, name)()
    assert stack.dims[-3:] == ("frame", "y", "x")
    assert stack.dtype == np.uint16
    assert int(stack.max()) < stack.attrs["saturation"]
    assert stack.x.attrs["units"] == "um"
    assert float(stack.x[1] - stack.x[0]) in (5.0, 6.0)
    assert stack.identical(getattr(samples, name)())


def test_every_cloud_lies_inside_its_frame():
    for name in SAMPLES:
        for triplet, truth in shots_of(getattr(samples, name)()):
            for y0, x0, y1, x1 in truth["boxes"]:
                assert y0 > 0
                assert x0 > 0
                assert y1 < triplet.sizes["y"]
                assert x1 < triplet.sizes["x"]


def test_mot_is_round_dipole_trap_long_and_their_boxes_overlap():
    truth = samples.mot_and_odt().attrs["truth"]
    mot, odt = truth["clouds"]
    assert (mot["label"], odt["label"]) == ("MOT", "ODT")
    assert odt["wx"] / odt["wy"] > 5
    assert mot["wx"] / mot["wy"] < 1.3
    (top, _, _, right), (_, left, bottom, _) = truth["boxes"]
    assert left < right
    assert top < bottom


def test_time_of_flight_shows_temperature_gravity_and_atom_number():
    """Read off the pictures by sums along rows and columns, without our own fits."""
    stack = samples.time_of_flight()
    truth = stack.attrs["truth"]
    times = stack["time_of_flight"]
    assert times.dims == ("shot",)
    assert times.attrs["units"] == "s"
    assert stack.sizes["shot"] == 10
    mass = physical_constants["atomic mass constant"][0] * 86.909180
    assert truth["mass"] == pytest.approx(mass, rel=1e-6)

    def profile(x, centre, sigma, height, offset):
        return offset + height * np.exp(-((x - centre) ** 2) / (2 * sigma**2))

    found = []
    for triplet, shot in shots_of(stack):
        depth = plain_optical_depth(triplet)
        y0, x0, y1, x1 = shot["boxes"][0]
        top, left = max(int(y0 - (y1 - y0) / 2), 0), max(int(x0 - (x1 - x0) / 2), 0)
        cut = depth[top : int(y1 + (y1 - y0) / 2), left : int(x1 + (x1 - x0) / 2)]
        row = []
        for axis, start, width in ((0, left, x1 - x0), (1, top, y1 - y0)):
            line = cut.sum(axis=axis)
            place = start + np.arange(len(line))
            seed = (place[np.argmax(line)], width / 4, np.ptp(line), line.min())
            row.extend(curve_fit(profile, place, line, p0=seed)[0][:3])
        found.append(row)
    _, sigma_x, height_x, centre_y, sigma_y, _ = np.abs(np.array(found)).T * 6e-6
    seconds = times.to_numpy()
    boltzmann = physical_constants["Boltzmann constant"][0]
    for sigma, sigma0 in ((sigma_x, truth["sigma0_x"]), (sigma_y, truth["sigma0_y"])):
        # the widths are known about equally well in relative terms
        slope, offset = np.polyfit(seconds**2, sigma**2, 1, w=1 / sigma**2)
        assert slope * truth["mass"] / boltzmann == pytest.approx(truth["temperature"], rel=0.04)
        assert np.sqrt(offset) == pytest.approx(sigma0, rel=0.1)
    acceleration = 2 * np.polyfit(seconds**2, centre_y, 1)[0]
    assert acceleration == pytest.approx(9.81, rel=0.005)
    # the heights are sums over pixels of 6 um, so that they are lengths too
    atoms = np.sqrt(2 * np.pi) * sigma_x * height_x / truth["cross_section"]
    np.testing.assert_allclose(atoms, truth["atom_number"], rtol=0.03)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_open_as_layers_with_scale_and_units(name):
    from napari.layers import Layer

    stack = getattr(samples, name)()
    layers = [Layer.create(*data) for data in getattr(samples, f"{name}_layers")()]
    raw, picture = layers
    assert (raw.visible, picture.visible) == (False, True)
    assert raw.data.size == stack.size
    assert raw.axis_labels[1:] == picture.axis_labels
    assert picture.data.shape == tuple(stack.sizes[d] for d in stack.dims if d != "frame")
    pixel = float(stack.x[1] - stack.x[0])
    for layer in layers:
        np.testing.assert_allclose(layer.scale[-2:], pixel)
        assert [str(unit) for unit in layer.units[-2:]] == ["micrometer"] * 2
    expected = plain_optical_depth(stack if "shot" not in stack.dims else stack[0])
    shown = np.asarray(picture.data[0] if picture.data.ndim == 3 else picture.data)
    # the reader may correct the probe power, which is one number per shot
    assert np.nanstd(shown - expected) < 1e-3


def images_of(stack):
    """Return the images of atoms, with the offset and the occupation of each."""
    images = stack.to_numpy().reshape(-1, *stack.shape[-2:]).astype(float)
    truth = stack.attrs["truth"]
    offsets = np.reshape(truth["offset_px"], (len(images), 2))
    occupied = np.reshape(truth["occupied"], (len(images), -1))
    return zip(images, offsets, occupied, strict=True)


@pytest.mark.parametrize("name", LATTICES)
def test_atoms_shine_where_the_truth_has_them(name):
    """The truth as Gaussians at the pixels' centres, against the images."""
    stack = getattr(samples, name)()
    truth = stack.attrs["truth"]
    sigma = truth["hwhm_px"] / np.sqrt(2 * np.log(2))
    y, x = (np.arange(size) for size in stack.shape[-2:])
    for image, offset, occupied in images_of(stack):
        atoms = (np.array(truth["positions_px"]) + offset)[occupied]
        light = truth["brightness"] * np.array(truth.get("relative_brightness", 1.0))
        light = np.broadcast_to(light, occupied.shape)[occupied]
        rest = image - truth["background"]
        noise = np.sqrt(image.sum() + image.size * truth["read_noise"] ** 2)
        noise += truth["brightness_sd"] * np.sqrt(len(atoms))
        # the PSF is cut off where 0.2 % of its light are left
        assert abs(rest.sum() - light.sum()) < 4 * noise + 0.003 * light.sum()
        if not len(atoms):
            continue
        rows = np.exp(-((y - atoms[:, :1]) ** 2) / (2 * sigma**2)) * light[:, None]
        columns = np.exp(-((x - atoms[:, 1:]) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        expected = rows.T @ columns
        shifted = np.roll(expected, 1, axis=1)
        error, wrong = np.std(rest - expected), np.std(rest - shifted)
        spread = truth["brightness_sd"] / truth["brightness"] * expected.max()
        assert error < 1.2 * np.sqrt(image.mean() + truth["read_noise"] ** 2 + spread**2)
        assert error < wrong


@pytest.mark.parametrize("name", LATTICES)
def test_lattices_are_seeded_scaled_and_layers(name):
    from napari.layers import Layer

    stack = getattr(samples, name)()
    assert stack.identical(getattr(samples, name)())
    assert stack.dtype == np.uint16
    assert int(stack.max()) < stack.attrs["saturation"]
    assert stack.x.attrs["units"] == "um"
    (data,) = getattr(samples, f"{name}_layers")()
    layer = Layer.create(*data)
    assert layer.data.size == stack.size
    np.testing.assert_allclose(layer.scale[-2:], float(stack.x[1] - stack.x[0]))
    truth = stack.attrs["truth"]
    if "vectors_px" in truth:
        assert np.hypot(*truth["vectors_px"][1]) * layer.scale[-1] == pytest.approx(0.532)


def test_the_drift_and_its_empty_shot():
    stack = samples.drifting_lattice()
    truth = stack.attrs["truth"]
    assert list(stack.time.values) == list(range(0, 600, 30))
    offsets = np.array(truth["offset_px"])
    assert 2.5 < np.ptp(offsets, axis=0).max() < 3.5
    assert np.abs(np.diff(offsets, axis=0)).max() < 0.7
    atoms = np.sum(truth["occupied"], axis=1)
    assert truth["empty"] == 12
    assert list(np.flatnonzero(atoms == 0)) == [12]


def test_the_triangular_lattice_is_turned_by_seven_degrees():
    first, second = np.array(samples.triangular_lattice().attrs["truth"]["vectors_px"])
    assert np.degrees(np.arctan2(*second)) == pytest.approx(7)
    assert first @ second == pytest.approx(0.5 * second @ second)


def test_tweezers_are_apart_and_follow_no_lattice():
    places = np.array(samples.tweezer_array().attrs["truth"]["positions_px"])
    apart = np.hypot(*(places[:, None] - places[None]).T)
    assert apart[apart > 0].min() > 9
    assert 40 < len(places) < 60


def test_pairs_show_survival_and_hopping():
    stack = samples.survival_pair()
    assert list(stack.frame.values) == ["fluorescence", "fluorescence"]
    first, second = np.moveaxis(np.array(stack.attrs["truth"]["occupied"]), 1, 0)
    atoms = first.sum()
    # four standard deviations of 5000 atoms
    assert (first & second).sum() / atoms == pytest.approx(0.95, abs=0.012)
    assert (second & ~first).sum() / atoms == pytest.approx(0.02, abs=0.008)


def test_photon_counts_are_seeded_and_those_of_the_paper():
    made = samples.photon_counts()
    again = samples.photon_counts()
    assert len(made.control_counts) == len(made.prepared) == 2000
    assert len(made.sample) == 1000
    for name in ("prepared", "control_counts", "sample"):
        np.testing.assert_array_equal(getattr(made, name), getattr(again, name))
    controls = made.controls
    # of the paper 6, 38 and 56 %, here within four standard deviations
    np.testing.assert_allclose(
        [len(controls[atoms]) / 2000 for atoms in range(3)], [0.06, 0.38, 0.56], atol=0.045
    )
    epsilon = made.truth["single_atom_loss"]
    assert controls[0].mean() == pytest.approx(1, abs=4 / np.sqrt(len(controls[0])))
    assert controls[1].mean() == pytest.approx(15 - 14 * epsilon, abs=4 * 4.5 / 28)
    # by Eq. 3: two atoms stay with exp(-1.2), and no loss comes before its time
    assert 15 < controls[2].mean() < 29
    shuffled = np.corrcoef(made.prepared[1:], made.prepared[:-1])[0, 1]
    assert abs(shuffled) < 4 / np.sqrt(2000)


def test_photon_counts_as_files(tmp_path):
    from napari_coldatoms.readers import is_count_file, read_counts

    made = samples.photon_counts()
    paths = samples.photon_count_files(tmp_path / "new")
    assert [path.name for path in paths] == ["controls.csv", "sample.csv"]
    assert all(is_count_file(path) for path in paths)
    controls, sample = (read_counts(path) for path in paths)
    assert controls.certain
    assert sample.certain
    (series,) = controls.series
    np.testing.assert_array_equal(series.counts, made.control_counts)
    np.testing.assert_array_equal(series.prepared, made.prepared)
    (series,) = sample.series
    np.testing.assert_array_equal(series.counts, made.sample)


def boxes_of(stack):
    """Return the counts above the offset in each box, (shots, sites), in detected photons."""
    truth = stack.attrs["truth"]
    camera = truth["camera"]
    electrons = (stack.to_numpy() - camera["offset"]) * camera["sensitivity"]
    cuts = [electrons[:, y0:y1, x0:x1].sum(axis=(1, 2)) for y0, x0, y1, x1 in truth["boxes"]]
    return np.column_stack(cuts) / camera["em_gain"]


def test_tweezers_shine_as_their_truth_says():
    stack = samples.tweezer_counts()
    assert stack.identical(samples.tweezer_counts())
    assert stack.dims == ("shot", "y", "x")
    assert stack.shape == (400, 9, 40)
    assert stack.dtype == np.uint16
    assert int(stack.max()) < stack.attrs["saturation"]
    assert stack.x.attrs["units"] == "um"
    truth = stack.attrs["truth"]
    occupied = np.array(truth["occupied"])
    assert abs(occupied.mean() - truth["loading"]) < 4 * np.sqrt(0.25 / occupied.size)
    photons = boxes_of(stack)
    dark, bright = photons[~occupied], photons[occupied]
    # 25 pixels of background, and the light of an atom that falls into the box: all but 2 to 10 %
    # of it. Electron multiplication doubles the variance; tolerances are four standard errors
    expected = 25 * truth["background"]
    assert abs(dark.mean() - expected) < 4 * np.sqrt(2 * expected / len(dark))
    light = np.mean(truth["photons"])
    assert 0.9 * light < bright.mean() - expected < 0.98 * light
    assert dark.var() == pytest.approx(2 * dark.mean(), rel=4 * np.sqrt(3 / len(dark)))


def test_weights_read_the_tweezers_out_better():
    """The least mean error over thresholds, of all sites, on the same shots."""
    from napari_coldatoms.photons import counts_from_stack

    stack = samples.tweezer_counts()
    occupied = np.array(stack.attrs["truth"]["occupied"]).T
    (image, regions) = samples.tweezer_counts_layers()
    corners = [np.asarray(each) for each in regions[0]]

    def error(counts):
        errors = []
        for values, bright in zip(counts, occupied, strict=True):
            cuts = np.unique(values)[:, None]
            wrong = (values[~bright] > cuts).mean(axis=1) + (values[bright] <= cuts).mean(axis=1)
            errors.append(wrong.min() / 2)
        return np.mean(errors)

    plain = counts_from_stack(image[0], corners).counts
    learnt = counts_from_stack(image[0], corners, weights="learn").counts
    assert 0.03 < error(plain) < 0.07
    assert error(learnt) < 0.85 * error(plain)


def test_tweezers_open_as_image_and_boxes():
    from napari.layers import Layer, Shapes

    from napari_coldatoms.photons import counts_from_stack

    stack = samples.tweezer_counts()
    image, regions = (Layer.create(*data) for data in samples.tweezer_counts_layers())
    assert isinstance(regions, Shapes)
    assert set(regions.shape_type) == {"rectangle"}
    assert [str(unit) for unit in regions.units] == ["micrometer"] * 2
    np.testing.assert_allclose(regions.scale, image.scale[-2:])
    found = counts_from_stack(stack, regions)
    assert found.pixels.tolist() == [25] * 5
    camera = stack.attrs["truth"]["camera"]
    photons = (found.counts - 25 * camera["offset"]) * camera["sensitivity"] / camera["em_gain"]
    np.testing.assert_allclose(photons.T, boxes_of(stack), atol=1e-6)
