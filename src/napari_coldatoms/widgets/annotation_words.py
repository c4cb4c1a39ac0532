"""What "Annotate clouds" says about what it has done."""

from __future__ import annotations

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
