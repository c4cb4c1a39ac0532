"""Sets of simulated frames: the two fixed validation sets, and training frames without end.

The validation sets never change, so that scores of different detectors, and of one detector at
different times, can be compared: each frame belongs to a seed, and tests hold samples of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Literal

from napari_coldatoms.clouds.simulate_frames import Kind, SimulatedFrame, simulate_frame

__all__ = ["VALIDATION_SETS", "ValidationSet", "training_frames", "validation_set"]


@dataclass(frozen=True)
class ValidationSet:
    """What a validation set is made from.

    Attributes
    ----------
    kind : str
        Kind of its frames, see `simulate_frame`.
    seed : int
        First number of its frames' seeds; the second is the frame's number, from 0.
    frames : int
        How many frames it has.
    """

    kind: Kind
    seed: int
    frames: int = 300


VALIDATION_SETS = {
    "paper": ValidationSet("paper", 2_011_105_361),
    "hard": ValidationSet("hard", 2_011_105_362),
}
"""The validation sets.

``"paper"``: 300 frames of 256 x 256 pixels like the data of Hofer et al. 2021 (arXiv:2011.10536).
``"hard"``: 300 frames of 100 x 100 to 1200 x 1920 pixels with every shape and disturbance.
"""

# first number of all training seeds: no training frame is in a validation set
_TRAINING = 1


def validation_set(
    name: Literal["paper", "hard"], *, start: int = 0, stop: int | None = None
) -> Iterator[SimulatedFrame]:
    """Return the frames of a fixed validation set, made as they are asked for.

    Parameters
    ----------
    name : {"paper", "hard"}
        Which of `VALIDATION_SETS`.
    start, stop : int
        Numbers of the first frame and of the one after the last; default all.

    Raises
    ------
    ValueError
        There is no such set, or it has no such frames.
    """
    if name not in VALIDATION_SETS:
        known = ", ".join(VALIDATION_SETS)
        raise ValueError(f"expected a validation set of {known}, found {name!r}")
    chosen = VALIDATION_SETS[name]
    stop = chosen.frames if stop is None else stop
    if not 0 <= start <= stop <= chosen.frames:
        raise ValueError(
            f"expected 0 <= start <= stop <= {chosen.frames}, found start={start}, stop={stop}"
        )
    return (simulate_frame((chosen.seed, number), chosen.kind) for number in range(start, stop))


def training_frames(
    kind: Kind = "hard",
    *,
    seed: int = 0,
    start: int = 0,
    frames: int | None = None,
    shape: tuple[int, int] | None = None,
) -> Iterator[SimulatedFrame]:
    """Return frames to train on, of which none is in a validation set.

    Parameters
    ----------
    kind, shape
        As for `simulate_frame`.
    seed : int
        Another seed gives other frames.
    start : int
        Number of the first frame: a training that was interrupted goes on where it was.
    frames : int, optional
        How many; default without end.
    """
    made = (simulate_frame((_TRAINING, seed, n), kind, shape=shape) for n in count(start))
    return made if frames is None else islice(made, frames)
