"""Where the sites are: a lattice given by two vectors, or any arrangement of positions.

All positions are (y, x) in pixels; the pixel with index i has its centre at coordinate i.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_coldatoms.lattice.cells import wigner_seitz, within

FloatArray = NDArray[np.float64]
_Array = TypeVar("_Array", bound=np.ndarray)

_DEFAULT_MARGIN = 3.0  # spacings between the frame's upper left corner and the sites


@dataclass(frozen=True, init=False, eq=False)
class Lattice:
    """The sites of a microtrap array.

    Site (i, j) of a regular lattice is at ``origin + i * vectors[0] + j * vectors[1]``. Sites are
    numbered row by row, j fastest; those that are masked out have no number.

    Parameters
    ----------
    vectors : (2, 2) array
        The steps in i and in j, each (y, x) in px.
    origin : (float, float)
        Position (y, x) of site (0, 0), in px.
    shape : (int, int)
        Number of sites along i and along j.
    mask : (ni, nj) bool array, optional
        Which sites are there; default all.

    Attributes
    ----------
    vectors : array or None
        As given, as are ``origin``, ``shape`` and ``mask``; None where the positions are arbitrary.
    mask : array or None
        None where all sites are there.

    Raises
    ------
    ValueError
        If the vectors are parallel, a number is not finite, a size is not positive, or the mask
        has another shape or leaves no site.
    TypeError
        If the mask is not boolean.
    """

    vectors: FloatArray | None
    origin: tuple[float, float] | None
    shape: tuple[int, int] | None
    mask: NDArray[np.bool_] | None

    def __init__(
        self,
        vectors: ArrayLike,
        origin: ArrayLike,
        shape: tuple[int, int],
        *,
        mask: ArrayLike | None = None,
    ) -> None:
        steps = _finite(vectors, (2, 2), "lattice vectors")
        lengths = np.linalg.norm(steps, axis=1)
        if not abs(_determinant(steps)) > 1e-6 * lengths[0] * lengths[1]:
            raise ValueError(
                f"expected two lattice vectors in different directions, found {steps.tolist()}"
            )
        start = _finite(origin, (2,), "an origin (y, x)")
        size = _sizes(shape, "sites (ni, nj)")
        there = None if mask is None else _mask(mask, size)
        self._set(steps, (float(start[0]), float(start[1])), size, there)

    def _set(
        self,
        vectors: FloatArray | None,
        origin: tuple[float, float] | None,
        shape: tuple[int, int] | None,
        mask: NDArray[np.bool_] | None,
    ) -> None:
        for array in (vectors, mask):
            if array is not None:
                array.setflags(write=False)
        values = {"vectors": vectors, "origin": origin, "shape": shape, "mask": mask}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_positions(cls, positions: ArrayLike) -> Lattice:
        """Return a lattice of sites at any positions, (n, 2) as (y, x) in px.

        Its labels are (k, 0). ``vectors``, ``origin``, ``shape`` and ``mask`` are None.
        """
        places = np.array(positions, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != 2 or not len(places):
            raise ValueError(f"expected positions of shape (n, 2), found {places.shape}")
        if not np.all(np.isfinite(places)):
            raise ValueError("expected finite positions, found some that are not")
        return cls._arbitrary(places, np.arange(len(places)))

    @classmethod
    def _arbitrary(cls, positions: FloatArray, numbers: NDArray[np.intp]) -> Lattice:
        lattice = object.__new__(cls)
        lattice._set(None, None, None, None)
        labels = np.column_stack([numbers, np.zeros_like(numbers)])
        lattice.__dict__["positions"] = _frozen(positions)
        lattice.__dict__["labels"] = _frozen(labels)
        return lattice

    @classmethod
    def square(
        cls,
        spacing: float,
        shape: tuple[int, int],
        *,
        origin: ArrayLike | None = None,
        angle: float = 0.0,
    ) -> Lattice:
        """Return a square lattice.

        Parameters
        ----------
        spacing : float
            Distance of neighbouring sites, in px.
        shape : (int, int)
            Number of sites along i and along j.
        origin : (float, float), optional
            Position of site (0, 0); by default the first row and column of sites lie three
            spacings within the frame.
        angle : float
            Angle (rad) of the j direction from +x (columns) towards +y (rows).
        """
        return cls._spaced(spacing, shape, origin, angle, ((1.0, 0.0), (0.0, 1.0)))

    @classmethod
    def triangular(
        cls,
        spacing: float,
        shape: tuple[int, int],
        *,
        origin: ArrayLike | None = None,
        angle: float = 0.0,
    ) -> Lattice:
        """Return a triangular lattice: 60° between i and j. Parameters as for `square`."""
        return cls._spaced(spacing, shape, origin, angle, ((math.sqrt(0.75), 0.5), (0.0, 1.0)))

    @classmethod
    def _spaced(
        cls,
        spacing: float,
        shape: tuple[int, int],
        origin: ArrayLike | None,
        angle: float,
        unit: tuple[tuple[float, float], tuple[float, float]],
    ) -> Lattice:
        if not (math.isfinite(spacing) and spacing > 0):
            raise ValueError(f"expected a positive, finite spacing (px), found {spacing}")
        c, s = math.cos(angle), math.sin(angle)
        vectors = spacing * np.array(unit) @ np.array([[c, -s], [s, c]])
        if origin is None:
            ends = np.array(_sizes(shape, "sites (ni, nj)")) - 1
            corners = np.array([(0, 0), (ends[0], 0), (0, ends[1]), ends]) @ vectors
            origin = _DEFAULT_MARGIN * spacing - corners.min(axis=0)
        return cls(vectors, origin, shape)

    def __len__(self) -> int:
        """Return the number of sites."""
        return len(self.positions)

    def __repr__(self) -> str:
        if self.vectors is None:
            return f"Lattice.from_positions(<{len(self)} sites>)"
        text = f"Lattice(vectors={self.vectors.tolist()}, origin={self.origin}, shape={self.shape}"
        return text + (")" if self.mask is None else f", mask=<{len(self)} sites>)")

    @property
    def is_regular(self) -> bool:
        """Whether the sites are given by lattice vectors."""
        return self.vectors is not None

    @cached_property
    def positions(self) -> FloatArray:
        """Positions (y, x) of the sites, (n, 2) in px."""
        assert self.vectors is not None
        assert self.origin is not None
        return _frozen(np.asarray(self.origin) + self.labels @ self.vectors)

    @cached_property
    def labels(self) -> NDArray[np.intp]:
        """Site indices (i, j), (n, 2)."""
        assert self.shape is not None
        there = np.ones(self.shape, dtype=bool) if self.mask is None else self.mask
        return _frozen(np.argwhere(there))

    @cached_property
    def site_area(self) -> float:
        """Area per site, in px².

        The area of the unit cell; for arbitrary positions the square of the median distance to the
        nearest neighbour, and infinite for a single one.
        """
        if self.vectors is not None:
            return abs(_determinant(self.vectors))
        return self._neighbour_distance() ** 2

    def _neighbour_distance(self) -> float:
        from scipy.spatial import KDTree

        if len(self) < 2:
            return math.inf
        distance, _ = KDTree(self.positions).query(self.positions, k=2)
        return float(np.median(distance[:, 1]))

    def select(self, sites: ArrayLike) -> Lattice:
        """Return the lattice of some of the sites; they keep their labels.

        Parameters
        ----------
        sites : (n,) or (ni, nj) bool array
            Which of the present sites, or which of the whole regular lattice, stay.
        """
        chosen = np.asarray(sites)
        if chosen.dtype != np.bool_:
            raise TypeError(f"expected a boolean array of sites, found {chosen.dtype}")
        if self.shape is not None and chosen.shape == self.shape:
            mask = chosen if self.mask is None else chosen & self.mask
        elif chosen.shape != (len(self),):
            whole = "" if self.shape is None else f" or the whole lattice's {self.shape}"
            raise ValueError(f"expected shape {(len(self),)}{whole}, found {chosen.shape}")
        elif not chosen.any():
            raise ValueError("expected at least one site, found none chosen")
        elif self.shape is None:
            return Lattice._arbitrary(self.positions[chosen], self.labels[chosen, 0])
        else:
            mask = np.zeros(self.shape, dtype=bool)
            mask[tuple(self.labels[chosen].T)] = True
        assert self.vectors is not None
        assert self.origin is not None
        assert self.shape is not None
        return Lattice(self.vectors, self.origin, self.shape, mask=mask)

    def shift(self, offset: ArrayLike) -> Lattice:
        """Return the lattice moved by (y, x), in px."""
        by = _finite(offset, (2,), "an offset (y, x)")
        if self.vectors is None:
            return Lattice._arbitrary(self.positions + by, self.labels[:, 0])
        assert self.origin is not None
        assert self.shape is not None
        return Lattice(self.vectors, np.asarray(self.origin) + by, self.shape, mask=self.mask)

    def transform(self, matrix: ArrayLike, offset: ArrayLike = (0.0, 0.0)) -> Lattice:
        """Return the lattice with each position p at ``matrix @ p + offset``.

        Mask and labels stay.

        Parameters
        ----------
        matrix : (2, 2) array
            Acts on positions (y, x).
        offset : (2,) array
            In px.

        Raises
        ------
        ValueError
            If a number is not finite, or the matrix puts all sites on a line.
        """
        by = _finite(matrix, (2, 2), "a matrix")
        there = _finite(offset, (2,), "an offset (y, x)")
        lengths = np.linalg.norm(by, axis=1)
        if not abs(_determinant(by)) > 1e-6 * lengths[0] * lengths[1]:
            raise ValueError(f"expected a matrix that can be inverted, found {by.tolist()}")
        if self.vectors is None:
            return Lattice._arbitrary(self.positions @ by.T + there, self.labels[:, 0])
        assert self.origin is not None
        assert self.shape is not None
        origin = by @ np.asarray(self.origin) + there
        return Lattice(self.vectors @ by.T, origin, self.shape, mask=self.mask)

    def inside(self, image_shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which sites have their centre on the frame's pixels, (n,)."""
        shape = checked_image_shape(image_shape)
        inside: NDArray[np.bool_] = np.all(
            (self.positions >= -0.5) & (self.positions < np.array(shape) - 0.5), axis=1
        )
        return inside

    def frame_shape(self, margin: float = 0.0) -> tuple[int, int]:
        """Return rows and columns of a frame that reaches `margin` px beyond the last sites."""
        rows, columns = np.floor(self.positions.max(axis=0) + margin + 0.5).astype(int) + 1
        return int(rows), int(columns)

    def cells(self, image_shape: tuple[int, int]) -> NDArray[np.int32]:
        """Return a label image of the pixels that belong to each site.

        A pixel belongs to the nearest site: the sites of a regular lattice have Wigner-Seitz cells
        (also at the border, and beside sites that are masked out), those at arbitrary positions
        the parts of such cells within half the median distance of nearest neighbours.

        Returns
        -------
        (y, x) int32 array
            k + 1 where the pixel belongs to site k, and 0 where it belongs to none.
        """
        shape = checked_image_shape(image_shape)
        if self.vectors is None:
            return within(self.positions, self._neighbour_distance() / 2, shape)
        return wigner_seitz(self, shape)


def checked_image_shape(image_shape: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns as ints, or raise."""
    return _sizes(image_shape, "pixels (rows, columns)")


def _frozen(array: _Array) -> _Array:
    array.setflags(write=False)
    return array


def _determinant(vectors: FloatArray) -> float:
    return float(vectors[0, 0] * vectors[1, 1] - vectors[0, 1] * vectors[1, 0])


def _finite(value: ArrayLike, shape: tuple[int, ...], what: str) -> FloatArray:
    array = np.array(value, dtype=np.float64)
    if array.shape != shape or not np.all(np.isfinite(array)):
        raise ValueError(
            f"expected {what}: finite numbers of shape {shape}, found {array.tolist()}"
        )
    return array


def _sizes(shape: tuple[int, int], what: str) -> tuple[int, int]:
    sizes = np.asarray(shape)
    if sizes.shape != (2,) or sizes.dtype.kind not in "iu" or sizes.min() < 1:
        raise ValueError(f"expected two positive numbers of {what}, found {shape}")
    return int(sizes[0]), int(sizes[1])


def _mask(mask: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    there = np.array(mask)
    if there.dtype != np.bool_:
        raise TypeError(f"expected a boolean mask of sites, found {there.dtype}")
    if there.shape != shape:
        raise ValueError(f"expected a mask of the lattice's shape {shape}, found {there.shape}")
    if not there.any():
        raise ValueError("expected a mask that leaves at least one site, found none")
    return there
