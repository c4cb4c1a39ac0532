"""Draw the guide's pictures of sample and simulated data: ``python docs/pictures.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from napari_coldatoms import backend, clouds, lattice, optical_depth, photons, samples
from napari_coldatoms.analyses import DetectClouds

IMAGES = Path(__file__).parent / "images"


def raw_triplet() -> None:
    """Draw the three frames of a shot and the optical depth made of them."""
    stack = samples.mot_and_odt()
    picture = optical_depth(stack, power_correction="robust")
    figure, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
    for axis, role in zip(axes, ("atoms", "probe", "dark"), strict=False):
        axis.imshow(stack.sel(frame=role), cmap="gray", vmin=0, vmax=4000)
        axis.set_title(role)
    axes[3].imshow(picture, vmin=-0.1, vmax=1.5)
    axes[3].set_title("optical depth")
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(IMAGES / "raw_triplet.png", dpi=80)


def time_of_flight() -> None:
    """Draw the optical depth of every second shot of the falling cloud."""
    picture = optical_depth(samples.time_of_flight(), power_correction="robust")
    figure, axes = plt.subplots(1, 5, figsize=(10, 3.4), layout="constrained")
    for axis, shot in zip(axes, picture[1::2], strict=True):
        axis.imshow(shot, vmin=-0.05, vmax=0.9 * float(shot.max()))
        axis.set_title(f"{float(shot.time_of_flight) * 1e3:.0f} ms")
        axis.set_axis_off()
    figure.savefig(IMAGES / "time_of_flight.png", dpi=80)


def detected() -> None:
    """Draw the clouds that are found: boxes and ellipses, the fitted model, the residual."""
    picture = optical_depth(samples.mot_and_odt(), power_correction="robust")
    run = backend.run(DetectClouds(), picture)
    model, residual = run.analysis.models(run)
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.3), layout="constrained")
    views = (
        ("optical depth", picture, 1.5),
        ("fitted model", model, 1.5),
        ("residual", residual, 0.2),
    )
    for axis, (title, view, top) in zip(axes, views, strict=True):
        image = axis.imshow(view, vmin=-0.1 if top > 1 else -top, vmax=top)
        figure.colorbar(image, ax=axis, shrink=0.8)
        axis.set_title(title)
        axis.set_axis_off()
    for cloud in run.results[0]:
        draw_outlines(axes[0], cloud)
    figure.savefig(IMAGES / "detected.png", dpi=80)


def lattice_sites() -> None:
    """Draw an image of unresolved sites, a part of it with the atoms found, and the histogram."""
    sites = lattice.Lattice.square(4.0, (60, 60), origin=(12, 12))
    psf = lattice.GaussianPSF(hwhm=3.0)
    truth = lattice.simulate(
        sites,
        psf,
        image_shape=(260, 260),
        occupancy=0.5,
        brightness=1000,
        brightness_sd=100,
        background=50,
        read_noise=2,
        rng=1,
    )
    found = lattice.reconstruct(truth.image, sites, psf, read_noise=2)
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    for axis in axes[:2]:
        axis.imshow(truth.image, cmap="gray")
        axis.set_axis_off()
    y, x = sites.positions.T
    for occupied, look in ((True, {"mfc": "tab:orange"}), (False, {"mfc": "none"})):
        some = found.occupied == occupied
        axes[1].plot(x[some], y[some], "o", ms=6, mec="tab:orange", ls="", **look)
    axes[1].set(xlim=(95.5, 160.5), ylim=(160.5, 95.5))
    axes[0].set_title("image")
    wrong = int(np.count_nonzero(found.occupied != truth.occupied))
    axes[1].set_title(f"a part of it, atoms found ({wrong} wrong in all)")
    bins = np.linspace(-500, 1600, 85)
    plain = lattice.reconstruct(truth.image, sites, psf, read_noise=2, method="deconvolution")
    axes[2].hist(plain.brightness, bins, color="0.7", label="deconvolution")
    axes[2].hist(found.brightness, bins, histtype="step", color="tab:orange", label="alternating")
    axes[2].set(xlabel="brightness of a site (counts)", ylabel="sites")
    axes[2].legend(loc="upper center")
    figure.savefig(IMAGES / "lattice.png", dpi=80)


def photon_counts() -> None:
    """Draw controls with their models, and a sample with what each atom number gives of it."""
    controls = photons.simulate_controls(photons.PAPER_MODEL, 2000, single_atom_loss=0.03, rng=1)
    truth = [0.3, 0.3, 0.4]
    sample = photons.simulate_mixture(photons.PAPER_MODEL, truth, 1000, rng=2).counts
    known = photons.fit_controls(controls, photons.PAPER_MODEL.exposure)
    found = photons.fit_atom_numbers(sample, known)
    colours = ("tab:green", "tab:orange", "tab:blue")
    names = ("no atom", "1 atom", "2 atoms")
    figure = plt.figure(figsize=(12, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2)
    n = np.arange(51)
    for atoms, axis in enumerate(left.subplots(3, 1, sharex=True)):
        counts = controls[atoms]
        axis.bar(n, np.bincount(counts, minlength=51)[:51], 1.0, color=colours[atoms], alpha=0.4)
        axis.plot(n, len(counts) * known.expected(atoms, 50), color=colours[atoms])
        axis.set_title(names[atoms], y=0.7, loc="right")
    axis.set_xlabel("counts")
    left.supylabel("control shots")
    axis = right.subplots()
    axis.bar(n, np.bincount(sample, minlength=51)[:51], 1.0, color="0.8", label="sample")
    below = np.zeros(51)
    pure = known.model.distribution(50)
    for atoms, share in enumerate(found.probabilities):
        above = below + len(sample) * share * pure[atoms]
        label = f"{names[atoms]}, {100 * share:.1f} % ({100 * truth[atoms]:.0f} % true)"
        axis.fill_between(n, below, above, color=colours[atoms], alpha=0.5, lw=0, label=label)
        below = above
    axis.plot(n, below, color="k", lw=1)
    axis.set(xlabel="counts", ylabel="shots")
    axis.legend()
    figure.savefig(IMAGES / "photons.png", dpi=80)


def draw_outlines(axis: Axes, cloud: clouds.Cloud) -> None:
    """Draw the box and the 1/e² ellipse of a cloud."""
    y0, x0, y1, x1 = cloud.box
    corner = (x0 - 0.5, y0 - 0.5)  # boxes are pixel edges, matplotlib's pixels begin at -0.5
    axis.add_patch(Rectangle(corner, x1 - x0, y1 - y0, fill=False, edgecolor="white"))
    y, x = cloud.fit.gaussian.contour(200).T
    axis.plot(x, y, color="tab:orange")


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    raw_triplet()
    time_of_flight()
    detected()
    lattice_sites()
    photon_counts()
