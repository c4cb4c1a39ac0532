"""What a calibration is made of, as plain values with their units, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Protocol

import numpy as np

from napari_coldatoms.lattice.calibration import Quality
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.psf import PSF, AiryPSF, GaussianPSF, SampledPSF
from napari_coldatoms.lattice.track import PhaseTrack

# the units of fields whose names do not tell them
_IMAGING_UNITS = {
    "brightness": "counts",
    "brightness_sd": "counts",
    "background": "counts_per_px",
    "read_noise": "counts",
}
_QUALITY_UNITS = {
    "spacing": "px",
    "spacing_error": "px",
    "angle": "deg",
    "angle_error": "deg",
    "hwhm_error": "px",
}
_TRACK_UNITS = {"offset": "px", "stderr": "px", "measured": "px"}
_PAIRS = ("offset", "stderr", "measured")
_FLAGS = ("trusted", "outlier")


class CalibrationError(ValueError):
    """A file holds no calibration that can be used."""


class Arrays(Protocol):
    """Arrays by name."""

    def __contains__(self, name: object) -> bool: ...

    def of(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Return an array of that shape, where None is any size, or raise."""
        ...


class Entries:
    """A mapping whose entries are taken out with their types checked.

    All methods raise `CalibrationError` with the entry's name, what was expected and what was
    found.
    """

    def __init__(self, values: Any, where: str = "") -> None:
        if not isinstance(values, Mapping):
            raise CalibrationError(f"{where}: expected a mapping, found {values!r:.60}")
        self._values = values
        self._prefix = f"{where}." if where else ""

    def get(self, name: str) -> Any:
        """Return an entry as it is; None where there is none."""
        return self._values.get(name)

    def inside(self, name: str) -> Entries:
        """Return the entries of a mapping within."""
        return Entries(self._entry(name), f"{self._prefix}{name}")

    def text(self, name: str) -> str:
        """Return a text."""
        return str(self._typed(name, str, "a text"))

    def flag(self, name: str) -> bool:
        """Return true or false."""
        return bool(self._typed(name, bool, "true or false"))

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self._typed(name, int, "a whole number")
        if isinstance(value, bool):
            raise self._error(name, "a whole number", value)
        return int(value)

    def number(self, name: str) -> float:
        """Return a number."""
        return self._number(name, self._entry(name))

    def numbers(self, name: str) -> tuple[float, ...]:
        """Return a list of numbers."""
        values = self._typed(name, list, "a list of numbers")
        return tuple(self._number(name, value) for value in values)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(str(value) for value in self._typed(name, list, "a list of texts"))

    def table(self, name: str) -> list[list[float]]:
        """Return a list of lists of numbers."""
        rows = self._typed(name, list, "a list of lists of numbers")
        if not all(isinstance(row, list) for row in rows):
            raise self._error(name, "a list of lists of numbers", rows)
        return [[self._number(name, value) for value in row] for row in rows]

    def _entry(self, name: str) -> Any:
        if name not in self._values:
            raise CalibrationError(f"expected an entry {self._prefix}{name}, found none")
        return self._values[name]

    def _typed(self, name: str, kind: type, words: str) -> Any:
        value = self._entry(name)
        if not isinstance(value, kind):
            raise self._error(name, words, value)
        return value

    def _number(self, name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._error(name, "a number", value)
        return float(value)

    def _error(self, name: str, words: str, value: Any) -> CalibrationError:
        return CalibrationError(f"{self._prefix}{name}: expected {words}, found {value!r:.60}")


def lattice_to(lattice: Lattice, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return a lattice as plain values; positions or mask go to the arrays."""
    if lattice.vectors is None:
        arrays["positions_px"] = lattice.positions
        arrays["labels"] = lattice.labels[:, 0]
        return {"kind": "positions", "sites": len(lattice)}
    assert lattice.origin is not None
    assert lattice.shape is not None
    if lattice.mask is not None:
        arrays["mask"] = lattice.mask
    return {
        "kind": "vectors",
        "sites": len(lattice),
        "vectors_px": lattice.vectors.tolist(),
        "origin_px": [float(value) for value in lattice.origin],
        "shape": [int(value) for value in lattice.shape],
        "masked": lattice.mask is not None,
    }


def lattice_from(entries: Entries, arrays: Arrays) -> Lattice:
    """Return the lattice that `lattice_to` wrote down."""
    kind = entries.text("kind")
    if kind == "vectors":
        shape = entries.numbers("shape")
        if len(shape) != 2 or not all(value.is_integer() for value in shape):
            raise CalibrationError(f"lattice.shape: expected two whole numbers, found {shape}")
        size = (int(shape[0]), int(shape[1]))
        mask = arrays.of("mask", size) if entries.flag("masked") else None
        return Lattice(entries.table("vectors_px"), entries.numbers("origin_px"), size, mask=mask)
    if kind != "positions":
        raise CalibrationError(f"lattice.kind: expected vectors or positions, found {kind!r}")
    sites = entries.whole("sites")
    positions, labels = arrays.of("positions_px", (sites, 2)), arrays.of("labels", (sites,))
    if sites < 1 or labels.dtype.kind not in "iu" or labels[0] < 0 or (np.diff(labels) < 1).any():
        raise CalibrationError("expected labels of the sites in ascending order, found others")
    # sites that were left out have no label
    places = np.zeros((int(labels[-1]) + 1, 2))
    places[labels] = positions
    there = np.zeros(len(places), dtype=np.bool_)
    there[labels] = True
    whole = Lattice.from_positions(places)
    return whole if there.all() else whole.select(there)


def psf_to(psf: PSF, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return a PSF as plain values; the samples of a measured one go to the arrays."""
    if isinstance(psf, GaussianPSF):
        return {"kind": "gaussian", "hwhm_px": psf.hwhm, "cutoff_px": psf.cutoff}
    if isinstance(psf, AiryPSF):
        return {
            "kind": "airy",
            "radius_px": psf.radius,
            "hwhm_px": psf.hwhm,
            "cutoff_px": psf.cutoff,
        }
    if isinstance(psf, SampledPSF):
        arrays["psf"] = psf.array
        return {
            "kind": "sampled",
            "samples_per_px": psf.oversampling,
            "pixel_integrated": psf.pixel_integrated,
            "hwhm_px": psf.hwhm,
            "cutoff_px": psf.cutoff,
        }
    raise CalibrationError(
        "expected a GaussianPSF, an AiryPSF or a SampledPSF to be saved, found "
        f"{type(psf).__name__}"
    )


def psf_from(entries: Entries, arrays: Arrays) -> PSF:
    """Return the PSF that `psf_to` wrote down."""
    kind, cutoff = entries.text("kind"), entries.number("cutoff_px")
    if kind == "gaussian":
        return GaussianPSF(entries.number("hwhm_px"), cutoff)
    if kind == "airy":
        return AiryPSF(entries.number("radius_px"), cutoff)
    if kind == "sampled":
        return SampledPSF(
            arrays.of("psf", (None, None)),
            entries.number("samples_per_px"),
            cutoff,
            pixel_integrated=entries.flag("pixel_integrated"),
        )
    raise CalibrationError(f"psf.kind: expected gaussian, airy or sampled, found {kind!r}")


def parameters_to(parameters: ImagingParameters | None) -> dict[str, Any] | None:
    """Return imaging parameters as plain values."""
    if parameters is None:
        return None
    return {
        _named(f.name, _IMAGING_UNITS): float(getattr(parameters, f.name))
        for f in fields(parameters)
    }


def parameters_from(root: Entries) -> ImagingParameters | None:
    """Return the imaging parameters that `parameters_to` wrote down as ``imaging``."""
    if root.get("imaging") is None:
        return None
    entries = root.inside("imaging")
    return ImagingParameters(
        **{
            f.name: entries.number(_named(f.name, _IMAGING_UNITS))
            for f in fields(ImagingParameters)
        }
    )


def quality_to(quality: Quality) -> dict[str, Any]:
    """Return the quality of a calibration as plain values."""
    return {
        _named(f.name, _QUALITY_UNITS): _plain(getattr(quality, f.name)) for f in fields(quality)
    }


def quality_from(entries: Entries) -> Quality:
    """Return the quality that `quality_to` wrote down."""
    take: dict[str, Callable[[str], Any]] = {
        "trusted": entries.flag,
        "remarks": entries.texts,
        "shots": entries.whole,
        "trusted_shots": entries.whole,
        **dict.fromkeys(("spacing", "spacing_error", "angle", "angle_error"), entries.numbers),
    }
    found: dict[str, Any] = {
        f.name: take.get(f.name, entries.number)(_named(f.name, _QUALITY_UNITS))
        for f in fields(Quality)
    }
    return Quality(**found)


def track_to(track: PhaseTrack, arrays: dict[str, np.ndarray]) -> None:
    """Put a phase track into the arrays."""
    for f in fields(track):
        arrays[f"track_{_named(f.name, _TRACK_UNITS)}"] = np.asarray(getattr(track, f.name))


def track_from(arrays: Arrays) -> PhaseTrack:
    """Return the phase track that `track_to` put into the arrays."""
    shots = len(arrays.of("track_time", (None,)))
    found: dict[str, Any] = {}
    for f in fields(PhaseTrack):
        shape = (shots, 2) if f.name in _PAIRS else (shots,)
        array = arrays.of(f"track_{_named(f.name, _TRACK_UNITS)}", shape)
        found[f.name] = array.astype(np.bool_ if f.name in _FLAGS else np.float64)
    return PhaseTrack(**found)


def _named(name: str, units: Mapping[str, str]) -> str:
    return f"{name}_{units[name]}" if name in units else name


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(each) for each in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    return value if isinstance(value, str) else float(value)
