"""Simulated frames: the truth is right, the noise is that of the camera, every effect occurs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import napari_coldatoms
from napari_coldatoms.clouds import fit_gaussian
from napari_coldatoms.clouds.simulate_frames import LABELS, random_shape, simulate_frame
from napari_coldatoms.clouds.simulate_truth import MIN_SIGNAL
from napari_coldatoms.images import fluorescence, optical_depth

SMALL = (128, 128)


@pytest.fixture(scope="module")
def hard():
    return [simulate_frame((5, n), "hard", shape=SMALL) for n in range(400)]


@pytest.fixture(scope="module")
def paper():
    return [simulate_frame((6, n), "paper") for n in range(120)]


def test_a_seed_is_a_frame():
    first = simulate_frame((1, 2), "hard")
    simulate_frame(3, "hard", shape=SMALL)
    again = simulate_frame([1, 2], "hard")
    assert first.seed == again.seed == (1, 2)
    assert np.array_equal(first.raw, again.raw)
    assert first.gaussians == again.gaussians
    assert np.array_equal(first.masks(), again.masks())
    assert not np.array_equal(first.raw[:, :64, :64], simulate_frame((1, 3)).raw[:, :64, :64])


def test_fits_of_noiseless_frames_agree_with_the_truth():
    """Eq. 1 fitted to what the frames show, without fringes; quantised to 16 bits."""
    checked = 0
    for n in range(60):
        frame = simulate_frame((7, n), "paper", noise=False)
        if frame.settings["fringes"] or len(frame.instances) != 1:
            continue
        truth = frame.gaussians[0]
        if frame.instances[0].cut:
            continue
        found = fit_gaussian(frame.picture(), truth).gaussian
        assert found.x0 == pytest.approx(truth.x0, abs=0.02)
        assert found.y0 == pytest.approx(truth.y0, abs=0.02)
        assert found.wx == pytest.approx(truth.wx, rel=2e-3)
        assert found.wy == pytest.approx(truth.wy, rel=2e-3)
        assert found.peak == pytest.approx(truth.peak, rel=2e-3)
        assert found.background == pytest.approx(0, abs=2e-3)
        turn = (found.theta - truth.theta + np.pi / 2) % np.pi - np.pi / 2
        assert abs(turn) * (truth.wx / truth.wy - 1) < 5e-3
        checked += 1
    assert checked >= 5


def test_counts_scatter_as_photons_and_read_noise_do(hard):
    """Variance gain * light + read_noise² + 1/12 in every raw frame, by pulls over many frames."""
    pulls, kinds = [], set()
    for n, frame in enumerate(hard[:60]):
        quiet = simulate_frame((5, n), "hard", shape=SMALL, noise=False)
        assert quiet.gaussians == frame.gaussians
        camera = frame.camera
        # an even dark frame without noise is rounded to one count, wherever its mean is
        lit = [role != "dark" for role in frame.roles]
        mean, counts = quiet.raw[lit], frame.raw[lit].astype(float)
        light = mean - camera.dark_offset
        sigma = np.sqrt(camera.gain * np.maximum(light, 0) + camera.read_noise**2 + 1 / 12)
        clear = (mean > 5 * sigma) & (mean + 6 * sigma < camera.full_scale)
        pulls.append(((counts - mean) / sigma)[clear])
        kinds.add(frame.picture_kind)
    pulls = np.concatenate(pulls)
    assert kinds == {"optical_depth", "fluorescence"}
    assert pulls.size > 1e6
    assert abs(pulls.mean()) < 5 / np.sqrt(pulls.size) + 2e-3  # means are rounded, too
    assert pulls.std() == pytest.approx(1, abs=0.01)


def test_noise_of_the_paper_set_is_white_and_as_said():
    for n in (1, 2, 4):
        frame = simulate_frame((8, n), "paper", shape=(300, 300))
        quiet = simulate_frame((8, n), "paper", shape=(300, 300), noise=False)
        away = np.ones(frame.shape, bool)
        for g in frame.gaussians:
            away &= g(*np.mgrid[:300, :300]) < 1e-3
        residual = np.where(away, frame.picture() - quiet.picture(), np.nan)
        assert np.nanstd(residual) == pytest.approx(frame.settings["noise"], rel=0.06)
        neighbours = residual[:, 1:] * residual[:, :-1]
        assert abs(np.nanmean(neighbours)) < 0.02 * np.nanvar(residual)


def test_the_picture_is_that_of_the_image_model(hard):
    roles = set()
    for frame in hard[:40]:
        stack = frame.stack()
        roles.add(frame.roles)
        if frame.picture_kind == "optical_depth":
            expected = optical_depth(stack, power_correction="none").to_numpy()
        else:
            expected = fluorescence(stack).to_numpy()
        found = frame.picture()
        assert found.dtype == np.float32
        # at the edge of an aperture: there the noise of the dark frame is estimated
        assert (np.isnan(found) != np.isnan(expected)).mean() < 0.01
        both = ~np.isnan(found) & ~np.isnan(expected)
        scale = np.abs(expected[both]).max()
        assert np.abs(found[both] - expected[both]).max() < 1e-5 * max(scale, 1)
    assert len(roles) == 3


def test_boxes_masks_and_classes_belong_together(hard, paper):
    for frame in hard + paper:
        masks = frame.masks()
        assert masks.shape == (len(frame.labels), *frame.shape)
        assert frame.boxes.shape == (len(frame.labels), 4)
        height, width = frame.shape
        for mask, each in zip(masks, frame.instances, strict=True):
            assert each.label in LABELS
            assert each.signal >= MIN_SIGNAL
            assert each.gaussian.wx >= max(6, each.gaussian.wy)
            y0, x0, y1, x1 = each.box
            assert 0 <= y0 < y1 <= height
            assert 0 <= x0 < x1 <= width
            rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
            # pixel centres lie in the box, and the box goes not much further: tips are thin
            assert y0 <= rows[0] + 0.5 <= y0 + 2
            assert x0 <= columns[0] + 0.5 <= x0 + 2
            assert y1 - 2 <= rows[-1] + 0.5 <= y1
            assert x1 - 2 <= columns[-1] + 0.5 <= x1
            if not each.cut and each.shape == "gaussian":
                assert each.box == each.gaussian.ellipse_box()
                area = np.pi * each.gaussian.wx * each.gaussian.wy
                # few rows of pixels across a thin one
                assert mask.sum() == pytest.approx(area, rel=0.05, abs=6)


def test_clouds_are_where_the_truth_says():
    """The raw light of the atoms frame is the probe's times exp(-OD), cloud by cloud."""
    for n in range(40):
        frame = simulate_frame((9, n), "paper", noise=False)
        if frame.settings["fringes"] or not frame.instances:
            continue
        y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
        expected = sum(g(y, x) for g in frame.gaussians)
        # half a count of 2000 exp(-OD)
        tolerance = 1e-3 * np.exp(expected) + 1e-3
        assert np.all(np.abs(frame.picture() - expected) < tolerance)


def test_fluorescence_is_the_clouds_light(hard):
    """Without noise, fluorescence minus background is the sum of the Gaussians, in counts."""
    checked = 0
    for n, frame in enumerate(hard):
        plain = {each.shape for each in frame.instances} == {"gaussian"}
        if frame.roles != ("fluorescence", "background") or not plain or frame.settings["ghost"]:
            continue
        quiet = simulate_frame((5, n), "hard", shape=SMALL, noise=False)
        y, x = np.mgrid[: SMALL[0], : SMALL[1]]
        expected = sum(g(y, x) for g in frame.gaussians)
        clear = quiet.raw.max(axis=0) < frame.camera.full_scale
        wrong = np.abs(quiet.picture() - expected)[clear]
        # both frames are rounded, and clouds end where 1e-5 of their peak is left
        assert wrong.max() <= 1 + 4e-5 * expected.max()
        checked += 1
    assert checked >= 5


def test_hard_frames_have_every_shape_and_disturbance(hard):
    settings = [frame.settings for frame in hard]
    arrangements = Counter(each["arrangement"] for each in settings)
    assert set(arrangements) == {"empty", "single", "both", "pair", "row", "several"}
    assert 0.1 <= arrangements["empty"] / len(hard) <= 0.2
    shapes = Counter(each.shape for frame in hard for each in frame.instances)
    expected = "gaussian hollow lopsided bimodal in-trap thomas-fermi ring crossed peak"
    assert set(shapes) == set(expected.split())
    assert min(shapes.values()) >= 5
    labels = Counter(label for frame in hard for label in frame.labels)
    assert 0.4 < labels["MOT"] / labels.total() < 0.6
    assert max(len(frame.labels) for frame in hard) >= 8
    assert any(each.cut for frame in hard for each in frame.instances)
    assert any(each["ghost"] for each in settings)
    assert {each.get("aperture") for each in settings} >= {"none", "round", "straight"}
    assert {frame.camera.bits for frame in hard} == {8, 10, 12, 14, 16}
    assert {len(each["fringes"]) for each in settings if "fringes" in each} == {0, 1, 2, 3}
    assert {each["dust"] for each in settings if "dust" in each} == set(range(11))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("noise", 0.009, 0.141),
        ("probe_level", 50, 5000),
        ("structure", 0.09, 0.18),
        ("power_ratio", 0.96, 1.03),
        ("lit_fraction", 0.3, 1.0),
        ("hot_pixels", 0, 20),
        ("blur", 0.0, 3.0),
        ("stray_light", 5, 60),
    ],
)
def test_settings_fill_their_ranges(hard, name, low, high):
    values = np.array([f.settings[name] for f in hard if name in f.settings])
    assert values.min() >= low - 0.03 * (high - low)
    assert values.max() <= high
    assert values.max() - values.min() > 0.85 * (high - low) - 0.15 * low


def test_cameras_fill_their_ranges(hard):
    cameras = [frame.camera for frame in hard]
    for name, low, high in (("gain", 0.1, 20), ("dark_offset", 2, 700), ("read_noise", 0.5, 7.5)):
        values = np.array([getattr(camera, name) for camera in cameras])
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high


def test_clouds_fill_their_ranges(hard):
    found = [each.gaussian for frame in hard for each in frame.instances]
    radius = np.array([g.wx for g in found]) / 128
    aspect = np.array([g.wx / g.wy for g in found])
    assert np.quantile(radius, [0.1, 0.95]) == pytest.approx([0.06, 0.35], rel=0.3)
    assert aspect.max() > 8
    depths = np.array([g.peak for f in hard if "noise" in f.settings for g in f.gaussians])
    assert depths.min() < 0.15
    assert 4 < depths.max() <= 6


def test_the_papers_clouds_are_in_their_ranges(paper):
    for frame in paper:
        for each in frame.instances:
            low, high = {"MOT": (13, 50), "ODT": (20, 77)}[each.label]
            assert low <= each.gaussian.wx <= high
            aspect = each.gaussian.wx / each.gaussian.wy
            assert (1 <= aspect <= 1.33) if each.label == "MOT" else (3 <= aspect <= 9)
            assert 10**-0.9 <= each.gaussian.peak <= 10**0.5
    found = Counter("+".join(sorted(frame.labels)) for frame in paper)
    assert found["MOT"] > found["ODT"] > found[""]
    assert found["MOT+ODT"] / len(paper) == pytest.approx(0.25, abs=0.12)


def test_frames_have_many_sizes():
    rng = np.random.default_rng(1)
    shapes = Counter(random_shape(rng) for _ in range(1000))
    assert shapes[(256, 256)] > 200
    assert (1200, 1920) in shapes
    assert min(min(shape) for shape in shapes) == 100
    assert simulate_frame((2, 1), "hard").raw.dtype == np.uint16


def test_wrong_kinds_and_sizes_are_refused():
    with pytest.raises(ValueError, match="expected kind 'paper' or 'hard', found 'easy'"):
        simulate_frame(1, "easy")
    with pytest.raises(ValueError, match="expected a shape of at least 64 x 64 pixels"):
        simulate_frame(1, shape=(50, 200))


def test_nothing_but_numpy_and_scipy_is_needed():
    """In a process in which nothing else can be imported, and the room's own face is not."""
    folder = Path(napari_coldatoms.__file__).parent
    code = f"""
import sys, types
for name, path in (("napari_coldatoms", {str(folder)!r}),
                   ("napari_coldatoms.clouds", {str(folder / "clouds")!r})):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
allowed = {{"numpy", "scipy", "napari_coldatoms"}} | set(sys.stdlib_module_names)
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed and not name.startswith("_sysconfigdata"):
            raise ImportError(name)
sys.meta_path.insert(0, Only())
from napari_coldatoms.clouds.simulate_sets import training_frames, validation_set
for frame in (*training_frames(frames=3), next(validation_set("paper"))):
    frame.picture(), frame.masks()
print("made")
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "made", run.stderr
