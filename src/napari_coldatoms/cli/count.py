"""The command ``count``: atom numbers from counts of photons."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from napari_coldatoms.analyses.count_atoms import CountAtoms
from napari_coldatoms.analyses.count_export import PICTURES, export
from napari_coldatoms.analyses.count_files import CountFiles, recipe_of
from napari_coldatoms.analyses.count_images import CountSites
from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.cli import DONE, NOTHING, PARTLY, UsageError
from napari_coldatoms.cli.commands import Quiet, SavedRecipe
from napari_coldatoms.cli.count_images import SiteFiles, count_in_images
from napari_coldatoms.cli.flags import build, flags
from napari_coldatoms.cli.names import RECIPES, check_apart, check_name, check_tables
from napari_coldatoms.cli.report import print_table, progress_bar, tell_failure
from napari_coldatoms.photons.goodness import p_words
from napari_coldatoms.readers.count_files import is_count_file

if TYPE_CHECKING:
    import pandas as pd

    _CountFlags: TypeAlias = Any
    _SiteFlags: TypeAlias = Any
else:
    _CountFlags = flags(CountAtoms, "Fit")
    _SiteFlags = flags(CountSites, "Sites in images")

_COLUMNS = {name: name for name in ("source", "atoms", "probability", "low", "high")}
_HOW = "what the columns hold, where names and values leave it open"


def count(
    sample: Annotated[
        Path | None, Parameter(help="counts with unknown atom numbers: csv, txt, npy, h5")
    ] = None,
    /,
    *,
    controls: Annotated[
        tuple[Path, ...],
        Parameter(
            consume_multiple=True,
            negative=(),
            help="controls: one file with the prepared atom number of each shot, or a file for "
            "each atom number from 0 on, in order; not needed where SAMPLE holds them",
        ),
    ] = (),
    layout: Annotated[
        Literal["counts", "histogram", "prepared"] | None, Parameter(help=_HOW)
    ] = None,
    controls_layout: Annotated[
        Literal["counts", "histogram", "prepared"] | None,
        Parameter(help=f"the same of the controls: {_HOW}"),
    ] = None,
    series: Annotated[
        str | None, Parameter(help="which column or dataset is meant, of several")
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            alias="-o",
            help="where the probabilities go: .csv (parameters and recipe beside it) or .h5; by "
            "default they are printed",
        ),
    ] = None,
    shots: Annotated[
        Path | None, Parameter(help="where the atom number of each shot goes: .csv or .h5")
    ] = None,
    json: Annotated[
        Path | None, Parameter(help="all results, with parameters, version, seed (.json)")
    ] = None,
    figure: Annotated[
        Path | None, Parameter(help="a picture of sample and controls: .png, .svg")
    ] = None,
    recipe: SavedRecipe = None,
    images: Annotated[
        tuple[Path, ...],
        Parameter(
            consume_multiple=True,
            negative=(),
            help="camera files instead of SAMPLE: which sites of --regions hold an atom, in each",
        ),
    ] = (),
    regions: Annotated[
        Path | None,
        Parameter(help="with --images: a label image of the sites, .tif or .npy"),
    ] = None,
    quiet: Quiet = False,
    fit: Annotated[_CountFlags, Parameter(name="*")] = _CountFlags(),  # noqa: B008
    sites: Annotated[_SiteFlags, Parameter(name="sites")] = _SiteFlags(),  # noqa: B008
) -> int:
    """Tell how often there were 0, 1, 2, ... atoms from photon counts and control shots."""
    analysis = CountFiles.of(
        build(CountAtoms, fit),
        # a recipe shall find them from anywhere
        controls=tuple(path.expanduser().absolute() for path in controls),
        layout=layout,
        controls_layout=controls_layout,
        series=series,
    )
    check_tables({"output": output, "shots": shots})
    check_name("json", json, (".json",))
    check_name("figure", figure, PICTURES)
    check_name("recipe", recipe, RECIPES)
    files = [path for path in (sample, regions, *analysis.controls, *images) if path is not None]
    check_apart(
        {"output": output, "shots": shots, "json": json, "figure": figure, "recipe": recipe}, files
    )
    if images or regions is not None:
        _check_alone({"SAMPLE": sample, "--figure": figure, "--recipe": recipe})
        wanted = SiteFiles(images, regions, controls, controls_layout, series)
        options = build(CountSites, sites, "sites.")
        return count_in_images(
            wanted, options, level=analysis.level, output=output, shots=shots, json=json,
            quiet=quiet,
        )  # fmt: skip
    if sample is None:
        raise UsageError("expected a file of counts, or --images and --regions, found none")
    found = _count(analysis, sample, quiet=quiet)
    of_shots = None if found is None or shots is None else _shots(found, sample)
    if found is None or (shots is not None and of_shots is None):
        return NOTHING
    written: list[Path] = []
    if output is not None and output.suffix.lower() == ".csv":
        written += export(found, output)
    elif output is not None:
        written += write_table(_with_recipe(found.table(), found), output)
    if shots is not None and of_shots is not None:
        written += write_table(of_shots, shots)
    for path in (json, figure):
        written += [] if path is None else export(found, path)
    if recipe is not None:
        recipe_of(found).save(recipe)
        written.append(recipe)
    if output is None:
        print_table(found.table(), _COLUMNS)
    _say([found], written, quiet=quiet)
    return DONE


def follow_recipe(
    analysis: CountFiles,
    paths: Sequence[Path],
    *,
    output: Path | None,
    shots: Path | None,
    quiet: bool,
) -> int:
    """Count in several samples what a recipe says, for the command ``run``.

    Of several samples the tables have a column ``source``.
    """
    if not paths:
        raise UsageError("expected files of counts, found none")
    check_tables({"output": output, "shots": shots})
    samples = _files(paths, analysis)
    check_apart({"output": output, "shots": shots}, [*samples, *analysis.controls])
    good: dict[Path, CountResult] = {}
    of_shots: list[pd.DataFrame] = []
    for sample in samples:
        found = _count(analysis, sample, quiet=quiet)
        told = None if found is None or shots is None else _shots(found, sample)
        if found is None or (shots is not None and told is None):
            continue
        good[sample] = found
        of_shots += [] if told is None else [told]
    if not good:
        return NOTHING
    results = list(good.values())
    tables = [_with_recipe(found.table(), found) for found in results]
    table = _stacked(tables, list(good), named=len(samples) > 1)
    written: list[Path] = []
    if output is None:
        print_table(table, _COLUMNS)
    else:
        written += write_table(table, output)
    if shots is not None:
        written += write_table(_stacked(of_shots, list(good), named=len(samples) > 1), shots)
    _say(results, written, quiet=quiet)
    return DONE if len(good) == len(samples) else PARTLY


def _files(paths: Sequence[Path], analysis: CountFiles) -> list[Path]:
    """Return files, and those in folders that hold counts and are no controls of the recipe."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.is_file())
            known = {control.absolute() for control in analysis.controls}
            found += [
                each for each in inside if each.absolute() not in known and is_count_file(each)
            ]
        else:
            found.append(path)
    if not found:
        raise UsageError("expected files of counts, found none in the folders")
    return list(dict.fromkeys(found))


def _count(analysis: CountFiles, sample: Path, *, quiet: bool) -> CountResult | None:
    """Return the result; None, with the reason on stderr, where there is none."""
    with progress_bar(quiet, "resamples") as progress:
        try:
            found, notes = analysis.count_file(sample, progress=progress)
        except (ValueError, OSError) as error:
            tell_failure(error)
            return None
    if not quiet:
        for note in notes:
            print(f"note: {_flags_of(note)}", file=sys.stderr)
    return found


def _shots(found: CountResult, sample: Path) -> pd.DataFrame | None:
    try:
        return _with_recipe(found.shots(), found)
    except ValueError as error:
        tell_failure(f"{sample}: {error}")
        return None


def _flags_of(note: str) -> str:
    """Return a note with the flags of this command instead of arguments."""
    return note.replace("layout='", "--layout ").replace("'", "")


def _with_recipe(table: pd.DataFrame, found: CountResult) -> pd.DataFrame:
    table.attrs["recipe"] = recipe_of(found).to_dict()
    return table


def _stacked(
    tables: Sequence[pd.DataFrame], sources: Sequence[Path], *, named: bool
) -> pd.DataFrame:
    """Return tables below each other, with a column of their sources where there are several."""
    import pandas as pd

    if not named:
        return tables[0]
    attrs = dict(tables[0].attrs)
    attrs["source"] = None
    attrs["recipe"] = {key: value for key, value in attrs["recipe"].items() if key != "source"}
    for table, source in zip(tables, sources, strict=True):
        table.attrs.clear()  # pandas compares them otherwise
        table.insert(0, "source", str(source))
    stacked = pd.concat(tables, ignore_index=True)
    stacked.attrs.update(attrs)
    return stacked


def _check_alone(others: dict[str, Path | None]) -> None:
    """Say what does not go with images."""
    for name, value in others.items():
        if value is not None:
            raise UsageError(f"expected --images and --regions without {name}, found {value}")


def _say(results: Sequence[CountResult], written: Sequence[Path], *, quiet: bool) -> None:
    """Tell doubts, and what was done, on stderr."""
    if quiet:
        return
    for text in dict.fromkeys(text for found in results for text in found.remarks):
        print(f"note: {text}", file=sys.stderr)
    for found in results:
        controls = sum(h.total for h in found.known.histograms)
        shots = found.sample.total
        line = f"{shots} shot{'s' * (shots != 1)}, {controls} control shots"
        test = found.fit.goodness
        if test.dof > 0:
            line += f"; χ² {test.chi2:.3g} of {test.dof}, {p_words(test.p_value, 2)}"
        if written and found is results[-1]:
            line += f"; wrote {', '.join(map(str, written))}"
        print(line, file=sys.stderr)
