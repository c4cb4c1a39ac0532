import numpy as np
import pytest

from napari_coldatoms.lattice import GaussianPSF, Lattice
from napari_coldatoms.lattice.phase import PhaseFinder
from napari_coldatoms.lattice.registration import register

STRAIN = {
    "rotation": np.array([[0.0, np.deg2rad(0.2)], [-np.deg2rad(0.2), 0.0]]),
    "stretch": np.diag([0.003, -0.001]),
    "shear": np.array([[0.0, 0.003], [0.0, 0.0]]),
    "all": np.array([[0.002, 0.004], [-0.002, 0.001]]),
    "none": np.zeros((2, 2)),
}
HWHM = 2.7


def strained(lattice, strain):
    """A lattice whose vectors v are v + A v, about the same middle."""
    middle = lattice.positions.mean(axis=0)
    origin = np.array(lattice.origin)
    vectors = lattice.vectors + lattice.vectors @ strain.T
    return Lattice(vectors, origin + strain @ (origin - middle), lattice.shape)


def registered(shots, model, hwhm=HWHM):
    finder = PhaseFinder(model, GaussianPSF(hwhm), shots.images.shape[1:])
    fits = [finder.fit(finder.shot(image))[1] for image in shots.images]
    return register([fit for fit in fits if fit is not None], hwhm)


@pytest.mark.parametrize(
    ("name", "width"), [*((name, 1.03) for name in STRAIN), ("all", 1.0), ("none", 1.0)]
)
def test_strain_and_width_are_found(make_shots, name, width):
    model = Lattice.square(4.0, (24, 24))
    truth = strained(model, STRAIN[name])
    shots = make_shots(truth, width * HWHM, 0.3, count=12, shape=(115, 115), seed=4)
    found = registered(shots, model)
    assert np.all(np.abs(found.strain - STRAIN[name]) < 4.5 * found.strain_error)
    assert abs(found.width - width) < 4.5 * found.width_error
    # small against what is looked for: 0.02° and 0.03 %
    assert found.strain_error.max() < 0.0006
    assert found.width_error < 0.006


@pytest.mark.slow
def test_errors_are_honest(make_shots):
    """Of 20 × 20 sites in five shots: 20 seeds give 80 strains and 20 widths."""
    model = Lattice.square(4.0, (20, 20))
    truth = strained(model, STRAIN["stretch"])
    pulls, widths = [], []
    for seed in range(20):
        shots = make_shots(truth, 1.02 * HWHM, 0.3, count=5, shape=(100, 100), seed=seed)
        found = registered(shots, model)
        pulls.append(((found.strain - STRAIN["stretch"]) / found.strain_error).ravel())
        widths.append((found.width - 1.02) / found.width_error)
    # errors told by five shots: pulls follow Student's t of four degrees, of rms 1.4
    assert 0.7 < np.sqrt(np.mean(np.square(pulls))) < 1.7
    assert 0.7 < np.sqrt(np.mean(np.square(widths))) < 2.3


def test_light_that_fades_to_the_border_is_no_strain(make_shots):
    """Sites half as bright in the corners: not taken for ones nearer to each other."""
    model = Lattice.square(4.0, (24, 24))
    apart = model.positions - model.positions.mean(axis=0)
    brightness = 1000 * 0.5 ** ((apart**2).sum(axis=1) / (apart**2).sum(axis=1).max())
    strains = []
    for seed in range(4):
        shots = make_shots(model, HWHM, 0.3, brightness=brightness, shape=(115, 115), seed=seed)
        strains.append(registered(shots, model).strain)
    # 0.0015 if all were as bright; the errors of the mean are 0.0002
    np.testing.assert_allclose(np.mean(strains, axis=0), 0.0, atol=0.0009)


def test_a_single_shot_tells_no_errors(make_shots):
    model = Lattice.square(4.0, (24, 24))
    shots = make_shots(strained(model, STRAIN["all"]), HWHM, 0.3, count=1, shape=(115, 115))
    found = registered(shots, model)
    np.testing.assert_allclose(found.strain, STRAIN["all"], atol=0.0025)
    assert np.isinf(found.strain_error).all()
    assert np.isinf(found.width_error)


def test_without_light_there_is_nothing_to_register(make_shots):
    with pytest.raises(ValueError, match="expected shots with light of the sites, found none"):
        register([], 3.0)
    model = Lattice.square(4.0, (20, 20))
    shots = make_shots(model, HWHM, 0.3, count=1)
    finder = PhaseFinder(model, shots.psf, shots.images.shape[1:])
    fit = finder.fit(finder.shot(shots.images[0]))[1]
    dark = type(fit)(**{**vars(fit), "probability": np.zeros(len(fit.probability))})
    with pytest.raises(ValueError, match="expected shots with light"):
        register([dark], HWHM)
