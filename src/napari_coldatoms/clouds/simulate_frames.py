"""Simulated frames of clouds with their truth, to train and to judge detectors.

`simulate_frame` makes one frame from one seed: raw frames as a camera gives them, the picture made
of them, and for each cloud its class, box, mask and Gaussian. It needs numpy and scipy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.exposure import Camera, Picture, log_uniform
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.simulate_kinds import LABELS, random_cloud
from napari_coldatoms.clouds.simulate_raw import (
    Absorption,
    Fluorescence,
    make_picture,
    plain_absorption,
    random_absorption,
    random_fluorescence,
)
from napari_coldatoms.clouds.simulate_scenes import hard_scene, paper_scene
from napari_coldatoms.clouds.simulate_truth import Instance, look

if TYPE_CHECKING:
    from xarray import DataArray

__all__ = ["LABELS", "Instance", "Kind", "SimulatedFrame", "random_shape", "simulate_frame"]

Kind = Literal["paper", "hard"]

_FLUORESCENCE = 0.25
_GHOST = 0.12
# tries to find a scene of which anything is seen
_TRIES = 5
# rows, columns and weight; the last has any size
_SHAPES = (
    ((256, 256), 0.3),
    ((100, 100), 0.1),
    ((148, 503), 0.08),
    ((352, 217), 0.1),
    ((512, 512), 0.16),
    ((480, 640), 0.1),
    ((1024, 1024), 0.03),
    ((1200, 1920), 0.03),
    ((0, 0), 0.1),
)


@dataclass(frozen=True)
class SimulatedFrame:
    """One simulated shot and the truth about it.

    Attributes
    ----------
    seed : tuple of int
        What the frame was made from, with `kind` and the shape.
    kind : str
        ``"paper"`` or ``"hard"``.
    picture_kind : str
        ``"optical_depth"`` or ``"fluorescence"``.
    roles : tuple of str
        Roles of the raw frames.
    raw : (frame, y, x) array of uint16
        The raw frames, in counts.
    camera : Camera
        The camera.
    instances : tuple of Instance
        The clouds that can be seen.
    settings : dict
        What else is in the frame, as plain numbers and strings.
    """

    seed: tuple[int, ...]
    kind: str
    picture_kind: str
    roles: tuple[str, ...]
    raw: NDArray[np.uint16]
    camera: Camera
    instances: tuple[Instance, ...]
    settings: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.raw.shape[1], self.raw.shape[2]

    @property
    def labels(self) -> tuple[str, ...]:
        """Class of each cloud."""
        return tuple(instance.label for instance in self.instances)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes ``(y0, x0, y1, x1)``, pixel edges, shape (n, 4)."""
        return np.array([instance.box for instance in self.instances]).reshape(-1, 4)

    @property
    def gaussians(self) -> tuple[Gaussian2D, ...]:
        """Gaussian of each cloud."""
        return tuple(instance.gaussian for instance in self.instances)

    def masks(self) -> NDArray[np.bool_]:
        """Return the masks, shape (n, y, x)."""
        masks = np.zeros((len(self.instances), *self.shape), dtype=bool)
        for mask, instance in zip(masks, self.instances, strict=True):
            y0, x0, y1, x1 = instance.window
            mask[y0:y1, x0:x1] = instance.patch
        return masks

    def picture(self) -> NDArray[np.float32]:
        """Return the optical depth or the fluorescence (counts), NaN where there is none.

        The same as `napari_coldatoms.images` makes of the stack without power correction.
        """
        return make_picture(self.raw, self.roles, self.camera)

    def stack(self) -> DataArray:
        """Return the raw frames as a stack with the truth in its attributes; needs xarray."""
        from napari_coldatoms.images.stack import make_stack

        clouds = [
            {"label": each.label, "shape": each.shape, **asdict(each.gaussian), "box": each.box}
            for each in self.instances
        ]
        attrs = {
            "kind": "counts",
            "roles_certain": True,
            "roles_reason": "simulated",
            "gain": self.camera.gain,
            "saturation": self.camera.full_scale,
            "truth": {"clouds": clouds, "boxes": self.boxes.tolist(), **asdict(self.camera)},
        }
        name = f"{self.kind} {'-'.join(map(str, self.seed))}"
        return make_stack(self.raw, roles=self.roles, name=name, attrs=attrs)


def simulate_frame(
    seed: int | Sequence[int],
    kind: Kind = "hard",
    *,
    shape: tuple[int, int] | None = None,
    noise: bool = True,
) -> SimulatedFrame:
    """Return the frame that belongs to a seed.

    Parameters
    ----------
    seed : int or sequence of int
        Not negative. The same seed gives the same frame, whatever was made before; a sequence
        such as ``(set, number)`` keeps the frames of different sets apart.
    kind : {"paper", "hard"}
        ``"paper"``: Gaussian MOTs and dipole traps with fringes and white noise. ``"hard"``: every
        shape and disturbance, in absorption and fluorescence.
    shape : (int, int), optional
        Rows and columns, at least 64. Default: 256 x 256, or a random one for hard frames.
    noise : bool
        False leaves shot and read noise out; everything else is the same.

    Raises
    ------
    ValueError
        Another kind, or a frame too small.
    """
    if kind not in ("paper", "hard"):
        raise ValueError(f"expected kind 'paper' or 'hard', found {kind!r}")
    seeds = (int(seed),) if isinstance(seed, int | np.integer) else tuple(int(s) for s in seed)
    rng = np.random.default_rng(seeds)
    # drawn in any case, so that the rest does not depend on who chose the shape
    drawn = random_shape(rng) if kind == "hard" else (256, 256)
    shape = drawn if shape is None else (int(shape[0]), int(shape[1]))
    if min(shape) < 64:
        raise ValueError(f"expected a shape of at least 64 x 64 pixels, found {shape}")
    shot: Absorption | Fluorescence
    if kind == "paper":
        shot = plain_absorption(rng, shape)
    elif rng.random() < _FLUORESCENCE:
        shot = random_fluorescence(rng, shape)
    else:
        shot = random_absorption(rng, shape)
    for _ in range(_TRIES):
        scene = paper_scene(rng, shape) if kind == "paper" else hard_scene(rng, shape)
        instances, heights = look(scene, shot, shape, clutter=kind == "hard")
        if instances or not scene.clouds:
            break
    ghost = None
    if kind == "hard" and rng.random() < _GHOST:
        ghost = _ghost(rng, shape, shot, heights)
    raw = shot.expose(heights, ghost, rng, noise)
    settings = {
        **shot.settings,
        "arrangement": scene.arrangement if instances else "empty",
        "blur": scene.clouds[0].blur if scene.clouds else 0.0,
        "ghost": ghost is not None,
    }
    roles = shot.roles
    return SimulatedFrame(
        seeds, kind, shot.kind, roles, raw, shot.camera, tuple(instances), settings
    )


def random_shape(rng: np.random.Generator) -> tuple[int, int]:
    """Return rows and columns of a frame, 100 x 100 to 1200 x 1920; most are below 512 x 512."""
    index = int(rng.choice(len(_SHAPES), p=[weight for _, weight in _SHAPES]))
    rows, columns = _SHAPES[index][0]
    any_rows, any_columns = (round(log_uniform(rng, 100, 512)) for _ in range(2))
    return (rows, columns) if rows else (any_rows, any_columns)


def _ghost(
    rng: np.random.Generator,
    shape: tuple[int, int],
    shot: Absorption | Fluorescence,
    heights: Picture,
) -> Picture | None:
    """Return a cloud left over in the frame that is subtracted, away from the others."""
    cloud = random_cloud(rng, shape, largest=0.2)
    depth = rng.uniform(0.03, 0.25)
    view = cloud.scaled(shot.height(1.0) * depth / cloud.highest).render(shape)
    if heights[view.slices].max(initial=0.0) > 0.05 * max(float(heights.max()), 1e-9):
        return None
    ghost = np.zeros(shape)
    ghost[view.slices] += view.heights
    return ghost
