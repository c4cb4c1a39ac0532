"""How fast simulated frames of clouds are made: at least 50 of 256 x 256 per second on one core.

A frame counts with its picture and masks, as a training takes it.
"""

from __future__ import annotations

from itertools import count

from benchmarks.timing import machine, medians
from napari_coldatoms.clouds.simulate_frames import simulate_frame
from napari_coldatoms.clouds.simulate_sets import validation_set

BATCH = 20


def maker(kind):
    """Return a function that makes the next frames of a kind."""
    numbers = count()

    def make():
        for _ in range(BATCH):
            frame = simulate_frame((2, next(numbers)), kind, shape=(256, 256))
            frame.picture()
            frame.masks()

    return make


def main() -> None:
    print(f"Simulated frames, 256 × 256, with picture and masks; medians over batches of {BATCH}")
    print(machine())
    ways = {kind: maker(kind) for kind in ("paper", "hard")}
    for kind, time in medians(ways, seconds=3.0).items():
        print(f"  {kind:6s} {1e3 * time / BATCH:7.2f} ms a frame  {BATCH / time:7.0f} frames/s")
    sizes = [frame.raw[0].size / 256**2 for frame in validation_set("hard", stop=60)]
    print(f"  frames of the hard validation set are {sum(sizes) / len(sizes):.1f} times as large")


if __name__ == "__main__":
    main()
