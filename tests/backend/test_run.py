"""Runs over frames: order, failures, cancel, laziness, executors."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from napari_coldatoms import __version__
from napari_coldatoms.backend.run import FrameResult, frame_values, run


@dataclass(frozen=True)
class Mean:
    """The mean of each frame; a frame of NaN is an error. Later frames are done sooner."""

    name: ClassVar[str] = "mean"
    factor: float = 1.0
    pause: float = 0.0

    def prepare(self, stack: xr.DataArray) -> float:
        if stack.dtype.kind == "b":
            raise ValueError("expected numbers, found truth values")
        return 10.0

    def __call__(self, frame: xr.DataArray, context: float) -> float:
        assert frame.dims[-2:] == ("y", "x")
        time.sleep(self.pause / (1 + float(frame.coords.get("detuning", 0) + 3)))
        if np.isnan(frame.values).all():
            raise ValueError("expected pixels,\n  found none")
        return self.factor * float(frame.mean()) + context

    def summarise(self, run: Any) -> pd.DataFrame:
        rows = [{**frame_values(run, f), "mean": f.result} for f in run.good]
        table = pd.DataFrame(rows)
        table.attrs["units"] = {"mean": "counts"}
        return table

    def layers(self, run: Any) -> list[Any]:
        return []


def expected(stack: xr.DataArray) -> list[float]:
    return [float(np.mean(frame)) + 10 for frame in stack.values]


def test_every_frame_in_order(stack):
    done = run(Mean(), stack)
    assert [f.index for f in done.frames] == [(i,) for i in range(12)]
    np.testing.assert_allclose(done.results, expected(stack), rtol=1e-12)
    assert not done.cancelled
    assert done.failures.empty
    assert done.frames[3].coords == {"detuning": stack.detuning.values[3], "source": "shot_03.h5"}
    assert all(type(v) in (float, str) for v in done.frames[3].coords.values())


def test_table_carries_recipe_version_source_and_units(stack):
    done = run(Mean(factor=2.0), stack.assign_attrs(picture={"kind": "absorption"}))
    table = done.table
    assert table is done.table  # computed once
    assert list(table.columns) == ["shot", "detuning", "source", "picture", "mean"]
    assert list(table["shot"]) == list(range(12))
    assert list(table["source"]) == [f"shot_{i:02d}.h5" for i in range(12)]
    assert set(table["picture"]) == {"pictures"}
    assert table.attrs == {
        "recipe": {
            "napari-coldatoms": __version__,
            "analysis": "mean",
            "parameters": {"factor": 2.0, "pause": 0.0},
            "picture": {"kind": "absorption"},
            "source": "folder",
        },
        "version": __version__,
        "source": "folder",
        "units": {"mean": "counts"},
    }
    assert json.loads(json.dumps(table.attrs)) == table.attrs


def test_a_single_picture_is_shot_0(stack):
    picture = stack.isel(shot=4)
    done = run(Mean(), picture)
    assert [f.index for f in done.frames] == [()]
    assert list(done.table["shot"]) == [0]
    assert list(done.table["source"]) == ["shot_04.h5"]


def test_all_leading_dimensions(stack):
    folded = xr.DataArray(stack.values.reshape(3, 4, 6, 5), dims=("run", "shot", "y", "x"))
    done = run(Mean(), folded)
    assert [f.index for f in done.frames] == [(i, j) for i in range(3) for j in range(4)]
    np.testing.assert_allclose(done.results, expected(stack), rtol=1e-12)
    assert list(done.table.columns[:2]) == ["run", "shot"]


def test_raw_frames_of_a_shot_stay_together(stack):
    raw = xr.DataArray(stack.values.reshape(4, 3, 6, 5), dims=("shot", "frame", "y", "x"))
    done = run(Mean(), raw)
    assert [f.index for f in done.frames] == [(i,) for i in range(4)]
    np.testing.assert_allclose(done.results, raw.values.mean(axis=(1, 2, 3)) + 10, rtol=1e-12)


def test_dates_and_numbers_along_shot_survive(stack):
    times = pd.date_range("2024-05-01T12:00", periods=12, freq="s")
    labelled = stack.assign_coords(shot=np.arange(100, 112), time=("shot", times))
    table = run(Mean(), labelled).table
    assert list(table["shot"]) == list(range(12))  # what napari's slider shows
    assert list(table["shot_value"]) == list(range(100, 112))
    assert list(table["time"]) == list(times)


def test_chosen_frames_keep_their_place(stack):
    done = run(Mean(), stack, frames=[(7,), (2,)])
    assert [f.index for f in done.frames] == [(7,), (2,)]
    assert list(done.table["shot"]) == [7, 2]
    assert not done.cancelled
    for wrong in [(12,)], [(-1,)], [()], [(0, 0)]:
        with pytest.raises(IndexError, match=r"expected a frame within \{'shot': 12\}, found"):
            run(Mean(), stack, frames=wrong)


@dataclass(frozen=True)
class Places:
    """What all frames share: the place of each."""

    scale: float

    def of_frame(self, index: tuple[int, ...]) -> float:
        return self.scale * index[0]


@dataclass(frozen=True)
class Shifted(Mean):
    """The mean of each frame, and ten times its place in the stack."""

    def prepare(self, stack: xr.DataArray) -> Any:
        return Places(10.0)


def test_frames_may_have_contexts_of_their_own(stack):
    expected = stack.mean(("y", "x")).to_numpy() + 10 * np.arange(12)
    np.testing.assert_allclose(run(Shifted(), stack).results, expected)
    with ThreadPoolExecutor(3) as pool:
        chosen = run(Shifted(), stack, executor=pool, frames=[(5,), (2,)])
    np.testing.assert_allclose(chosen.results, expected[[5, 2]])


def test_a_bad_frame_leaves_the_others(stack):
    stack[5] = np.nan
    done = run(Mean(), stack)
    assert len(done.frames) == 12
    assert len(done.results) == 11
    assert done.frames[5] == FrameResult(
        (5,), done.frames[5].coords, None, "ValueError: expected pixels, found none"
    )
    assert done.failures.to_dict("records") == [
        {"shot": 5, "source": "shot_05.h5", "error": "ValueError: expected pixels, found none"}
    ]
    assert 5 not in set(done.table["shot"])


def test_a_frame_that_cannot_be_read_leaves_the_others(stack):
    def read(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info and block_info[0]["chunk-location"][0] == 3:
            raise OSError("disk is gone")
        return block

    lazy = stack.copy(data=da.from_array(stack.values, chunks=(1, 6, 5)).map_blocks(read))
    with ThreadPoolExecutor(2) as threads:
        for executor in (None, threads):
            done = run(Mean(), lazy, executor=executor)
            assert list(done.failures["error"]) == ["OSError: disk is gone"]
            assert list(done.failures["shot"]) == [3]
            assert len(done.results) == 11


def test_what_no_frame_survives_is_raised(stack):
    with pytest.raises(ValueError, match="expected numbers, found truth values"):
        run(Mean(), stack > 0)


def test_threads_give_the_same_in_the_same_order(stack):
    stack[5] = np.nan
    analysis = Mean(pause=0.02)
    with ThreadPoolExecutor(4) as threads:
        parallel = run(analysis, stack, executor=threads)
    serial = run(analysis, stack)
    assert parallel.frames == serial.frames
    pd.testing.assert_frame_equal(parallel.table, serial.table)


def test_progress_comes_in_the_calling_thread(stack):
    seen: list[tuple[int, int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total, threading.get_ident()))

    with ThreadPoolExecutor(3) as threads:
        for executor in (None, threads):
            seen.clear()
            run(Mean(), stack, executor=executor, progress=progress)
            assert seen == [(i, 12, threading.get_ident()) for i in range(13)]


@pytest.mark.parametrize("as_event", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_cancel_in_the_middle_keeps_what_is_done(stack, workers, as_event):
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        if done == 4:
            event.set()

    cancel = event if as_event else event.is_set
    executor = ThreadPoolExecutor(workers) if workers else None
    done = run(Mean(pause=0.01), stack, executor=executor, progress=progress, cancel=cancel)
    if executor is not None:
        executor.shutdown()
    assert done.cancelled
    # what was under way when the event came may still count; nothing that came after it does
    assert 4 <= len(done.frames) <= 4 + 2 * workers
    by_index = {f.index[0]: f.result for f in done.frames}
    for index, value in by_index.items():
        assert value == pytest.approx(expected(stack)[index], rel=1e-12)
    assert list(by_index) == sorted(by_index)
    assert len(done.table) == len(done.frames)


def test_cancel_does_not_wait_for_busy_workers(stack):
    event = threading.Event()
    threading.Timer(0.1, event.set).start()
    with ThreadPoolExecutor(2) as threads:
        start = time.perf_counter()
        done = run(Mean(pause=2.0), stack, executor=threads, cancel=event)
        took = time.perf_counter() - start
    assert done.cancelled
    assert done.frames == ()
    assert took < 0.8  # the first frames take more than 1.2 s


def test_a_cancel_after_the_last_frame_cancels_nothing(stack):
    event = threading.Event()

    def progress(done: int, total: int) -> None:
        if done == total:
            event.set()

    assert not run(Mean(), stack, progress=progress, cancel=event).cancelled


def test_lazy_frames_are_read_one_by_one():
    lock = threading.Lock()
    held = {"now": 0, "most": 0, "reads": 0}

    def read(block: np.ndarray) -> np.ndarray:
        with lock:
            held["now"] += 1
            held["reads"] += 1
            held["most"] = max(held["most"], held["now"])
        return block + 1.0

    @dataclass(frozen=True)
    class Release(Mean):
        def __call__(self, frame: xr.DataArray, context: float) -> float:
            assert isinstance(frame.data, np.ndarray)
            value = super().__call__(frame, context)
            time.sleep(0.002)
            with lock:
                held["now"] -= 1
            return value

    data = da.zeros((60, 6, 5), chunks=(1, 6, 5)).map_blocks(read, meta=np.empty((0, 0, 0)))
    lazy = xr.DataArray(data, dims=("shot", "y", "x"))
    assert run(Release(), lazy).results == [11.0] * 60
    assert held == {"now": 0, "most": 1, "reads": 60}
    with ThreadPoolExecutor(2) as threads:
        held["most"] = 0
        assert run(Release(), lazy, executor=threads, in_flight=3).results == [11.0] * 60
    assert held["reads"] == 120
    assert 1 < held["most"] <= 3
