"""A first model of the sites in a stack of images, good enough for the sites to be judged.

The power spectrum of the images tells the width of the PSF (`spectrum`), the squares of filtered
images the lattice vectors (`bravais`); single peaks of the mean image are sites at arbitrary
positions (`tweezers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.bravais import find_periods
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.coarse_phase import reduced
from napari_coldatoms.lattice.defects import fill_bad_pixels, find_bad_pixels
from napari_coldatoms.lattice.extent import covering
from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.phase import REACH
from napari_coldatoms.lattice.psf import PSF, GaussianPSF
from napari_coldatoms.lattice.registration import Registration
from napari_coldatoms.lattice.spectrum import (
    doubled,
    filtered,
    find_psf,
    fluctuations,
    transfer_function,
)
from napari_coldatoms.lattice.tweezers import are_single, find_positions

FloatArray = NDArray[np.float64]
Arrangement = Literal["auto", "regular", "positions"]
Extent = Literal["as given", "found"]

_CLOSEST = 0.7  # half widths of the PSF between sites
_ON_LATTICE = 0.08  # spacings; nearer a peak belongs to a lattice
_MOSTLY = 0.8  # of the peaks
_FITTING_ROUNDS = 3
_ONE_SORT = 0.9  # of the peaks on every other site
_BRIGHTEST = 12.0  # squares over their mean
_COARSE = 1.6  # px, half width of the PSF that lets sites be closer than two pixels
_FEWEST_PEAKS = 2
_FIRST_HWHM = 1.0  # px, sharper than which nothing is light through the PSF
_SIMILAR = 0.1  # difference of lattice vectors over their lengths


@dataclass(frozen=True, eq=False)
class Model:
    """What is known of the sites so far.

    Attributes
    ----------
    lattice : Lattice
    psf : PSF
    endless : bool
        Whether it is not known which of the sites hold atoms.
    registration : Registration or None
        How the images differed from the model before; None of a first one.
    settled : bool
        Whether this model is hardly different from the one before.
    """

    lattice: Lattice
    psf: PSF
    endless: bool
    registration: Registration | None = None
    settled: bool = False


def first_model(
    images: Sequence[ArrayLike],
    shape: tuple[int, int],
    guess: Lattice | Calibration | None,
    arrangement: Arrangement,
    extent: Extent = "as given",
) -> Model:
    """Return a first model, good enough for the sites to be judged.

    Parameters
    ----------
    images : sequence of (y, x) arrays
        Counts; those of another shape than (y, x) are left out.
    shape : (int, int)
        Rows and columns.
    guess, arrangement, extent
        See `calibrate.calibrate`.

    Raises
    ------
    ValueError
        If no image can be used, or no sites are seen.
    """
    usable = _usable(images, shape)
    rest = fluctuations(usable)
    found = find_psf(rest)
    given = guess.lattice if isinstance(guess, Calibration) else guess
    if found is None:
        raise ValueError(nothing_seen(arrangement))
    psf, spectrum = found
    width: PSF = guess.psf if isinstance(guess, Calibration) else psf
    if given is not None and not given.is_regular:
        return Model(given, width, endless=False)
    vectors = None
    if arrangement != "positions":
        sharp = filtered(rest, transfer_function(psf, shape), spectrum)
        vectors = _plausible(_periods(sharp, psf), psf)
    if given is not None:
        adapted = _adapted(given, vectors)
        if extent == "as given" or adapted.vectors is None or adapted.origin is None:
            return Model(adapted, width, endless=False)
        return Model(covering(adapted.vectors, adapted.origin, shape), width, endless=True)
    mean = usable.mean(axis=0)
    places = find_positions(mean, psf, spectrum.noise / len(usable))
    single = are_single(mean, places, psf)
    if vectors is not None and single and arrangement == "auto" and not _fits(places, vectors):
        vectors = None
    if vectors is not None:
        middle = (np.array(shape) - 1) / 2
        return Model(covering(vectors, middle, shape, REACH * psf.hwhm), psf, endless=True)
    if arrangement != "regular" and single and len(places) >= _FEWEST_PEAKS:
        return Model(Lattice.from_positions(places), psf, endless=True)
    raise ValueError(nothing_seen(arrangement))


def nothing_seen(arrangement: Arrangement) -> str:
    """Return what is told where images show no sites."""
    wanted = {"auto": "a lattice or single sites", "regular": "a lattice", "positions": "sites"}
    return (
        f"expected images that show {wanted[arrangement]}, found no pattern that stands out of "
        "the noise; more shots or atoms may help"
    )


def _periods(sharp: FloatArray, psf: PSF) -> FloatArray | None:
    """Return the vectors of the lattice that filtered images show; None where there is none."""
    # squares have twice the frequencies of the images: pixels are too coarse for sites so close
    close = psf.hwhm < _COARSE
    squares = (doubled(sharp) if close else sharp) ** 2
    # hits of the camera that are not known to be bad are brighter than all sites
    found = find_periods(np.minimum(squares, _BRIGHTEST))
    if found is None:
        return None
    return 0.5 * found.vectors if close else found.vectors


def _plausible(vectors: FloatArray | None, psf: PSF) -> FloatArray | None:
    """Return the vectors, unless sites would be far closer than the PSF can tell apart."""
    if vectors is None:
        return None
    shortest = float(np.linalg.norm(vectors, axis=1).min())
    return vectors if shortest > _CLOSEST * psf.hwhm else None


def _usable(images: Sequence[ArrayLike], shape: tuple[int, int]) -> FloatArray:
    """Return the images that can be used, bad pixels filled, (k, y, x)."""
    narrow = GaussianPSF(_FIRST_HWHM)
    found = []
    for image in images:
        if np.shape(image) != shape or np.iscomplexobj(image):
            continue
        pixels = np.ma.filled(np.ma.asarray(image, dtype=np.float64), np.nan)
        bad = find_bad_pixels(pixels, narrow, read_noise=0.0, excess_noise=1.0)
        if not bad.all():
            found.append(fill_bad_pixels(pixels, bad))
    if not found:
        raise ValueError(f"expected images of shape {shape} with finite pixels, found none")
    return np.array(found)


def _adapted(guess: Lattice, vectors: FloatArray | None) -> Lattice:
    """Return a guessed lattice with vectors as found, if those are about the same lattice."""
    assert guess.vectors is not None
    assert guess.origin is not None
    assert guess.shape is not None
    if vectors is None:
        return guess
    steps = np.rint(guess.vectors @ np.linalg.inv(vectors))
    better = steps @ vectors
    lengths = np.linalg.norm(guess.vectors, axis=1)
    if (np.linalg.norm(better - guess.vectors, axis=1) > _SIMILAR * lengths).any():
        return guess
    if round(abs(float(np.linalg.det(steps)))) != 1:
        return guess
    half = 0.5 * (np.array(guess.shape) - 1)
    origin = np.array(guess.origin) + half @ guess.vectors - half @ better
    return Lattice(better, origin, guess.shape, mask=guess.mask)


def _fits(places: FloatArray, vectors: FloatArray) -> bool:
    """Return whether single sites are those of a lattice with about these vectors."""
    steps = reduced(vectors)
    spacing = float(np.linalg.norm(steps, axis=1).min())
    parts = places @ np.linalg.inv(steps)
    origin = np.angle(np.exp(2j * np.pi * parts).mean(axis=0)) / (2 * np.pi) @ steps
    for _ in range(_FITTING_ROUNDS):
        labels = np.rint((places - origin) @ np.linalg.inv(steps))
        design = np.column_stack([np.ones(len(places)), labels])
        found = np.linalg.lstsq(design, places, rcond=None)[0]
        apart = np.linalg.norm(places - design @ found, axis=1)
        if abs(np.linalg.det(found[1:])) < 0.5 * abs(np.linalg.det(steps)):
            return False
        origin, steps = found[0], found[1:]
    # of a lattice too fine, every other site is empty
    odd = np.column_stack([labels, labels.sum(axis=1)]) % 2
    if (np.abs(odd.mean(axis=0) - 0.5) > _ONE_SORT - 0.5).any():
        return False
    return bool((apart < _ON_LATTICE * spacing).mean() > _MOSTLY)
