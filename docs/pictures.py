"""Draw the guide's pictures of the sample data: ``python docs/pictures.py``."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt

from napari_coldatoms import optical_depth, samples

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


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    raw_triplet()
    time_of_flight()
