"""A network that learns: weights, their moving average, and what the optimiser remembers.

Needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD, AdamW, Optimizer
from torchvision.models.detection import MaskRCNN

from napari_coldatoms.clouds.batches import Batch
from napari_coldatoms.clouds.checkpoints import optimiser_tensors, restore_optimiser
from napari_coldatoms.clouds.recipe import Recipe

__all__ = ["Learner"]

# what torch draws in a step has a seed of its own
_STEP = 2


class Learner:
    """A network that learns by a recipe.

    Parameters
    ----------
    model : MaskRCNN
        The network; it becomes the learner's.
    recipe : Recipe
        How it learns.
    device : torch.device
        Where.
    """

    def __init__(self, model: MaskRCNN, recipe: Recipe, device: torch.device) -> None:
        self.model = model.to(device=device, memory_format=torch.channels_last).train()
        self.recipe, self.device = recipe, device
        self.precision = _precision(recipe, device)
        self._weights = [each for each in self.model.parameters() if each.requires_grad]
        self._optimiser = self._make_optimiser()
        self._average = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def learn(self, batch: Batch, rate: float) -> dict[str, float]:
        """Take a step at a learning rate, and return the parts of the loss before it.

        A step whose loss or gradient is not finite is left out: nothing changes, and what is
        returned has NaN.
        """
        number = batch.step.number
        # what is random in a step depends on nothing before it
        seed = np.random.SeedSequence((self.recipe.seed, _STEP, number)).generate_state(1)
        torch.manual_seed(int(seed[0]))
        images = [each.to(self.device) for each in batch.images]
        targets = [
            {name: each.to(self.device) for name, each in target.items()}
            for target in batch.targets
        ]
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with self._autocast():
            losses = self.model(images, targets)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.zero_grad()
        total: Tensor = sum(each.float() for each in losses.values())
        total.backward()
        largest = self.recipe.largest_gradient or torch.inf
        norm = torch.nn.utils.clip_grad_norm_(self._weights, largest)
        if not torch.isfinite(total.detach() + norm):
            for name, buffer in self.model.named_buffers():
                buffer.copy_(buffers[name])
            return dict.fromkeys((_plain(name) for name in losses), float("nan"))
        self._optimiser.step()
        if self.recipe.averaging > 0:
            # the first weights are forgotten soon
            self._follow(min(self.recipe.averaging, (number + 1) / (number + 20)))
        return {_plain(name): each.item() for name, each in losses.items()}

    def weights(self) -> Mapping[str, Tensor]:
        """Return the weights to be kept: the average, or the latest ones without averaging."""
        return self._average if self.recipe.averaging > 0 else self.model.state_dict()

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """Return everything that the next steps depend on."""
        groups = {"model": self.model.state_dict(), "optimiser": optimiser_tensors(self._optimiser)}
        return groups | ({"average": self._average} if self.recipe.averaging > 0 else {})

    def restore(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go back to what `tensors` returned.

        Raises
        ------
        KeyError, RuntimeError
            They are those of another network.
        """
        self.model.load_state_dict(groups["model"])
        restore_optimiser(self._optimiser, groups.get("optimiser", {}))
        if self.recipe.averaging > 0:
            average = groups["average"]
            for name, tensor in self._average.items():
                tensor.copy_(average[name])

    def _make_optimiser(self) -> Optimizer:
        recipe = self.recipe
        if recipe.optimiser == "sgd":
            return SGD(
                self._weights, recipe.learning_rate, recipe.momentum,
                weight_decay=recipe.weight_decay,
            )  # fmt: skip
        return AdamW(
            self._weights, recipe.learning_rate, (recipe.momentum, 0.999),
            weight_decay=recipe.weight_decay,
        )  # fmt: skip

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"
        )

    @torch.no_grad()
    def _follow(self, kept: float) -> None:
        """Move the average towards the weights, of which `1 - kept` come in."""
        for name, tensor in self.model.state_dict().items():
            average = self._average[name]
            if average.dtype.is_floating_point:
                average.lerp_(tensor, 1 - kept)
            else:
                average.copy_(tensor)


def _plain(name: str) -> str:
    return name.removeprefix("loss_")


def _precision(recipe: Recipe, device: torch.device) -> str:
    if recipe.precision != "auto":
        return recipe.precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))
    return "bfloat16" if fast else "float32"
