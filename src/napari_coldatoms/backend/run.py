"""Run an analysis over every frame of a stack."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_coldatoms.backend.analysis import Analysis, FrameContexts
from napari_coldatoms.backend.recipe import Recipe
from napari_coldatoms.backend.scheduling import Cancel, completed

if TYPE_CHECKING:
    import xarray as xr

Progress = Callable[[int, int], None]
"""Called with the number of frames done and the number of all frames."""


@dataclass(frozen=True)
class FrameResult:
    """What an analysis found in one frame.

    Attributes
    ----------
    index : tuple of int
        The frame's place along the stack's leading dimensions; empty for a single picture.
    coords : dict
        The frame's scalar coordinates: scan parameters, ``source``, counts of invalid pixels.
    result
        What the analysis returned; None after an error.
    error : str, optional
        The error as one line, ``TypeName: message``.
    """

    index: tuple[int, ...]
    coords: dict[str, Any]
    result: Any = None
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """An analysis done: what it was, what it was done on, and what came out.

    Attributes
    ----------
    analysis : Analysis
    stack : xarray.DataArray
    frames : tuple of FrameResult
        In the stack's order; only those that were done.
    cancelled : bool
        Whether it was stopped before all frames were done.
    context
        What all frames share, as the analysis prepared it.
    """

    analysis: Analysis
    stack: xr.DataArray
    frames: tuple[FrameResult, ...]
    cancelled: bool = False
    context: Any = None

    @property
    def good(self) -> tuple[FrameResult, ...]:
        """The frames without an error."""
        return tuple(f for f in self.frames if f.error is None)

    @property
    def results(self) -> list[Any]:
        """The results of the frames without an error, in the stack's order."""
        return [f.result for f in self.good]

    @cached_property
    def failures(self) -> pd.DataFrame:
        """The frames with an error: their place, their source file and the error."""
        names = frame_columns(self.stack)
        rows = [
            {**dict(zip(names, _place(f.index), strict=True)), "source": self.source_of(f)}
            | {"error": f.error}
            for f in self.frames
            if f.error is not None
        ]
        return pd.DataFrame(rows, columns=[*names, "source", "error"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The tidy table, one row per thing found.

        Its ``attrs`` carry the ``recipe``, the ``version``, the ``source`` and the ``units`` of the
        columns, all of them plain values.
        """
        table = self.analysis.summarise(self)
        recipe = self.recipe
        table.attrs = {
            "units": {},
            **table.attrs,
            "recipe": recipe.to_dict(),
            "version": recipe.version,
            "source": recipe.source,
        }
        return table

    @cached_property
    def recipe(self) -> Recipe:
        """What repeats this run."""
        attrs = self.stack.attrs
        return Recipe.of(self.analysis, picture=attrs.get("picture"), source=attrs.get("source"))

    def source_of(self, frame: FrameResult) -> str:
        """Return the file that a frame came from; empty where it came from none."""
        source = frame.coords.get("source") or self.stack.attrs.get("source") or ""
        return str(source)


def run(
    analysis: Analysis,
    stack: xr.DataArray,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancel: Cancel = None,
    frames: Iterable[tuple[int, ...]] | None = None,
    in_flight: int | None = None,
    context: Any = None,
) -> Run:
    """Run an analysis over every frame of a stack.

    Parameters
    ----------
    analysis : Analysis
    stack : xarray.DataArray
        Dims ``(..., y, x)``. Of a stack with a dim ``frame`` the analysis gets all raw frames of a
        shot together.
    executor : concurrent.futures.Executor, optional
        Threads, processes or a dask cluster; None computes in the calling thread.
    progress : callable, optional
        Called in the calling thread with (frames done, all frames).
    cancel : threading.Event or callable, optional
        Once set, the run stops and returns what is done.
    frames : iterable of tuple of int, optional
        Indices along the leading dimensions; all by default. Results keep their place in the stack.
    in_flight : int, optional
        How many frames may be in memory at once when there is an executor; twice the number of
        processors by default. Lazy stacks are never read whole.
    context : optional
        What all frames share, where that is there already; by default it is prepared.

    Returns
    -------
    Run
        An error in one frame is kept there (`Run.failures`) and leaves the others alone.

    Raises
    ------
    IndexError
        Where `frames` names a frame that the stack does not have.
    Exception
        What ``analysis.prepare`` raises: then no frame can be analysed.
    """
    leading = leading_dims(stack)
    wanted = _indices(stack, leading, frames)
    if context is None:
        context = analysis.prepare(stack)
    by_frame = isinstance(context, FrameContexts)
    coords: dict[int, dict[str, Any]] = {}

    def jobs() -> Iterator[Callable[[], tuple]]:
        for position in range(len(wanted)):
            yield partial(load, position)

    def load(position: int) -> tuple:
        frame = stack.isel(dict(zip(leading, wanted[position], strict=True)))
        coords[position] = _scalars(frame)
        own = context.of_frame(wanted[position]) if by_frame else context
        return analysis, frame.compute(), own

    results: dict[int, FrameResult] = {}
    if progress is not None:
        progress(0, len(wanted))
    for outcome in completed(
        _analyse, jobs(), executor=executor, cancel=cancel, in_flight=in_flight
    ):
        place = outcome.position
        results[place] = FrameResult(
            wanted[place], coords.pop(place, {}), outcome.value, outcome.error
        )
        if progress is not None:
            progress(len(results), len(wanted))
    ordered = tuple(results[place] for place in sorted(results))
    return Run(analysis, stack, ordered, len(ordered) < len(wanted), context)


def leading_dims(stack: xr.DataArray) -> list[Hashable]:
    """Return the dims that a run goes over: all but ``frame``, ``y`` and ``x``."""
    return [dim for dim in stack.dims[:-2] if dim != "frame"]


def frame_columns(stack: xr.DataArray) -> list[str]:
    """Return the names of the columns that say which frame a row belongs to."""
    return [str(dim) for dim in leading_dims(stack)] or ["shot"]


def frame_values(run: Run, frame: FrameResult) -> dict[str, Any]:
    """Return what all rows of a frame share: its place, scan parameters, source and picture."""
    values: dict[str, Any] = dict(zip(frame_columns(run.stack), _place(frame.index), strict=True))
    # a dim's own coordinate must not hide the place along it, which the slider shows
    taken = {*values, "picture"}
    for name, value in frame.coords.items():
        if name != "source":
            values[f"{name}_value" if name in taken else name] = value
    values["source"] = run.source_of(frame)
    values["picture"] = str(run.stack.name or "")
    return values


def _analyse(analysis: Analysis, frame: xr.DataArray, context: Any) -> Any:
    return analysis(frame, context)


def _place(index: tuple[int, ...]) -> tuple[int, ...]:
    # a single picture is shot 0 of its table
    return index or (0,)


def _indices(
    stack: xr.DataArray, leading: list[Hashable], frames: Iterable[tuple[int, ...]] | None
) -> list[tuple[int, ...]]:
    sizes = [stack.sizes[dim] for dim in leading]
    if frames is None:
        return list(product(*map(range, sizes)))
    wanted = [tuple(int(i) for i in index) for index in frames]
    for index in wanted:
        inside = all(0 <= i < n for i, n in zip(index, sizes, strict=False))
        if len(index) != len(sizes) or not inside:
            raise IndexError(
                f"expected a frame within {dict(zip(leading, sizes, strict=True))}, found {index}"
            )
    return wanted


def _scalars(frame: xr.DataArray) -> dict[str, Any]:
    """Return the scalar coordinates of a frame as Python's own values."""
    scalars = {}
    for name, coord in frame.coords.items():
        if coord.ndim == 0:
            values = np.asarray(coord.values)
            # a numpy date's own item() would be a bare number of nanoseconds
            dates = {"M": pd.Timestamp, "m": pd.Timedelta}.get(values.dtype.kind)
            scalars[str(name)] = values.item() if dates is None else dates(values[()])
    return scalars
