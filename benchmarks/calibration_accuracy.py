"""How well the lattice is calibrated: figures shared by the slow tests and the accuracy tables.

T1 is the first example of Cheneau et al. 2025, arXiv:2502.08511: sites 4 px apart, HWHM 3 px,
1000 ± 100 counts, background 50, read noise 2, half of the sites occupied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from napari_coldatoms.lattice import (
    Calibration,
    GaussianPSF,
    ImagingParameters,
    Lattice,
    Phase,
    Reconstructor,
    Simulation,
    calibrate,
    find_phase,
    simulate,
    snr,
)
from napari_coldatoms.lattice.coarse_phase import nearest_equivalent, reduced

IMAGING = {"occupancy": 0.5, "brightness_sd": 100.0, "background": 50.0, "read_noise": 2.0}
READ_NOISE = IMAGING["read_noise"]
WIDTHS = {17.5: 0.672, 14.8: 0.75, 12.5: 0.838}  # HWHM over the root of a site's area, by dB
SIDE = 50
LATTICES = {
    "square": Lattice.square(4.0, (SIDE, SIDE)),
    "rectangular": Lattice([[4.6, 0.0], [0.0, 3.6]], (13.0, 13.0), (SIDE - 4, SIDE + 4)),
    "triangular": Lattice.triangular(4.3, (SIDE, SIDE)),
    "rotated by 7°": Lattice.square(4.0, (SIDE, SIDE), angle=math.radians(7)),
}
T1 = LATTICES["square"]
T1_PSF = GaussianPSF(3.0)
BRIGHTNESSES = (1000.0, 700.0, 500.0, 350.0, 250.0, 180.0, 130.0, 90.0, 60.0, 40.0, 20.0)
LOST = 0.5  # px, from where a phase is wrong


def shot(
    lattice: Lattice,
    psf: GaussianPSF,
    offset: np.ndarray,
    rng: np.random.Generator,
    brightness: float = 1000.0,
) -> Simulation:
    """Return a shot with the sites displaced by an offset (y, x)."""
    imaging = {**IMAGING, "brightness_sd": 0.1 * brightness}
    return simulate(
        lattice.shift(offset),
        psf,
        image_shape=lattice.frame_shape(3 * psf.hwhm),
        brightness=brightness,
        rng=rng,
        **imaging,
    )


def apart(phase: Phase, offset: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Return how far (y, x) a phase is from the truth, up to steps of the lattice."""
    wrong = np.subtract(phase.offset, offset)
    return nearest_equivalent(wrong, reduced(lattice.vectors), (0.0, 0.0))


def phase_errors(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and pulls, (images, 2), of T1 shots up to 0.5 px from where they are told."""
    rng = np.random.default_rng(seed)
    errors, pulls = [], []
    for _ in range(images):
        direction, distance = rng.uniform(0, 2 * np.pi), 0.5 * math.sqrt(rng.random())
        offset = distance * np.array([math.sin(direction), math.cos(direction)])
        image = shot(T1, T1_PSF, offset, rng).image
        phase = find_phase(image, T1, T1_PSF, read_noise=READ_NOISE)
        errors.append(np.subtract(phase.offset, offset))
        pulls.append(errors[-1] / phase.stderr)
    return np.array(errors), np.array(pulls)


@dataclass(frozen=True)
class Calibrated:
    """Largest error of spacings (relative), angles (degrees), HWHM (relative); decisions.

    `wrong` and `wrong_with_truth` are wrong decisions with the own calibration and with the true
    lattice and PSF, in some of the shots; `sites` are too many (+) or too few (-).
    """

    spacing: float
    angle: float
    hwhm: float
    trusted: bool
    sites: int
    wrong: int
    wrong_with_truth: int
    decisions: int


def calibrated(name: str, decibel: float, seed: int, *, shots: int = 20, judged: int) -> Calibrated:
    """Calibrate shots without a guess, and reconstruct some of them."""
    lattice = LATTICES[name]
    psf = GaussianPSF(WIDTHS[decibel] * math.sqrt(lattice.site_area))
    rng = np.random.default_rng([seed, round(10 * decibel), list(LATTICES).index(name)])
    offsets = rng.uniform(-0.5, 0.5, (shots, 2))
    truths = [shot(lattice, psf, offset, rng) for offset in offsets]
    found = calibrate([truth.image for truth in truths], read_noise=READ_NOISE)
    spacing, angle = geometry(lattice)
    wrong = [0, 0]
    for k in range(judged):
        for way, count in enumerate(decided(found, lattice, psf, truths[k], offsets[k], k)):
            wrong[way] += count
    return Calibrated(
        spacing=float(np.abs(np.divide(found.quality.spacing, spacing) - 1).max()),
        angle=float(np.abs(np.subtract(found.quality.angle, angle)).max()),
        hwhm=abs(found.psf.hwhm / psf.hwhm - 1),
        trusted=found.quality.trusted,
        sites=len(found.lattice) - len(lattice),
        wrong=wrong[0],
        wrong_with_truth=wrong[1],
        decisions=judged * len(lattice),
    )


def geometry(lattice: Lattice) -> tuple[np.ndarray, np.ndarray]:
    """Return lengths of the vectors, and their angles in degrees."""
    angle = np.degrees(np.arctan2(lattice.vectors[:, 0], lattice.vectors[:, 1]))
    return np.linalg.norm(lattice.vectors, axis=1), angle


def decided(
    found: Calibration,
    lattice: Lattice,
    psf: GaussianPSF,
    truth: Simulation,
    offset: np.ndarray,
    number: int,
) -> tuple[int, int]:
    """Return wrong decisions with the own calibration, and with the truth.

    The own lattice is put where the calibration has it in that shot.
    """
    there = found.phase_track.offset[number]
    own = Reconstructor(found.lattice.shift(there), found.psf, image_shape=found.image_shape)
    best = Reconstructor(lattice.shift(offset), psf, image_shape=found.image_shape)
    by_own = own.reconstruct(truth.image, read_noise=READ_NOISE).occupied
    by_truth = best.reconstruct(truth.image, read_noise=READ_NOISE).occupied
    distance, index = KDTree(own.lattice.positions).query(lattice.shift(offset).positions)
    # a site that was not found counts as decided to be empty
    judged = np.where(distance < 0.5 * math.sqrt(lattice.site_area), by_own[index], False)
    return int((judged != truth.occupied).sum()), int((by_truth != truth.occupied).sum())


@dataclass(frozen=True)
class Flagged:
    """Shots of one kind: how many, with a wrong phase, and not trusted among wrong and right."""

    kind: str
    decibel: float
    shots: int
    wrong: int
    wrong_flagged: int
    right_flagged: int


def flags(shots: int, seed: int = 0) -> Iterator[Flagged]:
    """Yield how the flag behaves as the light goes down, without atoms, and with wrong vectors."""
    rng = np.random.default_rng(seed)
    for brightness in BRIGHTNESSES:
        found = []
        for _ in range(shots):
            offset = rng.uniform(-2, 2, 2)
            image = shot(T1, T1_PSF, offset, rng, brightness).image
            phase = find_phase(image, T1, T1_PSF, read_noise=READ_NOISE)
            found.append((np.hypot(*apart(phase, offset, T1)) > LOST, phase.trusted))
        imaging = {**IMAGING, "brightness": brightness, "brightness_sd": 0.1 * brightness}
        decibel = snr(T1, T1_PSF, ImagingParameters(**imaging))
        yield _flagged(f"{brightness:g} counts", decibel, found)
    shape = T1.frame_shape(9.0)
    found = []
    for _ in range(shots):
        image = rng.poisson(IMAGING["background"], shape) + rng.normal(0, READ_NOISE, shape)
        found.append((True, find_phase(image, T1, T1_PSF, read_noise=READ_NOISE).trusted))
    yield _flagged("no atoms", math.nan, found)
    for factor in (1.05, 1.2):
        side = int(SIDE / factor)
        wrong = Lattice.square(4.0 * factor, (side, side), origin=(12.0, 12.0))
        found = []
        for _ in range(shots):
            image = shot(T1, T1_PSF, rng.uniform(-2, 2, 2), rng).image
            found.append((True, find_phase(image, wrong, T1_PSF, read_noise=READ_NOISE).trusted))
        yield _flagged(f"vectors too long by {100 * (factor - 1):.0f} %", math.nan, found)


def _flagged(kind: str, decibel: float, found: list[tuple[bool, bool]]) -> Flagged:
    wrong, trusted = np.array(found, dtype=bool).T
    return Flagged(
        kind,
        decibel,
        len(found),
        int(wrong.sum()),
        int((wrong & ~trusted).sum()),
        int((~wrong & ~trusted).sum()),
    )
