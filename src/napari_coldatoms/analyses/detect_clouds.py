"""Find the clouds in pictures, outline and fit them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np

from napari_coldatoms.analyses.cloud_table import cloud_table
from napari_coldatoms.analyses.network_frames import NetworkFrames, weights_digest
from napari_coldatoms.backend import layers as result_layers
from napari_coldatoms.backend.analysis import LayerData, check, to_dict
from napari_coldatoms.backend.run import FrameResult, Run, leading_dims
from napari_coldatoms.backend.scheduling import Cancel
from napari_coldatoms.clouds import Cloud, Detection, clouds_of, detect
from napari_coldatoms.clouds.network_options import NetworkOptions
from napari_coldatoms.clouds.threshold import ThresholdOptions
from napari_coldatoms.clouds.weights import SHIPPED, WeightsError, read_card
from napari_coldatoms.images.stack import StackError, check_stack, is_raw, to_layer

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


@dataclass(frozen=True)
class DetectClouds:
    """Find the clouds in every picture, outline them and fit Eq. 1 of arXiv:2011.10536 to each."""

    name: ClassVar[str] = "detect_clouds"

    method: Annotated[
        Literal["mask-rcnn", "threshold"],
        {
            "tooltip": "how clouds are found: 'mask-rcnn' by a neural network, which tells MOT and "
            "dipole trap apart; 'threshold' takes what stands out of the noise"
        },
    ] = "mask-rcnn"
    fit: Annotated[
        bool, {"tooltip": "fit a 2-D Gaussian to each cloud; else parameters come from its mask"}
    ] = True
    roi_factor: Annotated[
        float,
        {
            "min": 1.0,
            "max": 10.0,
            "step": 0.5,
            "label": "fit region",
            "tooltip": "size of the fitted region, in units of the cloud's 1/e² extent",
        },
    ] = 2.0
    binning: Annotated[
        int,
        {"min": 1, "max": 16, "tooltip": "average this many pixels (px) each way before the fit"},
    ] = 1
    axes: Annotated[
        Literal["cloud", "fixed"],
        {
            "tooltip": "'cloud': widths along the cloud's own axes, larger first; "
            "'fixed': along axes at the given angle, for time of flight and scans"
        },
    ] = "cloud"
    angle: Annotated[
        float,
        {
            "min": -90.0,
            "max": 90.0,
            "step": 1.0,
            "tooltip": "angle of the fixed first axis, from +x towards +y (deg)",
        },
    ] = 0.0
    network: Annotated[NetworkOptions, {"method": "mask-rcnn"}] = field(
        default_factory=NetworkOptions
    )
    threshold: Annotated[ThresholdOptions, {"method": "threshold"}] = field(
        default_factory=ThresholdOptions
    )

    def __post_init__(self) -> None:
        check(self)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the method tells apart; none where the file of weights is gone."""
        if self.method == "threshold":
            return ("cloud",)
        try:
            return read_card(self.network.weights or SHIPPED).labels
        except WeightsError:
            return ()  # what was found by them stands all the same

    def prepare(self, stack: xr.DataArray) -> NetworkFrames | None:
        """Return what the network finds, frame by frame; None without a network.

        Raises
        ------
        StackError
            Where the stack holds no pictures.
        WeightsError
            Where the file of weights cannot be used.
        NetworkError
            Where the network cannot be started.
        """
        return self.context(stack)

    def context(
        self,
        stack: xr.DataArray,
        frames: Sequence[tuple[int, ...]] | None = None,
        *,
        cancel: Cancel = None,
        on_restart: Callable[[str], None] | None = None,
    ) -> NetworkFrames | None:
        """Do what `prepare` does, for these frames alone, with Cancel; see `NetworkFrames`."""
        check_stack(stack)
        if is_raw(stack):
            roles = ", ".join(map(str, stack["frame"].values))
            raise StackError(
                f"{stack.name or 'stack'}: expected pictures such as the optical depth, "
                f"found raw frames ({roles}); make the picture first"
            )
        if self.method == "threshold":
            return None
        return NetworkFrames(stack, self.network, frames, cancel=cancel, on_restart=on_restart)

    def __call__(
        self, frame: xr.DataArray, context: Sequence[Detection] | None = None
    ) -> list[Cloud]:
        """Return the clouds of one picture; `context` is what the network has found in it."""
        measures: dict[str, Any] = {
            "fit": self.fit,
            "roi_factor": self.roi_factor,
            "binning": self.binning,
            "axes": self.axes,
            "angle": np.deg2rad(self.angle),
        }
        if self.method == "mask-rcnn":
            if context is not None:
                return clouds_of(frame, context, **measures)
            return detect(frame, method=self.method, **measures, **to_dict(self.network))
        return detect(frame, method=self.method, **measures, **to_dict(self.threshold))

    def made_with(self) -> dict[str, str]:
        """Return what the result depends on besides the parameters: the network's weights."""
        if self.method == "threshold":
            return {}
        weights = self.network.weights or SHIPPED
        known = {"weights": weights.name}
        with contextlib.suppress(OSError):  # gone: what was found by them stands all the same
            known["sha256"] = weights_digest(weights)
        return known

    def summarise(self, run: Run) -> pd.DataFrame:
        """Return the table of clouds, one row each; see `cloud_table`."""
        return cloud_table(run)

    def layers(self, run: Run) -> list[LayerData]:
        """Return masks (one Labels layer per class), boxes and 1/e² ellipses (Shapes).

        The numbers of a mask are those in the table's column ``cloud``. Where clouds of one class
        overlap, the smaller one is on top. Without any cloud the layers are there, and empty.
        """
        placed = [(f.index, cloud) for f in run.good for cloud in f.result]
        labels = [cloud.label for _, cloud in placed]
        boxes = [
            result_layers.place_outline(result_layers.box_corners(cloud.box), index)
            for index, cloud in placed
        ]
        ellipses = [
            result_layers.place_outline(cloud.best.corners(), index) for index, cloud in placed
        ]
        shown = [
            result_layers.shapes_layer(
                run,
                "boxes",
                boxes,
                run.table,
                shape_type="rectangle",
                text="{label} {score:.2f}",
                labels=labels,
            ),
            result_layers.shapes_layer(
                run, "ellipses", ellipses, run.table, shape_type="ellipse", labels=labels
            ),
        ]
        # a class that a re-run no longer finds must still be emptied
        classes = sorted({*labels, *self.classes})
        return [*(_masks_layer(run, label) for label in classes), *shown]

    def models(self, run: Run) -> tuple[xr.DataArray, xr.DataArray]:
        """Return the fitted model of every picture and what it leaves over (Fig. 3c of the paper).

        Returns
        -------
        model, residual : xarray.DataArray
            Like the run's stack; lazy where large. Frames that were not analysed are NaN.
        """
        stack = run.stack
        drawn = result_layers.per_frame(
            run,
            run.good,
            lambda f: model(f.result, _picture(run, f)),
            dtype=np.float32,
            fill=np.nan,
        )
        pictures = stack.copy(data=drawn)
        pictures.name = f"{stack.name or 'picture'} model"
        residual = stack.copy(data=stack.data - drawn)
        residual.name = f"{stack.name or 'picture'} residual"
        return pictures, residual

    def model_layers(self, run: Run) -> list[LayerData]:
        """Return `models` as Image layers."""
        made, residual = self.models(run)
        extra = result_layers.provenance(run)
        return [
            to_layer(made, metadata=extra, colormap="viridis"),
            to_layer(residual, metadata=extra, colormap="gray"),
        ]


def model(clouds: Sequence[Cloud], picture: Any) -> np.ndarray:
    """Return the sum of the clouds' Gaussians on a common background, shape (y, x).

    The background is the median of the clouds' backgrounds; without clouds that of the picture.
    """
    picture = np.asarray(picture)
    gaussians = [cloud.best for cloud in clouds]
    if not gaussians:
        finite = picture[np.isfinite(picture)]
        return np.full(picture.shape, np.median(finite) if finite.size else np.nan)
    background = float(np.median([g.background for g in gaussians]))
    drawn = np.full(picture.shape, background)
    for gaussian in gaussians:
        drawn += gaussian.image(picture.shape) - gaussian.background
    return drawn


def paint(clouds: Iterable[Cloud], shape: tuple[int, int], label: str, dtype: Any) -> np.ndarray:
    """Return the masks of one class, shape (y, x), as numbers: 1 for the frame's first cloud."""
    painted = np.zeros(shape, dtype)
    numbered = [(n, cloud) for n, cloud in enumerate(clouds, 1) if cloud.label == label]
    for number, cloud in sorted(numbered, key=lambda each: -each[1].area):
        (y, x), (height, width) = cloud.offset, cloud.crop.shape
        painted[y : y + height, x : x + width][cloud.crop] = number
    return painted


def _masks_layer(run: Run, label: str) -> LayerData:
    most = max((len(f.result) for f in run.good), default=0)
    dtype = np.uint16 if most < 2**16 else np.uint32
    height, width = run.stack.shape[-2:]

    def draw(frame: FrameResult) -> np.ndarray:
        return paint(frame.result, (height, width), label, dtype)

    data = result_layers.per_frame(run, run.good, draw, dtype=dtype)
    kwargs = {**result_layers.result_kwargs(run, f"masks: {label}"), "opacity": 0.3}
    return data, kwargs, "labels"


def _picture(run: Run, frame: FrameResult) -> np.ndarray:
    dims = leading_dims(run.stack)
    return np.asarray(run.stack.isel(dict(zip(dims, frame.index, strict=True))).values)
