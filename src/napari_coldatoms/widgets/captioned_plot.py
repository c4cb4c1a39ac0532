"""A plot with words below it, which follow the pointer."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_coldatoms.widgets.stacked_plot import StackedPlot


class CaptionedPlot(QWidget):
    """A plot with words below it: of what is at the pointer, else a legend.

    Sub-classes say the words in `words_at` and `legend_words`, and call `tell` when these change.

    Parameters
    ----------
    plot : StackedPlot
        What is drawn.
    caption : QLabel
        For the words.
    names : (str, str)
        Object names of this widget and of the plot.
    tooltip : str
        Of the plot.
    """

    plot: StackedPlot

    def __init__(
        self,
        plot: StackedPlot,
        caption: QLabel,
        *,
        names: tuple[str, str],
        tooltip: str,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.plot, self._caption = plot, caption
        self._hovered: float | None = None
        self.setObjectName(names[0])
        plot.setObjectName(names[1])
        plot.setToolTip(tooltip)
        caption.setTextFormat(Qt.TextFormat.RichText)
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(2)
        self.rows.addWidget(plot, 1)
        self.rows.addWidget(caption)
        plot.hovered.connect(self._on_hovered)

    def set_theme(self, theme_id: str) -> None:
        """Take the colours of a theme of napari."""
        self.plot.set_theme(theme_id)
        self.tell()

    def words_at(self, n: int, /) -> str:
        """Return what is known of a place, as rich text; empty where there is nothing."""
        return ""

    def place_of(self, x: float, /) -> float:
        """Return where the place is marked that words are about, by default at the pointer."""
        return x

    def legend_words(self) -> str:
        """Return what is said while there are no words of a place, as rich text."""
        return ""

    def tell(self) -> None:
        """Say the words anew, and mark the place they are about."""
        x = self._hovered
        words = "" if x is None else self.words_at(round(x))
        self.plot.mark_hover(None if x is None or not words else self.place_of(x))
        self._caption.setText(words or self.legend_words())

    def _on_hovered(self, x: float | None) -> None:
        self._hovered = x
        self.tell()
