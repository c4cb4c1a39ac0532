"""The command ``evaluate``: how good a detector of clouds is on frames with known clouds."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from napari_coldatoms.atomic import replacing
from napari_coldatoms.backend.tables import write_table
from napari_coldatoms.cli import DONE, UsageError
from napari_coldatoms.cli.names import check_output
from napari_coldatoms.cli.report import progress_bar

if TYPE_CHECKING:
    from napari_coldatoms.clouds.evaluate import Evaluation


def evaluate(
    *,
    frame_set: Annotated[
        Literal["paper", "hard"],
        Parameter(name="--set", help="like those of Hofer et al. 2021, or with every disturbance"),
    ] = "paper",
    frames: Annotated[int, Parameter(help="how many of the 300 frames of the set")] = 300,
    method: Annotated[
        Literal["threshold", "threshold-fit", "mask-rcnn", "hybrid"],
        Parameter(help="what finds them; 'hybrid' is 'mask-rcnn' with clouds as they were fitted"),
    ] = "mask-rcnn",
    weights: Annotated[
        Path | None,
        Parameter(help="of the network (.safetensors); by default those of the package"),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Parameter(help="where the network computes")
    ] = "auto",
    unseeded: Annotated[
        int,
        Parameter(help="frames of one cloud on which fits without a seed, and scipy's, are timed"),
    ] = 100,
    output: Annotated[
        Path | None,
        Parameter(alias="-o", help="folder for tables (CSV), all figures (JSON) and a picture"),
    ] = None,
    quiet: Annotated[bool, Parameter(alias="-q", negative=(), help="no progress bar")] = False,
) -> int:
    """Judge a detector of clouds on simulated frames, whose clouds are known."""
    from napari_coldatoms.clouds.evaluate import evaluate as judge
    from napari_coldatoms.clouds.evaluate import make_detector
    from napari_coldatoms.clouds.simulate_sets import VALIDATION_SETS, validation_set
    from napari_coldatoms.clouds.weights import WeightsError, read_card

    most = VALIDATION_SETS[frame_set].frames
    if not 1 <= frames <= most:
        raise UsageError(f"--frames: expected 1 to {most}, found {frames}")
    if unseeded < 0:
        raise UsageError(f"--unseeded: expected no negative number, found {unseeded}")
    if output is not None:
        check_output(output)
    if weights is not None and method.startswith("threshold"):
        raise UsageError(f"--weights: expected a method with a network, found {method!r}")
    try:
        if weights is not None:
            read_card(weights)  # told before the work
        with progress_bar(quiet, "frames") as progress:
            found = judge(
                validation_set(frame_set, stop=frames),
                make_detector(method, weights=weights, device=device),
                name=f"{frame_set} set",
                unseeded=unseeded,
                progress=lambda done: progress(done, frames),
            )
    except WeightsError as error:
        raise UsageError(str(error)) from error
    print(found.text())
    if output is not None:
        written = _write(found, output, f"{frame_set}-{method}")
        print(f"wrote {', '.join(map(str, written))}", file=sys.stderr)
    return DONE


def _write(found: Evaluation, folder: Path, name: str) -> list[Path]:
    """Write tables, figures and a picture into a folder; return the files."""
    from napari_coldatoms.analyses.evaluation_figure import plot_evaluation

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    tables = {
        "scores": found.table("scores"),
        "errors": found.table("errors"),
        "fits": found.table("fits"),
        "clouds": found.clouds_table(),
    }
    for what, table in tables.items():
        written += write_table(table, folder / f"{name}-{what}.csv")
    picture = folder / f"{name}.png"
    with replacing(picture) as new:
        plot_evaluation(found).savefig(new, dpi=150)
    figures = folder / f"{name}.json"
    with replacing(figures) as new:
        new.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    return [*written, picture, figures]
