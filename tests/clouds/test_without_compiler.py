"""torchvision imported without torch's compiler, which is there afterwards; in a fresh process."""

import subprocess
import sys

import pytest

CODE = """
import sys
from napari_coldatoms.clouds.without_compiler import without_compiler

with without_compiler():
    import torchvision
assert "torch._dynamo" not in sys.modules

import torch
from torchvision.ops import nms, roi_align
boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 3.9], [5.0, 5.0, 6.0, 6.0]])
assert nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]
features = torch.ones(1, 1, 8, 8, requires_grad=True)
roi_align(features, [boxes], 2).sum().backward()
assert features.grad.sum() == 12

with without_compiler():
    from torch._dynamo.utils import is_compile_supported
    assert "torch._dynamo.config" not in sys.modules
    assert torch._dynamo.config.recompile_limit > 0  # of the compiler itself
assert is_compile_supported("cpu") is torch._dynamo.utils.is_compile_supported("cpu")
with without_compiler():
    assert torch._dynamo.disable is not None
    assert sys.modules["torch._dynamo"] is torch._dynamo
assert torch._dynamo.__file__.endswith("__init__.py")
"""


@pytest.mark.slow
def test_the_compiler_gives_way_and_comes_back():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
