"""The command ``design``: how well a planned imaging system of a lattice will work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.cli import DONE, UsageError
from napari_coldatoms.cli.names import check_name, check_tables
from napari_coldatoms.cli.report import print_table
from napari_coldatoms.cli.values import numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_VALUES = "each a number, a list 3,4,5, or start:stop:count; all combinations are computed"
_OPTICS = Group("Optics", help=_VALUES, sort_key=1)
_CAMERA = Group("Atoms and camera", help=_VALUES, sort_key=2)
_PICTURES = (".png", ".pdf", ".svg")


def _flag(text: str, group: Group) -> Parameter:
    return Parameter(help=text, group=group)


def design(
    *,
    spacing: Annotated[str, _flag("of the sites: px, or um with --pixel-size", _OPTICS)],
    brightness: Annotated[str, _flag("mean light of an atom (photoelectrons)", _CAMERA)],
    hwhm: Annotated[
        str | None, _flag("half width of the PSF at half maximum (px)", _OPTICS)
    ] = None,
    numerical_aperture: Annotated[
        str | None, _flag("of the objective, instead of --hwhm", _OPTICS)
    ] = None,
    wavelength: Annotated[
        str | None, _flag("of the light (um), instead of --hwhm", _OPTICS)
    ] = None,
    pixel_size: Annotated[
        str | None, _flag("pitch of the pixels over the magnification (um)", _OPTICS)
    ] = None,
    kind: Annotated[str, _flag("square, triangular, or both with a comma", _OPTICS)] = "square",
    brightness_sd: Annotated[
        str, _flag("spread of the atoms' light over its mean", _CAMERA)
    ] = "0.1",
    occupancy: Annotated[str, _flag("part of the sites that hold an atom", _CAMERA)] = "0.5",
    background: Annotated[str, _flag("photoelectrons per pixel", _CAMERA)] = "0",
    read_noise: Annotated[str, _flag("electrons", _CAMERA)] = "0",
    excess_noise: Annotated[
        str, _flag("factor on the variance of the shot noise: 2 with EM gain", _CAMERA)
    ] = "1",
    output: Annotated[
        Path | None,
        Parameter(alias="-o", help="where the table goes: .csv or .h5; by default it is printed"),
    ] = None,
    plot: Annotated[Path | None, Parameter(help="a picture of it: .png, .pdf, .svg")] = None,
    method: Annotated[
        Literal["alternating", "local", "global", "deconvolution"],
        Parameter(help="whose errors are drawn"),
    ] = "alternating",
) -> int:
    """Predict SNR and detection errors of a lattice from its imaging parameters.

    Each parameter is a number, a list such as 3,4,5, or start:stop:count such as 2.5:3.5:5;
    all combinations are computed.
    """
    from napari_coldatoms import lattice

    given = {
        "spacing": spacing,
        "hwhm": hwhm,
        "numerical_aperture": numerical_aperture,
        "wavelength": wavelength,
        "pixel_size": pixel_size,
        "brightness": brightness,
        "brightness_sd": brightness_sd,
        "occupancy": occupancy,
        "background": background,
        "read_noise": read_noise,
        "excess_noise": excess_noise,
    }
    values: dict[str, Any] = {"kind": kind.split(",")} | {
        name: numbers(text, f"--{name.replace('_', '-')}")
        for name, text in given.items()
        if text is not None
    }
    check_tables({"output": output})
    check_name("plot", plot, _PICTURES)
    try:
        table = lattice.design(**values)
        figure = None if plot is None else _draw(table, method)
    except ValueError as error:
        raise UsageError(str(error)) from error
    written = [] if output is None else write_table(table, output)
    if plot is not None and figure is not None:
        with replacing(plot) as new:
            figure.savefig(new, dpi=150)
        written.append(plot)
    if output is None:
        _print(table)
    if written:
        print(f"{len(table)} combinations; wrote {', '.join(map(str, written))}", file=sys.stderr)
    return DONE


def _draw(table: pd.DataFrame, method: Any) -> Figure:
    from napari_coldatoms.analyses.plots import plot_design

    return plot_design(table, method=method)


def _print(table: pd.DataFrame) -> None:
    """Print all columns for a program; what fits on a screen and is not plain for a person."""
    from napari_coldatoms.lattice.design import ERROR_RATE, given_parameters

    varied = [name for name in given_parameters(table) if table[name].nunique() > 1]
    rates = [name for name in table.columns if name.startswith(ERROR_RATE)]
    headings = {name: name for name in varied}
    headings |= {"hwhm_over_spacing": "hwhm/spacing", "snr_db": "SNR"}
    headings |= {name: f"{name.removeprefix(ERROR_RATE)} errors" for name in rates}
    print_table(table, headings)
