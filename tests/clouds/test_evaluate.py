"""How detectors are judged: known detections give known scores, errors and fits."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from napari_coldatoms.clouds import Gaussian2D, fit_gaussian
from napari_coldatoms.clouds.dataset import Sample
from napari_coldatoms.clouds.detection import Detection
from napari_coldatoms.clouds.evaluate import (
    Evaluation,
    TrueFrame,
    annotated,
    evaluate,
    make_detector,
    simulated_truth,
    truth_as_detector,
)
from napari_coldatoms.clouds.evaluate_errors import (
    MOMENTS,
    PLAIN_MOMENTS,
    SUBSETS,
    conventional,
    parameter_errors,
    reference_fits,
)
from napari_coldatoms.clouds.evaluate_fits import (
    AS_DETECTED,
    KINDS,
    SCIPY_SEEDED,
    SCIPY_UNSEEDED,
    SEEDED,
    UNSEEDED,
    generic_guess,
    is_right,
)
from napari_coldatoms.clouds.evaluate_tables import ERROR_COLUMNS, FIT_COLUMNS
from napari_coldatoms.clouds.evaluate_truth import TrueCloud, matches
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.clouds.simulate_sets import validation_set

SHAPE = (120, 140)
FRAMES = 8


@pytest.fixture(scope="module")
def frames() -> list[TrueFrame]:
    return [simulated_truth(frame) for frame in validation_set("paper", start=20, stop=20 + FRAMES)]


def detection_of(cloud: TrueCloud, score: float = 0.9) -> Detection:
    """Return what a perfect network would say: the part of each of 28 x 28 cells in the ellipse."""
    (y0, x0, y1, x1), fine = cloud.box, 28 * 8
    rows = y0 + (np.arange(fine) + 0.5) * (y1 - y0) / fine - 0.5
    columns = x0 + (np.arange(fine) + 0.5) * (x1 - x0) / fine - 0.5
    inside = cloud.gaussian.profile(rows[:, None], columns[None, :]) >= math.exp(-2)
    mask = inside.reshape(28, 8, 28, 8).mean((1, 3)).astype(np.float32)
    return Detection(cloud.label, score, cloud.box, mask)


def perfect_finder(frames):
    """Return a finder that answers from the truth, in the order of the frames."""
    rest = iter(frames)
    return lambda pictures: [[detection_of(c) for c in next(rest).clouds] for _ in pictures]


def one_cloud(gaussian: Gaussian2D, noise: float = 0.0, label: str = "MOT") -> TrueFrame:
    rng = np.random.default_rng(3)
    picture = gaussian.image(SHAPE) + (rng.normal(0, noise, SHAPE) if noise else 0.0)
    cloud = TrueCloud(label, gaussian.ellipse_box(), Patch.of(gaussian.mask(SHAPE)), gaussian)
    return TrueFrame("one", picture, (cloud,))


def rmse(found: Evaluation, source: str, parameter: str, reference: str = "truth") -> float:
    table = found.table("errors").set_index(["reference", "subset", "source", "parameter"])
    return float(table.loc[(reference, "all", source, parameter), "rmse"])


@pytest.fixture(scope="module")
def judged_truth(frames) -> Evaluation:
    return evaluate(frames, truth_as_detector(frames), name="eight", unseeded=2, batch=3)


@pytest.fixture(scope="module")
def judged_hybrid(frames) -> Evaluation:
    detector = make_detector("hybrid", finder=perfect_finder(frames))
    return evaluate(frames, detector, name="eight", unseeded=1)


def test_the_truth_is_perfect(frames, judged_truth):
    found, clouds = judged_truth, sum(len(frame.clouds) for frame in frames)
    assert (found.frames, found.clouds, found.found) == (FRAMES, clouds, clouds)
    assert (found.confused, found.extra) == (0, 0)
    for precision in (found.score.box, found.score.mask):
        assert (precision.mean, precision.at_50, precision.at_75) == pytest.approx((1, 1, 1))
    for parameter in ("x0", "y0", "wx", "wy", "theta", "peak", "background"):
        assert rmse(found, "true masks", parameter) < 1e-9
    # noise and fringes alone are between the truth and the fit that begins there
    assert rmse(found, "true masks", "wx", "fit") < 0.1


def test_moments_are_worse_than_the_masks_of_thresholds(judged_truth):
    table = judged_truth.table("errors").set_index(["reference", "subset", "source", "parameter"])
    clean = table.sort_index().loc[("truth", "clean")]["rmse"]
    assert clean[(MOMENTS, "wx")] > 0.1
    assert clean[("threshold masks", "wx")] < 0.5 * clean[(MOMENTS, "wx")]


def test_perfect_detections_of_a_network(frames, judged_hybrid):
    plain = evaluate(frames, make_detector("mask-rcnn", finder=perfect_finder(frames)), unseeded=0)
    assert plain.found == plain.clouds
    assert plain.score.box.mean == pytest.approx(1.0)
    assert plain.score.mask.mean > 0.95
    # 28 cells across an ellipse
    assert rmse(plain, "network masks", "x0") < 0.01
    assert rmse(plain, "network masks", "wx") < 0.03
    assert not any(fit.kind == AS_DETECTED for fit in plain.fits)
    assert not any(fit.kind in (UNSEEDED, SCIPY_SEEDED, SCIPY_UNSEEDED) for fit in plain.fits)
    assert {fit.kind for fit in judged_hybrid.fits} == set(KINDS)
    assert judged_hybrid.score.box.mean > 0.8
    assert rmse(judged_hybrid, "fits", "wx", "fit") < 0.05


def test_seeded_fits_are_right_and_faster(judged_truth):
    table = judged_truth.table("fits").set_index(["frames", "kind"])
    assert table.loc[("all", SEEDED), "fits"] == judged_truth.clouds
    # a cloud that is lost beside another is not fitted from the truth either
    known = [fit for fit in judged_truth.fits if fit.kind == SEEDED and fit.correct is not None]
    assert len(known) >= judged_truth.clouds - 1
    assert all(fit.converged for fit in known)
    assert table.loc[("all", SEEDED), "converged_where_possible"] == 1.0
    # in pairs the other's pixels are left out, yet not its wings
    assert all(fit.correct for fit in known if fit.alone)
    one = table.loc["one cloud"]
    assert (one["fits"] == 2).all()
    assert one.loc[SEEDED, "median_seconds"] < 0.5 * one.loc[UNSEEDED, "median_seconds"]
    assert one.loc[SEEDED, "correct"] == 1.0


def test_what_is_wrong_is_counted(frames):
    frame = next(frame for frame in frames if len(frame.clouds) == 1)
    (cloud,) = frame.clouds
    true = detection_of(cloud)
    other = replace(true, label="ODT" if cloud.label == "MOT" else "MOT")
    nowhere = replace(true, box=(2.0, 2.0, 14.0, 14.0), score=0.8)
    doubtful = replace(true, box=(2.0, 240.0, 14.0, 252.0), score=0.2)

    def judge(*detections, method="mask-rcnn"):
        detector = make_detector(method, finder=lambda pictures: [list(detections)])
        return evaluate([frame], detector, unseeded=0)

    found = judge(other, nowhere)
    assert (found.found, found.confused, found.extra) == (1, 1, 1)
    assert found.score.box.mean == 0.0
    assert (judge().found, judge().clouds) == (0, 1)
    assert judge().table("errors").empty
    # what is doubtful counts for the precision, and does not disturb the fit of the other
    alone, beside = judge(true, method="hybrid"), judge(true, doubtful, method="hybrid")
    assert (beside.found, beside.extra) == (1, 0)
    assert [e.values for e in beside.errors] == [e.values for e in alone.errors]


@pytest.mark.parametrize("method", ["mask-rcnn", "hybrid"])
def test_a_double_is_no_cloud_of_its_own(frames, method):
    frame = next(frame for frame in frames if len(frame.clouds) == 1)
    true = detection_of(frame.clouds[0])
    other = "ODT" if true.label == "MOT" else "MOT"
    double = replace(true, label=other, score=0.9 * true.score, double=True)

    def judge(*detections):
        detector = make_detector(method, finder=lambda pictures: [list(detections)])
        return evaluate([frame], detector, unseeded=0)

    alone, twice = judge(true), judge(true, double)
    assert (twice.found, twice.confused, twice.extra) == (1, 0, 0)
    assert [e.values for e in twice.errors] == [e.values for e in alone.errors]
    # precision is of each class by itself: what is said second counts, fitted as what it doubles
    y0, x0, y1, x1 = true.box
    wide = (y0, x0, y1, x1 + 0.2 * (x1 - x0))
    first = replace(true, label=other)
    doubted = judge(first, replace(true, box=wide, score=0.9 * true.score, double=True))
    assert (doubted.found, doubted.confused, doubted.extra) == (1, 1, 0)
    whole = doubted.score.box.mean == alone.score.box.mean
    assert whole is (method == "hybrid")


def test_thresholds_tell_classes_by_the_aspect():
    for label, wy in (("MOT", 9.0), ("ODT", 4.0)):
        frame = one_cloud(Gaussian2D(70, 60, 12, wy, 0.4, 1.0, 0.0), 0.02, label)
        for method in ("threshold", "threshold-fit"):
            found = evaluate([frame], make_detector(method), unseeded=0)
            assert (found.found, found.confused) == (1, 0)
    # fitted outlines are the true ones but for the noise
    assert found.score.mask.mean > 0.9
    assert not any(error.source == "network masks" for error in found.errors)


def test_moments_in_the_true_box_are_biased_by_what_it_cuts_off():
    """Within two standard deviations a normal distribution has 0.7737 of its variance.

    A uniform background has 4/3; its weight is that of its level times the box's area.
    """
    frame = one_cloud(Gaussian2D(70, 60, 30, 20, 0.0, 1.0, 0.0))
    inside, part = 1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)), 0.9545
    for level in (0.0, 0.05):
        picture = frame.picture + level
        found = conventional(replace(frame, picture=picture), picture)
        volume, flat = 2 * math.pi * part**2, 16 * level
        kept = math.sqrt((inside * volume + 4 / 3 * flat) / (volume + flat)) - 1
        # the box is rounded to pixels
        assert found[PLAIN_MOMENTS][0].wx / 30 - 1 == pytest.approx(kept, abs=0.004)
        assert found[PLAIN_MOMENTS][0].wy / 20 - 1 == pytest.approx(kept, abs=0.006)
        assert found[MOMENTS][0].wx / 30 - 1 == pytest.approx(-0.1204, abs=0.006)
        assert found[MOMENTS][0].background == pytest.approx(level, abs=0.002)


def test_errors_are_normalised():
    true = Gaussian2D(10, 20, 8, 4, math.pi / 2, 2.0, 0.1)
    found = Gaussian2D(10.4, 20.8, 8.8, 3.0, -math.pi / 2 + 0.2, 2.5, 0.3)
    # its major axis is along y
    assert parameter_errors(found, true) == pytest.approx(
        (0.1, 0.1, 0.1, -0.25, 0.2, 0.25, 0.1), abs=1e-12
    )
    turned = replace(found, wx=found.wy, wy=found.wx, theta=found.theta + math.pi / 2)
    assert parameter_errors(turned, true) == pytest.approx(parameter_errors(found, true))
    assert math.isnan(parameter_errors(found, replace(true, wy=7.0))[4])


def test_subsets(frames):
    hard = [simulated_truth(frame) for frame in validation_set("hard", stop=6)]
    simulated = [*validation_set("paper", start=20, stop=20 + FRAMES)]
    for frame, made in zip(frames, simulated, strict=True):
        highest = max((depth for depth, _ in made.settings["fringes"]), default=0)
        assert frame.fringed == (highest > made.settings["noise"] / 2)
        assert all(cloud.gaussian.background == 0 for cloud in frame.clouds)
    assert 0 < sum(frame.fringed for frame in frames) < FRAMES
    together = 0
    for frame in (*frames, *hard):
        for n, cloud in enumerate(frame.clouds):
            others = [other.box for k, other in enumerate(frame.clouds) if k != n]
            shared = [
                max(min(cloud.box[2], v1) - max(cloud.box[0], v0), 0)
                * max(min(cloud.box[3], u1) - max(cloud.box[1], u0), 0)
                for v0, u0, v1, u1 in others
            ]
            assert cloud.overlapping == (sum(shared) > 0)
            together += cloud.overlapping
    assert together > 0


def test_clouds_that_overlap_are_fitted_without_each_other():
    pair = [
        Gaussian2D(60, 60, 18, 15, 0.2, 1.0, 0.0),
        Gaussian2D(68, 62, 40, 5, 0.5, 0.6, 0.0),
    ]
    picture = sum(each.image(SHAPE) for each in pair)
    picture += np.random.default_rng(1).normal(0, 0.01, SHAPE)
    for truth, fit in zip(pair, reference_fits(picture, pair), strict=True):
        assert fit.success
        assert np.nanmax(np.abs(parameter_errors(fit.gaussian, truth))) < 0.02


def test_one_outline_for_one_cloud():
    def patch(x: int, width: int = 10) -> Patch:
        return Patch((5, x), np.ones((10, width), dtype=bool))

    clouds = [
        TrueCloud("MOT", (5, x, 15, x + 10), patch(x), Gaussian2D(x, 5, 4, 4)) for x in (0, 4)
    ]
    assert clouds[0].mask.overlap(clouds[1].mask) == pytest.approx(60 / 140)
    assert clouds[0].mask.overlap(patch(10)) == 0
    assert clouds[0].mask.overlap(patch(3, 0)) == 0
    # the first outline is nearer to the second cloud
    assert matches(clouds, [patch(3), patch(0)]) == [1, 0]
    assert matches(clouds, [patch(3)]) == [None, 0]
    assert matches(clouds, []) == [None, None]
    frame = np.zeros((20, 20), dtype=bool)
    frame[3:6, 4:9] = True
    assert np.array_equal(Patch.of(frame).on((20, 20)), frame)
    assert Patch.of(np.zeros((4, 4), dtype=bool)).area == 0


def test_what_a_right_fit_is():
    truth = Gaussian2D(70, 60, 12, 8, 0.4, 1.0, 0.1)
    picture = one_cloud(truth, 0.02).picture
    fit = fit_gaussian(picture, truth)
    assert is_right(truth, fit)
    assert is_right(replace(fit.gaussian, theta=fit.gaussian.theta + math.pi), fit)
    assert is_right(replace(fit.gaussian, wx=1.04 * fit.gaussian.wx), fit)
    for change in ({"wx": 13.0}, {"x0": 72.0}, {"theta": 0.6}, {"peak": 1.2}, {"wx": math.nan}):
        assert not is_right(replace(fit.gaussian, **change), fit)
    guess = generic_guess(truth.image(SHAPE))
    assert (guess.x0, guess.y0, guess.peak) == pytest.approx((70, 60, 1.0), abs=0.02)


def test_annotated_pictures():
    clouds = [Gaussian2D(40, 60, 12, 9, 0.4, 1.0), Gaussian2D(100, 60, 20, 5, 1.4, 0.7)]
    picture = sum(each.image(SHAPE) for each in clouds)
    picture += np.random.default_rng(5).normal(0, 0.02, SHAPE)
    masks = np.array([each.mask(SHAPE) for each in clouds])
    boxes = np.array([each.ellipse_box() for each in clouds])
    frame = annotated(Sample(picture, boxes, ("MOT", "ODT"), masks), name="ours")
    assert [cloud.label for cloud in frame.clouds] == ["MOT", "ODT"]
    for cloud, truth in zip(frame.clouds, clouds, strict=True):
        assert np.abs(parameter_errors(cloud.gaussian, truth)[:5]).max() < 0.02
        assert math.isnan(cloud.gaussian.peak)
    found = evaluate([frame], make_detector("threshold-fit"), unseeded=0)
    assert found.found == 2
    table = found.table("errors").set_index(["reference", "source", "subset", "parameter"])
    # peaks are known from the fit alone
    assert table.loc[("truth", "fits", "all", "peak"), "clouds"] == 0
    assert table.loc[("fit", "fits", "all", "peak"), "rmse"] < 0.02
    with pytest.raises(ValueError, match="mask"):
        annotated(Sample(picture, boxes[:1], ("MOT",), 0 * masks[:1]))


def test_tables(judged_truth, judged_hybrid):
    scores = judged_truth.table()
    assert len(scores) == 1
    assert scores.loc[0, ["set", "detector", "frames"]].tolist() == ["eight", "truth", FRAMES]
    assert scores.loc[0, ["box_map_MOT", "mask_map_ODT"]].tolist() == pytest.approx([1, 1])
    errors, fits = judged_hybrid.table("errors"), judged_hybrid.table("fits")
    assert tuple(errors.columns) == ERROR_COLUMNS
    assert tuple(fits.columns) == FIT_COLUMNS
    assert set(errors["reference"]) == {"truth", "fit"}
    assert set(errors["source"]) == {
        *("network masks", "fits", "threshold masks", MOMENTS, PLAIN_MOMENTS)
    }
    assert set(errors["subset"]) <= set(SUBSETS)
    assert (errors["clouds"] + errors["without"] <= judged_hybrid.clouds).all()
    each = judged_hybrid.clouds_table()
    ours = each[(each["source"] == "fits") & (each["reference"] == "fit")]
    assert rmse(judged_hybrid, "fits", "x0", "fit") == pytest.approx(
        math.sqrt((ours["x0"] ** 2).mean())
    )


def test_text_and_plain_numbers(judged_hybrid):
    text = judged_hybrid.text()
    for part in ("hybrid, eight: 8 frames", "mAP", "against the 2-D fit", "against the truth"):
        assert part in text
    for part in (*KINDS, "network masks", MOMENTS, "overlapping or fringed"):
        assert part in text
    plain = json.loads(json.dumps(judged_hybrid.to_dict(), allow_nan=False))
    assert plain["box_map"] == judged_hybrid.score.box.mean
    assert len(plain["errors"]) == len(judged_hybrid.table("errors"))
    untimed = [row for row in plain["fits"] if row["kind"] == AS_DETECTED]
    assert untimed
    assert all(row["median_seconds"] is None for row in untimed)


def test_nothing_to_find():
    frame = TrueFrame("empty", np.random.default_rng(2).normal(0, 0.1, SHAPE), ())
    found = evaluate([frame], make_detector("threshold"))
    assert (found.clouds, found.found, found.extra) == (0, 0, 0)
    assert math.isnan(found.score.box.mean)
    assert "nan" in found.text()
    assert found.to_dict()["box_map"] is None


def test_progress_and_errors(frames):
    done = []
    evaluate(frames[:5], truth_as_detector(frames), batch=2, unseeded=0, progress=done.append)
    assert done == [1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"expected method one of threshold, .*found 'yolo'"):
        make_detector("yolo")  # type: ignore[arg-type]


def test_figure(judged_hybrid, tmp_path):
    from napari_coldatoms.analyses.evaluation_figure import plot_evaluation

    figure = plot_evaluation(judged_hybrid)
    assert len(figure.axes) == 8
    assert figure.legends[0].get_texts()[0].get_text() == "network masks"
    # bars of the network's masks come first
    shown = [bar.get_height() for bar in figure.axes[7].patches[:7]]
    names = ("x0", "y0", "wx", "wy", "theta", "peak", "background")
    expected = [rmse(judged_hybrid, "network masks", name, "fit") for name in names]
    assert shown == pytest.approx([max(value, 1e-4) for value in expected])
    figure.savefig(tmp_path / "errors.png")
    # subsets without any cloud, and no clouds at all
    for none in (
        plot_evaluation(judged_hybrid, reference="truth", subset="no such"),
        plot_evaluation(replace(judged_hybrid, errors=(), fits=())),
    ):
        none.savefig(tmp_path / "none.png")
