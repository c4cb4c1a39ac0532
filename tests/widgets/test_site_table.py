from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QGuiApplication

from napari_coldatoms.widgets.plots import plot_colors
from napari_coldatoms.widgets.probability_table import ProbabilityTable, share_texts
from napari_coldatoms.widgets.site_table import SiteTable


@pytest.fixture
def probabilities() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "atoms": [0, 1, 2],
            "probability": [0.301274, 0.300426, 0.3983],
            "low": [0.2857, 0.2831, 0.3801],
            "high": [0.3169, 0.3177, 0.4165],
        }
    )
    table.attrs["level"] = 0.68
    return table


@pytest.fixture
def sites() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "site": [1, 2, 3],
            "y": [10.0, 10.0, 20.0],
            "x": [5.0, 15.0, 5.0],
            "shots": 200,
            "threshold": [812.5, 799.0, np.nan],
            "fidelity": [0.991, 0.987, np.nan],
            "loading": [0.52, 0.61, np.nan],
            "loading_low": [0.485, 0.575, np.nan],
            "loading_high": [0.555, 0.644, np.nan],
            "source": "modes",
            "remark": ["", "", "no two modes"],
        }
    )
    table.attrs["units"] = {"y": "px", "x": "px", "threshold": "photoelectrons"}
    table.attrs["level"] = 0.68
    return table


def texts(view) -> list[list[str]]:
    model = view.model()
    return [
        [str(model.index(row, column).data()) for column in range(model.columnCount())]
        for row in range(model.rowCount())
    ]


def headings(view) -> list[str]:
    model = view.model()
    return [model.headerData(i, Qt.Orientation.Horizontal) for i in range(model.columnCount())]


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ((0.30127, 0.2857, 0.3169), ("30.1", "28.6 – 31.7")),
        ((0.3, 0.1, 0.5), ("30", "10 – 50")),
        ((0.99987, 0.9997, 1.0), ("99.987", "99.970 – 100.000")),
        ((0.25, np.nan, np.nan), ("25.0", "–")),
        ((1.0, 1.0, 1.0), ("100.0", "100.0 – 100.0")),
    ],
)
def test_shares_in_words(share, words) -> None:
    assert share_texts(*share) == words


def test_probabilities_are_shown_and_copied(qtbot, probabilities) -> None:
    view = ProbabilityTable("dark")
    qtbot.addWidget(view)
    view.resize(380, 200)
    view.show()
    view.show_table(probabilities)
    assert texts(view)[0] == ["0", "30.1", "28.6 – 31.7"]
    assert headings(view)[2] == "68 % interval (%)"
    # all rows are in sight
    assert view.sizeHint().height() >= 3 * view.rowHeight(0) + view.horizontalHeader().height()
    qtbot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = pd.read_csv(io.StringIO(QGuiApplication.clipboard().text()), sep="\t")
    pd.testing.assert_frame_equal(copied, probabilities)


def test_colours_of_atom_numbers_are_those_of_the_plots(qtbot, probabilities) -> None:
    view = ProbabilityTable()
    qtbot.addWidget(view)
    view.show_table(probabilities)
    for theme in ("dark", "light"):
        view.set_theme(theme)
        swatch = view.item(1, 0).icon().pixmap(10, 10).toImage()
        seen, wanted = swatch.pixelColor(5, 5), QColor(plot_colors(theme).of_atoms(1))
        assert seen.getRgb() == pytest.approx(wanted.getRgb(), abs=2)


def test_probabilities_without_intervals_or_none_at_all(qtbot, probabilities) -> None:
    view = ProbabilityTable()
    qtbot.addWidget(view)
    view.show_table(probabilities[["atoms", "probability"]])
    assert texts(view)[2] == ["2", "39.8", "–"]
    view.show_table(None)
    assert view.rowCount() == 0
    view.copy()


def test_sites_are_shown_in_percent_with_errors(qtbot, sites) -> None:
    view = SiteTable()
    qtbot.addWidget(view)
    view.show_sites(sites)
    assert headings(view)[:4] == [
        "site",
        "loading (%)",
        "fidelity (%)",
        "threshold (e⁻)",
    ]
    # of a share of 0.52 in 200 shots: sqrt(0.52 * 0.48 / 200) = 3.5 %
    assert texts(view)[0][:3] == ["1", "52.0 ± 3.5", "99.1"]
    assert texts(view)[2][1] == "–"
    columns = headings(view)
    assert view.isColumnHidden(columns.index("source"))
    assert not view.isColumnHidden(columns.index("remark"))
    view.show_sites(sites[:2])
    assert view.isColumnHidden(columns.index("remark"))
    view.show_sites(None)
    assert view.model().rowCount() == 0


def test_sites_are_sorted_selected_and_copied(qtbot, sites) -> None:
    view = SiteTable()
    qtbot.addWidget(view)
    view.show()
    view.show_sites(sites)
    view.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert [row[0] for row in texts(view)] == ["2", "1", "3"]
    with qtbot.waitSignal(view.site_selected) as told:
        view.selectRow(0)
    assert told.args == [1]
    qtbot.keyClick(view, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    copied = pd.read_csv(io.StringIO(QGuiApplication.clipboard().text()), sep="\t")
    assert copied["loading_low"].tolist() == [0.575]
    assert copied["source"].tolist() == ["modes"]
    view.select(2)
    assert view.selected_row() == 2
