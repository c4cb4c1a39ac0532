from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import KDTree

from napari_coldatoms.lattice import Lattice, calibrate, learn_sites
from napari_coldatoms.lattice.aligned import Aligned


def test_brightness_and_thresholds_of_tweezers(make_shots):
    rng = np.random.default_rng(0)
    grid = np.stack(np.mgrid[:5, :6], axis=-1).reshape(-1, 2) * 11.0 + 14.0
    traps = Lattice.from_positions(grid + rng.uniform(-2, 2, grid.shape))
    brightness = 400 * rng.uniform(0.6, 1.4, 30)
    shots = make_shots(
        traps, 2.0, 0.3, count=24, brightness=brightness, background=10.0, shape=(75, 85)
    )
    found = learn_sites(calibrate(shots.images), shots.images, read_noise=2.0)
    _, nearest = KDTree(found.lattice.positions).query(traps.positions)
    assert len(set(nearest)) == len(found.lattice) == 30
    # 12 atoms at each site, whose brightness scatters by 10 %, above noise
    relative = found.relative_brightness[nearest] / brightness * brightness.mean()
    assert np.std(relative) < 0.06
    results = found.reconstructor().reconstruct_stack(
        Aligned(shots.images, found.phase_track.offset), joint_mixture=True, read_noise=2.0
    )
    above = np.array([result.brightness > found.threshold for result in results])[:, nearest]
    assert (above != shots.occupied).mean() < 0.002


@pytest.mark.slow
def test_uneven_light_on_a_lattice(make_shots):
    lattice = Lattice.square(4.0, (28, 28))
    away = ((lattice.positions - lattice.positions.mean(axis=0)) ** 2).sum(axis=1)
    brightness = 1000 * np.exp(-away / 80.0**2)
    shots = make_shots(lattice, 2.7, 2.5, count=6, brightness=brightness)
    found = calibrate(shots.images)
    learnt = learn_sites(found, shots.images, read_noise=2.0)
    _, nearest = KDTree(learnt.lattice.positions).query(
        lattice.positions + np.median(shots.offset, axis=0)
    )
    relative = learnt.relative_brightness[nearest] / brightness * brightness.mean()
    assert np.std(relative) < 0.05

    def errors(calibration):
        moved = Aligned(shots.images, found.phase_track.offset)
        results = calibration.reconstructor().reconstruct_stack(moved, read_noise=2.0)
        occupied = np.array([result.occupied for result in results])[:, nearest]
        return int((occupied != shots.occupied).sum())

    assert errors(learnt) <= errors(found)


def test_shots_without_atoms_teach_nothing(make_shots):
    shots = make_shots(Lattice.square(4.0, (20, 20)), 2.7, 0.3, count=4)
    found = calibrate(shots.images)
    empty = np.random.default_rng(0).poisson(50.0, (3, *found.image_shape))
    with pytest.raises(ValueError, match="expected shots that show where the sites are"):
        learn_sites(replace(found, phase_track=found.phase_track), empty)


def test_images_are_moved_by_whole_pixels():
    image = np.arange(20.0).reshape(4, 5)
    (moved,) = Aligned([image], [(1.2, -0.8)])
    np.testing.assert_array_equal(moved[:3, 1:], image[1:, :4])
    assert np.isnan(moved[3]).all()
    assert np.isnan(moved[:, 0]).all()
