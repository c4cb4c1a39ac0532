"""Pictures with the truth about their clouds, to train on and to judge by.

What trains a network takes `Samples`: any sequence of `Sample`, such as a list of one's own, frames
that are simulated when they are asked for (`Frames`), or simulated once and kept (`frame_cache`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.simulate_frames import Kind, SimulatedFrame, simulate_frame
from napari_coldatoms.clouds.simulate_sets import VALIDATION_SETS, validation_set

__all__ = ["Frames", "Sample", "Samples", "fixed_set", "held_out", "sample_of"]

# first number of the seeds of frames that choose between trainings; 1 has the training frames
_HELD_OUT = 2


@dataclass(frozen=True)
class Sample:
    """A picture and the clouds in it.

    Attributes
    ----------
    picture : (ny, nx) array
        Optical depth or counts; pixels that are not finite are taken for background.
    boxes : (n, 4) array
        Of each cloud ``y0, x0, y1, x1``, pixel edges, half-open.
    labels : tuple of str
        Class of each cloud.
    masks : (n, ny, nx) array
        Part of each pixel that belongs to the cloud, 0 to 1, or bool.

    Raises
    ------
    ValueError
        The numbers of clouds, the sizes of picture and masks, or the edges of a box do not fit.
    """

    picture: NDArray[np.floating]
    boxes: NDArray[np.float64]
    labels: tuple[str, ...]
    masks: NDArray[np.float32] | NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.picture.ndim != 2 or min(self.picture.shape) < 1:
            raise ValueError(f"expected a picture (ny, nx), found shape {self.picture.shape}")
        n = len(self.labels)
        if self.boxes.shape != (n, 4):
            raise ValueError(
                f"expected boxes of shape ({n}, 4), as many as labels, found {self.boxes.shape}"
            )
        if self.masks.shape != (n, *self.picture.shape):
            wanted = (n, *self.picture.shape)
            raise ValueError(f"expected masks of shape {wanted}, found {self.masks.shape}")
        if not (self.boxes[:, :2] < self.boxes[:, 2:]).all():
            raise ValueError("expected boxes y0, x0, y1, x1 with y0 < y1 and x0 < x1, found others")


class Samples(Protocol):
    """A sequence of samples; the same number always gives the same sample."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def __getitem__(self, index: int, /) -> Sample:
        """Return one."""
        ...


@dataclass(frozen=True)
class Frames:
    """Simulated frames at their own size, made when they are asked for.

    Parameters
    ----------
    of : tuple of (str, tuple of int)
        Kind and seed of each frame, see `simulate_frames.simulate_frame`.
    """

    of: tuple[tuple[Kind, tuple[int, ...]], ...]

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, index: int, /) -> Sample:
        kind, seed = self.of[index]
        return sample_of(simulate_frame(seed, kind))


def sample_of(frame: SimulatedFrame) -> Sample:
    """Return picture and truth of a simulated frame."""
    return Sample(frame.picture(), frame.boxes, frame.labels, frame.masks())


def fixed_set(name: Literal["paper", "hard"], *, start: int = 0, stop: int | None = None) -> Frames:
    """Return the frames of a fixed validation set, see `simulate_sets.validation_set`."""
    validation_set(name, start=start, stop=stop)  # says what is wrong with the arguments
    chosen = VALIDATION_SETS[name]
    numbers = range(start, chosen.frames if stop is None else stop)
    return Frames(tuple((chosen.kind, (chosen.seed, n)) for n in numbers))


def held_out(frames: int) -> Frames:
    """Return frames of both kinds in turn, neither trained on nor in a fixed validation set.

    To choose between weights: the fixed sets then judge weights that were not chosen by them.
    """
    kinds: tuple[Kind, Kind] = ("paper", "hard")
    return Frames(tuple((kinds[n % 2], (_HELD_OUT, n)) for n in range(frames)))
