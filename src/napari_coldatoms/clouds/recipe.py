"""How a network is trained, as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from napari_coldatoms.clouds.augment import ALL, SIMULATED, Augmentations

__all__ = ["OWN", "PAPER", "RECIPES", "SHOTS", "Recipe"]

Architecture = Literal["small", "resnet50"]
Optimiser = Literal["sgd", "adamw"]
Schedule = Literal["step", "one-cycle"]
Precision = Literal["auto", "float32", "bfloat16"]

# a one-cycle schedule: part of all steps in which the rate rises, from where, and where it ends
_RISE, _FIRST, _LAST = 0.1, 1 / 20, 1 / 2000
# what forms put aside
_RARE = {"advanced": True}


def _check(name: str, value: Any, kind: Any, options: Mapping[str, Any]) -> None:
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            known = ", ".join(get_args(kind))
            raise ValueError(f"{name}: expected one of {known}, found {value!r}")
        return
    low, high = options.get("min", -math.inf), options.get("max", math.inf)
    if not low <= value <= high:
        words = f"{low} to {high}" if high < math.inf else f"at least {low}"
        raise ValueError(f"{name}: expected {words}, found {value}")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    architecture : "small" or "resnet50"
        See `maskrcnn.build`.
    optimiser : "sgd" or "adamw"
        Stochastic gradient descent with momentum, or AdamW (Loshchilov and Hutter 2019,
        arXiv:1711.05101).
    learning_rate : float
        The first one of the schedule ``"step"``, the highest of ``"one-cycle"``.
    momentum : float
        Of gradient descent; AdamW's first one.
    weight_decay : float
        Per step, times the learning rate.
    batch : int
        Pictures in a step; half as many on a large canvas.
    epochs : int
        How often each picture is seen.
    schedule : "step" or "one-cycle"
        The rate times `decay` after every `decay_epochs`; or rising in the first tenth of all
        steps and falling to nothing as half a cosine each (Smith and Topin 2018,
        arXiv:1708.07120).
    decay_epochs, decay : int, float
        Of the schedule ``"step"``.
    averaging : float
        The weights kept are a moving average over about ``1 / (1 - averaging)`` steps; 0 keeps
        the latest.
    largest_gradient : float
        Norm to which gradients are cut; 0 does not.
    canvas, large_canvas : int
        Network pixels along each side of what the network is shown.
    large : float
        Share of steps on the large canvas.
    precision : "auto", "float32" or "bfloat16"
        Of convolutions and products; "auto" takes half precision where the hardware is made for
        it. Weights and averages always have single precision.
    seed : int
        Of everything that is random. The same seed gives the same weights on one machine with one
        number of threads; on a graphics card up to rounding.
    augmentations : Augmentations
        How pictures are changed.

    Raises
    ------
    ValueError
        A value out of bounds.
    """

    architecture: Annotated[Architecture, {"tooltip": "network"}] = "small"
    optimiser: Annotated[Optimiser, {"tooltip": "how weights follow gradients"}] = field(
        default="adamw", metadata=_RARE
    )
    learning_rate: Annotated[
        float,
        {
            "tooltip": "first rate of the schedule step, highest of one-cycle",
            "min": 0.0,
            "max": 1.0,
            "step": 1e-5,
        },
    ] = 1e-3
    momentum: Annotated[
        float,
        {"tooltip": "of sgd; the first one of adamw", "min": 0.0, "max": 0.9999, "step": 1e-3},
    ] = field(default=0.9, metadata=_RARE)
    weight_decay: Annotated[
        float, {"tooltip": "per step, times the rate", "min": 0.0, "max": 1.0, "step": 1e-3}
    ] = field(default=0.02, metadata=_RARE)
    batch: Annotated[int, {"tooltip": "pictures in a step", "min": 1, "max": 1024}] = 8
    epochs: Annotated[int, {"tooltip": "how often each picture is seen", "min": 1}] = 3
    schedule: Annotated[Schedule, {"tooltip": "of the learning rate"}] = field(
        default="one-cycle", metadata=_RARE
    )
    decay_epochs: Annotated[
        int, {"tooltip": "epochs between changes of the rate, of the schedule step", "min": 1}
    ] = field(default=13, metadata=_RARE)
    decay: Annotated[
        float,
        {
            "tooltip": "factor of each change of the rate, of the schedule step",
            "min": 0.0,
            "max": 1.0,
            "step": 1e-3,
        },
    ] = field(default=0.049, metadata=_RARE)
    averaging: Annotated[
        float,
        {
            "tooltip": "of the weights over steps, 0 for none",
            "min": 0.0,
            "max": 0.99999,
            "step": 1e-4,
        },
    ] = field(default=0.998, metadata=_RARE)
    largest_gradient: Annotated[
        float, {"tooltip": "norm to which gradients are cut, 0 for none", "min": 0.0}
    ] = field(default=5.0, metadata=_RARE)
    canvas: Annotated[
        int, {"tooltip": "network pixels along each side", "min": 64, "max": 2048}
    ] = field(default=256, metadata=_RARE)
    large_canvas: Annotated[int, {"tooltip": "the same of large steps", "min": 64, "max": 2048}] = (
        field(default=384, metadata=_RARE)
    )
    large: Annotated[float, {"tooltip": "share of large steps", "min": 0.0, "max": 1.0}] = field(
        default=0.25, metadata=_RARE
    )
    precision: Annotated[Precision, {"tooltip": "of convolutions and products"}] = field(
        default="auto", metadata=_RARE
    )
    seed: Annotated[int, {"tooltip": "of everything that is random", "min": 0, "max": 2**31}] = (
        field(default=0, metadata=_RARE)
    )
    augmentations: Augmentations = SIMULATED

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            if get_origin(hint) is Annotated:
                kind, options = get_args(hint)
                _check(name, getattr(self, name), kind, options)

    def rate(self, step: int, steps: int, epoch: int) -> float:
        """Return the learning rate of a step, of so many, in an epoch (all from 0)."""
        if self.schedule == "step":
            return self.learning_rate * self.decay ** (epoch // self.decay_epochs)
        rising = max(1.0, _RISE * steps)
        if step < rising:
            low, part = _FIRST, step / rising
            return self.learning_rate * (low + (1 - low) * (1 - math.cos(math.pi * part)) / 2)
        part = (step - rising) / max(1.0, steps - 1 - rising)
        return self.learning_rate * (
            _LAST + (1 - _LAST) * (1 + math.cos(math.pi * min(part, 1.0))) / 2
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain numbers and strings."""
        return asdict(self)


PAPER = Recipe(
    architecture="resnet50",
    optimiser="sgd",
    learning_rate=0.0033,
    momentum=0.86,
    weight_decay=0.0,
    batch=4,
    epochs=15,
    schedule="step",
    decay_epochs=13,
    decay=0.049,
    averaging=0.0,
    largest_gradient=0.0,
    large=0.0,
)
"""The recipe of Hofer et al. 2021 (arXiv:2011.10536) with the best values that they found."""

OWN = Recipe()
"""The recipe of the weights that come with the package, for thousands of simulated frames."""

SHOTS = Recipe(learning_rate=5e-4, batch=4, epochs=30, averaging=0.98, large=0.0, augmentations=ALL)
"""A recipe for some tens of one's own pictures, from weights that know clouds already."""

RECIPES = {"own": OWN, "shots": SHOTS, "paper": PAPER}
"""Recipes by the names that the command line knows."""
