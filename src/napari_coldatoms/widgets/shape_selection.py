"""Rows of the table and shapes in the viewer, selected together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal


class ShapeSelection(QObject):
    """Keeps the selection of Shapes layers and of a table together.

    Rows and shapes are matched by key columns that the layers carry in their features, not by
    position: the user may have deleted shapes.
    """

    selected = Signal(int)
    """The row of the table whose shape the user selected."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers: list[Any] = []
        self._keys: list[str] = []
        self._rows: dict[tuple, int] = {}
        self._busy = False

    def follow(self, layers: Sequence[Any], keys: Sequence[str]) -> None:
        """Follow these Shapes layers instead of the former ones."""
        for layer in self._layers:
            layer.selected_data.events.items_changed.disconnect(self._on_changed)
        self._layers = list(layers)
        self._keys = list(keys)
        self._rows = {}
        for layer in self._layers:
            layer.selected_data.events.items_changed.connect(self._on_changed)
            for number, key in enumerate(self._keys_of(layer.features)):
                self._rows.setdefault(key, number)

    def select(self, number: int, table: pd.DataFrame) -> None:
        """Select the shapes of a row of the table."""
        wanted = self._keys_of(table.iloc[[number]])[0]
        with self._quietly():
            for layer in self._layers:
                keys = self._keys_of(layer.features)
                layer.selected_data = {keys.index(wanted)} if wanted in keys else set()

    def _on_changed(self, *_: Any) -> None:
        if not isalive(self) or self._busy:
            return
        for layer in self._layers:
            chosen = list(layer.selected_data)
            if len(chosen) != 1:
                continue
            keys = self._keys_of(layer.features)
            number = self._rows.get(keys[chosen[0]]) if chosen[0] < len(keys) else None
            if number is not None:
                self.selected.emit(number)
                return

    def _keys_of(self, features: pd.DataFrame) -> list[tuple]:
        if not self._keys or any(key not in features.columns for key in self._keys):
            return []
        return [tuple(values) for values in features[self._keys].itertuples(index=False)]

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
