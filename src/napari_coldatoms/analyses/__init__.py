"""One short module per job: its parameters, the room it calls, the layers and columns it shows."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_coldatoms.analyses.batch import Batch, process
    from napari_coldatoms.analyses.calibration_file import (
        CalibrationError,
        load_calibration,
        save_calibration,
    )
    from napari_coldatoms.analyses.count_atoms import CountAtoms
    from napari_coldatoms.analyses.count_files import CountFiles
    from napari_coldatoms.analyses.counted_sites import count_sites
    from napari_coldatoms.analyses.detect_clouds import DetectClouds
    from napari_coldatoms.analyses.make_picture import MakePicture
    from napari_coldatoms.analyses.recipes import apply, follow
    from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice

_PUBLIC = {
    "Batch": "batch",
    "CalibrationError": "calibration_file",
    "CountAtoms": "count_atoms",
    "CountFiles": "count_files",
    "DetectClouds": "detect_clouds",
    "MakePicture": "make_picture",
    "ReconstructLattice": "reconstruct_lattice",
    "apply": "recipes",
    "count_sites": "counted_sites",
    "follow": "recipes",
    "load_calibration": "calibration_file",
    "process": "batch",
    "save_calibration": "calibration_file",
}
_ANALYSES = {
    "count_atoms": "CountFiles",
    "detect_clouds": "DetectClouds",
    "reconstruct_lattice": "ReconstructLattice",
}

__all__ = [
    "ANALYSES",
    "Batch",
    "CalibrationError",
    "CountAtoms",
    "CountFiles",
    "DetectClouds",
    "MakePicture",
    "ReconstructLattice",
    "apply",
    "count_sites",
    "follow",
    "load_calibration",
    "process",
    "save_calibration",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Analyses(Mapping[str, type]):
    """All analyses by their names; each is imported when it is asked for."""

    def __getitem__(self, name: str) -> type:
        return __getattr__(_ANALYSES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(_ANALYSES)

    def __len__(self) -> int:
        return len(_ANALYSES)


ANALYSES: Mapping[str, type] = _Analyses()
"""The analyses that recipes and the command line know, by name."""
