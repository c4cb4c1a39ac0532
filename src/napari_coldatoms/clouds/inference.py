"""A trained network on pictures.

Needs torch, which must not be loaded beside a window: see `server`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.ops import clip_boxes_to_image

from napari_coldatoms.clouds.detection import Detection, mark_doubles
from napari_coldatoms.clouds.maskrcnn import build
from napari_coldatoms.clouds.mirrored import found_in_views
from napari_coldatoms.clouds.network_input import NetworkInput, network_input
from napari_coldatoms.clouds.reflections import without_reflections
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError, load_weights

Device = Literal["auto", "cpu", "cuda", "mps"]

# axes along which a picture is mirrored; the first two together are a half turn
_MIRRORS: tuple[tuple[int, ...], ...] = ((), (2, 3), (3,), (2,))
# no more pixels than this go through the network at a time
_PIXELS = 8 * 384 * 384
# both sides of what a network sees are a multiple of this
_STRIDE = 32


class Network:
    """A trained network.

    Parameters
    ----------
    weights : path, optional
        A file written by `save_weights`; default the one that comes with the package.
    device : "auto", "cpu", "cuda" or "mps"
        Where to compute; "auto" takes a graphics card where there is one.

    Raises
    ------
    WeightsError
        The file holds no usable weights.
    ValueError
        The device is not there.
    """

    def __init__(self, weights: str | Path | None = None, device: Device = "auto") -> None:
        path = SHIPPED if weights is None else Path(weights)
        self.device = choose_device(device)
        self.card, tensors = load_weights(path)
        self.model = filled(self.card.architecture, self.card.labels, tensors, path.name)
        self.model.to(device=self.device, memory_format=torch.channels_last)

    def detect(
        self,
        pictures: Sequence[NDArray[np.floating]],
        *,
        least_score: float = 0.05,
        views: int = 4,
    ) -> list[list[Detection]]:
        """Return what is in pictures, each list highest score first, doubles marked.

        What a bright cloud's light makes elsewhere is left out: see `reflections`.

        Parameters
        ----------
        pictures : sequence of (ny, nx) arrays
            Any size and unit; those of one size go through the network together.
        least_score : float
            Clouds of a lower score are left out.
        views : 1, 2 or 4
            What the network finds in a picture and in its mirror images is averaged: more take
            so many times as long, and place clouds better.
        """
        inputs = [network_input(picture) for picture in pictures]
        found: list[list[Detection]] = [[] for _ in inputs]
        for group in _groups(inputs):
            chosen = [inputs[n] for n in group]
            raw = detections(self.model, chosen, self.card.labels, self.device, views)
            for n, each in zip(group, raw, strict=True):
                certain = [d for d in each if d.score >= least_score]
                clouds = without_reflections(certain, inputs[n])
                found[n] = mark_doubles(clouds, inputs[n].shape)
        return found


def choose_device(device: Device = "auto") -> torch.device:
    """Return a device that is there.

    Raises
    ------
    ValueError
        The device asked for is unknown or not there.
    """
    known = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if device == "auto":
        return torch.device(next(name for name, there in known.items() if there))
    if device not in known:
        raise ValueError(f"expected device one of auto, {', '.join(known)}, found {device!r}")
    if not known[device]:
        raise ValueError(f"expected device 'auto' or 'cpu', found {device!r}: torch sees none")
    return torch.device(device)


def filled(
    architecture: str, labels: tuple[str, ...], tensors: dict[str, Tensor], name: str
) -> MaskRCNN:
    """Return a network with weights, ready to detect.

    Raises
    ------
    WeightsError
        The weights are those of another network.
    """
    try:
        model = build(architecture, labels)
    except ValueError as error:
        raise WeightsError(f"{name}: {error}") from None
    own = model.state_dict()
    wrong = [key for key, t in own.items() if key not in tensors or tensors[key].shape != t.shape]
    wrong += [key for key in tensors if key not in own]
    if wrong:
        there = tuple(tensors[wrong[0]].shape) if wrong[0] in tensors else "none"
        wanted = tuple(own[wrong[0]].shape) if wrong[0] in own else "none"
        raise WeightsError(
            f"{name}: expected weights of {architecture!r} with classes {', '.join(labels)} "
            f"({wrong[0]}: {wanted}), found {there}"
        )
    if any(not torch.isfinite(t).all() for t in tensors.values() if t.dtype.is_floating_point):
        raise WeightsError(f"{name}: expected finite weights, found others")
    model.load_state_dict(tensors)
    return model.eval()


@torch.inference_mode()
def detections(
    model: MaskRCNN,
    inputs: Sequence[NetworkInput],
    labels: Sequence[str],
    device: torch.device,
    views: int = 4,
) -> list[list[Detection]]:
    """Return all that a network finds in inputs of one size, class by class.

    The masks stay on the network's grid: only those who need pixels make them.

    Parameters
    ----------
    model : MaskRCNN
        The network, with weights.
    inputs : sequence of NetworkInput
        Of one size.
    labels : sequence of str
        Classes.
    device : torch.device
        Where the network is.
    views : int
        Of how many of a picture's four mirror images what is found is averaged.
    """
    rows, columns = inputs[0].channels.shape[1:]
    height, width = (-(-side // _STRIDE) * _STRIDE for side in (rows, columns))
    batch = np.zeros((len(inputs), 3, height, width), dtype=np.float32)
    batch[:, :, :rows, :columns] = [each.channels for each in inputs]
    pictures = torch.from_numpy(batch).to(device)
    mirrors = _MIRRORS[:views]
    results = found_in_views(
        model, [pictures.flip(axes) if axes else pictures for axes in mirrors], mirrors
    )
    return [_found(*result, each, labels) for result, each in zip(results, inputs, strict=True)]


def _found(
    boxes: Tensor,
    scores: Tensor,
    classes: Tensor,
    masks: Tensor,
    seen: NetworkInput,
    labels: Sequence[str],
) -> list[Detection]:
    height, width = seen.channels.shape[1:]
    clipped = clip_boxes_to_image(boxes, (height, width)).cpu().double().numpy()
    scale = np.array([seen.scale[0], seen.scale[1]] * 2)
    places = clipped[:, [1, 0, 3, 2]] / scale
    return [
        Detection(labels[number - 1], score, (box[0], box[1], box[2], box[3]), mask)
        for number, score, box, mask in zip(
            classes.cpu().tolist(),
            scores.float().cpu().tolist(),
            places.tolist(),
            masks.float().cpu().numpy(),
            strict=True,
        )
    ]


def _groups(inputs: Sequence[NetworkInput]) -> list[list[int]]:
    """Return the numbers of inputs of one size, no more together than memory should hold."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for number, each in enumerate(inputs):
        sizes.setdefault(each.channels.shape, []).append(number)
    groups = []
    for shape, numbers in sizes.items():
        most = max(1, _PIXELS // (shape[1] * shape[2]))
        groups += [numbers[start : start + most] for start in range(0, len(numbers), most)]
    return groups
