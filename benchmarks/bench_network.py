"""How long the shipped network takes for a frame, against torchvision's Mask R-CNN.

Both get the same frame. Torchvision's network on a ResNet-50 with a feature pyramid is the one that
Hofer et al. 2021 (arXiv:2011.10536) used; as it comes it scales every picture to 800 pixels along
its shorter side. So that the ratio is no matter of that alone, it is also timed without scaling.
"""

from __future__ import annotations

import numpy as np
import torch
from torchvision.models.detection import maskrcnn_resnet50_fpn

from benchmarks.timing import machine, medians
from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.network_input import network_input
from napari_coldatoms.clouds.network_process import detect_with_network, stop_network
from napari_coldatoms.clouds.simulate_frames import simulate_frame


def ways(picture):
    """Return what is timed, as functions without arguments."""
    network = Network(device="cpu")
    torch.manual_seed(0)
    # random weights find clouds everywhere: no more of them than a trained network would
    options = {"weights": None, "weights_backbone": None, "box_detections_per_img": 3}
    as_it_comes = maskrcnn_resnet50_fpn(**options).eval()
    unscaled = maskrcnn_resnet50_fpn(**options, min_size=min(picture.shape)).eval()
    scaled = np.clip((picture - picture.min()) / np.ptp(picture), 0, 1).astype(np.float32)
    image = torch.from_numpy(np.repeat(scaled[None], 3, axis=0))

    def theirs(model):
        def detect():
            with torch.inference_mode():
                model([image])

        return detect

    return {
        "network": lambda: network.detect([picture]),
        "its input": lambda: network_input(picture),
        "in its process": lambda: detect_with_network([picture], device="cpu"),
        "torchvision": theirs(as_it_comes),
        "torchvision, unscaled": theirs(unscaled),
    }


def main() -> None:
    print("Clouds found by the shipped network and by torchvision's Mask R-CNN on a ResNet-50")
    print(machine())
    print(f"{torch.get_num_threads()} threads")
    try:
        for side in (256, 512, 1024):
            picture = simulate_frame((3, side), "hard", shape=(side, side)).picture()
            picture = np.nan_to_num(picture)
            times = medians(ways(picture), seconds=10.0)
            own = times["network"]
            print(f"{side} × {side}")
            for name, time in times.items():
                print(f"  {name:22s} {1e3 * time:8.1f} ms  {time / own:6.2f}")
    finally:
        stop_network()


if __name__ == "__main__":
    main()
