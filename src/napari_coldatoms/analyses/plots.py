"""Tables as figures: matplotlib figures of their own, without windows and without global state.

matplotlib is loaded when a figure is asked for, not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_coldatoms.lattice.design import ERROR_RATE, UNITS, given_parameters
from napari_coldatoms.lattice.snr import Method

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 12
_LEAST_RATE = 1e-7  # what is below is of no interest, and no prediction
# Okabe and Ito: they differ for the colour-blind, too
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_NAMES = {
    "hwhm": "HWHM",
    "spacing_um": "spacing",
    "brightness": "light of an atom",
    "brightness_sd": "relative spread of the light",
}


def plot_design(table: pd.DataFrame, *, method: Method = "alternating") -> Figure:
    """Draw a table of `napari_coldatoms.lattice.design`.

    Above the predicted error rate, below the SNR, against the parameter of the most values: a line
    for each value of the next one, a column of panels for each combination of the others.

    Parameters
    ----------
    table : pandas.DataFrame
        From `design`, or read back from its CSV file.
    method : str
        Whose error rate is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        To be saved by its `savefig`.

    Raises
    ------
    ValueError
        If the table holds no such error rate or no rows, or there would be more than 12 columns
        of panels.
    """
    rate = f"{ERROR_RATE}{method}"
    missing = [name for name in (rate, "snr_db") if name not in table.columns]
    if missing or table.empty:
        what = f"no column {missing[0]}" if missing else "no rows"
        raise ValueError(f"expected a table of a design with {rate} and snr_db, found {what}")
    along, line, apart = _roles(table)
    panels = list(table.groupby(apart, sort=False)) if apart else [((), table)]
    if len(panels) > _MOST_PANELS:
        raise ValueError(
            f"expected at most {_MOST_PANELS} combinations of {', '.join(apart)}, "
            f"found {len(panels)}"
        )
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.8 + 3.4 * len(panels), 6.4), layout="constrained")
    axes = figure.subplots(2, len(panels), sharex=True, sharey="row", squeeze=False)
    first, last = axes[0, 0], axes[0, -1]
    # before there are lines: a line of zeros alone would be complained of
    first.set_yscale("log")
    lowest = max(_LEAST_RATE, 0.5 * float(table[rate].min()))
    first.set_ylim(min(lowest, 0.1), 1)
    for (upper, lower), (values, rows) in zip(axes.T, panels, strict=True):
        for axis, column in ((upper, rate), (lower, "snr_db")):
            _draw(axis, rows, column, along, line)
        title = [_value(name, value) for name, value in zip(apart, values, strict=True)]
        upper.set_title("\n".join(title), fontsize="medium")
        lower.set_xlabel(_label(along))
    first.set_ylabel(f"predicted error rate, {method}")
    axes[1, 0].set_ylabel("SNR (dB)")
    if line is not None:
        handles, labels = last.get_legend_handles_labels()
        figure.legend(handles, labels, title=_label(line), loc="outside right upper")
    return figure


def _roles(table: pd.DataFrame) -> tuple[str, str | None, list[str]]:
    """Return the parameter along x, that of the lines, and those of the panels."""
    given = given_parameters(table)
    count = {name: table[name].nunique() for name in given}
    # the most values first, of equally many the first one
    varied = sorted((name for name in given if count[name] > 1), key=lambda name: -count[name])
    along, line, *apart = [*varied, None, None][: max(2, len(varied))]
    return along or "spacing", line, [name for name in apart if name is not None]


def _draw(axis: Axes, rows: pd.DataFrame, column: str, along: str, line: str | None) -> None:
    groups: list[tuple[Any, pd.DataFrame]] = [(None, rows)]
    if line is not None:
        groups = list(rows.groupby(line, sort=False))
    colours = _colours(len(groups))
    for colour, (value, group) in zip(colours, groups, strict=True):
        ordered = group if along == "kind" else group.sort_values(along, kind="stable")
        label = None if value is None else _text(value)
        axis.plot(ordered[along], ordered[column], ".-", color=colour, label=label)
    axis.grid(alpha=0.3)


def _colours(count: int) -> list[Any]:
    if count <= len(_COLOURS):
        return list(_COLOURS[:count])
    from matplotlib import colormaps

    return [colormaps["viridis"](k / (count - 1)) for k in range(count)]


def _label(name: str) -> str:
    text = _NAMES.get(name, name.replace("_", " "))
    return f"{text} ({UNITS[name]})" if name in UNITS else text


def _value(name: str, value: Any) -> str:
    if name == "kind":
        return str(value)
    unit = f" {UNITS[name]}" if name in UNITS else ""
    return f"{_NAMES.get(name, name.replace('_', ' '))} {_text(value)}{unit}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
