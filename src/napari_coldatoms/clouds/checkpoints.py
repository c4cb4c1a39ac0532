"""The state of a training in one file, from which it goes on as if nothing had happened.

Tensors are safetensors, everything else is JSON in their header: nothing in the file is ever
executed. Needs torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from napari_coldatoms.atomic import replacing
from napari_coldatoms.clouds.training import CheckpointError

__all__ = [
    "Checkpoint",
    "load_checkpoint",
    "optimiser_tensors",
    "restore_optimiser",
    "save_checkpoint",
]

_FORMAT = "napari-coldatoms training 1"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training.

    Attributes
    ----------
    tensors : dict of str to dict of str to Tensor
        Groups of tensors, such as the weights and the moments of the optimiser.
    state : dict
        Everything else, as JSON knows it.
    """

    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; an existing one is replaced when the new one is complete."""
    flat = {
        f"{group}/{name}": tensor.detach().cpu().contiguous().clone()
        for group, tensors in checkpoint.tensors.items()
        for name, tensor in tensors.items()
    }
    with replacing(path) as new:
        save_file(flat, new, {"format": _FORMAT, "state": json.dumps(dict(checkpoint.state))})


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises
    ------
    CheckpointError
        The file is damaged, or something else.
    FileNotFoundError
        There is none.
    """
    path = Path(path)
    groups: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise CheckpointError(
                    f"{path}: expected a checkpoint of format {_FORMAT!r}, "
                    f"found {metadata.get('format')!r}"
                )
            state = json.loads(metadata["state"])
            for key in file.keys():  # noqa: SIM118
                group, _, name = key.partition("/")
                groups.setdefault(group, {})[name] = file.get_tensor(key)
    except FileNotFoundError:
        raise
    except CheckpointError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: expected a checkpoint, found another or a damaged file ({error})"
        ) from None
    return Checkpoint(groups, state)


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """Return what an optimiser remembers, by number of the weight and name."""
    return {
        f"{number}.{name}": value
        for number, kept in optimiser.state_dict()["state"].items()
        for name, value in kept.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser back what it remembered."""
    remembered: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition(".")
        remembered.setdefault(int(number), {})[name] = value
    known = optimiser.state_dict()
    optimiser.load_state_dict({"state": remembered, "param_groups": known["param_groups"]})
