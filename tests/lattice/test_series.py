"""Stacks of images: as one by one, bad images among them, learnt and given brightness maps."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from napari_coldatoms.lattice import (
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Reconstructor,
    simulate,
)

PSF = GaussianPSF(3.0)
LATTICE = Lattice.square(4.0, (12, 12), origin=(12.3, 11.6))
SHAPE = (70, 68)
IMAGING = {"brightness": 1000.0, "brightness_sd": 100.0, "background": 50.0, "read_noise": 2.0}


@pytest.fixture(scope="module")
def simulations():
    return [
        simulate(LATTICE, PSF, image_shape=SHAPE, occupancy=0.5, rng=k, **IMAGING) for k in range(4)
    ]


@pytest.fixture(scope="module")
def stack(simulations):
    return np.stack([simulation.image for simulation in simulations])


@pytest.fixture(scope="module")
def reconstructor():
    return Reconstructor(LATTICE, PSF, image_shape=SHAPE)


def errors(results, simulations):
    """Return the detection error rate."""
    pairs = zip(results, simulations, strict=True)
    return np.mean([result.occupied != simulation.occupied for result, simulation in pairs])


def test_stack_is_each_image_by_itself(reconstructor, stack, simulations):
    results = reconstructor.reconstruct_stack(stack, method="local", read_noise=2.0)
    assert len(results) == 4
    assert errors(results, simulations) < 0.01
    for image, result in zip(stack, results, strict=True):
        alone = reconstructor.reconstruct(image, method="local", read_noise=2.0)
        np.testing.assert_array_equal(result.brightness, alone.brightness)
        np.testing.assert_array_equal(result.probability, alone.probability)
        assert result.method == "local"
        assert result.remarks == ()


@pytest.mark.parametrize("joint", [False, True])
def test_any_kind_of_stack(reconstructor, stack, joint):
    def occupied(images):
        results = reconstructor.reconstruct_stack(images, joint_mixture=joint, method="local")
        return [result.occupied.tolist() for result in results]

    expected = occupied(stack)
    assert occupied(list(stack)) == expected
    assert occupied(image for image in stack) == expected
    assert occupied(xr.DataArray(stack, dims=("shot", "y", "x"))) == expected
    assert reconstructor.reconstruct_stack([], joint_mixture=joint) == []


def test_images_are_taken_one_at_a_time(reconstructor, stack):
    taken, told = [], []

    def images():
        for k, image in enumerate(stack):
            assert len(told) == k
            taken.append(k)
            yield image

    reconstructor.reconstruct_stack(
        images(), method="global", on_progress=lambda done, total: told.append((done, total))
    )
    assert taken == [0, 1, 2, 3]
    assert told == [(1, None), (2, None), (3, None), (4, None)]


@pytest.mark.parametrize("joint", [False, True])
def test_bad_images_do_not_stop_the_others(reconstructor, stack, simulations, joint):
    broken = stack[1].copy()
    broken[10:30, 20:34] = np.nan
    images = [stack[0], np.full(SHAPE, np.nan), broken, stack[3][:-1], stack[3]]
    told = []
    results = reconstructor.reconstruct_stack(
        images,
        joint_mixture=joint,
        read_noise=2.0,
        on_progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(k, 5) for k in range(1, 6)]
    for k, reason in ((1, "good pixels"), (3, r"found shape (69, 68)")):
        assert reason in results[k].remarks[0]
        assert not results[k].valid.any()
        assert not results[k].occupied.any()
        assert not results[k].has_contrast
        assert np.isnan(results[k].probability).all()
        assert np.isnan(results[k].brightness).all()
        assert results[k].bad_pixels.all()
        assert "not judged" in repr(results[k])
    good = [results[0], results[4]]
    assert errors(good, [simulations[0], simulations[3]]) < 0.01
    seen = results[2].valid
    assert 120 < seen.sum() < 144
    assert np.mean(results[2].occupied[seen] != simulations[1].occupied[seen]) < 0.05


@pytest.mark.parametrize("joint", [False, True])
def test_a_stack_without_any_good_image_is_refused(reconstructor, stack, joint):
    with pytest.raises(ValueError, match="shape"):
        reconstructor.reconstruct_stack(stack[:, :-1], joint_mixture=joint)


def test_wrong_arguments_are_refused(reconstructor, stack):
    with pytest.raises(ValueError, match="2 dimensions"):
        reconstructor.reconstruct_stack(stack[0])
    with pytest.raises(TypeError, match="found int"):
        reconstructor.reconstruct_stack(3)
    with pytest.raises(TypeError, match="colour"):
        reconstructor.reconstruct_stack(stack, colour="red")
    with pytest.raises(ValueError, match="methods"):
        reconstructor.reconstruct_stack(stack, method="guess")
    with pytest.raises(ValueError, match="read_noise"):
        reconstructor.reconstruct_stack(stack, read_noise=-1.0)
    with pytest.raises(ValueError, match="'learn'"):
        reconstructor.reconstruct_stack(stack, brightness_map="guess")
    with pytest.raises(ValueError, match="144 sites"):
        reconstructor.reconstruct_stack(stack, brightness_map=np.ones(7))
    with pytest.raises(ValueError, match="deconvolution"):
        reconstructor.reconstruct_stack(stack, joint_mixture=True, method="deconvolution")


def test_given_map_is_that_of_a_reconstructor(reconstructor, stack):
    relative = np.random.default_rng(1).uniform(0.8, 1.2, len(LATTICE))
    options = {"method": "local", "read_noise": 2.0}
    found = reconstructor.reconstruct_stack(stack[:1], brightness_map=relative, **options)[0]
    other = Reconstructor(LATTICE, PSF, image_shape=SHAPE, relative_brightness=relative)
    expected = other.reconstruct(stack[0], **options)
    np.testing.assert_array_equal(found.brightness, expected.brightness)
    np.testing.assert_array_equal(found.relative_brightness, relative)
    assert reconstructor.reconstruct(stack[0], **options).relative_brightness is None


@pytest.mark.parametrize("joint", [False, True])
def test_learnt_map_mends_uneven_brightness(joint):
    lattice = Lattice.square(4.0, (16, 16), origin=(12.3, 11.6))
    shape = (84, 84)
    place = lattice.positions - lattice.positions.mean(axis=0)
    distance = (place**2).sum(axis=1)
    true = np.exp(-distance / distance.max())
    imaging = {**IMAGING, "brightness": 1000.0 * true, "brightness_sd": 80.0}
    simulations = [
        simulate(lattice, PSF, image_shape=shape, occupancy=0.5, rng=10 + k, **imaging)
        for k in range(5)
    ]
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)

    def judged(brightness_map, images):
        results = reconstructor.reconstruct_stack(
            images, brightness_map=brightness_map, joint_mixture=joint, read_noise=2.0
        )
        return results, errors(results, simulations)

    images = [simulation.image for simulation in simulations]
    _, plain = judged(None, images)
    _, known = judged(true / true.mean(), images)
    results, learnt = judged("learn", iter(images))
    assert plain > 0.01
    assert known < learnt < 0.5 * (plain + known)
    relative = results[0].relative_brightness
    assert np.sqrt(np.mean((relative - true / true.mean()) ** 2)) < 0.07


def test_nothing_is_learnt_without_contrast(reconstructor):
    empty = [
        simulate(LATTICE, PSF, image_shape=SHAPE, occupancy=0.0, rng=k, **IMAGING).image
        for k in range(2)
    ]
    results = reconstructor.reconstruct_stack(empty, brightness_map="learn", read_noise=2.0)
    assert not any(result.has_contrast for result in results)
    assert results[0].relative_brightness is None


def test_parameters_judge_empty_images_in_a_stack(reconstructor, stack, simulations):
    known = ImagingParameters(occupancy=0.5, **IMAGING)
    empty = simulate(LATTICE, PSF, image_shape=SHAPE, occupancy=0.0, rng=9, **IMAGING)
    images = [*stack, empty.image]
    for joint in (False, True):
        results = reconstructor.reconstruct_stack(images, joint_mixture=joint, parameters=known)
        assert errors(results, [*simulations, empty]) < 0.005
        assert all(result.parameters == known for result in results)
