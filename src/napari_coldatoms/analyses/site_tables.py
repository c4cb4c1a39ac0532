"""The tables of a lattice: sites, shots, and what happened between images of the same atoms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_coldatoms.analyses.site_result import SiteImage
from napari_coldatoms.backend.run import FrameResult, Run, frame_columns, frame_values
from napari_coldatoms.images.stack import origin, pixel_size, unit
from napari_coldatoms.lattice.pair_comparison import PairComparison, pair_table
from napari_coldatoms.lattice.pairs import compare
from napari_coldatoms.lattice.reconstruction import Reconstruction

_LIGHT = "light"  # counts, or photoelectrons where the camera's offset and gain are known
_SITE_UNITS = {"y": "px", "x": "px", "brightness": _LIGHT}
_SHOT_UNITS = {
    "offset_y": "px",
    "offset_x": "px",
    "offset_y_stderr": "px",
    "offset_x_stderr": "px",
    "snr_db": "dB",
    "threshold": _LIGHT,
    "brightness": _LIGHT,
    "brightness_sd": _LIGHT,
    "background": _LIGHT,
}
_RATES = ("survival", "hopping", "loss", "repeatability")


def site_table(run: Run) -> pd.DataFrame:
    """Return one row per site and image.

    Columns: the shot and its scan parameters; ``image`` where shots have several; ``i, j``; the
    place ``y, x`` in px and in the stack's unit; ``brightness``, ``probability``, ``occupied``,
    ``valid``. ``attrs["units"]`` maps each column that has a unit to it.
    """
    size, physical = pixel_size(run.stack), unit(run.stack)
    first = origin(run.stack)
    units = _units(run, _SITE_UNITS)
    parts: list[dict[str, Any]] = []
    for common, image in _images(run):
        places = image.lattice.positions
        columns: dict[str, Any] = {
            "i": image.lattice.labels[:, 0],
            "j": image.lattice.labels[:, 1],
            "y": places[:, 0],
            "x": places[:, 1],
        }
        if size is not None and physical is not None:
            for axis, name in enumerate("yx"):
                columns[f"{name}_{physical}"] = first[axis] + size[axis] * places[:, axis]
                units[f"{name}_{physical}"] = physical
        columns |= {
            name: getattr(image.found, name)
            for name in ("brightness", "probability", "occupied", "valid")
        }
        parts.append(_renamed(common, columns) | columns)
    table = _stacked(parts, [len(part["i"]) for part in parts])
    if not parts:
        names = ("i", "j", *_SITE_UNITS, "probability", "occupied", "valid")
        table = pd.DataFrame(columns=[*frame_columns(run.stack), "source", "picture", *names])
    table.attrs["units"] = units
    return table


def shots_table(run: Run, region: NDArray[np.bool_] | None = None) -> pd.DataFrame:
    """Return one row per image: atoms, filling, place of the lattice, and how good the image is.

    ``offset_y, offset_x`` is the place of the lattice relative to the calibration, ``trusted``
    whether the image itself shows it; ``predicted_error_rate`` is the share of wrong
    sites to expect. Of shots
    with several images there are also survival, hopping and loss from the first to the second.

    Of a `region`, (n,) bool over the sites, ``sites``, ``atoms`` and ``filling`` are those within.
    """
    rows: list[dict[str, Any]] = []
    rates: dict[tuple[int, ...], dict[str, float]] = {}
    for frame in run.good:
        images = frame.result.images
        if len(images) > 1:
            rates[frame.index] = _rates(_compared([frame], region))
    for common, image in _images(run):
        found, place = image.found, image.place
        inside = found.valid if region is None else found.valid & region
        sites, atoms = int(inside.sum()), int((found.occupied & inside).sum())
        values: dict[str, Any] = {
            "sites": sites,
            "atoms": atoms,
            "filling": atoms / sites if sites and found.has_contrast else np.nan,
            "offset_y": image.offset[0],
            "offset_x": image.offset[1],
            "offset_y_stderr": place.stderr[0],
            "offset_x_stderr": place.stderr[1],
            "contrast": place.contrast,
            "trusted": place.trusted,
            "judged": found.has_contrast,
            "snr_db": found.snr_db,
            "predicted_error_rate": found.predicted_error_rate,
            "threshold": found.threshold,
            "brightness": found.parameters.brightness,
            "brightness_sd": found.parameters.brightness_sd,
            "background": float(found.background.mean()),
            "psf_width": found.psf_width,
            "bad_pixels": image.bad_pixels,
        }
        index = common.pop("_index")
        values |= rates.get(index, {})
        values["remarks"] = "; ".join(image.remarks)
        rows.append(_renamed(common, values) | values)
    table = pd.DataFrame(rows)
    table.attrs["units"] = _units(run, _SHOT_UNITS)
    return table


def _units(run: Run, of_columns: dict[str, str]) -> dict[str, str]:
    """Return the units of columns, scan parameters included."""
    known = None if run.context is None else run.context.calibration
    camera = None if known is None else run.analysis.camera(known)  # type: ignore[attr-defined]
    plain = camera is None or (camera.offset == 0 and camera.gain == 1)
    light = "counts" if plain else "photoelectrons"
    scan = {
        str(name): str(coord.attrs["units"])
        for name, coord in run.stack.coords.items()
        if name not in run.stack.dims and "units" in coord.attrs
    }
    ours = {name: light if unit == _LIGHT else unit for name, unit in of_columns.items()}
    return scan | ours


def compare_images(run: Run, region: NDArray[np.bool_] | None = None) -> PairComparison | None:
    """Return what happened between the first and the second image of all shots.

    Of a `region`, (n,) bool over the sites, where one is given. None where shots have one image
    only.
    """
    frames = [frame for frame in run.good if len(frame.result.images) > 1]
    return _compared(frames, region) if frames else None


def pairs_table(run: Run) -> pd.DataFrame | None:
    """Return what happened at each site between two images of the same atoms, see `pair_table`.

    The last row, with ``i`` and ``j`` of -1, is that of all sites together. None where shots have
    one image only.
    """
    comparison = compare_images(run)
    if comparison is None:
        return None
    lattice = next(frame for frame in run.good).result.images[0].lattice
    table = pair_table(comparison, lattice)
    units = table.attrs.get("units", {})
    total = _rates(comparison, trials=True) | {"i": -1, "j": -1, "pairs": comparison.pairs}
    table = pd.concat([table, pd.DataFrame([total])], ignore_index=True)[list(table.columns)]
    table.attrs["units"] = units
    return table


def _compared(
    frames: list[FrameResult], region: NDArray[np.bool_] | None = None
) -> PairComparison | None:
    """Compare the first two images of shots; None where no site is valid in both of them."""
    first, second = (
        [_within(frame.result.images[number].found, region) for frame in frames]
        for number in (0, 1)
    )
    # where decisions were made by hand they count, and not the probabilities
    by_hand = not all(_by_probability(found) for found in (*first, *second))
    try:
        return compare(
            first,
            second,
            frames[0].result.images[0].lattice,
            corrected=False if by_hand else None,
        )
    except ValueError:  # no shot shows any contrast
        return None


def _within(found: Reconstruction, region: NDArray[np.bool_] | None) -> Reconstruction:
    return found if region is None else replace(found, valid=found.valid & region)


def _by_probability(found: Reconstruction) -> bool:
    return np.array_equal(found.occupied, found.probability > 0.5)


def _rates(comparison: PairComparison | None, *, trials: bool = False) -> dict[str, float]:
    values: dict[str, float] = {}
    for name in _RATES:
        share = None if comparison is None else getattr(comparison, name)
        values[name] = np.nan if share is None else float(share.value)
        for limit in ("low", "high", *(("trials",) if trials else ())):
            values[f"{name}_{limit}"] = np.nan if share is None else float(getattr(share, limit))
    return values


def _images(run: Run) -> Iterator[tuple[dict[str, Any], SiteImage]]:
    """Yield each image with what its rows have in common; its index is under ``_index``."""
    for frame in run.good:
        common = frame_values(run, frame)
        several = len(frame.result.images) > 1
        for number, image in enumerate(frame.result.images):
            extra = {"image": number} if several else {}
            yield common | extra | {"_index": frame.index}, image


def _renamed(common: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Rename scan parameters that are called like a column of ours."""
    return {
        f"{key}_scan" if key in ours else key: value
        for key, value in common.items()
        if key != "_index"
    }


def _stacked(parts: list[dict[str, Any]], sizes: list[int]) -> pd.DataFrame:
    """Return parts below each other, where what is no array holds for all rows of its part."""
    columns: dict[str, Any] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        values: list[Any] = [part.get(name) for part in parts]
        if any(isinstance(value, np.ndarray) for value in values):
            columns[name] = np.concatenate(values)
        elif all(isinstance(value, str) for value in values):
            # millions of rows have one of a few texts
            kinds = list(dict.fromkeys(values))
            places = {kind: number for number, kind in enumerate(kinds)}
            codes = np.repeat([places[value] for value in values], sizes)
            columns[name] = pd.Categorical.from_codes(codes, categories=pd.Index(kinds))
        else:
            columns[name] = pd.Series(values).repeat(sizes).to_numpy()
    return pd.DataFrame(columns)
