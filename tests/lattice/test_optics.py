"""The operators M and MᵀM, against the projection as a sparse matrix."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import AiryPSF, GaussianPSF, Lattice, SampledPSF, projection
from napari_coldatoms.lattice.optics import make_optics

RNG = np.random.default_rng(5)
PSF = GaussianPSF(2.3)
SHAPE = (48, 53)


def sampled():
    y, x = np.mgrid[-24:25, -24:25]
    return SampledPSF(np.exp(-(((y - 0.2 * x) / 9) ** 2) - (x / 7) ** 2), 3)


CASES = {
    "square": (Lattice.square(4.0, (9, 10)), PSF),
    "turned": (Lattice.square(4.0, (8, 8), origin=(14.0, 9.0), angle=0.4), PSF),
    "triangular": (Lattice.triangular(4.2, (9, 8), angle=0.1).shift((-4, -2)), PSF),
    "over the border": (Lattice.square(4.0, (18, 19), origin=(-9.7, -8.2)), PSF),
    "masked": (Lattice.square(4.0, (9, 10)).select(RNG.random((9, 10)) < 0.5), PSF),
    "any positions": (Lattice.from_positions(RNG.uniform(-4, 50, (60, 2))), PSF),
    "one site": (Lattice.square(4.0, (1, 1)), PSF),
    "airy": (Lattice.square(4.0, (9, 10)), AiryPSF(4.0)),
    "sampled": (Lattice.square(4.0, (9, 10), angle=0.05), sampled()),
    "narrow": (Lattice.square(3.0, (12, 12)), GaussianPSF(0.5, 1.6)),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES.keys())
def case(request):
    lattice, psf = request.param
    return make_optics(lattice, psf, SHAPE), projection(lattice, psf, SHAPE)


def test_image_and_collect_are_the_projection_and_its_transpose(case):
    optics, matrix = case
    brightness, image = RNG.normal(5, 3, len(optics)), RNG.normal(2, 9, SHAPE)
    assert len(optics) == matrix.shape[1]
    assert optics.image_shape == SHAPE
    np.testing.assert_allclose(
        optics.image(brightness), (matrix @ brightness).reshape(SHAPE), atol=1e-11
    )
    np.testing.assert_allclose(optics.collect(image), matrix.T @ image.ravel(), atol=1e-11)


def test_transpose_is_adjoint(case):
    optics, _ = case
    x, y = RNG.normal(size=len(optics)), RNG.normal(size=SHAPE)
    relative = optics.with_relative_brightness(RNG.uniform(0.3, 2.0, len(optics)))
    assert (relative.image(x) * y).sum() == pytest.approx(relative.collect(y) @ x, abs=1e-9)


def test_overlaps_are_those_of_the_projection(case):
    optics, matrix = case
    exact = (matrix.T @ matrix).toarray()
    found = np.zeros_like(exact)
    rows = np.repeat(np.arange(len(optics)), np.diff(optics.overlaps.ends))
    found[rows, optics.overlaps.sites] = optics.overlaps.values
    # small ones may be left out, the others are exact
    np.testing.assert_allclose(found[found != 0], exact[found != 0], rtol=1e-9, atol=1e-15)
    most = optics.strength.max()
    np.testing.assert_allclose(found, exact, atol=3e-4 * most)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(optics.strength, np.diagonal(exact), rtol=1e-9, atol=1e-15)


def test_site_weights_are_means_of_the_weights_around(case):
    optics, matrix = case
    lit = optics.strength > 0.01 * optics.strength.max()
    np.testing.assert_allclose(optics.site_weights(np.full(SHAPE, 0.7))[lit], 0.7)
    # a slope: the weight at the site, or the mean of what the frame shows of its light squared
    weights = 1 + np.add.outer(np.linspace(0, 1, SHAPE[0]), np.linspace(0, 0.5, SHAPE[1]))
    squared = matrix.multiply(matrix).T
    exact = (squared @ weights.ravel())[lit] / (squared @ np.ones(weights.size))[lit]
    np.testing.assert_allclose(optics.site_weights(weights)[lit], exact, rtol=0.02)
    assert np.all(optics.site_weights(np.zeros(SHAPE)) == 0)


def test_image_into_a_given_array():
    optics = make_optics(*CASES["turned"], SHAPE)
    brightness, out = RNG.normal(size=len(optics)), np.full(SHAPE, 7.0)
    result = optics.image(brightness, out=out)
    assert result is out
    np.testing.assert_array_equal(out, optics.image(brightness))


def test_clusters_hold_each_site_and_those_it_shares_most_light_with():
    optics = make_optics(*CASES["any positions"], SHAPE)
    exact = np.zeros((len(optics), len(optics)))
    rows = np.repeat(np.arange(len(optics)), np.diff(optics.overlaps.ends))
    exact[rows, optics.overlaps.sites] = optics.overlaps.values
    for site, cluster in enumerate(optics.overlaps.clusters):
        members = cluster[cluster >= 0]
        assert members[0] == site
        assert len(set(members)) == len(members)
        others = np.delete(exact[site], site)
        expected = np.sort(others[others > 0])[::-1][: len(members) - 1]
        np.testing.assert_array_equal(np.sort(exact[site, members[1:]])[::-1], expected)
        if len(members) < len(cluster):
            assert np.count_nonzero(others) == len(members) - 1


def test_clusters_of_a_square_lattice_are_its_nine_nearest():
    lattice = Lattice.square(4.0, (9, 10))
    optics = make_optics(lattice, PSF, SHAPE)
    steps = lattice.labels[optics.overlaps.clusters] - lattice.labels[:, None]
    inner = np.all((lattice.labels > 0) & (lattice.labels < [8, 9]), axis=1)
    assert np.abs(steps[inner]).max() == 1


def test_cover_leaves_no_site_out(case):
    optics, _ = case
    clusters = optics.overlaps.clusters[optics.overlaps.cover]
    held = np.zeros(len(optics), dtype=bool)
    held[clusters[clusters >= 0]] = True
    assert held.all()


def test_cover_of_a_square_lattice_needs_about_a_ninth_of_the_clusters():
    optics = make_optics(Lattice.square(4.0, (30, 30)), PSF, (140, 140))
    assert len(optics.overlaps.cover) < 900 / 5


def test_relative_brightness_scales_the_light_of_sites():
    lattice, psf = CASES["turned"]
    matrix = projection(lattice, psf, SHAPE)
    relative = RNG.uniform(0.3, 2.0, len(lattice))
    plain = make_optics(lattice, psf, SHAPE)
    optics = plain.with_relative_brightness(relative)
    x, y = RNG.normal(size=len(lattice)), RNG.normal(size=SHAPE)
    np.testing.assert_allclose(optics.image(x), (matrix @ (relative * x)).reshape(SHAPE))
    np.testing.assert_allclose(optics.collect(y), relative * (matrix.T @ y.ravel()), atol=1e-11)
    np.testing.assert_array_equal(plain.relative, 1.0)
    relative[:] = 1.0  # the optics keep their own copy
    assert optics.relative.max() > 1.5


@pytest.mark.parametrize(
    ("relative", "message"),
    [
        (np.ones(3), r"each of 64 sites, found an array of shape \(3,\)"),
        (np.zeros(64), "positive"),
        (np.full(64, np.nan), "finite"),
        (np.full(64, np.inf), "finite"),
    ],
)
def test_wrong_relative_brightness_is_refused(relative, message):
    optics = make_optics(*CASES["turned"], SHAPE)
    with pytest.raises(ValueError, match=message):
        optics.with_relative_brightness(relative)
