"""Makes the shipped weights: ``python -m napari_coldatoms.clouds.train_shipped``.

Frames are simulated, a small network is trained on them in two stages, judged by the two fixed
validation sets, and written beside its model card. What was stopped goes on where it was. Needs
torch.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from napari_coldatoms.clouds.dataset import fixed_set, held_out
from napari_coldatoms.clouds.frame_cache import simulate_samples
from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.recipe import OWN
from napari_coldatoms.clouds.score import score_network
from napari_coldatoms.clouds.train import train
from napari_coldatoms.clouds.training import Epoch, Progress
from napari_coldatoms.clouds.weights import (
    SHIPPED,
    WeightsCard,
    digest,
    load_weights,
    read_card,
    save_weights,
)

CARD = "MODEL_CARD.md"

STAGES = (OWN, replace(OWN, epochs=4, learning_rate=7e-4))
"""Recipes, one after the other: each begins at the best weights of the one before."""

_SETS: tuple[Literal["paper", "hard"], ...] = ("paper", "hard")
_PAPER = 0.4


def main(argv: Sequence[str] | None = None) -> int:
    """Make the weights; return 0."""
    parser = argparse.ArgumentParser(description="Train the weights that come with the package.")
    parser.add_argument("--output", type=Path, default=Path("build/weights"), help="work folder")
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="where the weights go")
    parser.add_argument("--frames", type=int, default=18_000, help="frames to train on")
    parser.add_argument("--held-out", type=int, default=120, help="frames to choose epochs by")
    parser.add_argument("--judged", type=int, default=300, help="frames of each validation set")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "mps"], default="auto")
    given = parser.parse_args(argv)
    samples = simulate_samples(
        given.output / "frames",
        given.frames,
        paper=_PAPER,
        processes=os.cpu_count() or 1,
        progress=_every(5.0, lambda done, total: f"{done} of {total} frames simulated"),
    )
    best: Path | None = None
    for number, recipe in enumerate(STAGES, start=1):
        about = {
            "training data": "simulated frames",
            "share of paper frames": _PAPER,
            "held out": given.held_out,
            "before": None if best is None else dict(read_card(best).about),
        }
        _say(f"stage {number} of {len(STAGES)}")
        done = train(
            samples, held_out(given.held_out), recipe,
            output=given.output / f"stage-{number}", start_weights=best, device=given.device,
            about=about, progress=_tell(),
        )  # fmt: skip
        best = done.best_weights
    assert best is not None
    scores = {}
    for name in _SETS:
        network = Network(best, given.device)
        scores[name] = score_network(network, fixed_set(name, stop=given.judged)).to_dict()
        _say(f"{name}: {_both(scores[name])}")
    card, tensors = load_weights(best)
    card = replace(card, about={**card.about, "scores": scores})
    given.weights.parent.mkdir(parents=True, exist_ok=True)
    save_weights(given.weights, tensors, card)
    text = model_card(card, given.weights)
    given.weights.with_name(CARD).write_text(text, encoding="utf-8")
    _say(f"wrote {given.weights} and {CARD}")
    return 0


def model_card(card: WeightsCard, path: Path) -> str:
    """Return what is to be known about weights, as Markdown.

    Parameters
    ----------
    card : WeightsCard
        With what `train` says of the training, and the scores.
    path : path
        The file of the weights.
    """
    about = card.about
    recipe: Mapping[str, Any] = about["recipe"]
    scores: Mapping[str, Mapping[str, Any]] = about["scores"]
    count = about["training pictures"]
    rows = [
        f"| {name} | {each['pictures']} | {each['clouds']} | "
        + " | ".join(
            f"{each[kind][of]:.3f}" for kind in ("box", "mask") for of in ("mean", "at_50", "at_75")
        )
        + " |"
        for name, each in scores.items()
    ]
    classes = [
        f"| {name} | {label} | {each['box']['of_class'][label]:.3f} "
        f"| {each['mask']['of_class'][label]:.3f} |"
        for name, each in scores.items()
        for label in card.labels
    ]
    values = [f"| {key.replace('_', ' ')} | {_plain(value)} |" for key, value in recipe.items()]
    return "\n".join(
        [
            f"# {path.name}",
            "",
            f"A Mask R-CNN of the architecture `{card.architecture}` "
            f"(`napari_coldatoms.clouds.maskrcnn`) that finds clouds of cold atoms "
            f"in pictures of optical depth or counts: {', '.join(card.labels)}. "
            f"{path.stat().st_size / 1e6:.1f} MB, half precision, safetensors.",
            "",
            f"SHA-256 `{digest(path)}`",
            "",
            "## Training",
            "",
            f"{_start(about)} on {count} simulated frames "
            f"(`napari_coldatoms.clouds.simulate_frames`, {about['share of paper frames']:.0%} of "
            "kind `paper`, the others `hard`): no picture from a camera. "
            f"{about['steps']} steps, epoch {about['epoch']} of {recipe['epochs']}, "
            f"{about['seconds'] / 60:.0f} minutes on {about['device']} in {about['precision']}, "
            f"version {about['version']}. The epoch was chosen by {about.get('held out', 120)} "
            "simulated frames that are neither trained on nor in the sets below. `make weights` "
            "trains such weights anew.",
            *(["", str(about["remark"])] if "remark" in about else []),
            "",
            "| | |",
            "|---|---|",
            *values,
            "",
            "## Scores",
            "",
            "COCO's average precision on the fixed validation sets "
            "(`napari_coldatoms.clouds.simulate_sets`); mAP is the mean over least overlaps of "
            "0.50, 0.55, ..., 0.95.",
            "",
            "| set | frames | clouds | box mAP | AP50 | AP75 | mask mAP | AP50 | AP75 |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "| set | class | box mAP | mask mAP |",
            "|---|---|---|---|",
            *classes,
            "",
            "## Limits",
            "",
            "Clouds below 6 pixels of major 1/e² radius, or below a signal over noise of 10, are "
            "not trained for. The class says how a cloud looks, not what made it: round ones are "
            "MOTs to the network, elongated ones dipole traps.",
            "",
        ]
    )


def _start(about: Mapping[str, Any]) -> str:
    before = about.get("before")
    if before is None:
        return "From random weights"
    minutes, rate = before["seconds"] / 60, before["recipe"]["learning_rate"]
    return (
        f"First {before['steps']} steps from random weights in {minutes:.0f} minutes with a "
        f"highest learning rate of {rate}; from there with the values below"
    )


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(key for key, on in value.items() if on) or "none"
    return str(value)


def _both(score: Mapping[str, Any]) -> str:
    return f"box mAP {score['box']['mean']:.3f}, mask mAP {score['mask']['mean']:.3f}"


def _tell() -> Callable[[Progress], None]:
    seldom = _every(
        30.0, lambda done, total, loss: f"step {done} of {total}, loss {sum(loss.values()):.3f}"
    )

    def tell(progress: Progress) -> None:
        if progress.epoch is not None:
            _say(_line(progress.epoch))
        else:
            seldom(progress.step, progress.steps, progress.losses)

    return tell


def _line(epoch: Epoch) -> str:
    return (
        f"epoch {epoch.number}: loss {epoch.loss:.3f}, box mAP {epoch.box:.3f}, "
        f"mask mAP {epoch.mask:.3f}, after {epoch.seconds:.0f} s"
    )


def _every(seconds: float, words: Callable[..., str]) -> Callable[..., None]:
    """Return a function that says what `words` makes of its arguments, not more often."""
    said = -seconds

    def say(*values: Any) -> None:
        nonlocal said
        if time.monotonic() - said >= seconds:
            said = time.monotonic()
            _say(words(*values))

    return say


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
