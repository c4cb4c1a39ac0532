from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import tifffile
from astropy.io import fits

from napari_coldatoms.images import StackError, make_stack, optical_depth
from napari_coldatoms.images.absorption import dark_noise

TRIPLET = ("atoms", "probe", "dark")


def gaussian_od(n: int, peak: float, w: float, y0: float, x0: float) -> np.ndarray:
    y, x = np.mgrid[:n, :n]
    return peak * np.exp(-2 * ((y - y0) ** 2 + (x - x0) ** 2) / w**2)


def exact_frames(od: np.ndarray, ratio: float = 1.0, dtype: type = float) -> np.ndarray:
    """Frames without noise: probe with structure, dark offset with structure."""
    y, x = np.indices(od.shape)
    dark = 100.0 + (x % 7)
    light = 20000 * (1 + 0.2 * np.sin(x / 9) * np.cos(y / 23))
    return np.stack([dark + ratio * light * np.exp(-od), dark + light, dark]).astype(dtype)


def noisy_frames(od: np.ndarray, ratio: float, rng: np.random.Generator, level: float = 1000.0):
    y, x = np.indices(od.shape)
    light = level * (1 + 0.15 * np.sin(x / 9) * np.cos(y / 23))
    frames = [ratio * light * np.exp(-od), light, 0 * light]
    return np.stack(
        [(rng.poisson(each) + rng.normal(200, 4, od.shape)).clip(0) for each in frames]
    ).astype(np.uint16)


def test_formula_against_the_truth():
    truth = gaussian_od(64, 2.0, 15, 30, 33)
    picture = optical_depth(make_stack(exact_frames(truth), roles=TRIPLET, name="shot"))
    np.testing.assert_allclose(picture, truth, atol=1e-6)
    assert picture.dims == ("y", "x")
    assert picture.attrs["kind"] == "optical_depth"
    assert picture.name == "shot"
    assert picture["power_ratio"] == 1
    assert picture["invalid_count"] == 0
    assert not picture["invalid"].any()
    assert "frame" not in picture.coords


def test_negative_optical_depth_is_kept():
    frames = exact_frames(np.full((20, 20), -0.3))
    np.testing.assert_allclose(optical_depth(make_stack(frames, roles=TRIPLET)), -0.3, atol=1e-6)


@pytest.mark.parametrize("ratio", [0.96, 1.03])
def test_power_from_a_region(ratio):
    truth = gaussian_od(64, 2.0, 15, 30, 33)
    stack = make_stack(exact_frames(truth, ratio), roles=TRIPLET)
    plain = optical_depth(stack)
    np.testing.assert_allclose(plain, truth - np.log(ratio), atol=1e-6)
    picture = optical_depth(stack, background_region=(0, 0, 6, 64))
    np.testing.assert_allclose(picture, truth, atol=1e-3)
    assert float(picture["power_ratio"]) == pytest.approx(ratio, rel=1e-3)
    assert picture.attrs["picture"]["power_correction"] == "region"


@pytest.mark.parametrize("ratio", [0.96, 1.0, 1.03])
@pytest.mark.parametrize(
    ("n", "peak", "cover", "centre"),
    [
        (256, 0.0, 0.1, (0.5, 0.5)),
        (512, 2.0, 0.3, (0.5, 0.5)),
        (512, 0.3, 0.3, (0.5, 0.5)),
        (512, 6.0, 0.3, (0.5, 0.5)),
        (256, 1.0, 0.3, (0.1, 0.4)),
        (200, 1.0, 0.1, (0.5, 0.6)),
    ],
)
def test_robust_power_with_big_clouds(n, peak, cover, centre, ratio):
    """The cloud's 1/e² ellipse covers up to 30 % of the frame, its wings far more."""
    w = np.sqrt(cover * n * n / np.pi)
    truth = gaussian_od(n, peak, w, centre[0] * n, centre[1] * n)
    rng = np.random.default_rng([n, int(10 * peak), int(100 * ratio)])
    stack = make_stack(noisy_frames(truth, ratio, rng), roles=TRIPLET)
    found = float(optical_depth(stack, power_correction="robust")["power_ratio"])
    assert found == pytest.approx(ratio, rel=0.01)


@pytest.mark.parametrize(("period", "cover"), [(12, 0.03), (40, 0.03), (40, 0.15), (90, 0.1)])
def test_robust_power_under_fringes(period, cover):
    """Fringes that differ between the frames average out where no atoms are."""
    n = 256
    y, x = np.mgrid[:n, :n]
    rng = np.random.default_rng([period, int(100 * cover)])
    errors = []
    for _ in range(5):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + phase)
        truth = gaussian_od(n, 1.0, np.sqrt(cover / np.pi) * n, 100, 130) + 0.03 * wave
        stack = make_stack(noisy_frames(truth, 0.97, rng), roles=TRIPLET)
        found = float(optical_depth(stack, power_correction="robust")["power_ratio"])
        errors.append(found / 0.97 - 1)
    # a third of the fringes' amplitude at worst
    assert np.sqrt(np.mean(np.square(errors))) < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 7), (30, 500)])
def test_robust_power_of_small_frames(shape):
    light = np.random.default_rng(4).normal(1000, 10, shape)
    stack = make_stack(np.stack([0.9 * light, light]), roles=("atoms", "probe"))
    found = optical_depth(stack, power_correction="robust")
    assert float(found["power_ratio"]) == pytest.approx(0.9)


def test_a_cloud_that_fills_half_of_the_frame():
    """Beyond what is promised, the error stays of the size of the faintest part's OD."""
    truth = np.tile(np.linspace(0, 1, 200), (200, 1)).clip(0.3) - 0.3
    rng = np.random.default_rng(6)
    stack = make_stack(noisy_frames(truth, 1.02, rng), roles=TRIPLET)
    found = float(optical_depth(stack, power_correction="robust")["power_ratio"])
    assert found == pytest.approx(1.02, rel=0.02)


def test_dark_saturated_and_unlit_pixels_are_nan_marked_and_counted():
    frames = exact_frames(np.full((40, 40), 0.5)).astype(np.uint16)
    frames[0, 3, 4] = frames[2, 3, 4]  # atoms = dark
    frames[0, 5, 6] = 0  # atoms < dark: unsigned counts must not wrap
    frames[1, 7, 8] = 0  # probe < dark
    frames[0, 9, 10] = 65535
    frames[1, 11, 12] = 65535
    picture = optical_depth(make_stack(frames, roles=TRIPLET))
    bad = {(3, 4), (5, 6), (7, 8), (9, 10), (11, 12)}
    assert {tuple(at) for at in np.argwhere(picture["invalid"].values)} == bad
    assert np.isnan(picture.values[tuple(np.transpose(list(bad)))]).all()
    assert picture["invalid_count"] == 5
    assert picture["saturated_count"] == 2
    rest = picture.values[~picture["invalid"].values]
    np.testing.assert_allclose(rest, 0.5, atol=2e-3)  # counts were rounded down


@pytest.mark.parametrize(
    ("dtype", "attrs", "given", "expected"),
    [
        (np.uint8, {}, None, 1),
        (np.uint16, {}, None, 0),
        (np.uint16, {"saturation": 255}, None, 1),
        (np.uint16, {"saturation": 4095}, 255, 1),
        (np.float32, {}, None, 0),
        (np.float32, {}, 255.0, 1),
        (np.int32, {}, None, 0),
    ],
)
def test_saturation_level(dtype, attrs, given, expected):
    frames = np.stack([np.full((8, 8), 90), np.full((8, 8), 180), np.full((8, 8), 5)])
    frames[1, 2, 3] = 255
    stack = make_stack(frames.astype(dtype), roles=TRIPLET, attrs=attrs)
    assert optical_depth(stack, saturation=given)["saturated_count"] == expected


def test_a_masked_part_of_the_chip_is_invalid():
    rng = np.random.default_rng(2)
    truth = gaussian_od(128, 1.0, 20, 60, 90)
    frames = noisy_frames(truth, 0.97, rng).astype(float)
    frames[:, :, :50] = rng.normal(200, 4, (3, 128, 50))
    picture = optical_depth(make_stack(frames, roles=TRIPLET), power_correction="robust")
    invalid = picture["invalid"].values
    assert invalid[:, :47].mean() > 0.999
    assert invalid[:, 53:].mean() < 0.001
    assert float(picture["power_ratio"]) == pytest.approx(0.97, rel=0.01)
    strict = optical_depth(make_stack(frames, roles=TRIPLET), min_probe=1000.0)
    np.testing.assert_array_equal(strict["invalid"], (frames[1] - frames[2] < 1000))


def test_a_background_region_without_light_leaves_no_pixel_valid():
    frames = np.full((3, 20, 30), 500.0)
    frames[2] = 100
    frames[:2, :, :10] = 100
    stack = make_stack(frames, roles=("atoms", "probe", "dark"))
    picture = optical_depth(stack, background_region=(0, 0, 20, 10))
    assert np.isnan(picture).all()
    assert picture["invalid"].all()
    assert picture["invalid_count"] == 600


def test_nothing_lit_gives_a_picture_of_nan_and_no_warning():
    frames = np.full((3, 20, 20), 100, dtype=np.uint16)
    for correction in ("none", "robust"):
        picture = optical_depth(make_stack(frames, roles=TRIPLET), power_correction=correction)
        assert picture["invalid_count"] == 400
        assert np.isnan(picture).all()


def test_dark_noise_is_that_of_the_pixels():
    rng = np.random.default_rng(1)
    structure = np.linspace(0, 300, 200)
    assert dark_noise(structure + rng.normal(0, 5, (200, 200))) == pytest.approx(5, rel=0.05)
    assert dark_noise(np.zeros((5, 5))) == 0
    assert dark_noise(np.zeros((5, 1))) == 0
    few_levels = (rng.random((200, 200)) < 0.1).astype(np.uint16)
    assert 0 < dark_noise(few_levels) < 1


def test_without_dark_frame_dark_is_zero_and_said_so():
    truth = gaussian_od(32, 1.0, 8, 16, 16)
    light = np.full((32, 32), 500.0)
    stack = make_stack(np.stack([light * np.exp(-truth), light]), roles=("atoms", "probe"))
    picture = optical_depth(stack)
    np.testing.assert_allclose(picture, truth, atol=1e-6)
    assert "no dark frame" in picture.attrs["note"]


def test_frames_of_one_role_are_averaged_in_any_order():
    truth = gaussian_od(32, 1.0, 8, 16, 16)
    atoms, probe, dark = exact_frames(truth)
    frames = np.stack([dark - 10, probe, 0 * dark, atoms, dark + 10])
    stack = make_stack(frames, roles=("dark", "probe", "unknown", "atoms", "dark"))
    np.testing.assert_allclose(optical_depth(stack), truth, atol=1e-6)


def test_shots_keep_their_scan_parameters_and_place():
    truths = np.stack([gaussian_od(32, peak, 8, 16, 16) for peak in (0.5, 1.0)])
    ratios = (0.9, 1.1)
    frames = np.stack([exact_frames(t, r) for t, r in zip(truths, ratios, strict=True)])
    stack = make_stack(frames, roles=TRIPLET, pixel_size=2.0, coords={"tof": [1.0, 2.0]})
    picture = optical_depth(stack, background_region=(0, 0, 4, 32))
    assert picture.dims == ("shot", "y", "x")
    np.testing.assert_allclose(picture, truths, atol=2e-3)
    np.testing.assert_allclose(picture["power_ratio"], ratios, rtol=1e-3)
    assert picture["power_ratio"].dims == ("shot",)
    assert list(picture["tof"]) == [1, 2]
    assert list(picture["x"].values[:3]) == [0, 2, 4]


def test_lazy_frames_give_a_lazy_picture_with_the_same_values():
    rng = np.random.default_rng(0)
    truths = np.stack([gaussian_od(48, peak, 8, 16, 16) for peak in (0.5, 1.0, 2.0)])
    frames = np.stack([noisy_frames(truth, 0.97, rng) for truth in truths])
    calls = []

    def load(block):
        calls.append(block.shape)
        return block

    lazy = da.from_array(frames, chunks=(2, 1, 48, 48)).map_blocks(
        load, dtype=frames.dtype, meta=np.empty((0, 0, 0, 0), dtype=frames.dtype)
    )
    for index in (slice(None), 1):  # several shots, and one
        eager = optical_depth(make_stack(frames[index], roles=TRIPLET), power_correction="robust")
        calls.clear()
        picture = optical_depth(make_stack(lazy[index], roles=TRIPLET), power_correction="robust")
        assert hasattr(picture.data, "dask")
        assert not calls
        np.testing.assert_array_equal(picture.compute(), eager)
        np.testing.assert_array_equal(picture["invalid"].compute(), eager["invalid"])
        for key in ("power_ratio", "invalid_count", "saturated_count"):
            np.testing.assert_array_equal(picture[key].compute(), eager[key])


@pytest.mark.parametrize(
    ("roles", "kwargs", "message"),
    [
        (("atoms", "dark", "dark"), {}, "'probe'"),
        (("unknown", "probe", "dark"), {}, "'atoms'"),
        (TRIPLET, {"power_correction": "region"}, "background_region"),
        (TRIPLET, {"power_correction": "magic"}, "magic"),
        (TRIPLET, {"background_region": (0, 0, 4)}, "region"),
        (TRIPLET, {"background_region": (5, 5, 5, 9)}, "region"),
        (TRIPLET, {"background_region": (50, 50, 60, 60)}, "region"),
    ],
)
def test_what_it_cannot_do(roles, kwargs, message):
    with pytest.raises(StackError, match=message):
        optical_depth(make_stack(np.ones((3, 8, 8)), roles=roles), **kwargs)


def test_a_picture_has_no_frames():
    with pytest.raises(StackError, match="picture"):
        optical_depth(make_stack(np.ones((8, 8))))


def test_real_ring_shots(real_data):
    """A ring-shaped cloud at (y, x) about (350, 345), nothing at the rest of the frame."""
    y, x = np.mgrid[:512, :512]
    radius = np.hypot(y - 350, x - 345)
    for number, least in (("0147", 0.08), ("0149", 0.3), ("0156", 1.2), ("0162", 0.05)):
        frames = [
            tifffile.imread(real_data / "ring_bec_tiff" / f"{kind}_2020_11_24_{number}.tiff")
            for kind in ("Image", "Probe", "Background")
        ]
        stack = make_stack(np.stack(frames), roles=TRIPLET)
        picture = optical_depth(stack, power_correction="robust")
        values = picture.values
        assert 0.96 <= float(picture["power_ratio"]) <= 1.03
        assert picture["invalid_count"] == 0
        on_ring = np.median(values[(radius > 92) & (radius < 104)])
        assert on_ring > least
        assert abs(np.median(values[radius > 140])) < 0.02


def test_real_masked_chip(real_data):
    path = next((real_data / "li6_fits").glob("*.fits"))
    frames = fits.getdata(path).astype(np.uint16)
    picture = optical_depth(make_stack(frames, roles=TRIPLET), power_correction="robust")
    invalid = picture["invalid"].values
    assert invalid[:, :200].mean() > 0.995
    assert invalid[:, 270:].mean() < 0.005
    # flat where no atoms are, thick at the cloud, which the border cuts
    assert abs(np.nanmedian(picture.values[250:, 270:])) < 0.01
    assert np.nanmedian(picture.values[:80, 320:400]) > 2
