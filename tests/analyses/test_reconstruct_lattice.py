"""Sites judged in every shot of a stack: tables, layers and drift against the truth."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari.layers import Layer

from napari_coldatoms.analyses import (
    ANALYSES,
    CalibrationError,
    MakePicture,
    ReconstructLattice,
    apply,
    process,
    save_calibration,
)
from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.analyses.lattice_light import how_bright
from napari_coldatoms.analyses.site_layers import (
    calibration_in,
    image_outline,
    image_sites,
    outline,
)
from napari_coldatoms.backend import Analysis, ParameterError, from_dict, run, to_dict
from napari_coldatoms.images.stack import StackError, make_stack
from napari_coldatoms.lattice import GaussianPSF, ImagingParameters, Lattice, simulate
from napari_coldatoms.lattice.calibration import Calibration, Quality
from napari_coldatoms.lattice.track import PhaseTrack

SITES = Lattice.square(4.0, (15, 16), origin=(14.0, 15.0))
PSF = GaussianPSF(2.7)
LIGHT = ImagingParameters(0.5, 1000, 100, 50, 2)
SHAPE = (86, 92)
TRAPS = Lattice.from_positions(
    np.array([(y, x) for y in (14, 26, 37) for x in (13, 25, 38)])
    + np.random.default_rng(2).uniform(-1, 1, (9, 2))
)
# slowly away by more than a site, and back a little
DRIFT = np.array([(0.0, 0.1), (0.8, -0.3), (1.7, -0.7), (2.6, -1.1), (3.3, -1.6), (2.8, -1.4)])
EMPTY = 3


def calibration_of(lattice: Lattice, shape, psf=PSF, light=LIGHT, **changes) -> Calibration:
    track = PhaseTrack(
        np.zeros((1, 2)),
        np.full((1, 2), 0.02),
        np.zeros((1, 2)),
        np.ones(1),
        np.ones(1),
        np.ones(1, dtype=bool),
        np.zeros(1, dtype=bool),
        np.zeros(1),
    )
    quality = Quality(True, (), 1, 1, (4.0, 4.0), (0.0, 0.0), (0.0, 90.0), (0.0, 0.0), 0, 9, 17, 0)
    return Calibration(lattice, psf, track, quality, shape, light, **changes)


def images_of(lattice, offsets, occupied, shape, psf=PSF, light=LIGHT, relative=1.0, seed=5):
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            simulate(
                lattice.shift(offset),
                psf,
                image_shape=shape,
                occupancy=present,
                brightness=light.brightness * relative,
                brightness_sd=light.brightness_sd,
                background=light.background,
                read_noise=light.read_noise,
                rng=rng,
            ).image
            for offset, present in zip(offsets, occupied, strict=True)
        ]
    ).astype(np.float32)


@pytest.fixture(scope="module")
def occupied() -> np.ndarray:
    present = np.random.default_rng(1).random((6, len(SITES))) < LIGHT.occupancy
    present[EMPTY] = False
    return present


@pytest.fixture(scope="module")
def drifting(occupied):
    return make_stack(
        images_of(SITES, DRIFT, occupied, SHAPE),
        name="shots",
        pixel_size=0.25,
        coords={"hold": np.arange(6.0), "source": [f"{k}.h5" for k in range(6)]},
        attrs={"kind": "fluorescence", "source": "/data/day"},
    )


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("calibration") / "sites.yaml"
    save_calibration(calibration_of(SITES, SHAPE), path)
    return path


@pytest.fixture(scope="module")
def done(drifting, calibrated):
    return run(ReconstructLattice(calibration=calibrated), drifting)


def test_it_is_an_analysis_with_plain_parameters(tmp_path):
    assert ANALYSES["reconstruct_lattice"] is ReconstructLattice
    analysis = ReconstructLattice(calibration=tmp_path / "a.yaml", method="local")
    assert isinstance(analysis, Analysis)
    assert to_dict(analysis)["calibration"] == str(tmp_path / "a.yaml")
    assert from_dict(ReconstructLattice, to_dict(analysis)) == analysis
    with pytest.raises(ParameterError, match="phase: expected one of 'per shot', 'calibrated'"):
        ReconstructLattice(phase="fixed")
    with pytest.raises(ParameterError, match="excess_noise: expected a number from 1"):
        ReconstructLattice(excess_noise=0.5)


def test_the_table_has_a_row_for_each_site_and_shot(done, drifting, occupied):
    table = done.table
    assert len(done.failures) == 0
    assert len(table) == 6 * len(SITES)
    assert table["valid"].all()
    assert (table["occupied"].to_numpy() == occupied.ravel()).all()
    assert ((table["probability"] > 0.5) == table["occupied"]).all()
    np.testing.assert_array_equal(table["i"], np.tile(SITES.labels[:, 0], 6))
    np.testing.assert_array_equal(table["shot"], np.repeat(np.arange(6), len(SITES)))
    np.testing.assert_array_equal(table["hold"], table["shot"])
    assert list(table["source"][:: len(SITES)]) == [f"{k}.h5" for k in range(6)]
    assert set(table["picture"]) == {"shots"}
    found = table[["y", "x"]].to_numpy().reshape(6, -1, 2)
    error = found - SITES.positions - DRIFT[:, None]
    seen = np.arange(6) != EMPTY
    assert np.sqrt((error[seen] ** 2).mean()) < 0.1
    np.testing.assert_allclose(table["y_um"], 0.25 * table["y"])
    np.testing.assert_allclose(table["x_um"], 0.25 * table["x"])
    assert table.attrs["units"] == {
        "y": "px",
        "x": "px",
        "brightness": "counts",
        "y_um": "um",
        "x_um": "um",
    }
    assert table.attrs["recipe"]["analysis"] == "reconstruct_lattice"
    assert table.attrs["source"] == "/data/day"
    bright = table["brightness"].to_numpy()[occupied.ravel()]
    assert bright.mean() == pytest.approx(1000, rel=0.02)


def test_places_are_those_of_the_stack_s_own_coordinates(drifting, calibrated):
    moved = drifting.assign_coords(y=drifting.y + 7, x=drifting.x - 3)
    moved.y.attrs, moved.x.attrs = drifting.y.attrs, drifting.x.attrs
    table = run(ReconstructLattice(calibration=calibrated), moved, frames=[(1,)]).table
    np.testing.assert_allclose(table["y_um"], 0.25 * table["y"] + 7)
    np.testing.assert_allclose(table["x_um"], 0.25 * table["x"] - 3)
    # of the one frame it is the right place, though the others were not analysed
    assert table["y"].mean() == pytest.approx(SITES.positions[:, 0].mean() + DRIFT[1, 0], abs=0.1)


def test_the_table_of_shots_tells_drift_and_filling(done, occupied):
    shots = done.analysis.shots(done)
    assert list(shots["atoms"]) == list(occupied.sum(axis=1))
    np.testing.assert_allclose(shots["filling"], occupied.mean(axis=1))
    offsets = shots[["offset_y", "offset_x"]].to_numpy()
    seen = np.arange(6) != EMPTY
    np.testing.assert_allclose(offsets[seen], DRIFT[seen], atol=0.12)
    # between its neighbours
    np.testing.assert_allclose(offsets[EMPTY], DRIFT[[2, 4]].mean(axis=0), atol=0.2)
    assert list(shots["trusted"]) == list(seen)
    assert (shots["offset_y_stderr"] < 0.1)[seen].all()
    assert shots["judged"].all()
    assert "taken from other shots; judged with the brightness" in shots["remarks"][EMPTY]
    assert (shots["remarks"][seen] == "").all()
    assert (shots["snr_db"] > 14).all()
    assert (shots["predicted_error_rate"] < 0.01).all()
    np.testing.assert_allclose(shots["threshold"][seen], 500, rtol=0.05)
    np.testing.assert_allclose(shots["brightness"][seen], 1000, rtol=0.05)
    np.testing.assert_allclose(shots["background"], 50, rtol=0.05)
    assert list(done.analysis.more_tables(done)) == ["shots"]
    assert done.analysis.comparison(done) is None


def test_without_a_rescue_an_empty_shot_is_not_judged(drifting, calibrated):
    analysis = ReconstructLattice(calibration=calibrated, brightness="each shot")
    empty = run(analysis, drifting[EMPTY])
    assert empty.table["probability"].isna().all()
    shots = analysis.shots(empty)
    assert not shots["judged"][0]
    assert np.isnan(shots["filling"][0])
    assert "no contrast" in shots["remarks"][0]


def test_an_empty_shot_alone_is_empty(drifting, calibrated):
    empty = run(ReconstructLattice(calibration=calibrated), drifting[EMPTY])
    assert not empty.table["occupied"].any()
    assert (empty.table["probability"] < 0.5).all()


def test_empty_full_and_single_atoms_among_others(calibrated):
    present = np.random.default_rng(4).random((6, len(SITES))) < 0.5
    present[1], present[2], present[4] = False, True, False
    present[4, 100] = True
    drift = np.linspace(0, 1, 6)[:, None] * [2, 1]
    stack = make_stack(images_of(SITES, drift, present, SHAPE))
    analysis = ReconstructLattice(calibration=calibrated)
    done = run(analysis, stack)
    assert (done.table["occupied"].to_numpy() == present.ravel()).all()
    shots = analysis.shots(done)
    assert shots["judged"].all()
    assert list(shots["trusted"][[1, 4]]) == [False, False]
    remark = "the lattice is too weak here: its place is not known, the calibrated one taken"
    assert analysis.shots(run(analysis, stack[1]))["remarks"][0].startswith(remark)


def test_sites_outside_the_frame_are_not_valid(tmp_path):
    big = Lattice.square(4.0, (40, 40), origin=(-20, -22))
    present = np.random.default_rng(4).random((2, len(big))) < 0.5
    save_calibration(calibration_of(big, SHAPE), tmp_path / "a.yaml")
    stack = make_stack(images_of(big, DRIFT[:2], present, SHAPE))
    done = run(ReconstructLattice(calibration=tmp_path / "a.yaml"), stack)
    table, valid = done.table, done.table["valid"].to_numpy()
    # a frame of 86 x 92 pixels has room for some 500 sites of 16
    assert 2 * 450 < valid.sum() < 2 * 530
    assert (table["occupied"].to_numpy() == present.ravel())[valid].mean() > 0.995
    assert table["probability"][~valid].isna().all()
    assert not table["occupied"][~valid].any()
    points = next(data for data, _, kind in done.analysis.layers(done) if kind == "points")
    assert len(points) == valid.sum()
    assert list(done.analysis.shots(done)["sites"]) == list(valid.reshape(2, -1).sum(axis=1))


def test_a_calibrated_phase_allows_for_a_fraction_of_a_site(calibrated, occupied):
    offsets = np.array([(0.0, 0.0), (0.5, -0.3)])
    stack = make_stack(images_of(SITES, offsets, occupied[:2], SHAPE))
    done = run(ReconstructLattice(calibration=calibrated, phase="calibrated"), stack)
    assert (done.table["occupied"].to_numpy() == occupied[:2].ravel()).mean() > 0.995
    shots = done.analysis.shots(done)
    np.testing.assert_allclose(shots[["offset_y", "offset_x"]], offsets, atol=0.12)
    assert shots["contrast"].isna().all()
    assert not shots["remarks"].any()
    assert "y_um" not in done.table


@pytest.mark.parametrize("method", ["local", "global", "deconvolution"])
def test_other_methods_follow_the_drift(method, drifting, calibrated, occupied):
    done = run(ReconstructLattice(calibration=calibrated, method=method), drifting, frames=[(4,)])
    wrong = done.table["occupied"].to_numpy() != occupied[4]
    assert wrong.mean() < (0.01 if method == "local" else 0.04)


@pytest.fixture(scope="module")
def tweezers(tmp_path_factory):
    light, psf = ImagingParameters(0.55, 350, 40, 15, 2), GaussianPSF(2.0)
    rng = np.random.default_rng(8)
    present = rng.random((14, 9)) < 0.55
    present[6] = False
    images = images_of(TRAPS, rng.normal(0, 0.1, (14, 2)), present, (52, 52), psf, light)
    path = tmp_path_factory.mktemp("tweezers") / "traps.yaml"
    save_calibration(calibration_of(TRAPS, (52, 52), psf, light), path)
    return make_stack(images, name="traps"), present, path


def test_few_sites_are_judged_together(tweezers):
    stack, present, path = tweezers
    done = run(ReconstructLattice(calibration=path), stack)
    assert (done.table["occupied"].to_numpy() == present.ravel()).all()
    brightness = done.analysis.shots(done)["brightness"]
    assert brightness.nunique() == 1
    assert brightness[0] == pytest.approx(350, rel=0.06)


def test_few_sites_in_one_shot_are_judged_as_calibrated(tweezers):
    stack, present, path = tweezers
    for shot in (2, 6):
        done = run(ReconstructLattice(calibration=path), stack[shot])
        assert (done.table["occupied"].to_numpy() == present[shot]).all()
        assert done.analysis.shots(done)["brightness"][0] == 350


def test_where_the_brightness_is_taken_from():
    big, small = Lattice.square(4.0, (20, 20)), Lattice.square(4.0, (5, 5))
    assert how_bright("auto", big, (100, 100), 1, known=True) == "each shot"
    assert how_bright("auto", big, (20, 20), 9, known=True) == "all shots"
    assert how_bright("auto", small, (50, 50), 9, known=True) == "all shots"
    assert how_bright("auto", small, (50, 50), 1, known=True) == "calibrated"
    assert how_bright("auto", small, (50, 50), 1, known=False) == "each shot"
    assert how_bright("calibrated", big, (100, 100), 9, known=False) == "calibrated"


def test_uneven_light_is_learnt(tmp_path, occupied):
    y, x = (SITES.positions - SITES.positions.mean(axis=0)).T
    uneven = np.exp(-(y**2 + x**2) / 45**2)
    stack = make_stack(images_of(SITES, DRIFT[[0, 1, 2, 4]], occupied[:4] | occupied[1], SHAPE))
    images = images_of(SITES, DRIFT[[0, 1, 2, 4]], occupied[[0, 1, 2, 4]], SHAPE, relative=uneven)
    save_calibration(calibration_of(SITES, SHAPE), tmp_path / "a.yaml")
    analysis = ReconstructLattice(calibration=tmp_path / "a.yaml", brightness_map=True)
    done = run(analysis, stack.copy(data=images))
    learnt = done.results[0].images[0].found.relative_brightness
    error = learnt / uneven * uneven.mean() / learnt.mean()
    assert np.std(error) < 0.08
    assert (done.table["occupied"].to_numpy() == occupied[[0, 1, 2, 4]].ravel()).mean() > 0.99


@pytest.fixture(scope="module")
def pairs(calibrated):
    rng = np.random.default_rng(21)
    first = rng.random((4, len(SITES))) < 0.4
    later = first & (rng.random(first.shape) < 0.9)
    present = np.stack([first, later], axis=1)
    images = images_of(SITES, np.repeat(DRIFT[:4], 2, axis=0), present.reshape(8, -1), SHAPE)
    stack = make_stack(
        images.reshape(4, 2, *SHAPE), roles=["fluorescence"] * 2, name="pairs", pixel_size=0.25
    )
    return stack, present


def test_pairs_tell_survival(pairs, calibrated):
    stack, present = pairs
    analysis = ReconstructLattice(calibration=calibrated)
    assert analysis.takes(stack)
    done = run(analysis, stack)
    table = done.table
    assert list(dict.fromkeys(zip(table["shot"], table["image"], strict=True))) == [
        (shot, image) for shot in range(4) for image in (0, 1)
    ]
    assert (table["occupied"].to_numpy() == present.ravel()).mean() > 0.998
    true = (present[:, 0] & present[:, 1]).sum() / present[:, 0].sum()
    assert analysis.comparison(done).survival.value == pytest.approx(true, abs=0.005)
    shots = analysis.shots(done)
    each = (present[:, 0] & present[:, 1]).sum(axis=1) / present[:, 0].sum(axis=1)
    np.testing.assert_allclose(shots["survival"][::2], each, atol=0.02)
    assert (shots["survival_low"] < shots["survival"]).all()
    at_sites = analysis.more_tables(done)["pairs"]
    assert len(at_sites) == len(SITES) + 1
    assert at_sites.iloc[-1]["survival"] == pytest.approx(true, abs=0.005)
    assert list(at_sites.iloc[-1][["i", "j", "pairs"]]) == [-1, -1, 4]


def test_layers_of_pairs_have_the_axes_of_their_frames(pairs, calibrated):
    stack, present = pairs
    done = run(ReconstructLattice(calibration=calibrated, cells=True), stack, frames=[(1,)])
    layers = {kind: Layer.create(*rest, kind) for *rest, kind in done.analysis.layers(done)}
    for kind in ("points", "shapes"):
        assert layers[kind].axis_labels == ("frame", "shot", "y", "x")
        np.testing.assert_allclose(layers[kind].scale, (1, 1, 0.25, 0.25))
    places = layers["points"].data
    assert set(map(tuple, places[:, :2])) == {(0, 1), (1, 1)}
    assert layers["points"].features["occupied"].sum() == present[1].sum()
    assert layers["labels"].data.shape == SHAPE


def test_two_frames_of_any_role_may_be_pairs(pairs, calibrated):
    stack, present = pairs
    guessed = stack.assign_coords(frame=["atoms", "probe"])
    plain = ReconstructLattice(calibration=calibrated)
    assert not plain.takes(guessed)
    with pytest.raises(StackError, match="pairs: expected pictures, or raw frames with several im"):
        plain.prepare(guessed)
    told = replace(plain, pairs=True)
    assert told.takes(guessed)
    table = run(told, guessed, frames=[(0,)]).table
    assert (table["occupied"].to_numpy() == present[0].ravel()).mean() > 0.99


def test_layers_show_sites_where_the_image_has_them(done, drifting, occupied):
    analysis = replace(done.analysis, cells=True)
    made = analysis.layers(replace(done, analysis=analysis))
    layers = {kind: Layer.create(*rest, kind) for *rest, kind in made}
    assert list(layers) == ["labels", "shapes", "points"]
    assert [layer.name for layer in layers.values()] == [
        "shots cells",
        "shots outline",
        "shots sites",
    ]
    for kind, layer in layers.items():
        ndim = 2 if kind == "labels" else 3
        assert layer.axis_labels == ("shot", "y", "x")[-ndim:]
        np.testing.assert_allclose(layer.scale, (1, 0.25, 0.25)[-ndim:])
        assert [str(unit) for unit in layer.units[-2:]] == ["micrometer", "micrometer"]
        assert layer.metadata["napari_coldatoms"]["recipe"]["analysis"] == "reconstruct_lattice"
    points = layers["points"]
    table = done.table
    np.testing.assert_allclose(points.data, table[["shot", "y", "x"]])
    assert list(points.features["occupied"]) == list(occupied.ravel())
    filled = points.face_color[:, 3] > 0
    assert (filled == occupied.ravel()).all()
    assert (points.border_color[:, 3] > 0).all()
    assert points.size.max() == pytest.approx(2.4)
    empty = table["shot"].to_numpy() == EMPTY
    assert (points.features["uncertain"][~empty]).mean() < 0.01
    labels = layers["labels"]
    for site in (0, 40, len(SITES) - 1):
        row, column = np.rint(SITES.positions[site]).astype(int)
        assert labels.data[row, column] == site + 1
        assert tuple(labels.features.loc[site + 1, ["i", "j"]]) == tuple(SITES.labels[site])
    assert labels.data[0, 0] == 0
    assert len(layers["shapes"].data) == 6


def test_one_image_has_points_and_outline_of_its_own(done):
    image = done.results[4].images[0]
    layers = [Layer.create(*rest, kind) for *rest, kind in (image_sites(done, image),)]
    outlines = Layer.create(*image_outline(done, image))
    for layer in (*layers, outlines):
        assert layer.axis_labels == ("y", "x")
        np.testing.assert_allclose(layer.scale, (0.25, 0.25))
    np.testing.assert_array_equal(layers[0].data, image.lattice.positions)
    assert layers[0].features["occupied"].sum() == image.atoms
    # an image without contrast: nothing is known of its sites
    unclear = replace(image, found=replace(image.found, probability=np.full(len(SITES), np.nan)))
    points = Layer.create(*image_sites(done, unclear))
    assert set(map(str, points.symbol)) == {"diamond"}


def test_the_calibration_travels_with_the_layers(done):
    for *rest, kind in done.analysis.layers(done):
        found = calibration_in(Layer.create(*rest, kind).metadata)
        np.testing.assert_array_equal(found.lattice.positions, SITES.positions)
        assert found.psf.hwhm == PSF.hwhm
        assert found.parameters == LIGHT
    assert calibration_in({}) is None
    assert calibration_in({"napari_coldatoms": {"calibration": {"values": {}}}}) is None


def test_a_threshold_by_hand_decides_by_brightness_alone(done, drifting, calibrated):
    by_hand = run(ReconstructLattice(calibration=calibrated, threshold=700.0), drifting[:2])
    table = by_hand.table
    assert (table["occupied"] == (table["brightness"] > 700)).all()
    shots = by_hand.analysis.shots(by_hand)
    assert (shots["threshold"] == 700).all()
    # too high: more atoms are missed, and that is foreseen
    automatic = done.analysis.shots(done)[:2]
    assert (shots["atoms"] <= automatic["atoms"]).all()
    assert (shots["predicted_error_rate"] >= automatic["predicted_error_rate"]).all()
    p = by_hand.results[0].images[0].found.probability
    wrong = np.where(table["occupied"][: len(SITES)], 1 - p, p).mean()
    assert shots["predicted_error_rate"][0] == pytest.approx(wrong)


def test_a_camera_with_offset_and_gain_makes_no_difference(done, drifting, calibrated):
    raw = drifting[:2].copy(data=2.5 * drifting[:2].values + 400)
    plain = run(done.analysis, drifting[:2]).table
    told = run(ReconstructLattice(calibration=calibrated, offset=400.0, gain=2.5), raw).table
    # the pictures are of single precision
    np.testing.assert_allclose(told["brightness"], plain["brightness"], rtol=1e-3, atol=0.1)
    known = calibrate_lattice(raw, guess=SITES, offset=400.0, gain=2.5, read_noise=2.0)
    assert (known.offset, known.gain) == (400, 2.5)
    assert known.parameters.brightness == pytest.approx(1000, rel=0.02)
    analysis = ReconstructLattice()
    taken = run(analysis, raw, context=analysis.context(raw, known)).table
    assert (taken["occupied"] == plain["occupied"]).all()


def test_a_background_may_be_given(done, drifting, calibrated):
    # whatever is found where nothing is said, here it is 50
    given = run(ReconstructLattice(calibration=calibrated, background=50.0), drifting[:1])
    assert given.analysis.shots(given)["background"][0] == 50
    assert given.results[0].images[0].atoms == done.results[0].images[0].atoms


def test_some_shots_are_prepared_alone_and_progress_may_end_it(done, drifting, calibrated):
    calls = []
    some = done.analysis.context(
        drifting, shots=[4, 1], progress=lambda now, total: calls.append((now, total))
    )
    assert calls == [(1, 2), (2, 2)]
    alone = run(done.analysis, drifting, frames=[(1,), (4,)], context=some)
    for found, same in zip(alone.results, (done.results[1], done.results[4]), strict=True):
        assert found.images[0].atoms == same.images[0].atoms

    def stop(now: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        done.analysis.context(drifting, progress=stop)


def test_a_single_picture_has_layers_of_two_dimensions(drifting, calibrated):
    done = run(ReconstructLattice(calibration=calibrated), drifting[0])
    for *rest, kind in done.analysis.layers(done):
        layer = Layer.create(*rest, kind)
        assert layer.ndim == 2
        assert layer.axis_labels == ("y", "x")


def test_layers_without_any_result_are_empty(drifting, calibrated):
    done = run(ReconstructLattice(calibration=calibrated), drifting, frames=[])
    for *rest, kind in done.analysis.layers(done):
        assert len(Layer.create(*rest, kind).data) == 0
    assert len(done.table) == 0


@pytest.mark.parametrize("lattice", [SITES, TRAPS, Lattice.from_positions([(5.0, 5.0)])])
def test_the_outline_is_around_all_sites(lattice):
    from matplotlib.path import Path as Polygon

    corners = outline(lattice)
    assert Polygon(corners).contains_points(lattice.positions).all()
    if lattice is SITES:
        ends = np.unique(corners, axis=0)
        np.testing.assert_allclose(ends, [(12, 13), (12, 77), (72, 13), (72, 77)])


@pytest.mark.slow
def test_threads_and_processes_find_the_same(drifting, calibrated, done):
    analysis = ReconstructLattice(calibration=calibrated)
    frames = [(0,), (EMPTY,)]
    expected = done.table[done.table["shot"].isin([0, EMPTY])].reset_index(drop=True)
    context = multiprocessing.get_context("spawn")
    for pool in (ThreadPoolExecutor(2), ProcessPoolExecutor(1, mp_context=context)):
        with pool:
            table = run(analysis, drifting, executor=pool, frames=frames).table
        pd.testing.assert_frame_equal(table, expected, check_categorical=False)


def test_without_a_calibration_the_shots_are_calibrated(drifting, occupied):
    done = run(ReconstructLattice(read_noise=2.0), drifting[[0, 1, 2]])
    known = done.analysis.prepare(drifting[[0, 1, 2]]).calibration
    assert known.source == "/data/day"
    np.testing.assert_allclose(known.quality.spacing, 4.0, rtol=5e-3)
    shots = done.analysis.shots(done)
    np.testing.assert_allclose(shots["atoms"], occupied[:3].sum(axis=1), atol=2)
    drift = shots[["offset_y", "offset_x"]].to_numpy()
    np.testing.assert_allclose(np.diff(drift, axis=0), np.diff(DRIFT[:3], axis=0), atol=0.15)


def test_a_calibration_in_doubt_is_told(drifting, tmp_path):
    known = calibration_of(SITES, SHAPE)
    quality = replace(known.quality, trusted=False, remarks=("few atoms",))
    save_calibration(replace(known, quality=quality), tmp_path / "a.yaml")
    done = run(ReconstructLattice(calibration=tmp_path / "a.yaml"), drifting[0])
    remarks = done.analysis.shots(done)["remarks"][0]
    assert remarks == "the calibration is not trusted: few atoms"


def test_what_cannot_be_analysed_is_refused(drifting, calibrated, tmp_path):
    analysis = ReconstructLattice(calibration=calibrated)
    with pytest.raises(StackError, match="expected images of 86 × 92 pixels as in the calibration"):
        run(analysis, drifting[:, :80])
    with pytest.raises(CalibrationError, match=r"no\.yaml: expected a calibration, found No such"):
        run(ReconstructLattice(calibration=tmp_path / "no.yaml"), drifting)
    save_calibration(calibration_of(SITES, SHAPE, light=None), tmp_path / "a.yaml")
    dark = ReconstructLattice(calibration=tmp_path / "a.yaml", brightness="calibrated")
    with pytest.raises(ValueError, match="expected a calibration with imaging parameters, found n"):
        run(dark, drifting)


def test_one_bad_shot_leaves_the_others_alone(drifting, calibrated, occupied):
    spoilt = drifting.copy()
    spoilt[1] = np.nan
    done = run(ReconstructLattice(calibration=calibrated), spoilt)
    assert list(done.failures["shot"]) == [1]
    assert set(done.table["shot"]) == {0, 2, 3, 4, 5}
    good = [0, 2, 4, 5]
    found = done.table[done.table["shot"].isin(good)]["occupied"].to_numpy()
    assert (found == occupied[good].ravel()).mean() > 0.998


def test_a_recipe_repeats_it(done, drifting, tmp_path):
    done.recipe.save(tmp_path / "recipe.yaml")
    again = apply(tmp_path / "recipe.yaml", drifting)
    pd.testing.assert_frame_equal(again.table, done.table)


def test_files_are_one_series(drifting, calibrated, occupied, tmp_path):
    for shot in range(6):
        np.save(tmp_path / f"shot_{shot}.npy", drifting[shot].to_numpy())
    (tmp_path / "shot_9.npy").write_bytes(b"no camera file")
    (tmp_path / "notes.txt").write_text("drifted")
    analysis = ReconstructLattice(calibration=calibrated)
    batch = process([tmp_path], analysis, MakePicture(kind="fluorescence"))
    assert (batch.analysed, batch.shots) == (6, 6)
    assert [path.name for path, _ in batch.foreign] == ["notes.txt"]
    assert len(batch.failures) == 1
    assert "shot_9.npy" in batch.failures["source"][0]
    assert (batch.table["occupied"].to_numpy() == occupied.ravel()).all()
    shots = batch.more["shots"]
    # only with its neighbours the place of the empty one is known
    np.testing.assert_allclose(shots["offset_y"][EMPTY], DRIFT[[2, 4], 0].mean(), atol=0.2)
    assert shots.attrs["units"]["offset_y"] == "px"
    assert shots.attrs["recipe"]["analysis"] == "reconstruct_lattice"


def test_files_of_another_size_are_told_and_numbered(drifting, calibrated, tmp_path):
    np.save(tmp_path / "a_0.npy", drifting[0].to_numpy())
    np.save(tmp_path / "b_1.npy", drifting[1, :60].to_numpy())
    batch = process([tmp_path], ReconstructLattice(calibration=calibrated))
    assert (batch.analysed, batch.shots) == (1, 2)
    assert len(batch.failures) == 1
    assert "found 60 × 92 pixels" in batch.failures["error"][0]
