"""The projection matrix, against its definition pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import (
    AiryPSF,
    GaussianPSF,
    Lattice,
    SampledPSF,
    patches,
    projection,
)

GRID = np.linspace(-4, 4, 33)
PSFS = {
    "gaussian": GaussianPSF(1.3),
    "airy": AiryPSF(2.4),
    "sampled": SampledPSF(np.exp(-(GRID[:, None] ** 2) / 3 - GRID**2 / 4), 4.0),
}
LATTICES = {
    "square": Lattice.square(4.0, (5, 4), origin=(3.0, 2.0)),
    "half pixels": Lattice.square(2.5, (6, 6), origin=(1.0, 2.0)),
    "rotated": Lattice.triangular(3.1, (5, 5), origin=(4.2, 1.0), angle=0.37),
    "masked": Lattice.square(3.0, (5, 5), origin=(2.2, 3.3)).select(~np.eye(5, dtype=bool)),
    "tweezers": Lattice.from_positions([[2.0, 3.5], [7.7, 11.2], [15.0, 1.4], [7.7, 5.2]]),
}
SHAPE = (20, 17)  # cuts some light off


def by_definition(lattice, psf, shape):
    """Return M, column by column on a frame that holds all of the light."""
    margin = 12
    y, x = np.mgrid[-margin : shape[0] + margin, -margin : shape[1] + margin]
    columns = []
    for position in lattice.positions:
        centre = np.rint(position).astype(int)
        light = psf.integrate([position - centre], 60)[0]
        column = light[60 + y - centre[0], 60 + x - centre[1]]
        column[np.hypot(y - position[0], x - position[1]) > psf.cutoff + 1e-9] = 0
        columns.append((column / column.sum())[margin:-margin, margin:-margin].ravel())
    return np.array(columns).T


@pytest.mark.parametrize("psf", PSFS.values(), ids=PSFS)
@pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)
def test_matrix_is_its_definition(lattice, psf):
    matrix = projection(lattice, psf, SHAPE)
    assert matrix.shape == (SHAPE[0] * SHAPE[1], len(lattice))
    np.testing.assert_allclose(matrix.toarray(), by_definition(lattice, psf, SHAPE), atol=1e-12)


def test_matrix_is_in_canonical_form():
    matrix = projection(LATTICES["rotated"], PSFS["gaussian"], SHAPE)
    fresh = matrix.copy()
    fresh.has_sorted_indices = fresh.has_canonical_format = False
    fresh.sum_duplicates()
    fresh.eliminate_zeros()
    np.testing.assert_array_equal(matrix.indices, fresh.indices)
    np.testing.assert_array_equal(matrix.data, fresh.data)
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32


def test_columns_sum_to_one_where_the_image_holds_all_light():
    lattice = Lattice.square(4.3, (6, 6), origin=(15.0, 15.0), angle=0.1)
    sums = projection(lattice, GaussianPSF(3.0), lattice.frame_shape(15)).sum(axis=0)
    np.testing.assert_allclose(sums, 1.0, rtol=1e-13)
    at_the_border = Lattice.from_positions([[-0.5, 20.0]])
    half = projection(at_the_border, GaussianPSF(3.0), (40, 40)).sum()
    assert half == pytest.approx(0.5, rel=1e-12)


def test_sites_at_one_place_in_their_pixels_share_a_patch():
    assert len(patches(LATTICES["square"], PSFS["gaussian"], SHAPE).values) == 1
    assert len(patches(LATTICES["half pixels"], PSFS["gaussian"], SHAPE).values) == 4
    rotated = patches(LATTICES["rotated"], PSFS["gaussian"], SHAPE)
    assert len(rotated.values) == len(rotated) == 25
    for name, dtype in (("values", np.float64), ("kind", np.int32), ("corner", np.int32)):
        array = getattr(rotated, name)
        assert array.dtype == dtype
        assert array.flags.c_contiguous


@pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)
def test_image_is_the_matrix_times_the_brightness(lattice):
    brightness = np.random.default_rng(1).uniform(0, 9, len(lattice))
    brightness[0] = 0
    psf = PSFS["airy"]
    image = patches(lattice, psf, SHAPE).image(brightness)
    expected = projection(lattice, psf, SHAPE) @ brightness
    np.testing.assert_allclose(image.ravel(), expected, rtol=1e-12, atol=1e-15)
    everywhere = patches(lattice, psf, SHAPE).image(2.0)
    np.testing.assert_allclose(everywhere, patches(lattice, psf, SHAPE).image([2.0] * len(lattice)))


def test_sites_far_outside_have_no_light_in_the_image():
    lattice = Lattice.from_positions([[8.0, 8.0], [-100.0, 5.0], [5.0, 300.0]])
    matrix = projection(lattice, PSFS["gaussian"], SHAPE)
    assert matrix.sum(axis=0).tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_one_signature_of_each_kernel():
    from napari_coldatoms.lattice.projection import _count, _fill, _spread

    spread = patches(LATTICES["square"], PSFS["gaussian"], SHAPE)
    for brightness in (1.0, np.ones(len(spread)), [1] * len(spread), spread.kind):
        spread.image(brightness)
    projection(LATTICES["tweezers"], PSFS["airy"], SHAPE)
    assert [len(kernel.signatures) for kernel in (_count, _fill, _spread)] == [1, 1, 1]


def test_bad_input_is_refused():
    lattice = LATTICES["square"]
    with pytest.raises(ValueError, match=r"pixels \(rows, columns\), found \(0, 5\)"):
        projection(lattice, GaussianPSF(1.0), (0, 5))
    with pytest.raises(ValueError, match="for each of 20 sites, found an array of shape \\(3,\\)"):
        patches(lattice, GaussianPSF(1.0), SHAPE).image(np.ones(3))
    between = Lattice.from_positions([[4.5, 4.5]])
    with pytest.raises(ValueError, match=r"at least one pixel's centre.*0\.6 px"):
        patches(between, GaussianPSF(0.2), SHAPE)
