from __future__ import annotations

import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_coldatoms.images import make_stack
from napari_coldatoms.readers import (
    SUFFIXES,
    ReadError,
    ReadWarning,
    concatenate,
    read,
    read_many,
)
from napari_coldatoms.readers import lazy as lazy_module

TRIPLET = ("atoms", "probe", "dark")
FORMATS = (".tif", ".fits", ".h5", ".npy", ".npz", ".json")


def write(path: Path, data: np.ndarray) -> Path:
    """Write an array in the format of the suffix."""
    import h5py
    from astropy.io import fits

    if path.suffix == ".tif":
        tifffile.imwrite(path, data, photometric="minisblack" if data.ndim > 1 else None)
    elif path.suffix == ".fits":
        fits.PrimaryHDU(data).writeto(path)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["data/images"] = data
    elif path.suffix == ".npy":
        np.save(path, data)
    elif path.suffix == ".npz":
        np.savez(path, images=data)
    else:
        rows, columns = data.shape[-2:]
        entry = {"pixels": data.ravel().tolist(), "rows": rows, "columns": columns, "pixcal": 1.0}
        job = {"inputs": [{"output": {"values": {"tof_image": entry}}}]}
        path.write_text(json.dumps(job))
    return path


def computed(path: Path) -> int:
    """Read all of a file; return the number of its stacks."""
    return len([stack.compute() for stack in read(path)])


def failing(path: Path) -> str:
    """Return the message of the one clear error that reading a file gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ReadError) as caught:
            computed(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert ", found " in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400
    assert caught.value.path == path
    return message


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_empty_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.touch()
    assert "an empty file" in failing(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(200), "a PNG picture"),
        (b"Exposure: 3 ms\nnothing else\n", "text ('Exposure: 3 ms' ...)"),
        (bytes(range(7, 256)) * 9, "binary data"),
    ],
)
def test_foreign_content(tmp_path, suffix, content, words):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert words in failing(path)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("other", FORMATS)
def test_content_of_another_format(tmp_path, suffix, other):
    if suffix == other:
        return
    written = write(tmp_path / f"a{other}", np.ones((20, 30)))
    path = tmp_path / f"wrong{suffix}"
    written.rename(path)
    message = failing(path)
    words = {".tif": "TIFF", ".fits": "FITS", ".h5": "HDF5", ".npy": "numpy", ".npz": "zip"}
    assert words.get(other, "text").lower() in message.lower()


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.98])
def test_truncated_files(tmp_path, suffix, part):
    """A file that was cut off must give an error, not a picture with something else in it."""
    data = np.random.default_rng(0).integers(0, 60000, (3, 90, 100)).astype(np.uint16)
    whole = write(tmp_path / f"whole{suffix}", data if suffix != ".json" else data[0])
    read(whole)
    path = tmp_path / f"cut{suffix}"
    content = whole.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    failing(path)


@pytest.mark.parametrize("suffix", [".tif", ".fits", ".h5", ".npy", ".npz"])
@pytest.mark.parametrize("shape", [(2, 2, 5, 20, 30), (2, 7, 20, 30), (0, 20), (20, 30, 3), (7,)])
def test_wrong_shapes(tmp_path, suffix, shape):
    if suffix == ".tif" and 0 in shape:
        return  # cannot be written
    data = np.zeros(shape, dtype=np.uint16)
    message = failing(write(tmp_path / f"a{suffix}", data))
    assert "pictures" in message


@pytest.mark.parametrize("suffix", [".npy", ".h5", ".npz"])
@pytest.mark.parametrize("dtype", ["complex64", "S5", "bool", "datetime64[s]"])
def test_wrong_types(tmp_path, suffix, dtype):
    if suffix == ".h5" and dtype.startswith("datetime"):
        return  # cannot be written
    failing(write(tmp_path / f"a{suffix}", np.zeros((20, 30), dtype=dtype)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_random_damage_gives_errors_of_one_kind(tmp_path, suffix):
    """Whatever libraries raise over damaged files, the user gets one kind of error or a picture."""
    rng = np.random.default_rng(11)
    data = rng.integers(0, 60000, (3, 30, 40)).astype(np.uint16)
    content = bytearray(write(tmp_path / f"whole{suffix}", data[0]).read_bytes())
    outcomes = set()
    for trial in range(25):
        damaged = bytearray(content)
        for at in rng.integers(0, min(len(damaged), 2000), 8):
            damaged[at] = rng.integers(0, 256)
        path = tmp_path / f"d{trial}" / f"a{suffix}"
        path.parent.mkdir()
        path.write_bytes(damaged)
        try:
            outcomes.add(computed(path) > 0)
        except Exception as error:
            outcomes.add(type(error))
    assert outcomes <= {True, ReadError}
    assert outcomes


def test_what_is_not_there(tmp_path):
    assert "nothing of this name" in failing(tmp_path / "missing.tif")
    assert "none in the folder" in failing(tmp_path)
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    assert "'.txt'" in failing(path)
    with pytest.raises(ReadError, match="at least one file"):
        read([])


def test_a_folder_with_damaged_and_foreign_files(tmp_path, triplet):
    for number in (1, 2):
        write(tmp_path / f"scan_{number}.tif", triplet)
    (tmp_path / "broken.tif").write_bytes(b"II*\x00nothing")
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.warns(ReadWarning, match=r"broken\.tif: expected"):
        (stack,) = read(tmp_path)
    assert stack.sizes["shot"] == 2
    stacks, errors = read_many([tmp_path, tmp_path / "readme.txt"])
    assert len(stacks) == 1
    assert sorted(error.path.name for error in errors) == ["broken.tif", "readme.txt"]


def test_a_damaged_frame_fails_its_shot_and_is_named(tmp_path, triplet):
    for kind, frame in zip(("Image", "Probe", "Background"), triplet, strict=True):
        write(tmp_path / f"{kind}_1.tif", frame)
    (tmp_path / "Probe_1.tif").write_bytes(b"II*\x00nothing")
    with pytest.raises(ReadError, match=r"Probe_1\.tif: expected"):
        read(tmp_path / "Image_1.tif")


def test_frames_of_different_sizes(tmp_path, triplet):
    write(tmp_path / "Image_1.tif", triplet[0])
    write(tmp_path / "Probe_1.tif", triplet[1, :20])
    with pytest.raises(ReadError, match=r"Probe_1\.tif: expected a frame of the shape \(40, 50\)"):
        read(tmp_path)
    # what lies beside a file that was asked for is no reason not to read it
    (stack,) = read(tmp_path / "Image_1.tif")
    assert stack.dims == ("y", "x")


def test_files_that_only_look_like_one_shot(tmp_path, triplet):
    for name in ("a", "b", "run-1", "run-2", "run-3"):
        write(tmp_path / f"{name}.npy", triplet)
    (stack,) = read(tmp_path / "a.npy")
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.attrs["files"] == [str(tmp_path / "a.npy")]
    (stack,) = read(tmp_path)
    assert stack.dims == ("shot", "frame", "y", "x")
    assert stack.sizes["shot"] == 5


def test_exactly_the_given_files_are_read(tmp_path, triplet):
    paths = []
    for kind, frame in zip(("Image", "Probe", "Background"), triplet, strict=True):
        paths.append(write(tmp_path / f"{kind}_1.tif", frame))
    (stack,) = read(paths[:2])
    assert tuple(stack["frame"].values) == ("atoms", "probe")
    (stack,) = read([str(paths[1])])
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.attrs["files"] == [str(path) for path in paths]


def test_several_formats_and_sizes_stay_apart(tmp_path, triplet):
    write(tmp_path / "a_1.tif", triplet)
    write(tmp_path / "a_2.fits", triplet)
    write(tmp_path / "a_3.npy", triplet[:, :20])
    write(tmp_path / "a_4.json", triplet[0])
    stacks = read(tmp_path)
    assert [stack.shape for stack in stacks] == [(2, 3, 40, 50), (3, 20, 50), (40, 50)]
    assert stacks[0]["shot"].values.tolist() == [1, 2]


@pytest.mark.parametrize("suffix", [".tif", ".fits", ".h5", ".npy", ".npz"])
def test_large_files_are_lazy(tmp_path, triplet, monkeypatch, suffix):
    data = np.concatenate([triplet, triplet, triplet])
    path = write(tmp_path / f"a{suffix}", data)
    assert not hasattr(read(path)[0].data, "dask")
    monkeypatch.setattr(lazy_module, "LIMIT", data.nbytes - 1)
    (stack,) = read(path)
    assert hasattr(stack.data, "dask")
    np.testing.assert_array_equal(stack[1], triplet)
    np.testing.assert_array_equal(stack[2, 0, 5:7, 8:30], triplet[0, 5:7, 8:30])
    assert not hasattr(read(path, lazy=False)[0].data, "dask")


def test_many_small_files_are_lazy_together(tmp_path, triplet, monkeypatch):
    for number in range(4):
        write(tmp_path / f"a_{number}.npy", triplet)
    monkeypatch.setattr(lazy_module, "LIMIT", 2 * triplet.nbytes)
    (stack,) = read(tmp_path)
    assert hasattr(stack.data, "dask")
    np.testing.assert_array_equal(stack[3], triplet)


def test_lazy_stacks_go_to_other_processes(tmp_path, triplet):
    import pickle

    for suffix in (".tif", ".fits", ".h5", ".npy", ".npz"):
        (stack,) = read(write(tmp_path / f"a{suffix}", triplet), lazy=True)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(stack)), triplet)


def test_concatenation():
    def shot(value: float, **coords: object):
        return make_stack(
            np.full((4, 5), value),
            name=f"s{value:g}",
            pixel_size=2,
            coords=coords,
            attrs={"dataset": "", "gain": 3, "header": {"a": 1, "b": value}},
        )

    (stack,) = concatenate([shot(1, tof=1, mode="x"), shot(2, tof=2, mode="x"), shot(5, mode="x")])
    assert stack.dims == ("shot", "y", "x")
    assert stack["shot"].values.tolist() == [1, 2, 5]
    np.testing.assert_array_equal(stack["tof"], [1, 2, np.nan])
    assert stack["mode"].dims == ()
    assert stack.attrs["gain"] == 3
    assert stack.attrs["header"] == {"a": 1}
    assert stack["x"].attrs["units"] == "um"
    one = shot(1)
    assert concatenate([one])[0] is one
    other = make_stack(np.zeros((4, 5)), name="o", attrs={"dataset": ""})  # no pixel size
    assert len(concatenate([one, other])) == 2
    assert concatenate([]) == []
    longer = concatenate([stack, shot(7)])[0]
    assert longer["shot"].values.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(longer["tof"], [1, 2, np.nan, np.nan])


def test_importing_is_light():
    code = (
        "import sys, napari_coldatoms.readers, napari_coldatoms.images;"
        "heavy = {'h5py', 'tifffile', 'astropy', 'napari', 'qtpy', 'torch', 'sklearn', 'scipy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def huge(path: Path) -> Path:
    """Write a small file whose header claims a picture of 10^12 pixels."""
    import h5py

    side = 10**6
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("a", (side, side), "u2", chunks=(1000, 1000), compression="gzip")
    elif path.suffix == ".npz":
        header = {"descr": "<u2", "fortran_order": False, "shape": (side, side)}
        with zipfile.ZipFile(path, "w") as archive, archive.open("a.npy", "w") as member:
            np.lib.format.write_array_header_2_0(member, header)
    else:
        tifffile.imwrite(path, np.zeros((20, 30), np.uint16), compression="zlib")
        with tifffile.TiffFile(path, mode="r+") as tif:
            for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
                tif.pages.first.tags[tag].overwrite(side, dtype="I")
    return path


@pytest.mark.parametrize("lazy", [False, "auto"])
@pytest.mark.parametrize("suffix", [".h5", ".npz", ".tif"])
def test_headers_that_claim_too_much(tmp_path, suffix, lazy):
    path = huge(tmp_path / f"a{suffix}")
    with pytest.raises(ReadError, match=r"claims the shape \(1000000, 1000000\)"):
        read(path, lazy=lazy)


def test_what_does_not_fit_into_memory_fails_alone(tmp_path, triplet, monkeypatch):
    write(tmp_path / "a.npy", triplet)
    write(tmp_path / "b.tif", triplet)

    def full(*_args, **_kwargs):
        raise MemoryError("Unable to allocate 5 TiB")

    monkeypatch.setattr("napari_coldatoms.readers.numpy_files.load_npy", full)
    with pytest.warns(ReadWarning, match=r"a\.npy: .* does not fit into memory"):
        (stack,) = read(tmp_path)
    assert stack.attrs["source"].endswith("b.tif")
