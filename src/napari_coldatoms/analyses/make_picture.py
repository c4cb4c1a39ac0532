"""From raw frames to the picture that is analysed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from napari_coldatoms.backend.analysis import Analysis, check, from_dict, to_dict
from napari_coldatoms.images.absorption import optical_depth
from napari_coldatoms.images.fluorescence import fluorescence
from napari_coldatoms.images.stack import is_raw

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class MakePicture:
    """Make the optical depth or the fluorescence picture of raw frames."""

    name: ClassVar[str] = "make_picture"

    kind: Annotated[
        Literal["auto", "absorption", "fluorescence"],
        {
            "tooltip": "'auto': the optical depth where there are frames with atoms and with "
            "probe light only, else fluorescence"
        },
    ] = "auto"
    power_correction: Annotated[
        Literal["auto", "none", "region", "robust"],
        {
            "label": "probe power",
            "tooltip": "correct the probe's drift between atoms and probe frame by the background "
            "region, or robustly by the whole frame; 'auto': by the region where one is given",
        },
    ] = "auto"
    background_region: Annotated[
        tuple[int, int, int, int] | None,
        {"tooltip": "region without atoms (px): y0, x0, y1, x1, edges, half-open"},
    ] = field(default=None, metadata={"advanced": True})
    subtract: Annotated[
        Literal["auto", "none", "background", "probe", "dark"],
        {"tooltip": "which frame is subtracted from a fluorescence picture"},
    ] = field(default="auto", metadata={"advanced": True})
    saturation: Annotated[
        float | None,
        {
            "min": 0.0,
            "max": 1e9,
            "tooltip": "pixels with this many counts or more are left out as saturated (counts); "
            "by default the camera's largest number",
        },
    ] = field(default=None, metadata={"advanced": True})
    min_probe: Annotated[
        float | None,
        {
            "min": 0.0,
            "max": 1e9,
            "label": "least probe light",
            "tooltip": "pixels with less probe light than this are left out as not lit (counts); "
            "by default what stands out of the dark frame's noise",
        },
    ] = field(default=None, metadata={"advanced": True})

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, stack: xr.DataArray) -> xr.DataArray:
        """Return the picture of each shot, dims ``([shot,] y, x)``; a picture passes unchanged.

        ``attrs["picture"]`` holds the parameters, so that a recipe can repeat it. Lazy stacks give
        lazy pictures.

        Raises
        ------
        StackError
            Where the frames that are needed are missing.
        """
        if not is_raw(stack):
            return stack
        roles = [str(role) for role in stack["frame"].values]
        if self.kind == "auto" and "optical_depth" in roles and "atoms" not in roles:
            # the camera program made the optical depth already
            picture = stack.isel(frame=roles.index("optical_depth")).drop_vars("frame")
            picture.attrs = {**stack.attrs, "kind": "optical_depth"}
            return picture
        kind = self.kind
        if kind == "auto":
            kind = "absorption" if {"atoms", "probe"} <= set(roles) else "fluorescence"
        if kind == "absorption":
            power = None if self.power_correction == "auto" else self.power_correction
            picture = optical_depth(
                stack,
                background_region=self.background_region,
                power_correction=power,
                saturation=self.saturation,
                min_probe=self.min_probe,
            )
        else:
            picture = fluorescence(stack, subtract=self.subtract, saturation=self.saturation)
        # as they were chosen, so that they suit another camera too, but with what was decided
        decided = picture.attrs["picture"].get("subtract", self.subtract)
        parameters = {**to_dict(self), "kind": kind, "subtract": decided}
        picture.attrs = {**picture.attrs, "picture": parameters}
        return picture

    @classmethod
    def from_recipe(cls, values: Mapping[str, Any] | None) -> MakePicture:
        """Return it with the parameters in a recipe; the defaults where the recipe has none."""
        return from_dict(cls, values or {}, where="picture.")


def to_analyse(analysis: Analysis, picture: MakePicture, stack: xr.DataArray) -> xr.DataArray:
    """Return what an analysis gets: the stack itself where it takes it raw, else the picture."""
    takes = getattr(analysis, "takes", None)
    return stack if takes is not None and takes(stack) else picture(stack)
