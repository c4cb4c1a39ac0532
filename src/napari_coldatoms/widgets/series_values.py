"""What can be plotted of a series of images: columns of the table of shots, as points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_coldatoms.statistics.intervals import binomial_interval
from napari_coldatoms.widgets.plots import unit_sign

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]

NUMBER = "image"
_PERCENT = 100.0


@dataclass(frozen=True)
class Quantity:
    """Something the table tells of each image.

    Attributes
    ----------
    key : str
    title : str
    columns : tuple of str
        One, or two that are shown together.
    names : tuple of str
        What two columns are told apart by.
    share : bool
        Whether it is a part of one, shown in percent.
    tooltip : str
    axis : str
        Title of the axis where that is shorter.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    names: tuple[str, ...] = ("",)
    share: bool = False
    tooltip: str = ""
    axis: str = ""


def _of_pairs(name: str, tooltip: str) -> Quantity:
    return Quantity(name, name, (name,), share=True, tooltip=f"{tooltip}, with its interval")


QUANTITIES = (
    Quantity(
        "drift",
        "drift of the sites",
        ("offset_y", "offset_x"),
        ("y", "x"),
        tooltip="place of the lattice relative to the calibration; hollow where the image is too "
        "weak to tell and other shots do",
        axis="drift",
    ),
    Quantity(
        "filling",
        "filling",
        ("filling",),
        share=True,
        tooltip="part of the sites with an atom, with its binomial interval of one standard error",
    ),
    Quantity("atoms", "atoms", ("atoms",), tooltip="sites with an atom"),
    Quantity("snr_db", "signal-to-noise ratio", ("snr_db",), tooltip="of the imaging", axis="SNR"),
    Quantity(
        "predicted_error_rate",
        "expected errors",
        ("predicted_error_rate",),
        share=True,
        tooltip="part of the sites that are expected to be judged wrongly",
    ),
    Quantity(
        "brightness",
        "brightness of an atom",
        ("brightness",),
        tooltip="light of one atom",
        axis="brightness",
    ),
    Quantity("threshold", "threshold", ("threshold",), tooltip="divides empty from occupied"),
    Quantity(
        "psf_width",
        "width of the PSF",
        ("psf_width",),
        tooltip="over that of the calibration: defocus shows here",
    ),
    Quantity("background", "background", ("background",), tooltip="light beside the atoms"),
    _of_pairs("survival", "atoms that are still at their site in the second image"),
    _of_pairs("hopping", "atoms that are at a neighbouring site in the second image"),
    _of_pairs("loss", "atoms that are gone in the second image"),
    _of_pairs("repeatability", "sites that are judged the same in both images"),
)
# results that are no scan parameter, and those of Quantity
_RESULTS = {
    *(column for quantity in QUANTITIES for column in quantity.columns),
    *("sites", "contrast", "trusted", "judged", "brightness_sd", "bad_pixels", "image"),
}
_RESULT_ENDINGS = ("_stderr", "_low", "_high", "_trials")


@dataclass(frozen=True, eq=False)
class Points:
    """One column as points; arrays (k,).

    Attributes
    ----------
    number : array of int
        Row in the table.
    value, low, high : array
        With the ends of the error bars, NaN where there are none.
    filled : bool array
        Whether the image itself tells it.
    """

    number: NDArray[np.intp]
    value: FloatArray
    low: FloatArray
    high: FloatArray
    filled: BoolArray


def quantities_of(shots: pd.DataFrame) -> list[Quantity]:
    """Return what the table can show."""
    return [
        quantity
        for quantity in QUANTITIES
        if all(column in shots for column in quantity.columns)
        and any(np.isfinite(numbers(shots[column])).any() for column in quantity.columns)
    ]


def parameters_of(shots: pd.DataFrame) -> list[str]:
    """Return what the images can be sorted by: their number, and columns that are no results."""
    found = []
    for name in shots.columns:
        if name in _RESULTS or name.endswith(_RESULT_ENDINGS):
            continue
        values = numbers(shots[name])
        finite = values[np.isfinite(values)]
        counts_rows = np.array_equal(values, np.arange(len(values)))
        if len(finite) and finite.min() < finite.max() and not counts_rows:
            found.append(str(name))
    return [NUMBER, *found]


def axis_of(shots: pd.DataFrame, parameter: str) -> tuple[FloatArray, str]:
    """Return the values of a parameter of all images, (k,), and its title with its unit."""
    if parameter == NUMBER:
        return np.arange(len(shots), dtype=float), NUMBER
    column = shots[parameter]
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column - column.min()
        title = f"{parameter} since the first"
    else:
        title = parameter
    unit = unit_of(shots, parameter)
    if pd.api.types.is_timedelta64_dtype(column):
        unit = "s"
    return numbers(column), f"{title} ({unit})" if unit else title


def points_of(shots: pd.DataFrame, quantity: Quantity) -> list[Points]:
    """Return the points of each column of a quantity."""
    factor = _PERCENT if quantity.share else 1.0
    rows = np.arange(len(shots))
    # two images of the same atoms have one survival together
    if quantity.columns[0] + "_low" in shots and "image" in shots:
        rows = rows[numbers(shots["image"]) == 0]
    found = []
    for column in quantity.columns:
        value = numbers(shots[column])
        low, high = _ends(shots, column, value)
        known = rows[np.isfinite(value[rows])]
        trusted = np.ones(len(shots), dtype=bool)
        if quantity.key == "drift" and "trusted" in shots:
            trusted = shots["trusted"].to_numpy(dtype=bool)
        found.append(
            Points(
                known,
                factor * value[known],
                factor * low[known],
                factor * high[known],
                trusted[known],
            )
        )
    return found


def title_of(shots: pd.DataFrame, quantity: Quantity) -> str:
    """Return the title of a quantity with its unit."""
    unit = "%" if quantity.share else unit_of(shots, quantity.columns[0])
    title = quantity.axis or quantity.title
    return f"{title} ({unit})" if unit else title


def unit_of(shots: pd.DataFrame, column: str) -> str:
    """Return the unit of a column, written for short; empty where it has none."""
    return unit_sign(str(shots.attrs.get("units", {}).get(column, "")))


def numbers(column: pd.Series) -> FloatArray:
    """Return a column as numbers, times in seconds; NaN where it has none."""
    if pd.api.types.is_bool_dtype(column):
        return np.full(len(column), np.nan)
    if pd.api.types.is_datetime64_any_dtype(column):
        column = column - column.min()
    if pd.api.types.is_timedelta64_dtype(column):
        return column.dt.total_seconds().to_numpy(dtype=float)
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=float))


def _ends(shots: pd.DataFrame, column: str, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the error bars of a column, NaN where there are none."""
    nothing = np.full(len(shots), np.nan)
    if column == "filling" and {"atoms", "sites"} <= set(shots.columns):
        low, high = binomial_interval(shots["atoms"], shots["sites"])
        return low, high
    if f"{column}_low" in shots and f"{column}_high" in shots:
        return numbers(shots[f"{column}_low"]), numbers(shots[f"{column}_high"])
    if f"{column}_stderr" in shots:
        error = numbers(shots[f"{column}_stderr"])
        return value - error, value + error
    return nothing, nothing
