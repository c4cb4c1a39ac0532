"""Which shot is shown, what is in it, and the way to the next one without annotation."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_coldatoms.analyses.annotations import Annotations, Shot
from napari_coldatoms.widgets.base import button, row

NEXT_KEY, PREVIOUS_KEY, EMPTY_KEY = "N", "Shift-N", "0"
"""Keys that napari does not use."""


class ShotPanel(QWidget):
    """What is in the shot that is shown. It only asks: who hears its signals acts."""

    step_asked = Signal(int)
    """1 for the next shot without annotation, -1 for the one before."""
    empty_asked = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("shot")
        self.label = QLabel("")
        self.label.setObjectName("shot_words")
        self.label.setToolTip("clouds in the shot that is shown, and how many shots are done")
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        # the long name of a class shall not make the dock wider
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.previous_button = button(
            "◀ open shot",
            "previous_open",
            f"go back to the shot before without clouds (key {PREVIOUS_KEY} in the image)",
            lambda: self.step_asked.emit(-1),
        )
        self.next_button = button(
            "open shot ▶",
            "next_open",
            f"go on to the next shot without clouds (key {NEXT_KEY} in the image)",
            lambda: self.step_asked.emit(1),
        )
        self.empty_check = QCheckBox("no cloud in this shot")
        self.empty_check.setObjectName("empty_shot")
        self.empty_check.setToolTip(
            "the shot is done and is saved without clouds, so that a network learns to find none "
            f"there (key {EMPTY_KEY} in the image)"
        )
        self.empty_check.clicked.connect(self.empty_asked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label)
        layout.addWidget(self.empty_check)
        layout.addLayout(row(self.previous_button, self.next_button))

    def show_shot(self, notes: Annotations | None, shot: Shot | None) -> None:
        """Show a shot; None where there is no image, or the slider is outside of it."""
        known = notes.notes(shot) if notes is not None and shot is not None else None
        single = notes is not None and len(notes.shape) == 2
        self.empty_check.setEnabled(known is not None and not known.clouds)
        self.empty_check.setChecked(known is not None and known.empty)
        for each in (self.previous_button, self.next_button):
            each.setEnabled(notes is not None and not single)
        if notes is None:
            self.label.setText("")
        elif shot is None:
            self.label.setText("The slider is outside of the image.")
        else:
            self.label.setText(words(notes, shot))


def words(notes: Annotations, shot: Shot) -> str:
    """Say what is in a shot, and how far the whole is.

    >>> import numpy as np
    >>> notes = Annotations((10, 8, 8), ["MOT", "ODT"])
    >>> notes.paint((2,), "MOT", np.eye(8, dtype=int))
    True
    >>> words(notes, (2,))
    'Shot 2: 1 MOT, not saved. 1 of 10 shots done, 1 not saved.'
    """
    known = notes.notes(shot)
    counts = [
        f"{count} {'' if count == 1 else '× '}{name}"
        for name, count in notes.counts(shot).items()
        if count
    ]
    said = ", ".join(counts) or ("no cloud" if known.empty else "nothing painted")
    if shot in notes.unsaved:
        said += ", not saved"
    if not shot:
        return f"This picture: {said}."
    total = 1
    for n in notes.shape[:-2]:
        total *= n
    whole = f"{notes.done()} of {total} shots done"
    if notes.unsaved:
        whole += f", {len(notes.unsaved)} not saved"
    return f"Shot {', '.join(map(str, shot))}: {said}. {whole}."
