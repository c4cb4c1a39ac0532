"""Kernels compiled in another process are found on disk by this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from napari_coldatoms.clouds.compiled import compile_elsewhere, is_compiled, use_all_kernels

REPORT = """
import inspect, pkgutil, importlib
import napari_coldatoms.clouds as clouds
from napari_coldatoms.clouds.compiled import compile_elsewhere, is_compiled, use_all_kernels
print(is_compiled())
print(compile_elsewhere(), is_compiled())
print(use_all_kernels())
missed = []
for module in pkgutil.iter_modules(clouds.__path__):
    room = importlib.import_module(f"napari_coldatoms.clouds.{module.name}")
    for name, kernel in vars(room).items():
        if hasattr(kernel, "py_func") and kernel.py_func.__module__ == room.__name__:
            if len(kernel.signatures) > 1 or sum(kernel.stats.cache_misses.values()):
                missed.append(name)
print(missed)
"""


def test_every_kernel_is_used():
    assert use_all_kernels() == 4  # two clouds, twice
    assert is_compiled()


@pytest.mark.slow
def test_a_process_finds_what_another_compiled(tmp_path):
    """And of every kernel there is one version: two would compete for one file."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", REPORT], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:4] == ["False", "True True", "4", "[]"]


def test_cancel_ends_the_process():
    started = time.monotonic()
    assert compile_elsewhere(cancel=lambda: True) is False
    assert time.monotonic() - started < 10
