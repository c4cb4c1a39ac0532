"""The table of sites: how good each threshold is, and how often there was an atom."""

from __future__ import annotations

import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_coldatoms.widgets.plots import unit_sign
from napari_coldatoms.widgets.table import STDERR, ResultTable

_FIRST = ("site", "loading", "survival", "fidelity", "threshold", "shots")
_LAST = ("y", "x", "pixels", "source", "remark")
_SHARES = ("fidelity", "false_bright", "false_dark", "loading", "survival")
_ONE_SIGMA = 0.682689492137


class SiteTable(ResultTable):
    """One row per site, sortable; shares in %, each with its standard error.

    Copied is the table as it was given.
    """

    site_selected = Signal(int)
    """The row, of the table as it was given, that was selected."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("count_sites")
        self.setToolTip(
            "one row per site, click a heading to sort; Ctrl+C copies the selected row, or all of "
            "them, with intervals and all digits"
        )
        self._given = pd.DataFrame()
        self.row_selected.connect(self.site_selected)

    @property
    def table(self) -> pd.DataFrame:
        """The table as it was given."""
        return self._given

    def show_sites(self, table: pd.DataFrame | None) -> None:
        """Show sites, nothing selected.

        Parameters
        ----------
        table : pandas.DataFrame or None
            One row per site, as from `count_sites`: any columns; those of shares, between
            0 and 1, are shown in %, and ``<name>_low`` and ``<name>_high``, the ends of its
            interval, as a standard error; ``attrs["level"]`` says how many of them the interval
            is. None shows nothing.
        """
        self._given = pd.DataFrame() if table is None else table
        shown = shown_sites(self._given)
        hidden = {"source"} & set(shown.columns)
        if "remark" in shown and not shown["remark"].astype(bool).any():
            hidden.add("remark")
        self.set_table(shown, hide=hidden)


def shown_sites(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that are shown, the most asked for first."""
    from scipy.special import ndtri

    level = float(table.attrs.get("level", _ONE_SIGMA))
    widths = float(ndtri(0.5 + level / 2))  # standard errors in half an interval
    shown = {}
    units = {name: unit_sign(unit) for name, unit in table.attrs.get("units", {}).items()}
    names = [str(name) for name in table.columns]
    ends = {name + end for name in names for end in ("_low", "_high") if name + end in names}
    inner = [n for n in names if n not in ends and n not in _FIRST and n not in _LAST]
    for name in [*(n for n in _FIRST if n in names), *inner, *(n for n in _LAST if n in names)]:
        factor = 100 if name in _SHARES else 1
        shown[name] = table[name] * factor if factor > 1 else table[name]
        if factor > 1:
            units[name] = "%"
        if {name + "_low", name + "_high"} <= ends:
            half = (table[name + "_high"] - table[name + "_low"]) / 2
            shown[name + STDERR] = factor * half / widths
    result = pd.DataFrame(shown)
    result.attrs["units"] = units
    return result
