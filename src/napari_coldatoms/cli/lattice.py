"""The commands ``calibrate`` and ``reconstruct``: lattices and tweezer arrays."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Parameter

from napari_coldatoms import readers
from napari_coldatoms.analyses.calibrate_lattice import calibrate_lattice
from napari_coldatoms.analyses.calibration_file import (
    CalibrationError,
    check_name,
    load_calibration,
    save_calibration,
)
from napari_coldatoms.analyses.calibration_words import told
from napari_coldatoms.analyses.file_groups import common_source
from napari_coldatoms.analyses.make_picture import MakePicture, to_analyse
from napari_coldatoms.analyses.reconstruct_lattice import ReconstructLattice
from napari_coldatoms.backend.analysis import to_dict
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.cli import DONE, NOTHING, PARTLY, UsageError
from napari_coldatoms.cli.commands import (
    Files,
    Layers,
    Output,
    Quiet,
    SavedRecipe,
    Workers,
    process_files,
)
from napari_coldatoms.cli.flags import build, flags
from napari_coldatoms.cli.names import check_folder
from napari_coldatoms.cli.report import progress_bar, tell_failure
from napari_coldatoms.images.stack import StackError

if TYPE_CHECKING:
    import xarray as xr

    _LatticeFlags: TypeAlias = Any
    _PictureFlags: TypeAlias = Any
else:
    _LatticeFlags = flags(ReconstructLattice, "Lattice")
    # atoms shine in a lattice: two frames of a file are no absorption picture
    _PictureFlags = flags(MakePicture, "Picture", kind="fluorescence")

_COLUMNS = {name: name for name in ("shot", "image", "i", "j", "y", "x", "brightness")} | {
    "probability": "probability",
    "occupied": "atom",
}


def calibrate(
    *files: Files,
    output: Annotated[
        Path,
        Parameter(alias="-o", help="the calibration (.yaml), with its arrays beside it (.npz)"),
    ],
    guess: Annotated[
        Path | None, Parameter(help="an earlier calibration, roughly right, to begin with")
    ] = None,
    extent: Annotated[
        Literal["as given", "found"],
        Parameter(help="with a guess: whether it tells the rows of sites, or those with atoms are"),
    ] = "as given",
    arrangement: Annotated[
        Literal["auto", "regular", "positions"],
        Parameter(help="a lattice with two vectors, or sites anywhere but apart, as tweezers are"),
    ] = "auto",
    offset: Annotated[float, Parameter(help="of the camera (counts)")] = 0.0,
    gain: Annotated[float, Parameter(help="of the camera (counts per photoelectron)")] = 1.0,
    read_noise: Annotated[float, Parameter(help="of the camera (photoelectrons)")] = 0.0,
    excess_noise: Annotated[
        float, Parameter(help="factor on the variance of the shot noise: 2 with EM gain")
    ] = 1.0,
    pairs: Annotated[
        bool, Parameter(help="all frames of a shot are images of the same atoms", negative=())
    ] = False,
    sites: Annotated[
        bool,
        Parameter(help="learn the brightness and the threshold of each site, too", negative=()),
    ] = False,
    quiet: Quiet = False,
    picture: Annotated[_PictureFlags, Parameter(name="picture")] = _PictureFlags(),  # noqa: B008
) -> int:
    """Find where the sites of a lattice are and what one atom looks like, in images of it."""
    if not files:
        raise UsageError("expected camera files or folders, found none")
    try:
        check_name(output)
        start = None if guess is None else load_calibration(guess)
    except CalibrationError as error:
        raise UsageError(str(error)) from error
    check_folder(output)
    analysis = ReconstructLattice(pairs=pairs)
    stack = _read(files, analysis, build(MakePicture, picture, "picture."))
    if stack is None:
        return NOTHING
    if not gain > 0:
        raise UsageError(f"expected a gain above 0, found {gain}")
    with progress_bar(quiet, "images") as progress:
        try:
            found = calibrate_lattice(
                stack,
                guess=start,
                arrangement=arrangement,
                extent=extent,
                pairs=pairs,
                sites=sites,
                offset=offset,
                gain=gain,
                read_noise=read_noise,
                excess_noise=excess_noise,
                source=common_source(files),
                progress=progress,
            )
        except ValueError as error:
            tell_failure(error)
            return NOTHING
    written = save_calibration(found, output)
    for name, text in told(found):
        print(f"{name:<16} {text}")
    if not quiet:
        print(f"wrote {', '.join(map(str, written))}", file=sys.stderr)
    return DONE if found.quality.trusted else PARTLY


def reconstruct(
    *files: Files,
    output: Output = None,
    shots: Annotated[
        Path | None, Parameter(help="where the table of shots goes: atoms, drift, quality")
    ] = None,
    survival: Annotated[
        Path | None,
        Parameter(help="where survival and hopping at each site go, of two images in each shot"),
    ] = None,
    layers: Layers = None,
    recipe: SavedRecipe = None,
    workers: Workers = 1,
    quiet: Quiet = False,
    lattice: Annotated[_LatticeFlags, Parameter(name="*")] = _LatticeFlags(),  # noqa: B008
    picture: Annotated[_PictureFlags, Parameter(name="picture")] = _PictureFlags(),  # noqa: B008
) -> int:
    """Judge which sites of a lattice hold an atom."""
    analysis = build(ReconstructLattice, lattice)
    if analysis.calibration is not None:
        # a recipe shall find it from anywhere
        analysis = replace(analysis, calibration=analysis.calibration.expanduser().absolute())
    make_picture = build(MakePicture, picture, "picture.")
    if recipe is not None:
        check_folder(recipe)
    try:
        if analysis.calibration is not None:
            load_calibration(analysis.calibration)  # before all files are read
    except CalibrationError as error:
        raise UsageError(str(error)) from error
    code = process_files(
        files,
        analysis,
        make_picture,
        output,
        layers,
        workers,
        quiet,
        more={"shots": shots, "pairs": survival},
        columns=_COLUMNS,
    )
    if recipe is not None and code != NOTHING:
        Recipe.of(analysis, picture=to_dict(make_picture)).save(recipe)
    return code


def _read(
    files: tuple[Path, ...], analysis: ReconstructLattice, picture: MakePicture
) -> xr.DataArray | None:
    """Return all images as one stack; None, with the reason on stderr, where there is none."""
    stacks, errors = readers.read_many(files, siblings=False)
    for error in errors:
        tell_failure(error)
    if not stacks:
        return None
    if len(stacks) > 1:
        kinds = ", ".join(f"{stack.name} ({'×'.join(map(str, stack.shape))})" for stack in stacks)
        tell_failure(f"expected images of one kind and size, found {len(stacks)}: {kinds}")
        return None
    try:
        return to_analyse(analysis, picture, stacks[0])
    except StackError as error:
        tell_failure(error)
        return None
