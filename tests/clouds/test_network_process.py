"""The network in a process of its own: the real one, killed and stopped in every state.

The tests share one process of the network, in their order: its start takes seconds.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest

# at the top, since a window must not have been shown in this process before torchvision is loaded
import torch

from napari_coldatoms.clouds import inference, network_messages
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.maskrcnn import build
from napari_coldatoms.clouds.network_process import (
    NetworkError,
    NetworkRestarted,
    NetworkStopped,
    detect_with_network,
    network_pid,
    start_network,
    stop_network,
)
from napari_coldatoms.clouds.server import Networks, answer
from napari_coldatoms.clouds.weights import SHIPPED, WeightsCard, WeightsError, save_weights

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="processes are not held")

SESSION = Path(__file__).with_name("network_session.py")
PATIENCE = 60.0  # s, on a machine that does other things


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """Return weights that may be changed."""
    path = tmp_path_factory.mktemp("weights") / "copy.safetensors"
    path.write_bytes(SHIPPED.read_bytes())
    return path


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    clouds = Gaussian2D(150, 90, 60, 30, 0.4, 1.0), Gaussian2D(700, 500, 200, 90, 0.4, 900.0)
    broken = clouds[0].image((256, 256)) + rng.normal(0, 0.05, (256, 256))
    broken[40:60] = np.nan
    broken[80, 90] = np.inf
    counts = rng.poisson(clouds[1].image((1200, 1920)) + 50).astype(np.uint16)
    small = (rng.normal(0, 1, (100, 130)) * 1e-12).astype(np.float32)
    return [broken, counts, small, broken[::-1]]


@pytest.fixture(scope="module")
def expected(weights, pictures):
    found = inference.Network(weights, "cpu").detect(pictures, least_score=0.2)
    assert sum(map(len, found)) > 1
    return found


@pytest.fixture(scope="module", autouse=True)
def network(weights):
    assert start_network(weights, "cpu") == "cpu"
    yield
    stop_network()
    assert network_pid() is None


def detect(pictures, weights, **options):
    return detect_with_network(
        pictures, weights=weights, device="cpu", least_score=0.2, doubles=True, **options
    )


def same(found, expected):
    """Return whether detections are equal, masks included, but for the rounding of float32.

    It may differ from process to process: torch chooses its algorithms by what it finds there.
    """
    return len(found) == len(expected) and all(
        (a.label, a.double, a.mask.shape) == (b.label, b.double, b.mask.shape)
        and np.allclose((a.score, *a.box), (b.score, *b.box), rtol=0, atol=1e-3)
        and np.allclose(a.mask, b.mask, rtol=0, atol=1e-3)
        for one, other in zip(found, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def kill_next(number):
    """Kill the next processes of the network as soon as they are there."""
    seen = {network_pid()}

    def work():
        for _ in range(number):
            while (pid := network_pid()) in seen or pid is None:
                time.sleep(0.001)
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def gone(pid):
    """Return whether a process is gone, or at most waits to be asked how it ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_same_is_found_as_in_one_process(pictures, weights, expected):
    pid = network_pid()
    assert same(detect(pictures, weights), expected)
    assert same(
        detect(pictures[:1], weights),
        inference.Network(weights, "cpu").detect(pictures[:1], least_score=0.2),
    )
    assert detect([], weights) == []
    assert network_pid() == pid
    # it starts without torch's compiler, which takes as long as all the rest
    assert sys.platform != "linux" or not any(
        "triton" in each.path for each in psutil.Process(pid).memory_maps()
    )


def test_a_long_stack_goes_in_parts(pictures, weights, expected, monkeypatch):
    monkeypatch.setattr("napari_coldatoms.clouds.network_process._BYTES", 300_000)
    found = detect([pictures[n] for n in (2, 2, 0, 2)], weights)
    assert [[d.label for d in one] for one in found] == [
        [d.label for d in expected[n]] for n in (2, 2, 0, 2)
    ]


@pytest.mark.slow
def test_threads_take_turns(pictures, weights):
    jobs = [pictures[n : n + 1] for n in (0, 2, 3)] * 2
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda job: detect(job, weights), jobs))
    alone = inference.Network(weights, "cpu")
    assert all(
        same(one, alone.detect(job, least_score=0.2)) for one, job in zip(found, jobs, strict=True)
    )


def test_what_cannot_be_used_is_told_as_in_one_process(pictures, weights, tmp_path):
    pid = network_pid()
    damaged, pickled = tmp_path / "damaged.safetensors", tmp_path / "pickled.safetensors"
    damaged.write_bytes(weights.read_bytes()[:-1000])
    torch.save({"a": torch.zeros(2)}, pickled)
    with pytest.raises(WeightsError, match="damaged file"):
        detect(pictures[:1], damaged)
    with pytest.raises(WeightsError, match="it was not opened"):
        start_network(pickled)
    with pytest.raises(WeightsError, match="No such file"):
        start_network(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected device one of .*, found 'abacus'"):
        start_network(weights, "abacus")
    with pytest.raises(ValueError, match="expected a two-dimensional picture, found shape"):
        detect([np.zeros((2, 3, 4))], weights)
    assert network_pid() == pid


@pytest.mark.slow
def test_a_changed_file_is_loaded_again(pictures, weights, expected, tmp_path):
    changing = tmp_path / "changing.safetensors"
    changing.write_bytes(weights.read_bytes())
    assert same(detect(pictures, changing), expected)
    save_weights(
        changing, build("small", ("A", "B")).state_dict(), WeightsCard("small", ("A", "B"))
    )
    assert {d.label for one in detect(pictures, changing) for d in one} <= {"A", "B"}


@pytest.mark.slow
def test_killed_in_mid_request(pictures, weights, expected):
    pid, told = network_pid(), []
    os.kill(pid, signal.SIGSTOP)  # what is sent now is never answered
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    found = detect(pictures, weights, on_restart=told.append)
    assert same(found, expected)
    (message,) = told
    assert "killed by SIGKILL, as happens when memory" in message
    assert network_pid() not in (None, pid)
    assert gone(pid)


@pytest.mark.slow
def test_killed_while_it_was_idle_and_then_twice(pictures, weights):
    idle = psutil.Process(network_pid())
    idle.kill()
    while network_pid() is not None:
        time.sleep(0.01)
    killer = kill_next(2)
    with (
        pytest.warns(NetworkRestarted) as told,  # nobody else listens
        pytest.raises(NetworkError, match=r"ended twice: killed by SIGKILL"),
    ):
        detect(pictures, weights)
    assert len(told) == 2  # of the idle one, and of the first that was asked
    killer.join(PATIENCE)
    assert network_pid() is None


@pytest.mark.slow
def test_stopped_in_mid_request(pictures, weights):
    with ThreadPoolExecutor(2) as pool:
        # the one waits for the reply, the other for its turn
        waiting = [pool.submit(detect, pictures, weights) for _ in range(2)]
        while (pid := network_pid()) is None:
            time.sleep(0.001)
        time.sleep(0.1)
        start = time.perf_counter()
        stop_network()
        for each in waiting:
            with pytest.raises(NetworkStopped):
                each.result(PATIENCE)
        assert time.perf_counter() - start < 5
    assert network_pid() is None
    assert not psutil.pid_exists(pid)  # no zombie either


@pytest.mark.slow
def test_a_session_with_noise_and_copies_of_itself(tmp_path):
    """In a process that can be killed: see `network_session.py`."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "def noise():\n"
        "    while True:\n"
        "        os.write(1, b'noise')\n"
        "        print('noise', flush=True)\n"
        "        time.sleep(0.005)\n"
        "threading.Thread(target=noise, daemon=True).start()\n"
    )
    session = subprocess.Popen(
        [sys.executable, SESSION, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with session:
        said = session.stdout.readline()
        if not said:
            pytest.fail(session.stderr.read())
        pid = int(said)
        assert not gone(pid)
        time.sleep(0.5)  # it is busy loading torch now
        session.kill()
    limit = time.monotonic() + PATIENCE
    while not gone(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    assert gone(pid)


@pytest.mark.slow
def test_the_processor_takes_the_place_of_a_card_that_fails(
    weights, pictures, expected, monkeypatch
):
    real = inference.choose_device

    def hopeful(device="auto"):
        return torch.device("cuda") if device in ("auto", "cuda") else real(device)

    if torch.cuda.is_available():
        pytest.skip("the card here does not fail")
    monkeypatch.setattr(inference, "choose_device", hopeful)
    networks = Networks()
    header = {"task": "detect", "weights": str(weights), "device": "auto", "least_score": 0.2}
    arrays = [picture.astype(np.float32) for picture in pictures]
    reply, (masks,) = answer(networks, header, arrays)
    assert [len(one) for one in reply["found"]] == [len(one) for one in expected]
    assert np.array_equal(masks, [d.mask for one in expected for d in one])
    assert len(reply["remarks"]) == 1
    assert "the processor is used instead" in reply["remarks"][0]
    assert answer(networks, header, arrays)[0]["remarks"] == []  # told once
    # who asked for the card is told that it fails
    asked, _ = answer(networks, {**header, "device": "cuda"}, arrays)
    assert asked["error"] == "network"


@pytest.mark.slow
def test_networks_are_kept_two_at_a_time(weights, tmp_path):
    networks = Networks()
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(weights.read_bytes())
    first = networks.get(str(paths[0]), "cpu")
    second = networks.get(str(paths[1]), "cpu")
    assert networks.get(str(paths[0]), "cpu") is first
    networks.get(str(paths[2]), "cpu")
    assert networks.get(str(paths[0]), "cpu") is first
    assert networks.get(str(paths[1]), "cpu") is not second


def test_what_is_no_message_ends_the_pipe():
    for said in (
        b"",
        b"\0" * 7,
        b"hello, world of noise",
        (9).to_bytes(8, "little") + b"{'a': 1}}",
    ):
        with pytest.raises(network_messages.PipeEnded):
            network_messages.receive(BytesIO(said))
    for said in (b"no greeting", b"noise" * 300_000):
        with pytest.raises(network_messages.PipeEnded):
            network_messages.await_greeting(BytesIO(said))
