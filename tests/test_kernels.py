import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

import napari_coldatoms
from napari_coldatoms.kernels import are_compiled

PACKAGE = Path(napari_coldatoms.__file__).parent
ROOMS = ["lattice", "photons"]
# what is on disk already has no signatures of its own: hence the empty cache
USED = """
from importlib import import_module
from napari_coldatoms.kernels import kernels_of
from napari_coldatoms.{room}.compiled import MODULES, is_compiled, use_all_kernels
use_all_kernels()
kernels = [k for name in MODULES for k in kernels_of(import_module(name))]
numbers = {{f"{{k.__module__}}.{{k.__name__}}": len(k.signatures) for k in kernels}}
print(len(numbers), {{n for n, number in numbers.items() if not number}}, is_compiled())
print({{n for n, number in numbers.items() if number > 1 and {several}}})
"""
# the mixtures of statistics have two signatures each, of lattices' kernels none has
SEVERAL = {"lattice": '".lattice." in n', "photons": "True"}


def compiled(room):
    return import_module(f"napari_coldatoms.{room}.compiled")


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_with_kernels_is_known(room):
    with_kernels = {
        f"napari_coldatoms.{room}.{path.stem}"
        for path in (PACKAGE / room).glob("*.py")
        if re.search(r"^@njit", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert with_kernels == {name for name in compiled(room).MODULES if f".{room}." in name}


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_all_kernels_are_used_with_one_signature_each(tmp_path, room):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = USED.format(room=room, several=SEVERAL[room])
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    number, *rest = done.stdout.split(" ", 1)
    assert int(number) > 25
    assert rest == ["set() True\nset()\n"]


@pytest.mark.parametrize("room", ROOMS)
def test_cancel_ends_it(room):
    assert compiled(room).compile_elsewhere(cancel=lambda: True) is False
    assert isinstance(compiled(room).is_compiled(), bool)


def test_kernels_are_on_disk_once_they_were_used(tmp_path):
    def some_kernel():
        pass

    there = SimpleNamespace(py_func=some_kernel, stats=SimpleNamespace(cache_path=tmp_path))
    assert not are_compiled([there])
    kept = tmp_path / f"{Path(__file__).stem}.some_kernel-1.py311.nbi"
    kept.touch()
    assert are_compiled([there])
    os.utime(kept, (0.0, 0.0))  # older than its source
    assert not are_compiled([there])
