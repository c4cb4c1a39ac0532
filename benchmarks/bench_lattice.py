"""The lattice reconstruction against the published method in plain scipy, and how it scales.

The goals, on one core and 100 × 100 sites of the paper's first example: the final local step 3
times as fast as `benchmarks.plain_lattice`, the unsupervised two steps 1.5 times, the alternating
estimator 2 times, with no more errors; time per site growing less than 1.5 times from 30² to 1000²
sites, and 1000² sites within 8 GB. On two cores, 20 shots of 50 × 50 sites a second, each at a
place of its own that is found first, or 10 by the alternating estimator.

The plain method is timed with two tolerances of scipy's conjugate gradients: 1e-4, and 1e-3, the
loosest that leaves its error rates as they are. What depends on the geometry alone is computed
beforehand on both sides.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import plain_lattice
from benchmarks.timing import machine, medians
from napari_coldatoms.analyses import ReconstructLattice, save_calibration
from napari_coldatoms.backend import run
from napari_coldatoms.images.stack import make_stack
from napari_coldatoms.lattice import (
    GaussianPSF,
    Lattice,
    Reconstructor,
    calibrate,
    find_phase,
    simulate,
)
from napari_coldatoms.lattice.global_step import global_step
from napari_coldatoms.lattice.linear import estimate_brightness
from napari_coldatoms.lattice.optics import make_optics
from napari_coldatoms.lattice.phase import Camera, PhaseFinder

PSF = GaussianPSF(3.0)
SPACING = 4.0
IMAGING = {"brightness": 1000.0, "brightness_sd": 100.0, "background": 50.0, "read_noise": 2.0}
BACKGROUND, READ_NOISE = IMAGING["background"], IMAGING["read_noise"]
TOLERANCES = (1e-4, 1e-3)
IMAGES = 10
SIDES = (30, 100, 300, 1000)
LEAST_SECONDS = 0.6
SHOTS, REPEATS = 200, 2


def arrangement(side: int, angle: float = 0.0) -> tuple[Lattice, tuple[int, int]]:
    """Return side² sites and a frame with more than 3 HWHM around them."""
    reach = SPACING * (side - 1) * (math.cos(angle) + math.sin(angle))
    origin = (10.3, 9.6 + SPACING * (side - 1) * math.sin(angle))
    lattice = Lattice.square(SPACING, (side, side), origin=origin, angle=angle)
    return lattice, (math.ceil(reach) + 21, math.ceil(reach) + 21)


def picture(lattice: Lattice, shape: tuple[int, int], seed: int):
    return simulate(lattice, PSF, image_shape=shape, occupancy=0.5, rng=seed, **IMAGING)


def show(times: dict[str, float], goal: float | None, notes: dict[str, str]) -> None:
    """Print each way's time, how often ours goes into it, and a note."""
    for name, value in times.items():
        ratio = f"{value / times['ours']:6.2f} ×"
        print(f"  {name:28s} {1e3 * value:9.2f} ms {ratio}  {notes.get(name, '')}")
    if goal:
        print(f"  {'goal':28s} {'':12s} {goal:6.2f} ×")


def final_step(title: str, lattice: Lattice, shape: tuple[int, int], goal: float | None) -> None:
    """Time Eq. 8 with the moments of Eqs. 37-39."""
    image = picture(lattice, shape, 0).image
    plain = plain_lattice.prepare(lattice.positions, PSF.hwhm, shape)
    optics = make_optics(lattice, PSF, shape)
    signal = image - BACKGROUND
    flat = signal.ravel()
    first = plain_lattice.estimate_global(plain, flat, BACKGROUND, READ_NOISE)
    mean, variance = plain_lattice.prior_moments(*plain_lattice.brightness_moments(*first))

    def with_scipy(tolerance):
        return plain_lattice.estimate(
            plain, flat, mean, variance, BACKGROUND, READ_NOISE, tolerance=tolerance
        )

    def ours():
        weights = 1 / (optics.image(mean) + (BACKGROUND + READ_NOISE**2))
        return estimate_brightness(optics, signal, weights, mean, variance)

    ways = {f"plain, tolerance {t:g}": lambda t=t: with_scipy(t) for t in TOLERANCES}
    ways["ours"] = ours
    exact = with_scipy(1e-12)
    rms = {name: float(np.sqrt(np.mean((way() - exact) ** 2))) for name, way in ways.items()}
    if max(rms.values()) > 1:
        raise SystemExit(f"the solutions disagree: rms {rms}")
    print(f"\n{title}; rms distance to the exact solution, in counts of {IMAGING['brightness']:g}")
    show(medians(ways, LEAST_SECONDS), goal, {name: f"{value:.2f}" for name, value in rms.items()})


def whole(lattice: Lattice, shape: tuple[int, int]) -> None:
    """Time the unsupervised estimators, and count their errors."""
    plain = plain_lattice.prepare(lattice.positions, PSF.hwhm, shape)
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)

    def ours(method, image, background=BACKGROUND, bad_pixels=None):
        return reconstructor.reconstruct(
            image,
            method=method,
            background=background,
            read_noise=READ_NOISE,
            bad_pixels=bad_pixels,
        ).occupied

    def with_scipy(method, image, tolerance):
        brightness, mu, *_ = method(plain, image, BACKGROUND, READ_NOISE, tolerance=tolerance)
        return brightness > mu / 2

    pictures = [picture(lattice, shape, seed) for seed in range(IMAGES)]
    image = pictures[0].image
    for title, method, reference, goal in (
        ("Two steps, unsupervised", "local", plain_lattice.two_step, 1.5),
        ("Alternating, unsupervised", "alternating", plain_lattice.alternating, 2.0),
    ):
        ways = {
            f"plain, tolerance {t:g}": lambda image, r=reference, t=t: with_scipy(r, image, t)
            for t in TOLERANCES
        }
        ways["ours"] = lambda image, m=method: ours(m, image)
        errors = {
            name: 100 * np.mean([np.mean(way(p.image) != p.occupied) for p in pictures])
            for name, way in ways.items()
        }
        timed = {name: lambda way=way: way(image) for name, way in ways.items()}
        print(f"\n{title}, known background; errors in {IMAGES} images")
        show(
            medians(timed, LEAST_SECONDS),
            goal,
            {name: f"{value:.3f} %" for name, value in errors.items()},
        )
    print("\nOurs, background known | background and bad pixels found; errors in the same images")
    for method in ("deconvolution", "global", "local", "alternating"):
        ways = {
            "known": lambda image, m=method: ours(m, image),
            "found": lambda image, m=method: ours(m, image, "auto", "auto"),
        }
        errors = [
            100 * np.mean([np.mean(way(p.image) != p.occupied) for p in pictures])
            for way in ways.values()
        ]
        times = medians({name: lambda way=way: way(image) for name, way in ways.items()}, 0.5)
        both = " | ".join(f"{1e3 * value:7.1f}" for value in times.values())
        rates = " | ".join(f"{value:.3f}" for value in errors)
        print(f"  {method:16s} {both} ms    {rates} %")


def phases() -> None:
    """Time the phase of one image: of a series, and where the optics are made for it alone."""
    print("\nPhase of an image over one global estimate of it (goal ≤ 10 ×)")
    for side in (50, 100):
        lattice, shape = arrangement(side)
        finder = PhaseFinder(lattice, PSF, shape)
        image = picture(lattice.shift((0.3, -0.2)), shape, 0).image
        shot = finder.shot(image, Camera(READ_NOISE))
        times = medians(
            {
                "global": lambda shot=shot: global_step(shot),
                "fit": lambda finder=finder, shot=shot: finder.fit(shot),
                "all": lambda lattice=lattice, image=image: find_phase(
                    image, lattice, PSF, read_noise=READ_NOISE
                ),
            },
            LEAST_SECONDS,
        )
        print(
            f"  {side:4d}² sites  global {1e3 * times['global']:7.1f} ms | phase "
            f"{1e3 * times['fit']:7.1f} ms, {times['fit'] / times['global']:5.2f} × | with the "
            f"optics of the lattice made {1e3 * times['all']:7.1f} ms, "
            f"{times['all'] / times['global']:5.2f} ×",
            flush=True,
        )


def series() -> None:
    """Time a calibrated series with a place of its own for each shot, found first."""
    lattice, shape = arrangement(50)
    places = np.random.default_rng(0).normal(0, 0.2, (SHOTS, 2))
    truths = [picture(lattice.shift(place), shape, seed) for seed, place in enumerate(places)]
    counts = np.clip(np.rint([truth.image for truth in truths]), 0, 65535).astype(np.uint16)
    stack = make_stack(counts, name="shots", attrs={"kind": "fluorescence"})
    known = calibrate(counts[:20], read_noise=READ_NOISE)
    print(f"\nSeries of {SHOTS} shots of 50² sites, once calibrated; best of {REPEATS}")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        path = Path(folder) / "sites.yaml"
        save_calibration(known, path)
        for method, goal in (("local", 20), ("alternating", 10)):
            analysis = ReconstructLattice(calibration=path, method=method)
            run(analysis, stack[:4])
            cells = []
            for threads, executor in ((1, None), (2, pool)):
                wall, busy, ahead = [], [], []
                for _ in range(REPEATS):
                    begin, begin_busy = time.perf_counter(), time.process_time()
                    done = run(analysis, stack, executor=executor)
                    wall.append(time.perf_counter() - begin)
                    busy.append(time.process_time() - begin_busy)
                    begin = time.perf_counter()
                    analysis.prepare(stack)
                    ahead.append(time.perf_counter() - begin)
                each, work, prepared = (1e3 * min(times) / SHOTS for times in (wall, busy, ahead))
                cells.append(
                    f"{threads} thread{'s' * (threads > 1)} {1e3 / each:5.1f} shots/s, "
                    f"{each:5.1f} ms a shot ({work:5.1f} ms of work, {prepared:4.1f} ms ahead)"
                )
            found = [image.found.occupied for shot in done.results for image in shot.images]
            wrong = 100 * np.mean([f != t.occupied for f, t in zip(found, truths, strict=True)])
            print(
                f"  {method:12s} {' | '.join(cells)} (goal {goal} shots/s on two cores) | "
                f"{wrong:.4f} % wrong",
                flush=True,
            )


def scaling() -> None:
    """Time lattices of all sizes, each in a process of its own, for its peak memory."""
    print("\nSize, ours, known background: time per site, growth from the smallest (goal < 1.5 ×)")
    single = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    first = None
    for side in SIDES:
        command = [sys.executable, "-m", "benchmarks.bench_lattice", str(side)]
        out = subprocess.run(command, env=single, check=True, capture_output=True, text=True)
        found = json.loads(out.stdout)
        first = first or found
        cells = [
            f"{method} {1e6 * found[method] / side**2:6.2f} µs "
            f"{found[method] / first[method] * (SIDES[0] / side) ** 2:5.2f} × "
            f"{found[f'{method} errors']:.3f} %"
            for method in ("local", "alternating")
        ]
        print(
            f"  {side:4d}² sites  {' | '.join(cells)} | once per geometry {found['build']:.2f} s | "
            f"peak memory {found['memory'] / 2**30:.2f} GB",
            flush=True,
        )


def one_size(side: int) -> dict[str, float]:
    """Return times (s), errors (%) and the peak memory (bytes) of one image of side² sites."""

    def ours(reconstructor, image, method):
        return reconstructor.reconstruct(
            image,
            method=method,
            background=BACKGROUND,
            read_noise=READ_NOISE,
            bad_pixels=None,
        )

    small, shape = arrangement(12)
    warm = Reconstructor(small, PSF, image_shape=shape)
    for method in ("local", "alternating"):  # loads the compiled kernels
        ours(warm, picture(small, shape, 0).image, method)
    lattice, shape = arrangement(side)
    truth = picture(lattice, shape, 1)
    begin = time.perf_counter()
    reconstructor = Reconstructor(lattice, PSF, image_shape=shape)
    found = {"build": time.perf_counter() - begin}
    ours(reconstructor, truth.image, "global")  # what is computed at the first image
    for method in ("local", "alternating"):
        times: list[float] = []
        while not times or (sum(times) < LEAST_SECONDS and len(times) < 50):
            begin = time.perf_counter()
            result = ours(reconstructor, truth.image, method)
            times.append(time.perf_counter() - begin)
        found[method] = float(np.median(times))
        found[f"{method} errors"] = 100 * float(np.mean(result.occupied != truth.occupied))
    return {**found, "memory": peak_memory()}


def peak_memory() -> float:
    """Return the largest resident memory of this process, in bytes."""
    import resource

    try:  # the figure of getrusage starts at what the parent process held
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024.0 * next(int(x.split()[1]) for x in lines if x.startswith("VmHWM"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return float(most) * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    print(f"Lattice, spacing {SPACING:g} px, HWHM {PSF.hwhm:g} px, one core; median times")
    print(machine())
    with threadpool_limits(1):
        lattice, shape = arrangement(100)
        final_step("Final local step, 100 × 100 sites", lattice, shape, 3.0)
        final_step("The same, turned by 3°", *arrangement(100, math.radians(3)), None)
        whole(lattice, shape)
        phases()
        series()
        scaling()


if __name__ == "__main__":
    print(json.dumps(one_size(int(sys.argv[1]))))
