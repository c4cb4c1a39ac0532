"""What few sites in many shots tell together, against known truth and against one image alone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, Lattice, Reconstructor, simulate

PSF = GaussianPSF(3.0)
IMAGING = {"brightness": 1000.0, "brightness_sd": 100.0, "background": 50.0, "read_noise": 2.0}


def arrangement(side):
    return Lattice.square(4.0, (side, side), origin=(14.3, 13.6)), (4 * side + 24,) * 2


def shots(side, occupancies, *, psf=PSF, offsets=None, **imaging):
    lattice, shape = arrangement(side)
    rng = np.random.default_rng(7)
    offsets = np.zeros((len(occupancies), 2)) if offsets is None else offsets
    return [
        simulate(
            lattice.shift(offset),
            psf,
            image_shape=shape,
            occupancy=occupancy,
            rng=rng,
            **(IMAGING | imaging),
        )
        for occupancy, offset in zip(occupancies, offsets, strict=True)
    ]


def judged(side, simulations, *, joint=True, **options):
    lattice, shape = arrangement(side)
    results = Reconstructor(lattice, PSF, image_shape=shape).reconstruct_stack(
        [simulation.image for simulation in simulations],
        joint_mixture=joint,
        read_noise=2.0,
        **options,
    )
    pairs = zip(results, simulations, strict=True)
    return results, np.mean(
        [result.occupied != simulation.occupied for result, simulation in pairs]
    )


@pytest.mark.parametrize(
    ("method", "most"), [("alternating", 0.002), ("local", 0.006), ("global", 0.02)]
)
def test_25_sites_in_many_shots(method, most):
    simulations = shots(5, [0.5] * 30)
    results, joint = judged(5, simulations, method=method)
    _, alone = judged(5, simulations, method=method, joint=False)
    assert joint <= most
    assert joint < alone
    assert all(result.has_contrast for result in results)
    one = results[0]
    for other in results[1:]:
        assert other.mixture is one.mixture
        assert other.threshold == one.threshold
        assert other.parameters.brightness == one.parameters.brightness
        assert other.parameters.occupancy == one.parameters.occupancy
    assert one.parameters.brightness == pytest.approx(1000, rel=0.03)
    assert one.parameters.brightness_sd == pytest.approx(100, rel=0.4)
    assert one.parameters.occupancy == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("method", ["alternating", "local", "global"])
def test_one_image_is_as_by_itself(method):
    simulations = shots(16, [0.5])
    joint, _ = judged(16, simulations, method=method)
    alone, _ = judged(16, simulations, method=method, joint=False)
    assert np.count_nonzero(joint[0].occupied != alone[0].occupied) <= 1
    # λ and the spread of the brightness are found in another way
    assert np.sqrt(np.mean((joint[0].brightness - alone[0].brightness) ** 2)) < 30
    np.testing.assert_allclose(joint[0].background, alone[0].background, atol=0.5)
    assert joint[0].threshold == pytest.approx(alone[0].threshold, rel=0.04)


def test_empty_and_full_shots_among_others():
    simulations = shots(5, [0.5] * 12 + [0.0] * 3 + [1.0] * 3)
    results, rate = judged(5, simulations)
    assert rate <= 0.01
    assert [int(result.occupied.sum()) for result in results[12:15]] == [0, 0, 0]
    assert all(result.occupied.sum() >= 24 for result in results[15:])
    assert not any(result.remarks for result in results)


def test_backgrounds_stay_those_of_each_shot():
    simulations = [
        simulation for k in range(12) for simulation in shots(5, [0.5], background=30.0 + 20.0 * k)
    ]
    results, rate = judged(5, simulations)
    assert rate <= 0.01
    found = [result.background.mean() for result in results]
    np.testing.assert_allclose(found, 30 + 20 * np.arange(12), atol=5)


def test_single_sites():
    simulations = shots(1, [0.5] * 60)
    results, rate = judged(1, simulations)
    assert rate == 0
    assert results[0].parameters.brightness == pytest.approx(1000, rel=0.05)
    with pytest.raises(ValueError, match="found 1 sites"):
        judged(1, simulations, joint=False)
    with pytest.raises(ValueError, match="in all images together"):
        judged(1, simulations[:3])


def test_empty_stack_has_no_contrast():
    results, _ = judged(5, shots(5, [0.0] * 20))
    assert not any(result.has_contrast for result in results)
    assert not any(result.occupied.any() for result in results)
    assert "no contrast" in results[0].remarks[0]


def test_displaced_lattice_and_wider_psf_are_found_together():
    offsets = np.full((30, 2), [0.4, -0.3])
    simulations = shots(5, [0.5] * 30, psf=GaussianPSF(3.2), offsets=offsets)
    results, rate = judged(5, simulations)
    assert rate <= 0.01
    found = np.mean([result.offset for result in results], axis=0)
    np.testing.assert_allclose(found, [0.4, -0.3], atol=0.06)
    assert np.mean([result.psf_width for result in results]) == pytest.approx(3.2 / 3, abs=0.02)
    _, plain = judged(5, simulations, misfit=None)
    assert rate < plain


def test_drift_from_shot_to_shot_is_followed():
    offsets = np.random.default_rng(2).normal(0, 0.3, (20, 2))
    simulations = shots(8, [0.5] * 20, offsets=offsets)
    results, rate = judged(8, simulations)
    assert rate <= 0.01
    found = np.array([result.offset for result in results])
    assert np.sqrt(np.mean((found - offsets) ** 2)) < 0.16
