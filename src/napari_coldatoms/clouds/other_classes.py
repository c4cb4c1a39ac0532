"""Weights of a network for other classes than those it was trained on. Needs torch.

Everything but its last layers knows no classes. There, a class that both know keeps its weights; a
new one starts between the known ones, as any cloud.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["for_classes"]

# layers with so many rows for the background and for each class
_ROWS = {
    "roi_heads.box_predictor.cls_score": 1,
    "roi_heads.box_predictor.bbox_pred": 4,
    "roi_heads.mask_predictor.mask_fcn_logits": 1,
}
# the rows of new classes differ by this part of the spread among a row's weights
_NOISE = 0.05


def for_classes(
    tensors: Mapping[str, Tensor], known: Sequence[str], wanted: Sequence[str], seed: int = 0
) -> dict[str, Tensor]:
    """Return the weights of a network for other classes.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Weights of a Mask R-CNN.
    known, wanted : sequence of str
        Classes of these weights, and those to be.
    seed : int
        Of the noise by which new classes differ from each other.

    Returns
    -------
    dict of str to Tensor
        Rows of new classes are the mean of the known ones and a little noise. Weights without the
        layers of a Mask R-CNN come back as they are.
    """
    generator = torch.Generator().manual_seed(seed)
    found = dict(tensors)
    for layer, rows in _ROWS.items():
        for name in (f"{layer}.weight", f"{layer}.bias"):
            tensor = tensors.get(name)
            if tensor is None or len(tensor) != rows * (len(known) + 1):
                continue
            background, *classes = tensor.split(rows)
            mean = torch.stack(list(classes)).mean(0)
            spread = float(mean.std()) if name.endswith("weight") else 0.0
            chosen = [background]
            for label in wanted:
                if label in known:
                    chosen.append(classes[list(known).index(label)])
                else:
                    noise = torch.randn(mean.shape, generator=generator, dtype=torch.float32)
                    chosen.append(mean + _NOISE * spread * noise.to(mean.dtype))
            found[name] = torch.cat(chosen)
    return found
