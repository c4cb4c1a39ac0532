from __future__ import annotations

import json

import numpy as np
import pytest

from napari_coldatoms.images import pixel_size, unit
from napari_coldatoms.readers import ReadError, read


def job_of(*values: dict, tof: tuple[float, ...] = (10.0,)) -> dict:
    return {
        "name": "job",
        "inputs": [
            {
                "job_id": 7,
                "run": i + 1,
                "values": {"time_of_flight_ms": tof[i % len(tof)], "image_type": "TIME_OF_FLIGHT"},
                "output": {"values": each},
            }
            for i, each in enumerate(values)
        ],
    }


def picture(rows: int, columns: int, first: float = 0.0) -> dict:
    pixels = (first + np.arange(rows * columns)).tolist()
    return {"pixels": pixels, "rows": rows, "columns": columns, "pixcal": 4.4}


def test_pixels_are_row_major(tmp_path):
    path = tmp_path / "job.json"
    path.write_text(json.dumps(job_of({"tof_image": picture(3, 5)})))
    (stack,) = read(path)
    assert stack.shape == (3, 5)
    assert stack.values[1].tolist() == [5, 6, 7, 8, 9]
    assert stack.name == "job tof_image"
    assert stack.attrs["kind"] == "optical_depth"
    assert pixel_size(stack) == pytest.approx((4.4, 4.4))
    assert unit(stack) == "um"
    assert float(stack["time_of_flight"]) == pytest.approx(0.010)
    assert stack["time_of_flight"].attrs["units"] == "s"
    assert str(stack["image_type"].values) == "TIME_OF_FLIGHT"
    assert stack.attrs["header"]["name"] == "job"


def test_all_inputs_become_shots(tmp_path):
    path = tmp_path / "job.json"
    job = job_of(
        {"tof_image": picture(3, 5), "mot_fluorescence_image": picture(2, 2)},
        {"tof_image": picture(3, 5, 100)},
        tof=(5.0, 10.0),
    )
    path.write_text(json.dumps(job))
    stacks = {stack.name: stack for stack in read(path)}
    assert set(stacks) == {"job tof_image", "job mot_fluorescence_image"}
    tof = stacks["job tof_image"]
    assert tof.dims == ("shot", "y", "x")
    np.testing.assert_allclose(tof["time_of_flight"], [0.005, 0.010])
    assert tof["run"].values.tolist() == [1, 2]
    assert tof.values[1, 0, 0] == 100
    assert stacks["job mot_fluorescence_image"].attrs["kind"] == "fluorescence"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "no valid JSON"),
        ("[1, 2]", "a list"),
        ('{"a": 1}', "keys 'a'"),
        ('{"inputs": [3]}', "a int"),
        ('{"inputs": []}', "without pictures"),
        (json.dumps(job_of({"tof_image": {**picture(2, 3), "rows": 7}})), "7 x 3 pixels"),
        (json.dumps(job_of({"tof_image": {"pixels": [1, "a"], "rows": 1, "columns": 2}})), "'a'"),
        (json.dumps(job_of({"tof_image": {"pixels": [1, 2]}})), "rows"),
        (json.dumps(job_of({"tof_image": {**picture(2, 3), "pixels": []}})), "2 x 3"),
        ("[" * 100000, "no valid JSON"),
    ],
)
def test_other_json(tmp_path, content, message):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ReadError, match=message) as caught:
        read(path)
    assert "other.json: expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_real_jobs(real_data):
    found = {}
    for path in sorted((real_data / "oqtant_rb87").glob("*.json")):
        raw = json.loads(path.read_text())["inputs"][0]["output"]["values"]
        stacks = read(path)
        found[path.stem] = {stack.attrs["dataset"]: stack.shape for stack in stacks}
        for stack in stacks:
            source = raw[stack.attrs["dataset"]]
            np.testing.assert_allclose(stack.values.ravel(), source["pixels"], rtol=1e-6)
            assert pixel_size(stack) == pytest.approx((source["pixcal"],) * 2)
            assert float(stack["time_of_flight"]) == pytest.approx(0.010)
    tof = {"tof_image": (100, 100), "mot_fluorescence_image": (352, 217)}
    assert found == {
        "in_trap": {"it_plot": (148, 503)},
        "tof_background": tof,
        "tof_evolution_12": tof,
        "tof_hold_00": tof,
        "tof_hold_10": tof,
    }


def test_a_real_folder_becomes_stacks_of_shots(real_data):
    stacks = {stack.attrs["dataset"]: stack for stack in read(real_data / "oqtant_rb87")}
    assert stacks["tof_image"].sizes == {"shot": 4, "y": 100, "x": 100}
    assert stacks["mot_fluorescence_image"].sizes["shot"] == 4
    assert stacks["it_plot"].dims == ("y", "x")
    np.testing.assert_allclose(stacks["tof_image"]["end_time"], [0.04, 0.092, 0.04, 0.05])
    # the same for all: a scalar
    assert stacks["tof_image"]["time_of_flight"].dims == ()
