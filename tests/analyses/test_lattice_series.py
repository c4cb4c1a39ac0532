"""What the shots of a lattice share: reconstructors of a place, and places measured once more."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from napari_coldatoms.analyses import lattice_series
from napari_coldatoms.analyses.lattice_series import Place, SeriesContext, measured_place
from napari_coldatoms.lattice import GaussianPSF, Lattice, Reconstructor, simulate
from napari_coldatoms.lattice.calibration import Calibration, Quality
from napari_coldatoms.lattice.track import PhaseTrack

LATTICE, PSF, SHAPE = Lattice.square(4.0, (14, 14), origin=(10.0, 10.0)), GaussianPSF(2.4), (72, 72)
OFFSETS = [(0.0, 0.0), (0.131, -0.2), (0.3, 0.29), (-1.4, 2.2), (0.134, -0.2)]


def series() -> SeriesContext:
    one = np.zeros((1, 2))
    known, flags = np.ones(1), np.ones(1, dtype=bool)
    track = PhaseTrack(one, one, one, known, known, flags, ~flags, known)
    quality = Quality(
        True, (), 1, 1, (4.0, 4.0), (0.0, 0.0), (90.0, 0.0), (0.0, 0.0), 0.0, 9.0, 15.0, 0.0
    )
    calibration = Calibration(LATTICE, PSF, track, quality, SHAPE)
    return SeriesContext(calibration, tuple(Place(offset, trusted=True) for offset in OFFSETS))


def test_reconstructors_are_made_for_the_place_of_a_shot():
    context = series()
    for number, offset in enumerate(OFFSETS):
        shot = context.of_frame((number,))
        reconstructor, made_for = shot.reconstructor(shot.places[0])
        assert np.abs(np.subtract(made_for, offset)).max() <= 0.01 + 1e-9
        there = LATTICE.shift(made_for)
        np.testing.assert_allclose(reconstructor.lattice.positions, there.positions, atol=1e-9)
    # the second place and the last one are one and the same
    first, last = (context.of_frame((k,)) for k in (1, 4))
    assert first.reconstructor(first.places[0])[0] is last.reconstructor(last.places[0])[0]


def test_of_several_threads_one_makes_it(monkeypatch):
    made = []

    class Counted(Reconstructor):
        def __init__(self, *args, **options):
            made.append(args)
            super().__init__(*args, **options)

    monkeypatch.setattr(lattice_series, "Reconstructor", Counted)
    shot = series().of_frame((2,))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: shot.reconstructor(shot.places[0])[0], range(8)))
    assert len(made) == 1
    assert all(one is found[0] for one in found)


def test_the_place_is_measured_once_more_where_that_is_more_precise():
    there = LATTICE.shift((0.14, -0.17))
    truth = simulate(
        there,
        PSF,
        image_shape=SHAPE,
        occupancy=0.5,
        brightness=1000.0,
        brightness_sd=100.0,
        background=50.0,
        read_noise=2.0,
        rng=0,
    )
    shot = series().of_frame((1,))
    reconstructor, made_for = shot.reconstructor(shot.places[0])
    found = reconstructor.reconstruct(truth.image)
    rough = replace(shot.places[0], stderr=(0.2, 0.2))
    measured = measured_place(rough, made_for, found)
    assert np.abs(np.subtract(measured.offset, (0.14, -0.17))).max() < 0.1
    assert measured.stderr == found.place_error
    assert measured.trusted
    for place in (replace(rough, trusted=False), replace(rough, stderr=(1e-4, 1e-4))):
        assert measured_place(place, made_for, found) is place
    unknown = replace(rough, stderr=(np.nan, np.nan))
    assert measured_place(unknown, made_for, found) is unknown
    blind = replace(found, place=(np.nan, np.nan), place_error=(np.nan, np.nan))
    assert measured_place(rough, made_for, blind) is rough


@pytest.mark.parametrize("count", [1, 3])
def test_images_of_a_shot_have_places_of_their_own(count):
    context = replace(series(), places=tuple(Place((k, 0.0)) for k in range(2 * count)))
    context = replace(context, images_per_shot=count)
    assert [p.offset[0] for p in context.of_frame((1,)).places] == list(range(count, 2 * count))
