"""Parameters of the detection by a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


@dataclass(frozen=True)
class NetworkOptions:
    """Parameters of the detection by a Mask R-CNN."""

    score: Annotated[
        float,
        {
            "min": 0.0,
            "max": 1.0,
            "step": 0.05,
            "tooltip": "least score of a cloud: lower finds fainter ones, and more that are none",
        },
    ] = 0.5
    weights: Annotated[
        Path | None,
        {
            "tooltip": "weights of your own (safetensors); else those that come with the package",
            "filter": "*.safetensors",
            "placeholder": "those of the package",
        },
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        {"tooltip": "where the network computes: 'auto' takes a graphics card where there is one"},
    ] = "auto"

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise ValueError(f"expected score in 0..1, found {self.score}")
        # from Python, a path may be a text
        if self.weights is not None:
            object.__setattr__(self, "weights", Path(self.weights))
