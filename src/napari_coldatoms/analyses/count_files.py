"""Counts of sample and controls from files; an analysis that knows the files of its controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from napari_coldatoms.analyses.count_atoms import CountAtoms, Progress
from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.backend.analysis import to_dict
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.photons.control_setting import atoms
from napari_coldatoms.readers.count_files import CountFile, read_counts
from napari_coldatoms.readers.count_meaning import Layout
from napari_coldatoms.readers.count_series import CountSeries
from napari_coldatoms.readers.count_words import control_number
from napari_coldatoms.readers.errors import ReadError

_Layout = Literal["counts", "histogram", "prepared"]
_LAYOUT = "what the columns hold, where the file does not tell: "


@dataclass(frozen=True, eq=False)
class CountInput:
    """Counts that were read.

    Attributes
    ----------
    sample : array or tuple
        Counts of each shot, or a histogram ``(n, occurrences)``.
    controls : dict
        The same by the prepared atom number.
    sources : dict of str
        The files: "sample"; and "controls", or "control_0", "control_1", ...
    notes : tuple of str
        What was guessed, in one line each.
    """

    sample: Any
    controls: dict[int, Any]
    sources: dict[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CountFiles(CountAtoms):
    """Counting atoms with controls from files: what a recipe says."""

    controls: Annotated[
        tuple[Path, ...],
        {
            "tooltip": "files of the controls: one with the prepared atom number of each shot, or "
            "one for each atom number in order; none where the sample's file holds them"
        },
    ] = field(default=(), metadata={"advanced": True})
    layout: Annotated[
        _Layout | None,
        {"tooltip": f"{_LAYOUT}counts, a histogram, or counts with the prepared atom number"},
    ] = field(default=None, metadata={"advanced": True})
    controls_layout: Annotated[
        _Layout | None, {"tooltip": f"the same of the controls' files; {_LAYOUT}see layout"}
    ] = field(default=None, metadata={"advanced": True})
    series: Annotated[
        str | None,
        {"tooltip": "which column or dataset is meant, where files hold several detectors"},
    ] = field(default=None, metadata={"advanced": True})

    @classmethod
    def of(cls, analysis: CountAtoms, **files: Any) -> CountFiles:
        """Return an analysis with the files of its controls, see the fields."""
        values = {f.name: getattr(analysis, f.name) for f in fields(analysis) if f.init}
        return cls(**(values | files))

    def read(self, sample: str | Path) -> CountInput:
        """Read the sample and its controls.

        Raises
        ------
        ReadError
            Where a file holds no counts.
        ValueError
            Where it is not clear what is sample and what control.
        """
        return read_input(
            sample,
            self.controls,
            layout=self.layout,
            controls_layout=self.controls_layout,
            series=self.series,
        )

    def count_file(
        self, sample: str | Path, *, progress: Progress | None = None
    ) -> tuple[CountResult, tuple[str, ...]]:
        """Read and count; return the result, and notes about what was guessed.

        Raises
        ------
        ValueError
            As of `read`, `fit_controls` and `count`. All but those of `fit_controls` name the file.
        """
        found = self.read(sample)
        known = self.fit_controls(found.controls)
        try:
            result = self.count(found.sample, known=known, sources=found.sources, progress=progress)
        except ValueError as error:
            raise ValueError(f"{sample}: {error}") from error
        return result, found.notes


def read_input(
    sample: str | Path,
    controls: Sequence[str | Path] = (),
    *,
    layout: Layout | None = None,
    controls_layout: Layout | None = None,
    series: str | None = None,
) -> CountInput:
    """Read counts of a sample and of its controls.

    Parameters
    ----------
    sample : path
        The counts with unknown atom numbers; without files of controls it holds these, too, told
        by names such as ``atoms_0``, ``atoms_1``.
    controls : sequence of path
        Files with the prepared atom number of each shot; or one file for each atom number, in
        order, unless their names tell it (``atoms_0.csv``, ``control_1.txt``).
    layout, controls_layout : str, optional
        What the columns of the sample's and of the controls' files hold, see
        `readers.read_counts`.
    series : str, optional
        Name of the column or dataset, where files hold several.

    Raises
    ------
    ReadError
        Where a file holds no counts.
    ValueError
        Where it is not clear what is sample and what control.
    """
    own = _read(sample, layout)
    notes = _notes(own)
    sources = {"sample": str(own.path)}
    if controls:
        by_number, told, more = _controls(controls, controls_layout, series)
        sources |= told
        notes += more
        plain = [each for each in own.series if each.prepared is None] or list(own.series)
        chosen = _chosen(own.path, plain, series)
        if chosen.prepared is not None:
            notes.append(f"{own.path}: the prepared atom numbers of the sample are not used")
    else:
        known = [each for each in own.series if each.prepared is not None]
        plain = [each for each in own.series if each.prepared is None]
        if not known:
            raise ValueError(
                f"{own.path}: expected controls in files of their own, or in that of the sample "
                "with names such as atoms_0, atoms_1; found a sample only"
            )
        if not plain:
            raise ValueError(
                f"{own.path}: expected a sample of unknown atom numbers beside the controls, found "
                "controls only"
            )
        chosen = _chosen(own.path, plain, series)
        by_number = dict(_chosen(own.path, known, series).by_atom_number())
    return CountInput(chosen.data, by_number, sources, tuple(dict.fromkeys(notes)))


def read_controls(
    paths: Sequence[str | Path], *, layout: Layout | None = None, series: str | None = None
) -> tuple[dict[int, Any], dict[str, str], tuple[str, ...]]:
    """Read controls: counts by atom number, the files they are from, and notes.

    Parameters and errors as of `read_input`.
    """
    by_number, sources, notes = _controls(paths, layout, series)
    return by_number, sources, tuple(notes)


def recipe_of(result: CountResult) -> Recipe:
    """Return the recipe that counts again, with the files that the result's sources name."""
    analysis, sources = result.analysis, result.sources
    if not isinstance(analysis, CountFiles):
        numbered = [sources[key] for key in _numbered(sources)]
        one = sources.get("controls")
        files = [one] if one is not None and one != sources.get("sample") else numbered
        analysis = CountFiles.of(analysis, controls=tuple(Path(path) for path in files))
    return Recipe(analysis.name, to_dict(analysis), source=sources.get("sample"))


def _numbered(sources: Mapping[str, str]) -> list[str]:
    keys = [key for key in sources if key.startswith("control_") and key[8:].isdigit()]
    return sorted(keys, key=lambda key: int(key[8:]))


def _read(path: str | Path, layout: Layout | None) -> CountFile:
    return read_counts(Path(path).expanduser().absolute(), layout=layout)


def _notes(file: CountFile) -> list[str]:
    return [] if file.certain else [f"{file.path}: {file.reason}"]


def _controls(
    paths: Sequence[str | Path], layout: Layout | None, series: str | None
) -> tuple[dict[int, Any], dict[str, str], list[str]]:
    files = [_read(path, layout) for path in paths]
    notes = [note for file in files for note in _notes(file)]
    found: dict[int, Any] = {}
    sources: dict[str, str] = {}
    if len(files) == 1 and all(each.prepared is None for each in files[0].series):
        raise ValueError(
            f"{files[0].path}: expected the prepared atom number of each shot, or one file for "
            "each atom number, found one file of controls without it"
        )
    for position, file in enumerate(files):
        known = [each for each in file.series if each.prepared is not None]
        chosen = _chosen(file.path, known or list(file.series), series)
        if known:
            parts = chosen.by_atom_number()
        else:
            number = control_number(file.path.stem)
            if number is None and any(s.prepared is not None for f in files for s in f.series):
                raise ValueError(
                    f"{file.path}: expected the prepared atom number as in other files of "
                    "controls, found none"
                )
            parts = {position if number is None else number: chosen.data}
        for number, counts in parts.items():
            found[number] = _joined(file.path, number, found.get(number), counts)
        if len(parts) == 1:
            sources[f"control_{next(iter(parts))}"] = str(file.path)
        else:
            sources["controls"] = str(file.path)
    return found, sources, notes


def _joined(path: Path, number: int, before: Any, counts: Any) -> Any:
    """Return the counts of one atom number from several files."""
    if before is None:
        return counts
    if isinstance(before, tuple) or isinstance(counts, tuple):
        if isinstance(before, tuple) and isinstance(counts, tuple):
            return tuple(np.concatenate(pair) for pair in zip(before, counts, strict=True))
        raise ReadError(
            path,
            f"controls of {atoms(number)} like those before",
            "counts and a histogram, which are not put together",
        )
    return np.concatenate([before, counts])


def _chosen(path: Path, candidates: Sequence[CountSeries], name: str | None) -> CountSeries:
    """Return the series that is meant."""
    if len(candidates) == 1:
        return candidates[0]
    for each in candidates:
        if each.name == name:
            return each
    names = ", ".join(repr(each.name) for each in candidates)
    wanted = "one series of counts, or which one is meant" if name is None else f"a series {name!r}"
    raise ValueError(f"{path}: expected {wanted}, found {names}")
