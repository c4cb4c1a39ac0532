"""Calibrations go into files and come back; what cannot be used is refused in one line."""

from __future__ import annotations

import shutil
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_coldatoms import __version__, analyses
from napari_coldatoms.analyses import CalibrationError, load_calibration, save_calibration
from napari_coldatoms.lattice import (
    AiryPSF,
    GaussianPSF,
    ImagingParameters,
    Lattice,
    SampledPSF,
)
from napari_coldatoms.lattice.calibration import Calibration, Quality
from napari_coldatoms.lattice.track import PhaseTrack

SQUARE = Lattice([(3.9, 1 / 3), (-1e-05, 4.1)], (10.1, 9.6), (6, 5))
LATTICES = {
    "vectors": SQUARE,
    "masked": SQUARE.select(np.arange(30) % 7 != 2),
    "positions": Lattice.from_positions([(20.1, 31.7), (20.4, 47.9), (36.2, 31.5)]),
    "some of the positions": Lattice.from_positions(
        np.random.default_rng(3).uniform(5, 60, (9, 2))
    ).select(np.arange(9) % 3 != 0),
}
PSFS = {
    "gaussian": GaussianPSF(3.0),
    "cut": GaussianPSF(0.1 + 0.2, 1e-05 + 1),
    "airy": AiryPSF(5.9, 9.0),
    "sampled": SampledPSF(GaussianPSF(2.5).integrate([(0, 0)], 9)[0], 1, pixel_integrated=True),
}


def made(lattice: Lattice = SQUARE, psf=PSFS["gaussian"], **changes) -> Calibration:
    rng = np.random.default_rng(1)
    offset = rng.normal(0, 1, (7, 2))
    measured = offset.copy()
    measured[3] = np.nan
    flags = np.arange(7) == 3
    track = PhaseTrack(
        offset,
        np.full((7, 2), 0.03),
        measured,
        rng.uniform(3, 9, 7),
        rng.uniform(3, 9, 7),
        ~flags,
        flags,
        np.arange(7.0),
    )
    quality = Quality(
        trusted=False,
        remarks=("3 of 7 shots: µ is low", "no: colon 'trouble'"),
        shots=7,
        trusted_shots=6,
        spacing=(3.91, 4.1),
        spacing_error=(0.001, np.inf),
        angle=(0.02, 90.0),
        angle_error=(0.01, 1e-05),
        hwhm_error=0.02,
        contrast=5.5,
        snr_db=np.nan,
        predicted_error_rate=1e-07,
    )
    given = {
        "lattice": lattice,
        "psf": psf,
        "phase_track": track,
        "quality": quality,
        "image_shape": (64, 70),
        "parameters": ImagingParameters(0.1 + 0.2, 1000, 100, 50, 2, 1.5),
        "relative_brightness": rng.uniform(0.5, 1.5, len(lattice)),
        "threshold": rng.uniform(100, 300, len(lattice)),
        "source": "/data/2026-03-01 Ångström",
    }
    return Calibration(**{**given, **changes})


def assert_same(found: Calibration, expected: Calibration) -> None:
    one, two = found.lattice, expected.lattice
    np.testing.assert_array_equal(one.positions, two.positions)
    np.testing.assert_array_equal(one.labels, two.labels)
    assert one.shape == two.shape
    assert one.origin == two.origin
    assert (one.mask is None) == (two.mask is None)
    for f in fields(PhaseTrack):
        a, b = getattr(found.phase_track, f.name), getattr(expected.phase_track, f.name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert repr(found.quality) == repr(expected.quality)
    assert found.parameters == expected.parameters
    assert found.image_shape == expected.image_shape
    assert found.source == expected.source
    for name in ("relative_brightness", "threshold"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("lattice", LATTICES)
@pytest.mark.parametrize("psf", PSFS)
def test_round_trip(lattice, psf, tmp_path):
    calibration = made(LATTICES[lattice], PSFS[psf])
    path = tmp_path / "day.yaml"
    assert save_calibration(calibration, path) == [path, tmp_path / "day.npz"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["day.npz", "day.yaml"]
    found = load_calibration(path)
    assert_same(found, calibration)
    if psf != "sampled":
        assert found.psf == calibration.psf
    else:
        # normalised again, which may cost the last digit
        np.testing.assert_allclose(found.psf.array, calibration.psf.array, rtol=1e-15)
        assert found.psf.cutoff == calibration.psf.cutoff
        assert found.psf.pixel_integrated
        assert found.psf.hwhm == pytest.approx(calibration.psf.hwhm, rel=1e-12)


def test_without_what_is_optional(tmp_path):
    calibration = made(parameters=None, relative_brightness=None, threshold=None, source="")
    save_calibration(calibration, tmp_path / "a.yml")
    found = load_calibration(tmp_path / "a.yml")
    assert found.parameters is None
    assert found.relative_brightness is None
    assert found.threshold is None
    assert found.source == ""


def test_a_person_reads_units_version_date_and_source(tmp_path):
    save_calibration(made(), tmp_path / "a.yaml")
    values = yaml.safe_load((tmp_path / "a.yaml").read_text(encoding="utf-8"))
    assert values["napari_coldatoms"] == __version__
    assert values["source"] == "/data/2026-03-01 Ångström"
    age = datetime.now(UTC) - datetime.fromisoformat(str(values["date"]))
    assert timedelta(seconds=-2) < age < timedelta(seconds=60)
    assert values["image"] == {"rows_px": 64, "columns_px": 70}
    assert values["psf"] == {"kind": "gaussian", "hwhm_px": 3.0, "cutoff_px": 9.0}
    assert values["lattice"]["vectors_px"][0] == [3.9, 1 / 3]
    assert values["imaging"]["background_counts_per_px"] == 50
    assert values["quality"]["angle_deg"] == [0.02, 90.0]
    assert values["quality"]["remarks"] == ["3 of 7 shots: µ is low", "no: colon 'trouble'"]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert arrays["track_offset_px"].shape == (7, 2)


def test_both_files_move_and_are_renamed_together(tmp_path):
    save_calibration(made(), tmp_path / "a.yaml")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for suffix in (".yaml", ".npz"):
        shutil.move(tmp_path / f"a{suffix}", folder / f"b{suffix}")
    assert_same(load_calibration(folder / "b.yaml"), made())


def test_saved_again_it_is_the_new_one(tmp_path):
    path = tmp_path / "a.yaml"
    save_calibration(made(), path)
    newer = replace(made(), lattice=SQUARE.shift((0.5, 0.25)))
    save_calibration(newer, path)
    assert_same(load_calibration(path), newer)


def test_a_file_of_another_calibration_is_noticed(tmp_path):
    save_calibration(made(), tmp_path / "a.yaml")
    save_calibration(made(threshold=None), tmp_path / "b.yaml")
    shutil.copy(tmp_path / "b.npz", tmp_path / "a.npz")
    with pytest.raises(CalibrationError, match=r"a\.yaml: expected the arrays that were saved wit"):
        load_calibration(tmp_path / "a.yaml")


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("format: napari-coldatoms cal", "format: cal", "found a file without 'format: napari-co"),
        ("format_version: 1", "format_version: 2", "expected version 1 of the format, found 2"),
        ("kind: vectors", "kind: cubic", "lattice.kind: expected vectors or positions, found 'cub"),
        ("kind: gaussian", "kind: round", "psf.kind: expected gaussian, airy or sampled"),
        ("hwhm_px: 3.0", "hwhm_px: wide", "psf.hwhm_px: expected a number, found 'wide'"),
        ("hwhm_px: 3.0", "hwhm_px: -3.0", "expected a positive, finite hwhm, found -3.0"),
        ("cutoff_px", "cut", "expected an entry psf.cutoff_px, found none"),
        ("shots: 7", "shots: many", "quality.shots: expected a whole number, found 'many'"),
        ("trusted: false", "trusted: perhaps", "quality.trusted: expected true or false"),
        ("occupancy: 0.3", "occupancy: 3", "expected an occupancy between 0 and 1, found 3"),
        ("file: a.npz", "file: ../a.npz", "expected the name of a file beside it"),
        ("masked: false", "masked: true", "expected the array 'mask' in a.npz, found none"),
        ("shape: [6, 5]", "shape: [6, 6]", "of shape (36), found (30,)"),
        ("lattice:", "lattice: [", "expected YAML, found"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(old, new, says, tmp_path):
    path = tmp_path / "a.yaml"
    save_calibration(made(), path)
    spoil(path, old, new)
    with pytest.raises(CalibrationError) as caught:
        load_calibration(path)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(CalibrationError, match=r"no\.yaml: expected a calibration, found No such"):
        load_calibration(tmp_path / "no.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(CalibrationError, match="a file that is no text"):
        load_calibration(tmp_path / "binary.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(CalibrationError, match="expected a calibration of a lattice"):
        load_calibration(tmp_path / "list.yaml")
    with pytest.raises(CalibrationError, match=r"expected a calibration, found Is a directory"):
        load_calibration(tmp_path)
    save_calibration(made(), tmp_path / "a.yaml")
    (tmp_path / "a.npz").unlink()
    with pytest.raises(CalibrationError, match=r"expected its arrays in a\.npz beside it, found N"):
        load_calibration(tmp_path / "a.yaml")


def test_no_code_is_run_on_loading(tmp_path):
    path = tmp_path / "a.yaml"
    save_calibration(made(), path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "extra: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(CalibrationError, match="expected YAML"):
        load_calibration(path)


def test_names_that_cannot_be_written(tmp_path):
    with pytest.raises(CalibrationError, match=r"a\.txt: expected a name ending in \.yaml"):
        save_calibration(made(), tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="expected an existing folder"):
        save_calibration(made(), tmp_path / "gone" / "a.yaml")

    class Other:
        hwhm = cutoff = 1.0

    with pytest.raises(
        CalibrationError, match="expected a GaussianPSF, an AiryPSF or a SampledPSF"
    ):
        save_calibration(made(psf=Other()), tmp_path / "a.yaml")
    assert list(tmp_path.iterdir()) == []


def test_they_are_public():
    assert {"CalibrationError", "load_calibration", "save_calibration"} <= set(analyses.__all__)
