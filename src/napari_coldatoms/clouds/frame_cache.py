"""Simulated training frames, made once by several processes and kept in files.

They are kept as a network sees them, at most `network_input.MOST` pixels long: a few days of
simulated camera time in some gigabytes. The files are safetensors, which are read in place and
never execute anything.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from threadpoolctl import threadpool_limits

from napari_coldatoms.atomic import replacing
from napari_coldatoms.clouds.dataset import Sample, sample_of
from napari_coldatoms.clouds.network_input import network_shape, resized
from napari_coldatoms.clouds.patch import extent
from napari_coldatoms.clouds.simulate_frames import Kind, simulate_frame
from napari_coldatoms.clouds.simulate_kinds import LABELS

__all__ = ["CachedFrames", "simulate_samples"]

# it changes with the simulator: what is in files of another format is made anew
_FORMAT = "napari-coldatoms training frames 1"
_PER_FILE = 250
# first number of all training seeds, as in `simulate_sets`
_TRAINING = 1
# what draws the kind of a frame has its own seed, so that the frames of one kind do not depend
# on the share of the other
_KINDS = 7
# half-precision floats are finest around one, and reach 65504
_HIGHEST = 1000.0


@dataclass(frozen=True)
class _Part:
    """Frames ``start`` to ``stop``, which share a file."""

    folder: Path
    seed: int
    paper: float
    start: int
    stop: int

    @property
    def path(self) -> Path:
        return self.folder / f"frames-{self.seed}-{self.start:06d}.safetensors"

    @property
    def header(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "seed": self.seed,
            "paper": self.paper,
            "start": self.start,
            "stop": self.stop,
        }


def simulate_samples(
    folder: str | Path,
    frames: int,
    *,
    seed: int = 0,
    paper: float = 0.4,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> CachedFrames:
    """Return simulated frames to train on, made now as far as they are not in the folder.

    Parameters
    ----------
    folder : path
        Where they are kept, about 150 kB each; made if need be.
    frames : int
        How many, at least one.
    seed : int
        Another seed gives other frames.
    paper : float
        Share of frames of kind ``"paper"``; the others are ``"hard"``.
    processes : int
        How many make frames at once. More than one are started afresh, so that a script needs
        ``if __name__ == "__main__":``.
    progress : callable, optional
        Called with the number of frames that are there, and of all.
    cancelled : callable, optional
        Asked between files; true stops.

    Raises
    ------
    InterruptedError
        It was cancelled; what was made is kept.
    ValueError
        Fewer than one frame, or a share beyond 0 to 1.
    """
    if frames < 1 or processes < 1:
        raise ValueError(
            f"expected at least one frame and one process, found {frames} and {processes}"
        )
    if not 0 <= paper <= 1:
        raise ValueError(f"expected a share of paper frames from 0 to 1, found {paper}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [
        _Part(folder, seed, float(paper), start, min(start + _PER_FILE, frames))
        for start in range(0, frames, _PER_FILE)
    ]
    missing = [part for part in parts if not _is_there(part)]
    done = frames - sum(part.stop - part.start for part in missing)
    for part in _made(missing, processes):
        done += part.stop - part.start
        if progress is not None:
            progress(done, frames)
        if cancelled is not None and cancelled() and done < frames:
            raise InterruptedError(f"cancelled after {done} of {frames} frames")
    return CachedFrames(tuple(part.path for part in parts))


def _made(parts: list[_Part], processes: int) -> Iterator[_Part]:
    """Make the files of parts, and return each part when its file is there."""
    if processes == 1 or len(parts) < 2:
        for part in parts:
            yield _make(part)
        return
    # spawned, not forked: numba's and OpenMP's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(parts)), mp_context=context) as pool:
        waiting = {pool.submit(_make, part) for part in parts}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for each in finished:
                    yield each.result()
        finally:
            for each in waiting:
                each.cancel()


def _make(part: _Part) -> _Part:
    with threadpool_limits(1):
        kept = [
            _kept(sample_of(simulate_frame((_TRAINING, part.seed, n), _kind(part, n))))
            for n in range(part.start, part.stop)
        ]
    tensors = {name: np.concatenate([each[name] for each in kept]) for name in kept[0]}
    with replacing(part.path) as new:
        save_file(tensors, new, {"header": json.dumps(part.header)})
    return part


def _kind(part: _Part, number: int) -> Kind:
    rng = np.random.default_rng((_KINDS, part.seed, number))
    return "paper" if rng.random() < part.paper else "hard"


def _kept(sample: Sample) -> dict[str, NDArray[Any]]:
    """Return what is kept of a sample, each ready to be strung together."""
    picture = np.asarray(sample.picture, dtype=np.float32)
    finite = np.isfinite(picture)
    level = np.median(picture[finite]) if finite.any() else np.float32(0)
    # the scale does not matter to a network, but half-precision floats need one
    picture = np.where(finite, picture - level, np.float32(0))
    shape = network_shape((picture.shape[0], picture.shape[1]))
    picture = resized(picture, shape)
    picture *= _HIGHEST / (float(np.abs(picture).max()) or 1.0)
    factors = np.array([n / m for n, m in zip(shape, sample.picture.shape, strict=True)] * 2)
    windows, patches = [], []
    for mask in sample.masks:
        soft = np.rint(255 * resized(mask.astype(np.float32), shape)).astype(np.uint8)
        window = extent(soft)
        windows.append(window)
        patches.append(soft[window[0] : window[2], window[1] : window[3]].ravel())
    return {
        "shapes": np.array([shape], dtype=np.int32),
        "clouds": np.array([len(sample.labels)], dtype=np.int32),
        "pictures": picture.astype(np.float16).ravel(),
        "boxes": (sample.boxes * factors).reshape(-1, 4),
        "labels": np.array([LABELS.index(each) for each in sample.labels], dtype=np.uint8),
        "windows": np.array(windows, dtype=np.int32).reshape(-1, 4),
        "patches": np.concatenate([*patches, np.zeros(0, dtype=np.uint8)]),
    }


def _is_there(part: _Part) -> bool:
    """Return whether the file of a part is whole, and of these frames."""
    try:
        with safe_open(part.path, framework="numpy") as file:
            return bool(json.loads((file.metadata() or {}).get("header", "{}")) == part.header)
    except (OSError, ValueError, SafetensorError):
        return False


class CachedFrames:
    """Simulated frames in files, made by `simulate_samples`.

    Pictures are at the size that a network sees, without a unit; the parts of pixels in `masks`
    are kept in steps of 1/255.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._files = [_File(path) for path in paths]
        self._starts = np.cumsum([0, *(len(file) for file in self._files)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int, /) -> Sample:
        number, place = self._place(index)
        return self._files[number].sample(place)

    def labels(self, index: int) -> tuple[str, ...]:
        """Return the classes of the clouds in a frame, without reading it."""
        number, place = self._place(index)
        return self._files[number].labels(place)

    def _place(self, index: int) -> tuple[int, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"expected a frame from 0 to {len(self) - 1}, found {index}")
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return number, index - int(self._starts[number])


class _File:
    def __init__(self, path: Path) -> None:
        # stays open: pictures and masks are read when they are asked for
        self._file = safe_open(path, framework="numpy")
        self._shapes = self._file.get_tensor("shapes")
        clouds = self._file.get_tensor("clouds")
        self._boxes = self._file.get_tensor("boxes")
        self._labels = self._file.get_tensor("labels")
        self._windows = self._file.get_tensor("windows")
        sides = (self._windows[:, 2:] - self._windows[:, :2]).astype(np.int64)
        self._first_cloud = np.cumsum([0, *clouds])
        self._first_pixel = np.cumsum([0, *self._shapes.astype(np.int64).prod(1)])
        self._first_patch = np.cumsum([0, *sides.prod(1)])

    def __len__(self) -> int:
        return len(self._shapes)

    def sample(self, number: int) -> Sample:
        rows, columns = (int(n) for n in self._shapes[number])
        pixels = self._slice("pictures", self._first_pixel, number)
        clouds = range(int(self._first_cloud[number]), int(self._first_cloud[number + 1]))
        masks = np.zeros((len(clouds), rows, columns), dtype=np.float32)
        for mask, n in zip(masks, clouds, strict=True):
            y0, x0, y1, x1 = self._windows[n]
            patch = self._slice("patches", self._first_patch, n).reshape(y1 - y0, x1 - x0)
            mask[y0:y1, x0:x1] = patch.astype(np.float32) / 255
        return Sample(
            pixels.reshape(rows, columns).astype(np.float32),
            self._boxes[clouds.start : clouds.stop],
            self.labels(number),
            masks,
        )

    def labels(self, number: int) -> tuple[str, ...]:
        first, last = self._first_cloud[number], self._first_cloud[number + 1]
        return tuple(LABELS[n] for n in self._labels[first:last])

    def _slice(self, name: str, starts: NDArray[np.int64], number: int) -> NDArray[Any]:
        return self._file.get_slice(name)[int(starts[number]) : int(starts[number + 1])]
