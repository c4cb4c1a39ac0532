import math

import numpy as np
import pytest

from napari_coldatoms.photons import Histogram, histogram
from napari_coldatoms.photons.histogram import control_histograms

COUNTS = [3, 0, 3, 5]


@pytest.mark.parametrize(
    "counts",
    [
        COUNTS,
        np.array(COUNTS, dtype=np.uint8),
        np.array(COUNTS, dtype=float),
        {0: 1, 3: 2, 5: 1},
        ([5, 3, 0, 9], [1, 2, 1, 0]),
        (np.array([0, 3, 3, 5]), np.array([1, 1, 1, 1])),
        Histogram(np.array([1, 0, 0, 2, 0, 1])),
    ],
)
def test_all_ways_to_give_counts_agree(counts):
    result = histogram(counts)
    assert result.occurrences.tolist() == [1, 0, 0, 2, 0, 1]
    assert (result.total, result.max_count) == (4, 5)
    assert result.mean == np.mean(COUNTS)
    assert result.variance == pytest.approx(np.var(COUNTS, ddof=1))
    assert result.padded(7).tolist() == [1, 0, 0, 2, 0, 1, 0, 0]


def test_counts_of_shots_keep_their_order():
    assert histogram(COUNTS).in_order.tolist() == COUNTS
    assert histogram({3: 2}).in_order is None


def test_a_million_shots_with_one_count():
    result = histogram({15: 1_000_000})
    assert (result.total, result.mean, result.variance) == (1_000_000, 15, 0)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([3, -1], "not below 0, found -1"),
        ([3, 1.5], "whole numbers, found 1.5"),
        ([3, math.nan], "whole numbers, found nan"),
        ([3, math.inf], "whole numbers, found inf"),
        ([3, 2_000_000], "up to 1000000, found 2e\\+06"),
        (["a"], "whole numbers, found"),
        ([], "at least one shot, found none"),
        ([[1, 2], [3, 4]], "one dimension"),
        (7, "one dimension"),
        (([1, 2], [1]), "as many occurrences as numbers of counts, found 1 and 2"),
        (([1, 2], [1, -1]), "occurrences of counts not below 0, found -1"),
        (([1, 2], [0.5, 1]), "occurrences of counts as whole numbers, found 0.5"),
        ({1: 0}, "only zero occurrences"),
        ({}, "only zero occurrences"),
    ],
)
def test_wrong_counts_are_told(counts, message):
    with pytest.raises(ValueError, match=message):
        histogram(counts)


def test_histograms_tell_what_they_are():
    assert repr(histogram([3, 4])) == "Histogram(2 shots of 3.5 counts in the mean, in order)"
    assert repr(histogram({3: 1})) == "Histogram(1 shots of 3 counts in the mean)"


def test_controls_come_in_order_or_by_atom_number():
    by_order = control_histograms([[0, 1], [9, 8]])
    by_number = control_histograms({1: [9, 8], 0: [0, 1]})
    for one, other in zip(by_order, by_number, strict=True):
        assert one.occurrences.tolist() == other.occurrences.tolist()


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ([[0, 1]], "0 and 1 atoms at least, found 1 control"),
        ([[0, 1], []], "controls for 1 atoms, found none"),
        ([[0, 1], None, [5]], "controls for 1 atoms, found none"),
        ({0: [1], 2: [3]}, "every atom number from 0 on, found 0, 2"),
        ({}, "found 0 control"),
        (None, "mapping by atom number, found None"),
        (3, "mapping by atom number, found 3"),
        ([[0, 1], [2, -3]], "controls for 1 atoms not below 0"),
        ([[0, 1], np.zeros(0, int)], "controls for 1 atoms of at least one shot, found none"),
    ],
)
def test_wrong_controls_are_told(controls, message):
    with pytest.raises(ValueError, match=message):
        control_histograms(controls)


@pytest.mark.parametrize("counts", [[1 + 1j], np.array(["2020-01-01"], "M8[s]")])
def test_what_is_no_number_of_counts_is_refused(counts):
    with pytest.raises(ValueError, match="expected counts as whole numbers, found"):
        histogram(counts)
