"""What "Annotate clouds" says about what it has done."""

from __future__ import annotations

from napari_coldatoms.analyses.annotation_import import Imported
from napari_coldatoms.analyses.annotation_seeds import Ruled
from napari_coldatoms.widgets.annotation_jobs import Seeded


def many(count: int, what: str) -> str:
    """Say a number of things.

    >>> many(1, "cloud"), many(3, "shot")
    ('1 cloud', '3 shots')
    """
    return f"{count} {what}{'' if count == 1 else 's'}"


def taken(seeded: Seeded, name: str) -> str:
    """Say how many clouds were taken from a layer of that name."""
    said = f"Took {many(seeded.added, 'cloud')} from “{name}”."
    if seeded.left_out:
        said += f" {many(seeded.left_out, 'cloud')} left out: painted already."
    elif not seeded.added:
        said = f"“{name}” has no clouds there."
    return said


def drawn(ruled: Ruled) -> str:
    """Say how many clouds got another outline, and why the first of the others did not."""
    said = f"Drew {many(ruled.fitted, 'outline')} at 1/e² of the fit."
    if ruled.failed:
        said += f" {many(len(ruled.failed), 'cloud')} as before: {ruled.failed[0]}."
    return said


def imported(found: Imported, folder: str, shown: int, kept: int) -> str:
    """Say what has come into a dataset.

    Parameters
    ----------
    found : Imported
    folder : str
        Name of the dataset.
    shown : int
        Number of shots of the image that the dataset knows.
    kept : int
        Of how many of them the painting that is not saved has stayed.
    """
    said = f"Imported {many(found.pictures, 'picture')} with {many(found.clouds, 'cloud')}"
    if found.classes:
        said += f" ({', '.join(found.classes)})"
    said += f" into “{folder}”"
    if shown:
        said += f", which has {many(shown, 'shot')} of this image"
    said += "."
    if kept:
        said += f" {many(kept, 'shot')} not saved yet: left as painted."
    if found.notes:
        said += f" Note: {found.notes[0]}"
        if len(found.notes) > 1:
            said += f" (and {len(found.notes) - 1} more, see the tooltip)"
    return said
