from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.pairs import compare
from napari_coldatoms.widgets.readout import ReadoutPanel
from napari_coldatoms.widgets.readout_words import errors_text, image_words, share_text

WHY = "no contrast: the brightnesses form one mode, all sites may be empty or all occupied"


@pytest.fixture
def panel(qtbot):
    panel = ReadoutPanel("dark")
    qtbot.addWidget(panel)
    panel.resize(360, 700)
    panel.show()
    return panel


@pytest.fixture
def shots() -> pd.DataFrame:
    table = pd.DataFrame({"atoms": [3, 4, 5], "snr_db": [14.0, 14.5, 15.0]})
    table.attrs["units"] = {"snr_db": "dB", "brightness": "counts"}
    return table


def test_shares_show_as_many_digits_as_are_known() -> None:
    assert share_text(0.5, 0.49, 0.51) == "50.0 % (49.0 – 51.0)"
    assert share_text(0.95, 0.947, 0.953) == "95.00 % (94.70 – 95.30)"
    assert share_text(0.0, 0.0, 1.0) == "0 % (0 – 100)"
    assert share_text(np.nan, 0.0, 1.0) == "–"
    assert errors_text(0.0012, 2500) == "0.12 % (3 sites)"
    assert errors_text(1e-9, 2500) == "below 0.0001 %"
    assert errors_text(np.nan, 2500) == "–"


def test_numbers_of_an_image(site_image) -> None:
    image = site_image(remarks=("something",))
    words = image_words(image)
    assert words["atoms"] == f"{image.atoms} of 2497"
    # ± sqrt(0.4 * 0.6 / 2497) = 0.98 %
    share = image.atoms / 2497
    assert words["filling"].startswith(f"{100 * share:.1f} % ({100 * share - 0.98:.1f}")
    assert words["snr"] == "14.8 dB"
    assert words["brightness"] == "1000 ± 100 e⁻ per atom"
    assert words["background"] == "50 e⁻ per px"
    assert words["offset"] == "y 0.100 ± 0.020 px\nx −0.200 ± 0.030 px"
    assert words["remarks"] == "! something"


def test_errors_of_a_threshold_set_by_hand(site_image) -> None:
    image = site_image().with_threshold(800.0)
    found = image.found
    wrong = np.where(found.occupied, 1 - found.probability, found.probability)
    words = image_words(image, by_hand=True, unit="counts")
    assert words["errors"] == errors_text(float(wrong[found.valid].mean()), 2497)
    assert words["threshold"] == "800 counts"
    part = np.arange(2500) < 500
    words = image_words(image, chosen=part, by_hand=True)
    assert words["errors"] == errors_text(float(wrong[3:500].mean()), 497)
    assert words["atoms"] == f"{found.occupied[:500].sum()} of 497"


def test_an_image_without_contrast_is_not_judged(site_image, panel) -> None:
    image = site_image((3, 15), contrast=False, remarks=(WHY,))
    panel.show_image(image)
    assert panel.values["filling"].text() == "not judged"
    assert panel.values["errors"].text() == "–"
    assert panel.remarks.text() == f"! not judged: {WHY}"
    # by hand it is
    panel.show_image(image.with_threshold(100.0), threshold=100.0)
    assert panel.values["atoms"].text().endswith("of 42")
    assert panel.values["threshold"].text() == "100 e⁻, by hand"
    # not even a number is known
    nothing = np.full(45, np.nan)
    lost = replace(image.found, brightness=nothing, valid=np.zeros(45, dtype=bool))
    panel.show_image(replace(image, found=lost, offset=(np.nan, np.nan)))
    assert "no site" in panel.remarks.text()
    panel.set_theme("light")


def test_only_what_there_is_is_shown(panel, site_image, shots, qtbot) -> None:
    assert not panel.histogram.isVisible()
    assert not panel.series.isVisible()
    panel.show_image(site_image())
    panel.show_series(shots.iloc[:1])
    assert panel.histogram.isVisible()
    assert not panel.series.isVisible()
    assert not panel.automatic_button.isVisible()
    panel.show_series(shots)
    panel.mark_image(1)
    panel.mark_image(None)
    assert panel.series.isVisible()
    assert not panel.pairs_caption.isVisible()
    assert panel.values["background"].text() == "50 counts per px"
    assert panel.minimumSizeHint().width() <= 350
    panel.show_image(None)
    panel.show_series(None)
    assert not panel.histogram.isVisible()
    assert not panel.series.isVisible()


def test_a_region_of_interest(panel, site_image) -> None:
    image = site_image()
    chosen = np.arange(2500) < 100
    panel.show_image(image, chosen=chosen)
    assert panel.region.text().startswith("in the region: 97 sites")
    assert panel.values["atoms"].text() == f"{image.found.occupied[:100].sum()} of 97"
    panel.mark_sites(np.arange(2500) < 10)
    assert "10&nbsp;selected" in panel.histogram_caption.text()
    panel.show_image(image)
    assert not panel.region.isVisible()
    panel.show_image(image, chosen=np.zeros(2500, dtype=bool))
    assert panel.values["filling"].text() == "–"


def test_the_threshold_is_set_back(panel, site_image, qtbot) -> None:
    seen = []
    panel.threshold_set.connect(seen.append)
    panel.show_image(site_image().with_threshold(300.0), threshold=300.0)
    qtbot.mouseClick(panel.automatic_button, Qt.MouseButton.LeftButton)
    assert seen == [None]


def test_what_happened_between_two_images(panel, shots) -> None:
    rng = np.random.default_rng(3)
    lattice = Lattice.square(4.0, (30, 30))
    first = rng.random((4, 900)) < 0.5
    second = first & (rng.random((4, 900)) < 0.9)
    panel.show_series(shots, compare(first, second, lattice))
    atoms, kept = first.sum(), (first & second).sum()
    assert panel.values["survival"].text().startswith(f"{100 * kept / atoms:.1f}")
    assert panel.values["hopping"].text().startswith("0.000 %")
    assert f"{atoms} atoms in 4 pairs; 68 % intervals" in panel.pairs_caption.text()
    panel.show_series(shots, compare(first, second))
    assert panel.values["hopping"].text() == "–"
