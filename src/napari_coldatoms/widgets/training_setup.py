"""What a training is made from: dataset, start weights, recipe, and where its files go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from napari_coldatoms.backend.analysis import to_dict
from napari_coldatoms.clouds.annotations import DatasetError, open_set
from napari_coldatoms.clouds.augment import ALL
from napari_coldatoms.clouds.recipe import RECIPES, Recipe
from napari_coldatoms.clouds.search_space import Hyperparameters
from napari_coldatoms.clouds.training_request import TrainingRequest
from napari_coldatoms.clouds.weights import WeightsError, read_card
from napari_coldatoms.widgets.controls import check, choice, text_label, whole
from napari_coldatoms.widgets.form import ParameterForm
from napari_coldatoms.widgets.latest_job import LatestJob
from napari_coldatoms.widgets.path_edit import PathEdit

FOLDER = "training"
"""Name of the folder of a training inside of its dataset, where no other is chosen."""

_FILE = "file"
_STARTS = (
    ("those of the package", "shipped"),
    ("a file of my own", _FILE),
    ("torchvision's (COCO)", "coco"),
    ("none, random ones", "random"),
)
_RECIPES = {
    "shots": "shots: tens of pictures",
    "own": "own: thousands of frames",
    "paper": "paper: Hofer et al. 2021",
}
_ARCHITECTURES = {"shipped": "small", "coco": "resnet50"}
_DEVICES = ("auto", "cpu", "cuda", "mps")
# as many as a tuning's values need
_DECIMALS = {"learning_rate": 6, "momentum": 4, "decay": 5}
_MOST = 1_000_000


class TrainingSetup(QWidget):
    """The controls of a training.

    `changed` is emitted when the folder of the training may have changed.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("training_setup")
        self.dataset = PathEdit(
            "Dataset",
            placeholder="a folder saved by “Annotate clouds”",
            name="training_dataset",
            tooltip="folder of annotated pictures: dataset.json and pictures",
            folder=True,
        )
        self.contents = text_label("training_contents", "what is in the dataset")
        self.start = choice(
            "training_start",
            "weights to start from: those of the package need the fewest pictures; torchvision's, "
            "of everyday objects, are downloaded (170 MB) and need a graphics card",
            _STARTS,
        )
        self.weights = PathEdit(
            "Weights to start from",
            filters="*.safetensors",
            placeholder="a file of weights",
            name="training_weights",
            tooltip="weights to start from (.safetensors), such as best.safetensors of a training",
        )
        self.simulated = whole(
            "training_simulated",
            "how many simulated frames are mixed in: of MOTs and dipole traps, so only where these "
            "are among the classes; 0 for none",
            0,
            0,
            _MOST,
        )
        self.output = PathEdit(
            "Folder of the training",
            placeholder=f"“{FOLDER}” in the dataset",
            name="training_output",
            tooltip="folder for weights, checkpoint and simulated frames; made if need be",
            folder=True,
        )
        self.resume = check(
            "go on where it stopped",
            "training_resume",
            "go on from the checkpoint in the folder, if there is one; else start anew, and "
            "replace what is there",
        )
        self.resume.setChecked(True)
        self.recipe = choice(
            "training_recipe",
            "how it is trained: sets all values below",
            [(words, name) for name, words in _RECIPES.items()],
        )
        self.device = choice(
            "training_device",
            "where it is computed: auto takes a graphics card where there is one",
            [(name, name) for name in _DEVICES],
        )
        self.form = ParameterForm(Recipe, prefix="recipe")
        for name, decimals in _DECIMALS.items():
            self.form.control(name).setDecimals(decimals)
        self.form.set_values(_recipe(self.recipe.currentData()))

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("dataset", self.dataset)
        rows.addRow(self.contents)
        rows.addRow("start weights", self.start)
        rows.addRow("file", self.weights)
        rows.addRow("simulated frames", self.simulated)
        rows.addRow("folder", self.output)
        rows.addRow("", self.resume)
        rows.addRow("recipe", self.recipe)
        rows.addRow("device", self.device)
        self._rows = rows
        layout.addLayout(rows)
        layout.addWidget(self.form)

        self._look = LatestJob(self)
        self._look.done.connect(self._on_looked)
        self.dataset.changed.connect(self._on_dataset)
        self.output.changed.connect(lambda _: self.changed.emit())
        self.start.currentIndexChanged.connect(self._on_start)
        self.weights.changed.connect(self._on_start)
        self.recipe.currentIndexChanged.connect(self._on_recipe)
        self._on_start()
        self._on_dataset()

    @property
    def folder(self) -> Path | None:
        """The folder of the training, None where no dataset is chosen either."""
        if self.output.value is not None:
            return Path(self.output.value).expanduser()
        dataset = self.dataset.value
        return None if dataset is None else Path(dataset).expanduser() / FOLDER

    def request(self) -> TrainingRequest:
        """Return the training that is asked for.

        Raises
        ------
        ValueError
            Something is missing, or values do not go together.
        """
        if self.dataset.value is None or self.folder is None:
            raise ValueError("expected the folder of a dataset, found none chosen")
        start = str(self.start.currentData())
        if start == _FILE:
            if self.weights.value is None:
                raise ValueError("expected a file of weights to start from, found none chosen")
            start = self.weights.value
        return TrainingRequest(
            Path(self.dataset.value),
            self.folder,
            start,
            self.form.analysis(),
            self.simulated.value(),
            self.device.currentData(),
            self.resume.isChecked(),
        )

    def take(self, values: Hyperparameters) -> None:
        """Show what a tuning has found, and the schedule that it is of."""
        self.form.set_values({**asdict(values), "schedule": "step"})

    def values(self) -> dict[str, Any]:
        """Return what the controls show."""
        return {
            "dataset": self.dataset.value,
            "start": self.start.currentData(),
            "weights": self.weights.value,
            "simulated": self.simulated.value(),
            "output": self.output.value,
            "recipe": self.recipe.currentData(),
            "device": self.device.currentData(),
            "values": self.form.values(),
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; what is unknown, or of another type, is passed over."""
        for name, path in (
            ("dataset", self.dataset),
            ("weights", self.weights),
            ("output", self.output),
        ):
            if isinstance(values.get(name), str):
                path.value = values[name]
        for name, combo in (
            ("start", self.start),
            ("recipe", self.recipe),
            ("device", self.device),
        ):
            at = combo.findData(values.get(name))
            if at >= 0:
                combo.setCurrentIndex(at)
        if isinstance(values.get("simulated"), int):
            self.simulated.setValue(values["simulated"])
        if isinstance(values.get("values"), Mapping):
            self.form.set_values(values["values"])
        self._on_start()

    def _on_dataset(self, _: Any = None) -> None:
        self.changed.emit()
        path = self.dataset.value
        if path is None:
            self.contents.setText("No dataset yet: save one in “Annotate clouds”.")
            return
        self._look.request(lambda cancel: contents(Path(path).expanduser()))

    def _on_looked(self, words: str | None) -> None:
        if self.dataset.value is not None:
            self.contents.setText(words or "The dataset cannot be read.")

    def _on_start(self, _: Any = None) -> None:
        start = str(self.start.currentData())
        self._rows.setRowVisible(self.weights, start == _FILE)
        # what the weights are for; with random ones there is a choice
        architecture = _ARCHITECTURES.get(start)
        if start == _FILE and self.weights.value is not None:
            architecture = _architecture(Path(self.weights.value).expanduser())
        self.form.control("architecture").setEnabled(start == "random")
        if architecture is not None:
            self.form.set_values({"architecture": architecture})

    def _on_recipe(self, _: Any = None) -> None:
        self.form.set_values(_recipe(self.recipe.currentData()))
        self._on_start()


def contents(folder: Path) -> str:
    """Say in words what is in the dataset of a folder, or why there is none."""
    try:
        dataset = open_set(folder)
    except DatasetError as error:
        return str(error)
    own, judged = (len(dataset.samples(split)) for split in ("train", "validation"))
    pictures = f"{len(dataset)} picture{'' if len(dataset) == 1 else 's'}"
    words = f"{pictures}: {own} to train on, {judged} to judge by. Classes: "
    words += f"{', '.join(dataset.classes)}."
    return words if own and judged else f"{words} A training needs at least one of each."


def _recipe(name: str) -> dict[str, Any]:
    """Return the values of a recipe; of one's own pictures there are few, so all changes help."""
    return to_dict(replace(RECIPES[name], augmentations=ALL))


def _architecture(path: Path) -> str | None:
    try:
        return read_card(path).architecture
    except WeightsError:
        return None  # told when the training begins
