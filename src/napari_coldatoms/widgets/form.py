"""A form made from an analysis' own fields: one row a parameter, rarely used ones in a fold."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from magicgui.widgets import create_widget
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_coldatoms.backend.analysis import Parameter, from_dict, parameters, to_dict
from napari_coldatoms.widgets.folds import fold
from napari_coldatoms.widgets.path_edit import PathEdit


class WheelGuard(QObject):
    """Lets a control turn with the wheel only when it has the focus.

    Otherwise scrolling through the form changes every number the pointer passes.
    """

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass on what is no wheel, and the wheel of a control with the focus."""
        if (
            isinstance(watched, QWidget)
            and event is not None
            and event.type() == QEvent.Type.Wheel
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return False


class _Control:
    """One parameter's control: a magicgui widget, with a check box where None is allowed."""

    def __init__(self, parameter: Parameter, object_name: str, tooltip: str) -> None:
        kind = _without_none(parameter)
        self.widget: Any
        if kind is Path:
            self.widget = _path_edit(parameter, object_name, tooltip)
        else:
            self.widget = _magic(parameter, kind)
        self.inner: QWidget = self.widget.native
        self.inner.setObjectName(object_name)
        self.inner.setToolTip(tooltip)
        if isinstance(self.inner, QCheckBox):
            self.inner.setText("")  # the row has its label already
        self.native: QWidget = self.inner
        self.check: QCheckBox | None = None
        # an empty path is none already
        if parameter.optional and kind is not Path:
            self.native = QWidget()
            row = QHBoxLayout(self.native)
            row.setContentsMargins(0, 0, 0, 0)
            self.check = QCheckBox()
            self.check.setObjectName(f"{object_name}_given")
            self.check.setToolTip(f"{tooltip} (not ticked: not used)")
            self.check.setChecked(parameter.default is not None)
            self.check.toggled.connect(self.inner.setEnabled)
            self.inner.setEnabled(self.check.isChecked())
            row.addWidget(self.check)
            row.addWidget(self.inner, 1)

    @property
    def value(self) -> Any:
        if self.check is not None and not self.check.isChecked():
            return None
        value = self.widget.value
        return getattr(value, "value", value)  # an enum's member counts by its value

    @value.setter
    def value(self, value: Any) -> None:
        if value is not None or self.check is None:
            if isinstance(self.inner, QCheckBox) and not isinstance(value, bool):
                raise TypeError(f"expected true or false, found {value!r}")
            self.widget.value = value  # before its check box: it may not be taken
        if self.check is not None:
            self.check.setChecked(value is not None)


def _magic(parameter: Parameter, kind: Any) -> Any:
    """Return magicgui's widget for a type."""
    options = dict(parameter.options)
    value = parameter.default
    if value is None:
        # what is shown in grey while nothing is given
        value = max(options.get("min", 0), 0)
    return create_widget(name=parameter.name, annotation=kind, value=value, options=options)


def _path_edit(parameter: Parameter, object_name: str, tooltip: str) -> PathEdit:
    edit = PathEdit(
        _title(parameter),
        filters=str(parameter.options.get("filter", "")),
        placeholder=str(parameter.options.get("placeholder", "")),
        name=object_name,
        tooltip=tooltip,
    )
    edit.value = parameter.default
    return edit


class ParameterForm(QWidget):
    """The parameters of an analysis as a form.

    Parameters
    ----------
    cls : type
        The analysis, a frozen dataclass with annotated fields; a field that is itself such a
        dataclass becomes a fold. Where the analysis has a field ``method`` with that of the fold
        (`Parameter.method`) among its choices, the fold is shown for that method only.
    prefix : str
        Start of every control's object name: ``"<prefix>_<field>"``.
    exclude : iterable of str
        Fields that the caller shows in its own way, or not at all.
    parent : QWidget, optional
    """

    changed = Signal()

    def __init__(
        self,
        cls: type,
        *,
        prefix: str,
        exclude: Iterable[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName(prefix)
        self._cls = cls
        self._controls: dict[str, _Control] = {}
        self._nested: dict[str, ParameterForm] = {}
        self._methods: dict[str, str] = {}
        self._folds: dict[str, QCollapsible] = {}
        self._guard = WheelGuard(self)
        excluded = set(exclude)
        self._left_out = {p.name: p.default for p in parameters(cls) if p.name in excluded}

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        shown = [p for p in parameters(cls) if p.name not in excluded]
        plain = [p for p in shown if not p.parameters]
        layout.addLayout(self._rows([p for p in plain if not p.advanced], prefix))
        for parameter in shown:
            if parameter.parameters:
                nested = ParameterForm(parameter.type, prefix=f"{prefix}_{parameter.name}")
                nested.set_values(to_dict(parameter.default))
                nested.changed.connect(self.changed)
                self._nested[parameter.name] = nested
                self._methods[parameter.name] = parameter.method
                layout.addWidget(self._fold(parameter.name, _title(parameter), nested, prefix))
        advanced = [p for p in plain if p.advanced]
        if advanced:
            content = QWidget()
            content.setLayout(self._rows(advanced, prefix))
            layout.addWidget(self._fold("advanced", "Rarely needed", content, prefix))
        self._show_folds_of_method()
        self.changed.connect(self._show_folds_of_method)

    def control(self, name: str) -> QWidget:
        """Return the Qt control of a field; of a nested one by ``"threshold.smoothing"``."""
        first, _, rest = name.partition(".")
        return self._nested[first].control(rest) if rest else self._controls[first].inner

    def fold(self, name: str) -> QCollapsible:
        """Return the fold of a nested dataclass, or ``"advanced"``."""
        return self._folds[name]

    def values(self) -> dict[str, Any]:
        """Return what the form shows, nested dataclasses as dicts, with the left-out fields."""
        return {
            **self._left_out,
            **{name: control.value for name, control in self._controls.items()},
            **{name: form.values() for name, form in self._nested.items()},
        }

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show these values; unknown names and values out of bounds are passed over."""
        for name, value in values.items():
            if name in self._nested and isinstance(value, Mapping):
                self._nested[name].set_values(value)
            elif name in self._controls:
                try:
                    self._controls[name].value = value
                except (ValueError, TypeError):
                    continue  # remembered by another version with other bounds

    def analysis(self, **others: Any) -> Any:
        """Return the analysis with the form's values; `others` replace single fields.

        Raises
        ------
        ValueError
            Where the values do not go together, as the analysis says.
        """
        return from_dict(self._cls, {**self.values(), **others})

    def reset(self) -> None:
        """Show every field's default."""
        for parameter in parameters(self._cls):
            if parameter.name in self._controls:
                self._controls[parameter.name].value = parameter.default
            elif parameter.name in self._nested:
                self._nested[parameter.name].set_values(to_dict(parameter.default))

    def _rows(self, shown: Iterable[Parameter], prefix: str) -> QFormLayout:
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setVerticalSpacing(3)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for parameter in shown:
            tooltip = parameter.help or parameter.name.replace("_", " ")
            control = _Control(parameter, f"{prefix}_{parameter.name}", tooltip)
            control.inner.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            control.inner.installEventFilter(self._guard)
            control.inner.setMinimumWidth(60)
            if isinstance(control.inner, QComboBox):
                # long choices must not make the dock wide
                control.inner.setMinimumContentsLength(6)
                control.inner.setSizeAdjustPolicy(
                    QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
                )
            control.widget.changed.connect(self._emit_changed)
            if control.check is not None:
                control.check.toggled.connect(self._emit_changed)
            rows.addRow(_title(parameter), control.native)
            label = rows.labelForField(control.native)
            if label is not None:
                label.setToolTip(tooltip)
            self._controls[parameter.name] = control
        return rows

    def _fold(self, name: str, title: str, content: QWidget, prefix: str) -> QCollapsible:
        self._folds[name] = fold(title, f"{prefix}_{name}_fold", content)
        return self._folds[name]

    def _emit_changed(self, *_: object) -> None:
        self.changed.emit()

    def _show_folds_of_method(self) -> None:
        method = self._controls.get("method")
        if method is None:
            return
        choices = {str(getattr(c, "value", c)) for c in getattr(method.widget, "choices", ())}
        for name, form in self._nested.items():
            own = self._methods[name]
            if own in choices:
                self._folds[name].setVisible(own == str(method.value))
                form.setEnabled(own == str(method.value))


def _title(parameter: Parameter) -> str:
    return str(parameter.options.get("label", parameter.name.replace("_", " ")))


def _without_none(parameter: Parameter) -> Any:
    """Return the parameter's type where None is not among its values: what a control can show."""
    kinds = [kind for kind in typing.get_args(parameter.type) if kind is not types.NoneType]
    return kinds[0] if parameter.optional and len(kinds) == 1 else parameter.type
