"""What "Count atoms" does in the background: reading files, counting in pictures, fitting."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from napari_coldatoms.analyses.count_atoms import CountAtoms
from napari_coldatoms.analyses.count_files import CountFiles
from napari_coldatoms.analyses.count_images import pictures_of
from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.analyses.counted_sites import SiteResult, count_sites
from napari_coldatoms.photons.camera_gain import CameraGain
from napari_coldatoms.photons.compiled import compile_elsewhere, is_compiled
from napari_coldatoms.photons.controls import ControlFit
from napari_coldatoms.photons.histogram import FloatArray, histogram
from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.remarks import FitWarning
from napari_coldatoms.photons.site_counts import SiteCounts, counts_from_stack
from napari_coldatoms.readers.count_files import CountFile, read_counts
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.widgets.count_places import SAMPLE, CountEntry, Place, title_of
from napari_coldatoms.widgets.jobs import stopping

Progress = Callable[[int, int], None]
Cancel = Callable[[], bool]

_TRIED = threading.Event()
_WARM = threading.Event()


@dataclass(frozen=True, eq=False)
class ReadFile:
    """A file of counts, or why it could not be read."""

    path: Path
    file: CountFile | None
    error: str = ""


@dataclass(frozen=True, eq=False)
class CountedRegions:
    """Counts of regions in pictures.

    Attributes
    ----------
    counts : SiteCounts
        Pictures of one shot follow each other.
    images : int
        How many of them show the same atoms.
    entries : tuple of CountEntry
        Whole counts of each region.
    sites : SiteResult or None
        What thresholds make of them; None where that was not asked for, or failed.
    remarks : tuple of str
        Doubts.
    """

    counts: SiteCounts
    images: int
    entries: tuple[CountEntry, ...]
    sites: SiteResult | None
    remarks: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit gave, with all that is shown of it.

    Attributes
    ----------
    known : ControlFit
    result : CountResult or None
        None where there are controls only.
    posterior : (max_count + 1, atoms + 1) or None
        Of the atom number, by counts.
    shots : DataFrame or None
        What single shots say; None where only a histogram is known.
    """

    known: ControlFit
    result: CountResult | None = None
    posterior: FloatArray | None = None
    shots: pd.DataFrame | None = field(default=None)


def must_compile() -> bool:
    """Tell whether there are kernels to be compiled, which is tried once in a session."""
    return not (_TRIED.is_set() or is_compiled())


def compiled_first(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a job's function that lets another process compile the kernels, if need be.

    Compiling holds the interpreter: in a thread it would freeze the window.
    """

    def work(*, progress: Progress, cancel: Cancel) -> Any:
        if must_compile():
            compile_elsewhere(cancel)
            stopping(progress, cancel)(0, 1)
            _TRIED.set()
        return function(progress=progress, cancel=cancel)

    return work


def warm_up() -> None:
    """Get kernels from disk in the background, once in a session.

    The first one takes numba half a second, which would be felt during the first fit.
    """
    if not _WARM.is_set() and is_compiled():
        _WARM.set()
        model = LossModel((1.0, 15.0, 29.0), {(2, 1): 0.8}, 1.0)
        threading.Thread(target=model.distribution, args=(40,), daemon=True).start()


@contextlib.contextmanager
def told_otherwise() -> Iterator[None]:
    """Keep doubts from being warned of: they come with the results as words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        yield


def read_files(
    paths: Sequence[Path],
    layout: Layout | None = None,
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[ReadFile]:
    """Read files of counts; what cannot be read is told with its error."""
    report = _reporter(progress, cancel)
    found = []
    for done, path in enumerate(paths):
        report(done, len(paths))
        try:
            found.append(ReadFile(path, read_counts(path, layout=layout)))
        except (OSError, ValueError) as error:
            found.append(ReadFile(path, None, str(error)))
    return found


def count_regions(
    stack: xr.DataArray,
    regions: Any,
    name: str,
    *,
    weights: str | None,
    background: float | str | None,
    camera: CameraGain | None,
    images: int,
    judge: bool,
    level: float = 0.68,
    known: ControlFit | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> CountedRegions:
    """Count the light of regions in all pictures, and judge each region by a threshold.

    Parameters
    ----------
    stack : DataArray
        As it is in the layer.
    regions : Regions, or a layer
    name : str
        Of the layer of pictures.
    weights, background, camera
        See `photons.counts_from_stack`.
    images : int
        Pictures in a row that show the same atoms.
    judge : bool
        Whether thresholds are wanted.
    level : float
        Probability of intervals.
    known : ControlFit, optional
        What tells the thresholds; by default the two modes of each region.
    """
    report = _reporter(progress, cancel)
    report(0, 0)
    pictures, images = pictures_of(stack, images)
    with told_otherwise():
        counts = counts_from_stack(
            pictures, regions, weights=weights, background=background, camera=camera
        )
        report(0, 0)
        remarks = list(counts.remarks)
        entries = []
        for site in range(len(counts.regions)):
            source = f"{name}, region {counts.numbers[site]}"
            entries.append(
                CountEntry(histogram(counts.whole(site)), source, remarks=counts.remarks)
            )
        sites = None
        if judge:
            sites = count_sites(counts, images=images, model_or_controls=known, level=level)
            remarks = [*sites.remarks]
    return CountedRegions(counts, images, tuple(entries), sites, tuple(remarks))


def fit(
    analysis: CountAtoms,
    entries: Mapping[Place, CountEntry],
    *,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Fitted:
    """Fit the controls, and the sample where there is one.

    Raises
    ------
    ValueError
        If counts are not usable or a control is missing.
    """
    controls = {
        place: entry.histogram for place, entry in entries.items() if isinstance(place, int)
    }
    report = _reporter(progress, cancel)
    report(0, 0)
    with told_otherwise():
        sample = entries.get(SAMPLE)
        if sample is None:
            return Fitted(analysis.fit_controls(controls))
        result = with_files(analysis, entries).count(
            sample.histogram, controls, sources=sources_of(entries), progress=report
        )
        posterior = result.posterior_by_count()
        shots = result.shots() if sample.histogram.in_order is not None else None
    return Fitted(result.known, result, posterior, shots)


def sources_of(entries: Mapping[Place, CountEntry]) -> dict[str, str]:
    """Return where the counts are from: "sample", and "control_0", "control_1", ... for files."""
    found: dict[str, str] = {}
    for place, entry in sorted(entries.items(), key=lambda each: str(each[0])):
        where = ", ".join(map(str, entry.paths)) or entry.source
        of_file = f"control_{place}" if len(entry.paths) == 1 else title_of(place)
        found[SAMPLE if place == SAMPLE else of_file] = where
    return found


def with_files(analysis: CountAtoms, entries: Mapping[Place, CountEntry]) -> CountAtoms:
    """Return an analysis that knows the files of its controls, so that a recipe can repeat it.

    The analysis as it is where the counts are not those of files, each as it was read.
    """
    controls = [entry for place, entry in sorted(entries.items(), key=_order) if place != SAMPLE]
    sample = entries.get(SAMPLE)
    if sample is None or any(len(entry.paths) != 1 for entry in (sample, *controls)):
        return analysis
    paths = list(dict.fromkeys(entry.paths[0] for entry in controls))
    layouts = {entry.layout for entry in controls}
    series = {entry.series for entry in (sample, *controls)} - {None}
    if len(layouts) > 1 or len(series) > 1 or len(paths) not in (1, len(controls)):
        return analysis
    own = paths == list(sample.paths)
    return CountFiles.of(
        analysis,
        controls=() if own else tuple(paths),
        layout=sample.layout,
        controls_layout=None if own else layouts.pop(),
        series=series.pop() if series else None,
    )


def _order(item: tuple[Place, CountEntry]) -> tuple[bool, Place]:
    return isinstance(item[0], str), item[0]


def _reporter(progress: Progress | None, cancel: Cancel | None) -> Progress:
    return stopping(progress or (lambda done, total: None), cancel or (lambda: False))
