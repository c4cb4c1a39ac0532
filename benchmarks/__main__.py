"""Run every benchmark: ``python -m benchmarks [name ...]``."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main(names: list[str]) -> int:
    """Run the named benchmarks (``gaussian_fit`` for ``bench_gaussian_fit.py``), or all."""
    found = [m.name for m in pkgutil.iter_modules(benchmarks.__path__) if m.name[:6] == "bench_"]
    wanted = [f"bench_{name.removeprefix('bench_')}" for name in names] or sorted(found)
    if unknown := [name for name in wanted if name not in found]:
        print(f"expected one of {', '.join(found)}, found {unknown[0]}", file=sys.stderr)
        return 2
    for name in wanted:
        importlib.import_module(f"benchmarks.{name}").main()
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
