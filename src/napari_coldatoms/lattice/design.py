"""How well a planned imaging system will work: SNR and detection errors over its parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.lattice.geometry import Lattice
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.psf import PSF, AiryPSF, GaussianPSF
from napari_coldatoms.lattice.snr import Method, SignalToNoise, snr_without_overlap

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["square", "triangular"]
Numbers: TypeAlias = ArrayLike

METHODS: tuple[Method, ...] = get_args(Method)
ERROR_RATE = "predicted_error_rate_"
"""What the columns of error rates begin with; the method follows."""

UNITS: dict[str, str] = {
    "pixel_size": "um",
    "spacing_um": "um",
    "spacing": "px",
    "wavelength": "um",
    "hwhm": "px",
    "brightness": "counts",
    "background": "counts/px",
    "read_noise": "counts",
    "snr_db": "dB",
    "snr_without_overlap_db": "dB",
    "snr_far_apart_db": "dB",
}
"""Units of the columns; those of the others are pure numbers."""

_SIDE = 30  # sites along each side: as many as represent a lattice
_FIRST_DARK_RING = 0.5 * 3.8317059702075125 / math.pi  # in wavelength / numerical aperture
_LONGEST = 20.0  # um; no optical wavelength is longer
_MOST_APERTURE = 2.0
_WIDEST = 20.0  # px; the light of 900 sites must fit into memory
_POSITIVE = ("spacing", "pixel_size", "hwhm", "wavelength", "numerical_aperture", "brightness")
_CAMERA = (
    *("occupancy", "brightness", "brightness_sd"),
    *("background", "read_noise", "excess_noise"),
)
_GEOMETRY = (
    *("kind", "pixel_size", "spacing_um", "spacing"),
    *("numerical_aperture", "wavelength", "hwhm"),
)


def design(
    *,
    spacing: Numbers,
    brightness: Numbers,
    hwhm: Numbers | None = None,
    numerical_aperture: Numbers | None = None,
    wavelength: Numbers | None = None,
    pixel_size: Numbers | None = None,
    kind: Kind | Sequence[Kind] = "square",
    brightness_sd: Numbers = 0.1,
    occupancy: Numbers = 0.5,
    background: Numbers = 0.0,
    read_noise: Numbers = 0.0,
    excess_noise: Numbers = 1.0,
    methods: Sequence[Method] = METHODS,
) -> pd.DataFrame:
    """Return the signal-to-noise ratio and the errors to expect over a grid of parameters.

    Each parameter is a number or several; all combinations are computed. The PSF is either a
    `GaussianPSF` of the half width `hwhm`, or the `AiryPSF` of an objective, whose first dark ring
    has the radius 0.61 wavelength / numerical_aperture (HWHM 0.257 wavelength /
    numerical_aperture).

    A geometry (kind, spacing, PSF) takes some tenths of a second, each of its combinations with
    the other parameters about a millisecond.

    Parameters
    ----------
    spacing : float or several
        Distance of neighbouring sites: in um if `pixel_size` is given, otherwise in px.
    brightness : float or several
        Mean light of an atom, in counts, which are taken as photoelectrons: the photons that an
        atom scatters times the part that is collected and detected.
    hwhm : float or several, optional
        Half width at half maximum of the PSF, in px.
    numerical_aperture, wavelength : float or several, optional
        Instead of `hwhm`: of the objective, and of the light (um). They need `pixel_size`.
    pixel_size : float or several, optional
        Size of a pixel in the plane of the atoms (um): the camera's pitch over the magnification.
    kind : {"square", "triangular"} or several
        The lattice.
    brightness_sd : float or several
        Standard deviation of an atom's light, relative to its mean.
    occupancy, background, read_noise, excess_noise : float or several
        As in `ImagingParameters`.
    methods : sequence of str
        The estimators whose errors are predicted.

    Returns
    -------
    pandas.DataFrame
        A row for each combination, the last parameter running fastest. Columns: the parameters,
        with `spacing` and `hwhm` in px and, if given in um, `spacing_um`; `hwhm_over_spacing`;
        `snr_db` (see `snr`); `snr_without_overlap_db`, as if all light of a site fell on a pixel
        of its own, and `snr_far_apart_db`, as if only the PSF spread it (see
        `snr_without_overlap`, without and with a PSF); `predicted_error_rate_<method>` for each
        method (see `predicted_error_rate`). Units are in ``attrs["units"]``, the kind of PSF in
        ``attrs["psf"]``.

    Raises
    ------
    ValueError
        If neither or both ways to give the PSF are used, or a value is out of its range.
    """
    import pandas as pd

    _check_methods(methods)
    optics = _optics(hwhm, numerical_aperture, wavelength, pixel_size)
    cameras = _grid(
        occupancy=occupancy,
        brightness=brightness,
        brightness_sd=brightness_sd,
        background=background,
        read_noise=read_noise,
        excess_noise=excess_noise,
    )
    # all are checked before the first geometry, which takes longer
    imaging = [_imaging(camera) for camera in cameras]
    rows: list[dict[str, Any]] = []
    kept: dict[tuple[str, float, float], tuple[Lattice, SignalToNoise]] = {}
    geometries = [
        _geometry(which, place)
        for which in _kinds(kind)
        for place in _grid(spacing=spacing, **optics)
    ]
    for geometry in geometries:
        key = (geometry["kind"], geometry["spacing"], geometry["hwhm"])
        if key not in kept:
            lattice = getattr(Lattice, key[0])(key[1], (_SIDE, _SIDE))
            kept[key] = lattice, SignalToNoise(lattice, _psf(geometry))
        lattice, ratio = kept[key]
        for camera, parameters in zip(cameras, imaging, strict=True):
            errors = {
                f"{ERROR_RATE}{method}": ratio.predicted_error_rate(parameters, method=method)
                for method in methods
            }
            rows.append(
                {
                    **geometry,
                    **camera,
                    "hwhm_over_spacing": geometry["hwhm"] / geometry["spacing"],
                    "snr_db": ratio.decibel(parameters),
                    "snr_without_overlap_db": snr_without_overlap(lattice, None, parameters),
                    "snr_far_apart_db": ratio.decibel_without_overlap(parameters),
                    **errors,
                }
            )
    table = pd.DataFrame(rows)
    table.attrs["units"] = {name: UNITS[name] for name in table.columns if name in UNITS}
    table.attrs["psf"] = "gaussian" if hwhm is not None else "airy"
    return table


def given_parameters(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of a table of `design` that were parameters of it, and not computed."""
    computed = set()
    if "spacing_um" in table.columns:
        computed.add("spacing")
    if "numerical_aperture" in table.columns:
        computed.add("hwhm")
    names = (*_GEOMETRY, *_CAMERA)
    return tuple(name for name in names if name in table.columns and name not in computed)


def _check_methods(methods: Sequence[Method]) -> None:
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"expected methods out of {METHODS}, found {method!r}")


def _optics(
    hwhm: Numbers | None,
    numerical_aperture: Numbers | None,
    wavelength: Numbers | None,
    pixel_size: Numbers | None,
) -> dict[str, Numbers]:
    """Return what was given of the optics; either a width or an objective."""
    objective = {"numerical_aperture": numerical_aperture, "wavelength": wavelength}
    given = {name: value for name, value in objective.items() if value is not None}
    pixel = {} if pixel_size is None else {"pixel_size": pixel_size}
    if hwhm is not None:
        if given:
            raise ValueError(
                f"expected either hwhm (px) or numerical_aperture and wavelength (um), "
                f"found hwhm and {' and '.join(given)}"
            )
        return {**pixel, "hwhm": hwhm}
    wanted = {**objective, "pixel_size": pixel_size}
    missing = [name for name, value in wanted.items() if value is None]
    if not given:
        raise ValueError(
            "expected hwhm (px), or numerical_aperture, wavelength (um) and pixel_size (um), "
            "found neither"
        )
    if missing:
        raise ValueError(
            f"expected numerical_aperture, wavelength (um) and pixel_size (um), "
            f"found no {' and no '.join(missing)}"
        )
    return {**pixel, **given}


def _grid(**parameters: Numbers) -> list[dict[str, float]]:
    """Return all combinations of the values of some parameters."""
    values = [_values(name, value) for name, value in parameters.items()]
    return [dict(zip(parameters, chosen, strict=True)) for chosen in itertools.product(*values)]


def _values(name: str, value: Numbers) -> list[float]:
    array = np.asarray(value)
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise ValueError(f"expected {name} to be a number or several, found {value!r}")
    if array.size == 0:
        raise ValueError(f"expected at least one value of {name}, found none")
    numbers = [float(number) for number in array.ravel()]
    for number in numbers:
        _check(name, number)
    return numbers


def _check(name: str, number: float) -> None:
    positive = name in _POSITIVE
    if not math.isfinite(number) or number < 0 or (number == 0 and positive):
        least = "positive" if positive else "at least 0"
        raise ValueError(f"expected {name} to be finite and {least}, found {number:g}")
    if name == "wavelength" and number > _LONGEST:
        raise ValueError(f"expected a wavelength in um, such as 0.78, found {number:g}")
    if name == "numerical_aperture" and number >= _MOST_APERTURE:
        raise ValueError(
            f"expected a numerical_aperture below {_MOST_APERTURE:g}, found {number:g}"
        )


def _kinds(kind: Kind | Sequence[Kind]) -> list[Kind]:
    kinds: list[Kind] = [kind] if isinstance(kind, str) else list(kind)
    for one in kinds:
        if one not in get_args(Kind):
            raise ValueError(f"expected kinds of lattice out of {get_args(Kind)}, found {one!r}")
    if not kinds:
        raise ValueError("expected at least one kind of lattice, found none")
    return kinds


def _geometry(kind: Kind, place: Mapping[str, float]) -> dict[str, Any]:
    """Return the columns of one geometry; spacing and width in px."""
    columns: dict[str, Any] = {"kind": kind, **place}
    if "pixel_size" in place:
        columns["spacing_um"] = place["spacing"]
        columns["spacing"] = place["spacing"] / place["pixel_size"]
    columns["hwhm"] = _psf(columns).hwhm
    if columns["hwhm"] > _WIDEST:
        raise ValueError(
            f"expected an hwhm up to {_WIDEST:g} px, found {columns['hwhm']:g} (take larger pixels)"
        )
    return {name: columns[name] for name in _GEOMETRY if name in columns}


def _psf(columns: Mapping[str, Any]) -> PSF:
    if "numerical_aperture" not in columns:
        return GaussianPSF(columns["hwhm"])
    ring = _FIRST_DARK_RING * columns["wavelength"] / columns["numerical_aperture"]
    return AiryPSF(ring / columns["pixel_size"])


def _imaging(camera: Mapping[str, float]) -> ImagingParameters:
    spread = camera["brightness_sd"] * camera["brightness"]
    return ImagingParameters(**{**camera, "brightness_sd": spread})
