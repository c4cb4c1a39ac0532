from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication

from napari_coldatoms.widgets.table import ResultTable, columns, value_text


@pytest.fixture
def table(qtbot) -> ResultTable:
    view = ResultTable()
    qtbot.addWidget(view)
    frame = pd.DataFrame(
        {
            "shot": [0, 1, 2],
            "source": ["a", "b", "c"],
            "x0": [1.0, 30.0, 4.0],
            "x0_stderr": [0.01, math.nan, 0.2],
            "x0_um": [5.0, 150.0, 20.0],
            "x0_um_stderr": [0.05, 0.1, 1.0],
            "label": ["cloud", "ODT", "MOT"],
        }
    )
    frame.attrs["units"] = {"x0": "px", "x0_um": "um"}
    view.set_table(frame)
    return view


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (12.34567, 0.0123, "12.346 ± 0.012"),
        (1234.5, 25.0, "1234 ± 25"),
        (0.0, 0.5, "0.00 ± 0.50"),
        (2.5e9, 3.0e7, "(2.500 ± 0.030)e+9"),
        (1.5e-9, 2e-11, "(1.500 ± 0.020)e-9"),
        (12.34567, math.nan, "12.35"),
        (12.34567, None, "12.35"),
        (math.nan, 0.1, "–"),
        (7, None, "7"),
        ("MOT", None, "MOT"),
    ],
)
def test_numbers_are_shown_to_the_second_digit_of_their_error(value, stderr, text) -> None:
    assert value_text(value, stderr) == text


def test_columns_carry_unit_and_error_and_physical_ones_come_first(table) -> None:
    shown = columns(table.table)
    assert [c.name for c in shown] == ["shot", "label", "x0_um", "x0", "source"]
    assert (shown[2].stderr, shown[2].title, shown[2].unit) == ("x0_um_stderr", "x0", "µm")
    assert table.model().headerData(2, Qt.Orientation.Horizontal) == "x0 (µm)"
    assert table.model().index(0, 2).data() == "5.000 ± 0.050"
    assert table.model().index(1, 3).data() == "30"


def test_without_a_pixel_size_the_lengths_are_in_pixels(table) -> None:
    shown = columns(table.table.drop(columns=["x0_um", "x0_um_stderr"]))
    assert [c.name for c in shown] == ["shot", "label", "x0", "source"]
    assert shown[2].unit == "px"


def test_sorting_goes_by_value_not_by_text(table) -> None:
    table.sortByColumn(3, Qt.SortOrder.AscendingOrder)
    assert [table.model().index(i, 3).data() for i in range(3)] == [
        "1.000 ± 0.010",
        "4.00 ± 0.20",
        "30",
    ]


def test_a_row_keeps_its_number_when_sorted(table, qtbot) -> None:
    table.sortByColumn(3, Qt.SortOrder.DescendingOrder)
    with qtbot.waitSignal(table.row_selected) as told:
        table.selectRow(0)
    assert told.args == [1]
    table.select(2)
    assert table.selected_row() == 2
    table.select(None)
    assert table.selected_row() is None


def test_copy_takes_all_columns_and_digits(table, qtbot) -> None:
    table.select(1)
    qtbot.keyClick(table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 2
    assert dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=True))["x0_um"] == "150.0"


def test_an_empty_table_is_shown_as_such(qtbot) -> None:
    view = ResultTable()
    qtbot.addWidget(view)
    view.set_table(pd.DataFrame({"shot": np.empty(0, int), "x0": np.empty(0)}))
    assert view.model().rowCount() == 0
    assert view.model().columnCount() == 2
    assert view.selected_row() is None
