"""The command ``count`` with images: which sites hold an atom."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_coldatoms import readers
from napari_coldatoms.analyses.count_export import export
from napari_coldatoms.analyses.count_files import read_controls
from napari_coldatoms.analyses.count_images import CountSites, read_labels
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.cli import DONE, NOTHING, UsageError
from napari_coldatoms.cli.report import print_table, tell_failure
from napari_coldatoms.readers.count_meaning import Layout

if TYPE_CHECKING:
    import xarray as xr

    from napari_coldatoms.analyses.counted_sites import SiteResult

_COLUMNS = {
    name: name.replace("_", " ")
    for name in ("site", "shots", "threshold", "fidelity", "loading", "survival", "remark")
}


@dataclass(frozen=True)
class SiteFiles:
    """The files of images, sites and controls, as they were given."""

    images: tuple[Path, ...]
    regions: Path | None
    controls: tuple[Path, ...]
    controls_layout: Layout | None
    series: str | None


def count_in_images(
    files: SiteFiles,
    analysis: CountSites,
    *,
    level: float,
    output: Path | None,
    shots: Path | None,
    json: Path | None,
    quiet: bool,
) -> int:
    """Count in images; write or print the table of sites, and return the exit code."""
    if not files.images or files.regions is None:
        found = "--regions" if files.regions is not None else "--images"
        raise UsageError(f"expected --images and --regions together, found {found} only")
    try:
        result = _count(files, analysis, level)
    except (ValueError, OSError) as error:
        tell_failure(error)
        return NOTHING
    written: list[Path] = []
    if output is not None and output.suffix.lower() == ".csv" and shots is None:
        written += export(result, output)
    elif output is not None:
        written += write_table(result.table(), output)
    if shots is not None:
        written += write_table(result.shots(), shots)
    if json is not None:
        written += export(result, json)
    if output is None:
        print_table(result.table(), _COLUMNS)
    if not quiet:
        _say(result, written)
    return DONE


def _count(files: SiteFiles, analysis: CountSites, level: float) -> SiteResult:
    assert files.regions is not None
    labels = read_labels(files.regions)
    controls = None
    if files.controls:
        controls, _, _ = read_controls(
            files.controls, layout=files.controls_layout, series=files.series
        )
    return analysis.count(_read(files.images), labels, controls=controls, level=level)


def _read(paths: tuple[Path, ...]) -> xr.DataArray:
    """Return all images as one stack."""
    stacks, errors = readers.read_many(paths, siblings=False)
    if errors:
        raise errors[0]
    if len(stacks) != 1:
        kinds = ", ".join(f"{stack.name} ({'×'.join(map(str, stack.shape))})" for stack in stacks)
        raise ValueError(f"expected images of one kind and size, found {kinds or 'none'}")
    return stacks[0]


def _say(result: SiteResult, written: list[Path]) -> None:
    for text in result.remarks:
        print(f"note: {text}", file=sys.stderr)
    sites, shots, images = result.called.shape
    line = f"{sites} site{'s' * (sites > 1)} in {shots} shot{'s' * (shots != 1)}"
    if images > 1:
        line += f" of {images} images"
    if written:
        line += f"; wrote {', '.join(map(str, written))}"
    print(line, file=sys.stderr)
