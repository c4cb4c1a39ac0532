"""A session that is killed while its network is busy: run by test_network_process."""

import os
import sys
import threading
import time

from napari_coldatoms.clouds import network_process

assert "torch" not in sys.modules

# a folder with a module that every later Python loads first, and which prints all the time
os.environ["PYTHONPATH"] = sys.argv[1]
shared = network_process._shared


def ask() -> dict:
    """Return the reply to a request that needs no torch."""
    return shared.request({"task": "sleep"}, [], shared.stops, print)[0]


assert ask()["message"] == "expected a task 'start' or 'detect', found 'sleep'"
pid = network_process.network_pid()
assert pid is not None

# a copy of the session has no part in it
copy = os.fork()
if copy == 0:
    try:
        alone = network_process.network_pid() is None
        network_process.stop_network()
    finally:
        os._exit(0 if alone else 1)
assert os.waitpid(copy, 0)[1] == 0
assert ask()["error"] == "value"
assert network_process.network_pid() == pid

threading.Thread(target=network_process.start_network, daemon=True).start()
print(pid, flush=True)
time.sleep(600)
