"""One picture from one file: what a camera or another program has written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.analyses.make_picture import MakePicture
from napari_coldatoms.readers import read_many

__all__ = ["picture_reader", "read_single_picture"]

# formats of screens, not of cameras: people annotate pictures that they have converted
_SCREEN = (".png", ".jpg", ".jpeg", ".bmp", ".gif")


def read_single_picture(
    path: str | Path, make_picture: MakePicture | None = None
) -> NDArray[np.generic]:
    """Return the picture in a file, (ny, nx).

    Parameters
    ----------
    path : path
        A camera file of any kind that is read, or a grey PNG, JPEG, BMP or GIF.
    make_picture : MakePicture, optional
        How the picture is made where there are raw frames.

    Raises
    ------
    ValueError
        It cannot be read, holds several pictures, or colours.
    OSError
        It cannot be opened.
    """
    path = Path(path)
    if path.suffix.lower() in _SCREEN:
        return _grey(path)
    stacks, errors = read_many([path], siblings=False)
    if errors:
        raise errors[0]
    found = [(make_picture or MakePicture())(stack) for stack in stacks]
    if len(found) != 1 or any(n != 1 for n in found[0].shape[:-2]):
        shapes = ", ".join(" x ".join(map(str, each.shape)) for each in found)
        raise ValueError(f"{path}: expected one picture in a file, found {shapes}")
    return found[0].to_numpy().reshape(found[0].shape[-2:])


def picture_reader(make_picture: MakePicture | None = None) -> Callable[[Path], Any]:
    """Return a function that reads a file as `read_single_picture` does, to hand on."""
    return partial(read_single_picture, make_picture=make_picture)


def _grey(path: Path) -> NDArray[np.generic]:
    from skimage.io import imread

    pixels: NDArray[Any] = np.asarray(imread(path))
    if pixels.ndim == 2:
        return pixels
    colours = pixels[..., :3] if pixels.ndim == 3 and pixels.shape[2] in (3, 4) else None
    if colours is None or (colours != colours[..., :1]).any():
        size = " x ".join(map(str, pixels.shape))
        raise ValueError(f"{path}: expected a grey picture, found {size} with colours")
    return colours[..., 0]
