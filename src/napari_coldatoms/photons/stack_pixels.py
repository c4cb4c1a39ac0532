"""Some pixels of all shots of a stack, read block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_coldatoms.photons.histogram import FloatArray, IntArray

if TYPE_CHECKING:
    import xarray as xr

BYTES_AT_ONCE = 32 * 2**20
"""Pictures that are read at once, unless a single block of a lazy stack is larger."""


@dataclass(frozen=True, eq=False)
class StackPixels:
    """Where the pictures of a stack are.

    Attributes
    ----------
    data : (shots, y, x) array
        Of numpy or dask.
    shot_values : mapping
        Scan parameters and the like by name, (shots,) each.
    units : mapping
        The unit of those that have one.
    saturation : float or None
        Counts from which a pixel is saturated, where known.
    stack : DataArray or None
        The stack, where it was one of the image model.
    """

    data: Any
    shot_values: Mapping[str, np.ndarray]
    units: Mapping[str, str]
    saturation: float | None
    stack: xr.DataArray | None

    @property
    def shots(self) -> int:
        """Number of shots."""
        return int(self.data.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.data.shape[1]), int(self.data.shape[2])

    def blocks(
        self, pixels: IntArray, shots: IntArray | None = None
    ) -> Iterator[tuple[slice, FloatArray]]:
        """Yield shots, and the pixels in them, (shots of the block, pixels); NaN for infinite ones.

        Parameters
        ----------
        pixels : (k,) int
            Ascending flat indices.
        shots : (n,) int, optional
            Ascending numbers of the shots that are wanted; slices count among them.
        """
        y, x = np.divmod(pixels, self.shape[1])
        rows = slice(int(y.min()), int(y.max()) + 1)
        width = slice(int(x.min()), int(x.max()) + 1)
        y, x = y - rows.start, x - width.start
        picture = (rows.stop - rows.start) * (width.stop - width.start) * self.data.dtype.itemsize
        wanted = np.arange(self.shots) if shots is None else shots
        done = 0
        for first, last in self._pieces(max(1, BYTES_AT_ONCE // picture)):
            here = wanted[(wanted >= first) & (wanted < last)]
            if not len(here):
                continue
            block = np.asarray(self.data[first:last, rows, width])
            # in parts, since floating-point numbers of whole pictures may be large
            part = max(1, BYTES_AT_ONCE // (8 * len(pixels)))
            for start in range(0, len(here), part):
                some = here[start : start + part] - first
                values = block[some[:, None], y, x].astype(np.float64)
                if block.dtype.kind == "f":
                    # an infinite pixel tells as little as one without a value
                    values[np.isinf(values)] = np.nan
                yield slice(done, done + len(some)), values
                done += len(some)

    def _pieces(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield first and last shot of what is read at once: whole blocks of a lazy stack."""
        sizes = self.data.chunks[0] if hasattr(self.data, "chunks") else None
        if not sizes:
            for first in range(0, self.shots, most):
                yield first, min(first + most, self.shots)
            return
        first = last = 0
        for size in sizes:
            if last > first and last + size - first > most:
                yield first, last
                first = last
            last += size
        yield first, last


def stack_pixels(stack: Any) -> StackPixels:
    """Take the pictures and scan parameters of a stack.

    Parameters
    ----------
    stack : DataArray or array
        Dims ([shot,] y, x); of numpy or dask.

    Raises
    ------
    ValueError
        If it is no stack of pictures, or of raw frames.
    """
    import xarray as xr

    from napari_coldatoms.images.frames import full_scale
    from napari_coldatoms.images.stack import check_stack, is_raw

    if not isinstance(stack, xr.DataArray):
        data = stack if hasattr(stack, "dask") else np.asarray(stack)
        if data.ndim not in (2, 3) or 0 in data.shape or data.dtype.kind not in "iuf":
            raise ValueError(
                "expected a stack of real numbers (shots, y, x), found values of type "
                f"{data.dtype} and shape {data.shape}"
            )
        return StackPixels(data[None] if data.ndim == 2 else data, {}, {}, None, None)
    check_stack(stack)
    if is_raw(stack):
        roles = ", ".join(map(str, np.asarray(stack["frame"].values)))
        raise ValueError(
            "expected one picture for each shot, found raw frames: choose one of them, such as "
            f"stack.isel(frame=0); they are {roles}"
        )
    alone = "shot" not in stack.dims
    values, units = {}, {}
    for name, coord in stack.coords.items():
        if coord.dims not in ((), ("shot",)):
            continue
        each = np.asarray(coord.values)
        values[str(name)] = each[None] if alone else np.broadcast_to(each, stack.sizes["shot"])
        if "units" in coord.attrs:
            units[str(name)] = str(coord.attrs["units"])
    saturation = full_scale(stack) if stack.attrs.get("kind") == "counts" else None
    data = stack.data[None] if alone else stack.data
    return StackPixels(data, values, units, saturation, stack)
