"""Results of sites in the features of the layer that the sites are from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Labels
from numpy.typing import NDArray


def write_features(layer: Any, found: pd.DataFrame, numbers: NDArray[np.int64]) -> None:
    """Write results into the features of a layer of regions; other features stay.

    Parameters
    ----------
    layer : napari.layers.Shapes, Points or Labels
    found : DataFrame
        A row for each region.
    numbers : (regions,) int
        Which region each row is of: the label, or the index among shapes or points.

    Raises
    ------
    ValueError
        If the layer has other regions now.
    """
    kept = pd.DataFrame(layer.features).copy()
    names = [name for name in found.columns if name != "index"]
    if isinstance(layer, Labels):
        # a row for each label that there is; those of others keep what they have
        kept = kept.set_index("index") if "index" in kept.columns else kept
        kept = kept.reindex(sorted({*kept.index.tolist(), *numbers.tolist()}))
        made = found[names].set_axis(numbers, axis="index").reindex(kept.index)
        features = kept.drop(columns=[name for name in names if name in kept.columns]).join(made)
        layer.features = features.rename_axis("index").reset_index()
        return
    if len(kept) != len(layer.data) or (len(numbers) and numbers.max() >= len(kept)):
        raise ValueError(
            f"“{layer.name}” has other regions now: expected {len(found)}, found {len(layer.data)}"
        )
    made = found[names].set_axis(numbers, axis="index").reindex(range(len(kept)))
    for name in names:
        kept[name] = made[name].to_numpy()
    layer.features = kept


def select_region(layer: Any, number: int) -> None:
    """Select a region in its layer; one that is not there any more changes nothing."""
    if isinstance(layer, Labels):
        layer.selected_label = number
    elif number < len(layer.data):
        layer.selected_data = {number}
