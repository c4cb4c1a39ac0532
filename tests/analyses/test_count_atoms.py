"""Atom numbers from counts: results against the truth and the room's own functions, doubts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_coldatoms import photons
from napari_coldatoms.analyses.count_atoms import CountAtoms
from napari_coldatoms.analyses.count_remarks import in_plain_words
from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.backend.analysis import ParameterError, from_dict, to_dict

MODEL = photons.PAPER_MODEL
TRUTH = np.array([0.3, 0.3, 0.4])
LOSS = 0.03


@pytest.fixture(scope="module")
def controls() -> list[np.ndarray]:
    return list(photons.simulate_controls(MODEL, 4000, single_atom_loss=LOSS, rng=1))


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return photons.simulate_mixture(MODEL, TRUTH, 2000, rng=2).counts


@pytest.fixture(scope="module")
def result(sample, controls) -> CountResult:
    return CountAtoms(exposure=MODEL.exposure).count(sample, controls)


def test_it_finds_the_truth(result):
    table = result.table()
    assert list(table.columns) == ["atoms", "probability", "low", "high"]
    assert table.attrs["level"] == 0.68
    error = np.abs(result.probabilities - TRUTH) / result.intervals.stderr
    assert error.max() < 3
    assert ((table.low <= table.probability) & (table.probability <= table.high)).all()
    parameters = result.parameters().set_index("parameter")
    for atoms, rate in enumerate(MODEL.rates):
        row = parameters.loc[f"rate of counts with {atoms} atom{'s' * (atoms != 1)}"]
        assert abs(row.value - rate) < 4 * row.error
        assert row.unit == "1/s"
    row = parameters.loc["loss of single atoms before the counting"]
    assert abs(row.value - LOSS) < 4 * row.error
    assert result.remarks == ()


def test_it_is_what_the_functions_give(result, sample, controls):
    known = photons.fit_controls(controls, MODEL.exposure)
    fit = photons.fit_atom_numbers(sample, known)
    spread = photons.bootstrap(sample, known, resamples=200, rng=1)
    np.testing.assert_array_equal(result.fit.probabilities, fit.probabilities)
    np.testing.assert_array_equal(result.intervals.low, spread.low)
    np.testing.assert_array_equal(result.intervals.high, spread.high)
    assert result.thresholds is not None
    np.testing.assert_array_equal(result.thresholds.cuts, photons.thresholds(known).cuts)


def test_a_seed_makes_it_repeatable(sample, controls):
    first, second, other = (
        CountAtoms(seed=seed, resamples=450).count(sample, controls).intervals for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.samples.shape == (450, 3)
    assert (first.samples != other.samples).any()


def test_intervals_in_parts_hold_the_level(sample, controls):
    found = CountAtoms(resamples=450, level=0.9).count(sample, controls).intervals
    inside = (found.samples >= found.low) & (found.samples <= found.high)
    np.testing.assert_allclose(inside.mean(axis=0), 0.9, atol=0.01)


def test_known_controls_are_not_fitted_again(result, sample):
    again = CountAtoms(exposure=MODEL.exposure).count(sample, known=result.known)
    assert again.known is result.known
    np.testing.assert_array_equal(again.intervals.samples, result.intervals.samples)
    with pytest.raises(ValueError, match="expected controls, or what was fitted"):
        CountAtoms().count(sample)


def test_progress_tells_and_stops(sample, controls):
    class Stop(Exception):
        pass

    steps: list[tuple[int, int]] = []
    told = CountAtoms().count(sample, controls, progress=lambda *step: steps.append(step))
    assert steps[:3] == [(0, 202), (1, 202), (2, 202)]
    assert steps[-1] == (202, 202)
    assert len(steps) > 4
    # looking at the progress changes nothing
    alone = CountAtoms().count(sample, controls)
    np.testing.assert_array_equal(told.intervals.samples, alone.intervals.samples)

    def stop(done: int, total: int) -> None:
        if done > 2:
            raise Stop

    with pytest.raises(Stop):
        CountAtoms().count(sample, controls, progress=stop)


def test_the_options_reach_the_room(sample, controls):
    events = CountAtoms(basis="events", likelihood="least-squares").count(sample, controls)
    assert (events.fit.basis, events.fit.likelihood) == ("events", "least-squares")
    assert not [text for text in events.remarks if text.startswith("bins of")]
    cuts = events.thresholds
    assert cuts is not None
    assert cuts.events is not None
    analysis = CountAtoms(one_atom_loss=True, varying_brightness=True, controls_fit="joint")
    known = analysis.fit_controls(controls)
    assert set(known.model.losses) == {(1, 0), (2, 1), (2, 0)}
    assert known.setting.fits_brightness
    assert known.method == "joint"
    narrow = CountAtoms(resample_controls=False).count(sample, controls).intervals
    wide = CountAtoms().count(sample, controls).intervals
    assert narrow.stderr.sum() < wide.stderr.sum()


def test_parameters_that_cannot_be():
    assert from_dict(CountAtoms, to_dict(CountAtoms(block=5))) == CountAtoms(block=5)
    with pytest.raises(ParameterError, match="expected the basis 'events'"):
        CountAtoms(likelihood="effective")
    with pytest.raises(ParameterError, match="exposure: expected a number from"):
        CountAtoms(exposure=0.0)
    with pytest.raises(ParameterError, match="resamples"):
        CountAtoms(resamples=1)


def test_single_shots(result, sample):
    shots = result.shots()
    names = ["posterior_0", "posterior_1", "posterior_2"]
    assert list(shots.columns) == ["shot", "counts", "called", *names]
    np.testing.assert_array_equal(shots.counts, sample)
    np.testing.assert_allclose(shots[names].sum(axis=1), 1.0)
    # on average, posteriors are the probabilities they came from, at the maximum of likelihood
    np.testing.assert_allclose(shots[names].mean(), result.probabilities, atol=1e-6)
    np.testing.assert_array_equal(shots.called, result.thresholds.classify(sample))
    by_count = result.posterior_by_count()
    assert by_count.shape == (result.sample.max_count + 1, 3)
    np.testing.assert_allclose(by_count[sample], shots[names])
    assert len(result.shots([0, 15, 60])) == 3
    counted = CountAtoms().count(
        (np.arange(60), np.bincount(sample, minlength=60)), known=result.known
    )
    with pytest.raises(ValueError, match="expected the counts of each shot, found a histogram"):
        counted.shots()


def test_json_says_all(result):
    found = json.loads(result.to_json())
    assert found["parameters"]["seed"] == 1
    assert found["parameters"]["exposure"] == MODEL.exposure
    assert [row["atoms"] for row in found["probabilities"]] == [0, 1, 2]
    assert found["probabilities"][2]["low"] == result.intervals.low[2]
    assert found["control_shots"] == [h.total for h in result.known.histograms]
    assert found["controls"]["parameters"][0]["value"] == result.known.model.rates[0]
    assert found["napari-coldatoms"]
    at_bound = CountAtoms(one_atom_loss=True, resamples=2).count(result.sample, known=result.known)
    assert "NaN" not in at_bound.to_json()


def test_doubts_are_told_once_in_words_of_the_parameters(sample, controls):
    rng = np.random.default_rng(3)
    brightness = rng.gamma(11, 1 / 11, size=1500)
    flickering = [controls[0], rng.poisson(15 * brightness), controls[2]]
    remarks = CountAtoms().count(sample, flickering).remarks
    assert len([text for text in remarks if "1 atom" in text and "vary" in text]) == 1
    assert any("fit a varying brightness" in text for text in remarks)
    text = " ".join(remarks)
    assert "brightness_sd" not in text
    assert "check_counts" not in text

    in_order = CountAtoms().count(np.sort(sample), controls).remarks
    assert any("set the block to at least" in text for text in in_order)
    assert any(text.startswith("sample: the mean drifts") for text in in_order)

    swapped = CountAtoms().count(sample, [controls[1], controls[0], controls[2]])
    assert swapped.thresholds is None
    assert (swapped.shots().called == -1).all()
    assert len([text for text in swapped.remarks if "rise" in text]) == 2
    assert swapped.to_json()


def test_dispersion_of_a_sample_is_told_where_the_fit_is_poor():
    """With many more shots than controls it is the errors of these that are seen."""
    few = photons.simulate_controls(MODEL, 10_000, single_atom_loss=LOSS, rng=1)
    many = photons.simulate_mixture(MODEL, TRUTH, 1_000_000, rng=2).counts
    result = CountAtoms(resamples=50).count(many, few)
    assert result.sample_check.fano_p < 1e-3
    assert result.fit.goodness.p_value > 1e-3
    assert result.remarks == ()

    rng = np.random.default_rng(6)
    flickering = rng.poisson(15 * rng.gamma(4, 1 / 4, size=2000))
    remarks = CountAtoms().count(flickering, known=result.known).remarks
    assert any("the fit does not describe the counts" in text for text in remarks)
    assert any(text.startswith("sample: counts vary") for text in remarks)


def test_only_what_was_not_done_is_advised():
    doubt = "the counts with 1 atom do not follow the model: p = 0.0001"
    assert in_plain_words([doubt, doubt]) == (
        f"{doubt}; try a one-atom loss or a varying brightness or the basis 'events'",
    )
    done = CountAtoms(one_atom_loss=True, basis="events")
    assert in_plain_words([doubt], done) == (f"{doubt}; try a varying brightness",)
    all_done = CountAtoms(one_atom_loss=True, basis="events", varying_brightness=True)
    assert in_plain_words([doubt], all_done) == (doubt,)
    wide = f'{doubt}; they vary: look at check_counts, or fit with brightness_sd="fit"'
    assert in_plain_words([wide]) == (f"{doubt}; they vary: fit a varying brightness",)
    assert "does not explain it" in in_plain_words([wide], all_done)[0]


def test_what_cannot_be_counted(sample, controls):
    with pytest.raises(ValueError, match="expected controls for 0 and 1 atoms at least"):
        CountAtoms().count(sample, controls[:1])
    with pytest.raises(ValueError, match=r"counts of the sample as whole numbers, found 1\.5"):
        CountAtoms().count([1.5], controls)
    with pytest.raises(ValueError, match="for blocks, found a histogram"):
        CountAtoms(block=5).count({3: 10, 15: 20}, controls)
