import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import napari_coldatoms.photons
from napari_coldatoms.photons.compiled import MODULES, compile_elsewhere, is_compiled

FOLDER = Path(napari_coldatoms.photons.__file__).parent
# what is on disk already has no signatures of its own: hence the empty cache
USED = """
from importlib import import_module
from napari_coldatoms.kernels import kernels_of
from napari_coldatoms.photons.compiled import MODULES, is_compiled, use_all_kernels
use_all_kernels()
kernels = [k for name in MODULES for k in kernels_of(import_module(name))]
numbers = {f"{k.__module__}.{k.__name__}": len(k.signatures) for k in kernels}
print(len(numbers), {n for n, number in numbers.items() if not number}, is_compiled())
print({n for n, number in numbers.items() if number > 1})
"""


def test_every_module_with_kernels_is_known():
    with_kernels = {
        f"napari_coldatoms.photons.{path.stem}"
        for path in FOLDER.glob("*.py")
        if re.search(r"^@njit", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert with_kernels == {name for name in MODULES if ".photons." in name}


@pytest.mark.slow
def test_all_kernels_are_used_with_one_signature_each(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", USED], env=environment, capture_output=True, text=True, check=True
    )
    number, *rest = done.stdout.split(" ", 1)
    assert int(number) > 25
    assert rest == ["set() True\nset()\n"]


def test_cancel_ends_it():
    assert compile_elsewhere(cancel=lambda: True) is False
    assert isinstance(is_compiled(), bool)
