"""One image judged with given options: prepared, estimated, and its result put together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.estimators import (
    Estimate,
    estimate_alternating,
    estimate_global,
    estimate_local,
)
from napari_coldatoms.lattice.global_step import GlobalStep, Known, site_prior
from napari_coldatoms.lattice.misfit import NO_MISFIT, Misfit
from napari_coldatoms.lattice.modes import FEWEST_SITES
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.preparation import (
    Background,
    BadPixels,
    adjust,
    make_shot,
    measure_shift,
    refine,
    refine_known,
)
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.lattice.snr import Method, SignalToNoise, error_rate_at
from napari_coldatoms.statistics.mixture import Mixture

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
Pair = tuple[float, float]

_RAREST, _SHARPEST = 1e-6, 1e-3  # occupancy, and noise over brightness, for a mixture
_EM_STEPS = 20

# times the usual errors, and share of errors, from which on a remark is made
_MANY, _FEW_ERRORS = 5.0, 0.002

_ESTIMATORS: dict[str, Callable[[Shot, Known | None, GlobalStep | None], Estimate]] = {
    "alternating": estimate_alternating,
    "local": estimate_local,
    "global": estimate_global,
}


@dataclass(frozen=True, eq=False)
class Options:
    """How images are judged; see `Reconstructor.reconstruct`.

    Raises
    ------
    ValueError
        If there is no such method, or no such choice for the misfit.
    """

    method: Method = "alternating"
    background: Background = "auto"
    read_noise: float = 0.0
    excess_noise: float = 1.0
    parameters: ImagingParameters | None = None
    bad_pixels: BadPixels = "auto"
    misfit: Literal["auto"] | None = "auto"

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(
                f"expected one of the methods {get_args(Method)}, found {self.method!r}"
            )
        if self.misfit not in ("auto", None):
            raise ValueError(f"expected misfit 'auto' or None, found {self.misfit!r}")

    @property
    def find_background(self) -> bool:
        """Whether the images tell the background."""
        return isinstance(self.background, str)

    @property
    def find_bad(self) -> bool:
        """Whether the images tell the bad pixels."""
        return isinstance(self.bad_pixels, str)

    @property
    def find_misfit(self) -> bool:
        """Whether lattice and PSF are adjusted to the images."""
        uses_it = self.method in ("local", "alternating")
        return self.misfit is not None and self.parameters is None and uses_it


@dataclass(frozen=True, eq=False)
class Prepared:
    """A shot ready for the estimators, its global estimate, and what was adjusted."""

    shot: Shot
    known: Known | None = None
    step: GlobalStep | None = None
    misfit: Misfit = NO_MISFIT


def first_shot(setup: Setup, image: ArrayLike, options: Options) -> Shot:
    """Return an image with its bad pixels and a first background."""
    return make_shot(
        setup,
        image,
        background=options.background,
        bad_pixels=options.bad_pixels,
        read_noise=options.read_noise,
        excess_noise=options.excess_noise,
        parameters=options.parameters,
    )


def prepare(setup: Setup, image: ArrayLike, options: Options) -> Prepared:
    """Return an image ready for the estimators."""
    shot = first_shot(setup, image, options)
    parameters = options.parameters
    if parameters is not None:
        known = Known(parameters, setup.signal_to_noise().mixture(parameters))
        if not options.find_background:
            return Prepared(shot, known)
        shot, step = refine_known(setup, shot, known)
        return Prepared(shot, known, step)
    find = options.find_background
    shot, step = refine(setup, shot, find_background=find, find_bad=options.find_bad)
    if not options.find_misfit:
        return Prepared(shot, step=step)
    shot, step, misfit = adjust(setup, shot, step, find_background=find)
    return Prepared(shot, step=step, misfit=misfit)


def judge(setup: Setup, prepared: Prepared, options: Options) -> Reconstruction:
    """Judge every site of a prepared image."""
    shot, known = prepared.shot, prepared.known
    if options.method == "deconvolution":
        estimate = _deconvolve(setup, shot, known)
    else:
        estimate = _ESTIMATORS[options.method](shot, known, prepared.step)
    return _result(setup, prepared, estimate, options)


def _deconvolve(setup: Setup, shot: Shot, known: Known | None) -> Estimate:
    if shot.valid.sum() < FEWEST_SITES:
        raise ValueError(
            f"expected at least {FEWEST_SITES} sites in the frame for deconvolution, found "
            f"{shot.valid.sum()} sites"
        )
    found = setup.deconvolver.estimate(shot.signal, bad=shot.good == 0)
    clear, mixture, brightness = found.bimodality.is_supported, found.mixture, found.brightness
    seen = replace(shot, valid=shot.valid & np.isfinite(brightness))
    if not seen.valid.any():
        # as bright as the light on the good pixels makes all sites, for want of any better
        seen, brightness = shot, np.full_like(brightness, mixture.means[0])
    elif known is not None and not clear:
        mixture, clear = _known_modes(brightness[seen.valid], known.parameters), True
    step = GlobalStep(brightness, mixture, found.regularisation, clear)
    return Estimate(
        found.brightness,
        mixture.probability(found.brightness),
        mixture.threshold,
        mixture,
        site_prior(step, seen, known),
        clear,
    )


def _known_modes(brightness: FloatArray, parameters: ImagingParameters) -> Mixture:
    """Return modes of known means, with weights and a common noise that suit the brightnesses."""
    mean, spread = parameters.brightness, parameters.brightness_sd
    p, noise = parameters.occupancy, 0.25 * mean
    for _ in range(_EM_STEPS):
        p = min(max(p, _RAREST), 1 - _RAREST)
        modes = Mixture(
            np.array([1 - p, p]), np.array([0.0, mean]), np.array([noise, np.hypot(noise, spread)])
        )
        upper = modes.probability(brightness)
        p = float(upper.mean())
        rest = (1 - upper) * brightness**2 + upper * ((brightness - mean) ** 2 - spread**2)
        noise = max(float(rest.mean()), (_SHARPEST * mean) ** 2) ** 0.5
    return modes


def _result(
    setup: Setup, prepared: Prepared, estimate: Estimate, options: Options
) -> Reconstruction:
    shot, misfit = prepared.shot, prepared.misfit
    valid = shot.valid & np.isfinite(estimate.brightness)
    probability = np.where(valid & estimate.has_contrast, estimate.probability, np.nan)
    judged = probability[valid]
    background, relative = shot.background, shot.optics.relative
    prior = estimate.prior
    found = options.parameters or ImagingParameters(
        occupancy=prior.occupancy,
        brightness=prior.brightness,
        brightness_sd=prior.variance**0.5,
        background=max(float(background.mean()), 0.0),
        read_noise=shot.read_noise,
        excess_noise=shot.excess_noise,
    )
    errors = float(np.minimum(judged, 1 - judged).mean()) if len(judged) else math.nan
    ratio = setup.signal_to_noise(misfit.width)
    place, error = _place(setup, prepared, estimate, options)
    remarks = list(_remarks(setup, valid, estimate))
    if estimate.has_contrast and options.method in ("local", "alternating"):
        usual = _usual_errors(ratio, found, options.method)
        if errors > max(_MANY * usual, _FEW_ERRORS):
            remarks.append(
                f"{100 * errors:.2g} % errors are to be expected, where images of this "
                f"signal-to-noise ratio have {100 * usual:.2g} %: lattice, PSF or background may "
                "be wrong"
            )
    return Reconstruction(
        brightness=np.where(valid, estimate.brightness, np.nan),
        occupied=probability > 0.5,
        probability=probability,
        threshold=estimate.threshold,
        mixture=estimate.mixture,
        predicted_error_rate=errors,
        snr_db=ratio.decibel(found) if estimate.has_contrast else math.nan,
        background=background,
        parameters=found,
        valid=valid,
        bad_pixels=shot.good == 0,
        has_contrast=estimate.has_contrast,
        remarks=tuple(remarks),
        method=options.method,
        offset=misfit.offset,
        psf_width=misfit.width,
        relative_brightness=None if (relative == 1).all() else relative,
        place=place,
        place_error=error,
    )


def _place(
    setup: Setup, prepared: Prepared, estimate: Estimate, options: Options
) -> tuple[Pair, Pair]:
    """Return where the image has the sites, and the error; NaN where it does not tell."""
    nothing = (math.nan, math.nan)
    if not (options.find_misfit and estimate.has_contrast):
        return nothing, nothing
    shift, error = measure_shift(setup, prepared.shot, estimate.probability)
    if not np.isfinite(shift).all() or np.abs(shift).max() > setup.psf.hwhm:
        return nothing, nothing
    (y, x), (there_y, there_x) = shift.tolist(), prepared.misfit.offset
    return (there_y + y, there_x + x), (float(error[0]), float(error[1]))


def _usual_errors(ratio: SignalToNoise, parameters: ImagingParameters, method: Method) -> float:
    usual = error_rate_at(ratio.decibel(parameters), parameters, method=method)
    return max(usual, ratio.least_error_rate(parameters))


def _remarks(setup: Setup, valid: BoolArray, estimate: Estimate) -> Iterator[str]:
    if not estimate.has_contrast:
        yield (
            "no contrast: the brightnesses form one mode, all sites may be empty or all "
            "occupied; imaging parameters of other images would tell"
        )
    outside = int((~setup.inside).sum())
    if outside:
        yield f"{outside} of {len(valid)} sites are outside the frame"
    hidden = int((setup.inside & ~valid).sum())
    if hidden:
        yield f"{hidden} sites are hidden by bad pixels"
