"""The files of a dataset of annotated pictures: COCO JSON, and pictures as TIFF."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.atomic import replacing
from napari_coldatoms.clouds.annotated import SPLITS, Annotated, DatasetError, Split
from napari_coldatoms.clouds.patch import extent
from napari_coldatoms.clouds.run_lengths import decode, encode

FORMAT = "napari-coldatoms dataset 1"
"""What a dataset says of itself."""

INDEX, PICTURES = "dataset.json", "pictures"
"""Names of the file and the folder of a dataset."""

# of a picture's name as much is kept in that of its file
_LONGEST = 80


@dataclass(frozen=True)
class Painted:
    """What a dataset says of a cloud.

    Attributes
    ----------
    label : str
        Class.
    runs : dict
        Its mask, see `run_lengths`.
    box : tuple of float
        ``x, y, width, height`` of the mask's extent, pixel edges.
    area : float
        Number of pixels.
    """

    label: str
    runs: Mapping[str, Any]
    box: tuple[float, ...]
    area: float


@dataclass(frozen=True)
class Entry:
    """What a dataset says of a picture.

    Attributes
    ----------
    name, source, index, split
        See `Annotated`.
    file : str
        Its file in the folder of pictures.
    shape : (int, int)
        Rows and columns.
    clouds : tuple of Painted
        The clouds in it.
    """

    name: str
    file: str
    shape: tuple[int, int]
    split: Split
    source: str = ""
    index: tuple[int, ...] | None = None
    clouds: tuple[Painted, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class of each cloud."""
        return tuple(cloud.label for cloud in self.clouds)

    def masks(self) -> NDArray[np.bool_]:
        """Return the masks, (n, ny, nx).

        Raises
        ------
        DatasetError
            One is damaged, empty, or of another size than the picture.
        """
        masks = np.zeros((len(self.clouds), *self.shape), dtype=bool)
        for number, cloud in enumerate(self.clouds):
            try:
                mask = decode(cloud.runs)
            except ValueError as error:
                raise DatasetError(f"{self.name}, cloud {number + 1}: {error}") from None
            if mask.shape != self.shape or not mask.any():
                size = " x ".join(map(str, mask.shape))
                raise DatasetError(
                    f"{self.name}, cloud {number + 1}: expected a mask with pixels of "
                    f"{self.shape[0]} x {self.shape[1]}, found one of {size} with "
                    f"{np.count_nonzero(mask)}"
                )
            masks[number] = mask
        return masks


@dataclass(frozen=True)
class Contents:
    """What a dataset holds: its classes, and its pictures by their names."""

    classes: tuple[str, ...]
    entries: Mapping[str, Entry]


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    DatasetError
        There is no such file, it is damaged, or holds no object.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DatasetError(f"{path}: expected a file, found none") from None
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: expected JSON, found a damaged file ({error})") from None
    if not isinstance(found, dict):
        raise DatasetError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found


def read_contents(folder: Path) -> Contents:
    """Return what a dataset holds; no picture is read.

    Raises
    ------
    DatasetError
        There is none, or it is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        raise DatasetError(f"{folder}: expected a dataset with {INDEX}, found none")
    found = read_json(path)
    info = found.get("info")
    said = info.get("format") if isinstance(info, dict) else None
    if said != FORMAT:
        raise DatasetError(f"{path}: expected format {FORMAT!r}, found {said!r}")
    try:
        names = {int(each["id"]): str(each["name"]) for each in found["categories"]}
        clouds: dict[int, list[Painted]] = {}
        for each in found["annotations"]:
            label, box = names[int(each["category_id"])], tuple(float(n) for n in each["bbox"])
            cloud = Painted(label, dict(each["segmentation"]), box, float(each["area"]))
            clouds.setdefault(int(each["image_id"]), []).append(cloud)
        entries = [_entry(each, clouds.pop(int(each["id"]), [])) for each in found["images"]]
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{path}: expected a whole dataset, found a damaged one "
            f"({type(error).__name__}: {error})"
        ) from None
    if clouds or len({each.name for each in entries}) < len(entries):
        raise DatasetError(
            f"{path}: expected pictures with different names and clouds in pictures that are "
            "there, found others"
        )
    return Contents(tuple(names[n] for n in sorted(names)), {each.name: each for each in entries})


def _entry(image: Mapping[str, Any], clouds: Iterable[Painted]) -> Entry:
    file = str(image["file_name"])
    if file != Path(file).name or "\\" in file:
        raise ValueError(f"expected the name of a file in {PICTURES}, found {file!r}")
    split = next((each for each in SPLITS if each == image["split"]), None)
    if split is None:
        raise ValueError(f"{file}: expected split train or validation, found {image['split']!r}")
    index = image.get("index")
    return Entry(
        name=str(image.get("name", Path(file).stem)),
        file=file,
        shape=(int(image["height"]), int(image["width"])),
        split=split,
        source=str(image.get("source") or ""),
        index=None if index is None else tuple(int(n) for n in index),
        clouds=tuple(clouds),
    )


def write_contents(folder: Path, contents: Contents) -> None:
    """Write what a dataset holds, whole or not at all."""
    numbers = {name: n for n, name in enumerate(contents.classes, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, entry in enumerate(contents.entries.values(), 1):
        images.append(
            {
                "id": number,
                "name": entry.name,
                "file_name": entry.file,
                "height": entry.shape[0],
                "width": entry.shape[1],
                "split": entry.split,
                "source": entry.source,
                "index": None if entry.index is None else list(entry.index),
            }
        )
        for cloud in entry.clouds:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": numbers[cloud.label],
                    "bbox": list(cloud.box),
                    "area": cloud.area,
                    "iscrowd": 0,
                    "segmentation": dict(cloud.runs),
                }
            )
    whole = {
        "info": {"format": FORMAT, "description": f"pictures are in the folder {PICTURES}"},
        "categories": [{"id": n, "name": name} for name, n in numbers.items()],
        "images": images,
        "annotations": annotations,
    }
    with replacing(folder / INDEX) as new:
        new.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def entry_of(annotated: Annotated, file: str, split: Split) -> Entry:
    """Return what a dataset says of an annotated picture."""
    return Entry(
        annotated.name,
        file,
        annotated.shape,
        split,
        annotated.source,
        annotated.index,
        tuple(map(_painted, annotated.labels, annotated.masks)),
    )


def _painted(label: str, mask: NDArray[np.bool_]) -> Painted:
    y0, x0, y1, x1 = extent(mask)
    return Painted(label, encode(mask), (x0, y0, x1 - x0, y1 - y0), int(np.count_nonzero(mask)))


def file_name(name: str, taken: Iterable[str]) -> str:
    """Return the name of a file that no system refuses, and that is not taken."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:_LONGEST] or "picture"
    others = {each.lower() for each in taken}  # some systems take letters of both cases for one
    # some of them keep names such as "con" for devices
    stem = plain if plain == name else f"{plain}-{_hash(name)[:8]}"
    file, number = f"{stem}.tif", 1
    while file.lower() in others:
        number += 1
        file = f"{stem}-{number}.tif"
    return file


def wanted_split(name: str, splits: Iterable[Split]) -> Split:
    """Return what a picture is for that comes to others.

    About every fifth is for validation, by a hash of its name, so that it hardly matters in which
    order pictures come; there is at least one of each as soon as there are two.
    """
    others = list(splits)
    validation, number = others.count("validation"), len(others) + 1
    if validation == number - 1:  # nothing to train on yet
        return "train"
    if validation < max(1, number // 5 - 1):
        return "validation"
    if validation > number // 5:
        return "train"
    return "validation" if int(_hash(name), 16) % 5 == 0 else "train"


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def write_picture(path: Path, picture: NDArray[np.float32]) -> None:
    """Write a picture as TIFF, 32-bit floats."""
    import tifffile

    # not into the file at once: what numpy says of a full disk tells nobody what is wrong
    whole = io.BytesIO()
    tifffile.imwrite(whole, np.ascontiguousarray(picture, dtype=np.float32))
    with replacing(path) as new:
        new.write_bytes(whole.getbuffer())


def read_picture(path: Path, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return a picture.

    Raises
    ------
    DatasetError
        It is missing, damaged, or of another size.
    """
    import tifffile

    try:
        found = tifffile.imread(path)
    except FileNotFoundError:
        raise DatasetError(f"{path}: expected a picture, found no file") from None
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise DatasetError(f"{path}: expected a picture, found a damaged file ({error})") from None
    if found.shape != shape or found.dtype.kind not in "buif":
        size = " x ".join(map(str, found.shape))
        raise DatasetError(
            f"{path}: expected a picture of {shape[0]} x {shape[1]} pixels, found {size} of "
            f"{found.dtype}"
        )
    return np.asarray(found, dtype=np.float32)


def same_picture(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two pictures are equal; NaN is equal to itself."""
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=True)
