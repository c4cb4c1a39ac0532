"""What a tuning is asked for besides its trainings: how many trials, in what ranges, kept where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from qtpy.QtWidgets import QDoubleSpinBox, QFormLayout, QLabel, QLineEdit, QWidget

from napari_coldatoms.analyses.tuning_folder import STORAGE
from napari_coldatoms.clouds.search_space import Space
from napari_coldatoms.clouds.training_request import TrainingRequest
from napari_coldatoms.clouds.tuning_request import TuningRequest
from napari_coldatoms.widgets.base import row
from napari_coldatoms.widgets.controls import number, whole
from napari_coldatoms.widgets.path_edit import PathEdit

STUDY = "clouds"
_MOST = 10_000


@dataclass(frozen=True)
class _Shown:
    """How a range is shown: what it is of, within what, with how many decimals."""

    words: str
    low: float
    high: float
    decimals: int


_RANGES = {
    "learning_rate": _Shown("learning rate of the first epochs", 1e-5, 1.0, 5),
    "momentum": _Shown("momentum of gradient descent", 0.0, 0.999, 3),
    "decay_epochs": _Shown("epochs between changes of the learning rate", 1, _MOST, 0),
    "decay": _Shown("factor of each change of the learning rate", 1e-4, 1.0, 4),
}


class TuningSetup(QWidget):
    """The controls of a tuning."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("tuning_setup")
        self.trials = whole(
            "tuning_trials",
            "how many trials there are to be in all, with those that are done: each is a training",
            25,
            1,
            _MOST,
        )
        self.sobol = whole(
            "tuning_sobol",
            "how many trials are points of Sobol's sequence, which covers the ranges evenly; then "
            "a Gaussian process of all trials chooses",
            5,
            0,
            _MOST,
        )
        self.ranges = {name: _range(name) for name in _RANGES}
        self.storage = PathEdit(
            "Trials",
            filters="*.db *.journal",
            placeholder=f"“{STORAGE}” in the folder",
            name="tuning_storage",
            tooltip="where trials are kept: a file; or what machines share, a file *.journal in a "
            "folder of the network, or the URL of a database such as postgresql://user@host/name",
        )
        self.study = QLineEdit(STUDY)
        self.study.setObjectName("tuning_study")
        self.study.setToolTip(
            "name of the tuning where trials are kept: machines that share it have the same name"
        )
        rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow("trials", self.trials)
        rows.addRow("Sobol points", self.sobol)
        for name, (low, high) in self.ranges.items():
            rows.addRow(name.replace("_", " "), row(low, QLabel("to"), high))
        rows.addRow("kept in", self.storage)
        rows.addRow("name", self.study)

    def request(self, training: TrainingRequest) -> TuningRequest:
        """Return the tuning of a training that is asked for.

        Raises
        ------
        ValueError
            A range is none.
        """
        return TuningRequest(
            training,
            self.trials.value(),
            self.sobol.value(),
            self.space(),
            self.storage.value or "",
            self.study.text().strip() or STUDY,
        )

    def space(self) -> Space:
        """Return the ranges.

        Raises
        ------
        ValueError
            The lower bound of one is not below the upper one.
        """
        bounds = {name: (low.value(), high.value()) for name, (low, high) in self.ranges.items()}
        try:
            return Space().within(bounds)
        except ValueError as error:
            name, colon, rest = str(error).partition(":")
            raise ValueError(f"{name.replace('_', ' ')}{colon}{rest}") from None

    def values(self) -> dict[str, Any]:
        """Return what the controls show, to be remembered; a password is not."""
        storage = self.storage.value
        return {
            "trials": self.trials.value(),
            "sobol": self.sobol.value(),
            "ranges": {name: [each.value() for each in pair] for name, pair in self.ranges.items()},
            "storage": None if storage is not None and _has_password(storage) else storage,
            "study": self.study.text(),
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; what is unknown, or of another type, is passed over."""
        for name, control in (("trials", self.trials), ("sobol", self.sobol)):
            if isinstance(values.get(name), int):
                control.setValue(values[name])
        ranges = values.get("ranges")
        for name, pair in self.ranges.items():
            bounds = ranges.get(name) if isinstance(ranges, Mapping) else None
            if isinstance(bounds, list) and len(bounds) == 2:
                for control, bound in zip(pair, bounds, strict=True):
                    if isinstance(bound, int | float):
                        control.setValue(bound)
        if isinstance(values.get("storage"), str):
            self.storage.value = values["storage"]
        if isinstance(values.get("study"), str):
            self.study.setText(values["study"])


def _range(name: str) -> tuple[QDoubleSpinBox, QDoubleSpinBox]:
    """Return controls for the bounds of a range."""
    shown, known = _RANGES[name], Space().ranges[name]
    scale = ", on a logarithmic scale" if known.log else ""
    paper = f"{known.low:g} to {known.high:g} in Hofer et al. 2021, Table 1"
    made = []
    for end, word, value in (("low", "lowest", known.low), ("high", "highest", known.high)):
        tooltip = f"{word} {shown.words} that is tried{scale}; {paper}"
        made.append(
            number(
                f"tuning_{name}_{end}", tooltip, value, shown.low, shown.high,
                decimals=shown.decimals, typed=True,
            )
        )  # fmt: skip
    return made[0], made[1]


def _has_password(storage: str) -> bool:
    try:
        return urlsplit(storage).password is not None
    except ValueError:
        return False
