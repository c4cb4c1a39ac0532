import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes

from napari_coldatoms.images import from_layer, make_stack, region_masks

SHAPE = (12, 17)
Y, X = np.mgrid[:12, :17]


def test_polygons_by_winding_of_each_centre():
    rng = np.random.default_rng(3)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
    corners = np.array([5.3, 8.1]) + 5 * np.column_stack([np.sin(angles), np.cos(angles)])
    found = region_masks([corners], SHAPE).masks[0]
    for y, x in np.ndindex(*SHAPE):
        turns = np.angle(
            np.exp(1j * np.diff(np.arctan2(*(np.vstack([corners, corners[:1]]) - [y, x]).T)))
        ).sum()
        assert found[y, x] == (abs(turns) > np.pi)


def test_rectangles_that_share_an_edge_share_no_pixel():
    for edge in (4, 4.5, 4 + 1e-9, 4 - 1e-9):
        left = [(2, 1), (2, edge), (8, edge), (8, 1)]
        right = [(2, edge), (2, 9), (8, 9), (8, edge)]
        regions = region_masks([left, right], SHAPE)
        both = regions.masks.sum(axis=0)
        np.testing.assert_array_equal(both, (Y >= 2) & (Y < 8) & (X >= 1) & (X < 9))
        assert regions.sizes.tolist() == ([18, 30] if edge != 4.5 else [24, 24])


def test_crossing_outlines_and_corners_on_centres():
    bow = [(1, 1), (7, 7), (7, 1), (1, 7)]
    found = region_masks([bow], SHAPE).masks[0]
    assert found[2, 4] == found[6, 4] == 1
    assert found[4, 2] == found[4, 6] == 0  # between the wings
    diamond = [(0, 5), (5, 10), (10, 5), (5, 0)]
    area = region_masks([diamond], SHAPE).masks[0].sum()
    assert area == pytest.approx(50, abs=1)


def test_centres_are_discs():
    regions = region_masks([[3, 4], [6.5, 10.25]], SHAPE, size=3)
    for mask, (y, x) in zip(regions.masks, [(3, 4), (6.5, 10.25)], strict=True):
        np.testing.assert_array_equal(mask, (Y - y) ** 2 + (X - x) ** 2 <= 2.25)
    assert regions.positions.tolist() == [[3, 4], [6.5, 10.25]]
    assert region_masks(np.array([[3, 4]]), SHAPE, size=1).sizes.tolist() == [1]


def test_label_images():
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:4, 3:6] = 7
    labels[8, 1] = 2
    regions = region_masks(labels, SHAPE)
    assert regions.numbers.tolist() == [2, 7]
    np.testing.assert_array_equal(regions.masks[1], labels == 7)
    np.testing.assert_array_equal(regions.any, labels > 0)
    assert regions.positions.tolist() == [[8, 1], [2.5, 4]]
    np.testing.assert_array_equal(region_masks(labels > 0, SHAPE).masks[0], labels > 0)
    assert region_masks(regions, SHAPE) is regions


def test_masks_keep_their_values():
    masks = np.random.default_rng(1).random((3, *SHAPE)) * (X > 3)
    np.testing.assert_array_equal(region_masks(masks, SHAPE).masks, masks)
    np.testing.assert_array_equal(region_masks(list(masks), SHAPE).masks, masks)
    np.testing.assert_array_equal(region_masks(masks[0], SHAPE).masks, masks[:1])


PLACES = [
    {},
    {"scale": (0.5, 2.0), "translate": (3.0, -1.0)},
    {"scale": (1.5, 0.7), "rotate": 30, "shear": [0.2], "translate": (1.0, 2.0)},
    {"affine": [[1.1, 0.3, 2], [-0.2, 0.9, 1], [0, 0, 1]], "scale": (0.9, 1.2)},
]


def inside_by_napari(layer, image, test):
    """Test each pixel's centre after napari's own way from the image to the layer."""
    return np.array(
        [
            [
                test(np.array(layer.world_to_data(image.data_to_world((y, x)))))
                for x in range(SHAPE[1])
            ]
            for y in range(SHAPE[0])
        ]
    )


@pytest.mark.parametrize("image_place", PLACES)
@pytest.mark.parametrize("layer_place", PLACES)
def test_layers_lie_as_napari_shows_them(image_place, layer_place):
    image = Image(np.zeros(SHAPE), **image_place)
    stack = from_layer(image)
    middle = Points([[0, 0]], **layer_place).world_to_data(image.data_to_world((5.6, 8.2)))
    points = Points([middle], size=7.3, **layer_place)
    shapes = Shapes(**layer_place)
    box = np.array([[-3.1, -4.2], [-3.1, 3.4], [2.3, 3.4], [2.3, -4.2]]) + middle
    shapes.add([box, box], shape_type=["rectangle", "ellipse"])
    found = region_masks(points, stack).masks[0]
    expected = inside_by_napari(points, image, lambda p: np.hypot(*(p - middle)) <= 3.65)
    np.testing.assert_array_equal(found, expected)
    rectangle, ellipse = region_masks(shapes, stack).masks
    low, high = box[0], box[2]
    np.testing.assert_array_equal(
        rectangle, inside_by_napari(shapes, image, lambda p: np.all((p >= low) & (p < high)))
    )
    np.testing.assert_array_equal(
        ellipse,
        inside_by_napari(
            shapes, image, lambda p: np.hypot(*((2 * p - low - high) / (high - low))) <= 1
        ),
    )
    labels = np.zeros((40, 50), np.int32)
    labels[1:9, 3:14] = 3
    layer = Labels(labels, **layer_place)
    here = inside_by_napari(
        layer,
        image,
        lambda p: np.all((p >= [0.5 - 1e-6, 2.5 - 1e-6]) & (p < [8.5 - 1e-6, 13.5 - 1e-6])),
    )
    if here.any():
        regions = region_masks(layer, stack)
        assert regions.numbers.tolist() == [3]
        np.testing.assert_array_equal(regions.masks[0], here)


def test_leading_axes_do_not_count():
    points = Points([[2, 4, 5], [0, 7, 9]], size=3, ndim=3)
    regions = region_masks(points, SHAPE)
    assert regions.positions.tolist() == [[4, 5], [7, 9]]
    shapes = Shapes([np.array([[1, 2, 2], [1, 2, 5], [1, 6, 5], [1, 6, 2]]) - [0, 0.5, 0.5]])
    assert region_masks(shapes, SHAPE).sizes.tolist() == [12]
    labels = np.zeros((3, *SHAPE), np.int32)
    labels[1, 2, 3] = labels[2, 3, 3] = 1
    assert region_masks(Labels(labels), SHAPE).sizes.tolist() == [2]


def test_a_unit_of_its_own():
    stack = make_stack(np.zeros(SHAPE), pixel_size=0.5, unit="um")
    layer = Points([[2, 3]], size=2, units=("um", "um"))
    np.testing.assert_array_equal(region_masks(layer, stack).masks[0], np.hypot(Y - 4, X - 6) <= 2)
    with pytest.raises(ValueError, match="in um, the unit of the stack, found nm"):
        region_masks(Points([[2, 3]], size=2, units=("nm", "nm")), stack)


def test_what_reaches_beyond_the_edge_is_told():
    regions = region_masks([[0, 5], [5, 5], [11, 16]], SHAPE, size=3)
    assert regions.clipped == ("centre 0", "centre 2")
    whole = [(-0.5, -0.5), (-0.5, 16.5), (11.5, 16.5), (11.5, -0.5)]
    assert region_masks([whole], SHAPE).clipped == ()
    assert region_masks([whole], SHAPE).sizes.tolist() == [12 * 17]


def _shapes(kind, data):
    layer = Shapes()
    layer.add(np.array(data, float), shape_type=kind)
    return layer


@pytest.mark.parametrize(
    ("regions", "kwargs", "message"),
    [
        ([[3, 4], [40, 4]], {"size": 3}, "found none in centre 1: outside the image, or empty"),
        ([[3.5, 4.5]], {"size": 1}, "found none in centre 0"),
        (np.zeros(SHAPE, int), {}, "at least one region, found none"),
        ([], {}, "found an array of shape \\(0,\\)"),
        (Points(), {}, "at least one region, found none"),
        (Shapes(), {}, "at least one region, found none"),
        (Points([[30, 3]], size=2), {}, "found none in point 0"),
        (_shapes("line", [[1, 1], [5, 5]]), {}, "found shape 0, a line"),
        (_shapes("path", [[1, 1], [5, 5], [1, 5]]), {}, "found shape 0, a path"),
        (Image(np.zeros(SHAPE)), {}, "Shapes, Points or Labels as regions, found Image"),
        ([[3, 4]], {}, "found an array of shape \\(1, 2\\); give the size"),
        ([[3, 4]], {"size": -1}, "above 0 px, found -1"),
        ([[3, np.nan]], {"size": 3}, "finite places"),
        (np.zeros((5, 5), int), {}, "12 x 17 pixels, found an array of shape \\(5, 5\\)"),
        (np.zeros((2, 5, 5)), {}, "masks of 12 x 17 pixels, found shape \\(5, 5\\)"),
        (np.full((1, *SHAPE), np.nan), {}, "finite values"),
        (np.where(X > 3, -1, 0), {}, "labels not below 0, found -1"),
        ([[(1, 1), (2, 2)]], {}, "three finite corners"),
        ([np.zeros((3, 2)), np.zeros((4, 5))], {}, "arrays of the shapes"),
        ("sites", {}, "found str"),
    ],
)
def test_what_is_no_region_is_told(regions, kwargs, message):
    with pytest.raises(ValueError, match=message):
        region_masks(regions, SHAPE, **kwargs)


def test_labels_outside_the_image_are_named():
    labels = np.zeros((30, 30), np.int32)
    labels[2, 2], labels[25, 3] = 1, 4
    with pytest.raises(ValueError, match="found none in label 4"):
        region_masks(Labels(labels), SHAPE)
