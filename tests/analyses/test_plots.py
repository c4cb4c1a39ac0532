"""Figures of tables: what is drawn where, read back from the figure."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from napari_coldatoms.analyses.plots import plot_design
from napari_coldatoms.lattice import design


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return design(
        spacing=4,
        hwhm=[3.0, 2.5],
        brightness=[1500, 300, 700, 1000],
        background=[5, 50, 500],
        read_noise=2,
        methods=["alternating", "local"],
    )


def test_most_values_along_x_then_lines_then_panels(table):
    figure = plot_design(table, method="local")
    rates, ratios = np.reshape(figure.axes, (2, 2))
    assert [axis.get_title() for axis in rates] == ["HWHM 3 px", "HWHM 2.5 px"]
    assert {axis.get_xlabel() for axis in ratios} == {"light of an atom (counts)"}
    assert rates[0].get_ylabel() == "predicted error rate, local"
    assert ratios[0].get_ylabel() == "SNR (dB)"
    assert {axis.get_yscale() for axis in rates} == {"log"}
    assert {axis.get_yscale() for axis in ratios} == {"linear"}
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "background (counts/px)"
    assert [text.get_text() for text in legend.get_texts()] == ["5", "50", "500"]
    for hwhm, upper, lower in zip((3.0, 2.5), rates, ratios, strict=True):
        for background, rate, ratio in zip((5, 50, 500), upper.lines, lower.lines, strict=True):
            rows = table[(table.hwhm == hwhm) & (table.background == background)]
            rows = rows.sort_values("brightness")
            for line, column in ((rate, "predicted_error_rate_local"), (ratio, "snr_db")):
                np.testing.assert_array_equal(line.get_xdata(), [300, 700, 1000, 1500])
                np.testing.assert_array_equal(line.get_ydata(), rows[column])


def test_a_table_read_back_looks_the_same(table):
    again = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    first, second = plot_design(table), plot_design(again)
    for one, other in zip(first.axes, second.axes, strict=True):
        assert one.get_xlabel() == other.get_xlabel()
        for before, after in zip(one.lines, other.lines, strict=True):
            np.testing.assert_allclose(before.get_xydata(), after.get_xydata(), rtol=1e-12)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"kind": ["square", "triangular"]},
        {"brightness_sd": np.linspace(0, 0.2, 9), "occupancy": np.linspace(0.1, 0.9, 9)},
        {"brightness": 1e7},
        {"background": 0, "read_noise": [0, 1], "occupancy": [1.0, 0.5], "brightness_sd": 0.0},
        {"occupancy": 0.0},
    ],
    ids=["point", "kinds", "many lines", "no errors", "infinite", "nothing to tell"],
)
def test_odd_tables_are_drawn_without_a_warning(parameters):
    table = design(**{"spacing": 4, "hwhm": 2.5, "brightness": 500, "background": 20, **parameters})
    figure = plot_design(table)
    assert len(figure.axes) == 2
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        assert file.getvalue().startswith(b"\x89PNG")


def test_what_cannot_be_drawn(table):
    with pytest.raises(ValueError, match="found no column predicted_error_rate_global"):
        plot_design(table, method="global")
    with pytest.raises(ValueError, match="found no rows"):
        plot_design(table.iloc[:0])
    steps = np.arange(1, 5)
    many = design(
        spacing=4, hwhm=2.5, brightness=500 * steps, background=steps, read_noise=steps,
        occupancy=0.2 * steps, methods=["alternating"],
    )  # fmt: skip
    with pytest.raises(ValueError, match="at most 12 combinations of background, read_noise"):
        plot_design(many)
