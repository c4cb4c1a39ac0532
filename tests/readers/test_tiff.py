from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_coldatoms.images import optical_depth, pixel_size, unit
from napari_coldatoms.readers import ReadError, read

TRIPLET = ("atoms", "probe", "dark")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("contiguous", [True, False])
def test_three_pages_are_a_triplet(tmp_path, triplet, lazy, contiguous):
    path = tmp_path / "scan_07.tif"
    if contiguous:
        tifffile.imwrite(path, triplet, photometric="minisblack")
    else:
        with tifffile.TiffWriter(path) as writer:
            for frame in triplet:
                writer.write(frame, contiguous=False, compression="zlib")
    (stack,) = read(path, lazy=lazy)
    assert stack.dims == ("frame", "y", "x")
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.name == "scan_07"
    assert stack.dtype == np.uint16
    assert stack.attrs["roles_certain"] is False
    assert stack.attrs["source"] == str(path)
    assert stack.attrs["files"] == [str(path)]
    assert hasattr(stack.data, "dask") is lazy
    np.testing.assert_array_equal(stack, triplet)


def test_three_pages_that_a_program_took_for_colours(tmp_path, triplet):
    """As written by tifffile itself from an array (3, y, x)."""
    with pytest.warns(DeprecationWarning, match="RGB"):
        tifffile.imwrite(tmp_path / "a.tif", triplet)
    (stack,) = read(tmp_path / "a.tif")
    assert tuple(stack["frame"].values) == TRIPLET
    np.testing.assert_array_equal(stack, triplet)
    np.testing.assert_array_equal(read(tmp_path / "a.tif", lazy=True)[0], triplet)


@pytest.mark.parametrize("lazy", [False, True])
def test_repeated_triplets_are_shots(tmp_path, triplet, lazy):
    data = np.concatenate([triplet, triplet + 1, triplet + 2])
    tifffile.imwrite(tmp_path / "a.tif", data)
    (stack,) = read(tmp_path / "a.tif", lazy=lazy)
    assert stack.dims == ("shot", "frame", "y", "x")
    np.testing.assert_array_equal(stack[1], triplet + 1)
    picture = optical_depth(stack)
    assert hasattr(picture.data, "dask") is lazy
    assert picture.sizes["shot"] == 3


def test_other_page_counts(tmp_path, triplet):
    atoms, probe, dark = triplet
    for pages, roles in (
        ((probe, atoms, dark, dark), ("probe", "atoms", "dark", "dark")),
        (
            (dark, dark, probe, atoms, dark, dark),
            ("unknown", "unknown", "probe", "atoms", "dark", "dark"),
        ),
        ((atoms, probe), ("atoms", "probe")),
        ((atoms, dark), ("atoms", "background")),
    ):
        path = tmp_path / f"{len(pages)}_{roles[-1][::-1]}.tif"
        tifffile.imwrite(path, np.stack(pages), photometric="minisblack")
        (stack,) = read(path)
        assert tuple(stack["frame"].values) == roles
        np.testing.assert_array_equal(stack, np.stack(pages))
    tifffile.imwrite(tmp_path / "five.tif", np.stack([atoms] * 5))
    (stack,) = read(tmp_path / "five.tif")
    assert stack.dims == ("shot", "y", "x")
    tifffile.imwrite(tmp_path / "one.tif", atoms)
    (stack,) = read(tmp_path / "one.tif")
    assert stack.dims == ("y", "x")


def test_a_long_series_that_is_no_triplets(tmp_path):
    series = np.random.default_rng(0).integers(0, 9, (12, 20, 30)).astype(np.uint16)
    series[2::3] += 100  # brighter where the dark frame would be
    tifffile.imwrite(tmp_path / "movie.tif", series)
    (stack,) = read(tmp_path / "movie.tif")
    assert stack.dims == ("shot", "y", "x")
    assert "NOT agree" in stack.attrs["roles_reason"]
    np.testing.assert_array_equal(stack, series)


def test_a_name_says_that_it_is_a_picture_already(tmp_path):
    data = np.random.default_rng(0).normal(size=(3, 20, 30)).astype(np.float32)
    tifffile.imwrite(tmp_path / "scan_OD.tif", data, photometric="minisblack")
    (stack,) = read(tmp_path / "scan_OD.tif")
    assert stack.dims == ("shot", "y", "x")
    assert stack.attrs["kind"] == "optical_depth"


@pytest.mark.parametrize("n", [2, 3, 4, 6, 9])
def test_pictures_with_noise_around_zero_are_no_raw_frames(tmp_path, n):
    rng = np.random.default_rng(n)
    data = rng.normal(0, 0.05, (n, 40, 50)).astype(np.float32)
    # brightness alone would speak for repeated triplets, and for the layouts of 2 and 4 frames
    data[:, 10:30, 10:30] += np.resize([1.0, 1.0, 0.2] if n % 3 == 0 else [1.0, 0.1], n)[
        :, None, None
    ]
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    (stack,) = read(tmp_path / "a.tif")
    assert stack.dims == ("shot", "y", "x")
    assert "negative values" in stack.attrs["roles_reason"]
    np.testing.assert_array_equal(stack, data)


def test_raw_frames_with_the_offset_subtracted_stay_raw(tmp_path):
    rng = np.random.default_rng(0)
    light = rng.poisson(300, (2, 40, 50)).astype(np.float32)
    dark = rng.normal(0, 4, (1, 40, 50)).astype(np.float32)
    data = np.concatenate([light, dark])
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack")
    (stack,) = read(tmp_path / "a.tif")
    assert tuple(stack.frame.values) == ("atoms", "probe", "dark")


def test_four_axes(tmp_path, triplet):
    data = np.stack([triplet, triplet + 1])
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": "TCYX"}, photometric="minisblack")
    (stack,) = read(tmp_path / "a.tif", lazy=True)
    assert stack.dims == ("shot", "frame", "y", "x")
    np.testing.assert_array_equal(stack, data)


def test_pixel_size_of_imagej_and_big_endian(tmp_path, triplet):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        triplet[0],
        imagej=True,
        byteorder=">",
        resolution=(1 / 4.0, 1 / 2.0),
        metadata={"unit": "micron"},
    )
    (stack,) = read(path)
    assert pixel_size(stack) == pytest.approx((2.0, 4.0))
    assert unit(stack) == "um"
    assert stack.dtype.isnative
    np.testing.assert_array_equal(stack, triplet[0])


def test_pixel_size_of_ome(tmp_path, triplet):
    path = tmp_path / "a.ome.tif"
    metadata = {"PhysicalSizeX": 300.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, triplet[0], ome=True, metadata=metadata)
    (stack,) = read(path)
    assert pixel_size(stack) == pytest.approx((0.5, 0.3))


def test_resolution_of_a_printer_is_no_pixel_size(tmp_path, triplet):
    tifffile.imwrite(tmp_path / "a.tif", triplet[0], resolution=(96, 96))
    assert pixel_size(read(tmp_path / "a.tif")[0]) is None


def test_grey_stored_as_colours(tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (30, 40)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], grey)
    colours = np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", colours, photometric="rgb")
    with pytest.raises(ReadError, match="colour"):
        read(tmp_path / "b.tif")


def test_pages_of_different_sizes(tmp_path, triplet):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(triplet, photometric="minisblack")
        writer.write(triplet[0, :20])
    stacks = read(tmp_path / "a.tif")
    assert [stack.shape for stack in stacks] == [(3, 40, 50), (20, 50)]
    assert len({stack.name for stack in stacks}) == 2


def test_truncated_between_pages(tmp_path, triplet):
    """A page that is missing must not turn a triplet into something else."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for frame in triplet:
            writer.write(frame, contiguous=False)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[2].offset
    for size in (offset - 10, offset + 20, path.stat().st_size - 100):
        cut = tmp_path / f"cut_{size}.tif"
        cut.write_bytes(path.read_bytes()[:size])
        for lazy in (False, True):
            with pytest.raises(ReadError, match="cut_"):
                read(cut, lazy=lazy)[0].compute()


def test_real_ring_triplets(real_data):
    folder = real_data / "ring_bec_tiff"
    for number in ("0147", "0149", "0156", "0162"):
        expected = np.stack(
            [
                tifffile.imread(folder / f"{kind}_2020_11_24_{number}.tiff")
                for kind in ("Image", "Probe", "Background")
            ]
        )
        for kind in ("Image", "Probe", "Background"):
            (stack,) = read(folder / f"{kind}_2020_11_24_{number}.tiff")
            assert tuple(stack["frame"].values) == TRIPLET
            assert stack.attrs["roles_certain"] is True
            assert stack.name == f"2020_11_24_{number}"
            np.testing.assert_array_equal(stack, expected)
    (stack,) = read(folder)
    assert stack.sizes == {"shot": 4, "frame": 3, "y": 512, "x": 512}
    assert stack["shot"].values.tolist() == [147, 149, 156, 162]
    assert stack["source"].values[2].endswith("Image_2020_11_24_0156.tiff")
    np.testing.assert_array_equal(stack[3], expected)
