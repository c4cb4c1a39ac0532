"""A faster start of the network's process: torchvision is imported without torch's compiler.

torchvision imports `torch._dynamo` for a function that it calls only where its operators are
missing, and for a decorator that says what not to compile. Loading it takes longer than torch
itself, and brings a second LLVM along. While torchvision is imported, modules stand in for it that
have these two names; asked for any other, they give way to the compiler itself.

This is for a process of our own, in which nothing is compiled, and not for the user's.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo"
_TOOLS = "torch._dynamo.utils"


class _StandIn(ModuleType):
    """A module that gives way to the one it stands in for when it is asked for something else."""

    def __getattr__(self, name: str) -> Any:
        # `import` and `inspect` look at these; the path is wanted for another module within
        if name.startswith("__") and (self.__name__, name) != (_COMPILER, "__path__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        _remove()
        importlib.import_module(_COMPILER)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within, torchvision is imported without torch's compiler, unless that is loaded already.

    What is computed stays the same, and the compiler can be loaded afterwards.

    Raises
    ------
    ImportError
        torch cannot be loaded.
    """
    import torch

    if _COMPILER in sys.modules:
        yield
        return
    compiler, tools = _StandIn(_COMPILER), _StandIn(_TOOLS)
    vars(compiler).update(disable=_disable, utils=tools)
    vars(tools).update(is_compile_supported=_is_compile_supported)
    sys.modules[_COMPILER], sys.modules[_TOOLS] = compiler, tools
    vars(torch)["_dynamo"] = compiler
    try:
        yield
    finally:
        _remove()


def _remove() -> None:
    import torch

    for name in (_COMPILER, _TOOLS):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
    if isinstance(vars(torch).get("_dynamo"), _StandIn):
        del vars(torch)["_dynamo"]


def _disable(fn: Callable | None = None, *_: Any, **__: Any) -> Callable:
    """Return a function as it is: nothing compiles it. Called with options, it is a decorator."""
    return fn if fn is not None else _disable


def _is_compile_supported(device_type: Any) -> Any:
    return importlib.import_module(_TOOLS).is_compile_supported(device_type)
