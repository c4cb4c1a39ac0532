"""Run one sweep: ``python -m benchmarks.sweeps NAME [--redraw]``."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from types import ModuleType

from threadpoolctl import threadpool_limits

from benchmarks.sweeps import (
    gallery,
    histograms,
    own_detector,
    photon_errors,
    photon_histograms,
    photon_intervals,
    photon_overlap,
    photon_proportions,
    regularisation,
    robustness,
    runtime,
    snr,
)
from benchmarks.timing import machine

# in the order of the figures, of lattices, of photon counts, and of clouds
SWEEPS: dict[str, ModuleType] = {
    "histograms": histograms,
    "snr": snr,
    "runtime": runtime,
    "robustness": robustness,
    "regularisation": regularisation,
    "photon_histograms": photon_histograms,
    "photon_errors": photon_errors,
    "photon_proportions": photon_proportions,
    "photon_intervals": photon_intervals,
    "photon_overlap": photon_overlap,
    "own_detector": own_detector,
}


def main(arguments: list[str]) -> int:
    """Run the sweep named first, or only draw its picture again."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps", description=__doc__)
    choices = parser.add_subparsers(dest="name", required=True)
    for name, sweep in SWEEPS.items():
        words = (sweep.__doc__ or "").splitlines()[0]
        choice = choices.add_parser(name, help=words, description=words)
        sweep.add_arguments(choice)
        choice.add_argument(
            "--redraw", action="store_true", help="from the figures of the last run"
        )
    options = parser.parse_args(arguments)
    sweep = SWEEPS[options.name]
    pyplot = gallery.pyplot()
    if not options.redraw:
        begin = time.perf_counter()
        with threadpool_limits(1):
            rows = sweep.measure(options)
        command = shlex.join(["python", "-m", "benchmarks.sweeps", *arguments])
        note = f"{command}; {machine()}; one core, {time.perf_counter() - begin:.0f} s"
        gallery.write_rows(options.name, rows, note)
    rows, note = gallery.read_rows(options.name)
    text = sweep.statements(rows, note)
    print(text)
    gallery.write_statements(options.name, text)
    gallery.save(options.name, sweep.draw(pyplot, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
