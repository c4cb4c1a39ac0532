"""Judge every site of a lattice in every shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, NamedTuple

import numpy as np

from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.analyses.calibration_file import load_calibration
from napari_coldatoms.analyses.lattice_images import Images, frames_of_atoms, photoelectrons
from napari_coldatoms.analyses.lattice_light import find_light, how_bright
from napari_coldatoms.analyses.lattice_series import (
    Place,
    SeriesContext,
    ShotContext,
    measured_place,
    places_of,
)
from napari_coldatoms.analyses.site_layers import cells_layer, outline_layer, sites_layer
from napari_coldatoms.analyses.site_result import ShotSites, SiteImage
from napari_coldatoms.analyses.site_tables import (
    compare_images,
    pairs_table,
    shots_table,
    site_table,
)
from napari_coldatoms.backend.analysis import LayerData, check
from napari_coldatoms.backend.run import Progress, Run
from napari_coldatoms.images.stack import StackError, is_raw
from napari_coldatoms.lattice.calibration import Calibration
from napari_coldatoms.lattice.pair_comparison import PairComparison
from napari_coldatoms.lattice.reconstruct import Reconstructor
from napari_coldatoms.lattice.track import track_phase

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_NEARLY_EMPTY = 0.01


class Camera(NamedTuple):
    """Offset (counts), counts per photoelectron, read noise (photoelectrons), excess noise."""

    offset: float
    gain: float
    read_noise: float
    excess_noise: float


@dataclass(frozen=True)
class ReconstructLattice:
    """Judge which sites of a lattice or a tweezer array hold an atom, in every shot."""

    name: ClassVar[str] = "reconstruct_lattice"
    thing: ClassVar[str] = "site"
    whole_series: ClassVar[bool] = True

    calibration: Annotated[
        Path | None,
        {
            "tooltip": "a calibration (YAML): where the sites are and what one atom looks like; "
            "without one the shots themselves are calibrated",
            "filter": "*.yaml *.yml",
        },
    ] = None
    method: Annotated[
        Literal["alternating", "local", "global", "deconvolution"],
        {"tooltip": "the estimator; the first is the most accurate, the others are faster"},
    ] = "alternating"
    phase: Annotated[
        Literal["per shot", "calibrated"],
        {
            "tooltip": "'per shot': follow the drift of the lattice from shot to shot; "
            "'calibrated': it stays where it was, within some tenths of a site"
        },
    ] = "per shot"
    brightness: Annotated[
        Literal["auto", "each shot", "all shots", "calibrated"],
        {
            "tooltip": "what tells how bright an atom is: each shot by itself, all shots together "
            "(for few sites), or the calibration; 'auto': each shot where it has 100 sites or more"
        },
    ] = "auto"
    brightness_map: Annotated[
        bool, {"tooltip": "learn from the shots how bright each site is, for uneven light"}
    ] = False
    pairs: Annotated[
        bool,
        {
            "tooltip": "all frames of a shot are images of the same atoms: survival, hopping and "
            "loss are told from the first to the second"
        },
    ] = False
    background: Annotated[
        float | None,
        {
            "min": -1e6,
            "max": 1e9,
            "tooltip": "light beside the atoms, the same everywhere (photoelectrons per pixel); by "
            "default a smooth map is found in each image",
        },
    ] = None
    threshold: Annotated[
        float | None,
        {
            "min": -1e9,
            "max": 1e9,
            "tooltip": "a site brighter than this holds an atom (photoelectrons); by default one "
            "that holds it with a probability above 1/2",
        },
    ] = None
    read_noise: Annotated[
        float | None,
        {
            "min": 0.0,
            "max": 1e6,
            "tooltip": "the camera's read noise (photoelectrons); by default that of the "
            "calibration, or 0",
        },
    ] = None
    offset: Annotated[
        float | None,
        {
            "min": -1e6,
            "max": 1e6,
            "tooltip": "the camera's offset (counts); by default that of the calibration, or 0",
        },
    ] = field(default=None, metadata={"advanced": True})
    gain: Annotated[
        float | None,
        {
            "min": 1e-6,
            "max": 1e6,
            "tooltip": "counts per photoelectron; by default that of the calibration, or 1",
        },
    ] = field(default=None, metadata={"advanced": True})
    excess_noise: Annotated[
        float | None,
        {
            "min": 1.0,
            "max": 10.0,
            "tooltip": "factor on the variance of the shot noise, 2 with electron multiplication; "
            "by default that of the calibration, or 1",
        },
    ] = field(default=None, metadata={"advanced": True})
    arrangement: Annotated[
        Literal["auto", "regular", "positions"],
        {
            "tooltip": "without a calibration: whether the sites form a lattice, or are anywhere "
            "but apart, as tweezers are"
        },
    ] = field(default="auto", metadata={"advanced": True})
    cells: Annotated[
        bool, {"tooltip": "also show the pixels that belong to each site, as labels"}
    ] = field(default=False, metadata={"advanced": True})

    def __post_init__(self) -> None:
        check(self)

    def takes(self, stack: xr.DataArray) -> bool:
        """Return whether raw frames are analysed as they are: several images of the same atoms."""
        return is_raw(stack) and len(frames_of_atoms(stack, pairs=self.pairs)) > 1

    def prepare(self, stack: xr.DataArray) -> SeriesContext:
        """Return what all shots share; see `SeriesContext`.

        Raises
        ------
        StackError
            Where there are no pictures, or of another size than calibrated.
        CalibrationError
            Where the file holds none.
        ValueError
            Where no sites are seen, or imaging parameters are missing.
        """
        return self.context(stack)

    def context(
        self,
        stack: xr.DataArray,
        calibration: Calibration | None = None,
        *,
        shots: Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> SeriesContext:
        """Return what all shots share, see `SeriesContext`.

        Parameters
        ----------
        stack : DataArray
        calibration : Calibration, optional
            In place of the file's.
        shots : sequence of int, optional
            Those that are wanted, by their numbers; all by default.
        progress : callable, optional
            Called with (images looked at, all). What it raises ends the work.

        Raises
        ------
        As `prepare`.
        """
        if calibration is None and self.calibration is not None:
            calibration = load_calibration(self.calibration)
        given = calibration
        if calibration is None:
            calibration = self._calibrated(stack, progress)
        known, camera = calibration, self.camera(calibration)
        images = Images(
            stack, pairs=self.pairs, offset=camera.offset, gain=camera.gain, shots=shots
        )
        if known.image_shape != images.shape:
            raise StackError(
                f"expected images of {_size(known.image_shape)} as in the calibration, found "
                f"{_size(images.shape)}"
            )
        noise = {"read_noise": camera.read_noise, "excess_noise": camera.excess_noise}
        if self.phase == "calibrated":
            places = (Place((0.0, 0.0)),) * len(images)
        elif given is None and shots is None:
            places = places_of(known.phase_track)
        else:
            report = None if progress is None else partial(_report, progress, len(images))
            own = how_bright(
                self.brightness,
                known.lattice,
                images.shape,
                len(images),
                known=known.parameters is not None,
            )
            # then the reconstruction adjusts the place itself
            adjusted = own == "each shot" and self.method in ("alternating", "local")
            track = track_phase(
                images, known.lattice, known.psf, fine=not adjusted, on_progress=report, **noise
            )
            places = places_of(track)
        parameters = None if known.parameters is None else replace(known.parameters, **noise)
        light = find_light(
            images,
            known,
            places,
            wanted=self.brightness,
            known=parameters,
            map_wanted=self.brightness_map,
            progress=progress,
            **noise,
        )
        rescued = light.parameters is None and self.brightness == "auto"
        return SeriesContext(
            known,
            places,
            images.per_shot,
            light.parameters,
            parameters if rescued else None,
            light.relative_brightness,
            _doubts(known),
            shots=images.shots,
        )

    def __call__(self, frame: xr.DataArray, context: ShotContext) -> ShotSites:
        """Return the sites in each image of one shot."""
        raw = is_raw(frame)
        numbers = frames_of_atoms(frame, pairs=self.pairs) if raw else []
        images = [frame.isel(frame=number) for number in numbers] if raw else [frame]
        judged = ShotSites(
            tuple(
                self._judge(np.asarray(image.values), place, context)
                for image, place in zip(images, context.places, strict=True)
            )
        )
        return judged if self.threshold is None else judged.with_threshold(self.threshold)

    def summarise(self, run: Run) -> pd.DataFrame:
        """Return one row per site and image; see `site_table`."""
        return site_table(run)

    def shots(self, run: Run) -> pd.DataFrame:
        """Return one row per image; see `shots_table`."""
        return shots_table(run)

    def comparison(self, run: Run) -> PairComparison | None:
        """Return survival, hopping and loss from the first to the second image of each shot.

        None where there is one image of each shot only.
        """
        return compare_images(run)

    def more_tables(self, run: Run) -> dict[str, pd.DataFrame]:
        """Return the table of ``shots``, and of ``pairs`` where shots have several images."""
        tables = {"shots": shots_table(run)}
        pairs = pairs_table(run)
        return tables if pairs is None else tables | {"pairs": pairs}

    def layers(self, run: Run) -> list[LayerData]:
        """Return the sites (Points), the lattice's outline (Shapes) and, if wanted, the cells."""
        shown = [outline_layer(run), sites_layer(run)]
        return [cells_layer(run), *shown] if self.cells else shown

    def _calibrated(self, stack: xr.DataArray, progress: Progress | None) -> Calibration:
        return calibrate_lattice(
            stack,
            arrangement=self.arrangement,
            pairs=self.pairs,
            offset=self.offset or 0.0,
            gain=self.gain or 1.0,
            read_noise=self.read_noise or 0.0,
            excess_noise=self.excess_noise or 1.0,
            progress=progress,
        )

    def camera(self, known: Calibration) -> Camera:
        """Return the camera as given, or as calibrated."""
        found = known.parameters
        calibrated = Camera(
            known.offset,
            known.gain,
            0.0 if found is None else found.read_noise,
            1.0 if found is None else found.excess_noise,
        )
        given = {name: getattr(self, name) for name in Camera._fields}
        return calibrated._replace(**{n: value for n, value in given.items() if value is not None})

    def _judge(self, image: np.ndarray, place: Place, context: ShotContext) -> SiteImage:
        known = context.calibration
        reconstructor, made_for = context.reconstructor(place)
        camera = self.camera(known)
        image = photoelectrons(image, camera.offset, camera.gain)
        background: float | Literal["auto"] = "auto" if self.background is None else self.background
        judge = partial(
            Reconstructor.reconstruct, image=image, method=self.method, background=background
        )
        found = judge(
            reconstructor,
            read_noise=camera.read_noise,
            excess_noise=camera.excess_noise,
            parameters=context.parameters,
        )
        remarks = list(context.remarks)
        weak = np.isfinite(place.contrast) and not place.trusted
        if weak:
            taken = (
                "taken from other shots" if place.known else "not known, the calibrated one taken"
            )
            remarks.append(f"the lattice is too weak here: its place is {taken}")
        # a few atoms do not tell how bright an atom is, and may pretend to
        if context.rescue is not None and (weak or not found.has_contrast):
            again = judge(reconstructor, parameters=context.rescue)
            # atoms at sites whose place nobody knows are none
            if place.known or again.occupied.mean() < _NEARLY_EMPTY:
                found = again
                remarks.append("judged with the brightness of atoms as calibrated")
        place = measured_place(place, made_for, found)
        offset = place.offset
        if self.phase == "calibrated":
            offset = (made_for[0] + found.offset[0], made_for[1] + found.offset[1])
        return SiteImage.of(found, known.lattice.shift(offset), place, offset, tuple(remarks))


def _report(progress: Progress, total: int, done: int) -> None:
    progress(done, total)


def _doubts(known: Calibration) -> tuple[str, ...]:
    if known.quality.trusted:
        return ()
    return (f"the calibration is not trusted: {'; '.join(known.quality.remarks)}",)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]} pixels"
