"""Weights of a network in a file, with the card that says what they are.

The format is safetensors: numbers and a header of plain text, of which nothing is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_coldatoms.atomic import replacing

if TYPE_CHECKING:
    from torch import Tensor

SHIPPED = Path(__file__).parent / "data" / "small.safetensors"
"""The weights that come with the package."""

FORMAT = "napari-coldatoms clouds 1"
"""What a file says of itself: it changes with what a network sees and with its architecture."""

# a header of more bytes than this is no header
_LARGEST_HEADER = 10_000_000


class WeightsError(ValueError):
    """A file that holds no usable weights, or those of another network."""


@dataclass(frozen=True)
class WeightsCard:
    """What weights are for, and where they come from.

    Attributes
    ----------
    architecture : str
        ``"small"`` or ``"resnet50"``.
    labels : tuple of str
        Classes, in the order of the network's outputs after the background.
    about : dict
        What else is known, as plain numbers and strings: how they were trained, on what, how
        long, and the scores.
    """

    architecture: str
    labels: tuple[str, ...]
    about: dict[str, Any] = field(default_factory=dict)


def save_weights(path: str | Path, tensors: Mapping[str, Tensor], card: WeightsCard) -> None:
    """Write weights, floating-point numbers at half precision, and their card.

    An existing file is replaced when the new one is complete.
    """
    import torch
    from safetensors.torch import save

    halved = {
        name: (t.half() if t.dtype.is_floating_point else t).contiguous().clone()
        for name, t in tensors.items()
    }
    too_large = [name for name, t in halved.items() if not torch.isfinite(t.float()).all()]
    if too_large:
        raise WeightsError(f"expected finite weights, found others in {too_large[0]}")
    with replacing(path) as new:
        # written by Python, so that others may read it where they may read other files
        new.write_bytes(save(halved, {"format": FORMAT, "card": json.dumps(asdict(card))}))


def read_card(path: str | Path) -> WeightsCard:
    """Return the card of a file of weights, without torch.

    Raises
    ------
    WeightsError
        The file is none of ours; the message says what it is.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = int.from_bytes(start, "little")
            header = file.read(size) if 2 <= size <= _LARGEST_HEADER else b""
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from None
    # the first bytes of safetensors are a number: they may look like those of a pickle
    if header[:1] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
        raise WeightsError(
            f"{path.name}: expected weights as safetensors, found a pickle such as torch.save "
            "writes; it was not opened, since it may run code"
        )
    wanted = f"{path.name}: expected weights as safetensors"
    try:
        found = json.loads(header)
        metadata = found.get("__metadata__", {})
    except (ValueError, AttributeError):
        raise WeightsError(f"{wanted}, found another or a damaged file") from None
    if metadata.get("format") != FORMAT:
        said = metadata.get("format")
        raise WeightsError(f"{wanted} of format {FORMAT!r}, found {said!r}")
    try:
        card = json.loads(metadata["card"])
        card = {each.name: card[each.name] for each in fields(WeightsCard)}
        labels = tuple(str(label) for label in card["labels"])
        return WeightsCard(str(card["architecture"]), labels, dict(card["about"]))
    except (KeyError, TypeError, ValueError):
        raise WeightsError(f"{wanted} with a card, found none that can be read") from None


def load_weights(path: str | Path) -> tuple[WeightsCard, dict[str, Tensor]]:
    """Return card and tensors (single precision) of a file of weights.

    Raises
    ------
    WeightsError
        The file is none of ours, or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    card = read_card(path)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{Path(path).name}: expected weights as safetensors, found a damaged file ({error})"
        ) from None
    return card, {
        name: t.float() if t.dtype.is_floating_point else t for name, t in tensors.items()
    }


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
