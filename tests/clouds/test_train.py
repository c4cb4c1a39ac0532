"""Training on a few frames: it learns, it is the same each time, and a stop changes nothing."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_coldatoms.clouds.batches import Batch, Step, plan
from napari_coldatoms.clouds.checkpoints import load_checkpoint
from napari_coldatoms.clouds.dataset import Sample, held_out
from napari_coldatoms.clouds.frame_cache import simulate_samples
from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.learner import Learner
from napari_coldatoms.clouds.maskrcnn import LABELS, build
from napari_coldatoms.clouds.recipe import OWN, PAPER, Recipe
from napari_coldatoms.clouds.score import score_network
from napari_coldatoms.clouds.train import train
from napari_coldatoms.clouds.training import CheckpointError, FolderInUseError
from napari_coldatoms.clouds.training_folder import only_training
from napari_coldatoms.clouds.weights import WeightsCard, WeightsError, read_card, save_weights

RECIPE = Recipe(
    batch=2, epochs=2, canvas=96, large_canvas=128, large=0.3, averaging=0.9, precision="float32"
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


@pytest.fixture(scope="module")
def samples(frames):
    return simulate_samples(frames, 8)


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def trained(samples, told, tmp_path_factory):
    """Return what an uninterrupted training came to."""
    folder = tmp_path_factory.mktemp("training")
    about = {"training data": "simulated frames"}
    return train(
        samples, held_out(2), RECIPE, output=folder, device="cpu", about=about,
        progress=told.append,
    )  # fmt: skip


def same_state(one: Path, other: Path) -> bool:
    """Return whether two trainings have come to the same, in every bit."""
    first, second = (load_file(folder / "checkpoint.safetensors") for folder in (one, other))
    states = [load_checkpoint(folder / "checkpoint.safetensors").state for folder in (one, other)]
    losses = [[epoch["losses"] for epoch in state["history"]] for state in states]
    assert losses[0] == losses[1]
    return same_tensors(first, second) and same_tensors(
        *(load_file(folder / "best.safetensors") for folder in (one, other))
    )


def same_tensors(first, second) -> bool:
    """Return whether tensors are equal, in every bit."""
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns(trained, told):
    assert trained.finished
    first, second = trained.history
    assert second.loss < 0.6 * first.loss
    assert set(first.losses) == {"classifier", "box_reg", "mask", "objectness", "rpn_box_reg"}
    assert 0 <= first.box <= 1
    assert 0 <= first.mask <= 1
    steps = [each.step for each in told if each.epoch is None]
    assert steps == list(range(1, told[0].steps + 1))
    assert [each.epoch for each in told if each.epoch is not None] == [first, second]


def test_its_weights_detect(trained, samples):
    network = Network(trained.best_weights, "cpu")
    (found,) = network.detect([samples[0].picture], least_score=0.0)
    assert found
    assert network.card.labels == ("MOT", "ODT")
    about = read_card(trained.last_weights).about
    assert about["training data"] == "simulated frames"
    assert about["recipe"]["canvas"] == 96
    assert about["training pictures"] == 8
    assert about["validation"]["pictures"] == 2
    assert score_network(network, [samples[0], samples[1]]).pictures == 2


def test_what_is_done_is_not_done_again(trained, samples):
    stamp = trained.best_weights.stat().st_mtime_ns
    again = train(samples, held_out(2), RECIPE, output=trained.best_weights.parent, device="cpu")
    assert again == trained
    assert trained.best_weights.stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_a_stop_changes_nothing(trained, samples, tmp_path):
    done = []
    options = {"output": tmp_path, "device": "cpu"}
    stopped = train(
        samples, held_out(2), RECIPE, **options,
        progress=done.append, cancelled=lambda: len(done) == 3,
    )  # fmt: skip
    assert not stopped.finished
    assert done[-1].step == 3
    assert stopped.history == ()
    assert stopped.best_weights is None
    assert train(samples, held_out(2), RECIPE, **options).finished
    assert same_state(tmp_path, trained.best_weights.parent)


SCRIPT = """
import sys
import torch
from napari_coldatoms.clouds.dataset import held_out
from napari_coldatoms.clouds.frame_cache import simulate_samples
from napari_coldatoms.clouds.recipe import Recipe
from napari_coldatoms.clouds.train import train
torch.set_num_threads(1)
def tell(progress):
    if progress.epoch is None:
        print(progress.step, flush=True)
        sys.stdin.readline()
train(simulate_samples(sys.argv[1], 8), held_out(2), Recipe(**{recipe}), output=sys.argv[2],
      device="cpu", progress=tell, checkpoint_minutes=0)
"""


@pytest.mark.slow
def test_a_kill_changes_nothing(trained, samples, frames, tmp_path):
    own = {f.name: getattr(RECIPE, f.name) for f in dataclasses.fields(RECIPE)}
    own.pop("augmentations")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.replace("{recipe}", repr(own)), str(frames), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    with process:
        for step in (1, 2, 3):
            assert process.stdout.readline().strip() == str(step)
            if step < 3:
                process.stdin.write("\n")
                process.stdin.flush()
        process.kill()  # in the middle of the first epoch
    at = load_checkpoint(tmp_path / "checkpoint.safetensors").state["step"]
    assert at == 2
    assert train(samples, held_out(2), RECIPE, output=tmp_path, device="cpu").finished
    assert same_state(tmp_path, trained.best_weights.parent)


@pytest.fixture
def broken(trained, tmp_path):
    """Return a folder with a copy of the checkpoint, to be broken."""
    source = trained.best_weights.parent / "checkpoint.safetensors"
    copy = tmp_path / source.name
    copy.write_bytes(source.read_bytes())
    return copy


class Trap:
    """Pickled, it would write a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_damaged_checkpoint_is_refused(broken, samples):
    broken.write_bytes(broken.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="expected a checkpoint, found another or a damaged"):
        train(samples, (), RECIPE, output=broken.parent, device="cpu")


def test_a_pickle_is_not_opened(broken, samples, tmp_path):
    trap = tmp_path / "executed"
    broken.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(CheckpointError, match="expected a checkpoint, found another"):
        train(samples, (), RECIPE, output=broken.parent, device="cpu")
    torch.save({"model": Trap(trap)}, broken)
    with pytest.raises(CheckpointError, match="expected a checkpoint, found another"):
        train(samples, (), RECIPE, output=broken.parent, device="cpu")
    assert not trap.exists()


def test_weights_are_no_checkpoint(broken, trained, samples):
    broken.write_bytes(trained.best_weights.read_bytes())
    with pytest.raises(CheckpointError, match="expected a checkpoint of format"):
        train(samples, (), RECIPE, output=broken.parent, device="cpu")


def test_the_checkpoint_of_another_training_is_refused(broken, samples):
    other = dataclasses.replace(RECIPE, epochs=3)
    with pytest.raises(CheckpointError, match="expected a training with recipe"):
        train(samples, (), other, output=broken.parent, device="cpu")
    with pytest.raises(CheckpointError, match="expected a training with samples 1, found 8"):
        train([samples[0]], (), RECIPE, output=broken.parent, device="cpu")


def test_two_trainings_do_not_share_a_folder(samples, tmp_path):
    with only_training(tmp_path), pytest.raises(FolderInUseError, match="no other training uses"):
        train(samples, (), RECIPE, output=tmp_path, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_it_starts_from_weights(trained, samples, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=1, averaging=0.0)
    start = trained.last_weights
    done = train(
        [samples[0]], (), recipe, output=tmp_path, device="cpu", start_weights=start
    )  # fmt: skip
    # without validation the latest weights are the best
    assert same_tensors(load_file(done.best_weights), load_file(done.last_weights))
    assert np.isnan(done.history[0].overall)
    assert done.history[0].loss < trained.history[0].loss


def test_weights_of_other_networks_are_refused(samples, tmp_path):
    path = tmp_path / "other.safetensors"
    part = dict(list(build("small", LABELS).state_dict().items())[:40])
    save_weights(path, part, WeightsCard("small", LABELS))
    with pytest.raises(WeightsError, match="expected weights of 'small' with classes MOT, ODT"):
        train(samples, (), RECIPE, output=tmp_path, device="cpu", start_weights=path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="expected weights as safetensors"):
        train(samples, (), RECIPE, output=tmp_path, device="cpu", start_weights=path)


def test_samples_of_other_classes_are_refused(samples, tmp_path):
    ring = dataclasses.replace(samples[0], labels=("ring",) * len(samples[0].labels))
    with pytest.raises(ValueError, match="sample 0: expected classes MOT, ODT, found 'ring'"):
        train([ring], (), RECIPE, output=tmp_path, device="cpu")
    with pytest.raises(ValueError, match="expected at least one sample"):
        train([], (), RECIPE, output=tmp_path, device="cpu")


def test_pictures_without_clouds_teach_too(tmp_path):
    picture = np.random.default_rng(0).normal(size=(70, 90)).astype(np.float32)
    empty = Sample(picture, np.zeros((0, 4)), (), np.zeros((0, 70, 90), dtype=bool))
    recipe = dataclasses.replace(RECIPE, epochs=1)
    (epoch,) = train([empty] * 2, (), recipe, output=tmp_path, device="cpu").history
    assert epoch.losses["objectness"] > 0
    assert epoch.losses["mask"] == 0


def test_a_step_without_a_finite_loss_is_left_out():
    torch.manual_seed(0)
    learner = Learner(build("small"), RECIPE, torch.device("cpu"))
    before = {name: each.clone() for name, each in learner.model.state_dict().items()}
    target = {
        "boxes": torch.tensor([[10.0, 10.0, 40.0, 40.0]]),
        "labels": torch.tensor([1]),
        "masks": torch.ones(1, 96, 96),
    }
    batch = Batch(Step(0, 0, 96, (0,)), [torch.full((3, 96, 96), torch.inf)], [target])
    losses = learner.learn(batch, 0.1)
    assert all(np.isnan(each) for each in losses.values())
    after = learner.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_each_epoch_shows_every_sample_once():
    steps = plan(50, RECIPE)
    assert plan(50, RECIPE) == steps
    assert [step.number for step in steps] == list(range(len(steps)))
    orders = []
    for epoch in range(RECIPE.epochs):
        own = [step for step in steps if step.epoch == epoch]
        orders.append([n for step in own for n in step.samples])
        assert sorted(orders[-1]) == list(range(50))
        for step in own[:-1]:
            assert len(step.samples) == {96: 2, 128: 1}[step.canvas]
    assert orders[0] != orders[1]
    assert {step.canvas for step in steps} == {96, 128}


def test_the_recipe_of_the_paper():
    assert (PAPER.architecture, PAPER.optimiser, PAPER.batch, PAPER.epochs) == (
        "resnet50", "sgd", 4, 15,
    )  # fmt: skip
    assert PAPER.momentum == 0.86
    rates = [PAPER.rate(step=0, steps=1, epoch=epoch) for epoch in range(15)]
    assert rates[:13] == [0.0033] * 13
    assert rates[13:] == pytest.approx([0.0033 * 0.049] * 2)


def test_one_cycle_rises_and_falls():
    rates = np.array([OWN.rate(step, 1000, 0) for step in range(1000)])
    assert rates[0] == pytest.approx(OWN.learning_rate / 20)
    assert rates.argmax() == 100
    assert rates.max() == pytest.approx(OWN.learning_rate)
    assert rates[-1] == pytest.approx(OWN.learning_rate / 2000)
    assert (np.diff(rates[:101]) > 0).all()
    assert (np.diff(rates[100:]) < 0).all()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch": 0}, "batch: expected 1 to 1024, found 0"),
        ({"epochs": 0}, "epochs: expected at least 1, found 0"),
        ({"optimiser": "adam"}, "optimiser: expected one of sgd, adamw, found 'adam'"),
        ({"large": 2.0}, "large: expected 0.0 to 1.0, found 2.0"),
    ],
)
def test_impossible_recipes_are_refused(wrong, words):
    with pytest.raises(ValueError, match=words):
        Recipe(**wrong)
