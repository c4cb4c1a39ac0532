"""The image model and the making of pictures: optical depth and fluorescence."""

from __future__ import annotations

from napari_coldatoms.images.absorption import optical_depth
from napari_coldatoms.images.fluorescence import fluorescence
from napari_coldatoms.images.regions import Regions, region_masks
from napari_coldatoms.images.roles import (
    ROLES,
    RoleGuess,
    assign_roles,
    guess_roles,
    guess_roles_from_count,
    role_of_name,
)
from napari_coldatoms.images.stack import (
    METADATA_KEY,
    StackError,
    check_stack,
    from_layer,
    is_raw,
    make_stack,
    origin,
    pixel_size,
    shots,
    spatial,
    to_layer,
    unit,
)

__all__ = [
    "METADATA_KEY",
    "ROLES",
    "Regions",
    "RoleGuess",
    "StackError",
    "assign_roles",
    "check_stack",
    "fluorescence",
    "from_layer",
    "guess_roles",
    "guess_roles_from_count",
    "is_raw",
    "make_stack",
    "optical_depth",
    "origin",
    "pixel_size",
    "region_masks",
    "role_of_name",
    "shots",
    "spatial",
    "to_layer",
    "unit",
]
