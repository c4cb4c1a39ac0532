import math
import threading

import dask.array as da
import numpy as np
import pytest
from napari.layers import Points
from scipy import stats

from napari_coldatoms.images import make_stack, region_masks
from napari_coldatoms.photons import FitWarning, SiteCounts, counts_from_stack, stack_pixels
from napari_coldatoms.photons.site_background import ring_pixels

SIDE = 5


def spot(sd=1.2, dy=0.2, dx=-0.3):
    edges = np.arange(SIDE + 1) - SIDE / 2
    along = [np.diff(stats.norm.cdf(edges, centre, sd)) for centre in (dy, dx)]
    return np.outer(*along)


def emccd(shots, photons, background, rng, sites=1, pitch=8):
    """Return frames (shots, pitch, sites * pitch) in photons and which sites were bright."""
    bright = rng.random((sites, shots)) < 0.5
    mean = np.full((shots, pitch, sites * pitch), background)
    for site in range(sites):
        columns = slice(site * pitch + 1, site * pitch + 1 + SIDE)
        mean[:, 1 : 1 + SIDE, columns] += photons * bright[site][:, None, None] * spot()
    frames = rng.standard_gamma(rng.poisson(mean).astype(float))
    return frames + rng.normal(0, 0.1, frames.shape), bright


def labels_of(sites, pitch=8):
    labels = np.zeros((pitch, sites * pitch), int)
    for site in range(sites):
        labels[1 : 1 + SIDE, site * pitch + 1 : site * pitch + 1 + SIDE] = site + 1
    return labels


def readout_error(counts, bright):
    """Return the mean error of both classes at the best cut, sites (sites, shots) averaged."""
    errors = []
    for values, truth in zip(counts, bright, strict=True):
        order = truth[np.argsort(values, kind="stable")]
        missed = np.concatenate([[0], np.cumsum(order)]) / order.sum()
        false = 1 - np.concatenate([[0], np.cumsum(~order)]) / (~order).sum()
        errors.append((missed + false).min() / 2)
    return float(np.mean(errors))


def difference(found, bright):
    """Return by how much bright shots have more counts than dark ones, over all sites."""
    pairs = zip(found.counts, bright, strict=True)
    return np.mean([counts[some].mean() - counts[~some].mean() for counts, some in pairs])


def scan():
    rng = np.random.default_rng(0)
    return make_stack(
        rng.integers(90, 120, (6, 10, 12)).astype(np.uint16),
        pixel_size=0.5,
        coords={"hold": np.linspace(0, 1, 6), "shot": np.arange(100, 106), "detuning": -3.0},
    )


LABELS = np.zeros((10, 12), int)
LABELS[1:4, 2:5] = 4
LABELS[6:8, 7:11] = 9


def test_plain_sums():
    stack = scan()
    found = counts_from_stack(stack, LABELS)
    pixels = stack.values.astype(float)
    expected = [pixels[:, label == LABELS].sum(axis=1) for label in (4, 9)]
    np.testing.assert_array_equal(found.counts, expected)
    assert found.positions.tolist() == [[2, 3], [6.5, 8.5]]
    assert found.numbers.tolist() == [4, 9]
    assert found.pixels.tolist() == [9, 8]
    assert found.unit == "counts"
    assert not found.background.any()
    assert found.remarks == ()
    np.testing.assert_array_equal(found.whole(), np.array(expected, int))
    one = counts_from_stack(stack[2], LABELS)
    np.testing.assert_array_equal(one.counts, found.counts[:, 2:3])
    np.testing.assert_array_equal(counts_from_stack(pixels[2], LABELS).counts, one.counts)


def test_the_table_is_tidy():
    stack = scan()
    stack["hold"].attrs["units"] = "ms"
    table = counts_from_stack(stack, LABELS).table()
    assert list(table.columns) == ["site", "shot", "counts", "hold", "shot_value", "detuning"]
    assert table.attrs["units"] == {"counts": "counts", "hold": "ms"}
    assert len(table) == 12
    row = table[(table.site == 9) & (table.shot == 3)].iloc[0]
    assert row.counts == stack.values[3][LABELS == 9].sum()
    assert (row.hold, row.shot_value, row.detuning) == pytest.approx((0.6, 103, -3.0))


def test_masks_weigh_their_pixels():
    pixels = scan().values.astype(float)
    mask = np.random.default_rng(2).random((1, 10, 12)) * (LABELS > 0)
    expected = [(pixels * mask[0]).sum(axis=(1, 2))]
    np.testing.assert_allclose(counts_from_stack(pixels, mask).counts, expected, rtol=1e-13)


def test_points_over_a_stack_of_known_place():
    stack = scan()
    layer = Points([[0, 4.0, 3.0]], size=4.2, scale=(1, 0.5, 0.25), translate=(0, 0, 1))
    found = counts_from_stack(stack, layer)
    y, x = np.mgrid[:10, :12]
    inside = ((y - 4) / 2.1) ** 2 + ((x - (3 * 0.25 + 1) / 0.5) / 1.05) ** 2 <= 1
    np.testing.assert_array_equal(found.counts[0], stack.values[:, inside].sum(axis=1))


class Alive:
    """Counts the blocks that are in memory at once."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.most = self.made = 0

    def block(self, number):
        alive = self

        class Block(np.ndarray):
            def __del__(self):
                if self.base is None:
                    with alive.lock:
                        alive.now -= 1

        with self.lock:
            self.now += 1
            self.made += 1
            self.most = max(self.most, self.now)
        block = np.ndarray.__new__(Block, (1, 512, 1024), np.uint16)
        block[:] = number
        return block


@pytest.mark.parametrize("background", [None, "ring"])
def test_a_lazy_stack_is_never_held(background):
    import dask

    alive = Alive()
    shots = 200  # of 1 MB
    blocks = [
        da.from_delayed(dask.delayed(alive.block)(number), (1, 512, 1024), np.uint16)
        for number in range(shots)
    ]
    centres = np.array([[5, 5], [500, 1000], [200, 300]])
    found = counts_from_stack(da.concatenate(blocks), centres, size=5, background=background)
    assert alive.made == shots
    assert alive.most <= 2 * stack_pixels.BYTES_AT_ONCE // 2**20
    pixels = 0 if background else 21
    expected = np.tile(pixels * np.arange(shots), (3, 1))
    np.testing.assert_allclose(found.counts, expected, atol=1e-9)


@pytest.mark.parametrize("chunks", [(1, 10, 12), (4, 3, 5), (6, 10, 12), ((3, 1, 2), 10, 12)])
@pytest.mark.parametrize("at_once", [1, 500, 10**6])
def test_blocks_do_not_change_the_counts(chunks, at_once, monkeypatch):
    monkeypatch.setattr(stack_pixels, "BYTES_AT_ONCE", at_once)
    stack = scan()
    expected = counts_from_stack(stack.values, LABELS, background="ring")
    lazy = stack.copy(data=da.from_array(stack.values, chunks=chunks))
    found = counts_from_stack(lazy, LABELS, background="ring")
    np.testing.assert_array_equal(found.counts, expected.counts)
    source = stack_pixels.stack_pixels(lazy)
    shots = np.array([0, 2, 3, 5])
    pixels = np.flatnonzero(LABELS)
    rows = np.empty((4, len(pixels)))
    for part, block in source.blocks(pixels, shots):
        rows[part] = block
    np.testing.assert_array_equal(rows, stack.values.reshape(6, -1)[shots][:, pixels])


def test_backgrounds_are_taken_off():
    rng = np.random.default_rng(4)
    y = np.arange(30)[:, None] + np.zeros(30)
    level = rng.uniform(5, 9, 8)
    slope = rng.normal(0, 0.1, 8)
    frames = level[:, None, None] + slope[:, None, None] * (y - 14)
    sites = [[8, 8], [20, 21]]
    light = rng.uniform(0, 40, (2, 8))
    for site, (row, column) in enumerate(sites):
        frames[:, row, column] += light[site]
    found = counts_from_stack(frames, sites, size=3, background="ring", ring=(1, 2))
    np.testing.assert_allclose(found.counts, light, atol=1e-10)
    np.testing.assert_allclose(found.background[0], level - 6 * slope)
    corner = [[(-0.5, -0.5), (-0.5, 4.5), (28.5, 4.5), (28.5, -0.5)]]  # rows 0..28, middle 14
    found = counts_from_stack(frames, sites, size=3, background=corner)
    np.testing.assert_allclose(found.background, np.tile(level, (2, 1)))
    np.testing.assert_allclose(found.counts[0], light[0] - 9 * 6 * slope, atol=1e-10)
    number = counts_from_stack(frames, sites, size=3, background=6.5)
    plain = counts_from_stack(frames, sites, size=3)
    np.testing.assert_allclose(number.counts, plain.counts - 9 * 6.5)
    assert (number.background == 6.5).all()


def test_the_error_that_a_background_adds():
    """(Σw)² σ² / m on top of the site's own noise, within 5 % in 20 000 shots."""
    rng = np.random.default_rng(6)
    frames = rng.normal(0, 2, (20_000, 9, 9))
    found = counts_from_stack(frames, [[4, 4]], size=3, background="ring", ring=(1, 1))
    m = len(ring_pixels(found.regions, 1, 1)[0])
    assert found.counts.var() == pytest.approx(4 * (9 + 81 / m), rel=0.05)


def test_rings_leave_out_sites_and_their_gaps():
    sites = region_masks([[10, 10], [10, 15], [10, 24]], (22, 30), size=3)
    rings = ring_pixels(sites, 1, 2)
    from scipy.ndimage import distance_transform_edt

    for own, ring in zip(sites.masks, rings, strict=True):
        distance = distance_transform_edt(own == 0)
        far = distance_transform_edt(~sites.any) > 1
        expected = (distance > 1) & (distance <= 3) & far
        np.testing.assert_array_equal(np.flatnonzero(expected), ring)
    dense = np.ones((6, 6), int)
    dense[:, 3:] = 2
    dense[:, 5] = 0
    close = region_masks(dense, (6, 6))
    with pytest.raises(ValueError, match="around site 1 that belong to no site, found none"):
        ring_pixels(close, 1, 1)
    crowded = np.zeros((9, 9), int)  # gaps fill everything between
    crowded[1:3, 1:3], crowded[1:3, 4:6], crowded[4:6, 1:3], crowded[4:6, 4:6] = 1, 2, 3, 4
    for ring in ring_pixels(region_masks(crowded[:7, :7], (7, 7)), 1.5, 1.0):
        assert len(ring) > 0


def test_learnt_weights_read_out_better():
    """400 shots to learn from; the error on 4000 others falls by more than 15 %."""
    rng = np.random.default_rng(12)
    labels = labels_of(6)
    frames, _ = emccd(400, 18, 0.6, rng, sites=6)
    others, truth = emccd(4000, 18, 0.6, rng, sites=6)
    learnt = counts_from_stack(frames, labels, weights="learn")
    assert learnt.remarks == ()
    plain = counts_from_stack(others, labels)
    weighted = counts_from_stack(others, labels, weights=learnt.weights)
    before, after = readout_error(plain.counts, truth), readout_error(weighted.counts, truth)
    assert 0.09 < before < 0.11
    assert after < 0.85 * before

    # counts stay counts
    assert difference(weighted, truth) == pytest.approx(difference(plain, truth), rel=0.03)
    itself = counts_from_stack(others, labels, weights="learn")
    assert difference(itself, truth) == pytest.approx(difference(plain, truth), rel=0.02)
    assert readout_error(itself.counts, truth) < 0.82 * before


def test_shared_weights_need_few_shots():
    rng = np.random.default_rng(3)
    labels = labels_of(16)
    frames, _ = emccd(60, 18, 0.6, rng, sites=16)
    others, truth = emccd(2000, 18, 0.6, rng, sites=16)
    learnt = counts_from_stack(frames, labels, weights="learn", share_weights=True)
    assert len({id(each) for each in learnt.weights}) == 1
    before = readout_error(counts_from_stack(others, labels).counts, truth)
    after = readout_error(counts_from_stack(others, labels, weights=learnt.weights).counts, truth)
    assert after < 0.82 * before
    labels[0, 1] = 1
    with pytest.raises(ValueError, match="25 pixels of site 2 that lie otherwise than the 26"):
        counts_from_stack(frames, labels, weights="learn", share_weights=True)


def test_too_few_shots_are_summed_plainly():
    frames, _ = emccd(20, 18, 0.6, np.random.default_rng(8), sites=3)
    with pytest.warns(FitWarning, match="3 of 3 site.*plain weights: only 20 usable shots"):
        found = counts_from_stack(frames, labels_of(3), weights="learn")
    np.testing.assert_array_equal(found.counts, counts_from_stack(frames, labels_of(3)).counts)
    assert len(found.remarks) == 1


def test_few_shots_are_not_made_worse():
    """45 shots each, 40 sites: not worse on others than the plain sum by more than 1 %."""
    rng = np.random.default_rng(21)
    labels = labels_of(40)
    frames, _ = emccd(45, 18, 0.6, rng, sites=40)
    others, truth = emccd(1500, 18, 0.6, rng, sites=40)
    with pytest.warns(FitWarning, match="plain weights"):
        learnt = counts_from_stack(frames, labels, weights="learn")
    before = readout_error(counts_from_stack(others, labels).counts, truth)
    after = readout_error(counts_from_stack(others, labels, weights=learnt.weights).counts, truth)
    assert after < 1.01 * before


def test_without_contrast_sums_stay_plain():
    frames, _ = emccd(500, 0, 0.6, np.random.default_rng(5), sites=4)
    with pytest.warns(FitWarning, match="4 of 4 site.*plain weights: bright and dark"):
        found = counts_from_stack(frames, labels_of(4), weights="learn")
    assert all((weights == 1).all() for weights in found.weights)
    with pytest.warns(FitWarning, match="all shots alike"):
        counts_from_stack(np.ones((50, 8, 8)), labels_of(1), weights="learn")


@pytest.mark.parametrize("weights", [None, "learn"])
def test_infinite_pixels_are_gaps(weights):
    frames, _ = emccd(200, 18, 0.6, np.random.default_rng(9))
    frames[3, 2, 2], frames[4, 2, 2] = np.inf, -np.inf
    frames[5, 2, 2], frames[5, 2, 3] = np.inf, -np.inf
    with pytest.warns(FitWarning, match="3 of 200 counts are NaN"):
        found = counts_from_stack(frames, labels_of(1), weights=weights)
    assert np.isnan(found.counts[0]).nonzero()[0].tolist() == [3, 4, 5]


def test_weights_from_a_stack_with_gaps():
    rng = np.random.default_rng(9)
    frames, _ = emccd(600, 18, 0.6, rng)
    frames[3, 2, 2] = np.nan
    frames[7, 3, 3] = 1e5  # a cosmic ray
    with pytest.warns(FitWarning, match="1 of 600 counts are NaN"):
        found = counts_from_stack(frames, labels_of(1), weights="learn")
    assert np.isnan(found.counts[0]).nonzero()[0].tolist() == [3]
    assert found.remarks == ("1 of 600 counts are NaN, as pixels of theirs are",)
    good = np.delete(np.arange(600), [3, 7])
    clean = counts_from_stack(frames[good], labels_of(1), weights="learn")
    np.testing.assert_allclose(found.weights[0], clean.weights[0], rtol=0.1)
    assert len(found.whole(0)) == 599
    with pytest.raises(ValueError, match="found 1 without: ask for one site"):
        found.whole()


def test_weights_can_be_given():
    frames = scan().values.astype(float)
    weights = np.random.default_rng(1).random((10, 12))
    expected = [(frames * weights)[:, label == LABELS].sum(axis=1) for label in (4, 9)]
    each = [weights[label == LABELS] for label in (4, 9)]
    for given in (weights, np.stack([weights, weights]), each, tuple(each)):
        found = counts_from_stack(frames, LABELS, weights=given)
        np.testing.assert_allclose(found.counts, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"weights": "best"}, "'learn' or an array, found 'best'"),
        ({"weights": np.ones((3, 3))}, "each of the 8 to 9 pixels of 2 site"),
        ({"weights": [np.ones(9), np.ones(9)]}, "each of the 8 to 9 pixels"),
        ({"weights": np.full((10, 12), math.nan)}, "finite weights"),
        ({"background": "around"}, "'ring', a region or a number, found 'around'"),
        ({"background": math.inf}, "a finite background, found inf"),
        ({"background": [[(20, 20), (20, 30), (30, 30)]]}, "found none in polygon 0"),
        ({"background": "ring", "ring": (1, 0)}, "width above 0, found 1, 0"),
    ],
)
def test_what_does_not_suit_is_told(kwargs, message):
    with pytest.raises(ValueError, match=message):
        counts_from_stack(scan(), LABELS, **kwargs)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (np.zeros(5), "found values of type float64 and shape \\(5,\\)"),
        (np.zeros((2, 3, 4, 5)), "shape \\(2, 3, 4, 5\\)"),
        (np.zeros((0, 10, 12)), "shape \\(0, 10, 12\\)"),
        (np.zeros((2, 10, 12), complex), "type complex128"),
        (
            make_stack(np.zeros((2, 10, 12)), roles=["atoms", "dark"]),
            "found raw frames.*atoms, dark",
        ),
    ],
)
def test_what_is_no_stack_is_told(stack, message):
    with pytest.raises(ValueError, match=message):
        counts_from_stack(stack, LABELS)


def test_doubts_about_pixels_are_told():
    stack = scan()
    stack.values[2, 2, 3] = 65535
    with pytest.warns(FitWarning) as found:
        counts = counts_from_stack(stack, [[2, 3], [0, 8]], size=3)
    assert len(found) == 2
    assert counts.remarks == (
        "the image's edge cuts off centre 1: the pixels inside are counted",
        "1 of 6 shots have saturated pixels in a site: more light than is counted",
    )
    assert found[0].filename == __file__


def _counts(values):
    regions = region_masks(LABELS, LABELS.shape)
    values = np.asarray(values, float)
    return SiteCounts(values, regions, (), np.zeros(values.shape), "photons")


def test_whole_counts():
    rng = np.random.default_rng(0)
    values = rng.normal(40, 6, (2, 400))
    np.testing.assert_array_equal(_counts(values).whole(), np.rint(values))
    assert _counts(values).whole(1).shape == (400,)
    assert _counts([[0.5, 1.5, 2.5, 80], [0, 9, 20, 3]]).whole()[0].tolist() == [1, 2, 3, 80]
    with pytest.warns(FitWarning, match="% of the photons were negative and became 0"):
        assert _counts(rng.normal(0, 6, (2, 400))).whole().min() == 0
    with pytest.warns(FitWarning, match="adds 1/12 to a variance of 0.2"):
        _counts(rng.normal(30, 0.5, (2, 400))).whole()
