"""Clouds as table, layers and models, against the truth they were made from."""

from __future__ import annotations

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from napari.layers import Layer

from napari_coldatoms.analyses import ANALYSES, DetectClouds
from napari_coldatoms.analyses.detect_clouds import model, paint
from napari_coldatoms.backend import Analysis, ParameterError, from_dict, layers, run, to_dict
from napari_coldatoms.clouds.threshold import ThresholdOptions
from napari_coldatoms.images.stack import StackError, make_stack

GAUSSIAN = ("x0", "y0", "wx", "wy", "theta", "peak", "background")


def by_name(made):
    return {kwargs["name"]: (data, kwargs, kind) for data, kwargs, kind in made}


def test_it_is_an_analysis_with_plain_parameters():
    assert ANALYSES["detect_clouds"] is DetectClouds
    assert list(ANALYSES) == ["count_atoms", "detect_clouds", "reconstruct_lattice"]
    analysis = DetectClouds(
        method="threshold", angle=30.0, threshold=ThresholdOptions(significance=8.0)
    )
    assert isinstance(analysis, Analysis)
    assert from_dict(DetectClouds, to_dict(analysis)) == analysis
    with pytest.raises(ParameterError, match="threshold: expected floor between"):
        from_dict(DetectClouds, {"threshold": {"significance": 2.0}})
    with pytest.raises(ParameterError, match="binning: expected a whole number from 1 to 16"):
        DetectClouds(method="threshold", binning=0)


def test_the_table_holds_the_truth_within_its_errors(pictures, truth):
    done = run(DetectClouds(method="threshold"), pictures)
    table = done.table
    assert list(table["shot"]) == [0, 0, 1]
    assert list(table["cloud"]) == [1, 2, 1]
    assert list(table["hold"]) == [1.0, 1.0, 2.0]
    assert list(table["source"]) == ["a.h5", "a.h5", "b.h5"]
    assert set(table["picture"]) == {"shots"}
    assert set(table["quality"]) == {"good"}
    assert table["success"].all()
    for _, row in table.iterrows():
        clouds = truth[row["shot"]]
        true = min(clouds, key=lambda g: abs(g.x0 - row["x0"]))
        for name in GAUSSIAN:
            expected = getattr(true, name)
            expected = math.degrees(expected) if name == "theta" else expected
            # seven numbers of three clouds: 4 standard errors are out of reach of chance
            assert abs(row[name] - expected) < 4 * row[f"{name}_stderr"], name
        assert abs(row["integral"] - true.integral) < 4 * row["integral_stderr"]
        assert 0.8 < row["reduced_chi2"] < 1.2
        assert row["mask_x0"] == pytest.approx(true.x0, abs=0.5)
        assert row["mask_area"] == pytest.approx(math.pi * true.wx * true.wy, rel=0.25)
        # the box: 1/e² extents as pixel edges
        box = [row[f"box_{edge}"] for edge in ("y0", "x0", "y1", "x1")]
        np.testing.assert_allclose(box, true.ellipse_box(), atol=0.5)


def test_the_error_of_the_integral_counts_correlations():
    # many noisy pictures of one cloud: the scatter of the integral is its standard error
    rng = np.random.default_rng(5)
    from napari_coldatoms.clouds.gaussian import Gaussian2D

    cloud = Gaussian2D(24.0, 20.0, 9.0, 5.0, 0.5, 1.0, 0.1).image((40, 48))
    stack = make_stack(cloud + rng.normal(0, 0.08, (60, 40, 48)))
    table = run(DetectClouds(method="threshold"), stack).table
    assert len(table) == 60
    ratio = table["integral"].std() / table["integral_stderr"].mean()
    assert 0.72 < ratio < 1.28  # a standard deviation from 60 is known to 9 %


def test_physical_columns_and_their_units(pictures):
    shifted = pictures.assign_coords(
        x=("x", 100.0 + 2.0 * np.arange(130), {"units": "um"}),
        y=("y", 50.0 + 2.0 * np.arange(90), {"units": "um"}),
    )
    table = run(DetectClouds(method="threshold"), shifted).table
    np.testing.assert_allclose(table["x0_um"], 100 + 2 * table["x0"])
    np.testing.assert_allclose(table["y0_um"], 50 + 2 * table["y0"])
    np.testing.assert_allclose(table["wx_um"], 2 * table["wx"])
    np.testing.assert_allclose(table["wy_um_stderr"], 2 * table["wy_stderr"])
    np.testing.assert_allclose(table["integral_um2"], 4 * table["integral"])
    np.testing.assert_allclose(table["integral_um2_stderr"], 4 * table["integral_stderr"])
    units = table.attrs["units"]
    assert units["x0"] == "px"
    assert units["theta_stderr"] == "deg"
    assert units["wx_um"] == units["wx_um_stderr"] == "um"
    assert units["integral_um2"] == "um^2"
    assert set(units) <= set(table.columns)
    assert "theta_physical" not in table


def test_pixels_that_are_not_square_turn_the_axes(pictures):
    stretched = pictures.assign_coords(
        x=("x", 2.0 * np.arange(130), {"units": "mm"}),
        y=("y", 6.0 * np.arange(90), {"units": "mm"}),
    )
    table = run(DetectClouds(method="threshold"), stretched).table
    np.testing.assert_allclose(table["integral_mm2"], 12 * table["integral"], rtol=1e-9)
    # a long axis at 0.4 rad is steeper in space
    first = table.iloc[0]
    assert first["theta_physical"] > 40 > first["theta"]
    assert np.isfinite(first["theta_physical_stderr"])


def test_without_a_pixel_size_there_are_pixels_only(pictures):
    table = run(DetectClouds(method="threshold"), pictures.drop_vars(["x", "y"])).table
    assert not [c for c in table.columns if "_um" in c or "physical" in c]


def test_without_fit_the_mask_tells(pictures):
    done = run(DetectClouds(method="threshold", fit=False), pictures)
    table = done.table
    assert set(table["quality"]) == {"not fitted"}
    assert not table["success"].any()
    for name in GAUSSIAN:
        np.testing.assert_array_equal(table[name], table[f"mask_{name}"])
        assert table[f"{name}_stderr"].isna().all()
    assert table["integral_stderr"].isna().all()
    np.testing.assert_allclose(table["wx_um"], 2 * table["wx"])
    fitted = run(DetectClouds(method="threshold"), pictures).table
    assert list(table.columns) == list(fitted.columns)
    assert table.dtypes.to_dict() == fitted.dtypes.to_dict()


def test_fixed_axes_are_not_swapped(pictures, truth):
    table = run(
        DetectClouds(method="threshold", axes="fixed", angle=math.degrees(0.4) - 90.0), pictures[:1]
    ).table
    first = table.iloc[0]
    assert first["theta"] == pytest.approx(math.degrees(0.4) - 90.0)
    assert first["wx"] == pytest.approx(truth[0][0].wy, rel=0.05)
    assert first["wy"] == pytest.approx(truth[0][0].wx, rel=0.05)
    assert first["theta_stderr"] == 0.0


def test_scan_parameters_do_not_hide_columns(pictures):
    table = run(
        DetectClouds(method="threshold"), pictures.assign_coords(peak=("shot", [7, 8, 9]))
    ).table
    assert list(table["peak_scan"]) == [7, 7, 8]
    assert (table["peak"] < 2).all()
    assert table.columns.is_unique


def test_every_executor_gives_the_same_table(pictures):
    analysis = DetectClouds(method="threshold")
    serial = run(analysis, pictures)
    with ThreadPoolExecutor(2) as threads:
        threaded = run(analysis, pictures, executor=threads)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        spawned = run(analysis, pictures, executor=processes)
    pd.testing.assert_frame_equal(threaded.table, serial.table)
    pd.testing.assert_frame_equal(spawned.table, serial.table)
    assert spawned.table.attrs == serial.table.attrs


def test_a_frame_without_pixels_leaves_the_others(pictures):
    pictures[0] = np.nan
    done = run(DetectClouds(method="threshold"), pictures)
    assert list(done.table["shot"]) == [1]
    assert len(done.frames) == 3


def test_raw_frames_are_refused_before_any_work(pictures):
    raw = make_stack(pictures.values, roles=["atoms", "probe", "dark"], name="raw")
    with pytest.raises(StackError, match=r"raw: expected pictures .* found raw frames \(atoms, pr"):
        run(DetectClouds(method="threshold"), raw)


def test_layers_lie_on_the_clouds(pictures, truth):
    done = run(DetectClouds(method="threshold"), pictures)
    made = by_name(done.analysis.layers(done))
    assert list(made) == ["shots masks: cloud", "shots boxes", "shots ellipses"]
    created = {name: Layer.create(*layer) for name, layer in made.items()}
    for layer in created.values():
        assert layer.ndim == 3
        assert layer.scale.tolist() == [1, 2, 2]
        assert [str(unit) for unit in layer.units] == ["pixel", "micrometer", "micrometer"]
        assert layer.axis_labels == ("shot", "y", "x")
        ours = layer.metadata["napari_coldatoms"]
        assert ours["recipe"] == done.recipe.to_dict()
        assert ours["source"] == "/data/day"
    boxes, ellipses = created["shots boxes"], created["shots ellipses"]
    assert [outline[0, 0] for outline in boxes.data] == [0, 0, 1]
    assert list(boxes.shape_type) == ["rectangle"] * 3
    assert list(ellipses.shape_type) == ["ellipse"] * 3
    pd.testing.assert_frame_equal(boxes.features, done.table, check_dtype=False)
    pd.testing.assert_frame_equal(ellipses.features, done.table, check_dtype=False)
    score = done.table["score"][0]
    assert boxes.text.values[0] == f"cloud {score:.2f}"

    masks = created["shots masks: cloud"].data
    assert masks.dtype == np.uint16
    assert not masks[2].any()
    for _, row in done.table.iterrows():
        shot, number = row["shot"], row["cloud"]
        assert np.count_nonzero(masks[shot] == number) == row["mask_area"]
        true = min(truth[shot], key=lambda g: abs(g.x0 - row["x0"]))
        ours, theirs = masks[shot] == number, true.mask((90, 130))
        assert np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs) > 0.8


def test_ellipses_are_the_ones_of_the_fit(pictures, truth):
    done = run(DetectClouds(method="threshold"), pictures[1])
    data, kwargs, _ = by_name(done.analysis.layers(done))["shots ellipses"]
    layer = Layer.create(data, {**kwargs, "scale": (1, 1), "translate": (0, 0)}, "shapes")
    assert layer.ndim == 2
    drawn = layer.to_masks((90, 130))[0]
    expected = truth[1][0].mask((90, 130))
    assert np.count_nonzero(drawn ^ expected) <= 0.06 * np.count_nonzero(expected)


def test_no_clouds_are_layers_all_the_same(pictures):
    done = run(DetectClouds(method="threshold"), pictures[2:])
    assert len(done.table) == 0
    filled = run(DetectClouds(method="threshold"), pictures).table
    assert done.table.dtypes.drop("hold").to_dict() == filled.dtypes.drop("hold").to_dict()
    created = {
        name: Layer.create(*layer) for name, layer in by_name(done.analysis.layers(done)).items()
    }
    assert list(created) == ["shots masks: cloud", "shots boxes", "shots ellipses"]
    assert all(layer.ndim == 3 for layer in created.values())
    assert not created["shots masks: cloud"].data.any()
    assert len(created["shots boxes"].data) == 0


def test_classes_have_their_own_masks_and_the_smaller_cloud_is_on_top(pictures):
    done = run(DetectClouds(method="threshold"), pictures[0])
    (large, small) = sorted(done.results[0], key=lambda cloud: -cloud.area)
    inside = replace(small, offset=large.offset, shape=large.shape)
    for order in ([large, inside], [inside, large]):
        painted = paint(order, (90, 130), "cloud", np.uint16)
        assert np.count_nonzero(painted == order.index(inside) + 1) == inside.area
    classes = [replace(large, label="MOT"), replace(inside, label="ODT")]
    frame = replace(done.frames[0], result=classes)
    two = replace(done, frames=(frame,))
    made = by_name(two.analysis.layers(two))
    assert {"shots masks: MOT", "shots masks: ODT", "shots masks: cloud"} < set(made)
    assert np.count_nonzero(made["shots masks: MOT"][0] == 1) == large.area
    assert np.count_nonzero(made["shots masks: ODT"][0] == 2) == inside.area
    assert not made["shots masks: cloud"][0].any()
    colours = made["shots boxes"][1]["edge_color"]
    assert colours[0] != colours[1]


def test_model_and_residual(pictures, truth):
    done = run(DetectClouds(method="threshold"), pictures)
    fitted, residual = done.analysis.models(done)
    np.testing.assert_allclose(fitted + residual, pictures, atol=1e-5)
    expected = sum(g.image((90, 130)) for g in truth[0])
    assert float(abs(fitted[0] - expected).max()) < 0.05
    # what is left is the noise
    assert float(residual.std()) == pytest.approx(0.02, rel=0.05)
    np.testing.assert_allclose(fitted[2], 0.0, atol=0.005)
    created = [Layer.create(*layer) for layer in done.analysis.model_layers(done)]
    assert [layer.name for layer in created] == ["shots model", "shots residual"]
    for layer in created:
        assert layer.scale.tolist() == [1, 2, 2]
        assert layer.metadata["napari_coldatoms"]["recipe"] == done.recipe.to_dict()


def test_frames_that_were_not_analysed_have_no_model(pictures):
    done = run(DetectClouds(method="threshold"), pictures, frames=[(1,)])
    fitted, residual = done.analysis.models(done)
    assert np.isnan(fitted[0]).all()
    assert np.isfinite(residual[1]).all()


def test_large_stacks_stay_lazy(pictures, monkeypatch):
    lazy = pictures.copy(data=da.from_array(pictures.values, chunks=(1, 90, 130)))
    done = run(DetectClouds(method="threshold"), lazy)
    eager = by_name(done.analysis.layers(done))["shots masks: cloud"][0]
    fitted_eager, _ = done.analysis.models(done)
    monkeypatch.setattr(layers, "LAZY_ABOVE", 0)
    masks = by_name(done.analysis.layers(done))["shots masks: cloud"][0]
    fitted, residual = done.analysis.models(done)
    assert all(isinstance(array, da.Array) for array in (masks, fitted.data, residual.data))
    np.testing.assert_array_equal(masks.compute(), eager)
    np.testing.assert_array_equal(fitted.compute(), fitted_eager)


def test_a_model_without_clouds_is_the_background():
    picture = np.full((5, 6), 0.25)
    picture[0, 0] = np.nan
    np.testing.assert_array_equal(model([], picture), 0.25)
    assert np.isnan(model([], np.full((5, 6), np.nan))).all()
