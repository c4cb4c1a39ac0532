"""Many images of one lattice: one after the other, or with what they share found together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.lattice.brightness_map import learn_brightness
from napari_coldatoms.lattice.joint import prepare_together
from napari_coldatoms.lattice.judging import Options, first_shot, judge, prepare
from napari_coldatoms.lattice.parameters import ImagingParameters
from napari_coldatoms.lattice.reconstruction import Reconstruction
from napari_coldatoms.lattice.setup import Setup
from napari_coldatoms.lattice.shot import Shot
from napari_coldatoms.statistics.mixture import Mixture, fit_mixture

Images = ArrayLike | Iterable[ArrayLike]
BrightnessMap = Literal["learn"] | ArrayLike | None
Progress = Callable[[int, int | None], None]

_LESSONS = 2  # the second one learns from decisions made with the first map
_FEWEST_VALUES = 4  # for a mixture


def reconstruct_images(
    setup: Setup,
    images: Images,
    options: Options,
    *,
    joint_mixture: bool = False,
    brightness_map: BrightnessMap = None,
    on_progress: Progress | None = None,
) -> list[Reconstruction]:
    """Judge every site in many images; see `Reconstructor.reconstruct_stack`."""
    shots = checked_images(images)
    learn = isinstance(brightness_map, str)
    if learn:
        if brightness_map != "learn":
            raise ValueError(
                f"expected a brightness map, 'learn' or None, found {brightness_map!r}"
            )
        if isinstance(shots, Iterator):
            shots = list(shots)  # they are gone through more than once
    elif brightness_map is not None:
        setup = setup.with_relative_brightness(brightness_map)
    if joint_mixture and options.method == "deconvolution":
        raise ValueError("expected another method than 'deconvolution' for a joint mixture")
    # with imaging parameters there is nothing left to find together
    together = joint_mixture and options.parameters is None
    way = _together if together else _one_by_one
    lessons = _LESSONS if learn else 0
    total = len(shots) * (1 + lessons) if isinstance(shots, Sized) else None
    progress = _Counter(total, on_progress)
    results = way(setup, shots, options, progress)
    for _ in range(lessons):
        if not any(result.has_contrast for result in results):
            break
        setup = setup.with_relative_brightness(learn_brightness(setup, shots, results))
        results = way(setup, shots, options, progress)
    return results


class _Counter:
    """Counts images and tells how many are done."""

    def __init__(self, total: int | None, on_progress: Progress | None) -> None:
        self._total = total
        self._on_progress = on_progress
        self._done = 0

    def step(self) -> None:
        self._done += 1
        if self._on_progress is not None:
            self._on_progress(self._done, self._total)


def checked_images(images: Images) -> Iterable[ArrayLike]:
    """Return images to go through, or raise."""
    dimensions = getattr(images, "ndim", None)
    if dimensions not in (None, 3):
        raise ValueError(
            f"expected a stack of images of shape (shots, y, x), found {dimensions} dimensions"
        )
    if not isinstance(images, Iterable):
        raise TypeError(f"expected a stack of images, found {type(images).__name__}")
    return images


def _one_by_one(
    setup: Setup, images: Iterable[ArrayLike], options: Options, progress: _Counter
) -> list[Reconstruction]:
    results: list[Reconstruction] = []
    errors: list[Exception] = []
    for image in images:
        try:
            result = judge(setup, prepare(setup, image, options), options)
        except (ValueError, TypeError) as error:
            errors.append(error)
            result = _unusable(setup, options, error)
        results.append(result)
        progress.step()
    if len(errors) == len(results):
        _raise_first(errors)
    return results


def _together(
    setup: Setup, images: Iterable[ArrayLike], options: Options, progress: _Counter
) -> list[Reconstruction]:
    shots: list[Shot] = []
    errors: list[Exception | None] = []
    for image in images:
        try:
            shot = first_shot(setup, image, options)
            shot.mean_brightness()  # raises where no light of the sites is to be seen
        except (ValueError, TypeError) as problem:
            errors.append(problem)
        else:
            errors.append(None)
            shots.append(shot)
    if not shots:
        _raise_first(errors)
        return []
    prepared = iter(prepare_together(setup, shots, options))
    results: list[Reconstruction] = []
    for error in errors:
        if error is None:
            results.append(judge(setup, next(prepared), options))
        else:
            results.append(_unusable(setup, options, error))
        progress.step()
    return _with_common_mixture(results)


def _raise_first(errors: Iterable[Exception | None]) -> None:
    for error in errors:
        if error is not None:
            raise error


def _with_common_mixture(results: list[Reconstruction]) -> list[Reconstruction]:
    """Return the results with the mixture of all brightnesses."""
    values = np.concatenate([result.brightness[result.valid] for result in results])
    clear = any(result.has_contrast for result in results)
    if not clear or len(values) < _FEWEST_VALUES or not np.ptp(values) > 0:
        return results
    mixture = fit_mixture(values)
    return [replace(result, mixture=mixture) for result in results]


def _unusable(setup: Setup, options: Options, reason: Exception) -> Reconstruction:
    """Return the result of an image that cannot be judged: no site is valid."""
    nothing = np.zeros(len(setup.lattice), dtype=np.bool_)
    relative = setup.optics.relative
    parameters = options.parameters or ImagingParameters(
        occupancy=0.0,
        brightness=1.0,
        brightness_sd=0.0,
        background=0.0,
        read_noise=options.read_noise,
        excess_noise=options.excess_noise,
    )
    return Reconstruction(
        brightness=np.full(len(nothing), np.nan),
        occupied=nothing,
        probability=np.full(len(nothing), np.nan),
        threshold=np.nan,
        mixture=Mixture(np.full(2, 0.5), np.zeros(2), np.ones(2)),
        predicted_error_rate=np.nan,
        snr_db=np.nan,
        background=np.full(setup.image_shape, np.nan),
        parameters=parameters,
        valid=nothing,
        bad_pixels=np.ones(setup.image_shape, dtype=np.bool_),
        has_contrast=False,
        remarks=(f"not judged: {reason}",),
        method=options.method,
        relative_brightness=None if (relative == 1).all() else relative,
    )
