"""Atom numbers from photon counts: bootstraps against the exhaustive grid, and distributions.

The goals, on one core: 1000 bootstraps including the drawing of samples 50 times as fast as the
paper's three-stage grid for two atoms, 1000 times for three; 15, 20 and 60 ms for two, three and
ten atoms on a slow core. Distributions of two atoms 10 times as fast by quadrature as by
uniformisation, ten atoms within 10 ms.

The grid is vectorised: one matrix product, one logarithm and one sum for all points of a stage. Its
time for 1000 bootstraps is that of a few, multiplied.
"""

from __future__ import annotations

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.timing import machine, medians
from napari_coldatoms.photons import (
    PAPER_LOSS,
    PAPER_MODEL,
    FitWarning,
    LossModel,
    bootstrap,
    fit_controls,
    simulate_controls,
    simulate_mixture,
)
from napari_coldatoms.photons.bootstrap import draw_controls
from napari_coldatoms.photons.control_samples import refit
from napari_coldatoms.photons.grid_search import search
from napari_coldatoms.photons.simplex import maximise
from napari_coldatoms.statistics.bootstrap import resample

SHOTS, CONTROLS, RESAMPLES = 1000, 2000, 1000
LEAST_SECONDS = 0.5
GRID_FITS = {2: 20, 3: 5}
GOALS = {2: (50, 15), 3: (1000, 20), 10: (None, 60)}


def model_of(atoms: int) -> LossModel:
    """Return a model of two atoms as in the paper, or of more with pairs that are lost."""
    if atoms == 2:
        return PAPER_MODEL
    losses = {(i, i - 2): 0.4e3 * (i - 1) for i in range(2, atoms + 1)}
    losses |= {(i, i - 1): 0.2e3 * (i - 1) for i in range(2, atoms + 1)}
    return LossModel([1e3 + 14e3 * i for i in range(atoms + 1)], losses, 1e-3)


def bootstraps() -> None:
    """Time 1000 bootstraps with known distributions, and the grid for the same samples."""
    print(
        f"\n{RESAMPLES} bootstraps of {SHOTS} shots, sampling included, distributions known; "
        "by the three-stage grid"
    )
    for atoms, (goal, guide) in GOALS.items():
        model = model_of(atoms)
        weights = np.full(atoms + 1, 1 / (atoms + 1))
        counts = simulate_mixture(model, weights, SHOTS, rng=0).counts
        h = np.bincount(counts)
        components = model.distribution(len(h) - 1)
        drawn = resample(h, SHOTS, RESAMPLES, np.random.default_rng(1))
        ways = {
            "all": lambda counts=counts, model=model: bootstrap(
                counts, model, resamples=RESAMPLES, rng=1
            ),
            "fits": lambda drawn=drawn, components=components: maximise(drawn, components),
            "draw": lambda h=h: resample(h, SHOTS, RESAMPLES, np.random.default_rng(1)),
        }
        few = GRID_FITS.get(atoms, 0)
        used = [(row[row > 0].astype(float), components[:, row > 0]) for row in drawn[:few]]
        if few:  # in turns with ours, so that what else the machine does hits both
            ways["grid"] = lambda used=used: [search(row, p) for row, p in used]
        gap = maximise(drawn, components)[2].max()
        times = medians(ways, LEAST_SECONDS)
        whole_ms, fits, draw = (1e3 * times[name] for name in ("all", "fits", "draw"))
        line = (
            f"  {atoms:2d} atoms  ours {whole_ms:6.2f} ms (fits {fits:5.2f}, drawing {draw:4.2f}; "
            f"guide {guide} ms), largest gap {gap:.1e}"
        )
        if few:
            each = times["grid"] / few
            whole = RESAMPLES * each + times["draw"]
            line += (
                f" | grid {1e3 * whole:8.0f} ms ({1e3 * each:6.2f} each), "
                f"{whole / times['all']:6.0f} × (goal {goal} ×)"
            )
            ours, theirs = zip(
                *(
                    (row @ np.log(w @ p), row @ np.log(search(row, p) @ p))
                    for (row, p), w in zip(used, maximise(drawn[:few], components)[0], strict=True)
                ),
                strict=True,
            )
            if (np.array(theirs) > np.array(ours) + 1e-9).any():
                raise SystemExit("the grid found a better likelihood")
        else:
            line += " | grid infeasible"
        print(line, flush=True)


def with_controls() -> None:
    """Time bootstraps that draw and fit the controls again."""
    print(f"\n{RESAMPLES} bootstraps of {SHOTS} shots and {CONTROLS} control shots, two atoms")
    controls = simulate_controls(PAPER_MODEL, CONTROLS, single_atom_loss=PAPER_LOSS, rng=0)
    fitted = fit_controls(controls, PAPER_MODEL.exposure)
    counts = simulate_mixture(PAPER_MODEL, [0.2, 0.3, 0.5], SHOTS, rng=1).counts
    histograms = fitted.histograms
    drawn = draw_controls(histograms, RESAMPLES, None, np.random.default_rng(0))
    options = {"resamples": RESAMPLES, "rng": 1}
    ways = {
        "model, controls fitted again": lambda: bootstrap(counts, fitted, **options),
        "  of this, fits of controls": lambda: refit(fitted, drawn).distributions(60),
        "  of this, drawing controls": lambda: draw_controls(
            histograms, RESAMPLES, None, np.random.default_rng(0)
        ),
        "model, controls kept": lambda: bootstrap(
            counts, fitted, resample_controls=False, **options
        ),
        "events": lambda: bootstrap(counts, histograms, single_atom_loss=PAPER_LOSS, **options),
        "events, effective likelihood": lambda: bootstrap(
            counts, histograms, single_atom_loss=PAPER_LOSS, likelihood="effective", **options
        ),
    }
    for name, value in medians(ways, LEAST_SECONDS).items():
        print(f"  {name:32s} {1e3 * value:8.2f} ms, {1e6 * value / RESAMPLES:6.1f} µs each")


def distributions() -> None:
    """Time distributions of counts."""
    print("\nDistributions of counts")
    two = PAPER_MODEL
    exact = {
        method: two.distribution(80, method=method) for method in ("quadrature", "uniformisation")
    }
    known = exact["uniformisation"] > 1e-30
    apart = np.abs(exact["quadrature"] / exact["uniformisation"] - 1)[known].max()
    times = medians(
        {
            method: lambda method=method: two.distribution(80, method=method)
            for method in ("quadrature", "uniformisation")
        },
        LEAST_SECONDS,
    )
    ratio = times["uniformisation"] / times["quadrature"]
    print(
        f"  two atoms, 81 counts: quadrature {1e6 * times['quadrature']:6.1f} µs, uniformisation "
        f"{1e6 * times['uniformisation']:7.1f} µs, {ratio:.1f} × (goal 10 ×); largest relative "
        f"difference {apart:.1e}"
    )
    ten = model_of(10)
    for method in ("uniformisation",):
        time = medians(
            {"ten": lambda method=method: ten.distribution(220, method=method)}, LEAST_SECONDS
        )["ten"]
        print(f"  ten atoms, 221 counts: {method} {1e3 * time:6.2f} ms (guide 10 ms)")


def main() -> None:
    print("Photon counts, one core; median times")
    print(machine())
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        bootstraps()
        with_controls()
        distributions()


if __name__ == "__main__":
    main()
