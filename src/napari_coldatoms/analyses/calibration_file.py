"""Calibrations of lattices in files: YAML that a person can read, and its arrays beside it.

The YAML file holds lattice, point spread function, imaging parameters and quality, with the unit of
each number in its name (``hwhm_px``). Arrays over sites and shots are in the ``.npz`` file of the
same name, whose SHA-256 the YAML file tells. Both can be moved together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_coldatoms import __version__
from napari_coldatoms.analyses.calibration_entries import (
    CalibrationError,
    Entries,
    lattice_from,
    lattice_to,
    parameters_from,
    parameters_to,
    psf_from,
    psf_to,
    quality_from,
    quality_to,
    track_from,
    track_to,
)
from napari_coldatoms.atomic import replacing
from napari_coldatoms.lattice.calibration import Calibration

__all__ = ["CalibrationError", "load_calibration", "save_calibration"]

FORMAT = "napari-coldatoms calibration"
FORMAT_VERSION = 1
SUFFIXES = (".yaml", ".yml")
_SITES = ("relative_brightness", "threshold")


def save_calibration(calibration: Calibration, path: str | Path) -> list[Path]:
    """Write a calibration to a YAML file, and its arrays to the ``.npz`` file of the same name.

    Each file appears whole or not at all.

    Parameters
    ----------
    calibration : Calibration
    path : path
        A name ending in ``.yaml`` or ``.yml``.

    Returns
    -------
    list of Path
        Both files.

    Raises
    ------
    CalibrationError
        If the name has another suffix, or the PSF is of a kind that is not known.
    OSError
        Such as `FileNotFoundError` where the folder does not exist.
    """
    path = Path(path)
    check_name(path)
    values, arrays = pack(calibration)
    beside = path.with_suffix(".npz")
    with replacing(beside) as new:
        np.savez_compressed(new, **arrays)  # type: ignore[arg-type]
        values["arrays"] = {"file": beside.name, "sha256": _digest(new)}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    # the last, so that it never tells of arrays that are not there yet
    with replacing(path) as new:
        new.write_text(text, encoding="utf-8")
    return [path, beside]


def pack(calibration: Calibration) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return a calibration as plain values and as arrays over sites and shots, by their names."""
    arrays: dict[str, np.ndarray] = {}
    rows, columns = calibration.image_shape
    values: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "napari_coldatoms": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": calibration.source,
        "image": {"rows_px": int(rows), "columns_px": int(columns)},
        "camera": {
            "offset_counts": float(calibration.offset),
            "gain_counts_per_photoelectron": float(calibration.gain),
        },
        "lattice": lattice_to(calibration.lattice, arrays),
        "psf": psf_to(calibration.psf, arrays),
        "imaging": parameters_to(calibration.parameters),
        "quality": quality_to(calibration.quality),
    }
    track_to(calibration.phase_track, arrays)
    for name in _SITES:
        if getattr(calibration, name) is not None:
            arrays[name] = np.asarray(getattr(calibration, name))
    return values, arrays


def check_name(path: str | Path) -> None:
    """Raise `CalibrationError` where no calibration can be written to a file of that name."""
    if Path(path).suffix.lower() not in SUFFIXES:
        raise CalibrationError(f"{path}: expected a name ending in .yaml")


def load_calibration(path: str | Path) -> Calibration:
    """Read a calibration that `save_calibration` wrote.

    Raises
    ------
    CalibrationError
        In one line: the file or the one with its arrays is missing, damaged or another program's,
        the two do not belong together, or a later version wrote them.
    """
    path = Path(path)
    values = _read_yaml(path)
    try:
        root = Entries(values)
        return _unpacked(root, _read_arrays(path, root))
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from error
    except (ValueError, TypeError) as error:  # numbers that make no lattice, PSF, ...
        reason = " ".join(str(error).split())
        raise CalibrationError(f"{path}: {reason}") from error


def unpack(values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Calibration:
    """Return the calibration that `pack` took apart.

    Raises
    ------
    CalibrationError
        If it is none.
    """
    try:
        return _unpacked(Entries(values), _Arrays("the arrays", arrays))
    except CalibrationError:
        raise
    except (ValueError, TypeError) as error:
        raise CalibrationError(" ".join(str(error).split())) from error


def _unpacked(root: Entries, arrays: _Arrays) -> Calibration:
    lattice = lattice_from(root.inside("lattice"), arrays)
    image = root.inside("image")
    sites = {name: arrays.of(name, (len(lattice),)) if name in arrays else None for name in _SITES}
    # calibrations of before this was known are of counts as they are
    camera = None if root.get("camera") is None else root.inside("camera")
    return Calibration(
        lattice=lattice,
        psf=psf_from(root.inside("psf"), arrays),
        phase_track=track_from(arrays),
        quality=quality_from(root.inside("quality")),
        image_shape=(image.whole("rows_px"), image.whole("columns_px")),
        parameters=parameters_from(root),
        relative_brightness=sites["relative_brightness"],
        threshold=sites["threshold"],
        source=root.text("source"),
        offset=0.0 if camera is None else camera.number("offset_counts"),
        gain=1.0 if camera is None else camera.number("gain_counts_per_photoelectron"),
    )


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CalibrationError(f"{path}: expected a calibration, found {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CalibrationError(
            f"{path}: expected a calibration (YAML), found a file that is no text"
        ) from error
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CalibrationError(f"{path}: expected YAML, found {reason}") from error
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise CalibrationError(
            f"{path}: expected a calibration of a lattice, found a file without 'format: {FORMAT}'"
        )
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise CalibrationError(
            f"{path}: expected version {FORMAT_VERSION} of the format, found {version!r}; it was "
            f"written by napari-coldatoms {values.get('napari_coldatoms')}"
        )
    return values


class _Arrays:
    """The arrays beside a calibration."""

    def __init__(self, place: str, arrays: Mapping[str, np.ndarray]) -> None:
        self._place = place
        self._arrays = arrays

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def of(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Return an array of that shape, where None is any size; raise where there is none."""
        if name not in self._arrays:
            raise CalibrationError(f"expected the array {name!r} in {self._place}, found none")
        array = self._arrays[name]
        fits = array.ndim == len(shape) and all(
            wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if size is None else str(size) for size in shape)
            raise CalibrationError(
                f"expected the array {name!r} in {self._place} of shape ({wanted}), "
                f"found {array.shape}"
            )
        return array


def _read_arrays(path: Path, root: Entries) -> _Arrays:
    entries = root.inside("arrays")
    name = entries.text("file")
    if Path(name).name != name:
        raise CalibrationError(f"expected the name of a file beside it, found {name!r}")
    # the YAML file may have been renamed, with its arrays
    named, renamed = path.with_name(name), path.with_suffix(".npz")
    beside = named if named.exists() else renamed
    try:
        digest = _digest(beside)
    except OSError as error:
        raise CalibrationError(
            f"expected its arrays in {name} beside it, found {error.strerror}"
        ) from error
    if digest != entries.text("sha256"):
        raise CalibrationError(
            f"expected the arrays that were saved with it, found others in {beside.name}: they "
            "are of another calibration, or damaged"
        )
    try:
        with np.load(beside, allow_pickle=False) as file:
            return _Arrays(beside.name, {key: file[key] for key in file.files})
    except Exception as error:  # zipfile, zlib and numpy raise many
        raise CalibrationError(
            f"expected arrays in {beside.name}, found {type(error).__name__}"
        ) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
